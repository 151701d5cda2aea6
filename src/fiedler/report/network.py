"""What a page shows of a network's layers: patterns, maps, and which procedures agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fiedler.models import SANet

# Images whose maps are shown, and maps of each.
_SHOWN_IMAGES, _SHOWN_MAPS = 6, 8
_AGREEING_ROWS = 2000


@dataclass(frozen=True)
class Gallery:
    """Pictures under one heading.

    Parameters
    ----------
    title : str
    text : str
        What they are, in a sentence.
    pictures : sequence of array, shape (h, w) or (h, w, 3)
        Any numbers: each is stretched from its smallest to its largest value.
    """

    title: str
    text: str
    pictures: Sequence[NDArray[Any]]


def network_galleries(model: SANet, rows: Any) -> list[Gallery]:
    """Return what a page shows of a fitted network.

    Parameters
    ----------
    model : SANet
        Fitted.
    rows : array-like
        The fitted images.
    """
    from fiedler.models.sanet.inspection import visual_patterns
    from fiedler.models.sanet.layers import SpectralLayer

    found = []
    first = next((layer for layer in model.layers_ if isinstance(layer, SpectralLayer)), None)
    if first is not None and first.patch is not None:
        patterns = list(visual_patterns(model))
        text = f"Mean patches of the {len(patterns)} clusters of the first spectral layer."
        found.append(Gallery("Visual patterns", text, patterns))
    chosen = np.linspace(0, rows.shape[0] - 1, _SHOWN_IMAGES).astype(int)
    for number, step in enumerate(model.fitted_layers, start=1):
        if step.out_shape[0] * step.out_shape[1] < 4:
            continue  # a map of a pixel or two is no picture
        maps = model.layer_maps(rows[chosen], number)[..., :_SHOWN_MAPS]
        pictures = [image[..., c] for image in maps for c in range(image.shape[-1])]
        kind = type(step.layer).__name__
        text = (
            f"The first {maps.shape[-1]} maps of {len(maps)} images, image by image, "
            f"{step.out_shape[0]} x {step.out_shape[1]}."
        )
        found.append(Gallery(f"Layer {number}: {kind}", text, pictures))
    return found


def procedure_agreement(model: SANet, rows: Any) -> list[tuple[str, float]]:
    """Return how well each procedure of the last spectral layer, alone, agrees with the result.

    NMI between k-means on its maps and the clusters, on at most 2,000 of the fitted images.
    """
    from fiedler.evaluation import nmi
    from fiedler.models.sanet.inspection import procedure_maps
    from fiedler.partition.centers import kmeans

    n = int(rows.shape[0])
    sample = np.unique(np.linspace(0, n - 1, min(n, _AGREEING_ROWS)).astype(int))
    labels = model.labels_[sample]
    rng = np.random.default_rng(0)
    found = []
    for number, maps in enumerate(procedure_maps(model, rows[sample]), start=1):
        alone, _ = kmeans(maps, min(model.n_clusters_, len(sample)), n_init=4, rng=rng)
        found.append((f"procedure {number}", float(nmi(labels, alone))))
    return found
