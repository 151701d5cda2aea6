"""One image file: its header, and its pixels as an array of the size and mode asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from fiedler.exceptions import InputError

Mode = Literal["L", "RGB"]

# Pillow's own limit: a quarter of a gigabyte of RGB pixels.
MAX_PIXELS = 89_478_485

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff"}
    | {".webp"}
)

_GREY = ("1", "L", "LA", "La", "I", "F")
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_WIDTH, _HEIGHT, _ORIENTATION = 0x0100, 0x0101, 0x0112  # TIFF tags


@dataclass(frozen=True)
class Header:
    """What the start of an image file says: height, width (upright), and whether it is grey."""

    height: int
    width: int
    grey: bool


def read_header(path: Path, max_pixels: int = MAX_PIXELS) -> Header:
    """Read the size of an image, as it stands upright, without decoding it.

    Raises
    ------
    InputError
        The image has more than ``max_pixels`` pixels.
    OSError
        Not an image that Pillow knows. Broken files may raise other errors of Pillow.
    """
    with path.open("rb") as file, _open(file, max_pixels) as image:
        width, height = image.size
        if isinstance(image, TiffImageFile):
            # Some versions of Pillow give the upright size of a TIFF, some the stored one.
            width, height = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
        # Pillow would decode a whole PNG to look for EXIF data behind its pixels.
        known = image.format != "PNG" or "exif" in image.info
        if known and image.getexif().get(_ORIENTATION) in _TURNED:
            width, height = height, width
        return Header(height, width, image.mode.split(";")[0] in _GREY)


def decode_image(
    file: IO[bytes], size: tuple[int, int], mode: Mode, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode an image file: upright, 8 bits a channel, on white, resized.

    The first frame is taken of an animation; transparency is laid on white; 16-bit and float
    pixels are scaled to 8 bits (floats from [0, 1] where none exceeds 1, else from [0, 255]);
    the whole image is resized to ``size``, whatever its proportions, with a filter that averages.

    Parameters
    ----------
    file : binary file
        Not a path: some versions of Pillow map a file into memory by its path, and then garble
        turned TIFF images.
    size : (int, int)
        Height and width, in pixels.
    mode : {"L", "RGB"}
        Grey or colour.

    Returns
    -------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)

    Raises
    ------
    InputError, OSError and others
        As for :func:`read_header`, or the file is truncated or corrupt.
    """
    height, width = size
    with _open(file, max_pixels) as image:
        # JPEG files decode faster at an eighth to a half of their size; twice the wanted size
        # is kept so that the final resizing, not the shortcut, decides the pixels.
        longest = 2 * max(height, width)
        image.draft(None, (longest, longest))
        image.load()
        upright = ImageOps.exif_transpose(image)
        flat = flatten(upright, mode)
        if flat.size != (width, height):
            flat = flat.resize((width, height), Image.Resampling.BILINEAR)
        return np.array(flat, dtype=np.uint8)


def _open(file: IO[bytes], max_pixels: int) -> Image.Image:
    image = Image.open(file)
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise InputError(
            f"{width} x {height} pixels are more than the limit of {max_pixels} (max_pixels)"
        )
    return image


def flatten(image: Image.Image, mode: Mode) -> Image.Image:
    """Bring any Pillow mode to ``mode``, transparency laid on white."""
    if image.mode.startswith("I") or image.mode == "F":
        return _to_eight_bits(image).convert(mode)
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert(mode)
    if image.mode in ("CMYK", "HSV", "LAB", "P", "YCbCr"):
        # There is no direct way from some of these to grey.
        image = image.convert("RGB")
    return image.convert(mode)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    if image.mode != "F":
        scale = 255.0 / 65535.0
    elif not np.isfinite(values).all():
        raise InputError("its float pixels hold NaN or infinity")
    else:
        scale = 255.0 if values.max() <= 1.0 else 1.0
    return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))
