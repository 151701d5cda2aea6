"""Images described by the directions of their edges: histograms of gradient orientation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from fiedler.data.arrays import dense_block
from fiedler.exceptions import InputError
from fiedler.progress import ProgressCallback, silent

# About so many cells across the shorter side, none much smaller than two pixels.
_CELLS = 10
_SMALLEST_CELL = 1.6
_ORIENTATIONS = 8
# Widths of the Gaussians, in cells: of the cells themselves, and of the smoothing before.
_CELL_WIDTH = 2 / 3
_SMOOTHING = 1 / 6
# Pixels that are described at once: the work space is some fifteen times as large.
BLOCK_PIXELS = 1_000_000


def gradient_histograms(
    images: Any,
    image_shape: tuple[int, ...] | None = None,
    *,
    progress: ProgressCallback = silent,
) -> np.ndarray:
    """Describe images by where which orientations of their gradients lie.

    Neighbours among these rows look alike where neighbours among pixels only overlap: a small
    shift, a thicker stroke or another brightness changes them little. Histograms of 8 signed
    orientations, each gradient shared between the two nearest, in some 10 overlapping Gaussian
    cells across the shorter side, as in SIFT (Lowe 2004) and HOG (Dalal & Triggs 2005); of the
    channels of a pixel the one with the largest gradient counts. Square roots, then unit norm, as
    in Arandjelovic & Zisserman (2012), so that Euclidean distances are those of Hellinger.

    Parameters
    ----------
    images : array-like of shape (n, h, w), (n, h, w, c) or, with ``image_shape``, (n, h * w * c)
        An array, a memory map, an ImageFolder; read block by block.
    image_shape : tuple of int, optional
        (h, w) or (h, w, c) of flat rows.
    progress : callable
        Called as ``progress("gradients", done, total)`` after each block.

    Returns
    -------
    ndarray of shape (n, d), float32
        Rows of unit norm, d about 800; zeros for an image of one brightness.

    Raises
    ------
    InputError
        If the rows are no images of 2 by 2 pixels or more.
    """
    n, *own = (int(size) for size in images.shape)
    shape = (*(image_shape or own), 1)[:3]
    if len(shape) < 3 or min(shape) < 1 or min(shape[:2]) < 2 or math.prod(shape) != math.prod(own):
        raise InputError(
            "gradients need images of at least 2 x 2 pixels, (n, h, w) or (n, h, w, c), or flat "
            f"rows with their image_shape; got shape {tuple(images.shape)}, image_shape "
            f"{image_shape}."
        )
    cell = _cell(shape)
    down, across = (_cells(side, cell) for side in shape[:2])
    found: np.ndarray = np.empty((n, _ORIENTATIONS * len(down) * len(across)), dtype=np.float32)
    block = max(1, BLOCK_PIXELS // math.prod(shape))
    for start in range(0, n, block):
        part = _to_unit(dense_block(images[start : start + block]))
        smooth = _SMOOTHING * cell
        part = gaussian_filter(part.reshape(-1, *shape), (0, smooth, smooth, 0))
        cells = np.matmul(down, oriented(part)) @ across.T
        rows = np.sqrt(cells.reshape(len(part), -1))
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        found[start : start + block] = rows / np.where(norms > 0, norms, 1)
        progress("gradients", min(start + block, n), n)
    return found


def has_enough_pixels(image_shape: tuple[int, ...]) -> bool:
    """Tell whether images have as many pixels across as there should be cells.

    Smaller ones are better compared by their pixels: digits of 8 x 8 lose two points by gradients.
    """
    return min(image_shape[:2]) >= _CELLS


def count_gradient_features(image_shape: tuple[int, ...]) -> int:
    """Return how long the rows of :func:`gradient_histograms` are, for images of such a shape."""
    cell = _cell(image_shape)
    return _ORIENTATIONS * math.prod(_count(side, cell) for side in image_shape[:2])


def _cell(image_shape: tuple[int, ...]) -> float:
    return max(_SMALLEST_CELL, min(image_shape[:2]) / _CELLS)


def _count(side: int, cell: float) -> int:
    return max(1, round(side / cell))


def _to_unit(images: np.ndarray) -> np.ndarray:
    """Bring each image to values from 0 to 1, so that neither offset nor scale costs digits."""
    axes = tuple(range(1, images.ndim))
    wide = images if images.dtype == np.float64 else images.astype(np.float32)
    least = wide.min(axis=axes, keepdims=True)
    spread = wide.max(axis=axes, keepdims=True) - least
    return np.asarray((wide - least) / np.where(spread > 0, spread, 1), dtype=np.float32)


def _cells(side: int, cell: float) -> np.ndarray:
    """Return the weight of each pixel in each of the evenly spaced cells, (cells, side)."""
    count = _count(side, cell)
    centres = (np.arange(count) + 0.5) * side / count - 0.5
    apart = (np.arange(side) - centres[:, None]) / (_CELL_WIDTH * cell)
    return np.exp(-0.5 * apart**2).astype(np.float32)


def oriented(images: np.ndarray) -> np.ndarray:
    """Split the gradient's magnitude between the two nearest of 8 orientations.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, c), float32

    Returns
    -------
    ndarray of shape (n, 8, h, w), float32
        The first orientation is along the rows, to the right; then clockwise on the screen.
    """
    down, right = np.gradient(images, axis=(1, 2))
    size = np.hypot(down, right)
    if images.shape[3] > 1:
        largest = size.argmax(axis=3)[..., None]
        down, right, size = (np.take_along_axis(a, largest, axis=3) for a in (down, right, size))
    down, right, size = down[..., 0], right[..., 0], size[..., 0]
    turn = np.arctan2(down, right) * np.float32(_ORIENTATIONS / (2 * np.pi))
    found = np.empty((len(images), _ORIENTATIONS, *images.shape[1:3]), dtype=np.float32)
    half = _ORIENTATIONS // 2
    for place in range(_ORIENTATIONS):
        apart = np.abs(turn - np.float32(place if place <= half else place - _ORIENTATIONS))
        np.minimum(apart, _ORIENTATIONS - apart, out=apart)
        np.multiply(np.maximum(1 - apart, 0, out=apart), size, out=found[:, place])
    return found
