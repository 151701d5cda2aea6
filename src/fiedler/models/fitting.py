"""What the fits of networks share: seed and progress, the graph, the task of a spectral map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from fiedler.data.gradients import gradient_histograms
from fiedler.data.upright import upright_rows
from fiedler.graph import SearchOptions
from fiedler.graph.known_labels import KnownGraph, constrain_graph
from fiedler.networks import RandomAffine
from fiedler.progress import ProgressCallback
from fiedler.training import Checkpoint, Task, Training, train
from fiedler.training.processes import from_first
from fiedler.training.spectral import BatchTask, Forward, PairTask, WholeTask

# A graph of all rows, maybe with known labels, or the affinity among the rows of a batch by their
# numbers.
Source: TypeAlias = sp.csr_matrix | KnownGraph | Callable[[np.ndarray], Tensor]


@dataclass
class Fit:
    """What the stages of one fit have in common.

    Attributes
    ----------
    seed : int
    device : torch.device
    options : SearchOptions
    progress : callable
    checkpoint : Checkpoint or None
    history : list of dict
        Rows of every stage.
    """

    seed: int
    device: torch.device
    options: SearchOptions
    progress: ProgressCallback
    checkpoint: Checkpoint | None
    history: list[dict[str, Any]]

    def train(self, task: Task, settings: Training, stage: str) -> None:
        """Train one stage and keep its history."""
        self.history += train(
            task,
            settings,
            stage=stage,
            seed=self.seed,
            progress=self.progress,
            checkpoint=self.checkpoint,
        )


def fit_graph(
    fit: Fit,
    affinity: Any,
    rows: Any,
    labels: np.ndarray | None = None,
    given: sp.csr_matrix | None = None,
    compare: Callable[[Any], Iterable[Any]] | None = None,
) -> sp.csr_matrix:
    """Return the affinity of all rows, known labels worked in, the same in every process.

    Parameters
    ----------
    fit : Fit
    affinity : Affinity
    rows : array-like of shape (n, d)
    labels : ndarray of shape (n,), int64, or None
        Known labels, -1 where unknown.
    given : csr_matrix of shape (n, n) or None
        The affinity, where it is known.
    compare : callable or None
        From the rows to what is compared in their place (:func:`image_comparison`): the affinity is
        the mean of those of each.
    """

    def compute() -> dict[str, np.ndarray]:
        matrix = given
        if matrix is None:
            compared = (rows,) if compare is None else compare(rows)
            graphs = [affinity.fit(each, fit.options).matrix for each in compared]
            matrix = sp.csr_matrix(sum(graphs[1:], graphs[0]) / len(graphs))
        return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}

    parts, n = from_first(compute), int(rows.shape[0])
    graph = sp.csr_matrix((parts["data"], parts["indices"], parts["indptr"]), shape=(n, n))
    if labels is None:
        return graph
    return constrain_graph(graph, labels, np.random.default_rng(fit.seed))


def image_comparison(
    image_shape: tuple[int, ...], *, upright: bool, gradients: bool
) -> Callable[[Any], Iterator[Any]] | None:
    """Return what makes of images the rows whose neighbours are looked for; None for pixels.

    Gradients of the images as they are and, where these are brought upright, of those too: what
    both find alike is linked twice as closely. Without gradients, pixels, upright or not.
    """
    if not (upright or gradients):
        return None

    def compare(rows: Any) -> Iterator[Any]:
        if gradients:
            yield gradient_histograms(rows, image_shape)
        if upright:
            images = upright_rows(rows, image_shape)
            yield gradient_histograms(images, image_shape) if gradients else images

    return compare


def map_task(
    forward: Forward,
    source: Source,
    batch_size: int,
    *,
    normalized: bool,
    alternate: bool = False,
    views: RandomAffine | None = None,
    image_shape: tuple[int, ...] | None = None,
) -> Task:
    """Return the task of a spectral map: along the edges of a graph, or on batches of rows.

    A graph of no more rows than a batch holds is trained on whole, unless there are views.
    """
    known = None
    if isinstance(source, KnownGraph):
        source, known = source.matrix, source.labels
    if not isinstance(source, sp.csr_matrix):
        return BatchTask(forward, source, batch_size, normalized=normalized, alternate=alternate)
    if len(forward.reader) <= batch_size and views is None:
        return WholeTask(forward, source, normalized=normalized)
    return PairTask(
        forward,
        source,
        batch_size,
        normalized=normalized,
        known=known,
        views=views,
        image_shape=image_shape,
    )
