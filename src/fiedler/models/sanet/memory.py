"""How much memory a fit will take, estimated from shapes alone: nothing is started in vain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fiedler.exceptions import NotEnoughMemoryError
from fiedler.memory import available_memory
from fiedler.models.sanet.geometry import Passage, Shape
from fiedler.models.sanet.layers import SpectralLayer, VotingLayer
from fiedler.models.sanet.patches import WIDE
from fiedler.models.sanet.sources import BLOCK_BYTES
from fiedler.models.sanet.spectral import (
    GREEDY_POOL,
    PREPARATION_SAMPLE,
    layer_grid,
    n_landmarks,
)

# Maps of all images beyond this are not held but computed again where some are needed.
_MOST_HELD = 2 << 30
# Of a fitted point: its neighbours and their affinities, twice.
_GRAPH_BYTES = 800.0
# Of an image in the read-out: 128 principal directions and their search, neighbours, graphs.
_READOUT_BYTES = 2000.0


def memory_needed(stack: Sequence[Passage], n_images: int, n_clusters: int) -> dict[str, float]:
    """Estimate the bytes that a fit takes in each fitted layer and for the clusters.

    Parameters
    ----------
    stack : sequence of Passage
    n_images : int
        Their own memory is not counted.
    n_clusters : int

    Returns
    -------
    dict of str to float
        By the name of the layer, and ``"the clusters"``.
    """
    kept, held = 0.0, 0.0  # by layers fitted before; maps of all images that are being read
    needed, fitted_before = {}, False
    for passage in stack:
        layer = passage.layer
        if not isinstance(layer, SpectralLayer | VotingLayer):
            continue
        maps = 4.0 * n_images * float(np.prod(passage.before))
        computed = must_be_held(layer, passage.before, n_images, pending=fitted_before)
        making = held + maps if computed else 0.0
        held = maps if computed else held
        if isinstance(layer, VotingLayer):
            own, working = _of_votes(layer, passage, n_images)
        else:
            own, working = _of_patches(layer, passage, n_images)
        block = 2.0 * max(BLOCK_BYTES, _of_one_image(layer, passage.before))
        needed[passage.name] = kept + block + max(making, held + own + working)
        kept, fitted_before = kept + own, True
    d = float(np.prod(stack[-1].after))
    output = 8.0 * n_images * d + 12.0 * min(d, WIDE) ** 2
    places = n_images * (_READOUT_BYTES + 72.0 * n_clusters)
    return needed | {"the clusters": kept + held + output + places}


def must_be_held(
    layer: SpectralLayer | VotingLayer, before: Shape, n_images: int, *, pending: bool
) -> bool:
    """Tell whether the maps of all images are computed once and held while a layer is fitted.

    Parameters
    ----------
    layer : SpectralLayer or VotingLayer
    before : (h, w, c)
        Of these maps.
    n_images : int
    pending : bool
        Whether they are made by a fitted layer, which takes long. A layer that is fitted to
        landmarks reads few of them, so very large ones may be made twice.
    """
    if isinstance(layer, VotingLayer):
        return True
    few = n_landmarks(layer, n_images, layer_grid(layer, before)) is not None
    large = 4 * n_images * int(np.prod(before)) > _MOST_HELD
    return pending and not (few and large)


def refuse_too_large(stack: Sequence[Passage], n_images: int, n_clusters: int) -> None:
    """Refuse a fit that the machine has no memory for.

    Raises
    ------
    NotEnoughMemoryError
        With the estimate, the layer that needs most, and what helps.
    """
    needed = memory_needed(stack, n_images, n_clusters)
    where = max(needed, key=lambda name: needed[name])
    free = available_memory()
    if needed[where] > free:
        raise NotEnoughMemoryError(
            f"fitting {n_images:,} images of {_sides(stack[0].before)} needs about "
            f"{needed[where] / 1e9:,.1f} GB of memory for {where}; {free / 1e9:,.1f} GB are free. "
            "Nothing was started. Use smaller images (image_size of fiedler.open_rows, or a first "
            "layer Pooling(4, kind='average')), a larger stride, n_pca, or fewer landmarks."
        )


def _of_patches(layer: SpectralLayer, passage: Passage, n_images: int) -> tuple[float, float]:
    """Bytes that a spectral layer keeps, and that it works with beside them."""
    grid = layer_grid(layer, passage.before)
    numbers = float(grid.height * grid.width * passage.before[2])
    reduced = min(numbers, layer.n_pca or numbers)
    patches = n_images * grid.n_positions
    groups = grid.n_positions if layer.graph == "position" else 1
    landmarks = n_landmarks(layer, n_images, grid)
    group = min(patches // groups, landmarks or patches)
    own = 4.0 * groups * group * (reduced + passage.after[2])
    if landmarks is None:
        own, cut = own + 8.0 * patches, own
    else:
        pool = GREEDY_POOL if layer.landmark_choice == "greedy" else 1
        drawn = min(patches, landmarks * pool * (groups if groups > 1 else 2))
        # cut out and prepared at one time, or image by image
        cut = 4.0 * drawn * (reduced if groups > 1 else 2.0 * numbers + reduced)
    sampled = layer.whiten is not None or layer.n_pca is not None
    sample = 16.0 * min(PREPARATION_SAMPLE, patches) * numbers if sampled else 0.0
    procedures = group * (6.0 * reduced + 24.0 * passage.after[2] + _GRAPH_BYTES)
    return own, max(sample, cut, procedures + own)


def _of_votes(layer: VotingLayer, passage: Passage, n_images: int) -> tuple[float, float]:
    """Bytes that a voting layer keeps, and that it works with beside them."""
    grid = layer_grid(layer, passage.before)
    numbers = float(grid.height * grid.width * passage.before[2])
    pairs = n_images * float(min(n_images, layer.n_neighbors * grid.n_positions))
    shifted = 4.0 * n_images * numbers * (1 + 2 * layer.shifts) ** 2
    own = 4.0 * n_images * float(np.prod(passage.before)) + 16.0 * pairs
    return own, 2.0 * shifted + 8.0 * n_images * numbers * grid.n_positions + 32.0 * pairs


def _of_one_image(layer: SpectralLayer | VotingLayer, shape: Shape) -> float:
    """Bytes of the patches of one image, of which a block holds one at least."""
    grid = layer_grid(layer, shape)
    return 12.0 * grid.n_positions * grid.height * grid.width * shape[2]


def _sides(shape: Shape) -> str:
    return " x ".join(map(str, shape))
