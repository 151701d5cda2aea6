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
from fiedler.graph.cell_scan import scan_cells
from fiedler.graph.cells import CellIndex, nearest_cells
from fiedler.graph.exact_search import MARGIN, exact_search, rerank
from fiedler.progress import ProgressCallback, silent

_CALIBRATION_ROWS = 256
_QUERY_BLOCK = 32768
_QUERY_BLOCK_BYTES = 12 << 20
# New rows come in no order: only many of them share a cell.
_NEW_QUERY_BLOCK_BYTES = 40 << 20


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
        block_size(queries.shape[1], _NEW_QUERY_BLOCK_BYTES if own is None else _QUERY_BLOCK_BYTES),
        block_size(queries.shape[1] + n_probes * kept * 2, 128 << 20),
    )
    for start, block in queries.blocks(size):
        block = block.to(device)
        candidates = scan_cells(index, block, kept, n_probes)
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
