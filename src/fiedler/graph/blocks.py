"""Any rows seen as float32 blocks: the one place where storage formats meet arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch

from fiedler.exceptions import InputError

Metric = Literal["euclidean", "cosine"]
_SAMPLE_FOR_MEAN = 4096


class RowBlocks:
    """Rows of any storage (array, memory map, sparse matrix, image folder) as float32 blocks.

    Rows are flattened to vectors, for the cosine metric scaled to unit length, so that Euclidean
    search on the blocks is search by the metric, and shifted by a fixed vector (the mean of a
    sample: smaller norms, so smaller rounding errors in ``|x|^2 + |y|^2 - 2xy``; where they are not
    scaled, float64 rows are shifted before they are rounded).

    Parameters
    ----------
    rows : array-like of shape (n, ...)
        Anything with ``.shape`` and row indexing. Never copied whole here.
    metric : {"euclidean", "cosine"}
        Distance that the blocks realise.
    shift : torch.Tensor of shape (d,), float64, or None
        Vector taken from every row; by default the mean of up to 4,096 evenly spaced rows
        (zeros for sparse rows).
    """

    def __init__(
        self, rows: Any, metric: Metric = "euclidean", shift: torch.Tensor | None = None
    ) -> None:
        if metric not in ("euclidean", "cosine"):
            raise InputError(f"metric must be 'euclidean' or 'cosine', got {metric!r}.")
        self.rows = rows.tocsr() if sp.issparse(rows) else rows
        self._any_order = sp.issparse(rows) or isinstance(rows, (np.ndarray, torch.Tensor))
        self.metric = metric
        self.shape = (int(rows.shape[0]), int(np.prod(rows.shape[1:], dtype=np.int64)))
        self.shift = self._default_shift() if shift is None else shift
        self._unshifted = not bool(self.shift.any())
        self._narrow_shift = torch.equal(self.shift.float().double(), self.shift)

    def _default_shift(self) -> torch.Tensor:
        n, d = self.shape
        if sp.issparse(self.rows):
            return torch.zeros(d, dtype=torch.float64)
        sample = _as_tensor(self.rows[:: max(1, n // _SAMPLE_FOR_MEAN)], d)
        mean = (_unit_rows(sample) if self.metric == "cosine" else sample).double().mean(0)
        # what float32 rows are shifted by in float32, float64 ones equal to them are shifted by too
        return mean if sample.dtype == torch.float64 else mean.float().double()

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, selection: slice | np.ndarray | torch.Tensor) -> torch.Tensor:
        """Return the selected rows, shape (m, d), float32."""
        if isinstance(selection, torch.Tensor) and not isinstance(self.rows, torch.Tensor):
            selection = selection.numpy()
        taken = self.rows[selection] if self._any_order else _in_order(self.rows, selection)
        block = _as_tensor(taken, self.shape[1])
        if self.metric == "cosine":
            block = _unit_rows(block)
            return block if self._unshifted else block.sub_(self.shift.float())
        if self._unshifted and block.dtype == torch.float32:
            return block
        # bytes were converted, so the block is ours to shift in place; float32 may be the caller's
        own = block.dtype == torch.float32 and str(taken.dtype) not in ("float32", "torch.float32")
        shifted = block if own else torch.empty(block.shape, dtype=torch.float32)
        exact = torch.float32 if self._narrow_shift else torch.float64
        wide = torch.promote_types(block.dtype, exact)
        return torch.sub(block.to(wide), self.shift.to(wide), out=shifted)

    def select(self, selection: np.ndarray) -> RowBlocks:
        """Return the selected rows as blocks with the same metric and shift."""
        taken = self.rows[selection] if self._any_order else _in_order(self.rows, selection)
        return RowBlocks(taken, self.metric, self.shift)

    def blocks(self, size: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield ``(start, rows[start:start + size])`` over all rows."""
        for start in range(0, len(self), size):
            yield start, self.take(slice(start, min(start + size, len(self))))


def _in_order(rows: Any, selection: Any) -> np.ndarray:
    """Return the selected rows of a file, which is read in ascending order, each row once."""
    if isinstance(selection, slice):
        return np.asarray(rows[selection])
    distinct, place = np.unique(selection, return_inverse=True)
    return np.asarray(rows[distinct])[place]


def _unit_rows(block: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(block.float(), dim=1, eps=1e-30)


def _as_tensor(block: Any, n_features: int) -> torch.Tensor:
    """Return rows as float32, or as float64 where float32 might round them."""
    if sp.issparse(block):
        block = block.toarray()
    if not isinstance(block, torch.Tensor):
        block = np.asarray(block)
    fits = block.dtype.itemsize <= 2 or str(block.dtype) in ("float32", "torch.float32")
    tensor: torch.Tensor = (
        block.detach().cpu().to(torch.float32 if fits else torch.float64)
        if isinstance(block, torch.Tensor)
        else torch.from_numpy(_writeable(block, np.float32 if fits else np.float64))
    )
    return tensor.reshape(-1, n_features)


def _writeable(block: np.ndarray, dtype: type) -> np.ndarray:
    """Return a contiguous array that torch may share: read-only memory maps are copied."""
    array: np.ndarray = np.ascontiguousarray(block, dtype)
    return array if array.flags.writeable else array.copy()


def block_size(n_columns: int, budget_bytes: int = 64 << 20, itemsize: int = 4) -> int:
    """Return how many rows of ``n_columns`` numbers fit into the budget (at least 16)."""
    return max(16, budget_bytes // max(1, itemsize * n_columns))
