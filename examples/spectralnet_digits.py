"""SpectralNet on digits: a small network that puts images it has never seen into their clusters.

    python examples/spectralnet_digits.py [spectralnet.html]

Trains for half a minute on 1,500 images of 8 x 8; real sets of larger images take minutes. The page
shows the curves of the training beside the map.
"""

from __future__ import annotations

import sys

from sklearn.datasets import load_digits

from fiedler import SpectralNet, SpectralNetRecipe, Training
from fiedler.evaluation import accuracy
from fiedler.report import describe, write_report

RECIPE = SpectralNetRecipe(training=Training(steps=150, batch_size=512))


def main() -> None:
    """Fit 1,500 digits, label 297 new ones, and write the report."""
    digits = load_digits()
    images = digits.images / 16
    model = SpectralNet(10, recipe=RECIPE, random_state=0).fit(images[:1500])
    print(f"fitted: accuracy {accuracy(digits.target[:1500], model.labels_):.3f}")
    new = model.predict(images[1500:])
    print(f"new, one forward pass: accuracy {accuracy(digits.target[1500:], new):.3f}")
    data = describe(
        model,
        title="Handwritten digits, by a network",
        kind="images",
        pictures=images[:1500],
        known=digits.target[:1500],
        how="SpectralNet, 150 steps of 512 pairs.",
    )
    write_report(sys.argv[1] if len(sys.argv) > 1 else "spectralnet.html", data)


if __name__ == "__main__":
    main()
