"""Full affinities that are too large to form: a Gaussian kernel as an operator.

:class:`KernelOperator` computes entries of an ``n x n`` Gaussian affinity when they are asked for
and never holds more than one tile of them. :class:`AffinityMatrix` is the small interface that the
approximate solvers of :mod:`fiedler.spectrum` need, and :func:`as_affinity_matrix` gives it to a
sparse or dense matrix too, so that one solver serves all three.

Tolerance: degrees, and products with vectors of positive numbers, are right to about 1e-6 of their
value in float32 and 1e-12 in float64; so is an entry ``w`` times ``max(1, -log w)``. Float32 is
used only where it reaches that (see :class:`KernelOperator`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from scipy import sparse

from fiedler.exceptions import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TILE_BYTES = 64 * 2**20
"""Largest tile of a kernel that is in memory at one time, in bytes."""

# Rounding of the exponent |x|^2 / scale^2 in float32 beyond which entries are computed in float64.
_FLOAT32_EXPONENT_LIMIT = 1e-6 / float(np.finfo(np.float32).eps)


@runtime_checkable
class AffinityMatrix(Protocol):
    """A symmetric ``n x n`` affinity of which only parts are ever asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """``(n, n)``."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the entries: float32 or float64."""

    def columns(self, idx: ArrayLike) -> NDArray[Any]:
        """Columns ``idx``, dense, of shape ``(n, m)``."""

    def block(self, rows: ArrayLike, cols: ArrayLike) -> NDArray[Any]:
        """Entries at ``rows`` x ``cols``, dense, of shape ``(r, c)``."""

    def diagonal(self) -> NDArray[Any]:
        """Diagonal entries, of shape ``(n,)``."""

    def degrees(self) -> NDArray[np.float64]:
        """Row sums, of shape ``(n,)``, in float64."""

    def matmat(self, V: NDArray[Any]) -> NDArray[Any]:
        """Product with ``V`` of shape ``(n, b)``, in the type of ``V``."""


def median_sigma(kth_distances: ArrayLike) -> float:
    """Width of a Gaussian affinity from the data: the median distance to the k-th neighbour.

    A width fixed in advance gives an affinity of all ones or an identity matrix as soon as the
    unit of the data changes; this one follows it.

    Parameters
    ----------
    kth_distances : array-like of shape (n,)
        Distance of each row to its k-th nearest neighbour (the 7th is customary).

    Returns
    -------
    float
        The median of the distances; of the positive ones where that is zero because more than half
        of the rows have k duplicates.

    Raises
    ------
    InputError
        If a distance is negative or not finite, or all of them are zero.
    """
    distances = np.asarray(kth_distances, dtype=np.float64).ravel()
    if distances.size == 0 or not np.isfinite(distances).all() or (distances < 0).any():
        raise InputError(
            f"median_sigma got {distances.size} distances, which must be at least one, finite and "
            "not negative. Pass the distance of each row to its k-th neighbour."
        )
    positive = distances[distances > 0]
    if positive.size == 0:
        raise InputError(
            "All distances to the k-th neighbour are zero: every row has k duplicates, so the data "
            "have no scale. Remove duplicate rows or pass sigma."
        )
    median = float(np.median(distances))
    return median if median > 0 else float(np.median(positive))


