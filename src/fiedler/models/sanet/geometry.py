"""The shapes of maps on their way through a stack of layers; nothing is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fiedler.exceptions import InputError
from fiedler.models.sanet.layers import Layer, SpectralLayer, VotingLayer
from fiedler.models.sanet.maps import Channels, apply_plain, channels_after, pixels
from fiedler.models.sanet.procedures import n_columns
from fiedler.models.sanet.spectral import layer_grid
from fiedler.models.sanet.voting import n_vectors

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Passage:
    """One layer of a stack and the maps before and after it.

    Attributes
    ----------
    layer : layer object
    name : str
        Number and kind, as messages have it.
    before, after : (h, w, c)
    """

    layer: Layer
    name: str
    before: Shape
    after: Shape


def passages(layers: Sequence[Layer], shape: Shape, n_clusters: int) -> list[Passage]:
    """Follow images (h, w, c) through layers.

    Raises
    ------
    InputError
        If a layer cannot take the maps that come to it; its number and kind are named.
    """
    found, channels = [], pixels(shape[2])
    for number, layer in enumerate(layers, start=1):
        name = f"layer {number} ({type(layer).__name__})"
        try:
            after, channels = _after(layer, shape, channels, n_clusters)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        found.append(Passage(layer, name, shape, after))
        shape = after
    return found


def _after(
    layer: Layer, shape: Shape, channels: Channels, n_clusters: int
) -> tuple[Shape, Channels]:
    if isinstance(layer, SpectralLayer | VotingLayer):
        grid = layer_grid(layer, shape)
        if isinstance(layer, VotingLayer):
            columns = n_vectors(layer, n_clusters)
            return (1, 1, columns), pixels(columns)
        columns = sum(n_columns(procedure, n_clusters) for procedure in layer.procedures)
        return (*grid.shape, columns), pixels(columns)
    after = channels_after(layer, channels)
    height, width, count = apply_plain(
        layer, np.zeros((1, *shape), dtype=np.float32), channels
    ).shape[1:]
    return (height, width, count), after
