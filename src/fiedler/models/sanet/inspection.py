"""What a fitted network has learned, as pictures and figures; nothing here sees a label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.exceptions import InputError
from fiedler.models.sanet.spectral import FittedSpectral, layer_grid
from fiedler.partition.centers import kmeans

if TYPE_CHECKING:
    from fiedler.models.sanet.estimator import SANet


def visual_patterns(model: SANet, count: int = 40) -> np.ndarray:
    """Return the visual patterns of the first spectral layer (Fig. 5 of the paper).

    Its fitted patches are clustered by their places in the eigenvectors; a pattern is the mean of
    a cluster's patches, without what was taken from each (brightness, contrast).

    Parameters
    ----------
    model : SANet
        Fitted.
    count : int
        Patterns wanted; fewer where there are fewer distinct places.

    Returns
    -------
    ndarray of shape (m, height, width, channels), float32
        The patterns of most patches first.

    Raises
    ------
    InputError
        If no layer analyses patches.
    """
    fitted = next(
        (step.fitted for step in model.fitted_layers if isinstance(step.fitted, FittedSpectral)),
        None,
    )
    if fitted is None:
        raise InputError("only a network with a SpectralLayer has patterns of patches.")
    labels, centers = kmeans(
        fitted.coordinates,
        min(count, len(fitted.coordinates)),
        n_init=1,
        rng=np.random.default_rng(fitted.options.seed),
    )
    patches = _as_cut(fitted)
    members = np.bincount(labels, minlength=len(centers))
    means = np.stack([patches[labels == i].mean(axis=0) for i in np.argsort(-members)])
    grid = layer_grid(fitted.layer, fitted.in_shape)
    return means.reshape(len(means), grid.height, grid.width, fitted.in_shape[2])


def procedure_maps(model: SANet, images: Any, layer: int) -> list[np.ndarray]:
    """Return a spectral layer's maps of images, one array (n, f) for each procedure.

    Parameters
    ----------
    model : SANet
        Fitted.
    images : array-like
        As for ``transform``.
    layer : int
        Number of the layer, from 1.
    """
    maps = model.layer_maps(images, layer)
    owner = model.fitted_layers[layer - 1].out_channels.procedures
    return [maps[..., owner == p].reshape(len(maps), -1) for p in np.unique(owner)]


def as_picture(values: np.ndarray) -> np.ndarray:
    """Return numbers (h, w, c) as a picture: uint8, from their smallest to their largest value.

    Colour where there are three channels, else grey by the first one.
    """
    shown = values if values.shape[2] == 3 else values[:, :, 0]
    low, high = float(shown.min()), float(shown.max())
    return np.rint((shown - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)


def _as_cut(fitted: FittedSpectral) -> np.ndarray:
    """Undo whitening and the reduction to principal directions, as far as that is possible."""
    points, preparation = fitted.points, fitted.preparation
    if preparation.pca.size:
        points = points @ preparation.pca.T + preparation.pca_mean
    if preparation.whiten.size:
        points = points @ np.linalg.pinv(preparation.whiten) + preparation.whiten_mean
    return np.asarray(points, dtype=np.float32)
