"""Figure 8 of SA-Net: accuracy over the number of procedures, first and second layer.

    python benchmarks/sanet_procedures.py [--seeds 2] [--rows 4000] [--methods default] [--again]

Images of the MNIST test set. ``default`` is the preset with up to eight procedures in the first
layer and four in the second, neighbour graphs of rising size; ``literal`` the paper's eight and
four in its order.
Nested numbers of procedures share the maps of the first layer (``sanet_common.nested_maps``).
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from common import ResumableTable, arguments, mean_sd
from sanet_ablation import features
from sanet_common import IMAGE_SETS, NOTES, SCORES, nested_maps, some

from fiedler import KNN, Procedure, SpectralLayer, Upright
from fiedler.graph import SearchOptions
from fiedler.models.sanet.maps import apply_plain, pixels
from fiedler.models.sanet.presets import PRESETS
from fiedler.models.sanet.readout import read_kmeans, read_rebuilt
from fiedler.progress import silent

FIRST = (9, 17, 5, 13, 21, 7, 11, 25)
SECOND = (9, 17, 5, 21)
# Figure 8 of the paper is a curve without numbers; of its end the text gives the accuracy, on all
# 70,000 images.
PUBLISHED = {(8, 4): 0.970}
NOTE = (
    "Figure 8 of the paper: accuracy grows with the number of procedures and is flat from 8 in the "
    "first layer and 4 in the second on; the one number is of the whole of MNIST."
)
COUNTS = [(1, 4), (2, 4), (4, 4), (8, 4), (8, 1), (8, 2)]


def stack() -> tuple[object, ...]:
    """The default preset with eight and four procedures."""
    layers = list(PRESETS["default"]((28, 28, 1)).layers)
    spectral = [i for i, layer in enumerate(layers) if isinstance(layer, SpectralLayer)]
    procedures = (
        tuple(Procedure(64, KNN(k)) for k in FIRST),
        tuple(Procedure(None, KNN(k, "self-tuning"), diffusion=64.0) for k in SECOND),
    )
    for place, chosen in zip(spectral, procedures, strict=True):
        layers[place] = replace(layers[place], procedures=chosen)
    return tuple(layers)


def main() -> None:
    """Make the rows of every method of which one is not there yet."""
    chosen = arguments(
        __doc__,
        {"--methods": ["default", "literal"], "--sets": ["mnist_test"]},
        options={"--seeds": 2, "--rows": 4000},
    )
    warnings.simplefilter("ignore")  # solvers of the literal text that stop early
    stacks = {"default": stack(), "literal": PRESETS["digits-paper"]((28, 28, 1)).layers}
    key = ("data", "method", "first", "second", "n")
    table = ResumableTable(
        "sanet_procedures", key, again=chosen.again, seeds=chosen.seeds, notes=[*NOTES[:2], NOTE]
    )
    X, y = some(*IMAGE_SETS["mnist_test"][0](), chosen.rows)
    upright = apply_plain(Upright(), X[..., None].astype(np.float32), pixels(1)).reshape(len(y), -1)
    for method in chosen.methods:
        names = {
            (first, second): {"data": "mnist_test", "method": method, "first": first}
            | {"second": second, "n": len(y)}
            for first, second in COUNTS
        }
        if not any(table.lacks(**row, seeds=len(chosen.seeds)) for row in names.values()):
            continue
        found: dict[tuple[int, int], list[np.ndarray]] = {counts: [] for counts in COUNTS}
        for seed in chosen.seeds:
            options = SearchOptions(recall=0.98, seed=seed)
            for counts, maps, channels in nested_maps(X, stacks[method], COUNTS, 10, seed):
                if method == "default":
                    rows = features(maps, channels, [])
                    labels = read_rebuilt(rows, upright, 10, 10, options, silent).labels
                else:
                    rows = features(maps, channels, list(stacks[method][2:]))
                    labels = read_kmeans(rows, 10, seed).labels
                found[counts].append(labels)
        for counts, runs in found.items():
            scores = {s: mean_sd([f(y, labels) for labels in runs]) for s, f in SCORES.items()}
            paper = PUBLISHED.get(counts)
            table.put(names[counts] | scores | {"paper acc": paper, "seeds": len(runs)})


if __name__ == "__main__":
    main()
