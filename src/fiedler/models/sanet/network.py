"""A stack of layers: fitted one after the other, applied to new images layer by layer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fiedler.exceptions import InputError, ModelFileError, OutputError
from fiedler.graph import SearchOptions
from fiedler.models.sanet.geometry import passages
from fiedler.models.sanet.layers import LAYER_TYPES, Layer, SpectralLayer, VotingLayer
from fiedler.models.sanet.maps import Channels, apply_plain, channels_after, pixels
from fiedler.models.sanet.memory import must_be_held, refuse_too_large
from fiedler.models.sanet.sources import MapSource
from fiedler.models.sanet.spectral import FittedSpectral, fit_spectral
from fiedler.models.sanet.voting import FittedVoting, fit_voting
from fiedler.persistence import load_state, save_state
from fiedler.progress import ProgressCallback

Fitted = FittedSpectral | FittedVoting
_KIND = "SANetPart"


@dataclass(frozen=True)
class FittedLayer:
    """One layer in its place.

    Attributes
    ----------
    layer : layer object
    fitted : FittedSpectral, FittedVoting or None
        What was fitted, where there is anything to fit.
    in_channels, out_channels : Channels
        What is known of the maps before and after.
    out_shape : (h, w, c)
    """

    layer: Layer
    fitted: Fitted | None
    in_channels: Channels
    out_channels: Channels
    out_shape: tuple[int, int, int]

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Apply the layer to maps (n, h, w, c)."""
        if self.fitted is not None:
            return self.fitted.apply(maps)
        assert not isinstance(self.layer, SpectralLayer | VotingLayer)
        return apply_plain(self.layer, maps, self.in_channels)


