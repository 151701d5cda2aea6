"""How candidates are scanned: in few principal directions and in bfloat16 where these find them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd

from fiedler.graph.blocks import RowBlocks, block_size
from fiedler.graph.calibration import TrueNeighbors
from fiedler.graph.exact_search import MARGIN
from fiedler.graph.precision import scan_dtype

# Of narrower rows the products are not what costs time.
_NARROWEST_ROWS = 192
_STEP = 64  # in bfloat16, products of other widths are slower
_MOST = 384
_SAMPLE_ROWS = 2048
_SAMPLE_BYTES = 64 << 20
_POWER_STEPS = 1


@dataclass(frozen=True)
class Scan:
    """In which directions and precision candidates are scanned.

    Attributes
    ----------
    directions : torch.Tensor of shape (d, r), float32, orthonormal columns, or None
        None: whole rows.
    dtype : torch.dtype
    found : ndarray of shape (s, k), bool
        Which neighbours of the sample are then among the candidates.
    """

    directions: torch.Tensor | None
    dtype: torch.dtype
    found: np.ndarray


def choose_scan(
    rows: RowBlocks, truth: TrueNeighbors, recall: float, rng: np.random.Generator
) -> Scan:
    """Choose the cheapest scan that loses half of what may be lost, at most.

    That is the fewest leading principal directions, else whole rows, in the precision that the
    device is fast in; else whole rows in float32: bfloat16 does not tell the rows of small groups
    apart that lie far from each other.

    Candidates are ranked by ``|y|^2 - 2 (V^T x) (V^T y)``, with the norm of the whole row: what is
    left out of the product is that of the remainders, which is small beside the distances.

    Parameters
    ----------
    rows : RowBlocks of shape (n, d)
        The rows to search.
    truth : TrueNeighbors
        Exact neighbours of a sample, by which each scan is judged.
    recall : float in (0, 1]
        Share of true neighbours that the whole search must find.
    rng : numpy Generator
        Draws the rows that the directions are computed from.

    Returns
    -------
    Scan
    """
    n_features, dtype = rows.shape[1], scan_dtype(truth.device)
    counts = range(_STEP, min(_MOST, n_features // 2) + 1, _STEP)
    wide = recall < 1.0 and n_features >= _NARROWEST_ROWS
    directions = _principal_directions(rows, max(counts), rng) if wide else None
    enough = 1 - (1 - recall) / 2
    if directions is not None:
        directions = directions.to(truth.device)
        found_by = _found_by(rows, truth, directions, counts)
        for count, found in zip(counts, found_by, strict=True):
            if found.mean() >= enough:
                return Scan(directions[:, :count].contiguous(), dtype, found)
    if dtype != torch.float32:
        (found,) = _found_by(rows, truth, None, [n_features])
        if found.mean() >= enough:
            return Scan(None, dtype, found)
    return Scan(None, torch.float32, np.ones((len(truth.sample), truth.k), dtype=bool))


def _principal_directions(
    rows: RowBlocks, count: int, rng: np.random.Generator
) -> torch.Tensor | None:
    """Return the leading right singular vectors of a sample, (d, count); None of too few rows."""
    size = min(len(rows), _SAMPLE_ROWS, block_size(rows.shape[1], _SAMPLE_BYTES))
    if size < 2 * count:
        return None
    sample = rows.take(np.sort(rng.choice(len(rows), size, replace=False)))
    _, _, directions = randomized_svd(
        sample.numpy(),
        count,
        n_oversamples=_STEP // 4,
        n_iter=_POWER_STEPS,
        power_iteration_normalizer="none",
        random_state=int(rng.integers(2**31)),
    )
    return torch.from_numpy(directions.T.astype(np.float32, copy=False))


def _found_by(
    rows: RowBlocks, truth: TrueNeighbors, directions: torch.Tensor | None, counts: Sequence[int]
) -> list[np.ndarray]:
    """Return which true neighbours are among the candidates in the first ``count`` directions.

    Their rivals are the sample's further neighbours: where few neighbours are lost, these are what
    they are lost to. Without directions whole rows are scanned, and only rounding loses any.
    """
    s, far = truth.neighbors.shape
    kept = min(truth.k + MARGIN, far)
    found = [np.empty((s, truth.k), dtype=bool) for _ in counts]
    device = truth.device
    dtype = scan_dtype(device)
    size = block_size(rows.shape[1] * far, 6 << 20)
    for start in range(0, s, size):
        own = slice(start, start + size)
        queries = rows.take(truth.sample[own]).to(device)
        rivals = rows.take(truth.neighbors[own].reshape(-1)).to(device)
        norms = torch.linalg.vector_norm(rivals, dim=1).square_().view(-1, far)
        if directions is not None:
            queries, rivals = queries @ directions, rivals @ directions
        queries, rivals = queries.to(dtype), rivals.to(dtype).view(*norms.shape, -1)
        for count, which in zip(counts, found, strict=True):
            product = rivals[:, :, :count] @ queries[:, :count, None]
            score = torch.add(norms, product[:, :, 0], alpha=-2.0)
            worst = score.kthvalue(kept, dim=1, keepdim=True).values
            which[own] = (score[:, : truth.k] <= worst).cpu().numpy()
    return found
