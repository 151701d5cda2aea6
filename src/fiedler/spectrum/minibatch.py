"""Eigenvectors by stochastic gradient on the Stiefel manifold: mini-batch spectral clustering.

Han & Filippone (2017, "Mini-batch spectral clustering") maximise ``trace(Y^T M Y)`` over
orthonormal Y, where ``M = D^-1/2 W D^-1/2``. A batch S of b uniformly drawn columns gives the
unbiased estimate ``(n / b) M_:S Y_S`` of the gradient ``M Y``; its part tangent to the manifold is
followed for one step, and a QR factorisation retracts the result to the manifold.

Here in addition:

- the one eigenvector known in advance, ``D^1/2 1``, is kept out of Y, and Y has a few columns more
  than asked for, so that its error decays with a wider gap;
- ``variance_reduction`` (on by default) subtracts from each estimate its value at an anchor whose
  product with M is known exactly (Johnson & Zhang 2013; Shamir 2016 for eigenvectors). The paper's
  gradient keeps its noise, so that its error falls only with the square root of the work; this one
  loses it as it converges, and its step length follows from the data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fiedler.exceptions import ConvergenceWarning, InputError, warn_user
from fiedler.graph.kernel import as_affinity_matrix
from fiedler.progress import ProgressCallback, silent
from fiedler.spectrum.signs import fix_signs, random_walk_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fiedler.graph.kernel import AffinityMatrix

    Matrix = NDArray[np.float64]

_OVERSAMPLING = 10
# Ritz values closer than this are one eigenvalue to the stopping rule; M has eigenvalues up to 1.
_MIN_GAP = 1e-6
# A residual of so many units of rounding is not going to fall further.
_ROUNDINGS = 2
# Squared lengths below this are rounding: a step scaled by their inverse would be noise.
_MIN_SQUARE = 1e-10


def minibatch_eigenpairs(
    W: Any,
    n_components: int,
    *,
    laplacian: Literal["sym", "rw"] = "sym",
    batch_size: int | None = None,
    n_epochs: int = 50,
    tol: float = 1e-3,
    variance_reduction: bool = True,
    random_state: int | np.random.Generator | None = None,
    progress: ProgressCallback = silent,
) -> tuple[Matrix, Matrix, dict[str, Any]]:
    """Approximate the smallest eigenpairs of a normalised Laplacian from batches of columns.

    An epoch draws ``n / batch_size`` batches, as many columns as the affinity has. With variance
    reduction it begins with one exact product, from which the residual ``r_i`` of each eigenvector
    and its gap ``g_i`` to the first eigenvalue not asked for are known, and the iteration stops
    when ``sqrt(sum (r_i / g_i)^2) <= tol``: a bound on the sine of the largest angle to the true
    eigenvectors (Davis & Kahan 1970; the gap is that of the current estimates). It also stops where
    the residuals have come down to the rounding of the affinity's type. Without variance reduction
    all ``n_epochs`` are run with the step ``1 / sqrt(sum of squared gradient norms)`` (AdaGrad, as
    in the paper). Either way the eigenpairs are the Rayleigh-Ritz pairs of exact products.

    Parameters
    ----------
    W : AffinityMatrix, scipy sparse matrix or array-like of shape (n, n)
        A symmetric affinity without negative entries and with positive degrees.
    n_components : int
        Number of eigenpairs, the trivial one included.
    laplacian : {"sym", "rw"}, default="sym"
        ``I - D^-1/2 W D^-1/2`` or ``I - D^-1 W``.
    batch_size : int, optional
        Columns a step; ``sqrt(n)`` by default, as in the paper.
    n_epochs : int, default=50
        Largest number of epochs.
    tol : float, default=1e-3
        Bound on the subspace error at which to stop.
    variance_reduction : bool, default=True
        Whether to subtract the noise at an anchor; without, the gradient of the paper.
    random_state : int, numpy.random.Generator or None, default=None
    progress : ProgressCallback, default=silent
        Called as ``progress("eigenvectors", epochs_done, n_epochs)``.

    Returns
    -------
    eigenvalues : ndarray of float64 of shape (n_components,)
        Of the Laplacian, ascending.
    eigenvectors : ndarray of float64 of shape (n, n_components)
        Orthonormal for ``"sym"``; ``D^-1/2`` times these, of unit length, for ``"rw"``. Signs as in
        :func:`fiedler.spectrum.signs.fix_signs`.
    extras : dict
        ``residuals`` (n_components,) norms ``|M u - (1 - value) u|`` of the symmetric form;
        ``subspace_bound`` the bound above; ``n_epochs`` run; ``degrees`` (n,).

    Raises
    ------
    InputError
        If a parameter is out of range or a degree is not positive.

    Warns
    -----
    ConvergenceWarning
        If the bound is still above ``tol`` at the end.
    """
    operator = _NormalizedAffinity(as_affinity_matrix(W))
    n = operator.n
    batch = math.ceil(math.sqrt(n)) if batch_size is None else batch_size
    _check_parameters(n, n_components, laplacian, batch, n_epochs, tol)
    rng = np.random.default_rng(random_state)
    width = min(n - 1, n_components - 1 + _OVERSAMPLING)
    start = operator.retract(rng.standard_normal((n, width)))
    iterate = _reduced_variance if variance_reduction else _plain
    ritz, epochs = iterate(operator, start, n_components, batch, n_epochs, tol, rng, progress)
    values, vectors, residuals, bound = _leading(operator, ritz, n_components)
    if bound > tol:
        _warn_not_converged(bound, tol, epochs, variance_reduction)
    if laplacian == "rw":
        vectors, _ = random_walk_vectors(vectors, operator.degrees)
    extras = {
        "residuals": residuals,
        "subspace_bound": bound,
        "n_epochs": epochs,
        "degrees": operator.degrees,
    }
    return 1.0 - values, fix_signs(vectors), extras


class _NormalizedAffinity:
    """``M = D^-1/2 W D^-1/2`` without its trivial eigenvector ``D^1/2 1`` of eigenvalue 1."""

    def __init__(self, W: AffinityMatrix) -> None:
        self.n = W.shape[0]
        self.degrees = W.degrees()
        if not (self.degrees > 0).all():
            raise InputError(
                f"{int((self.degrees <= 0).sum())} of {self.n} rows have degree 0 or less. "
                "Connect or remove them before solving."
            )
        self._matrix = W
        self._inverse_root = 1.0 / np.sqrt(self.degrees)
        self.rounding = float(np.finfo(W.dtype).eps)
        self.trivial = np.sqrt(self.degrees / self.degrees.sum())

    def deflate(self, Y: Matrix) -> Matrix:
        """Take the trivial eigenvector out of the columns of ``Y``."""
        return np.asarray(Y - np.outer(self.trivial, self.trivial @ Y))

    def retract(self, Y: Matrix) -> Matrix:
        """Retraction to the Stiefel manifold by QR, without the trivial eigenvector.

        It is taken out each time: where M has negative eigenvalues it would grow from rounding.
        """
        return np.asarray(np.linalg.qr(self.deflate(Y))[0])

    def product(self, Y: Matrix) -> Matrix:
        """``M Y``, exactly."""
        scale = self._inverse_root[:, None]
        return self.deflate(scale * self._matrix.matmat(scale * Y))

    def batch_product(self, batch: NDArray[np.int64], Y: Matrix) -> Matrix:
        """Unbiased estimate ``(n / b) M_:S Y_S`` of ``M Y`` from the columns in ``batch``."""
        weights = (self._inverse_root[batch] * (self.n / len(batch)))[:, None]
        columns = self._matrix.columns(batch)
        partial = columns @ (weights * Y[batch]).astype(columns.dtype)
        return self.deflate(self._inverse_root[:, None] * partial)

    def squared_norm(self, batch: NDArray[np.int64]) -> float:
        """Unbiased estimate of the squared Frobenius norm of M from the columns in ``batch``."""
        columns = self._inverse_root[:, None] * self._matrix.columns(batch)
        return float(np.sum((columns * self._inverse_root[batch]) ** 2)) * self.n / len(batch) - 1.0


class _Ritz(NamedTuple):
    """Ritz pairs of M, values descending, with the exact products of their vectors."""

    values: NDArray[np.float64]
    vectors: NDArray[np.float64]
    products: NDArray[np.float64]


def _reduced_variance(
    operator: _NormalizedAffinity,
    Y: Matrix,
    n_components: int,
    batch: int,
    n_epochs: int,
    tol: float,
    rng: np.random.Generator,
    progress: ProgressCallback,
) -> tuple[_Ritz, int]:
    """Epochs that each begin at an anchor: the best of the last two epochs' subspaces.

    Only products fresh from ``operator.product`` enter the next anchor. Handing on those of the
    anchor itself would multiply their rounding from epoch to epoch.
    """
    product = operator.product(Y)
    ritz = _rayleigh_ritz(Y, product, Y.shape[1])
    norm = operator.squared_norm(rng.choice(operator.n, size=batch, replace=False))
    for epoch in range(n_epochs):
        _, _, residuals, bound = _leading(operator, ritz, n_components)
        if bound <= tol or residuals.max() <= _ROUNDINGS * operator.rounding:
            return ritz, epoch
        # A longer step would let the noise outgrow what an epoch gains: over its n / b steps the
        # squared error is multiplied by about exp(step^2 |M|^2 n / b^2).
        squared = max(norm, float(np.sum(ritz.values**2)), _MIN_SQUARE)
        last, last_product = Y, product
        Y = _epoch(operator, ritz, batch, batch / math.sqrt(operator.n * squared), rng)
        product = operator.product(Y)
        joined = _joined(Y, product, last, last_product, operator.rounding)
        ritz = _rayleigh_ritz(*joined, Y.shape[1])
        progress("eigenvectors", epoch + 1, n_epochs)
    return ritz, n_epochs


def _epoch(
    operator: _NormalizedAffinity,
    anchor: _Ritz,
    batch: int,
    step: float,
    rng: np.random.Generator,
) -> Matrix:
    """As many batches as make n columns, each corrected by the anchor's exact product."""
    Y = anchor.vectors
    for _ in range(math.ceil(operator.n / batch)):
        sample = rng.choice(operator.n, size=batch, replace=False)
        # Unbiased for any overlap; the projection on the anchor leaves the least to estimate.
        overlap = anchor.vectors.T @ Y
        difference = Y - anchor.vectors @ overlap
        gradient = operator.batch_product(sample, difference) + anchor.products @ overlap
        Y = operator.retract(Y + step * _tangent(Y, gradient))
    return Y


