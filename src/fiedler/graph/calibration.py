"""How many cells hold the wanted share of true neighbours: measured on a sample, not guessed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fiedler.graph.blocks import RowBlocks
from fiedler.graph.cells import CellIndex, nearest_cells
from fiedler.graph.exact_search import exact_search

_SAMPLE_ROWS = 256
_FAR = 10


@dataclass(frozen=True)
class TrueNeighbors:
    """Exact neighbours of a sample of the rows.

    Attributes
    ----------
    k : int
        How many of them a search is to find.
    sample : ndarray of shape (s,), int64
        The rows.
    neighbors : ndarray of shape (s, f), int64
        Nearest first, and more than k where there are.
    distances : ndarray of shape (s, f), float32
    device : torch.device
        Where products are computed.
    """

    k: int
    sample: np.ndarray
    neighbors: np.ndarray
    distances: np.ndarray
    device: torch.device

    def recall_of(self, distances: np.ndarray) -> float:
        """Return the share of true neighbours among the ones found, at ``distances`` (n, k).

        Told by distance: of equally near rows, any will do.
        """
        farthest = self.distances[:, self.k - 1, None] * (1 + 1e-6)
        return float((distances[self.sample] <= farthest).mean())


def true_neighbors(
    rows: RowBlocks, k: int, rng: np.random.Generator, device: torch.device
) -> TrueNeighbors:
    """Find the exact neighbours of up to 256 random rows, and further ones beyond the k-th."""
    n = len(rows)
    far = min(n - 1, _FAR * k)
    sample = np.sort(rng.choice(n, min(n, _SAMPLE_ROWS), replace=False))
    queries = rows.select(sample)
    found, distances = exact_search(rows, queries, far, own=sample, device=device)
    return TrueNeighbors(k, sample, found, distances, device)


def probes_for(
    index: CellIndex, rows: RowBlocks, truth: TrueNeighbors, found: np.ndarray, recall: float
) -> int:
    """Return the fewest cells per query that see the wanted share of true neighbours.

    The rank of each neighbour's cell gives the recall of every number of cells at once.

    Parameters
    ----------
    index : CellIndex
    rows : RowBlocks of shape (n, d)
        The rows in the index, in their original order.
    truth : TrueNeighbors
    found : ndarray of shape (s, k), bool
        Which true neighbours the scan keeps if it meets them.
    recall : float
        The share wanted.
    """
    n_cells = len(index.sizes)
    cell_of = np.empty(len(rows), dtype=np.int64)
    cell_of[index.order.numpy()] = np.repeat(np.arange(n_cells), index.sizes)
    queries = index.narrow(rows.take(truth.sample).to(index.centroids.device))
    rank = nearest_cells(queries, index.centroids, n_cells).argsort(1).cpu().numpy()
    ranks = np.take_along_axis(rank, cell_of[truth.neighbors[:, : truth.k]], 1)
    seen = np.cumsum(np.bincount(ranks[found], minlength=n_cells)) / ranks.size
    return min(int(np.searchsorted(seen, recall) + 1), n_cells)
