"""Labels of any kind become integer codes; what is no labelling is refused here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiedler.exceptions import InputError


def encode_labels(labels: ArrayLike, name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distinct labels in ascending order, and each row's position among them.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Integers, strings, booleans, finite floats or other sortable values of one kind.
    name : str
        What the caller calls them, for the message of an error.

    Returns
    -------
    ids : ndarray of shape (n_ids,)
        The distinct labels.
    codes : ndarray of int64 of shape (n,)
        ``ids[codes]`` equals ``labels``.

    Raises
    ------
    InputError
        If the labels are not one-dimensional, empty, NaN or infinite, or not sortable.
    """
    array = np.asarray(labels)
    if array.ndim != 1:
        raise InputError(
            f"{name} has shape {array.shape}; give one label per row, an array of shape (n,)"
        )
    if array.size == 0:
        raise InputError(f"{name} is empty; give at least one label")
    missing = _missing(array)
    if missing.any():
        raise InputError(
            f"{name} holds {int(missing.sum())} missing, NaN or infinite labels, the first in row "
            f"{int(np.argmax(missing))}; leave those rows out or give them a label of their own"
        )
    try:
        ids, codes = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise InputError(
            f"{name} mixes kinds of labels that cannot be sorted ({error}); "
            "give integers only or strings only"
        ) from error
    return ids, codes.astype(np.int64, copy=False)


def _missing(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which entries are None, NaN or infinite."""
    if array.dtype.kind in "fc":
        return np.asarray(~np.isfinite(array), dtype=bool)
    if array.dtype.kind == "O":
        # NaN is the one value that differs from itself.
        absent = [label is None or label != label for label in array.tolist()]
        return np.array(absent, dtype=bool)
    return np.zeros(array.shape, dtype=bool)
