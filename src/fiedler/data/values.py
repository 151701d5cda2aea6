"""The values of rows: which of them nothing can be computed with, and how many digits they need."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from fiedler.exceptions import InputError

_BLOCK, _BLOCK_BYTES = 8192, 64 << 20
_KEPT_DTYPES = (np.uint8, np.float32, np.float64)
# Up to this size float32 holds every integer.
_EXACT_INTEGER = 2**24
# Share of a column's spread that its values may be rounded by.
_LOST_SPREAD = 1e-4


def as_float(rows: Any) -> Any:
    """Return rows as bytes, float32 or float64, without rounding an integer.

    Parameters
    ----------
    rows : ndarray or csr matrix of real numbers

    Returns
    -------
    ndarray or csr matrix
        The rows themselves where they are bytes, float32 or float64; else float32 where that holds
        every integer of them, and float64 where it would make neighbouring numbers equal.
    """
    if rows.dtype in _KEPT_DTYPES:
        return rows
    narrow = rows.dtype.itemsize <= 2
    if rows.dtype.kind in "iu" and not narrow:
        values = rows.data if sp.issparse(rows) else rows
        low, high = values.min(initial=0), values.max(initial=0)
        narrow = int(low) >= -_EXACT_INTEGER and int(high) <= _EXACT_INTEGER
    return rows.astype(np.float32 if narrow else np.float64)


def needs_float64(values: np.ndarray) -> bool:
    """Tell whether float32 would round a column by more than a little of its spread.

    Timestamps and long numbers do, of which float32 keeps the leading 7 digits only.

    Parameters
    ----------
    values : ndarray of shape (n, d), float64
    """
    # the spread is that of the many: some odd values do not count
    low, middle, high = np.percentile(values, [5, 50, 95], axis=0)
    spread = np.where(high > low, high - low, values.std(axis=0))
    varies = values.min(axis=0) < values.max(axis=0)
    rounding = np.abs(middle) * float(np.finfo(np.float32).eps)
    return bool((varies & (rounding > _LOST_SPREAD * spread)).any())


def refuse_unusable(rows: Any, *, only_finite: bool = False) -> None:
    """Name the rows that hold NaN, infinity, or numbers too large to measure distances by.

    Parameters
    ----------
    rows : array-like of shape (n, ...)
        Array, csr matrix, or any rows by index; read block by block. Integers pass unread.
    only_finite : bool
        Whether numbers may be as large as they like (an affinity).

    Raises
    ------
    InputError
    """
    if getattr(rows.dtype, "kind", "f") != "f":
        return
    size = int(np.prod(rows.shape[1:], dtype=np.int64))
    step = max(1, min(_BLOCK, _BLOCK_BYTES // max(1, 8 * size)))
    suspects = [
        start + np.flatnonzero(~np.isfinite(_squared_norms(rows[start : start + step])))
        for start in range(0, rows.shape[0], step)
    ]
    suspect = np.concatenate(suspects) if suspects else np.empty(0, dtype=np.int64)
    finite = np.array([_is_finite(rows[i : i + 1]) for i in suspect.tolist()], dtype=bool)
    bad, large = suspect[~finite], suspect[finite]
    if len(bad):
        raise InputError(
            f"Input X contains NaN or infinity in {len(bad)} rows, first {bad[:10].tolist()}; "
            "remove or impute them (sklearn.impute.SimpleImputer)."
        )
    if len(large) and not only_finite:
        raise InputError(
            f"Input X is too large in {len(large)} rows, first {large[:10].tolist()}: distances "
            "are computed in float32, where squares must stay below 1e38; scale the rows "
            "(sklearn.preprocessing.StandardScaler)."
        )


def _squared_norms(block: Any) -> np.ndarray:
    """Return ``|x|^2`` in float32, which overflows just where distances would."""
    with np.errstate(over="ignore", invalid="ignore"):
        if sp.issparse(block):
            narrow = block.astype(np.float32)
            return np.asarray(narrow.multiply(narrow).sum(axis=1)).ravel()
        narrow = np.asarray(block, dtype=np.float32).reshape(len(block), -1)
        return np.asarray(np.einsum("ij,ij->i", narrow, narrow))


def _is_finite(row: Any) -> bool:
    return bool(np.isfinite(row.data if sp.issparse(row) else np.asarray(row)).all())
