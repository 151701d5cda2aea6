"""Images brought upright: sheared until what they show does not slant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fiedler.data.arrays import dense_block

# Pixels that are sheared at once: the work space is some fifteen times as large.
_BLOCK_PIXELS = 2_000_000


def upright(images: np.ndarray, limit: float = 1.0) -> np.ndarray:
    """Shear images along their rows until their brightness has no mixed moment.

    Each row is moved by ``a (y - my)`` pixels, ``a = m11 / m02`` with the central second moments
    of the brightness (absolute values, all channels), so that ``m11`` becomes 0, as in the
    deslanted digits of LeCun et al. (1998), section III.A. What leaves the picture is lost.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, c), float32
    limit : float
        Largest shear, in columns a row.

    Returns
    -------
    ndarray of shape (n, h, w, c), float32
    """
    height, width = images.shape[1:3]
    mass = np.abs(images).sum(axis=3)
    total = np.maximum(mass.sum(axis=(1, 2)), np.float32(1e-12))
    down, across = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    y = down - ((mass.sum(axis=2) @ down) / total)[:, None]
    x = across - ((mass.sum(axis=1) @ across) / total)[:, None]
    mixed = np.einsum("nyx,ny,nx->n", mass, y, x)
    spread = np.einsum("nyx,ny->n", mass, y * y)
    shear = np.clip(mixed / np.maximum(spread, np.float32(1e-12)), -limit, limit)
    # between two columns the value is interpolated; beyond the edges there is nothing
    places = across + (shear[:, None] * y)[:, :, None]
    left = np.floor(places).astype(np.int64)
    share = (places - left)[..., None]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (0, 0)))
    near, far = (
        np.take_along_axis(padded, np.clip(column + 1, 0, width + 1)[..., None], axis=2)
        for column in (left, left + 1)
    )
    return np.asarray((1 - share) * near + share * far, dtype=np.float32)


def upright_rows(rows: Any, image_shape: tuple[int, ...]) -> np.ndarray:
    """Bring images upright, block by block.

    Brightness counts from each image's darkest pixel, and what comes in from outside is as dark: so
    a constant that is added to all pixels stays one, and costs no digits.

    Parameters
    ----------
    rows : array-like of shape (n, ...)
        Images, flat or not: an array, a memory map, an ImageFolder. Sheared in float32.
    image_shape : tuple of int
        (h, w) or (h, w, c).

    Returns
    -------
    ndarray of the shape and dtype of the rows
        Rounded where all numbers are whole, so that pixels give the same as bytes and as floats.
    """
    shape = (*image_shape, 1)[:3]
    found: np.ndarray = np.empty(rows.shape, dtype=rows.dtype)
    block = max(1, _BLOCK_PIXELS // math.prod(shape))
    starts = range(0, int(rows.shape[0]), block)
    whole = np.issubdtype(rows.dtype, np.integer) or all(
        np.array_equal(part, np.rint(part))
        for part in (dense_block(rows[start : start + block]) for start in starts)
    )
    for start in starts:
        part = dense_block(rows[start : start + block])
        darkest = part.min(axis=tuple(range(1, part.ndim)), keepdims=True)
        images = (part - darkest).astype(np.float32).reshape(-1, *shape)
        sheared = upright(images).reshape(part.shape)
        found[start : start + block] = (np.rint(sheared) if whole else sheared) + darkest
    return found
