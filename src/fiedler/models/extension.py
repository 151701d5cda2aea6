"""Eigenvector coordinates of new rows from those of their neighbours (Nystrom extension)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

# Eigenvalues of the affinity below this carry noise that dividing by them would blow up.
_SMALLEST = 0.05


def extend_eigenvectors(
    cross: sp.csr_matrix | np.ndarray,
    vectors: np.ndarray,
    eigenvalues: np.ndarray,
    degrees: np.ndarray,
    laplacian: str,
) -> np.ndarray:
    """Give new rows the coordinates at which the eigenvector equation holds for them.

    ``L_rw f = lambda f`` read at a new row says ``f = sum_j w_j f_j / (d (1 - lambda))``; likewise
    for the other Laplacians. Bengio et al. (2004), "Out-of-sample extensions for LLE, Isomap, MDS,
    eigenmaps, and spectral clustering", equation 4.

    Parameters
    ----------
    cross : csr_matrix or ndarray of shape (m, n)
        Affinity of the new rows to the fitted ones.
    vectors : ndarray of shape (n, k)
        Eigenvectors.
    eigenvalues : ndarray of shape (k,)
        Theirs, of the Laplacian.
    degrees : ndarray of shape (n,)
        Of the fitted rows.
    laplacian : {"sym", "rw", "unnormalized"}

    Returns
    -------
    ndarray of shape (m, k), float64
        Zero for a row without affinity to any fitted row.
    """
    own = np.asarray(cross.sum(axis=1), dtype=np.float64).reshape(-1, 1)
    safe = np.where(own > 0, own, 1.0)
    if laplacian == "unnormalized":
        scale = np.maximum(safe - eigenvalues, _SMALLEST * safe)
        return np.asarray((cross @ vectors) / scale)
    share = np.maximum(1.0 - eigenvalues, _SMALLEST)
    if laplacian == "rw":
        return np.asarray((cross @ vectors) / (safe * share))
    roots = np.sqrt(np.where(degrees > 0, degrees, 1.0))[:, None]
    return np.asarray((cross @ (vectors / roots)) / (np.sqrt(safe) * share))
