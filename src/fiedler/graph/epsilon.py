"""The epsilon-neighbourhood affinity, and the minimal spanning tree that sets its scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from fiedler.data.checks import is_positive
from fiedler.exceptions import InputError, NotEnoughMemoryError
from fiedler.graph.blocks import RowBlocks, block_size
from fiedler.graph.exact_search import exact_search
from fiedler.graph.fitted import CrossAffinity, FittedAffinity, SearchOptions, find_twins
from fiedler.graph.neighbors import NeighborGraph, NeighborIndex

_PRIM_ROWS = 3000
_MAX_EDGES = 200_000_000


@dataclass(frozen=True)
class Epsilon:
    """All pairs closer than ``scale`` times the longest edge of the minimal spanning tree.

    Parameters
    ----------
    scale : float
        Radius in units of that edge: at 1 the graph is just connected.
    """

    scale: float = 1.0

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Find the spanning tree's longest edge, then all pairs within the radius."""
        if not is_positive(self.scale):
            raise InputError(f"Epsilon needs a positive scale, got {self.scale!r}.")
        index = options.index(rows, self.reach(int(rows.shape[0])), "euclidean")
        graph = index.graph(options.progress)
        radius = self.scale * bottleneck_edge(index.blocks, graph)
        # The edge itself must be inside: its length was computed in another order of operations.
        radius *= 1.0 + 1e-6
        matrix = radius_graph(index.blocks, index.blocks, radius, drop_self=True)
        return self._fitted(matrix, index, {"radius": np.array([radius])}, graph)

    def reach(self, n: int) -> int:
        """Return the neighbours that a fit to n rows searches."""
        return min(10, n - 1)

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Rebuild the search index; the radius comes from ``state``."""
        index = options.index(rows, self.reach(int(rows.shape[0])), "euclidean")
        return self._fitted(sp.csr_matrix((0, 0)), index, state, None)

    def _fitted(
        self,
        matrix: sp.csr_matrix,
        index: NeighborIndex,
        state: dict[str, np.ndarray],
        graph: NeighborGraph | None,
    ) -> FittedAffinity:
        def cross(new: Any) -> CrossAffinity:
            queries = RowBlocks(new, shift=index.blocks.shift)
            found = radius_graph(index.blocks, queries, float(state["radius"][0])).tolil()
            nearest, distances = index.query(new, 1)
            alone = np.flatnonzero(found.getnnz(axis=1) == 0)
            if len(alone):  # outside every ball: the nearest row stands in
                found[alone, nearest[alone, 0]] = 1.0
            return CrossAffinity(found.tocsr(), find_twins(nearest, distances))

        return FittedAffinity(matrix, cross, state, graph)


def bottleneck_edge(rows: RowBlocks, graph: NeighborGraph) -> float:
    """Return the length of the longest edge of the minimal spanning tree of the rows.

    Exact up to 3,000 rows (Prim's algorithm over all pairs). Above, the tree is searched among the
    edges of the neighbour graph, whose components are joined by their exact nearest outside rows:
    an upper bound, equal to the exact value whenever the tree's edges are neighbour edges.
    """
    if len(rows) <= _PRIM_ROWS:
        return _prim(rows.take(slice(None)).double())
    n, k = graph.indices.shape
    edges = sp.csr_matrix(
        # zero distances between duplicates would be read as "no edge"
        (
            np.maximum(graph.distances.ravel(), 1e-30),
            graph.indices.ravel(),
            np.arange(0, n * k + 1, k),
        ),
        shape=(n, n),
    )
    while True:
        n_components, labels = connected_components(edges, directed=False)
        if n_components == 1:
            break
        edges = edges + _joining_edges(rows, labels)
    return float(minimum_spanning_tree(edges).data.max())


def _prim(points: torch.Tensor) -> float:
    """Return the longest edge of the minimal spanning tree by Prim's algorithm, O(n^2)."""
    distance = torch.full((len(points),), torch.inf, dtype=points.dtype)
    outside = torch.ones(len(points), dtype=torch.bool)
    current, longest = 0, 0.0
    for _ in range(len(points) - 1):
        outside[current] = False
        reached = (points - points[current]).square().sum(1)
        distance = torch.minimum(distance, reached)
        current = int(torch.where(outside, distance, torch.inf).argmin())
        longest = max(longest, float(distance[current]))
    return float(np.sqrt(longest))


def _joining_edges(rows: RowBlocks, labels: np.ndarray) -> sp.csr_matrix:
    """Return, for every component but the largest, its exact shortest edge to the outside."""
    n = len(rows)
    largest = np.bincount(labels).argmax()
    heads, tails, lengths = [], [], []
    for component in np.unique(labels):
        if component == largest:
            continue
        inside, outside = np.flatnonzero(labels == component), np.flatnonzero(labels != component)
        found, distances = exact_search(
            rows.select(outside), rows.select(inside), 1, own=None, device=torch.device("cpu")
        )
        best = int(distances[:, 0].argmin())
        heads.append(inside[best])
        tails.append(outside[found[best, 0]])
        lengths.append(max(float(distances[best, 0]), 1e-30))
    return sp.csr_matrix((lengths, (heads, tails)), shape=(n, n))


def radius_graph(
    rows: RowBlocks, queries: RowBlocks, radius: float, *, drop_self: bool = False
) -> sp.csr_matrix:
    """Return the binary matrix (m, n) of the pairs at most ``radius`` apart.

    Raises
    ------
    NotEnoughMemoryError
        If there are more than 200 million such pairs.
    """
    n, m = len(rows), len(queries)
    searched = rows.take(slice(None)).double()
    norms = (searched * searched).sum(1)
    found_columns: list[np.ndarray] = []
    counts = np.zeros(m, dtype=np.int64)
    for start, block in queries.blocks(block_size(n, itemsize=8)):
        query = block.double()
        squared = norms[None, :] + (query * query).sum(1)[:, None] - 2.0 * query @ searched.T
        near = squared <= radius * radius
        if drop_self:
            own = torch.arange(len(block))
            near[own, start + own] = False
        counts[start : start + len(block)] = near.sum(1).numpy()
        found_columns.append(near.nonzero()[:, 1].to(torch.int32).numpy())
        if counts.sum() > _MAX_EDGES:
            raise NotEnoughMemoryError(
                f"the epsilon graph has more than {_MAX_EDGES:,} edges after {start:,} of {m:,} "
                f"rows at radius {radius:.4g}; lower Epsilon(scale=...) or use KNN."
            )
    columns = np.concatenate(found_columns)
    pointers = np.concatenate([[0], counts.cumsum()])
    return sp.csr_matrix((np.ones(len(columns)), columns, pointers), shape=(m, n))
