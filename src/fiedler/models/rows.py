"""What may come in: rows checked once, with errors that name the rows at fault."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from fiedler.data.arrays import dense_block, from_torch
from fiedler.data.values import as_float, refuse_unusable
from fiedler.exceptions import InputError
from fiedler.progress import ProgressCallback, silent

# Nearly always the first block settles whether there are enough distinct rows.
_DISTINCT_BLOCK = 256


def check_rows(estimator: Any, X: Any, *, reset: bool, square: bool = False) -> Any:
    """Validate rows without copying them whole.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_``, and the shape of its images, are set (``reset``) or compared.
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
        NaN or infinity (which rows), strings, no rows, another number of features than fitted, or
        images of another shape.
    """
    if hasattr(X, "detach"):  # torch, without importing it
        X = from_torch(X)
    if isinstance(X, (str, bytes, list, tuple)):
        X = _as_array(X)
    if isinstance(X, np.ndarray) and X.dtype.kind in "USMmV":
        raise _not_numbers("strings" if X.dtype.kind in "US" else str(X.dtype))
    if not reset:
        _refuse_single(estimator, getattr(X, "shape", ()))
    if len(getattr(X, "shape", ())) > 2:
        return _check_images(estimator, X, reset)
    if reset:
        estimator._image_shape = None
    # what is not finite is refused below, where the rows are named
    try:
        checked = validate_data(
            estimator, X, reset=reset, accept_sparse="csr", dtype="numeric", ensure_all_finite=False
        )
    except TypeError as error:
        if not hasattr(X, "columns"):  # of objects scikit-learn wants its own words
            raise
        raise _not_numbers("dates or objects") from error
    except ValueError as error:
        if "could not convert string" in str(error):
            raise _not_numbers("strings") from error
        raise
    if checked.dtype.kind not in "buif":
        raise _not_numbers(str(checked.dtype))
    refuse_unusable(checked, only_finite=square)
    checked = checked.astype(np.float64) if square else as_float(checked)
    if reset and (not square or checked.shape == (1, 1)):
        _require_rows(checked.shape[0])
    return checked


def _as_array(X: Any) -> np.ndarray:
    try:
        return np.asarray(X)
    except ValueError as error:
        shapes = sorted({np.shape(row) for row in X if isinstance(row, np.ndarray)})[:3]
        raise InputError(
            "X is a list of rows of different sizes"
            + (f", such as {' and '.join(map(str, shapes))}" if len(shapes) > 1 else "")
            + "; bring images to one size first (image_size of fiedler.open_rows does)."
        ) from error


def _not_numbers(what: str) -> InputError:
    return InputError(
        f"X holds {what}, rows must be numbers; open files and texts by "
        "fiedler.open_rows(path).rows, turn other things into numbers first."
    )


def _require_rows(n: int) -> None:
    """Refuse a fit on fewer than two rows."""
    if n < 2:
        raise InputError(
            f"fitting needs at least 2 rows, got n_samples={n}: one row has no neighbours."
        )


def _check_images(estimator: Any, X: Any, reset: bool) -> Any:
    n, d = int(X.shape[0]), int(np.prod(X.shape[1:]))
    if getattr(X.dtype, "kind", "f") not in "buif":
        raise InputError(f"X holds {X.dtype}, images must be real numbers.")
    if n == 0:
        raise InputError(f"X holds no rows: got shape {tuple(X.shape)}, at least one is needed.")
    if reset:
        _require_rows(n)
        estimator.n_features_in_ = d
        estimator._image_shape = tuple(int(size) for size in X.shape[1:])
    elif d != estimator.n_features_in_:
        raise InputError(
            f"X has {d} features (rows of shape {tuple(X.shape[1:])}), but "
            f"{type(estimator).__name__} is expecting {estimator.n_features_in_} features as input."
        )
    if not reset:
        _refuse_other_shape(estimator, tuple(X.shape[1:]))
    refuse_unusable(X)
    return as_float(X.reshape(n, d)) if isinstance(X, np.ndarray) else X


def _refuse_single(estimator: Any, shape: tuple[int, ...]) -> None:
    """Refuse one image where images are wanted."""
    fitted = getattr(estimator, "_image_shape", None)
    if fitted is None or len(shape) < 2 or shape not in (fitted, without_channel(fitted)):
        return
    if math.prod(shape[1:]) == estimator.n_features_in_:
        return  # flat rows, by chance as many as an image is high
    raise InputError(
        f"X is one image of shape {tuple(shape)}; rows are images (n, h, w) or (n, h, w, channels):"
        " give X[None]."
    )


def _refuse_other_shape(estimator: Any, shape: tuple[int, ...]) -> None:
    """Refuse images with as many pixels as the fitted ones, but of another height or width."""
    fitted = estimator._image_shape
    if fitted is None or without_channel(fitted) == without_channel(shape):
        return
    raise InputError(
        f"X holds images of shape {shape}, but {type(estimator).__name__} was fitted to images of "
        f"shape {fitted}; resize or turn them to that shape, or open their folder with "
        f"image_size={fitted[:2]}."
    )


def without_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape (h, w) of grey images, whether or not it names their one channel."""
    return shape[:2] if shape[2:] == (1,) else shape


