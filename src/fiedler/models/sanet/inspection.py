"""What a fitted network has learned, as pictures and figures; nothing here sees a label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.exceptions import InputError
from fiedler.models.sanet.layers import SpectralLayer
from fiedler.models.sanet.spectral import FittedSpectral, layer_grid
from fiedler.models.sanet.voting import FittedVoting
from fiedler.partition.centers import kmeans

if TYPE_CHECKING:
    from fiedler.models.sanet.estimator import SANet

# Images whose votes are shown, and those shown beside each.
_VOTERS, _VOTED = 12, 4


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


def pattern_galleries(model: SANet) -> list[dict[str, Any]]:
    """Return the visual patterns of the first spectral layer as pictures.

    Returns
    -------
    list of dict
        ``title``, ``text``, ``pictures`` and ``captions``; empty where that layer cuts no patches.
    """
    first = next((s.layer for s in model.fitted_layers if isinstance(s.layer, SpectralLayer)), None)
    if first is None or first.patch is None:
        return []
    patterns = [as_picture(pattern) for pattern in visual_patterns(model)]
    text = (
        f"Mean patches of {len(patterns)} groups that the first spectral layer makes of the "
        "fitted patches, the largest group first."
    )
    captions = [f"pattern {number}" for number in range(1, len(patterns) + 1)]
    found = {"title": "Visual patterns", "text": text}
    return [{**found, "pictures": patterns, "captions": captions}]


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


def vote_galleries(model: SANet) -> list[dict[str, Any]]:
    """Return, for a voting layer, some images beside those that most of their patches vote for.

    Images are shown as the layer sees them (of two channels or more the first). Of each cluster the
    surest images are taken, up to twelve in all.

    Returns
    -------
    list of dict
        ``title``, ``text``, ``pictures``, ``captions`` and ``group``; empty without such a layer.
    """
    fitted = next(
        (step.fitted for step in model.fitted_layers if isinstance(step.fitted, FittedVoting)), None
    )
    if fitted is None:
        return []
    count = min(_VOTED, len(fitted.maps) - 1)
    pictures, captions = [], []
    for row in _surest_of_clusters(model.labels_, model.confidence_):
        votes = fitted.votes[[row]].toarray().ravel()
        votes[row] = -1.0
        pictures.append(as_picture(fitted.maps[row]))
        captions.append(f"image {row}, cluster {model.labels_[row]}")
        for other in np.argsort(-votes, kind="stable")[:count]:
            pictures.append(as_picture(fitted.maps[other]))
            captions.append(f"image {other}, cluster {model.labels_[other]}")
    text = (
        f"{len(pictures) // (count + 1)} images as the layer sees them, each followed by the "
        f"{count} that share most votes with it: those whose patches are most alike at most places."
    )
    found = {"title": "Votes", "text": text, "pictures": pictures, "captions": captions}
    return [{**found, "group": count + 1}]


def _surest_of_clusters(labels: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Return up to twelve rows, the surest of each of the largest clusters."""
    largest = np.argsort(-np.bincount(labels), kind="stable")[:_VOTERS]
    order = np.argsort(-confidence, kind="stable")
    return np.array([order[labels[order] == label][0] for label in largest])


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
