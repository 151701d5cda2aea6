"""What may be asked of images and clusters, checked before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fiedler.exceptions import InputError
from fiedler.models.counts import check_cluster_count
from fiedler.models.rows import refuse_channels_first


def cluster_counts(rows: Any, n_clusters: Any, max_clusters: int) -> tuple[int | None, int]:
    """Return the clusters wanted, None where they are to be chosen, and the most of them.

    Parameters
    ----------
    rows : array-like of shape (n, ...)
    n_clusters : int or "auto"
    max_clusters : int
        Most that may be chosen.

    Raises
    ------
    InputError
        If a number is out of range, or too few rows are distinct.
    """
    if isinstance(n_clusters, str) and n_clusters != "auto":
        raise InputError(f"n_clusters must be an integer or 'auto', got {n_clusters!r}.")
    most = check_cluster_count(n_clusters, max_clusters, rows)
    return (None if isinstance(n_clusters, str) else most), most


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
    if wanted is None:
        refuse_channels_first(given[1:])
        wanted = given[1:] if len(given) in (3, 4) else (1, 1, -1)
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
    return (shape[0], shape[1], shape[2] if len(shape) == 3 else 1)
