"""Eigenvectors of a dense affinity from a few of its columns: the Nystrom approximation.

With columns ``C`` at m landmarks and the block ``W_mm`` between them, ``W`` is replaced by
``C W_mm^+ C^T``, whose normalised form has rank m and is diagonalised exactly in O(n m^2)
(Fowlkes, Belongie, Chung & Malik 2004, "Spectral grouping using the Nystrom method"). It fits
kernels whose spectrum decays. It does not fit neighbour graphs, where most rows touch no landmark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fiedler.exceptions import ConvergenceWarning, InputError, warn_user
from fiedler.graph.kernel import as_affinity_matrix
from fiedler.spectrum.landmarks import greedy_landmarks, uniform_landmarks
from fiedler.spectrum.signs import random_walk_vectors, sign_of_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

Landmarks = Literal["greedy", "uniform"]
NormalizedLaplacian = Literal["sym", "rw"]

_MIN_LANDMARKS = 500
_LANDMARKS_PER_COMPONENT = 10


def nystrom_eigenpairs(
    W: Any,
    n_components: int,
    *,
    laplacian: NormalizedLaplacian = "sym",
    landmarks: Landmarks = "greedy",
    n_landmarks: int | None = None,
    random_state: int | np.random.Generator | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
    """Approximate the smallest eigenpairs of a normalised Laplacian from columns of the affinity.

    The error is that of ``W - C W_mm^+ C^T``: none where all rows are landmarks, and there is no
    way to see it from the columns alone (``benchmarks/approximate_solvers.py`` measures it). On
    digits, 500 greedy landmarks of 1,797 leave the sine of the largest angle to the true 10
    eigenvectors at 0.04 (one width) and 0.12 (self-tuning). Time O(n m^2), memory O(n m).

    Parameters
    ----------
    W : AffinityMatrix, scipy sparse matrix or array-like of shape (n, n)
        A symmetric affinity without negative entries, best a full kernel
        (:class:`fiedler.graph.kernel.KernelOperator`).
    n_components : int
        Number of eigenpairs, the trivial one included.
    laplacian : {"sym", "rw"}, default="sym"
        ``I - D^-1/2 W D^-1/2`` or ``I - D^-1 W``.
    landmarks : {"greedy", "uniform"}, default="greedy"
        Sparse greedy matrix approximation (Smola & Schoelkopf 2000), or uniform sampling.
    n_landmarks : int, optional
        Number m of landmarks; by default ``max(10 n_components, 500)``, at most n. The ``log n`` of
        the literature cannot give more than ``log n`` eigenvectors.
    random_state : int, numpy.random.Generator or None, default=None

    Returns
    -------
    eigenvalues : ndarray of float64 of shape (n_components,)
        Of the Laplacian, ascending.
    eigenvectors : ndarray of float64 of shape (n, n_components)
        Orthonormal for ``"sym"``; ``D^-1/2`` times these, of unit length, for ``"rw"``. Signs as in
        :func:`fiedler.spectrum.signs.fix_signs`.
    extras : dict
        ``landmarks`` (m,) rows in the order of choice (fewer than asked for where the kernel has
        lower rank); ``degrees`` (n,) approximate degrees; ``rank`` of the approximation;
        ``n_uncovered`` rows without affinity to any landmark (their entries are 0);
        ``degree_weights`` (m,) and ``projection`` (m, n_components) for :func:`nystrom_extend`.

    Raises
    ------
    InputError
        If a parameter is out of range, or the landmarks span fewer than ``n_components``
        dimensions.
    """
    matrix = as_affinity_matrix(W)
    n = matrix.shape[0]
    n_marks = _landmark_count(n, n_components, n_landmarks)
    _check_names(laplacian, landmarks)
    rng = np.random.default_rng(random_state)
    if landmarks == "greedy":
        marks = greedy_landmarks(matrix, n_marks, rng)
    else:
        marks = uniform_landmarks(n, n_marks, rng)
    cutoff = max(1e-10, len(marks) * float(np.finfo(matrix.dtype).eps))
    columns = matrix.columns(marks).astype(np.float64)
    weights, degrees = _approximate_degrees(columns, marks, cutoff)
    uncovered = degrees <= 0
    if uncovered.any():
        _warn_uncovered(int(uncovered.sum()), n, len(marks))
        degrees = np.where(uncovered, 1.0, degrees)
    values, vectors, projection, rank = _one_shot(columns, marks, degrees, n_components, cutoff)
    if laplacian == "rw":
        vectors, lengths = random_walk_vectors(vectors, degrees)
        projection /= lengths
    signs = sign_of_columns(vectors)
    extras = {
        "landmarks": marks,
        "degrees": degrees,
        "rank": rank,
        "n_uncovered": int(uncovered.sum()),
        "degree_weights": weights,
        "projection": projection * signs,
    }
    return 1.0 - values, vectors * signs, extras


def nystrom_extend(
    cross: NDArray[Any],
    extras: dict[str, Any],
    *,
    laplacian: NormalizedLaplacian = "sym",
) -> NDArray[np.float64]:
    """Eigenvector entries of new rows; a training row gets the entries it has.

    Parameters
    ----------
    cross : ndarray of shape (q, m)
        Affinity of the new rows to the landmarks, in the order of ``extras["landmarks"]``.
    extras : dict
        Third result of :func:`nystrom_eigenpairs`.
    laplacian : {"sym", "rw"}, default="sym"
        The one it was called with.

    Returns
    -------
    ndarray of float64 of shape (q, n_components)
        Zero for a row without affinity to any landmark.
    """
    exact = np.asarray(cross, dtype=np.float64)
    degrees = _guarded_degrees(exact, extras["degree_weights"])
    power = 0.5 if laplacian == "sym" else 1.0
    scale = np.where(degrees > 0, degrees, 1.0) ** -power
    return np.asarray(scale[:, None] * (exact @ extras["projection"]))


def _approximate_degrees(
    columns: NDArray[np.float64], marks: NDArray[np.int64], cutoff: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row sums of ``C W_mm^+ C^T`` as ``C t``, and the weights ``t = W_mm^+ C^T 1``."""
    values, basis = _significant_eigenpairs(columns[marks], cutoff)
    weights = basis @ ((basis.T @ columns.sum(axis=0)) / values)
    return weights, _guarded_degrees(columns, weights)


