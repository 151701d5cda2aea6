"""What a stopped training was of, as texts that tell it from another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from types import CodeType
from typing import Any

import numpy as np
import scipy.sparse as sp

# Read at once where rows lie in a file.
_BLOCK_BYTES = 64_000_000
# A function's address is another one in the process that goes on.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def digest(*arrays: np.ndarray) -> str:
    """Return a number of the content of arrays, as text."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def digest_rows(rows: Any) -> str:
    """Return a number of the content of all rows: an array, a memory map or a sparse matrix."""
    if sp.issparse(rows):
        matrix = sp.csr_matrix(rows)
        return digest(matrix.data, matrix.indices, matrix.indptr)
    found = hashlib.sha256()
    for block in _blocks(rows):
        found.update(np.ascontiguousarray(block).tobytes())
    return found.hexdigest()


def recipe_text(recipe: Any) -> str:
    """Return a recipe's text, a function in it by its code and what it has bound."""
    text = _ADDRESS.sub("", repr(recipe))
    function = getattr(recipe, "affinity", None)
    return text + (_function_text(function) if callable(function) else "")


def _blocks(rows: Any) -> Iterator[np.ndarray]:
    n = int(rows.shape[0])
    size = max(1, _BLOCK_BYTES * n // max(1, int(np.prod(rows.shape)) * 8))
    for start in range(0, n, size):
        yield np.asarray(rows[start : start + size])


def _function_text(function: Any) -> str:
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    bound = [cell.cell_contents for cell in function.__closure__ or ()]
    held = _ADDRESS.sub("", repr((function.__defaults__, bound)))
    return f" {_code_text(code)} {held}"


def _code_text(code: CodeType) -> str:
    constants = [
        _code_text(value) if isinstance(value, CodeType) else repr(value)
        for value in code.co_consts
    ]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
