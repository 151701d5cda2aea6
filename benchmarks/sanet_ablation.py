"""Table 3 of SA-Net: all layers, and without coding, binarisation or pooling.

    python benchmarks/sanet_ablation.py [--seeds 5] [--methods corrected literal] [--again]

MNIST test set, k-means on the last maps, three settings of the procedures. ``literal`` is the
paper's text; ``corrected`` has its geometry with rows normalised and eigenvectors weighted by
diffusion time, one graph a position in the second layer.
"""

from __future__ import annotations

import warnings

from common import ResumableTable, arguments, mean_sd
from sanet_common import IMAGE_SETS, NOTES, timed_scores, with_procedures

from fiedler import (
    KNN,
    Binarization,
    Coding,
    Pooling,
    Procedure,
    SANet,
    SpectralLayer,
)
from fiedler.models.sanet.presets import PRESETS

SETTINGS = {"1": (2, 1), "2": (2, 2), "3": (4, 2)}
WITHOUT = {
    "all layers": (),
    "without coding": (Coding,),
    "without binarisation": (Binarization,),
    "without pooling": (Pooling,),
}


def corrected() -> tuple[object, ...]:
    """The paper's geometry, made to work (``benchmarks/EXPERIMENTS.md``)."""
    first = tuple(Procedure(64, KNN(k)) for k in (9, 17, 5, 21))
    second = tuple(Procedure(30, KNN(k, "self-tuning"), diffusion=64.0) for k in (9, 17))
    return (
        SpectralLayer(11, 5, first, padding="same", landmarks=30_000),
        SpectralLayer(4, 1, second, center=False, n_pca=128, graph="position"),
        Pooling(2, 1, padding="same"),
        Binarization(),
        Coding(8),
    )


def main() -> None:
    """Make every row that is not there yet."""
    chosen = arguments(__doc__, {"--methods": ["corrected", "literal"], "--sets": ["mnist_test"]})
    warnings.simplefilter("ignore")  # solvers of the literal text that stop early
    stacks = {"corrected": corrected(), "literal": PRESETS["digits-paper"]((28, 28, 1)).layers}
    key = ("data", "method", "setting", "layers")
    table = ResumableTable(
        "sanet_ablation", key, again=chosen.again, seeds=chosen.seeds, notes=NOTES
    )
    X, y = IMAGE_SETS["mnist_test"][0]()
    for method in chosen.methods:
        for setting, counts in SETTINGS.items():
            for name, left_out in WITHOUT.items():
                names = {"data": "mnist_test", "method": method, "setting": setting, "layers": name}
                if not table.lacks(**names, seeds=len(chosen.seeds)):
                    continue
                stack = with_procedures(stacks[method], counts)
                stack = [layer for layer in stack if not isinstance(layer, left_out)]
                if Binarization in left_out:
                    # codes are of bits: without them the maps themselves are clustered
                    stack = [layer for layer in stack if not isinstance(layer, Coding)]
                runs = []
                for seed in chosen.seeds:
                    model = SANet(10, layers=stack, assign="kmeans", random_state=seed)
                    runs.append(timed_scores(lambda m=model: m.fit_predict(X), y))
                scores = {score: mean_sd([run[score] for run in runs]) for score in runs[0]}
                table.put(names | scores | {"seeds": len(runs)})


if __name__ == "__main__":
    main()