def _guarded_degrees(
    columns: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    # The approximation can fall below zero; the true degree is never below a row's affinity to the
    # landmarks alone, since affinities are not negative.
    return np.asarray(np.maximum(columns @ weights, columns.sum(axis=1)))


def _one_shot(
    columns: NDArray[np.float64],
    marks: NDArray[np.int64],
    degrees: NDArray[np.float64],
    n_components: int,
    cutoff: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
    """Largest eigenpairs of ``C A^+ C^T`` with C, A the normalised columns and landmark block.

    With ``A = E diag(a) E^T``, ``F = E |a|^-1/2`` and ``C F = Q R``, they are those of the small
    ``R sign(a) R^T``, turned by Q (Fowlkes et al. 2004, section 3.2; the signs admit a block that
    is not positive definite). The fourth result is the rank; the third maps normalised columns to
    eigenvectors.
    """
    root = np.sqrt(degrees)
    normalized = columns / root[:, None] / root[marks]
    values, basis = _significant_eigenpairs(normalized[marks], cutoff)
    if len(values) < n_components:
        raise InputError(
            f"The {len(marks)} landmarks span {len(values)} dimensions, but {n_components} "
            "eigenvectors were asked for. Use more landmarks, fewer components, or a wider kernel."
        )
    factor = basis / np.sqrt(np.abs(values))
    orthonormal, upper = np.linalg.qr(normalized @ factor)
    small = (upper * np.sign(values)) @ upper.T
    ritz, rotation = np.linalg.eigh((small + small.T) / 2)
    top = np.argsort(ritz)[::-1][:n_components]
    ritz, rotation = ritz[top], rotation[:, top]
    # R^-1 applied to an eigenvector of R S R^T is S R^T over its eigenvalue: no ill-conditioned R.
    safe = np.where(np.abs(ritz) > cutoff, ritz, np.inf)
    turned = (np.sign(values)[:, None] * (upper.T @ rotation)) / safe
    projection = (factor @ turned) / root[marks][:, None]
    return ritz, orthonormal @ rotation, projection, len(values)


def _significant_eigenpairs(
    block: NDArray[np.float64], cutoff: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenpairs of a symmetric block that rounding has not swallowed: its pseudo-inverse."""
    values, vectors = np.linalg.eigh((block + block.T) / 2)
    size = np.abs(values)
    keep = size > cutoff * size.max()
    return values[keep], vectors[:, keep]


def _landmark_count(n: int, n_components: int, n_landmarks: int | None) -> int:
    if not 1 <= n_components <= n:
        raise InputError(f"n_components must be between 1 and n = {n}, got {n_components}.")
    if n_landmarks is None:
        return min(n, max(_LANDMARKS_PER_COMPONENT * n_components, _MIN_LANDMARKS))
    if not n_components <= n_landmarks <= n:
        raise InputError(
            f"n_landmarks must be between n_components = {n_components} and n = {n}, got "
            f"{n_landmarks}: m landmarks give at most m eigenvectors."
        )
    return n_landmarks


def _check_names(laplacian: str, landmarks: str) -> None:
    if laplacian not in ("sym", "rw"):
        raise InputError(
            f"Nystrom approximates the normalised Laplacians 'sym' and 'rw', got {laplacian!r}. "
            "D - W is not close to a low-rank matrix: use solver='lanczos' for it."
        )
    if landmarks not in ("greedy", "uniform"):
        raise InputError(f"landmarks must be 'greedy' or 'uniform', got {landmarks!r}.")


def _warn_uncovered(count: int, n: int, n_marks: int) -> None:
    warn_user(
        f"{count} of {n} rows have no affinity to any of the {n_marks} landmarks; their "
        "eigenvector entries are 0. Use more landmarks, a wider kernel, or, on a sparse graph, "
        "solver='lanczos'.",
        ConvergenceWarning,
    )