class KernelOperator:
    """The Gaussian affinity of all pairs of rows, never formed.

    With ``sigma``, ``W_ij = exp(-|x_i - x_j|^2 / (2 sigma^2))``. With ``scales``,
    ``W_ij = exp(-|x_i - x_j|^2 / (s_i s_j))`` (self-tuning: Zelnik-Manor & Perona 2004, equation 3;
    there ``s_i`` is the distance to the 7th neighbour). The diagonal is 1.

    One centred copy of ``X`` is kept. The arithmetic is float32, but float64 where ``X`` is float64
    or where float32 would round ``|x|^2 / s^2`` by more than 1e-6 (scales much shorter than the
    spread of the data). Sums over tiles are float64.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows, dense and finite.
    sigma : float, optional
        One width for all pairs. Give either this or ``scales``.
    scales : array-like of shape (n,), optional
        One positive scale a row.
    device : str, default="cpu"
        Torch device of the arithmetic. Results are numpy arrays.
    tile_bytes : int, default=TILE_BYTES
        Bound on the memory of one tile of the kernel.

    Raises
    ------
    InputError
        If ``X`` is not a finite matrix, or not exactly one positive ``sigma`` or ``scales`` given.
    """

    def __init__(
        self,
        X: ArrayLike,
        *,
        sigma: float | None = None,
        scales: ArrayLike | None = None,
        device: str = "cpu",
        tile_bytes: int = TILE_BYTES,
    ) -> None:
        rows = _float_rows(X, "X")
        self._sigma = None if sigma is None else float(_positive(sigma, 1, "sigma")[0])
        if (sigma is None) == (scales is None):
            raise InputError(
                "KernelOperator needs exactly one of sigma (one width) and scales (one a row)."
            )
        row_scales = self._row_scales(len(rows), scales)
        # Centring shortens the rows, hence the cancellation in |x|^2 + |y|^2 - 2 x.y.
        self._center = rows.mean(axis=0, dtype=np.float64).astype(rows.dtype)
        centred = rows - self._center
        exponents = np.einsum("ij,ij->i", centred, centred, dtype=np.float64) / row_scales**2
        exact = rows.dtype == np.float64 or exponents.max() > _FLOAT32_EXPONENT_LIMIT
        self.dtype: np.dtype[Any] = np.dtype(np.float64 if exact else np.float32)
        self.shape: tuple[int, int] = (len(rows), len(rows))
        self._device = device
        self._tile = max(1, math.isqrt(tile_bytes // self.dtype.itemsize))
        self._left = self._left_factor(centred, row_scales)
        self._degrees: NDArray[np.float64] | None = None

    def columns(self, idx: ArrayLike) -> NDArray[Any]:
        """Columns ``idx`` of the affinity.

        Parameters
        ----------
        idx : array-like of int of shape (m,)

        Returns
        -------
        ndarray of shape (n, m)
        """
        index = np.asarray(idx, dtype=np.int64)
        result = self._entries(self._left, self._left[index])
        result[index, np.arange(len(index))] = 1.0
        return _to_numpy(result)

    def block(self, rows: ArrayLike, cols: ArrayLike) -> NDArray[Any]:
        """Entries at ``rows`` x ``cols``.

        Parameters
        ----------
        rows, cols : array-like of int of shapes (r,) and (c,)

        Returns
        -------
        ndarray of shape (r, c)
        """
        row_index, col_index = np.asarray(rows, dtype=np.int64), np.asarray(cols, dtype=np.int64)
        result = _to_numpy(self._entries(self._left[row_index], self._left[col_index]))
        result[np.equal.outer(row_index, col_index)] = 1.0
        return result

    def diagonal(self) -> NDArray[Any]:
        """Diagonal of the affinity: ones, of shape ``(n,)``."""
        return np.ones(self.shape[0], dtype=self.dtype)

    def degrees(self) -> NDArray[np.float64]:
        """Row sums of the affinity, of shape ``(n,)``; computed once."""
        if self._degrees is None:
            self._degrees = self.matmat(np.ones((self.shape[0], 1)))[:, 0]
        return self._degrees

    def matmat(self, V: NDArray[Any]) -> NDArray[Any]:
        """Product of the affinity with ``V``; each pair of rows is computed once.

        Parameters
        ----------
        V : ndarray of shape (n, b)

        Returns
        -------
        ndarray of shape (n, b)
            In the type of ``V``.
        """
        vectors = self._to_tensor(V)
        total = torch.zeros(vectors.shape, dtype=torch.float64)
        blocks = [slice(a, a + self._tile) for a in range(0, self.shape[0], self._tile)]
        for i, rows in enumerate(blocks):
            for cols in blocks[i:]:
                tile = self._entries(self._left[rows], self._left[cols])
                if cols == rows:
                    tile.fill_diagonal_(1.0)
                else:
                    total[cols] += (tile.T @ vectors[rows]).cpu()
                total[rows] += (tile @ vectors[cols]).cpu()
        return total.numpy().astype(V.dtype, copy=False)

    def cross(self, Y: ArrayLike, *, scales: ArrayLike | None = None) -> NDArray[Any]:
        """Affinity of new rows to the rows of the operator.

        Parameters
        ----------
        Y : array-like of shape (m, d)
            New rows.
        scales : array-like of shape (m,), optional
            Their scales; needed exactly where the operator has scales.

        Returns
        -------
        ndarray of shape (m, n)
            All of it is in memory: pass a large ``Y`` in parts.
        """
        return _to_numpy(self._entries(self._new_left(Y, scales), self._left))

    def _row_scales(self, n: int, scales: ArrayLike | None) -> NDArray[np.float64]:
        """Scales ``s`` of the exponent ``-|x - y|^2 / (s_x s_y)``: ``s = sqrt(2) sigma``."""
        if self._sigma is not None and scales is None:
            return np.full(n, math.sqrt(2.0) * self._sigma)
        if self._sigma is not None or scales is None:
            raise InputError(
                "scales are needed exactly where the operator was built with scales, one a row."
            )
        return _positive(scales, n, "scales")

    def _left_factor(self, centred: NDArray[Any], scales: NDArray[np.float64]) -> torch.Tensor:
        """Rows ``[x, |x|^2, 1] / s``, of which two give the exponent by one inner product."""
        x = centred.astype(self.dtype)
        norms = np.einsum("ij,ij->i", x, x, dtype=np.float64)
        factor = np.empty((len(x), x.shape[1] + 2), dtype=self.dtype)
        factor[:, :-2] = x / scales[:, None]
        factor[:, -2] = norms / scales
        factor[:, -1] = 1.0 / scales
        return torch.from_numpy(factor).to(self._device)

    def _new_left(self, Y: ArrayLike, scales: ArrayLike | None) -> torch.Tensor:
        rows = _float_rows(Y, "Y")
        if rows.shape[1] != len(self._center):
            raise InputError(
                f"Y has {rows.shape[1]} columns, but the affinity was built on rows of "
                f"{len(self._center)}. Pass rows of the same features."
            )
        row_scales = self._row_scales(len(rows), scales)
        return self._left_factor(rows - self._center, row_scales)

    @staticmethod
    def _entries(left: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Kernel between two sets of factor rows, in place in the one matrix product."""
        # The exponent (2 x.y - |x|^2 - |y|^2) / (s_x s_y) of [x, |x|^2, 1] and [2y, -1, -|y|^2].
        right = torch.cat((2.0 * other[:, :-2], -other[:, -1:], -other[:, -2:-1]), dim=1)
        return (left @ right.T).clamp_max_(0.0).exp_()

    def _to_tensor(self, V: NDArray[Any]) -> torch.Tensor:
        if V.ndim != 2 or V.shape[0] != self.shape[0]:
            raise InputError(f"V must have shape ({self.shape[0]}, b), got {V.shape}.")
        return torch.from_numpy(np.ascontiguousarray(V, dtype=self.dtype)).to(self._device)


class MatrixAffinity:
    """A symmetric matrix, dense or sparse, behind the interface :class:`AffinityMatrix`."""

    def __init__(self, W: NDArray[Any] | sparse.csr_array) -> None:
        self._matrix = W
        self.shape: tuple[int, int] = (W.shape[0], W.shape[1])
        self.dtype: np.dtype[Any] = W.dtype

    def columns(self, idx: ArrayLike) -> NDArray[Any]:
        """Columns ``idx``, dense, of shape ``(n, m)``: rows, which are cheap to take from CSR."""
        return _dense(self._matrix[np.asarray(idx)]).T

    def block(self, rows: ArrayLike, cols: ArrayLike) -> NDArray[Any]:
        """Entries at ``rows`` x ``cols``, dense, of shape ``(r, c)``."""
        return _dense(self._matrix[np.asarray(rows)][:, np.asarray(cols)])

    def diagonal(self) -> NDArray[Any]:
        """Diagonal, of shape ``(n,)``."""
        return np.asarray(self._matrix.diagonal())

    def degrees(self) -> NDArray[np.float64]:
        """Row sums, of shape ``(n,)``."""
        return np.asarray(self._matrix.sum(axis=1, dtype=np.float64)).ravel()

    def matmat(self, V: NDArray[Any]) -> NDArray[Any]:
        """Product with ``V`` of shape ``(n, b)``, in the type of ``V``."""
        return np.asarray(self._matrix @ V).astype(V.dtype, copy=False)


def as_affinity_matrix(W: Any) -> AffinityMatrix:
    """Give a matrix, or an object that already has it, the interface :class:`AffinityMatrix`.

    Parameters
    ----------
    W : AffinityMatrix, scipy sparse matrix or array, or array-like of shape (n, n)
        A symmetric affinity; symmetry is not checked here.

    Returns
    -------
    AffinityMatrix

    Raises
    ------
    InputError
        If ``W`` is not a square matrix of numbers.
    """
    if isinstance(W, AffinityMatrix):
        return W
    matrix = sparse.csr_array(W) if sparse.issparse(W) else np.asarray(W)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.dtype.kind not in "fiub":
        raise InputError(
            f"An affinity must be a square matrix of numbers, got shape {matrix.shape} of type "
            f"{matrix.dtype}. Pass one row and one column for each data row."
        )
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float64)
    return MatrixAffinity(matrix)


def _float_rows(X: ArrayLike, name: str) -> NDArray[Any]:
    """``X`` as a finite matrix of float32, or float64 where it is float64 already."""
    rows = np.asarray(X)
    if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "fiub":
        raise InputError(
            f"{name} must be a non-empty matrix of numbers (rows, features), got shape "
            f"{rows.shape} of type {rows.dtype}. Flatten images to one row each."
        )
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float32)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise InputError(
            f"{name} holds NaN or infinity in {bad.size} rows, first {bad[:5].tolist()}. "
            "Remove or impute them."
        )
    return rows


def _positive(values: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    """``values`` as ``n`` finite positive float64 numbers."""
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.shape != (n,) or not np.isfinite(array).all() or (array <= 0).any():
        bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
        raise InputError(
            f"{name} must be {n} finite numbers above 0, got {array.size}, of which {bad.size} are "
            f"not (first at {bad[:5].tolist()}). Duplicate rows have scale 0: remove them or use a "
            "later neighbour."
        )
    return array


def _dense(matrix: Any) -> NDArray[Any]:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix)


def _to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    return np.asarray(tensor.cpu().numpy())
