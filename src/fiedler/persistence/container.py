"""The model file itself: one safetensors file with a JSON header.

Layout (format version 1): 8 bytes, the little-endian length of the header; the header, JSON; the
tensors, raw. The header's ``__metadata__`` names this format, its version, the version of fiedler
that wrote it, the kind of model, and its parameters as JSON. Any safetensors reader opens it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from fiedler.exceptions import InputError, ModelFileError, OutputError
from fiedler.persistence.parameters import decode_params, encode_params

FORMAT = "fiedler-model"
FORMAT_VERSION = 1
MAX_HEADER_BYTES = 16 * 2**20
_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int32": "I32",
    "int64": "I64",
    "float32": "F32",
    "float64": "F64",
}


def save_state(
    path: str | os.PathLike[str],
    kind: str,
    params: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    overwrite: bool = False,
) -> None:
    """Write parameters and arrays to one file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to write; its folder must exist.
    kind : str
        What is stored: the name of the estimator's class.
    params : mapping of str to value
        Values that `encode_params` takes.
    arrays : mapping of str to ndarray
        Of dtype bool, uint8, int32, int64, float32 or float64, of any shape and memory order.
    overwrite : bool
        Whether an existing file may be replaced; it is whole at every moment.

    Raises
    ------
    InputError
        If a parameter or an array's dtype cannot be stored.
    OutputError
        If the file exists, or the folder is missing, read-only or full; nothing is left behind.
    """
    header, ordered = _layout(kind, encode_params(params), arrays)
    with _replacing(Path(path), overwrite) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for array in ordered:
            file.write(array.reshape(-1).view(np.uint8).data)


def load_state(
    path: str | os.PathLike[str],
) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what `save_state` wrote.

    Returns
    -------
    kind : str
        What is stored.
    params : dict of str to value
        Equal to what was saved; numpy scalars have become Python's.
    arrays : dict of str to ndarray
        Equal bit for bit, in C order and writable.

    Raises
    ------
    ModelFileError
        If it is no model file, truncated, altered, or of another format version.
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    kind, encoded = _check_metadata(source, _read_header(source))
    try:
        params = decode_params(encoded)
        with safe_open(source, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{source} is damaged or was altered: {error}") from error
    return kind, params, arrays


def _layout(
    kind: str, params: dict[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> tuple[bytes, list[NDArray[Any]]]:
    """The header, and the arrays in the order in which it places them."""
    from fiedler import __version__

    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "fiedler_version": __version__,
        "kind": kind,
        "params": json.dumps(params, allow_nan=False),
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    ready = {name: _storable(name, array) for name, array in arrays.items()}
    # Widest numbers first: every tensor then starts at a multiple of its item size.
    names = sorted(ready, key=lambda name: (-ready[name].itemsize, name))
    offset = 0
    for name in names:
        array = ready[name]
        end = offset + array.nbytes
        dtype = _DTYPES[array.dtype.name]
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    encoded = json.dumps(header, allow_nan=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    if len(encoded) > MAX_HEADER_BYTES:
        raise InputError(
            f"the parameters take {len(encoded)} bytes; a model file keeps at most "
            f"{MAX_HEADER_BYTES} of them: store long lists as arrays"
        )
    return encoded, [ready[name] for name in names]


def _storable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array in C order and little-endian, if its name and dtype can be stored."""
    if name == "__metadata__" or type(name) is not str:
        raise InputError(f"an array cannot be named {name!r}; choose another string")
    if not isinstance(array, np.ndarray) or array.dtype.name not in _DTYPES:
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(
            f"array {name!r} is of {got}; a model file keeps numpy arrays of {', '.join(_DTYPES)}: "
            "convert it first"
        )
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


@contextmanager
def _replacing(path: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` at the end, or leaves no trace."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another name or pass overwrite=True")
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it first")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise OutputError(
            f"{path} could not be written ({error.strerror or error}); nothing was left behind: "
            "free some space, or choose a folder that you may write to"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _read_header(path: Path) -> dict[str, Any]:
    """The parsed header of a whole safetensors file; anything else is refused unread."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(start, "little")
            text = file.read(length) if length <= MAX_HEADER_BYTES else b""
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read ({error.strerror or error}); give the path of a model file"
        ) from error
    if not text.startswith(b'{"__metadata__"'):
        raise ModelFileError(
            f"{path} is not a fiedler model file{_guess(start, size)}; pickles are never opened, "
            "since opening one can run any program. Give a file that the method save() wrote"
        )
    if len(text) < length:
        raise _truncated(path, size, f"its header alone takes {8 + length}")
    try:
        header = json.loads(text, parse_constant=_no_constant)
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        end = 8 + length + max([int(entry["data_offsets"][1]) for entry in tensors], default=0)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} has a damaged header ({error}); save the model again") from (
            error
        )
    if size < end:
        raise _truncated(path, size, f"it should have {end}")
    return dict(header)


def _check_metadata(path: Path, header: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Kind and encoded parameters, if the format and its version are ours."""
    from fiedler import __version__

    metadata = header["__metadata__"]
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} is a safetensors file, but not a fiedler model file; give a file that the "
            "method save() wrote"
        )
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise ModelFileError(
            f"{path} has format version {version}, written by fiedler "
            f"{metadata.get('fiedler_version')}; fiedler {__version__} reads version "
            f"{FORMAT_VERSION}. Use the fiedler that wrote it, or fit and save again with this one"
        )
    try:
        params = json.loads(metadata["params"], parse_constant=_no_constant)
        kind = metadata["kind"]
        if not isinstance(kind, str) or not isinstance(params, dict):
            raise TypeError("kind must be a string and params an object")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(
            f"{path} has damaged metadata ({type(error).__name__}: {error}); save the model again"
        ) from error
    return kind, params


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name} is not allowed in a header")


def _truncated(path: Path, size: int, expected: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is truncated: it has {size} bytes, but {expected}; copy or download it again"
    )


def _guess(start: bytes, size: int) -> str:
    """What the first bytes look like, for the message of an error."""
    if size < 8:
        return f" (it has only {size} bytes)"
    if start[:1] == b"\x80" and start[1] <= 5:
        return " (it looks like a pickle)"
    if start[:4] == b"PK\x03\x04":
        return " (it looks like a zip archive, such as torch.save and numpy.savez write)"
    return ""