def _plain(
    operator: _NormalizedAffinity,
    Y: Matrix,
    n_components: int,
    batch: int,
    n_epochs: int,
    tol: float,
    rng: np.random.Generator,
    progress: ProgressCallback,
) -> tuple[_Ritz, int]:
    """The paper's iteration: no exact product before the last one, hence no early stop."""
    accumulated = _MIN_SQUARE
    for epoch in range(n_epochs):
        for _ in range(math.ceil(operator.n / batch)):
            sample = rng.choice(operator.n, size=batch, replace=False)
            tangent = _tangent(Y, operator.batch_product(sample, Y))
            accumulated += float(np.sum(tangent**2))
            Y = operator.retract(Y + tangent / math.sqrt(accumulated))
        progress("eigenvectors", epoch + 1, n_epochs)
    return _rayleigh_ritz(Y, operator.product(Y), Y.shape[1]), n_epochs


def _tangent(Y: Matrix, gradient: Matrix) -> Matrix:
    """Riemannian gradient on the Stiefel manifold modulo rotation: ``(I - Y Y^T) G``."""
    return np.asarray(gradient - Y @ (Y.T @ gradient))


def _rayleigh_ritz(basis: Matrix, products: Matrix, width: int) -> _Ritz:
    """Best ``width`` eigenpairs of M in an orthonormal basis, of which ``products`` is M times."""
    small = basis.T @ products
    values, turn = np.linalg.eigh((small + small.T) / 2)
    values, turn = values[::-1][:width], turn[:, ::-1][:, :width]
    return _Ritz(values, basis @ turn, products @ turn)