def refuse_channels_first(shape: tuple[int, ...]) -> None:
    """Refuse images (3, h, w) or (1, h, w), which would be read as 3 or 1 pixels high."""
    if len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) > 4:
        raise InputError(
            f"the images have shape {shape}: {shape[0]} pixels high, with {shape[2]} channels. "
            "If the channels come first pass np.moveaxis(X, 1, -1); if this is what they are, "
            f"image_shape={shape}."
        )


def require_distinct(rows: Any, wanted: int, what: str) -> None:
    """Refuse rows with fewer distinct values than clusters, which only chance could tell apart.

    Parameters
    ----------
    rows : array-like of shape (n, ...)
        Read block by block, and only until enough values are found.
    wanted : int
        Distinct rows needed.
    what : str
        What needs them, for the message.

    Raises
    ------
    InputError
    """
    found = count_distinct(rows, wanted)
    if found < wanted:
        raise InputError(
            f"{'all rows are equal' if found == 1 else f'only {found} rows are distinct'}, but "
            f"{what} needs at least {wanted} distinct rows; ask for fewer or check the data."
        )


def count_distinct(rows: Any, enough: int) -> int:
    """Return the number of distinct rows, or ``enough`` where there are at least as many."""
    seen: set[bytes] = set()
    for start in range(0, rows.shape[0], _DISTINCT_BLOCK):
        block = rows[start : start + _DISTINCT_BLOCK]
        dense = dense_block(block)
        dense = dense + np.zeros(1, dense.dtype)  # turns -0.0 into 0.0, which it equals
        seen.update(row.tobytes() for row in dense)
        if len(seen) >= enough:
            return enough
    return len(seen)


def seed_from(random_state: Any) -> int:
    """Draw one seed from an int, a RandomState or None, leaving global state alone.

    Raises
    ------
    InputError
        If it is none of these, or a number that is no seed.
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31 - 1))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise InputError(
            "random_state must be None, a RandomState, a Generator or an integer from 0 to "
            f"{2**32 - 1}, got {random_state!r}."
        ) from error


def device_is_here(device: str) -> bool:
    """Tell whether a device can be used on this machine; ``"auto"`` always can.

    Raises
    ------
    InputError
        If there is no such kind of device.
    """
    import torch

    kind, _, number = str(device).partition(":")
    counts = {
        "auto": 1,
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind not in counts or (number and not number.isdecimal()):
        raise InputError(f"device must be 'auto', 'cpu', 'cuda' or 'mps', got {device!r}.")
    return int(number or 0) < counts[kind]


def resolve_progress(progress: Any) -> ProgressCallback:
    """Return what is called as work goes on; None is silence."""
    if progress is not None and not callable(progress):
        raise InputError(
            f"progress must be None or a function f(stage, done, total), got {progress!r}."
        )
    return progress or silent


def resolve_device(device: str) -> str:
    """Return the device that ``"auto"`` stands for, or the named one if it is there."""
    if not device_is_here(device):
        raise InputError(f"device={device!r} is not available here; use device='auto'.")
    if device == "auto":
        return "cuda" if device_is_here("cuda") else "cpu"
    return str(device)
