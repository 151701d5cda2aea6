"""One fit of SA-Net in a process of its own, whose peak of memory is then its own.

    python benchmarks/fit_sanet.py {images,procedures,new} IMAGES PROCEDURES

Prints one line of JSON; ``sanet_cost.py`` makes its rows of these.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from runs import peak_mb
from sanet_common import IMAGE_SETS, with_procedures
from sanet_procedures import stack

import fiedler
from fiedler import SANet, SpectralLayer
from fiedler.evaluation import accuracy
from fiedler.graph import SearchOptions
from fiedler.models.sanet.sources import image_source
from fiedler.models.sanet.spectral import fit_spectral


def first_layer(images: np.ndarray, procedures: int) -> dict[str, float]:
    """The first layer alone, fitted and applied to all images."""
    source = image_source(images, (28, 28, 1), 255.0)
    layers = with_procedures(stack(), (procedures, 4))
    layer = next(step for step in layers if isinstance(step, SpectralLayer))
    start = time.process_time()
    fitted, _ = fit_spectral(source, layer, 10, SearchOptions())
    maps = source.then(fitted.apply, fitted.out_shape, fitted.bytes_per_image)
    for _ in maps.blocks():
        pass  # those of all images at once would take 4 GB
    return {"cpu seconds": time.process_time() - start}


def whole(images: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The default preset."""
    start = time.process_time()
    model = SANet(10, random_state=0).fit(images)
    return {"cpu seconds": time.process_time() - start, "acc": accuracy(y, model.labels_)}


def new_images(count: int) -> dict[str, float]:
    """Fitted on images of the training set, applied to those of the test set."""
    train, test = (fiedler.load_dataset("mnist", split=half) for half in ("train", "test"))
    start = time.process_time()
    model = SANet(10, random_state=0).fit(train.X[:count])
    fitted = time.process_time()
    found = model.predict(test.X)
    applied = time.process_time() - fitted
    return {
        "cpu seconds": fitted - start,
        "acc": accuracy(train.y[:count], model.labels_),
        "new images": len(found),
        "new cpu seconds": applied,
        "new acc": accuracy(test.y, found),
    }


def main() -> None:
    """Fit once and print the figures."""
    part, images, procedures = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if part == "new":
        figures = new_images(images)
    else:
        X, y = IMAGE_SETS["mnist"][0]()
        chosen = np.random.default_rng(0).permutation(len(X))[:images]
        X, y = X[chosen], y[chosen]
        figures = first_layer(X, procedures) if part == "procedures" else whole(X, y)
    print(json.dumps(figures | {"peak GB": peak_mb() / 1e3}))


if __name__ == "__main__":
    main()
