"""Affinities: what makes two rows similar. Small frozen objects, each with a name.

Every affinity is fitted to rows once (:meth:`fit`), which gives its matrix and a way to relate new
rows to the fitted ones (:class:`FittedAffinity`), so that nothing is refitted at ``predict``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import scipy.sparse as sp

from fiedler.exceptions import InputError
from fiedler.graph.blocks import Metric, RowBlocks
from fiedler.graph.epsilon import bottleneck_edge, radius_graph
from fiedler.graph.kernel import AffinityMatrix, KernelOperator, as_affinity_matrix, median_sigma
from fiedler.graph.neighbors import NeighborGraph, NeighborIndex, SearchMethod
from fiedler.progress import ProgressCallback, silent

Weights = Literal["binary", "gaussian", "self-tuning"]
# Up to this many rows a full affinity is formed: 4,000 squared in float64 is 128 MB.
_FORMED_ROWS = 4000


@dataclass(frozen=True)
class SearchOptions:
    """How neighbours are searched: see :class:`fiedler.graph.NeighborIndex`."""

    method: SearchMethod = "auto"
    recall: float = 0.98
    seed: int = 0
    device: str = "cpu"
    progress: ProgressCallback = silent

    def index(self, rows: Any, n_neighbors: int, metric: Metric) -> NeighborIndex:
        """Prepare rows for search with these options."""
        return NeighborIndex(
            rows,
            n_neighbors,
            metric=metric,
            method=self.method,
            recall=self.recall,
            random_state=self.seed,
            device=self.device,
        )


@dataclass(frozen=True)
class FittedAffinity:
    """An affinity of n rows and its extension to new ones.

    Attributes
    ----------
    matrix : scipy.sparse.csr_matrix, ndarray or KernelOperator of shape (n, n)
        Symmetric, not negative.
    cross : callable
        ``cross(new_rows) -> csr_matrix or ndarray of shape (m, n)``: the affinity of new rows to
        the fitted ones.
    nearest : callable
        ``nearest(new_rows) -> (indices, distances)`` of the single nearest fitted row, each of
        shape (m,).
    state : dict of str to ndarray
        What the data decided (scales, radius), to restore the affinity without refitting.
    neighbors : NeighborGraph or None
        The neighbours it was made from.
    """

    matrix: sp.csr_matrix | np.ndarray | AffinityMatrix
    cross: Callable[[Any], sp.csr_matrix | np.ndarray]
    nearest: Callable[[Any], tuple[np.ndarray, np.ndarray]] | None
    state: dict[str, np.ndarray]
    neighbors: NeighborGraph | None = None


class Affinity(Protocol):
    """What the dispatcher accepts beside names."""

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Fit to rows of shape (n, ...)."""

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Rebuild a fitted affinity from its rows and ``state``; its ``matrix`` is left empty."""


@dataclass(frozen=True)
class KNN:
    """k-nearest-neighbour affinity, ``W = (A + A^T) / 2``.

    Parameters
    ----------
    n_neighbors : int or None
        Neighbours of each row, itself not counted; None takes 10, and fewer for fewer than 11 rows.
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
        _check_choice("weights", self.weights, ("binary", "gaussian", "self-tuning"))
        k = min(10, int(rows.shape[0]) - 1) if self.n_neighbors is None else self.n_neighbors
        index = options.index(rows, k, self.metric)
        graph = index.graph(options.progress)
        scales = self._scales(graph)
        weights = _weigh(graph.distances, scales, scales[graph.indices])
        matrix = symmetrized(_to_csr(graph.indices, weights, len(graph.indices)))
        state = {"scales": scales, "k": np.int64(k).reshape(1)}
        return self._fitted(matrix, index, state, graph)

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Rebuild the search index; the scales come from ``state``."""
        index = options.index(rows, int(state["k"][0]), self.metric)
        return self._fitted(sp.csr_matrix((0, 0)), index, state, None)

    def _scales(self, graph: NeighborGraph) -> np.ndarray:
        """Return one positive scale per row (infinity where all neighbours weigh 1)."""
        n = len(graph.distances)
        if self.weights == "binary":
            return np.full(n, np.inf)
        kth = graph.distances[:, min(self.scale_neighbor, graph.n_neighbors) - 1].astype(float)
        sigma = median_sigma(kth)
        if self.weights == "gaussian":
            return np.full(n, np.sqrt(2.0) * sigma)
        return np.where(kth > 0, kth, sigma)

    def _fitted(
        self,
        matrix: sp.csr_matrix,
        index: NeighborIndex,
        state: dict[str, np.ndarray],
        graph: NeighborGraph | None,
    ) -> FittedAffinity:
        scales, k = state["scales"], int(state["k"][0])

        def cross(new: Any) -> sp.csr_matrix:
            indices, distances = index.query(new, k)
            own = distances[:, min(self.scale_neighbor, k) - 1].astype(float)
            own = np.where(own > 0, own, scales[indices[:, 0]])
            own = own if self.weights == "self-tuning" else np.full(len(own), scales[0])
            return _to_csr(indices, _weigh(distances, own, scales[indices]), len(scales))

        return FittedAffinity(matrix, cross, _nearest_with(index), state, graph)


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
        if not self.scale > 0:
            raise InputError(f"Epsilon needs a positive scale, got {self.scale!r}.")
        index = options.index(rows, min(10, int(rows.shape[0]) - 1), "euclidean")
        graph = index.graph(options.progress)
        radius = self.scale * bottleneck_edge(index.blocks, graph)
        # The edge itself must be inside: its length was computed in another order of operations.
        radius *= 1.0 + 1e-6
        matrix = radius_graph(index.blocks, index.blocks, radius, drop_self=True)
        return self._fitted(matrix, index, {"radius": np.array([radius])}, graph)

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Rebuild the search index; the radius comes from ``state``."""
        index = options.index(rows, min(10, int(rows.shape[0]) - 1), "euclidean")
        return self._fitted(sp.csr_matrix((0, 0)), index, state, None)

    def _fitted(
        self,
        matrix: sp.csr_matrix,
        index: NeighborIndex,
        state: dict[str, np.ndarray],
        graph: NeighborGraph | None,
    ) -> FittedAffinity:
        nearest = _nearest_with(index)

        def cross(new: Any) -> sp.csr_matrix:
            queries = RowBlocks(new, shift=index.blocks.shift)
            found = radius_graph(index.blocks, queries, float(state["radius"][0])).tolil()
            alone = np.flatnonzero(found.getnnz(axis=1) == 0)
            if len(alone):  # outside every ball: the nearest row stands in
                found[alone, nearest(new)[0][alone]] = 1.0
            return found.tocsr()

        return FittedAffinity(matrix, cross, nearest, state, graph)


