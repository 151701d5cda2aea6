"""Maps of all images, block by block: the images themselves, or what layers made of them.

Nothing here holds more than one block of maps, unless it is asked to materialise them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from fiedler.data.arrays import dense_block
from fiedler.exceptions import InputError, OutlierWarning, warn_user
from fiedler.progress import ProgressCallback, silent

Step = Callable[[np.ndarray], np.ndarray]
# Numbers of a block of images, with all that layers make of it on the way.
BLOCK_BYTES = 96 << 20
# Images whose largest number is below this are refused.
_LEAST_SCALE = 1e-30
# Outliers: so many times what nearly all numbers of so many images are below.
_OUTLYING, _NEARLY_ALL, _LOOKED_AT = 100.0, 0.999, 1000


@dataclass(frozen=True)
class MapSource:
    """Maps (n, h, w, c) that are computed when they are read.

    Attributes
    ----------
    rows : array-like of shape (n, ...)
        What is stored.
    shape : (h, w, c)
        Of the maps that come out.
    steps : tuple of callables
        From a block of rows to a block of maps, applied one after the other.
    bytes_per_image : int
        The most that one image takes on the way.
    """

    rows: Any
    shape: tuple[int, int, int]
    steps: tuple[Step, ...] = ()
    bytes_per_image: int = 1

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    def read(self, selection: Any) -> np.ndarray:
        """Return the maps of a slice or of sorted row numbers, float32."""
        block = self.rows[selection]
        for step in self.steps:
            block = step(block)
        return np.asarray(block, dtype=np.float32)

    def blocks(self, extra_bytes: int = 0) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(start, maps)`` over all images, ``extra_bytes`` being needed for each."""
        size = self.block_size(extra_bytes)
        for start in range(0, len(self), size):
            yield start, self.read(slice(start, start + size))

    def block_size(self, extra_bytes: int = 0) -> int:
        """Return the images of a block."""
        own = max(self.bytes_per_image, 4 * int(np.prod(self.shape)))
        return max(1, BLOCK_BYTES // (own + extra_bytes))

    def then(self, step: Step, shape: tuple[int, int, int], extra_bytes: int = 0) -> MapSource:
        """Return the source of what a further step makes of the maps."""
        need = max(self.bytes_per_image, extra_bytes, 4 * int(np.prod(shape)))
        return MapSource(self.rows, shape, (*self.steps, step), need)

    def materialized(self, progress: ProgressCallback = silent, stage: str = "maps") -> MapSource:
        """Compute all maps once and return them as a source without steps."""
        maps = np.empty((len(self), *self.shape), dtype=np.float32)
        for start, block in self.blocks():
            maps[start : start + len(block)] = block
            progress(stage, start + len(block), len(self))
        return MapSource(maps, self.shape)


def image_source(rows: Any, shape: tuple[int, int, int], scale: float) -> MapSource:
    """Return rows of any storage as images (h, w, c), divided by ``scale``."""

    def to_images(block: Any) -> np.ndarray:
        dense = np.asarray(dense_block(block), dtype=np.float32)
        return dense.reshape(len(dense), *shape) / np.float32(scale)

    return MapSource(rows, shape, (to_images,))


def largest_absolute(rows: Any) -> float:
    """Return the largest absolute value of rows, 1 where all are zero.

    A warning tells where it is of a few broken pixels: images are divided by it.

    Raises
    ------
    InputError
        If it is too small for float32.
    """
    largest = 0.0
    size = max(1, BLOCK_BYTES // (4 * int(np.prod(rows.shape[1:]))))
    for start in range(0, rows.shape[0], size):
        block = rows[start : start + size]
        largest = max(largest, float(abs(block).max()), float(abs(block.min())))
    if 0 < largest < _LEAST_SCALE:
        raise InputError(
            f"the largest number in X is {largest:.3g}: single precision holds no differences so "
            "small. Multiply X by a constant, such as the inverse of that."
        )
    _warn_of_outliers(rows, largest)
    return largest or 1.0


def _warn_of_outliers(rows: Any, largest: float) -> None:
    some = dense_block(rows[:: max(1, rows.shape[0] // _LOOKED_AT)])
    usual = float(np.quantile(np.abs(some), _NEARLY_ALL))
    if 0 < usual * _OUTLYING < largest:
        warn_user(
            f"the largest number in X is {largest:.3g}, {largest / usual:,.0f} times as large as "
            f"{_NEARLY_ALL:.1%} of the others: images are scaled by it, so that the rest looks "
            "flat. If these are broken pixels, clip X.",
            OutlierWarning,
        )


def row_digests(rows: np.ndarray) -> np.ndarray:
    """Return 128 bits for each row (m, d), equal for equal float32 rows: (m, 2), int64."""
    plain = np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=np.float32)
    plain = plain + np.float32(0.0)  # -0.0 equals 0.0
    joined = b"".join(blake2b(row, digest_size=16).digest() for row in plain)
    return np.frombuffer(joined, dtype=np.int64).reshape(-1, 2)


def all_digests(rows: Any) -> np.ndarray:
    """Return the digests of rows of any storage, (n, 2), read block by block."""
    plain = image_source(rows, (1, 1, int(np.prod(rows.shape[1:]))), 1.0)
    return np.concatenate([row_digests(block) for _, block in plain.blocks()])


def distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find equal rows.

    Returns
    -------
    first : ndarray of int64, shape (u,)
        First row of each kind, ascending.
    kind : ndarray of int64, shape (m,)
        Kind of each row, an index into ``first``.
    """
    digests = np.ascontiguousarray(row_digests(rows)).view([("a", np.int64), ("b", np.int64)])[:, 0]
    _, first, kind = np.unique(digests, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[kind.ravel()]
