"""The nearest-neighbour affinity: binary, Gaussian or self-tuning weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from fiedler.data.checks import check_choice, check_whole
from fiedler.graph.blocks import Metric
from fiedler.graph.directions import DirectedIndex, directed_index
from fiedler.graph.fitted import (
    CrossAffinity,
    FittedAffinity,
    SearchOptions,
    find_twins,
)
from fiedler.graph.kernel import median_sigma
from fiedler.graph.neighbors import NeighborGraph

Weights = Literal["binary", "gaussian", "self-tuning"]
_FEW_ROWS, _MANY_ROWS = 1000, 3000
_FEW_FEATURES = 10


@dataclass(frozen=True)
class KNN:
    """k-nearest-neighbour affinity, ``W = (A + A^T) / 2``.

    Where rows are compared by direction (``metric="cosine"``, or all of the same length, as
    normalised texts are), rows of zeros have none: they are neighbours of each other only, a
    component of their own, and a new one without fitted ones has no affinity to any row.

    Parameters
    ----------
    n_neighbors : int or None
        Neighbours of each row, itself not counted. None takes 10 below 1,000 rows and below 10
        features, so that small graphs and those along curves hold together; else 5 below 3,000
        rows, where clusters are small and edges leave them soon; 7 from there
        (``benchmarks/EXPERIMENTS.md``). Raise it where the graph falls into pieces.
    weights : {"binary", "gaussian", "self-tuning"}
        ``A_ij`` of a neighbour: 1; ``exp(-d^2 / (2 sigma^2))`` with ``sigma`` the median distance
        to the ``scale_neighbor``-th neighbour; or ``exp(-d^2 / (s_i s_j))`` with each row's own
        distance (Zelnik-Manor & Perona 2004).
    metric : {"euclidean", "cosine"}
        Distance.
    scale_neighbor : int
        Neighbour whose distance is the scale (7 in Zelnik-Manor & Perona).
    """

    n_neighbors: int | None = None
    weights: Weights = "binary"
    metric: Metric = "euclidean"
    scale_neighbor: int = 7

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Search the neighbours and weigh them."""
        check_choice("weights", self.weights, ("binary", "gaussian", "self-tuning"))
        check_whole("scale_neighbor", self.scale_neighbor)
        k = self.reach(int(rows.shape[0]), math.prod(rows.shape[1:]))
        index = directed_index(rows, k, self.metric, options)
        graph = index.graph(options.progress)
        k = graph.n_neighbors
        scales = self._scales(graph, index.directed)
        weights = _weigh(graph.distances, scales, scales[graph.indices])
        weights[graph.indices == np.arange(len(weights))[:, None]] = 0.0  # one row of zeros, alone
        matrix = symmetrized(to_csr(graph.indices, weights, len(graph.indices)))
        state = {"scales": scales, "k": np.int64(k).reshape(1)}
        return self._fitted(matrix, index, state, graph)

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Rebuild the search index; the scales come from ``state``."""
        index = directed_index(rows, int(state["k"][0]), self.metric, options)
        return self._fitted(sp.csr_matrix((0, 0)), index, state, None)

    def reach(self, n: int, n_features: int = _FEW_FEATURES) -> int:
        """Return the neighbours that a fit to n rows searches, and each row gets."""
        if self.n_neighbors is not None:
            check_whole("n_neighbors", self.n_neighbors)
            return self.n_neighbors
        if n < _FEW_ROWS or n_features < _FEW_FEATURES:
            return min(10, n - 1)
        return 5 if n < _MANY_ROWS else 7

    def _scales(self, graph: NeighborGraph, directed: np.ndarray) -> np.ndarray:
        """Return one positive scale per row (infinity where all neighbours weigh 1).

        The common one is that of the rows that have a direction.
        """
        n = len(graph.distances)
        if self.weights == "binary":
            return np.full(n, np.inf)
        kth = graph.distances[:, min(self.scale_neighbor, graph.n_neighbors) - 1].astype(float)
        sigma = median_sigma(kth[directed])
        if self.weights == "gaussian":
            return np.full(n, np.sqrt(2.0) * sigma)
        return np.where(kth > 0, kth, sigma)

    def _fitted(
        self,
        matrix: sp.csr_matrix,
        index: DirectedIndex,
        state: dict[str, np.ndarray],
        graph: NeighborGraph | None,
    ) -> FittedAffinity:
        scales, k = state["scales"], int(state["k"][0])

        def cross(new: Any) -> CrossAffinity:
            indices, distances = index.query(new, k)
            alone = np.isinf(distances[:, 0])
            distances[alone] = 0.0
            own = distances[:, min(self.scale_neighbor, k) - 1].astype(float)
            own = np.where(own > 0, own, scales[indices[:, 0]])
            own = own if self.weights == "self-tuning" else np.full(len(own), scales[0])
            entries = _weigh(distances, own, scales[indices])
            entries[alone] = 0.0
            twins = np.where(alone, -1, find_twins(indices, distances))
            return CrossAffinity(to_csr(indices, entries, len(scales)), twins)

        return FittedAffinity(matrix, cross, state, graph)


def symmetrized(directed: sp.csr_matrix) -> sp.csr_matrix:
    """Return ``(A + A^T) / 2``."""
    total = (directed + directed.T).tocsr()
    total.data *= 0.5
    total.eliminate_zeros()
    return total


def to_csr(indices: np.ndarray, weights: np.ndarray, n_columns: int) -> sp.csr_matrix:
    """Return weights (m, k) at columns ``indices`` as a sparse matrix."""
    m, k = indices.shape
    narrow = indices.astype(np.int32 if max(n_columns, m * k) < 2**31 else np.int64)
    pointers = np.arange(0, m * k + 1, k, dtype=narrow.dtype)
    matrix = sp.csr_matrix((weights.ravel(), narrow.ravel(), pointers), shape=(m, n_columns))
    matrix.sort_indices()
    return matrix


def _weigh(distances: np.ndarray, own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return ``exp(-d^2 / (s_i s_j))``; infinite scales give ones."""
    squared = distances.astype(np.float64) ** 2
    # exp underflow would cut an edge that the search found; the smallest weight keeps it.
    weights: np.ndarray = np.maximum(np.exp(-squared / (own[:, None] * others)), 1e-12)
    return weights