@dataclass(frozen=True)
class Gaussian:
    """Full Gaussian affinity of all pairs, formed only for few rows.

    Parameters
    ----------
    sigma : float or {"median", "self-tuning"}
        Width in the units of the rows; ``"median"``: the median distance to the
        ``scale_neighbor``-th neighbour; ``"self-tuning"``: ``exp(-d^2 / (s_i s_j))`` with each
        row's own distance (Zelnik-Manor & Perona 2004).
    scale_neighbor : int
        Neighbour whose distance is the scale.
    """

    sigma: float | Literal["median", "self-tuning"] = "median"
    scale_neighbor: int = 7

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Choose the scales from the data and set up the kernel."""
        n = int(rows.shape[0])
        k = min(self.scale_neighbor, n - 1)
        index = options.index(rows, k, "euclidean")
        graph = index.graph(options.progress)
        scales = self._scales(graph.distances[:, k - 1].astype(float))
        kernel = self._kernel(index, scales, options.device)
        matrix = kernel.block(np.arange(n), np.arange(n)) if n <= _FORMED_ROWS else kernel
        if isinstance(matrix, np.ndarray):
            matrix = (matrix.astype(np.float64) + matrix.T) / 2
        return self._fitted(matrix, kernel, index, scales, k, graph)

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Rebuild the kernel; the scales come from ``state``."""
        k = min(self.scale_neighbor, int(rows.shape[0]) - 1)
        index = options.index(rows, k, "euclidean")
        kernel = self._kernel(index, state["scales"], options.device)
        return self._fitted(sp.csr_matrix((0, 0)), kernel, index, state["scales"], k, None)

    def _scales(self, kth: np.ndarray) -> np.ndarray:
        """Return s with ``W_ij = exp(-d^2 / (s_i s_j))`` for every choice of sigma."""
        if isinstance(self.sigma, str):
            _check_choice("sigma", self.sigma, ("median", "self-tuning"))
            sigma = median_sigma(kth)
            if self.sigma == "self-tuning":
                return np.where(kth > 0, kth, sigma)
        else:
            sigma = float(self.sigma)
            if not sigma > 0:
                raise InputError(f"Gaussian needs a positive sigma, got {self.sigma!r}.")
        return np.full(len(kth), np.sqrt(2.0) * sigma)

    def _kernel(self, index: NeighborIndex, scales: np.ndarray, device: str) -> KernelOperator:
        dense = index.blocks.take(slice(None)).numpy()
        return KernelOperator(dense, scales=scales, device=device)

    def _fitted(
        self,
        matrix: Any,
        kernel: KernelOperator,
        index: NeighborIndex,
        scales: np.ndarray,
        k: int,
        graph: NeighborGraph | None,
    ) -> FittedAffinity:
        def cross(new: Any) -> np.ndarray:
            queries = RowBlocks(new, shift=index.blocks.shift)
            own = np.full(len(queries), scales[0])
            if self.sigma == "self-tuning":
                indices, distances = index.query(new, k)
                own = np.where(distances[:, -1] > 0, distances[:, -1], scales[indices[:, 0]])
            return kernel.cross(queries.take(slice(None)).numpy(), scales=own)

        return FittedAffinity(matrix, cross, _nearest_with(index), {"scales": scales}, graph)


