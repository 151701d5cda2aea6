"""Pictures small enough to travel inside a page.

Kernels: `as_image` (any row to a PIL image), `thumbnail`, `png_uri` (one picture) and
`sprite_sheets` (thousands of them in a few compressed sheets).
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

# Pixels of all pictures of a kind together: what keeps a page of any number of rows below 15 MB.
EXAMPLE_PIXELS = 1_500_000
SHEET_PIXELS = 8_000_000
SHEET_SIDE = 32
LARGEST_EXAMPLE = 128
LARGEST_THUMBNAIL = 64
SMALLEST = 12
# The mean of so many pictures looks like the mean of all.
MEAN_OF = 400


@dataclass(frozen=True)
class SpriteSheets:
    """Thumbnails of many rows, packed row by row into square sheets.

    Parameters
    ----------
    uris : list of str
        One ``data:`` address per sheet.
    side : int
        Width and height of a thumbnail, in pixels.
    """

    uris: list[str]
    side: int

    @staticmethod
    def place(position: NDArray[np.integer[Any]], side: int) -> tuple[NDArray[np.int32], ...]:
        """Sheet number and the left and upper edge (pixels) of the thumbnails at `position`."""
        sheet, cell = np.divmod(position, SHEET_SIDE * SHEET_SIDE)
        row, column = np.divmod(cell, SHEET_SIDE)
        return tuple(
            np.asarray(part, dtype=np.int32) for part in (sheet, column * side, row * side)
        )


def as_image(picture: Any) -> Image:
    """Turn one row into an 8-bit grey or RGB image.

    Parameters
    ----------
    picture : array, shape (h, w) or (h, w, channels)
        Grey, or colours where there are 3 channels or 4 (with alpha); of other numbers of channels
        the mean is shown. uint8, or any other type, which is stretched from its smallest to its
        largest value unless it lies in [0, 1].
    """
    from PIL import Image

    values = np.asarray(picture)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    elif values.ndim == 3 and values.shape[2] not in (3, 4):
        mean = values.mean(axis=2)
        values = np.rint(mean).astype(np.uint8) if values.dtype == np.uint8 else mean
    if values.dtype != np.uint8:
        values = np.nan_to_num(values.astype(np.float64))
        low, high = float(values.min()), float(values.max())
        if low < 0.0 or high > 1.0:
            values = (values - low) / max(high - low, 1e-12)
        values = np.rint(values * 255).astype(np.uint8)
    image: Image.Image = Image.fromarray(np.ascontiguousarray(values))
    return image.convert("RGB") if image.mode == "RGBA" else image


def mean_picture(pictures: Any, members: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Mean of the pictures of some rows, of at most `MEAN_OF` of them, evenly chosen.

    Parameters
    ----------
    pictures : array of shape (n, ...), or lazily decoded rows
    members : ndarray of int, not empty

    Returns
    -------
    ndarray of float64, shape of one picture
        In [0, 1] for uint8 pictures.
    """
    step = -(-len(members) // MEAN_OF)
    total: Any = 0.0
    chosen = members[::step]
    for row in chosen.tolist():
        picture = np.asarray(pictures[row])
        total = total + picture.astype(np.float64) / (255.0 if picture.dtype == np.uint8 else 1.0)
    return np.asarray(total / len(chosen), dtype=np.float64)


def thumbnail(picture: Any, side: int) -> Image:
    """Shrink a picture to fit in a square of `side` pixels; small pictures stay as they are."""
    image = as_image(picture)
    image.thumbnail((side, side))
    return image


def example_side(count: int) -> int:
    """Side in pixels that lets `count` example pictures share `EXAMPLE_PIXELS`."""
    return _side(count, EXAMPLE_PIXELS, LARGEST_EXAMPLE)


def _side(count: int, pixels: int, largest: int) -> int:
    return max(SMALLEST, min(largest, math.isqrt(pixels // max(count, 1))))


def png_uri(image: Image) -> str:
    """Encode an image as a ``data:`` address."""
    return _uri(image, "PNG", optimize=True)


def _uri(image: Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    code = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{code}"


def sprite_sheets(pictures: Iterable[Any], count: int) -> SpriteSheets:
    """Pack thumbnails of `count` pictures into sheets of 32 x 32, compressed as WebP.

    Parameters
    ----------
    pictures : iterable of arrays
        Read one at a time, in order.
    count : int
        How many there are; decides the size of a thumbnail.

    Returns
    -------
    SpriteSheets
    """
    from PIL import Image

    side = 0
    per_sheet = SHEET_SIDE * SHEET_SIDE
    uris: list[str] = []
    sheet: Image.Image | None = None
    for position, picture in enumerate(pictures):
        image = as_image(picture)
        if side == 0:
            side = min(_side(count, SHEET_PIXELS, LARGEST_THUMBNAIL), max(image.size))
        if sheet is None:
            left = min(per_sheet, count - position)
            sheet = Image.new("RGB", (side * SHEET_SIDE, side * math.ceil(left / SHEET_SIDE)))
        image.thumbnail((side, side))
        cell = position % per_sheet
        corner = (
            cell % SHEET_SIDE * side + (side - image.width) // 2,
            cell // SHEET_SIDE * side + (side - image.height) // 2,
        )
        sheet.paste(image, corner)
        if cell == per_sheet - 1 or position == count - 1:
            uris.append(_uri(sheet, "WEBP", quality=70, method=2))
            sheet = None
    return SpriteSheets(uris, side)
