"""What images have what shape, checked before anything is computed."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fiedler.exceptions import FlatImagesWarning, InputError
from fiedler.models.rows import refuse_channels_first, without_channel

# Rows that show whether all of them may be pixels.
_LOOKED_AT = 256


def resolve_shape(
    wanted: tuple[int, ...] | None, given: tuple[int, ...], n_features: int
) -> tuple[int, int, int]:
    """Return height, width and channels of images.

    Parameters
    ----------
    wanted : tuple of int or None
        ``image_shape``, in which one side may be -1.
    given : tuple of int
        Shape of all images as they came.
    n_features : int
        Numbers in an image.

    Raises
    ------
    InputError
        If the shape does not fit.
    """
    images = given[1:] if len(given) > 2 else ()
    if len(given) > 4:
        raise InputError(
            f"images are (n, h, w) or (n, h, w, channels), got shape {given}; reshape them."
        )
    if wanted is None:
        refuse_channels_first(given[1:])
        wanted = images or (1, 1, -1)
    try:
        shape = np.empty((1, n_features), dtype=bool).reshape(1, *wanted).shape[1:]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"image_shape={wanted!r} does not fit rows of {n_features} numbers; give "
            "height, width and, for colour, channels."
        ) from error
    if len(shape) not in (2, 3):
        raise InputError(
            f"an image has height, width and, for colour, channels; got image_shape={wanted!r}."
        )
    # with a side of -1 images are reshaped on purpose
    if images and -1 not in wanted and without_channel(shape) != without_channel(images):
        raise InputError(
            f"image_shape is {wanted}, but the images have shape {images}; leave image_shape out, "
            "or reshape them."
        )
    return (shape[0], shape[1], shape[2] if len(shape) == 3 else 1)


def square_sides(n_features: int) -> tuple[int, ...] | None:
    """Return the shape of square images, grey or of three channels, that rows may be; else None."""
    for channels in (1, 3):
        side = math.isqrt(n_features // channels)
        if side > 1 and side * side * channels == n_features:
            return (side, side) if channels == 1 else (side, side, channels)
    return None


def refuse_vectors(preset: str, n_features: int) -> None:
    """Refuse a preset that cuts patches where rows have no shape.

    Raises
    ------
    InputError
        With the shape that they may have.
    """
    sides = square_sides(n_features)
    example = (28, 28) if sides is None else sides
    raise InputError(
        f"layers={preset!r} cuts patches out of images, and rows of {n_features} numbers have no "
        f"height and width; if they are pixels, set image_shape, as in image_shape={example}, else "
        "use layers='default'."
    )


def warn_of_flat_images(rows: Any) -> None:
    """Warn where plain rows look like the pixels of square images: whole numbers, 0 to 255."""
    sides = square_sides(int(rows.shape[1]))
    if sides is None or sides[0] < 8 or not isinstance(rows, np.ndarray):
        return
    some = rows[:_LOOKED_AT]
    if 127 < some.max() <= 255 and some.min() >= 0 and (some == np.floor(some)).all():
        warnings.warn(
            f"rows of {rows.shape[1]} whole numbers up to 255 are taken as plain vectors; if they "
            f"are images, set image_shape={sides}, so that patches can be cut.",
            FlatImagesWarning,
            stacklevel=4,
        )
