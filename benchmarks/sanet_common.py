"""What the benchmarks of SA-Net share: image sets, scores, occlusion, variants of the presets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import fiedler
from fiedler.evaluation import accuracy, ari, nmi, pairwise_f
from fiedler.graph import SearchOptions
from fiedler.models.sanet.maps import Channels
from fiedler.models.sanet.network import Checkpoints, fit_network
from fiedler.models.sanet.sources import MapSource, image_source, largest_absolute
from fiedler.progress import silent

SCORES = {"acc": accuracy, "nmi": nmi, "ari": ari, "f": pairwise_f}
NOTES = [
    "n_clusters is the true number of classes; no label is used otherwise.",
    "acc: matched accuracy; nmi: normalised mutual information; ari: adjusted Rand index; "
    "f: F-measure over pairs. Mean ± standard deviation over the seeds.",
    "Seconds are of the process (CPU), so other work on the machine hardly counts.",
]

Images = tuple[np.ndarray, np.ndarray]


def _set(name: str, split: str | None = None) -> Callable[[], Images]:
    def get() -> Images:
        found = fiedler.load_dataset(name, split=split)
        return found.X, np.unique(found.y, return_inverse=True)[1]

    return get


# Each image set, and the preset that its kind of images asks for.
IMAGE_SETS: dict[str, tuple[Callable[[], Images], str]] = {
    "mnist_test": (_set("mnist", "test"), "default"),
    "usps": (_set("usps"), "default"),
    "usps11k": (_set("usps11k"), "default"),
    "coil20": (_set("coil20"), "objects"),
    "fashion_test": (_set("fashion_mnist", "test"), "default"),
    "mnist": (_set("mnist"), "default"),
    "fashion_mnist": (_set("fashion_mnist"), "default"),
    "yaleb": (_set("yaleb"), "faces"),
    "cmu_pie": (_set("cmu_pie"), "faces"),
    "ar": (_set("ar"), "faces"),
    "cifar10": (_set("cifar10"), "natural"),
}
# What stands beside it, by the name that tables give it: the paper's text for the same kind.
BESIDE: dict[str, dict[str, str]] = {
    "default": {"sanet-paper": "digits-paper"},
    "faces": {"sanet-paper": "faces-paper"},
    "objects": {"sanet-default": "default", "sanet-paper": "digits-paper"},
    "natural": {f"sanet-paper-{depth}": f"natural-paper-{depth}" for depth in (2, 3, 5)},
}


def timed_scores(fit: Callable[[], Any], y: np.ndarray) -> dict[str, float]:
    """CPU seconds of a fit, and every score of its labels."""
    start = time.process_time()
    labels = fit()
    seconds = time.process_time() - start
    return {name: score(y, labels) for name, score in SCORES.items()} | {"cpu seconds": seconds}


def occluded(images: np.ndarray, draw: int) -> np.ndarray:
    """Hide 20 % of the pixels of each image behind a block of an unrelated one.

    The blocks are cut from digits (MNIST), resized, as the paper's unrelated image is not named;
    place and digit are drawn for each image.
    """
    rng = np.random.default_rng(draw)
    height, width = images.shape[1:3]
    rows = round(height * 0.2**0.5)
    columns = round(width * 0.2**0.5)
    digits = fiedler.load_dataset("mnist", split="test").X
    hidden = images.copy()
    for image in hidden:
        r = int(rng.integers(0, height - rows + 1))
        c = int(rng.integers(0, width - columns + 1))
        digit = digits[int(rng.integers(0, len(digits)))]
        down = np.linspace(4, 23, rows).astype(int)
        across = np.linspace(4, 23, columns).astype(int)
        image[r : r + rows, c : c + columns] = digit[np.ix_(down, across)]
    return hidden


def with_procedures(layers: tuple[Any, ...], counts: tuple[int, int]) -> list[Any]:
    """The layers with only the first so many procedures in the first and second spectral layer."""
    left = list(counts)
    found = []
    for layer in layers:
        if isinstance(layer, fiedler.SpectralLayer) and left:
            layer = replace(layer, procedures=layer.procedures[: left.pop(0)])
        found.append(layer)
    return found


def some(images: np.ndarray, y: np.ndarray, count: int) -> Images:
    """So many images of a set, drawn with a fixed seed; all of them where ``count`` is 0."""
    chosen = np.random.default_rng(0).permutation(len(y))[: count or None]
    return images[chosen], y[chosen]


def nested_maps(
    images: np.ndarray,
    layers: Sequence[Any],
    counts: Sequence[tuple[int, int]],
    n_clusters: int,
    seed: int,
) -> Iterator[tuple[tuple[int, int], np.ndarray, Channels]]:
    """Maps after the second spectral layer, for several numbers of procedures in both.

    The first layer is fitted once, to the most procedures, the second once for each number in the
    first: the maps of the first procedures of many are those of these procedures alone.
    """
    places = [i for i, layer in enumerate(layers) if isinstance(layer, fiedler.SpectralLayer)]
    first, second = (layers[i] for i in places[:2])
    between = list(layers[places[0] + 1 : places[1]])
    pooled = [layer for layer in between if isinstance(layer, fiedler.Pooling)]
    options, nowhere = SearchOptions(recall=0.98, seed=seed), Checkpoints(None, "")

    def fitted(source: MapSource, *stack: Any) -> tuple[Channels, MapSource]:
        steps, output = fit_network(source, stack, n_clusters, options, nowhere, silent)
        return steps[-1].out_channels, output

    def most(layer: Any, numbers: Sequence[int]) -> Any:
        return replace(layer, procedures=layer.procedures[: max(numbers)])

    shape = (*images.shape[1:], 1)[:3]
    source = image_source(images, shape, largest_absolute(images))
    known, maps = fitted(source, *layers[: places[0]], most(first, [f for f, _ in counts]), *pooled)
    for number in sorted({f for f, _ in counts}):
        own = maps.rows[..., known.procedures < number]
        rest = [layer for layer in between if layer not in pooled]
        wanted = [s for f, s in counts if f == number]
        after, output = fitted(MapSource(own, own.shape[1:]), *rest, most(second, wanted))
        for count in wanted:
            kept = after.procedures < count
            channels = Channels(after.values[kept], after.procedures[kept])
            yield (number, count), output.rows[..., kept], channels
