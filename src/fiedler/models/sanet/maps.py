"""What the layers without parameters do to maps, (n, h, w, c), float32. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from fiedler.data.upright import upright
from fiedler.exceptions import InputError
from fiedler.models.sanet.patches import patch_grid, unit_length
from fiedler.models.sanet.plain_layers import (
    Binarization,
    BlockHistogram,
    Coding,
    LocalContrast,
    Normalization,
    Orientation,
    PlainLayer,
    Pooling,
    Upright,
)
from fiedler.models.sanet.values import Size

# Spread of the surroundings below which a place counts as flat, as a share of the largest pixel.
_FLAT_SPREAD = 0.01


@dataclass(frozen=True)
class Channels:
    """What is known of the maps beside their numbers.

    Attributes
    ----------
    values : ndarray of shape (c,), float64
        Eigenvalue of each map; coding goes by it.
    procedures : ndarray of shape (c,), int64
        Procedure of the last spectral layer that made each map.
    bits : int
        Bits of the codes that the maps hold, 0 where they are no codes.
    """

    values: np.ndarray
    procedures: np.ndarray
    bits: int = 0


def pixels(count: int) -> Channels:
    """Return the channels of images."""
    return Channels(np.zeros(count), np.zeros(count, dtype=np.int64))


def apply_plain(layer: PlainLayer, maps: np.ndarray, channels: Channels) -> np.ndarray:
    """Apply a layer that has nothing to fit to maps (n, h, w, c), float32."""
    match layer:
        case Pooling():
            return pool(maps, layer)
        case Normalization():
            return unit_length(maps)
        case Binarization():
            return np.asarray(maps > 0, dtype=np.float32)
        case Coding():
            return encode(maps, channels.values, layer.bits)
        case BlockHistogram():
            return block_histograms(maps, layer.size, layer.stride, channels.bits)
        case LocalContrast():
            return local_contrast(maps, layer.sigma, layer.root)
        case Orientation():
            return orientation(maps, layer.floor)
        case Upright():
            return upright(maps, layer.limit)


def pool(maps: np.ndarray, layer: Pooling) -> np.ndarray:
    """Pool in windows: the value of largest absolute value, sign kept, or the mean.

    Section III.B. Returns (n, h', w', c).
    """
    stride = layer.size if layer.stride is None else layer.stride
    grid = patch_grid(maps.shape[1:], layer.size, stride, layer.padding)
    if layer.padding == "same":
        maps = np.pad(maps, ((0, 0), *grid.padding, (0, 0)))
    best: np.ndarray | None = None
    for r in range(grid.height):
        for c in range(grid.width):
            part = maps[:, grid.rows + r][:, :, grid.columns + c]
            if best is None:
                best = part
            elif layer.kind == "average":
                best = best + part
            else:
                best = np.where(np.abs(part) > np.abs(best), part, best)
    assert best is not None
    if layer.kind == "max":
        return best
    down = _inside(grid.rows, grid.height, *grid.padding[0])
    across = _inside(grid.columns, grid.width, *grid.padding[1])
    return np.asarray(best / np.multiply.outer(down, across)[..., None], dtype=np.float32)


def _inside(starts: np.ndarray, side: int, before: int, after: int) -> np.ndarray:
    """Return how many places of each window are no padding."""
    end = int(starts[-1]) + side - after
    inside = np.minimum(starts + side, end) - np.maximum(starts, before)
    return np.asarray(inside, dtype=np.float32)


def encode(maps: np.ndarray, values: np.ndarray, bits: int) -> np.ndarray:
    """Code binary maps by rising eigenvalue, ``C = sum_j 2^(L - j) B_j``; (n, h, w, ceil(c / L)).

    Section III.D. The last group may have fewer bits.
    """
    order = np.argsort(values, kind="stable")
    groups = []
    for start in range(0, len(order), bits):
        group = order[start : start + bits]
        weights = 2.0 ** np.arange(bits - 1, bits - 1 - len(group), -1)
        groups.append((maps[..., group] > 0) @ weights.astype(np.float32))
    return np.stack(groups, axis=-1).astype(np.float32)


def block_histograms(maps: np.ndarray, size: Size, stride: Size | None, bits: int) -> np.ndarray:
    """Count codes in windows: (n, h, w, c) to (n, h', w', c * 2^bits), shares that sum to 1.

    Chan et al. (2015), "PCANet", section II.B.3.
    """
    grid = patch_grid(maps.shape[1:], size, size if stride is None else stride, "valid")
    n, channels, bins = len(maps), maps.shape[3], 2**bits
    counts = np.zeros((n, *grid.shape, channels * bins), dtype=np.float32)
    where = np.ix_(*(np.arange(count) for count in (n, *grid.shape, channels)))[:3]
    offset = bins * np.arange(channels)
    for r in range(grid.height):
        for c in range(grid.width):
            codes = maps[:, grid.rows + r][:, :, grid.columns + c].astype(np.int64) + offset
            counts[(*where, codes)] += 1.0
    return counts / np.float32(grid.height * grid.width)


def local_contrast(images: np.ndarray, sigma: float, root: bool) -> np.ndarray:
    """Take the Gaussian surroundings from each pixel and divide by their spread."""
    if root:
        images = np.sign(images) * np.sqrt(np.abs(images))
    widths = (0.0, sigma, sigma, 0.0)
    detail = images - gaussian_filter(images, widths)
    spread = np.sqrt(np.maximum(gaussian_filter(detail * detail, widths), 0.0))
    return np.asarray(detail / (spread + np.float32(_FLAT_SPREAD)), dtype=np.float32)


def orientation(images: np.ndarray, floor: float) -> np.ndarray:
    """Return ``gx / (|g| + floor)`` and ``gy / (|g| + floor)`` of each channel, (n, h, w, 2 c)."""
    across, down = np.zeros_like(images), np.zeros_like(images)
    across[:, :, 1:-1] = (images[:, :, 2:] - images[:, :, :-2]) / 2
    down[:, 1:-1] = (images[:, 2:] - images[:, :-2]) / 2
    # one-sided at the edges
    if images.shape[2] > 1:
        across[:, :, 0] = images[:, :, 1] - images[:, :, 0]
        across[:, :, -1] = images[:, :, -1] - images[:, :, -2]
    if images.shape[1] > 1:
        down[:, 0] = images[:, 1] - images[:, 0]
        down[:, -1] = images[:, -1] - images[:, -2]
    length = np.sqrt(across * across + down * down) + np.float32(floor)
    return np.concatenate([across / length, down / length], axis=3)


def channels_after(layer: PlainLayer, channels: Channels) -> Channels:
    """Return what is known of the maps that a layer gives.

    Raises
    ------
    InputError
        If codes are to be counted where there are none.
    """
    values, procedures = channels.values, channels.procedures
    match layer:
        case Coding():
            # of a code, the eigenvalue and the procedure of its leading map
            leading = np.argsort(values, kind="stable")[:: layer.bits]
            return Channels(values[leading], procedures[leading], layer.bits)
        case Pooling():
            return Channels(values, procedures, channels.bits if layer.kind == "max" else 0)
        case Orientation():
            return Channels(np.tile(values, 2), np.tile(procedures, 2))
        case BlockHistogram():
            if channels.bits == 0:
                raise InputError("BlockHistogram counts codes: put a Coding layer before it.")
            bins = 2**channels.bits
            return Channels(np.repeat(values, bins), np.repeat(procedures, bins))
        case _:
            return Channels(values, procedures)
