"""Chebyshev-filtered subspace iteration: many eigenpairs at once by block products only.

Zhou, Saad, Tiago & Chelikowsky (2006), "Self-consistent-field calculations using
Chebyshev-filtered subspace iteration". A polynomial of the operator damps the unwanted end of the
spectrum; a Rayleigh-Ritz step then picks the eigenpairs out of the filtered block. Nothing is
factorised, vectors travel in blocks, and a block sees every copy of a repeated eigenvalue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fiedler.progress import ProgressCallback, silent

Product = Callable[[np.ndarray], np.ndarray]
# A float32 product leaves residuals of this size relative to the largest eigenvalue.
_FLOAT32_RESIDUAL = 2e-6
_FLOAT64_RESIDUAL = 1e-13
_MIN_DEGREE, _MAX_DEGREE = 8, 200
# The filter may magnify the pair at 0 over the block's end by this share of 1/eps. Beyond that the
# rounding of one column, magnified, would drown another one: the block would lose its rank.
_MAGNIFIED_ROUNDING = 0.1


@dataclass(frozen=True)
class BlockResult:
    """Eigenpairs of a block iteration: values (k,), vectors (n, k), residual norms (k,)."""

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    n_products: int
    converged: bool


def block_eigenpairs(
    products: dict[str, Product],
    n: int,
    k: int,
    *,
    upper_bound: float,
    deflated: np.ndarray,
    tol: float,
    rng: np.random.Generator,
    leading: int | None = None,
    rest: float = 0.0,
    max_products: int = 20000,
    progress: ProgressCallback = silent,
) -> BlockResult:
    """Compute the k smallest eigenpairs of a symmetric positive semi-definite operator.

    Parameters
    ----------
    products : dict with keys "float64" and, optionally, "float32"
        ``V -> L V`` in each precision; float32 is used while its rounding allows.
    n : int
        Order of the operator.
    k : int
        Wanted pairs beside the deflated ones, ``k <= n - deflated.shape[1]``.
    upper_bound : float
        No eigenvalue is larger.
    deflated : ndarray of shape (n, c)
        Orthonormal known eigenvectors to stay orthogonal to.
    tol : float
        Wanted sine of the angle to the true subspace: iteration stops when every residual is
        below ``tol`` times the gap to the next eigenvalue (Davis & Kahan).
    rng : numpy Generator
        Start block.
    leading : int or None
        Pairs that must meet ``tol``, at most k; None: all.
    rest : float
        What is asked of the other pairs, and of them only: a residual below ``rest`` times the
        Ritz value, so that an eigenvalue lies within that share of it.
    max_products : int
        Single-vector products per block column after which the iteration stops regardless.
    progress : callable
        Called as ``progress("eigenvectors", digits gained, digits wanted)``.

    Returns
    -------
    BlockResult
        Values ascending.
    """
    room = n - deflated.shape[1]
    width = min(room, k + max(10, k // 2))
    leading = k if leading is None else min(leading, k)
    precisions = [name for name in ("float32", "float64") if name in products]
    block = rng.standard_normal((n, width)).astype(precisions[0])
    block = _filter(
        products[precisions[0]], block, 0.0, 0.5 * upper_bound, upper_bound, _MIN_DEGREE
    )
    used, excess_at_start = _MIN_DEGREE, 0.0
    for precision in precisions:
        product, known = products[precision], deflated.astype(precision)
        eps = float(np.finfo(precision).eps)
        floor = upper_bound * (_FLOAT32_RESIDUAL if precision == "float32" else _FLOAT64_RESIDUAL)
        best, stalled = np.inf, 0
        while True:
            block = _orthonormal(known, block.astype(precision, copy=False))
            values, block, residuals = _rayleigh_ritz(product, block)
            used += 1
            residual = float(residuals[:leading].max(initial=0.0))
            # rounding may keep the others from less than this; the leading ones are told below
            others = np.maximum(rest * values, 10 * floor)
            excess = _excess(values, residuals[:k], leading, tol, others)
            excess_at_start = excess_at_start or excess
            _report(progress, excess_at_start, excess)
            stalled = stalled + 1 if residual > 0.5 * best else 0
            best = min(best, residual)
            # Nothing more can be had: only rounding is left, or the block is the whole space.
            rounding = residual <= floor or (stalled >= 4 and best <= 10 * floor)
            rounding = rounding and bool((residuals[leading:k] <= others[leading:k]).all())
            converged = excess <= 1.0 or rounding or width == room
            if converged or used >= max_products:
                break
            low, cut = _window(values, k, upper_bound)
            degree = min(_degree(float(values[k - 1]), cut, upper_bound, eps), max_products - used)
            block = _filter(product, block, low, cut, upper_bound, degree)
            used += degree
    return BlockResult(values[:k], block[:, :k].astype(np.float64), residuals[:k], used, converged)


def _excess(
    values: np.ndarray, residuals: np.ndarray, leading: int, tol: float, others: np.ndarray
) -> float:
    """Return by how many times the residuals exceed what is wanted: 1 or less ends the iteration.

    The leading pairs are as good as the subspace that holds them, and any will do that ends
    between the last of them and the last of all: where there is no gap after the former, a later
    one helps. Pairs beyond it need a residual below their entry of ``others``.
    """
    k = len(residuals)
    relative = residuals / np.maximum(others[:k], 1e-300)
    return min(
        max(
            float(residuals[:end].max(initial=0.0)) / max(tol * _gap(values, end), 1e-300),
            float(relative[end:].max(initial=0.0)),
        )
        for end in range(leading, k + 1)
    )


def _gap(values: np.ndarray, k: int) -> float:
    """Distance from the k-th eigenvalue to the next, never less than a thousandth of the latter."""
    if len(values) == k:  # the whole space: no other eigenvalue to mix with
        return float(values[-1])
    below = float(values[k - 1]) if k else 0.0
    return max(float(values[k]) - below, 1e-3 * float(values[k]))


def _window(values: np.ndarray, k: int, upper: float) -> tuple[float, float]:
    """The wanted end of the spectrum: from the first Ritz value to a little beyond the k-th.

    The last Ritz value may equal the k-th (one eigenvalue repeated more often than the block is
    wide): a filter that ends there would not favour the wanted pairs over anything.
    """
    cut = min(max(float(values[-1]), 1.01 * float(values[k - 1])), 0.99 * upper)
    return min(float(values[0]), cut), cut


def _degree(wanted: float, cut: float, upper: float, eps: float) -> int:
    """Degree at which the filter favours the k-th pair over the block's end by 10^3.

    Less where the pair at 0, deflated or not, would be magnified out of all proportion.
    """
    width = upper - cut
    favoured = np.arccosh(1.0 + 2.0 * max(cut - wanted, 1e-9 * upper) / width)
    magnified = np.arccosh(1.0 + 2.0 * cut / width)
    degree = max(int(np.ceil(np.arccosh(2e3) / favoured)), _MIN_DEGREE)
    limit = int(np.arccosh(_MAGNIFIED_ROUNDING / eps) / magnified)
    return max(1, min(degree, limit, _MAX_DEGREE))


def _filter(
    product: Product, block: np.ndarray, low: float, cut: float, upper: float, degree: int
) -> np.ndarray:
    """Apply the scaled Chebyshev polynomial that is small on [cut, upper] and large below cut.

    Scaling by the value at ``low`` keeps numbers near 1 (Zhou et al. 2006, algorithm 4.3).
    """
    center, half = (upper + cut) / 2.0, (upper - cut) / 2.0
    kind = block.dtype.type
    sigma = half / (low - center)
    tau = 2.0 / sigma
    current: np.ndarray = (product(block) - kind(center) * block) * kind(sigma / half)
    previous = block
    for _ in range(degree - 1):
        sigma_next = 1.0 / (tau - sigma)
        following = product(current)
        following -= kind(center) * current
        following *= kind(2.0 * sigma_next / half)
        following -= kind(sigma * sigma_next) * previous
        previous, current, sigma = current, following, sigma_next
    return current


def _against(known: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Remove the deflated directions (twice: once leaves rounding of the size of the block)."""
    clean: np.ndarray = block - known @ (known.T @ block)
    clean -= known @ (known.T @ clean)
    return clean


