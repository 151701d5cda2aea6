"""The conventions of eigenvectors, written once: their sign and their scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sign_of_columns(vectors: NDArray[Any]) -> NDArray[Any]:
    """Sign of the entry of largest absolute value in each column (the first one of several).

    Parameters
    ----------
    vectors : ndarray of shape (n, k)

    Returns
    -------
    ndarray of shape (k,)
        1 or -1, in the type of ``vectors``; 1 for a column of zeros.
    """
    if vectors.shape[0] == 0:
        return np.ones(vectors.shape[1], dtype=vectors.dtype)
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return np.where(largest < 0, -1, 1).astype(vectors.dtype)


def fix_signs(vectors: NDArray[Any]) -> NDArray[Any]:
    """Turn each eigenvector so that its entry of largest absolute value is positive.

    An eigenvector is defined up to its sign, and solvers choose it by accident; binarisation and
    saved models need it to be the same each time. Of several such entries the first row decides.

    Parameters
    ----------
    vectors : ndarray of shape (n, k)
        Eigenvectors in columns.

    Returns
    -------
    ndarray of shape (n, k)
        A new array of the same type.
    """
    fixed: NDArray[Any] = vectors * sign_of_columns(vectors)
    return fixed


def random_walk_vectors(
    vectors: NDArray[Any], degrees: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Eigenvectors of ``L_rw = I - D^-1 W`` from those of ``L_sym``: ``D^-1/2 u`` at unit length.

    Parameters
    ----------
    vectors : ndarray of shape (n, k)
        Eigenvectors of ``L_sym = I - D^-1/2 W D^-1/2``.
    degrees : ndarray of shape (n,)
        Positive degrees.

    Returns
    -------
    vectors : ndarray of shape (n, k)
        Columns of unit Euclidean length (orthogonal in the inner product of ``D``).
    lengths : ndarray of shape (k,)
        Length of each column before it was divided by it.
    """
    scaled = vectors / np.sqrt(degrees)[:, None]
    lengths = np.linalg.norm(scaled, axis=0)
    # A zero column (an eigenvector on rows without degree) stays zero.
    return scaled / np.where(lengths > 0, lengths, 1.0), lengths
