"""What may come in: rows checked once, with errors that name the rows at fault."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from fiedler.exceptions import InputError

_BLOCK = 8192
_KEPT_DTYPES = (np.uint8, np.float32, np.float64)


def check_rows(estimator: Any, X: Any, *, reset: bool, square: bool = False) -> Any:
    """Validate rows without copying them whole.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` is set (``reset``) or compared.
    X : array-like of shape (n, d), (n, h, w) or (n, h, w, c)
        numpy, torch, memory map, scipy sparse, data frame, image folder. More than two dimensions
        are flattened to one vector a row.
    reset : bool
        Fitting (True) or applying (False).
    square : bool
        The rows are an affinity: shape (n, n).

    Returns
    -------
    rows
        Two-dimensional numpy or csr rows, or a lazily decoded image folder.

    Raises
    ------
    InputError or ValueError
        NaN or infinity (which rows), strings, no rows, another number of features than fitted.
    """
    if hasattr(X, "detach"):  # torch, without importing it
        X = X.detach().cpu().numpy()
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) > 2:
        return _check_images(estimator, X, reset)
    if isinstance(X, np.ndarray) and X.dtype.kind in "US":
        raise InputError(
            "X holds strings, rows must be numbers; turn texts into numbers first, for instance "
            "fiedler.open_rows(path).rows or sklearn's TfidfVectorizer."
        )
    _refuse_not_finite(X)
    checked = validate_data(
        estimator, X, reset=reset, accept_sparse="csr", dtype="numeric", ensure_min_samples=1
    )
    if checked.dtype not in _KEPT_DTYPES:
        checked = checked.astype(np.float64 if square else np.float32)
    if reset and not square:
        require_rows(checked.shape[0])
    return checked


def require_rows(n: int) -> None:
    """Refuse a fit on fewer than two rows."""
    if n < 2:
        raise InputError(
            f"fitting needs at least 2 rows, got n_samples={n}: one row has no neighbours."
        )


def _check_images(estimator: Any, X: Any, reset: bool) -> Any:
    n, d = int(X.shape[0]), int(np.prod(X.shape[1:]))
    if reset:
        require_rows(n)
        estimator.n_features_in_ = d
    elif d != estimator.n_features_in_:
        raise InputError(
            f"X has {d} features (rows of shape {tuple(X.shape[1:])}), but "
            f"{type(estimator).__name__} is expecting {estimator.n_features_in_} features as input."
        )
    if not isinstance(X, np.ndarray):
        return X
    rows = X.reshape(n, d)
    _refuse_not_finite(rows)
    return rows if rows.dtype in _KEPT_DTYPES else rows.astype(np.float32)


def _refuse_not_finite(X: Any) -> None:
    """Name the rows that hold NaN or infinity, reading block by block."""
    if sp.issparse(X):
        matrix = X.tocsr()
        if matrix.dtype.kind != "f" or np.isfinite(matrix.data).all():
            return
        owner = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        bad = np.unique(owner[~np.isfinite(matrix.data)])
    elif isinstance(X, np.ndarray) and X.dtype.kind == "f" and X.ndim == 2:
        found = [
            start + np.flatnonzero(~np.isfinite(X[start : start + _BLOCK]).all(axis=1))
            for start in range(0, len(X), _BLOCK)
        ]
        bad = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    else:
        return  # validate_data checks lists and data frames
    if len(bad):
        raise InputError(
            f"Input X contains NaN or infinity in {len(bad)} rows, first {bad[:10].tolist()}; "
            "remove or impute them (sklearn.impute.SimpleImputer)."
        )


def seed_from(random_state: Any) -> int:
    """Draw one seed from an int, a RandomState or None, leaving global state alone."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31 - 1))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    return int(check_random_state(random_state).randint(2**31 - 1))


def resolve_device(device: str) -> str:
    """Return the device that ``"auto"`` stands for, or the named one if it is there."""
    import torch

    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if device == "auto":
        return "cuda" if available["cuda"] else "cpu"
    kind = str(device).split(":")[0]
    if kind not in available:
        raise InputError(f"device must be 'auto', 'cpu', 'cuda' or 'mps', got {device!r}.")
    if not available[kind]:
        raise InputError(f"device={device!r} is not available here; use device='auto'.")
    return str(device)
