"""Rows grouped into cells, the inverted file of the neighbour search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fiedler.graph.blocks import RowBlocks, block_size
from fiedler.graph.precision import scan_dtype

ROWS_PER_CELL = 400
_LLOYD_STEPS = 6
_TRAINING_ROWS_PER_CELL = 40
# Shapes of bfloat16 products are padded to multiples of this: each new shape costs a kernel
# compilation in oneDNN.
_PAD = 64
_BLOCK = 4096
# Rows meet all centroids in groups of this size, whose scores stay in the processor's cache.
_LOOKUP_ROWS = 512
# Wide rows come in smaller blocks: of each, several copies live at once (bytes, float32, shifted,
# bfloat16), and what is freed in between is not all given back.
_BLOCK_BYTES = 3 << 20


@dataclass(frozen=True)
class CellIndex:
    """Rows grouped into cells.

    Attributes
    ----------
    directions : torch.Tensor of shape (d, r), float32, orthonormal columns, or None
        Where given, cells are made and scanned in these directions; else ``r = d``.
    centroids : torch.Tensor of shape (c, r)
    order : torch.Tensor of shape (n,), int64
        Original row at each stored position.
    starts, sizes : list of int
        First padded position and number of rows of each cell.
    stored : RowBlocks of shape (n, d)
        Rows in stored order, in their own dtype, for exact distances.
    positions : torch.Tensor of shape (p,), int64
        Stored position at each padded position (-1 for padding).
    scanned : torch.Tensor of shape (p, r)
        Padded rows in the dtype of the scan; where that is float32, which is not padded, and there
        are no directions, the stored ones themselves unless these are bytes.
    norms : torch.Tensor of shape (p,)
        Squared norms of the whole rows (infinity for padding).
    """

    directions: torch.Tensor | None
    centroids: torch.Tensor
    order: torch.Tensor
    starts: list[int]
    sizes: list[int]
    stored: RowBlocks
    positions: torch.Tensor
    scanned: torch.Tensor
    norms: torch.Tensor

    def narrow(self, block: torch.Tensor) -> torch.Tensor:
        """Return rows, (m, d), as the cells know them, (m, r)."""
        return _narrow(block, self.directions)


def _narrow(block: torch.Tensor, directions: torch.Tensor | None) -> torch.Tensor:
    return block if directions is None else block @ directions


def build_cells(
    rows: RowBlocks,
    rng: np.random.Generator,
    device: torch.device,
    directions: torch.Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> CellIndex:
    """Group rows into about ``n / 400`` cells by a coarse k-means on a sample.

    ``directions`` and ``dtype`` tell how they are scanned: by default whole, in the precision that
    the device is fast in.
    """
    n_cells = max(1, min(len(rows) // ROWS_PER_CELL, 4096))
    centroids = _coarse_centroids(rows, n_cells, rng, device, directions)
    dtype = scan_dtype(device) if dtype is None else dtype
    cells, row_norms, narrowed = _place_rows(rows, centroids, directions, dtype)
    order = cells.argsort(stable=True).cpu()
    sizes = torch.bincount(cells, minlength=n_cells).cpu()
    padded = sizes + filling(sizes, dtype)
    starts = padded.cumsum(0) - padded
    offsets = torch.arange(len(rows)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    target = starts.repeat_interleave(sizes) + offsets
    positions = torch.full((int(padded.sum()),), -1, dtype=torch.int64)
    positions[target] = torch.arange(len(rows))
    norms = torch.full((len(positions),), torch.inf, device=device)
    norms[target.to(device)] = row_norms[order.to(device)]
    stored = _gather_rows(rows, order)
    if narrowed is None:
        scanned = _scanned_rows(stored, target, len(positions), dtype, device)
    else:
        scanned = narrowed.new_zeros(len(positions), narrowed.shape[1])
        scanned[target.to(device)] = narrowed[order.to(device)]
    return CellIndex(
        directions,
        centroids,
        order,
        starts.tolist(),
        sizes.tolist(),
        stored,
        positions,
        scanned,
        norms,
    )


def _place_rows(
    rows: RowBlocks, centroids: torch.Tensor, directions: torch.Tensor | None, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return each row's cell, its squared norm and, if there are directions, its narrow form."""
    n, device = len(rows), centroids.device
    cells = torch.empty(n, dtype=torch.int64, device=device)
    norms = torch.empty(n, device=device)
    narrowed = (
        None if directions is None else centroids.new_empty(n, centroids.shape[1], dtype=dtype)
    )
    for start, block in rows.blocks(min(_BLOCK, block_size(rows.shape[1], _BLOCK_BYTES))):
        own = slice(start, start + len(block))
        norms[own] = (block * block).sum(1)
        narrow = _narrow(block.to(device), directions)
        cells[own] = nearest_cells(narrow, centroids, 1)[:, 0]
        if narrowed is not None:
            narrowed[own] = narrow.to(dtype)
    return cells, norms, narrowed