@dataclass(frozen=True)
class Precomputed:
    """The rows *are* the affinity: an (n, n) matrix, sparse or dense; new rows are (m, n)."""

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Check and take the matrix."""
        return FittedAffinity(check_affinity(rows), _check_cross, None, {})

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Nothing to rebuild."""
        return FittedAffinity(sp.csr_matrix((0, 0)), _check_cross, None, {})


@dataclass(frozen=True)
class FromCallable:
    """Affinity computed by a function ``f(A, B) -> (len(A), len(B))``, dense or sparse."""

    function: Callable[[Any, Any], Any]

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Call ``f(rows, rows)`` and check the result."""
        return FittedAffinity(
            check_affinity(self.function(rows, rows)), self._cross(rows), None, {}
        )

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Relate new rows by the same function."""
        return FittedAffinity(sp.csr_matrix((0, 0)), self._cross(rows), None, {})

    def _cross(self, rows: Any) -> Callable[[Any], sp.csr_matrix | np.ndarray]:
        return lambda new: _check_cross(self.function(new, rows))


_NAMED: dict[str, Affinity] = {
    "knn": KNN(),
    "self-tuning": KNN(weights="self-tuning"),
    "epsilon": Epsilon(),
    "gaussian": Gaussian(),
    "precomputed": Precomputed(),
}


def resolve_affinity(affinity: str | Affinity | Callable[[Any, Any], Any]) -> Affinity:
    """Return the affinity object for a name, an object or a function.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if isinstance(affinity, str):
        _check_choice("affinity", affinity, tuple(_NAMED))
        return _NAMED[affinity]
    if hasattr(affinity, "fit") and hasattr(affinity, "restore"):
        return affinity
    if callable(affinity):
        return FromCallable(affinity)
    raise InputError(
        f"affinity must be one of {sorted(_NAMED)}, an object such as KNN(15), or a function "
        f"f(A, B); got {affinity!r}."
    )


def check_affinity(matrix: Any) -> sp.csr_matrix | np.ndarray:
    """Return a given affinity as float64 after checking that it is one.

    Raises
    ------
    InputError
        If it is not square, not finite, negative somewhere, or not symmetric.
    """
    shape = getattr(matrix, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != shape[1]:
        raise InputError(
            f"a precomputed affinity must be a square matrix of shape (n, n), got shape {shape}. "
            "To cluster feature rows choose another affinity, such as 'knn'."
        )
    checked = _check_cross(matrix)
    difference = abs(checked - checked.T)
    worst = float(difference.max())
    largest = float(abs(checked).max())
    if worst > 1e-8 * max(largest, 1e-300):
        raise InputError(
            f"a precomputed affinity must be symmetric; entries differ from their mirror by up to "
            f"{worst:.3g}. Pass (W + W.T) / 2 if that is what you mean."
        )
    return checked


def _check_cross(matrix: Any) -> sp.csr_matrix | np.ndarray:
    """Return affinities as float64, refusing values that are not finite or negative."""
    if sp.issparse(matrix):
        matrix = sp.csr_matrix(matrix, dtype=np.float64)
        values = matrix.data
    else:
        matrix = values = np.asarray(matrix, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("an affinity holds NaN or infinite entries; replace them first.")
    if values.size and values.min() < 0:
        raise InputError(
            f"an affinity must not be negative, its smallest entry is {values.min():.6g}. "
            "Distances or correlations must be turned into similarities first."
        )
    return matrix


def symmetrized(directed: sp.csr_matrix) -> sp.csr_matrix:
    """Return ``(A + A^T) / 2``."""
    total = (directed + directed.T).tocsr()
    total.data *= 0.5
    return total


def _to_csr(indices: np.ndarray, weights: np.ndarray, n_columns: int) -> sp.csr_matrix:
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
    return np.maximum(np.exp(-squared / (own[:, None] * others)), 1e-12)


def _nearest_with(index: NeighborIndex) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
    def nearest(new: Any) -> tuple[np.ndarray, np.ndarray]:
        indices, distances = index.query(new, 1)
        return indices[:, 0], distances[:, 0]

    return nearest


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} must be one of {list(allowed)}, got {value!r}.")


__all__ = [
    "KNN",
    "Affinity",
    "Epsilon",
    "FittedAffinity",
    "FromCallable",
    "Gaussian",
    "Precomputed",
    "SearchOptions",
    "as_affinity_matrix",
    "check_affinity",
    "resolve_affinity",
    "symmetrized",
]
