"""Figure 8 of SA-Net: accuracy over the number of procedures, first and second layer.

    python benchmarks/sanet_procedures.py [--seeds 5] [--methods default literal] [--again]

MNIST test set. ``default`` is the preset with up to eight procedures in the first layer and four
in the second, neighbour graphs of rising size; ``literal`` the paper's eight and four in its order.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

from common import ResumableTable, arguments, mean_sd
from sanet_common import IMAGE_SETS, NOTES, timed_scores, with_procedures

from fiedler import KNN, Procedure, SANet, SpectralLayer
from fiedler.models.sanet.presets import PRESETS

FIRST = (9, 17, 5, 13, 21, 7, 11, 25)
SECOND = (9, 17, 5, 21)
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
    """Make every row that is not there yet."""
    chosen = arguments(__doc__, {"--methods": ["default", "literal"], "--sets": ["mnist_test"]})
    warnings.simplefilter("ignore")  # solvers of the literal text that stop early
    literal = PRESETS["digits-paper"]((28, 28, 1)).layers
    key = ("data", "method", "first", "second")
    table = ResumableTable(
        "sanet_procedures", key, again=chosen.again, seeds=chosen.seeds, notes=NOTES
    )
    X, y = IMAGE_SETS["mnist_test"][0]()
    for method in chosen.methods:
        for first, second in COUNTS:
            names = {"data": "mnist_test", "method": method, "first": first, "second": second}
            if not table.lacks(**names, seeds=len(chosen.seeds)):
                continue
            layers = with_procedures(stack() if method == "default" else literal, (first, second))
            assign = "rebuild" if method == "default" else "kmeans"
            runs = []
            for seed in chosen.seeds:
                model = SANet(10, layers=layers, assign=assign, random_state=seed)
                runs.append(timed_scores(lambda m=model: m.fit_predict(X), y))
            scores = {score: mean_sd([run[score] for run in runs]) for score in runs[0]}
            table.put(names | scores | {"seeds": len(runs)})


if __name__ == "__main__":
    main()
