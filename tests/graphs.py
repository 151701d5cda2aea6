"""Graphs with known spectra, and the dense oracle that the solvers are held against."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp

from fiedler.graph import SearchOptions
from fiedler.graph.kernel import KernelOperator
from fiedler.spectrum import Eigenpairs, fix_signs, smallest_eigenpairs

LAPLACIANS = ["sym", "rw", "unnormalized"]
EXACT = ["dense", "lanczos", "block"]
OPTIONS = SearchOptions()


def dense(matrix: Any) -> np.ndarray:
    if isinstance(matrix, KernelOperator):
        return matrix.block(np.arange(matrix.shape[0]), np.arange(matrix.shape[0])).astype(float)
    return np.asarray(matrix.toarray() if sp.issparse(matrix) else matrix, dtype=float)


def symmetric_form(W: np.ndarray, laplacian: str) -> np.ndarray:
    """The textbook Laplacian (for "rw": the symmetric one, which has the same eigenvalues)."""
    degrees = W.sum(axis=1)
    if laplacian == "unnormalized":
        return np.diag(degrees) - W
    root = np.where(degrees > 0, 1 / np.sqrt(np.where(degrees > 0, degrees, 1)), 0)
    return np.diag((degrees > 0).astype(float)) - root[:, None] * W * root


def symmetric_vectors(found: Eigenpairs, laplacian: str) -> np.ndarray:
    """Eigenvectors of the symmetric form, unit columns."""
    vectors = found.vectors
    if laplacian == "rw":
        vectors = vectors * np.sqrt(np.where(found.degrees > 0, found.degrees, 1))[:, None]
    return vectors / np.linalg.norm(vectors, axis=0)


def sine(found: np.ndarray, true: np.ndarray) -> float:
    """Sine of the largest angle between two subspaces with orthonormal bases."""
    return float(np.linalg.norm(found - true @ (true.T @ found), ord=2))


def check_pairs(W: Any, k: int, laplacian: Any, solver: Any, **tolerances: float) -> Eigenpairs:
    """Everything that eigenpairs promise, against the dense oracle."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = smallest_eigenpairs(W, k, laplacian=laplacian, solver=solver)
    matrix = dense(W)
    form = symmetric_form(matrix, laplacian)
    values, vectors = np.linalg.eigh(form)
    scale = max(1.0, matrix.sum(axis=1).max())
    assert found.values.shape == (k,)
    assert found.vectors.shape == (len(matrix), k)
    np.testing.assert_allclose(found.values, values[:k], atol=1e-6 * scale)
    assert (np.diff(found.values) >= -1e-12 * scale).all()
    assert found.values.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=0), 1, atol=1e-6)
    symmetric = symmetric_vectors(found, laplacian)
    # For "rw" this is orthogonality in the inner product of D.
    np.testing.assert_allclose(
        symmetric.T @ symmetric, np.eye(k), atol=tolerances.get("orthogonal", 1e-9)
    )
    residuals = np.linalg.norm(form @ symmetric - symmetric * found.values, axis=0)
    np.testing.assert_allclose(found.residuals, residuals, atol=1e-6 * scale)
    assert found.residuals.max() <= 1e-4 * scale
    np.testing.assert_array_equal(found.vectors, fix_signs(found.vectors))
    if k == len(matrix) or values[k] - values[k - 1] > 1e-3 * scale:
        assert sine(symmetric, vectors[:, :k]) <= 1e-4
    return found


def gapped_k(W: Any, laplacian: str, least: int = 2, most: int = 10) -> int:
    """The k of the widest gap: only there is the subspace defined well."""
    values = np.linalg.eigvalsh(symmetric_form(dense(W), laplacian))
    return least + int(np.argmax(np.diff(values[least - 1 : most + 1])))


def blocks(sizes: list[int], rng: np.random.Generator) -> sp.csr_matrix:
    """A graph of one random connected component for each size, its rows shuffled."""
    parts = []
    for size in sizes:
        path = np.diag(rng.uniform(0.2, 1, max(size - 1, 0)), 1)
        path += np.triu(rng.random((size, size)) * (rng.random((size, size)) < 0.15), 1)
        parts.append(path + path.T)
    order = rng.permutation(sum(sizes))
    return sp.csr_matrix(sp.block_diag(parts, format="csr")[order][:, order])


def complete(n: int) -> np.ndarray:
    return np.ones((n, n)) - np.eye(n)


def star(n: int) -> np.ndarray:
    W = np.zeros((n, n))
    W[0, 1:] = W[1:, 0] = 1
    return W


def cycle(n: int) -> np.ndarray:
    shift = np.roll(np.eye(n), 1, axis=1)
    return np.maximum(shift, shift.T)


def bipartite(a: int, b: int) -> np.ndarray:
    W = np.zeros((a + b, a + b))
    W[:a, a:] = 1
    return W + W.T


def small_graphs() -> dict[str, np.ndarray]:
    graphs = {}
    for n in range(2, 11):
        graphs |= {f"complete {n}": complete(n), f"star {n}": star(n), f"ones {n}": np.ones((n, n))}
        graphs |= {f"no edges {n}": np.zeros((n, n)), f"loops only {n}": np.eye(n)}
        graphs[f"path {n}"] = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
        if n > 2:
            graphs[f"cycle {n}"] = cycle(n)
    return graphs


REPEATED = {
    "complete": complete(40),
    "star": star(40),
    "cycle": cycle(45),
    "bipartite": bipartite(15, 25),
    "two complete": np.kron(np.eye(2), complete(20)),
    "five cycles": np.kron(np.eye(5), cycle(9)),
    "matching": np.kron(np.eye(25), complete(2)),
    "hypercube": (np.bitwise_count(np.arange(64)[:, None] ^ np.arange(64)) == 1).astype(float),
}
