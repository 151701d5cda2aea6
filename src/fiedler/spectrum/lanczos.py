"""Lanczos (ARPACK) with the null space deflated and repeated eigenvalues looked for."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from fiedler.spectrum.block import Product


def lanczos_eigenpairs(
    product: Product,
    n: int,
    k: int,
    *,
    upper_bound: float,
    deflated: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the k smallest eigenpairs of a symmetric operator to machine precision.

    A single-vector Krylov space holds one copy of each eigenvalue; further copies appear only
    through rounding. So, after convergence, the found vectors are lifted out of the way and the
    rest is searched again until it holds nothing smaller than what was found.

    Parameters
    ----------
    product : callable
        ``V -> L V`` in float64.
    n, k : int
        Order of the operator and wanted pairs, ``k <= n - deflated.shape[1]``.
    upper_bound : float
        No eigenvalue is larger.
    deflated : ndarray of shape (n, c)
        Orthonormal known eigenvectors.
    rng : numpy Generator
        Start vectors.

    Returns
    -------
    values : ndarray of shape (k,)
        Ascending.
    vectors : ndarray of shape (n, k)

    Raises
    ------
    scipy.sparse.linalg.ArpackNoConvergence
        If 1,000 restarts do not suffice.
    """
    values, vectors = _lifted_eigsh(product, n, k, upper_bound, deflated, rng)
    while k < n - deflated.shape[1]:
        known = np.hstack([deflated, vectors])
        missed, direction = _lifted_eigsh(product, n, 1, upper_bound, known, rng)
        if missed[0] >= values[-1] - 1e-10 * upper_bound:
            break
        basis, _ = np.linalg.qr(np.hstack([vectors, direction]))
        small, rotation = np.linalg.eigh(basis.T @ product(basis))
        values, vectors = small[:k], basis @ rotation[:, :k]
    return values, vectors


def _lifted_eigsh(
    product: Product,
    n: int,
    k: int,
    upper: float,
    known: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Run ARPACK with the known directions moved to the far end of the spectrum."""

    def lifted(vector: np.ndarray) -> np.ndarray:
        column = vector.reshape(n, -1)
        image: np.ndarray = product(column) + 2.0 * upper * (known @ (known.T @ column))
        return image

    operator = LinearOperator((n, n), matvec=lifted, matmat=lifted, dtype=np.float64)
    start = rng.standard_normal(n)
    start -= known @ (known.T @ start)
    values, vectors = eigsh(
        operator, k, which="SA", v0=start, maxiter=1000 * n, ncv=min(n, max(2 * k + 1, 40)), tol=0.0
    )
    order = np.argsort(values)
    return values[order], vectors[:, order]