class Checkpoints:
    """Files in which finished layers are kept, so that a fit that was stopped goes on from there.

    Parameters
    ----------
    folder : path-like or None
        Made if it is absent; None keeps nothing.
    fingerprint : str
        Of the data and of everything that the layers depend on; files of others are made anew.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.folder = None
        if folder is None:
            return
        if not isinstance(folder, (str, os.PathLike)):
            raise InputError(f"checkpoint must be None or the path of a folder, got {folder!r}.")
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder of checkpoint {folder} cannot be made ({error.strerror}); name "
                "another."
            ) from error

    def read(self, name: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of a part that this very fit wrote, or None."""
        if self.folder is None or not (self.folder / name).is_file():
            return None
        try:
            kind, kept, arrays = load_state(self.folder / name)
        except ModelFileError:
            return None  # the fit was killed while writing it: it is made again
        same = kind == _KIND and kept.get("fingerprint") == self.fingerprint
        return arrays if same else None

    def write(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Keep the arrays of a part."""
        if self.folder is not None:
            kept = {"fingerprint": self.fingerprint}
            save_state(self.folder / name, _KIND, kept, arrays, overwrite=True)


def check_layers(layers: Sequence[Any]) -> tuple[Layer, ...]:
    """Return layers as a tuple after checking that they are layers.

    Raises
    ------
    InputError
        If one is something else, or there is none.
    """
    found = tuple(layers)
    for layer in found:
        if not isinstance(layer, LAYER_TYPES):
            names = ", ".join(kind.__name__ for kind in LAYER_TYPES)
            raise InputError(f"layers must be objects of {names}; got {layer!r}.")
    if not found:
        raise InputError(
            "layers holds no layer; use 'default' or a list such as [SpectralLayer()]."
        )
    return found


def fit_network(
    images: MapSource,
    layers: Sequence[Layer],
    n_clusters: int,
    options: SearchOptions,
    checkpoints: Checkpoints,
    progress: ProgressCallback,
) -> tuple[list[FittedLayer], MapSource]:
    """Fit a stack of layers.

    Parameters
    ----------
    images : MapSource
        Of n images.
    layers : sequence of layer objects
    n_clusters : int
        For procedures that take eigenvectors by it.
    options : SearchOptions
    checkpoints : Checkpoints
    progress : callable
        Called as ``progress("layer 1: ...", done, total)``.

    Returns
    -------
    fitted : list of FittedLayer
    output : MapSource
        The last layer's maps of the fitted images, materialised.

    Raises
    ------
    InputError
        If a layer cannot take the maps that come to it.
    NotEnoughMemoryError
        If all this is too much for the machine. Both before anything is fitted.
    """
    refuse_too_large(passages(layers, images.shape, n_clusters), len(images), n_clusters)
    source, channels = images, pixels(images.shape[2])
    stack: list[FittedLayer] = []
    pending = False  # whether reading the source means applying a fitted layer
    for number, layer in enumerate(layers, start=1):
        if not isinstance(layer, SpectralLayer | VotingLayer):
            step = _plain_step(layer, source, channels)
            source = source.then(step.apply, step.out_shape)
        else:
            if must_be_held(layer, source.shape, len(source), pending=pending):
                source = _materialized(source, f"maps-{number}", number, checkpoints, progress)
            told = partial(_tell, progress, number)
            fitted, known = _fit_or_read(
                source, layer, n_clusters, options, checkpoints, told, number
            )
            step = FittedLayer(layer, fitted, channels, fitted.channels, fitted.out_shape)
            if known is None:
                source = source.then(fitted.apply, fitted.out_shape, fitted.bytes_per_image)
            else:
                source = MapSource(known, fitted.out_shape, (fitted.place_known,))
            pending = True
        channels = step.out_channels
        stack.append(step)
    last = len(stack)
    return stack, _materialized(source, f"maps-{last + 1}", last, checkpoints, progress)


def prepared_images(images: MapSource, layers: Sequence[Layer]) -> MapSource | None:
    """Return images as the layers before the first spectral one leave them, None without such."""
    source, channels = images, pixels(images.shape[2])
    for layer in layers:
        if isinstance(layer, SpectralLayer | VotingLayer):
            break
        step = _plain_step(layer, source, channels)
        source, channels = source.then(step.apply, step.out_shape), step.out_channels
    return None if source is images else source.materialized()


def apply_network(stack: Sequence[FittedLayer], maps: np.ndarray) -> np.ndarray:
    """Apply fitted layers one after the other to a block of images (n, h, w, c)."""
    for step in stack:
        maps = step.apply(maps)
    return maps


def _plain_step(layer: Any, source: MapSource, channels: Channels) -> FittedLayer:
    after = channels_after(layer, channels)
    probe = apply_plain(layer, np.zeros((1, *source.shape), dtype=np.float32), channels)
    return FittedLayer(layer, None, channels, after, probe.shape[1:])


def _fit_or_read(
    source: MapSource,
    layer: SpectralLayer | VotingLayer,
    n_clusters: int,
    options: SearchOptions,
    checkpoints: Checkpoints,
    progress: ProgressCallback,
    number: int,
) -> tuple[Fitted, np.ndarray | None]:
    """Fit a layer, or take it from the checkpoint; also the points of known patches."""
    name = f"layer-{number}"
    arrays = checkpoints.read(name)
    if arrays is not None:
        known = arrays.pop("known", None)
        return restore_layer(layer, source.shape, n_clusters, arrays, options), known
    fitted: Fitted
    try:
        if isinstance(layer, SpectralLayer):
            fitted, known = fit_spectral(source, layer, n_clusters, options, progress)
        else:
            fitted = fit_voting(source, layer, n_clusters, options, progress)
            known = np.arange(len(source))
    except InputError as error:
        raise InputError(f"layer {number} ({type(layer).__name__}): {error}") from error
    kept = fitted.to_arrays()
    checkpoints.write(name, kept if known is None else {**kept, "known": known})
    return fitted, known


def restore_layer(
    layer: SpectralLayer | VotingLayer,
    in_shape: tuple[int, int, int],
    n_clusters: int,
    arrays: dict[str, np.ndarray],
    options: SearchOptions,
) -> Fitted:
    """Restore a fitted layer from its arrays."""
    if isinstance(layer, SpectralLayer):
        return FittedSpectral.from_arrays(layer, in_shape, n_clusters, arrays, options)
    return FittedVoting.from_arrays(layer, arrays)


def restore_network(
    layers: Sequence[Layer],
    in_shape: tuple[int, int, int],
    n_clusters: int,
    arrays: dict[str, np.ndarray],
    options: SearchOptions,
) -> list[FittedLayer]:
    """Restore a stack from arrays named ``layer-<number>.<array>``."""
    stack: list[FittedLayer] = []
    shape, channels = in_shape, pixels(in_shape[2])
    for number, layer in enumerate(layers, start=1):
        if isinstance(layer, SpectralLayer | VotingLayer):
            prefix = f"layer-{number}."
            own = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
            fitted = restore_layer(layer, shape, n_clusters, own, options)
            step = FittedLayer(layer, fitted, channels, fitted.channels, fitted.out_shape)
        else:
            step = _plain_step(layer, MapSource(np.empty((0,)), shape), channels)
        stack.append(step)
        shape, channels = step.out_shape, step.out_channels
    return stack


def network_arrays(stack: Sequence[FittedLayer]) -> dict[str, np.ndarray]:
    """Return all arrays of a stack, as :func:`restore_network` takes them."""
    return {
        f"layer-{number}.{name}": array
        for number, step in enumerate(stack, start=1)
        if step.fitted is not None
        for name, array in step.fitted.to_arrays().items()
    }


def _materialized(
    source: MapSource,
    name: str,
    number: int,
    checkpoints: Checkpoints,
    progress: ProgressCallback,
) -> MapSource:
    """Compute the maps of all images, or take them from the checkpoint."""
    arrays = checkpoints.read(name)
    if arrays is not None:
        return MapSource(arrays["maps"], source.shape)
    made = source.materialized(progress, f"before layer {number}: maps")
    checkpoints.write(name, {"maps": made.rows})
    return made


def _tell(progress: ProgressCallback, number: int, stage: str, done: float, total: float) -> None:
    progress(f"layer {number}: {stage}", done, total)
