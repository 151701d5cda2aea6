"""The stages of a SpectralNet's fit, each from rows and networks to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from fiedler.exceptions import InputError
from fiedler.graph import NeighborGraph, check_affinity, nearest_neighbors
from fiedler.graph.known_labels import constrain_batch
from fiedler.models.fitting import Fit, Source, map_task
from fiedler.models.spectralnet.recipe import BatchAffinity, SpectralNetRecipe
from fiedler.networks import DenseMap, batch_affinity, build_autoencoder, build_map
from fiedler.networks.build import Standardize
from fiedler.training import RowReader, outputs_of
from fiedler.training.codes import Autoencoder, AutoencoderTask, Siamese, SiameseTask
from fiedler.training.processes import from_first
from fiedler.training.spectral import Forward


def build_network(
    recipe: SpectralNetRecipe, row_shape: tuple[int, ...], n_outputs: int, seed: int
) -> nn.Sequential:
    """Build standardisation, encoder (if there are codes) and map, from rows to outputs."""
    n_features = int(np.prod(row_shape))
    front: list[nn.Module] = [Standardize(n_features)]
    if recipe.codes is not None:
        spec = recipe.codes
        encoder, _ = build_autoencoder(n_features, spec.widths, spec.n_codes, seed=seed)
        # the codes' scale is measured too, once they are known
        front += [encoder, Standardize(spec.n_codes)]
        row_shape = (spec.n_codes,)
    return nn.Sequential(
        nn.Sequential(*front), build_map(recipe.network, row_shape, n_outputs, seed=seed + 1)
    )


def train_codes(fit: Fit, spec: Autoencoder, front: nn.Module, reader: RowReader) -> RowReader:
    """Train the autoencoder and return its codes of all rows, standardised."""
    assert isinstance(front, nn.Sequential)
    standardize, encoder, rescale = front
    _, decoder = build_autoencoder(reader.n_features, spec.widths, spec.n_codes, seed=fit.seed)
    decoder.to(fit.device)
    task = AutoencoderTask(standardize, encoder, decoder, reader, spec.training)
    fit.train(task, spec.training, "autoencoder")
    codes = RowReader(outputs_of(nn.Sequential(standardize, encoder), reader), fit.device)
    assert isinstance(rescale, Standardize)
    rescale.measure(codes.sample(np.random.default_rng(fit.seed)))
    return RowReader(outputs_of(rescale, codes), fit.device)


def train_siamese(fit: Fit, spec: Siamese, reader: RowReader) -> RowReader:
    """Train the Siamese network on neighbours of the rows; return its outputs of all rows."""
    neighbors = _neighbors(fit, reader.rows, spec.n_neighbors)
    standardize = Standardize(reader.n_features)
    standardize.measure(reader.sample(np.random.default_rng(fit.seed)))
    layers = DenseMap(spec.widths, batch_norm=False)
    network = build_map(layers, (reader.n_features,), spec.n_outputs, seed=fit.seed + 2)
    module = nn.Sequential(standardize, network).to(fit.device)
    fit.train(SiameseTask(module, reader, neighbors, spec), spec.training, "siamese")
    return RowReader(outputs_of(module, reader), fit.device)


def _neighbors(fit: Fit, rows: Any, k: int) -> np.ndarray:
    if k >= rows.shape[0]:
        raise InputError(f"{k} neighbours need more than {k} rows, got {rows.shape[0]}.")

    def search() -> dict[str, np.ndarray]:
        graph: NeighborGraph = nearest_neighbors(
            rows,
            k,
            recall=fit.options.recall,
            random_state=fit.seed,
            device=fit.options.device,
            check=False,
            progress=fit.progress,
        )
        return {"indices": graph.indices}

    return from_first(search)["indices"]


def batch_function(
    affinity: BatchAffinity | Callable[[Any, Any], Any],
    reader: RowReader,
    labels: np.ndarray | None,
) -> Callable[[np.ndarray], Tensor]:
    """Return the function from row numbers to the affinity among them."""
    known = None if labels is None else torch.from_numpy(labels).to(reader.device)

    def compute(indices: np.ndarray) -> Tensor:
        if isinstance(affinity, BatchAffinity):
            weights = batch_affinity(
                reader.take(indices),
                affinity.n_neighbors,
                scale_neighbor=affinity.scale_neighbor,
                scale=affinity.scale,
            )
        else:
            rows = reader.stored(indices)
            weights = _checked_call(affinity, rows).to(reader.device)
        if known is None:
            return weights
        return constrain_batch(weights, known[torch.from_numpy(indices).to(known.device)])

    return compute


def _checked_call(function: Callable[[Any, Any], Any], rows: Any) -> Tensor:
    """Return a function's affinity of rows, symmetrised, zero on the diagonal."""
    m = rows.shape[0]
    result = function(rows, rows)
    if getattr(result, "shape", None) != (m, m):
        raise InputError(
            "an affinity function f(A, B) must return an array of shape (len(A), len(B)), here "
            f"{(m, m)}; got {getattr(result, 'shape', type(result).__name__)}."
        )
    array = result.detach().cpu().double().numpy() if hasattr(result, "detach") else result
    # symmetrised first: in float32 a function of equal arguments is symmetric up to rounding
    checked: Any = check_affinity((array + array.T) / 2.0)
    dense = checked.toarray() if sp.issparse(checked) else checked
    return torch.from_numpy(np.asarray(dense, dtype=np.float32)).fill_diagonal_(0.0)


def train_map(
    fit: Fit,
    recipe: SpectralNetRecipe,
    forward: Forward,
    source: Source,
    image_shape: tuple[int, ...],
) -> None:
    """Train the map along the edges of a graph, or on batches of rows."""
    settings = recipe.training
    task = map_task(
        forward,
        source,
        settings.batch_size,
        normalized=recipe.normalized,
        alternate=recipe.alternate,
        views=recipe.views,
        image_shape=image_shape,
    )
    fit.train(task, settings, "spectral map")
