"""Rows held in arrays: numpy, torch, scipy sparse, and the files ``.npy`` and ``.npz``.

Nothing is copied or made dense here; values (NaN, infinity) are the estimators' to check.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fiedler.exceptions import FiedlerError, InputError

_NUMERIC_KINDS = "buif"


def as_rows(source: Any, name: str = "the data") -> Any:
    """Check that an array-like holds rows of numbers, and return it without copying.

    Parameters
    ----------
    source : array, torch tensor, sparse matrix, list of lists, or any object with ``shape``, \
``dtype`` and row indexing
        ``n`` rows; dense rows may have more than one dimension (images).
    name : str
        What to call the source in messages.

    Returns
    -------
    rows : ndarray, memmap, csr matrix or csr array, or ``source`` itself
        Shape ``(n, d)`` or ``(n, ...)``; torch tensors share their memory, other sparse formats
        become csr.

    Raises
    ------
    InputError
        Not numbers, ragged, empty, or not a table of rows.
    """
    if type(source).__module__.partition(".")[0] == "torch":
        source = from_torch(source, name)
    elif _is_sparse(source):
        source = source.tocsr()
    elif not all(hasattr(source, part) for part in ("shape", "dtype", "__getitem__")):
        source = _from_sequence(source, name)
    _check_numeric(source, name)
    _check_shape(tuple(source.shape), name)
    return source


def dense_block(block: Any) -> np.ndarray:
    """Return some rows of an array, a file or a sparse matrix as a dense array."""
    return np.asarray(block.toarray() if _is_sparse(block) else block)


def from_torch(tensor: Any, name: str = "X") -> np.ndarray:
    """Return a torch tensor as an array: of the same memory where numpy knows its type.

    Raises
    ------
    InputError
        The tensor is sparse.
    """
    if str(tensor.layout) != "torch.strided":
        raise InputError(
            f"{name} is a sparse torch tensor ({tensor.layout}); dense tensors and scipy's sparse "
            "matrices are allowed. Pass X.to_dense(), or make a scipy.sparse.csr_matrix of it."
        )
    plain = tensor.detach().cpu()
    if str(plain.dtype) == "torch.bfloat16":
        plain = plain.float()
    array: np.ndarray = plain.numpy()
    return array


def read_npy(path: Path) -> np.memmap[Any, Any]:
    """Open a ``.npy`` file as a read-only memory map, so that it may be larger than memory."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(_unreadable(path, error)) from error
    rows: np.memmap[Any, Any] = as_rows(array, str(path))
    return rows


def read_npz(
    path: Path, admit: Callable[[tuple[int, ...], Any], None] = lambda shape, dtype: None
) -> tuple[Any, np.ndarray | None]:
    """Read the rows, and the labels if there are any, of an ``.npz`` file.

    The rows are the array ``X``, else the only array that is not ``y``; a file written by
    ``scipy.sparse.save_npz`` gives a csr matrix. The labels are ``y``.

    Parameters
    ----------
    path : Path
    admit : callable
        Told shape and dtype of the rows before they are unpacked; may raise.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            if {"format", "shape", "data"} <= set(names):
                from scipy.sparse import load_npz

                return as_rows(load_npz(path), str(path)), None
            key = _rows_key(names, path)
            _admit_header(path, key, admit)
            rows = as_rows(archive[key], f"{path} (array {key!r})")
            labels = archive["y"] if "y" in names else None
    except FiedlerError:
        raise
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(_unreadable(path, error)) from error
    if labels is not None and labels.shape != (rows.shape[0],):
        raise InputError(
            f"{path}: the labels 'y' have shape {labels.shape}, but there are {rows.shape[0]} "
            "rows. Give one label for each row, or leave 'y' out."
        )
    return rows, labels


def _admit_header(path: Path, key: str, admit: Callable[[tuple[int, ...], Any], None]) -> None:
    """Tell ``admit`` what the header of an array in the file says."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
        version = np.lib.format.read_magic(member)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(member)
        else:  # of records, which are no rows of numbers
            return
    admit(shape, dtype)


def _rows_key(names: list[str], path: Path) -> str:
    if "X" in names:
        return "X"
    others = [name for name in names if name != "y"]
    if len(others) == 1:
        return others[0]
    raise InputError(
        f"{path} holds the arrays {', '.join(map(repr, names)) or '(none)'}: it is not clear "
        "which are the rows. Name the rows 'X' (and the labels, if any, 'y')."
    )


def _from_sequence(source: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(source)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{name}: cannot be made into an array of numbers ({error}). Give every row the same "
            "number of values, or pass an array, a table, or a path."
        ) from error


def _check_numeric(rows: Any, name: str) -> None:
    dtype = rows.dtype
    # torch-like and zarr-like dtypes may not be numpy's; those carry no `kind` and pass.
    kind = getattr(dtype, "kind", None)
    if kind is None or kind in _NUMERIC_KINDS:
        return
    advice = {
        "U": "Strings cannot be compared by distance: pass a flat list of texts to have them "
        "turned into tf-idf, or encode categories as numbers first.",
        "O": "Convert it to numbers first, e.g. np.asarray(X, dtype=np.float32).",
        "c": "Pass the real and imaginary parts as separate columns.",
    }
    advice["S"] = advice["T"] = advice["U"]
    raise InputError(
        f"{name} has dtype {dtype}; integers, floats or booleans are needed. "
        f"{advice.get(kind, advice['O'])}"
    )


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    if len(shape) < 2:
        raise InputError(
            f"{name} has shape {shape}; rows and columns (n, d), or images (n, h, w) or "
            "(n, h, w, 3), are needed. For n rows of one number each pass X.reshape(-1, 1)."
        )
    if shape[0] == 0:
        raise InputError(f"{name} is empty: it has no rows (shape {shape}). Pass at least one.")
    if 0 in shape[1:]:
        raise InputError(f"{name} has rows without any values (shape {shape}).")


def _is_sparse(source: Any) -> bool:
    return type(source).__module__.startswith("scipy.sparse")


def _unreadable(path: Path, error: Exception) -> str:
    return (
        f"{path} cannot be read ({error}): it is truncated or damaged, not a numpy file, or holds "
        "Python objects, which are never unpickled. Write it again with np.save or np.savez."
    )
