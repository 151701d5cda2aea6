"""Approximate nearest neighbours by cells: an inverted file whose scans are matrix products.

Rows are grouped into cells by a coarse k-means and stored cell after cell. All queries that probe
a cell meet its rows in one matrix product (bfloat16 where the processor has it), so the scan runs
at the speed of dense algebra; the survivors are re-ranked by exact distances. The number of cells
probed is not guessed: for a sample of rows whose true neighbours were found exactly, the rank of
each neighbour's cell gives the recall of every number of probes at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fiedler.graph.blocks import RowBlocks, block_size
from fiedler.graph.exact_search import MARGIN, exact_search, rerank
from fiedler.graph.precision import scan_dtype
from fiedler.progress import ProgressCallback, silent

ROWS_PER_CELL = 400
_CALIBRATION_ROWS = 256
_LLOYD_STEPS = 6
_TRAINING_ROWS_PER_CELL = 40
# Shapes are padded to multiples of this: each new shape costs a kernel compilation in oneDNN.
_PAD = 64
# Queries meet a cell in groups of this size: few shapes, so few compiled kernels to keep.
_SCAN_ROWS = 512
_BLOCK = 4096
_QUERY_BLOCK = 8192
# Wide rows come in smaller blocks: of each, several copies live at once (bytes, float32, shifted,
# bfloat16), and what is freed in between is not all given back.
_BLOCK_BYTES = 3 << 20
_QUERY_BLOCK_BYTES = 12 << 20


@dataclass(frozen=True)
class CellIndex:
    """Rows grouped into cells.

    Attributes
    ----------
    centroids : torch.Tensor of shape (c, d)
    order : torch.Tensor of shape (n,), int64
        Original row at each stored position.
    starts, sizes : list of int
        First padded position and number of rows of each cell.
    stored : RowBlocks of shape (n, d)
        Rows in stored order, in their own dtype, for exact distances.
    positions : torch.Tensor of shape (p,), int64
        Stored position at each padded position (-1 for padding).
    scanned : torch.Tensor of shape (p, d)
        Padded rows in the dtype of the scan.
    norms : torch.Tensor of shape (p,)
        Squared norms of the scanned rows (infinity for padding).
    """

    centroids: torch.Tensor
    order: torch.Tensor
    starts: list[int]
    sizes: list[int]
    stored: RowBlocks
    positions: torch.Tensor
    scanned: torch.Tensor
    norms: torch.Tensor


def build_cells(rows: RowBlocks, rng: np.random.Generator, device: torch.device) -> CellIndex:
    """Group rows into about ``n / 400`` cells by a coarse k-means on a sample."""
    n = len(rows)
    n_cells = max(1, min(n // ROWS_PER_CELL, 4096))
    size = min(_BLOCK, block_size(rows.shape[1], _BLOCK_BYTES))
    centroids = _coarse_centroids(rows, n_cells, rng, device)
    cells = torch.cat(
        [nearest_cells(b.to(device), centroids, 1)[:, 0] for _, b in rows.blocks(size)]
    )
    order = cells.argsort(stable=True).cpu()
    sizes = torch.bincount(cells, minlength=n_cells).cpu()
    padded = (sizes + _PAD - 1) // _PAD * _PAD
    starts = padded.cumsum(0) - padded
    stored = _gather_rows(rows, order)
    offsets = torch.arange(n) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    target = starts.repeat_interleave(sizes) + offsets
    total = int(padded.sum())
    positions = torch.full((total,), -1, dtype=torch.int64)
    positions[target] = torch.arange(n)
    dtype = scan_dtype(device)
    scanned = torch.zeros(total, rows.shape[1], dtype=dtype, device=device)
    norms = torch.full((total,), torch.inf, device=device)
    for start, block in stored.blocks(size):
        where = target[start : start + len(block)].to(device)
        scanned[where] = block.to(device, dtype)
        norms[where] = (block * block).sum(1).to(device)
    return CellIndex(
        centroids, order, starts.tolist(), sizes.tolist(), stored, positions, scanned, norms
    )


def _gather_rows(rows: RowBlocks, order: torch.Tensor) -> RowBlocks:
    """Copy rows in the given order: bytes stay bytes, all else becomes shifted float32."""
    is_bytes = str(rows.rows.dtype) in ("uint8", "torch.uint8") and rows.metric == "euclidean"
    zero = torch.zeros_like(rows.shift)
    source = RowBlocks(rows.rows, rows.metric, zero) if is_bytes else rows
    stored = torch.empty(rows.shape, dtype=torch.uint8 if is_bytes else torch.float32)
    size = min(_BLOCK, block_size(rows.shape[1], _BLOCK_BYTES))
    for start in range(0, len(order), size):
        stored[start : start + size] = source.take(order[start : start + size]).to(stored.dtype)
    return RowBlocks(stored, rows.metric, rows.shift if is_bytes else zero)


def _coarse_centroids(
    rows: RowBlocks, n_cells: int, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    size = min(len(rows), n_cells * _TRAINING_ROWS_PER_CELL)
    sample = rows.take(np.sort(rng.choice(len(rows), size, replace=False))).to(device)
    centroids = sample[torch.from_numpy(rng.choice(size, n_cells, replace=False))].clone()
    for _ in range(_LLOYD_STEPS):
        cells = torch.cat(
            [nearest_cells(b, centroids, 1)[:, 0] for b in torch.split(sample, _BLOCK)]
        )
        counts = torch.bincount(cells, minlength=n_cells)[:, None]
        sums = torch.zeros_like(centroids).index_add_(0, cells, sample)
        centroids = torch.where(counts > 0, sums / counts.clamp(min=1), centroids)
    return centroids


def nearest_cells(block: torch.Tensor, centroids: torch.Tensor, count: int) -> torch.Tensor:
    """Return the ``count`` nearest cells of each row in order, shape (m, count)."""
    dtype = scan_dtype(block.device)
    product = (block.to(dtype) @ centroids.to(dtype).T).float()
    score = (centroids * centroids).sum(1)[None, :] - 2.0 * product
    return score.topk(count, dim=1, largest=False).indices


@dataclass(frozen=True)
class Calibration:
    """Number of probes for a wanted recall, and the sample it was measured with.

    Attributes
    ----------
    n_probes : int
    sample : ndarray of shape (s,), int64
        Stored positions.
    farthest : ndarray of shape (s,), float32
        Exact distance of each to its k-th neighbour.
    """

    n_probes: int
    sample: np.ndarray
    farthest: np.ndarray

    def recall_of(self, distances: np.ndarray) -> float:
        """Return the share of true neighbours among the ones found, at ``distances`` (n, k).

        Told by distance: of equally near rows, any will do.
        """
        return float((distances[self.sample] <= self.farthest[:, None] * (1 + 1e-6)).mean())


def calibrate(index: CellIndex, k: int, recall: float, rng: np.random.Generator) -> Calibration:
    """Find the fewest probes that see the wanted share of true neighbours."""
    n = len(index.stored)
    sample = np.sort(rng.choice(n, min(n, _CALIBRATION_ROWS), replace=False))
    device = index.centroids.device
    queries = index.stored.select(sample)
    neighbors, distances = exact_search(index.stored, queries, k, own=sample, device=device)
    cell_of = np.repeat(np.arange(len(index.sizes)), index.sizes)
    ranked = nearest_cells(queries.take(slice(None)).to(device), index.centroids, len(index.sizes))
    rank = ranked.argsort(1).cpu().numpy()
    ranks = np.take_along_axis(rank, cell_of[neighbors], 1)
    seen = np.cumsum(np.bincount(ranks.ravel(), minlength=len(index.sizes))) / ranks.size
    n_probes = int(np.searchsorted(seen, recall) + 1)
    return Calibration(min(n_probes, len(index.sizes)), sample, distances[:, -1])


def search_cells(
    index: CellIndex,
    queries: RowBlocks,
    k: int,
    n_probes: int,
    *,
    own: np.ndarray | None = None,
    progress: ProgressCallback = silent,
) -> tuple[np.ndarray, np.ndarray]:
    """Find about the k nearest stored rows of each query.

    Parameters
    ----------
    index : CellIndex
        The searched rows.
    queries : RowBlocks of shape (m, d)
        Queries.
    k : int
        Neighbours per query.
    n_probes : int
        Cells scanned per query.
    own : ndarray of shape (m,), int64, or None
        The stored position that each query is, and that is not to be its own neighbour.
    progress : callable
        Called as ``progress("neighbors", done, m)``.

    Returns
    -------
    indices : ndarray of shape (m, k), int64
        *Stored positions* (``index.order`` maps them to rows).
    distances : ndarray of shape (m, k), float32
    """
    m = len(queries)
    kept = k + MARGIN + int(own is not None)
    device = index.centroids.device
    indices = np.empty((m, k), dtype=np.int64)
    distances = np.empty((m, k), dtype=np.float32)
    size = min(
        _QUERY_BLOCK,
        block_size(queries.shape[1], _QUERY_BLOCK_BYTES),
        block_size(queries.shape[1] + n_probes * kept * 2, 128 << 20),
    )
    for start, block in queries.blocks(size):
        block = block.to(device)
        candidates = _scan_cells(index, block, kept, n_probes)
        stop = start + len(block)
        self_ids = None if own is None else torch.from_numpy(own[start:stop]).to(device)
        found, distances[start:stop] = rerank(index.stored, block, candidates, k, self_ids)
        indices[start:stop] = np.where(np.isinf(distances[start:stop]), -1, found)
        progress("neighbors", stop, m)
    short = np.flatnonzero((indices < 0).any(1))
    if len(short):  # the probed cells held fewer than k rows: search these queries exactly
        indices[short], distances[short] = exact_search(
            index.stored,
            queries.select(short),
            k,
            own=None if own is None else own[short],
            device=device,
        )
    return indices, distances


def _scan_cells(index: CellIndex, block: torch.Tensor, kept: int, n_probes: int) -> torch.Tensor:
    """Return stored positions of the ``kept`` best candidates of each query, shape (m, kept)."""
    m, device = len(block), block.device
    parts = torch.split(block, _BLOCK)
    probes = torch.cat([nearest_cells(b, index.centroids, n_probes) for b in parts])
    flat = probes.reshape(-1)
    by_cell = flat.argsort(stable=True)
    stops = torch.bincount(flat, minlength=len(index.sizes)).cumsum(0).tolist()
    scores = torch.full((m * n_probes, kept), torch.inf, device=device)
    found = torch.full((m * n_probes, kept), -1, dtype=torch.int32, device=device)
    block = block.to(index.scanned.dtype)
    begin = 0
    for first, size, stop in zip(index.starts, index.sizes, stops, strict=True):
        slots, begin = by_cell[begin:stop], stop
        if len(slots) == 0 or size == 0:
            continue
        width = (size + _PAD - 1) // _PAD * _PAD
        cell, norms = index.scanned[first : first + width].T, index.norms[first : first + width]
        for part in torch.split(slots, _SCAN_ROWS):
            filled = torch.cat([part, part[:1].expand(-len(part) % _PAD)])
            product = block[filled // n_probes] @ cell
            score = product[: len(part)].float().mul_(-2.0).add_(norms)
            top = score.topk(min(kept, size), dim=1, largest=False, sorted=False)
            scores[part, : top.values.shape[1]] = top.values
            found[part, : top.values.shape[1]] = (top.indices + first).int()
    best = scores.view(m, -1).topk(kept, dim=1, largest=False, sorted=False).indices
    padded = found.view(m, -1).gather(1, best).long()
    positions = index.positions.to(device)
    return torch.where(padded < 0, padded, positions[padded.clamp(min=0)])