def _scanned_rows(
    stored: RowBlocks, target: torch.Tensor, total: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Return the whole rows as they are scanned, each at its padded position."""
    if device.type == "cpu" and stored.rows.dtype == dtype == torch.float32:
        whole: torch.Tensor = stored.rows  # not padded, and not held twice
        return whole
    scanned = torch.zeros(total, stored.shape[1], dtype=dtype, device=device)
    for start, block in stored.blocks(min(_BLOCK, block_size(stored.shape[1], _BLOCK_BYTES))):
        scanned[target[start : start + len(block)].to(device)] = block.to(device, dtype)
    return scanned


def filling(size: Any, dtype: torch.dtype) -> Any:
    """Return how many rows are added to so many, a number or a tensor, before a product."""
    return size * 0 if dtype == torch.float32 else -size % _PAD


def _gather_rows(rows: RowBlocks, order: torch.Tensor) -> RowBlocks:
    """Copy rows in the given order: bytes stay bytes, all else becomes what it is searched by."""
    is_bytes = str(rows.rows.dtype) in ("uint8", "torch.uint8") and rows.metric == "euclidean"
    zero = torch.zeros_like(rows.shift)
    source = RowBlocks(rows.rows, shift=zero) if is_bytes else rows
    stored = torch.empty(rows.shape, dtype=torch.uint8 if is_bytes else torch.float32)
    size = min(_BLOCK, block_size(rows.shape[1], _BLOCK_BYTES))
    for start in range(0, len(order), size):
        stored[start : start + size] = source.take(order[start : start + size]).to(stored.dtype)
    return RowBlocks(stored, shift=rows.shift if is_bytes else zero)


def _coarse_centroids(
    rows: RowBlocks,
    n_cells: int,
    rng: np.random.Generator,
    device: torch.device,
    directions: torch.Tensor | None,
) -> torch.Tensor:
    """Return centroids from a sample, in an order that keeps near ones together.

    Consecutive rows of the stored order then probe the same cells, in larger products.
    """
    size = min(len(rows), n_cells * _TRAINING_ROWS_PER_CELL)
    chosen = np.sort(rng.choice(len(rows), size, replace=False))
    sample = _narrow(rows.take(chosen).to(device), directions)
    centroids = _lloyd(sample, n_cells, rng)
    groups = _lloyd(centroids, max(1, round(n_cells**0.5)), rng)
    return centroids[nearest_cells(centroids, groups, 1)[:, 0].argsort(stable=True)]


def _lloyd(sample: torch.Tensor, count: int, rng: np.random.Generator) -> torch.Tensor:
    """Return the centres of a few steps of k-means, (count, d)."""
    start = torch.from_numpy(rng.choice(len(sample), count, replace=False)).to(sample.device)
    centroids = sample[start].clone()
    for _ in range(_LLOYD_STEPS):
        cells = nearest_cells(sample, centroids, 1)[:, 0]
        counts = torch.bincount(cells, minlength=count)[:, None]
        sums = torch.zeros_like(centroids).index_add_(0, cells, sample)
        centroids = torch.where(counts > 0, sums / counts.clamp(min=1), centroids)
    return centroids


def nearest_cells(block: torch.Tensor, centroids: torch.Tensor, count: int) -> torch.Tensor:
    """Return the ``count`` nearest cells of each row in order, shape (m, count)."""
    dtype = scan_dtype(block.device)
    norms = (centroids * centroids).sum(1)
    columns = centroids.to(dtype).T
    nearest = []
    for part in torch.split(block, _LOOKUP_ROWS):
        if dtype == torch.float32:
            score = torch.addmm(norms, part, columns, alpha=-2.0)
        else:
            score = torch.add(norms, part.to(dtype) @ columns, alpha=-2.0)
        nearest.append(_smallest(score, count))
    return torch.cat(nearest)


def _smallest(score: torch.Tensor, count: int) -> torch.Tensor:
    """Return the columns of each row's smallest scores in order; on a CPU numpy is faster."""
    if score.device.type != "cpu":
        return score.topk(count, dim=1, largest=False).indices
    values = score.numpy()
    if count == 1:
        return torch.from_numpy(values.argmin(axis=1)[:, None])
    columns = values.argpartition(count - 1, axis=1)[:, :count]
    order = np.take_along_axis(values, columns, axis=1).argsort(axis=1, kind="stable")
    return torch.from_numpy(np.take_along_axis(columns, order, axis=1))
