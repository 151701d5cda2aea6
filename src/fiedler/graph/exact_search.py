"""Exact nearest neighbours by blocked matrix products, with re-ranking by true differences."""

from __future__ import annotations

import numpy as np
import torch

from fiedler.graph.blocks import RowBlocks, block_size
from fiedler.progress import ProgressCallback, silent

# Candidates kept beyond k: the expanded form |x|^2 + |y|^2 - 2xy loses digits that the direct
# difference keeps, so near ties are settled by the latter.
MARGIN = 4


def exact_search(
    rows: RowBlocks,
    queries: RowBlocks,
    k: int,
    *,
    own: np.ndarray | None,
    device: torch.device,
    progress: ProgressCallback = silent,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest rows of each query.

    Parameters
    ----------
    rows, queries : RowBlocks of shapes (n, d) and (m, d)
        Searched rows and queries, with the same metric and shift.
    k : int
        Neighbours per query, at most ``n`` (``n - 1`` where ``own`` is given).
    own : ndarray of shape (m,), int64, or None
        The row that each query is, and that is not to be its own neighbour.
    device : torch.device
        Where the products are computed.
    progress : callable
        Called as ``progress("neighbors", done, m)``.

    Returns
    -------
    indices : ndarray of shape (m, k), int64
    distances : ndarray of shape (m, k), float32
        Euclidean distances between blocks' vectors, ascending; ties by index.
    """
    n, m = len(rows), len(queries)
    columns = block_size(rows.shape[1], 6 << 20)  # of which several copies live at once
    best_kept = min(k + MARGIN + int(own is not None), n)
    indices = np.empty((m, k), dtype=np.int64)
    distances = np.empty((m, k), dtype=np.float32)
    for start, query in queries.blocks(block_size(min(n, columns))):
        query = query.to(device)
        candidates = _scan(rows, query, best_kept, columns, device)
        stop = start + len(query)
        self_ids = None if own is None else torch.from_numpy(own[start:stop]).to(device)
        indices[start:stop], distances[start:stop] = rerank(rows, query, candidates, k, self_ids)
        progress("neighbors", stop, m)
    return indices, distances


def _scan(
    rows: RowBlocks, query: torch.Tensor, kept: int, columns: int, device: torch.device
) -> torch.Tensor:
    """Return the ``kept`` most promising rows of each query, shape (m, kept), in float32."""
    n_blocks = -(-len(rows) // columns)
    # Allocated at once: small tensors kept between large ones would keep the heap from shrinking.
    scores = torch.full((len(query), n_blocks * kept), torch.inf, device=device)
    found = torch.full((len(query), n_blocks * kept), -1, dtype=torch.int64, device=device)
    for i, (start, block) in enumerate(rows.blocks(columns)):
        block = block.to(device)
        norms = torch.linalg.vector_norm(block, dim=1).square_()[None, :]
        score = torch.addmm(norms, query, block.T, alpha=-2.0)
        top = score.topk(min(kept, score.shape[1]), dim=1, largest=False, sorted=False)
        own = slice(i * kept, i * kept + top.values.shape[1])
        scores[:, own] = top.values
        found[:, own] = top.indices + start
    return found.gather(1, scores.topk(kept, dim=1, largest=False, sorted=False).indices)


def rerank(
    rows: RowBlocks,
    query: torch.Tensor,
    candidates: torch.Tensor,
    k: int,
    own: torch.Tensor | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Order candidates by the direct difference ``|x - y|`` and keep the k nearest.

    ``candidates`` is (m, c) with -1 for "none"; ``own`` gives the row that is each query itself.
    Works in small chunks: the gathered rows stay in the processor's cache.
    """
    m, kept = candidates.shape
    indices = np.empty((m, k), dtype=np.int64)
    distances = np.empty((m, k), dtype=np.float32)
    chunk = max(1, (4 << 20) // (4 * kept * max(1, query.shape[1])))
    for start in range(0, m, chunk):
        part = candidates[start : start + chunk].sort(dim=1).values
        gathered = rows.take(part.clamp(min=0).reshape(-1).cpu()).to(query.device)
        gathered = gathered.view(*part.shape, -1)
        apart = torch.linalg.vector_norm(gathered - query[start : start + chunk, None, :], dim=2)
        missing = part < 0
        if own is not None:
            missing |= part == own[start : start + chunk, None]
        apart[missing] = torch.inf
        order = apart.sort(dim=1, stable=True).indices[:, :k]
        indices[start : start + chunk] = part.gather(1, order).cpu().numpy()
        distances[start : start + chunk] = apart.gather(1, order).cpu().numpy()
    return indices, distances
