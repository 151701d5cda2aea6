"""The patch step: where patches lie, cutting them out, and bringing them into a common form.

Pure functions on arrays of maps, (n, h, w, c), float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from fiedler.exceptions import InputError
from fiedler.models.sanet.layers import Padding, SpectralLayer
from fiedler.models.sanet.values import Size, pair
from fiedler.spectrum.signs import fix_signs

# A patch this much flatter than nine tenths of the others can be has no direction to be normalised
# to; nor one whose differences are the rounding of its largest number.
_FLAT, _ROUNDING = 1e-4, 1e-6
_USUAL = 0.9
# Rows of more numbers have their principal directions found by products of so many rows.
WIDE = 4096
_NOTHING = 1e-6


@dataclass(frozen=True)
class PatchGrid:
    """Where patches lie on maps of one size.

    Attributes
    ----------
    height, width : int
        Of a patch.
    rows, columns : ndarray of int64
        First row and column of each position, on the padded map.
    padding : ((int, int), (int, int))
        Zeros before and after, vertically and horizontally.
    """

    height: int
    width: int
    rows: np.ndarray
    columns: np.ndarray
    padding: tuple[tuple[int, int], tuple[int, int]]

    @property
    def shape(self) -> tuple[int, int]:
        """Positions down and across."""
        return len(self.rows), len(self.columns)

    @property
    def n_positions(self) -> int:
        """Patches of an image."""
        return len(self.rows) * len(self.columns)


def patch_grid(
    shape: tuple[int, ...], patch: Size | None, stride: Size, padding: Padding
) -> PatchGrid:
    """Lay a grid of patches on maps.

    Parameters
    ----------
    shape : (h, w, ...)
        Of the maps.
    patch, stride, padding
        As in :class:`SpectralLayer`.

    Raises
    ------
    InputError
        If a patch does not fit into the map.
    """
    sides = tuple(shape[:2]) if patch is None else pair(patch)
    steps = pair(stride)
    starts, pads = [], []
    for size, side, step in zip(shape[:2], sides, steps, strict=True):
        count = math.ceil(size / step)
        missing = max(0, (count - 1) * step + side - size) if padding == "same" else 0
        last = size + missing - side
        if last < 0:
            raise InputError(
                f"a patch of {sides[0]} x {sides[1]} does not fit into maps of {shape[0]} x "
                f"{shape[1]}; use a smaller patch, padding='same', less pooling before, or larger "
                "images."
            )
        found = np.arange(0, last + 1, step)[: count if padding == "same" else None]
        if padding == "flush" and found[-1] != last:
            found = np.append(found, last)
        starts.append(found)
        pads.append((missing // 2, missing - missing // 2))
    return PatchGrid(sides[0], sides[1], starts[0], starts[1], (pads[0], pads[1]))


def crop(maps: np.ndarray, grid: PatchGrid) -> np.ndarray:
    """Cut out all patches: (n, h, w, c) to (n, positions, height * width * c)."""
    windows = _windows(maps, grid)[:, grid.rows][:, :, grid.columns]
    return np.ascontiguousarray(windows).reshape(len(maps), grid.n_positions, -1)


def crop_some(
    maps: np.ndarray, grid: PatchGrid, images: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Cut out single patches: image and position numbers (m,) to (m, height * width * c)."""
    down, across = np.divmod(positions, len(grid.columns))
    chosen = _windows(maps, grid)[images, grid.rows[down], grid.columns[across]]
    return np.ascontiguousarray(chosen).reshape(len(images), -1)


def _windows(maps: np.ndarray, grid: PatchGrid) -> np.ndarray:
    """Return a view (n, h', w', height, width, c) of every window."""
    if any(any(sides) for sides in grid.padding):
        maps = np.pad(maps, ((0, 0), *grid.padding, (0, 0)))
    sides = (grid.height, grid.width)
    windows = np.lib.stride_tricks.sliding_window_view(maps, sides, axis=(1, 2))
    return np.asarray(windows.transpose(0, 1, 2, 4, 5, 3))


@dataclass(frozen=True)
class Preparation:
    """What the data decided about preparing patches; absent parts are empty.

    Attributes
    ----------
    whiten_mean, whiten : ndarray of shapes (d,) and (d, d)
        ZCA: ``(x - mean) @ whiten``.
    pca_mean, pca : ndarray of shapes (d,) and (d, p)
        Principal directions: ``(x - mean) @ pca``.
    flat : ndarray of shape (), float32
        A centred patch whose largest number is below this is flat.
    """

    whiten_mean: np.ndarray
    whiten: np.ndarray
    pca_mean: np.ndarray
    pca: np.ndarray
    flat: np.ndarray