def _joined(
    Y: Matrix, product: Matrix, last: Matrix, last_product: Matrix, rounding: float
) -> tuple[Matrix, Matrix]:
    """Orthonormal basis of the span of ``Y`` and of the epoch before, and its product with M.

    Directions in which ``last`` hardly differs from ``Y`` are left out: scaled to unit length, they
    would magnify the rounding of the products, by more than ``rounding^(-1/6)``.
    """
    overlap = Y.T @ last
    extra = last - Y @ overlap
    squares, turn = np.linalg.eigh(extra.T @ extra)
    keep = squares > rounding ** (1 / 3)
    whiten = turn[:, keep] / np.sqrt(squares[keep])
    basis = np.hstack((Y, extra @ whiten))
    return basis, np.hstack((product, (last_product - product @ overlap) @ whiten))


def _leading(
    operator: _NormalizedAffinity, ritz: _Ritz, n_components: int
) -> tuple[NDArray[np.float64], Matrix, NDArray[np.float64], float]:
    """The trivial pair and the best others: values, vectors, residuals, bound on the angle."""
    others = n_components - 1
    vectors = np.column_stack((operator.trivial, ritz.vectors[:, :others]))
    errors = ritz.products[:, :others] - ritz.vectors[:, :others] * ritz.values[:others]
    residuals = np.concatenate(([0.0], np.linalg.norm(errors, axis=0)))
    values = np.concatenate(([1.0], ritz.values[:others]))
    following = ritz.values[others] if len(ritz.values) > others else -1.0
    gaps = np.maximum(values - following, _MIN_GAP)
    return values, vectors, residuals, float(np.linalg.norm(residuals / gaps))


def _check_parameters(
    n: int, n_components: int, laplacian: str, batch: int, n_epochs: int, tol: float
) -> None:
    if laplacian not in ("sym", "rw"):
        raise InputError(
            "The mini-batch solver handles the normalised Laplacians 'sym' and 'rw', got "
            f"{laplacian!r}. Use solver='lanczos' for the unnormalised one."
        )
    if n < 2:
        raise InputError("One row has no eigenvectors but the trivial one. Pass two rows or more.")
    for name, value, largest in (("n_components", n_components, n), ("batch_size", batch, n)):
        if not 1 <= value <= largest:
            raise InputError(f"{name} must be between 1 and n = {largest}, got {value}.")
    if n_epochs < 1 or not tol > 0:
        raise InputError(f"n_epochs must be at least 1 and tol above 0, got {n_epochs} and {tol}.")


def _warn_not_converged(bound: float, tol: float, epochs: int, reduced: bool) -> None:
    remedy = (
        "more epochs, float64 rows, or solver='lanczos'" if reduced else "variance_reduction=True"
    )
    warn_user(
        f"Mini-batch solver: after {epochs} epochs the subspace error is bounded by {bound:.1e}, "
        f"above tol = {tol:.1e}. Use {remedy}; a gap near 0 after the last eigenvalue asked for "
        "leaves its eigenvector undetermined.",
        ConvergenceWarning,
    )
