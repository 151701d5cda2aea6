"""What a page shows of a network of spectral layers: maps, and which procedures agree.

Both are drawn from the fitted images, which the estimator does not keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.report.data import Gallery

if TYPE_CHECKING:
    from fiedler.models import SANet

# Images whose maps are shown, and maps of each.
_SHOWN_IMAGES, _SHOWN_MAPS = 6, 9
# Images by which procedures are judged: fewer where a layer makes many numbers of each.
_AGREEING_ROWS, _FEWEST_AGREEING, _AGREEING_NUMBERS = 2000, 400, 10_000_000
# A map of fewer pixels is no picture.
_FEWEST_PIXELS = 4


def network_galleries(model: SANet, rows: Any, ids: Sequence[str]) -> list[Gallery]:
    """Return a gallery for each layer of a fitted network: some images and their first maps.

    Parameters
    ----------
    model : SANet
        Fitted.
    rows : array-like of shape (n, ...)
        The fitted images.
    ids : sequence of str, length n
        Their names.
    """
    from fiedler.models.sanet.inspection import as_picture
    from fiedler.models.sanet.sources import image_source

    n = int(rows.shape[0])
    chosen = np.unique(np.linspace(0, n - 1, _SHOWN_IMAGES).astype(int))
    images = [as_picture(image) for image in image_source(rows, model.image_shape_, 1).read(chosen)]
    found = []
    for number, step in enumerate(model.fitted_layers, start=1):
        height, width, count = step.out_shape
        if height * width < _FEWEST_PIXELS:
            continue
        pictures, captions = [], []
        made = model.layer_maps(rows[chosen], number)[..., :_SHOWN_MAPS]
        for row, image, maps in zip(chosen, images, made, strict=True):
            pictures += [image, *(as_picture(maps[..., [c]]) for c in range(maps.shape[2]))]
            captions += [str(ids[row]), *(f"map {c + 1}" for c in range(maps.shape[2]))]
        text = (
            f"{len(chosen)} images and the first {min(count, _SHOWN_MAPS)} of their {count} maps "
            f"of {height} x {width} after this layer, each from black (its smallest value) to "
            "white."
        )
        title = f"Layer {number}: {type(step.layer).__name__}"
        found.append(Gallery(title, text, pictures, captions, group=len(pictures) // len(chosen)))
    return found


def procedure_agreement(model: SANet, rows: Any) -> list[tuple[str, float]]:
    """Return how well each procedure of each spectral layer, alone, agrees with the result.

    NMI between k-means on its maps and the clusters, on at most 2,000 of the fitted images
    (Figure 8 of Wang & Jiang 2020 asks which procedures contribute). Layers with one procedure
    only are left out.

    Parameters
    ----------
    model : SANet
        Fitted.
    rows : array-like of shape (n, ...)
        The fitted images.
    """
    from fiedler.evaluation import nmi
    from fiedler.models.sanet import SpectralLayer
    from fiedler.models.sanet.inspection import procedure_maps
    from fiedler.partition.centers import kmeans

    n = int(rows.shape[0])
    rng = np.random.default_rng(0)
    found = []
    for number, step in enumerate(model.fitted_layers, start=1):
        layer = step.layer
        if not isinstance(layer, SpectralLayer) or len(layer.procedures) < 2:
            continue
        most = max(_AGREEING_NUMBERS // int(np.prod(step.out_shape)), _FEWEST_AGREEING)
        sample = np.unique(np.linspace(0, n - 1, min(n, _AGREEING_ROWS, most)).astype(int))
        maps_of = procedure_maps(model, rows[sample], number)
        for procedure, maps in zip(layer.procedures, maps_of, strict=True):
            alone, _ = kmeans(maps, min(model.n_clusters_, len(sample)), n_init=4, rng=rng)
            agreement = float(nmi(model.labels_[sample], alone))
            found.append((f"layer {number}: {procedure!r}", agreement))
    return found
