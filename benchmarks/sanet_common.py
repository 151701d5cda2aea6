"""What the benchmarks of SA-Net share: image sets, scores, occlusion, variants of the presets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import fiedler
from fiedler.evaluation import accuracy, ari, nmi, pairwise_f

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
    "coil20": (_set("coil20"), "default"),
    "fashion_test": (_set("fashion_mnist", "test"), "default"),
    "mnist": (_set("mnist"), "default"),
    "fashion_mnist": (_set("fashion_mnist"), "default"),
    "yaleb": (_set("yaleb"), "faces"),
    "cmu_pie": (_set("cmu_pie"), "faces"),
    "ar": (_set("ar"), "faces"),
    "cifar10": (_set("cifar10"), "natural"),
}
PAPER = {"default": "digits-paper", "faces": "faces-paper", "natural": "natural-paper-3"}


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
