"""Rows by index as float tensors on the device: the only place where training touches storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from fiedler.data.arrays import dense_block
from fiedler.data.values import needs_float64

_SAMPLE = 4096
# Large enough for fast products, small enough for one row to be a matter of milliseconds.
BLOCK = 256


def far_offset(rows: Any) -> np.ndarray | None:
    """Return what is to be taken from rows before float32 rounds them, or None.

    Parameters
    ----------
    rows : array-like of shape (n, ...)

    Returns
    -------
    ndarray of shape (d,), float64, or None
        The mean of up to 4,096 evenly spaced rows, where they lie so far from zero that float32
        would lose what tells them apart (timestamps, long numbers).
    """
    if sp.issparse(rows) or rows.dtype != np.float64:
        return None
    sample = np.asarray(rows[:: max(1, rows.shape[0] // _SAMPLE)])
    flat = sample.reshape(len(sample), -1)
    mean: np.ndarray = flat.mean(axis=0)
    return mean if needs_float64(flat) else None


class RowReader:
    """Random access to rows of any storage, batch by batch.

    Parameters
    ----------
    rows : array-like of shape (n, ...)
        numpy, memory map, csr matrix, image folder. Never copied whole; only the rows of a batch
        are read and made dense.
    device : torch.device
    offset : ndarray of shape (d,), float64, or None
        Taken from every row before it is narrowed; see :func:`far_offset`.
    """

    def __init__(self, rows: Any, device: torch.device, offset: np.ndarray | None = None) -> None:
        self.rows = rows
        self.offset = offset
        self.device = device
        self.n_features = int(np.prod(rows.shape[1:], dtype=np.int64))
        # an array is random-access already; files on disk are read faster in order
        self._ordered = isinstance(rows, np.memmap) or not isinstance(rows, np.ndarray)

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    def take(self, indices: np.ndarray) -> Tensor:
        """Return rows (m, d), float32, on the device; indices may repeat."""
        if not self._ordered:
            return self._tensor(self.rows[indices])
        distinct, place = np.unique(indices, return_inverse=True)
        return self._tensor(self.rows[distinct])[torch.from_numpy(place).to(self.device)]

    def stored(self, indices: np.ndarray) -> Any:
        """Return rows as they are stored; indices may repeat."""
        if not self._ordered:
            return self.rows[indices]
        distinct, place = np.unique(indices, return_inverse=True)
        return self.rows[distinct][place]

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield all rows in order, block by block."""
        for start in range(0, len(self), BLOCK):
            part = slice(start, min(start + BLOCK, len(self)))
            yield part, self._tensor(self.rows[part])

    def sample(self, rng: np.random.Generator) -> Tensor:
        """Return up to 4,096 rows drawn without replacement."""
        count = min(_SAMPLE, len(self))
        return self.take(np.sort(rng.choice(len(self), count, replace=False)))

    def _tensor(self, block: Any) -> Tensor:
        dense = dense_block(block)
        flat = np.ascontiguousarray(dense).reshape(len(dense), self.n_features)
        if self.offset is not None:
            flat = flat - self.offset
        if flat.dtype != np.uint8:
            flat = flat.astype(np.float32, copy=False)
        if not flat.flags.writeable:
            flat = flat.copy()
        # bytes cross to the device as bytes
        return torch.from_numpy(flat).to(self.device).float()


@torch.inference_mode()
def outputs_of(
    module: nn.Module, reader: RowReader, rotation: np.ndarray | None = None
) -> np.ndarray:
    """Return a module's outputs of all rows, block by block.

    Every product is of the same size, the last block being filled up with zeros: how a product is
    rounded depends on its size, so a row gets the same outputs, bit for bit, in whatever company
    it comes. Always in float32: reduced precision would show in labels.

    Parameters
    ----------
    module : nn.Module
    reader : RowReader
    rotation : ndarray of shape (k, m), float64, or None
        Applied to the outputs in float64.

    Returns
    -------
    ndarray of shape (n, k), float32, or (n, m), float64
    """
    module.eval()
    parts = []
    for part, rows in reader.blocks():
        count = part.stop - part.start
        if count < BLOCK:
            rows = torch.cat([rows, rows.new_zeros((BLOCK - count, rows.shape[1]))])
        outputs = module(rows).float().cpu().numpy()
        if rotation is not None:
            outputs = outputs.astype(np.float64) @ rotation
        parts.append(outputs[:count])
    return np.concatenate(parts)
