"""The few principal directions in which wide rows are scanned, where these find the neighbours."""

from __future__ import annotations

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


def choose_directions(
    rows: RowBlocks,
    truth: TrueNeighbors,
    recall: float,
    rng: np.random.Generator,
    device: torch.device,
) -> tuple[torch.Tensor | None, np.ndarray]:
    """Choose the fewest leading principal directions that lose half of what may be lost, at most.

    Candidates are ranked by ``|y|^2 - 2 (V^T x) (V^T y)``, with the norm of the whole row: what is
    left out of the product is that of the remainders, which is small beside the distances.

    Parameters
    ----------
    rows : RowBlocks of shape (n, d)
        The rows to search.
    truth : TrueNeighbors
        Exact neighbours of a sample, by which each number of directions is judged.
    recall : float in (0, 1]
        Share of true neighbours that the whole search must find.
    rng : numpy Generator
        Draws the rows that the directions are computed from.
    device : torch.device
        Where the products are computed.

    Returns
    -------
    directions : torch.Tensor of shape (d, r), float32, orthonormal columns, or None
        None: the whole rows are to be scanned, as no few directions do.
    found : ndarray of shape (s, k), bool
        Which neighbours of the sample are then among the candidates.
    """
    everything = np.ones((len(truth.sample), truth.k), dtype=bool)
    counts = range(_STEP, min(_MOST, rows.shape[1] // 2) + 1, _STEP)
    if recall == 1.0 or rows.shape[1] < _NARROWEST_ROWS:
        return None, everything
    directions = _principal_directions(rows, max(counts), rng)
    if directions is None:
        return None, everything
    directions = directions.to(device)
    found_by = _found_by(rows, truth, directions, counts)
    for count, found in zip(counts, found_by, strict=True):
        if found.mean() >= 1 - (1 - recall) / 2:
            return directions[:, :count].contiguous(), found
    return None, everything


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
    rows: RowBlocks, truth: TrueNeighbors, directions: torch.Tensor, counts: range
) -> list[np.ndarray]:
    """Return which true neighbours are among the candidates in the first ``count`` directions.

    Their rivals are the sample's further neighbours: where few neighbours are lost, these are what
    they are lost to.
    """
    s, far = truth.neighbors.shape
    kept = min(truth.k + MARGIN, far)
    device, dtype = directions.device, scan_dtype(directions.device)
    queries = rows.take(truth.sample).to(device) @ directions
    rivals = torch.empty(s, far, directions.shape[1], device=device)
    norms = torch.empty(s, far, device=device)
    size = block_size(rows.shape[1] * far, 6 << 20)
    for start in range(0, s, size):
        own = slice(start, start + size)
        block = rows.take(truth.neighbors[own].reshape(-1)).to(device)
        norms[own] = torch.linalg.vector_norm(block, dim=1).square_().view(-1, far)
        rivals[own] = (block @ directions).view(-1, far, directions.shape[1])
    queries, rivals = queries.to(dtype), rivals.to(dtype)
    found = []
    for count in counts:
        product = rivals[:, :, :count] @ queries[:, :count, None]
        score = torch.add(norms, product[:, :, 0], alpha=-2.0)
        worst = score.kthvalue(kept, dim=1, keepdim=True).values
        found.append((score[:, : truth.k] <= worst).cpu().numpy())
    return found
