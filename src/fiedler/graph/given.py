"""Affinities that the caller brings: a matrix, or a function that computes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from fiedler.exceptions import InputError
from fiedler.graph.fitted import CrossAffinity, FittedAffinity, SearchOptions
from fiedler.graph.knn import symmetrized, to_csr
from fiedler.graph.neighbors import NeighborGraph


@dataclass(frozen=True)
class Precomputed:
    """The rows *are* the affinity: an (n, n) matrix, sparse or dense; new rows are (m, n)."""

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Check and take the matrix."""
        return FittedAffinity(check_affinity(rows), _cross_of(rows.shape[0]), {})

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Nothing to rebuild."""
        return FittedAffinity(sp.csr_matrix((0, 0)), _cross_of(rows.shape[0]), {})


@dataclass(frozen=True)
class FromCallable:
    """Affinity computed by a function ``f(A, B) -> (len(A), len(B))``, dense or sparse."""

    function: Callable[[Any, Any], Any]

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Call ``f(rows, rows)`` and check the result."""
        matrix = check_affinity(self._call(rows, rows))
        return FittedAffinity(matrix, self._cross(rows), {})

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Relate new rows by the same function."""
        return FittedAffinity(sp.csr_matrix((0, 0)), self._cross(rows), {})

    def _cross(self, rows: Any) -> Callable[[Any], CrossAffinity]:
        return lambda new: _given_cross(self._call(new, rows))

    def _call(self, a: Any, b: Any) -> Any:
        result = self.function(a, b)
        shape, wanted = getattr(result, "shape", None), (a.shape[0], b.shape[0])
        if shape != wanted:
            raise InputError(
                f"an affinity function f(A, B) must return an array or sparse matrix of shape "
                f"{wanted}, one row for each of A and one column for each of B; got {shape}."
            )
        return result


def given_graph(graph: Any, n: int) -> sp.csr_matrix:
    """Return a graph of n rows that is known already as a sparse affinity.

    Parameters
    ----------
    graph : csr_matrix or ndarray of shape (n, n), or NeighborGraph
        Neighbours count 1 each, symmetrised.
    n : int

    Raises
    ------
    InputError
        If it is no affinity, or of another number of rows.
    """
    if isinstance(graph, NeighborGraph):
        indices = graph.indices
        graph = symmetrized(to_csr(indices, np.ones(indices.shape), len(indices)))
    matrix = sp.csr_matrix(check_affinity(graph if sp.issparse(graph) else np.asarray(graph)))
    if matrix.shape[0] != n:
        raise InputError(f"the graph is of {matrix.shape[0]} rows, but X has {n}.")
    return matrix


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


def _cross_of(n: int) -> Callable[[Any], CrossAffinity]:
    """Return what takes the affinities of new rows to n fitted ones, after checking their shape."""

    def cross(matrix: Any) -> CrossAffinity:
        shape: tuple[int, ...] = getattr(matrix, "shape", ())
        if len(shape) != 2 or shape[1] != n:
            raise InputError(
                f"the affinities of new rows must be a matrix of shape (m, {n}), one column for "
                f"each fitted row; got shape {shape}."
            )
        return _given_cross(matrix)

    return cross


def _given_cross(matrix: Any) -> CrossAffinity:
    """Take affinities as they are; equal rows cannot be told from them."""
    weights = _check_cross(matrix)
    return CrossAffinity(weights, np.full(weights.shape[0], -1, dtype=np.int64))


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