def fit_preparation(patches: np.ndarray, layer: SpectralLayer) -> Preparation:
    """Fit whitening and principal directions to a sample of patches (m, d)."""
    none = np.empty(0, dtype=np.float32)
    empty = np.empty((0, 0), dtype=np.float32)
    preparation = Preparation(none, empty, none, empty, flatness(patches))
    if layer.whiten is not None:
        mean, matrix = zca(_even(patches, layer, preparation), layer.whiten)
        preparation = replace(preparation, whiten_mean=mean, whiten=matrix)
    if layer.n_pca is not None and layer.n_pca < patches.shape[1]:
        prepared = prepare(patches, layer, preparation)
        mean, directions = principal_directions(prepared, layer.n_pca)
        preparation = replace(preparation, pca_mean=mean, pca=directions)
    return preparation


def flatness(patches: np.ndarray) -> np.ndarray:
    """Return below which largest deviation from its mean a patch (m, d) of these counts as flat.

    It goes by the patches, not by the images' largest number, which one broken pixel decides.
    """
    if not patches.size:
        return np.zeros((), dtype=np.float32)
    spread = np.abs(patches - patches.mean(axis=1, keepdims=True)).max(axis=1)
    uneven = spread > 0
    if not uneven.any():
        return np.zeros((), dtype=np.float32)
    rounding = _ROUNDING * np.quantile(np.abs(patches[uneven]).max(axis=1), _USUAL)
    return np.asarray(max(_FLAT * np.quantile(spread[uneven], _USUAL), rounding), dtype=np.float32)


def prepare(patches: np.ndarray, layer: SpectralLayer, preparation: Preparation) -> np.ndarray:
    """Bring patches (m, d) into the form in which they are compared, float32 (m, p)."""
    patches = _even(patches, layer, preparation)
    if preparation.whiten.size:
        patches = (patches - preparation.whiten_mean) @ preparation.whiten
    if layer.unit:
        patches = unit_length(patches)
    if preparation.pca.size:
        patches = (patches - preparation.pca_mean) @ preparation.pca
    return np.ascontiguousarray(patches, dtype=np.float32)


def _even(patches: np.ndarray, layer: SpectralLayer, preparation: Preparation) -> np.ndarray:
    """Take out brightness and contrast of each patch, as far as the layer asks for it."""
    if layer.center:
        patches = patches - patches.mean(axis=1, keepdims=True)
        # rounding would tell flat patches of different brightness apart
        flat = np.abs(patches).max(axis=1, initial=0.0) < preparation.flat
        patches[flat] = 0.0
    if layer.contrast is not None:
        variance = patches.var(axis=1, keepdims=True)
        patches = patches / np.sqrt(variance + np.float32(layer.contrast))
    return patches


def unit_length(rows: np.ndarray) -> np.ndarray:
    """Scale rows (..., d) to unit length; rows of length zero stay zero."""
    length = np.sqrt(np.einsum("...i,...i->...", rows, rows))[..., None]
    return np.asarray(rows / np.where(length > 0, length, 1.0))


def zca(rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and symmetric whitening matrix (d, d), float32.

    ``U (S + share * mean(S))^-1/2 U^T`` with the eigenvalues S of the covariance (Bell & Sejnowski
    1997).
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    values = np.maximum(values, 0.0)
    floor = share * max(float(values.mean()), 1e-12)
    matrix = (vectors / np.sqrt(values + floor)) @ vectors.T
    return mean.astype(np.float32), matrix.astype(np.float32)


def principal_directions(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and the leading principal directions (d, count), float32, signs fixed.

    Of rows of more than 4,096 numbers no more than 4,096, evenly spaced, are looked at.
    """
    n, d = rows.shape
    if d > WIDE:
        return _wide_directions(rows[:: -(-n // WIDE)], count)
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = (rows - mean).astype(np.float32)
    small = (centred.T @ centred).astype(np.float64)
    _, vectors = scipy.linalg.eigh(small, subset_by_index=(d - min(count, d), d - 1))
    return mean.astype(np.float32), _as_directions(vectors)


def _wide_directions(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and principal directions by the products of rows with each other."""
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = rows - mean
    n, kept = len(rows), min(count, len(rows))
    small = (centred @ centred.T).astype(np.float64)
    values, vectors = scipy.linalg.eigh(small, subset_by_index=(n - kept, n - 1))
    # centred rows span one direction less than there are rows
    real = values > values[-1] * _NOTHING
    along = centred.T @ (vectors[:, real] / np.sqrt(values[real])).astype(np.float32)
    return mean, _as_directions(along)


def _as_directions(vectors: np.ndarray) -> np.ndarray:
    """Return eigenvectors by falling eigenvalue, signs fixed, float32."""
    return np.ascontiguousarray(fix_signs(vectors[:, ::-1]), dtype=np.float32)