def _orthonormal(known: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the block beside the deflated directions.

    By Cholesky QR, which is a few matrix products, or by QR where the filtered columns are too
    close to dependent for that; again where QR made up for a lost direction by one that overlaps
    the deflated ones.
    """
    basis = block
    for _ in range(3):
        clean = _against(known, basis)
        clean /= np.linalg.norm(clean, axis=0)
        quick = _cholesky_basis(clean)
        basis = np.linalg.qr(clean)[0] if quick is None else quick
        if np.abs(known.T @ basis).max(initial=0.0) <= 30 * np.finfo(basis.dtype).eps:
            break
    return basis


def _cholesky_basis(block: np.ndarray) -> np.ndarray | None:
    """Orthonormalise unit columns by two rounds of Cholesky QR, None where their rank is in doubt.

    Yamamoto et al. (2015), "Roundoff error analysis of the CholeskyQR2 algorithm": the second
    round makes good what the squared condition number of the Gram matrix lost in the first.
    """
    # The Gram matrix is summed in the block's precision, so it is trusted only well above that.
    smallest = 1e3 * np.finfo(block.dtype).eps
    for _ in range(2):
        gram = (block.T @ block).astype(np.float64)
        values = np.linalg.eigvalsh(gram)
        if not values[0] > smallest * values[-1]:
            return None
        factor = np.linalg.cholesky(gram)
        inverse = np.linalg.inv(factor).T.astype(block.dtype)
        block = block @ inverse
    return block


def _rayleigh_ritz(
    product: Product, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Ritz values, Ritz vectors and residual norms, all ascending by value."""
    image = product(basis)
    small = (basis.T @ image).astype(np.float64)
    values, rotation = np.linalg.eigh((small + small.T) / 2.0)
    rotation = rotation.astype(basis.dtype)
    vectors, image = basis @ rotation, image @ rotation
    image -= vectors * values.astype(basis.dtype)
    return values, vectors, np.linalg.norm(image, axis=0).astype(np.float64)


def _report(progress: ProgressCallback, start: float, now: float) -> None:
    total = max(np.log10(max(start, 10.0)), 1.0)
    progress("eigenvectors", float(np.clip(total - np.log10(max(now, 1.0)), 0.0, total)), total)
