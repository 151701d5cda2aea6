"""Cost of SA-Net over the number of images and of procedures; new images at the end.

    python benchmarks/sanet_cost.py [--methods images procedures new] [--again]

MNIST, the default preset. ``images``: 2,500 to 70,000 images. ``procedures``: the first layer
alone, fitted and applied to all images, with one to eight procedures on one shared search (kNN 9
and others up to 25). ``new``: fitted on the 60,000 training images, applied to the 10,000 of the
test set, never seen before.
Memory is the peak of the whole process so far, so rows are made from small to large.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from common import ResumableTable, arguments
from sanet_common import IMAGE_SETS, with_procedures
from sanet_procedures import stack

import fiedler
from fiedler import SANet, SpectralLayer
from fiedler.evaluation import accuracy
from fiedler.graph import SearchOptions
from fiedler.models.sanet.sources import image_source
from fiedler.models.sanet.spectral import fit_spectral

NOTES = ["CPU seconds of the process, one thread; peak memory of the process so far."]
SIZES = (2_500, 5_000, 10_000, 20_000, 40_000, 70_000)


def peak() -> float:
    """Peak memory of this process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Make every row that is not there yet."""
    parts = ["procedures", "images", "new"]
    chosen = arguments(__doc__, {"--methods": parts, "--sets": ["mnist"]})
    key = ("data", "part", "images", "procedures")
    table = ResumableTable("sanet_cost", key, again=chosen.again, notes=NOTES)
    X, y = IMAGE_SETS["mnist"][0]()
    order = np.random.default_rng(0).permutation(len(X))

    def row(part: str, images: int, procedures: int, seconds: float, acc: float | None) -> None:
        table.put(
            {"data": "mnist", "part": part, "images": images, "procedures": procedures}
            | {"cpu seconds": seconds, "peak GB": peak(), "acc": acc}
        )

    if "procedures" in chosen.methods:
        source = image_source(X[order[:10_000]], (28, 28, 1), 255.0)
        for count in (1, 2, 4, 8):
            if table.lacks(data="mnist", part="procedures", images=10_000, procedures=count):
                layers = with_procedures(stack(), (count, 4))
                layer = next(step for step in layers if isinstance(step, SpectralLayer))
                start = time.process_time()
                fitted, _ = fit_spectral(source, layer, 10, SearchOptions())
                maps = source.then(fitted.apply, fitted.out_shape, fitted.bytes_per_image)
                for _ in maps.blocks():
                    pass  # those of all images at once would take 4 GB
                row("procedures", 10_000, count, time.process_time() - start, None)
    for size in SIZES if "images" in chosen.methods else ():
        if table.lacks(data="mnist", part="images", images=size, procedures=2):
            start = time.process_time()
            model = SANet(10, random_state=0).fit(X[order[:size]])
            seconds = time.process_time() - start
            row("images", size, 2, seconds, accuracy(y[order[:size]], model.labels_))
    if "new" in chosen.methods and table.lacks(
        data="mnist", part="new: fitted", images=60_000, procedures=2
    ):
        train, test = (fiedler.load_dataset("mnist", split=half) for half in ("train", "test"))
        start = time.process_time()
        model = SANet(10, random_state=0).fit(train.X)
        row("new: fitted", 60_000, 2, time.process_time() - start, accuracy(train.y, model.labels_))
        start = time.process_time()
        found = model.predict(test.X)
        row("new: applied", 10_000, 2, time.process_time() - start, accuracy(test.y, found))


if __name__ == "__main__":
    main()
