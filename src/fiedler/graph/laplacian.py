"""Laplacians of an affinity, as symmetric operators whose smallest eigenpairs are wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from fiedler.exceptions import InputError
from fiedler.graph.kernel import AffinityMatrix

LaplacianKind = Literal["sym", "rw", "unnormalized"]


@dataclass(frozen=True)
class Laplacian:
    """A Laplacian as a symmetric positive semi-definite operator.

    ``"sym"`` is ``I - D^-1/2 W D^-1/2``; ``"rw"``, ``I - D^-1 W``, has the same eigenvalues and is
    solved through it (its eigenvectors are ``D^-1/2 u``, see :meth:`eigenvectors`);
    ``"unnormalized"`` is ``D - W``. Von Luxburg, "A tutorial on spectral clustering" (2007),
    sections 3.1 and 3.2.

    Attributes
    ----------
    kind : {"sym", "rw", "unnormalized"}
    degrees : ndarray of shape (n,), float64
    components : ndarray of shape (n,), int
        Connected component of each row, the largest being 0.
    matrix : csr_matrix, ndarray or None
        The symmetric operator as a matrix, where it can be formed.
    matmat : callable
        ``matmat(V) -> L V`` for V of shape (n, b).
    upper_bound : float
        No eigenvalue is larger.
    """

    kind: LaplacianKind
    degrees: np.ndarray
    components: np.ndarray
    matrix: sp.csr_matrix | np.ndarray | None
    matmat: Callable[[np.ndarray], np.ndarray]
    upper_bound: float

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.degrees)

    @property
    def n_components(self) -> int:
        """Number of connected components: the multiplicity of the eigenvalue zero."""
        return int(self.components.max()) + 1

    def null_space(self, count: int) -> np.ndarray:
        """Return an orthonormal basis of the null space, at most ``count`` columns.

        ``D^1/2`` (normalised) or 1 (unnormalised) on each component, the largest first: von
        Luxburg (2007), propositions 2 and 4.
        """
        count = min(count, self.n_components)
        basis = np.zeros((self.n, count))
        weight = np.ones(self.n) if self.kind == "unnormalized" else np.sqrt(self.degrees)
        weight = np.where(weight > 0, weight, 1.0)  # an isolated row is a component of its own
        rows = np.flatnonzero(self.components < count)
        basis[rows, self.components[rows]] = weight[rows]
        unit: np.ndarray = basis / np.linalg.norm(basis, axis=0)
        return unit

    def eigenvectors(self, symmetric: np.ndarray) -> np.ndarray:
        """Turn eigenvectors of the symmetric operator into those of this Laplacian, unit norm."""
        if self.kind != "rw":
            return symmetric
        vectors: np.ndarray = symmetric * inverse_root(self.degrees)[:, None]
        vectors /= np.linalg.norm(vectors, axis=0)
        return vectors


def inverse_root(degrees: np.ndarray) -> np.ndarray:
    """Return ``d^-1/2``, one where the degree is zero (isolated rows)."""
    return np.where(degrees > 0, 1.0 / np.sqrt(np.where(degrees > 0, degrees, 1.0)), 1.0)


def build_laplacian(
    affinity: sp.csr_matrix | np.ndarray | AffinityMatrix, kind: LaplacianKind = "sym"
) -> Laplacian:
    """Build the Laplacian of a symmetric, non-negative affinity.

    Parameters
    ----------
    affinity : csr_matrix, ndarray or AffinityMatrix of shape (n, n)
        Symmetric and not negative. Self-loops count in the degrees.
    kind : {"sym", "rw", "unnormalized"}
        Which Laplacian.

    Raises
    ------
    InputError
        If ``kind`` is unknown.
    """
    if kind not in ("sym", "rw", "unnormalized"):
        raise InputError(f"laplacian must be 'sym', 'rw' or 'unnormalized', got {kind!r}.")
    degrees = affinity_degrees(affinity)
    components = ordered_components(affinity)
    if isinstance(affinity, (np.ndarray, sp.csr_matrix)):
        matrix = _laplacian_matrix(affinity, degrees, kind)
        bound = 2.0 if kind != "unnormalized" else 2.0 * float(degrees.max())
        return Laplacian(kind, degrees, components, matrix, matrix.__matmul__, bound)
    matmat, bound = _laplacian_product(affinity, degrees, kind)
    return Laplacian(kind, degrees, components, None, matmat, bound)


def affinity_degrees(affinity: sp.csr_matrix | np.ndarray | AffinityMatrix) -> np.ndarray:
    """Return the row sums, shape (n,), float64."""
    if isinstance(affinity, (np.ndarray, sp.csr_matrix)):
        return np.asarray(affinity.sum(axis=1), dtype=np.float64).ravel()
    return affinity.degrees()


def ordered_components(affinity: sp.csr_matrix | np.ndarray | AffinityMatrix) -> np.ndarray:
    """Return the connected component of each row, numbered by falling size.

    A kernel operator is positive everywhere, hence one component.
    """
    if not isinstance(affinity, (np.ndarray, sp.csr_matrix)):
        return np.zeros(affinity.shape[0], dtype=np.int64)
    edges = affinity > 0  # stored zeros are no edges
    _, labels = connected_components(sp.csr_matrix(edges), directed=False)
    order = np.argsort(-np.bincount(labels), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    components: np.ndarray = rank[labels]
    return components


def _laplacian_matrix(
    affinity: sp.csr_matrix | np.ndarray, degrees: np.ndarray, kind: LaplacianKind
) -> sp.csr_matrix | np.ndarray:
    if kind == "unnormalized":
        diagonal, scaled = degrees, affinity
    else:
        root = inverse_root(degrees)
        diagonal = (degrees > 0).astype(np.float64)
        if isinstance(affinity, np.ndarray):
            scaled = root[:, None] * affinity * root[None, :]
        else:
            scaled = sp.diags(root) @ affinity @ sp.diags(root)
    if isinstance(affinity, np.ndarray):
        return np.diag(diagonal) - scaled
    return sp.csr_matrix(sp.diags(diagonal) - scaled)


def _laplacian_product(
    affinity: AffinityMatrix, degrees: np.ndarray, kind: LaplacianKind
) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    if kind == "unnormalized":
        return (
            lambda block: degrees[:, None] * block - affinity.matmat(block),
            2.0 * float(degrees.max()),
        )
    root = inverse_root(degrees)[:, None]
    return lambda block: block - root * affinity.matmat(root * block), 2.0
