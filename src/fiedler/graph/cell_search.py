"""Approximate nearest neighbours by cells: an inverted file whose scans are matrix products.

Rows are grouped into cells by a coarse k-means and stored cell after cell. All queries that probe
a cell meet its rows in one matrix product (bfloat16 where the processor has it; wide rows in a few
principal directions), so the scan runs at the speed of dense algebra; the survivors are re-ranked
by exact distances. How many cells are probed is measured: see ``calibration.py``.
"""

from __future__ import annotations

import numpy as np
import torch

from fiedler.graph.blocks import RowBlocks, block_size
from fiedler.graph.cell_scan import scan_cells
from fiedler.graph.cells import CellIndex
from fiedler.graph.exact_search import MARGIN, exact_search, rerank
from fiedler.progress import ProgressCallback, silent

_QUERY_BLOCK = 32768
_QUERY_BLOCK_BYTES = 12 << 20
# New rows come in no order: only many of them share a cell.
_NEW_QUERY_BLOCK_BYTES = 40 << 20


def search_cells(
    index: CellIndex,
    queries: RowBlocks | None,
    k: int,
    n_probes: int,
    *,
    progress: ProgressCallback = silent,
) -> tuple[np.ndarray, np.ndarray]:
    """Find about the k nearest stored rows of each query.

    Parameters
    ----------
    index : CellIndex
        The searched rows.
    queries : RowBlocks of shape (m, d), or None
        None: the stored rows, in their order, which are not to be their own neighbours.
    k : int
        Neighbours per query.
    n_probes : int
        Cells scanned per query.
    progress : callable
        Called as ``progress("neighbors", done, m)``.

    Returns
    -------
    indices : ndarray of shape (m, k), int64
        *Stored positions* (``index.order`` maps them to rows).
    distances : ndarray of shape (m, k), float32
    """
    own = None if queries is not None else torch.arange(len(index.stored))
    queries = index.stored if queries is None else queries
    padded = (index.positions >= 0).nonzero()[:, 0]
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
        stop = start + len(block)
        narrow = index.narrow(block) if own is None else index.scanned[padded[start:stop]]
        candidates = scan_cells(index, narrow, kept, n_probes)
        self_ids = None if own is None else own[start:stop].to(device)
        found, distances[start:stop] = rerank(index.stored, block, candidates, k, self_ids)
        indices[start:stop] = np.where(np.isinf(distances[start:stop]), -1, found)
        progress("neighbors", stop, m)
    short = np.flatnonzero((indices < 0).any(1))
    if len(short):  # the probed cells held fewer than k rows: search these queries exactly
        indices[short], distances[short] = exact_search(
            index.stored,
            queries.select(short),
            k,
            own=None if own is None else short,
            device=device,
        )
    return indices, distances
