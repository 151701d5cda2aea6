"""From any basis of nearly the right subspace to ordered eigenvectors: Rayleigh-Ritz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from fiedler.spectrum.signs import sign_of_columns
from fiedler.spectrum.sparse_product import threaded_product

# Directions with less than this share of the largest one's scale are rounding.
_RANK_TOLERANCE = 1e-6


@dataclass(frozen=True)
class RitzRotation:
    """The linear map from a basis to approximate eigenvectors.

    Attributes
    ----------
    weights : ndarray of shape (m, k), float64
        ``outputs @ weights`` are the Ritz vectors; ``k < m`` where the basis had lower rank.
    values : ndarray of shape (k,), float64
        Their Ritz values, ascending.
    """

    weights: np.ndarray
    values: np.ndarray


def ritz_rotation(gram: np.ndarray, form: np.ndarray) -> RitzRotation:
    """Solve the small problem ``form v = lambda gram v`` on the directions that are there.

    Parameters
    ----------
    gram : ndarray of shape (m, m)
        ``Y^T B Y`` of a basis Y in the measure B.
    form : ndarray of shape (m, m)
        ``Y^T L Y``.

    Returns
    -------
    RitzRotation
        ``weights^T gram weights = I``.
    """
    scale = np.sqrt(np.maximum(np.diag(gram), 0.0))
    inverse = 1.0 / np.where(scale > 0, scale, 1.0)
    values, directions = scipy.linalg.eigh(gram * np.outer(inverse, inverse))
    kept = values > _RANK_TOLERANCE**2 * max(values[-1], 0.0)
    basis = inverse[:, None] * directions[:, kept] / np.sqrt(values[kept])
    small = basis.T @ form @ basis
    ritz, vectors = scipy.linalg.eigh((small + small.T) / 2.0)
    return RitzRotation(basis @ vectors, ritz)


def rayleigh_ritz(
    outputs: np.ndarray, graph: sp.csr_matrix, *, normalized: bool = True
) -> RitzRotation:
    """Find the eigenvectors of a graph's Laplacian within the span of given columns.

    Parameters
    ----------
    outputs : ndarray of shape (n, m), float64
        A basis, such as a network's outputs.
    graph : csr_matrix of shape (n, n)
        Symmetric affinity.
    normalized : bool
        The random-walk Laplacian, orthonormal in the measure of the degrees (their mean one), else
        the unnormalised one, divided by the mean degree.

    Returns
    -------
    RitzRotation
        The vectors have mean square one in that measure, and their entry of largest absolute value
        is positive.
    """
    n = len(outputs)
    degrees = np.asarray(graph.sum(axis=1), dtype=np.float64).ravel()
    measure = degrees / degrees.mean()
    weighted = outputs * measure[:, None]
    inner = outputs.T @ weighted / n
    product = threaded_product(graph)(outputs)
    form = inner - outputs.T @ product / (n * degrees.mean())
    gram = inner if normalized else outputs.T @ outputs / n
    return with_fixed_signs(ritz_rotation(gram, form), outputs)


def with_fixed_signs(rotation: RitzRotation, outputs: np.ndarray) -> RitzRotation:
    """Turn the Ritz vectors of the outputs so that their largest entries are positive."""
    signs = sign_of_columns(outputs @ rotation.weights)
    return RitzRotation(rotation.weights * signs, rotation.values)


def subspace_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Grassmann distance between the spans of the columns of a and b.

    The root of the sum of squared principal angles, in radians (SpectralNet, section 5, uses its
    square of sines); 0 for equal spans, at most ``pi/2 sqrt(k)``.

    Parameters
    ----------
    a, b : ndarray of shape (n, k)
    """
    angles = scipy.linalg.subspace_angles(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return float(np.sqrt(np.square(angles).sum()))
