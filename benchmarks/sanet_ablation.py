"""Table 3 of SA-Net: all layers, and without coding, binarisation or pooling.

    python benchmarks/sanet_ablation.py [--seeds 2] [--rows 4000] [--methods corrected] [--again]

Images of the MNIST test set, k-means on the last maps, three settings of the procedures (in the
first and second layer 2 and 1, 2 and 2, 4 and 2). ``literal`` is the paper's text; ``corrected``
has its geometry with rows normalised and 128 eigenvectors of each self-tuned graph in the second
layer. The spectral layers are fitted once for a setting and seed: what is left out comes after
them.
"""

from __future__ import annotations

import warnings

import numpy as np
from common import ResumableTable, arguments, mean_sd
from sanet_common import IMAGE_SETS, NOTES, SCORES, nested_maps, some

from fiedler import (
    KNN,
    Binarization,
    Coding,
    Pooling,
    Procedure,
    SpectralLayer,
)
from fiedler.models.sanet.maps import Channels, apply_plain, channels_after
from fiedler.models.sanet.presets import PRESETS
from fiedler.models.sanet.readout import read_kmeans

SETTINGS = {(2, 1): "1", (2, 2): "2", (4, 2): "3"}
# Table 3 of the paper: accuracy in the three settings.
PUBLISHED = {
    "all layers": (0.974, 0.966, 0.969),
    "without coding": (0.957, 0.942, 0.934),
    "without binarisation": (0.891, 0.903, 0.912),
    "without pooling": (0.884, 0.876, 0.906),
}
WITHOUT = {
    "all layers": (),
    "without coding": (Coding,),
    # codes are of bits: without them the maps themselves are clustered
    "without binarisation": (Binarization, Coding),
    "without pooling": (Pooling,),
}


def corrected() -> tuple[object, ...]:
    """The paper's geometry, made to work (``benchmarks/EXPERIMENTS.md``)."""
    first = tuple(Procedure(64, KNN(k)) for k in (9, 17, 5, 21))
    second = tuple(Procedure(128, KNN(k, "self-tuning")) for k in (9, 17))
    return (
        SpectralLayer(11, 5, first, padding="same", landmarks=30_000),
        SpectralLayer(4, 1, second, center=False, n_pca=128, landmarks=30_000),
        Pooling(2, 1, padding="same"),
        Binarization(),
        Coding(8),
    )


def features(maps: np.ndarray, channels: Channels, layers: list[object]) -> np.ndarray:
    """What the layers after the spectral ones make of their maps, an image a row."""
    for layer in layers:
        maps, channels = apply_plain(layer, maps, channels), channels_after(layer, channels)
    return maps.reshape(len(maps), -1)


def main() -> None:
    """Make the rows of every method of which one is not there yet."""
    chosen = arguments(
        __doc__,
        {"--methods": ["corrected", "literal"], "--sets": ["mnist_test"]},
        options={"--seeds": 2, "--rows": 4000},
    )
    warnings.simplefilter("ignore")  # solvers of the literal text that stop early
    stacks = {"corrected": corrected(), "literal": PRESETS["digits-paper"]((28, 28, 1)).layers}
    key = ("data", "method", "setting", "layers", "n")
    table = ResumableTable(
        "sanet_ablation", key, again=chosen.again, seeds=chosen.seeds, notes=NOTES[:2]
    )
    X, y = some(*IMAGE_SETS["mnist_test"][0](), chosen.rows)
    for method in chosen.methods:
        names = {
            (setting, name): {"data": "mnist_test", "method": method, "setting": setting}
            | {"layers": name, "n": len(y)}
            for setting in SETTINGS.values()
            for name in WITHOUT
        }
        if not any(table.lacks(**row, seeds=len(chosen.seeds)) for row in names.values()):
            continue
        found: dict[tuple[str, str], list[np.ndarray]] = {row: [] for row in names}
        for seed in chosen.seeds:
            for counts, maps, channels in nested_maps(X, stacks[method], list(SETTINGS), 10, seed):
                for name, left_out in WITHOUT.items():
                    kept = [s for s in stacks[method][2:] if not isinstance(s, left_out)]
                    labels = read_kmeans(features(maps, channels, kept), 10, seed).labels
                    found[SETTINGS[counts], name].append(labels)
        for row, runs in found.items():
            scores = {s: mean_sd([f(y, labels) for labels in runs]) for s, f in SCORES.items()}
            setting, name = row
            paper = PUBLISHED[name][int(setting) - 1]
            table.put(names[row] | scores | {"paper acc": paper, "seeds": len(runs)})


if __name__ == "__main__":
    main()
