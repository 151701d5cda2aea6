"""SA-Net on images: the presets that work, the paper's text, and classical methods beside them.

    python benchmarks/sanet_accuracy.py [--seeds 5] [--sets usps yaleb] [--methods sanet] [--again]

``sanet`` is ``fiedler.SANet`` with the preset for the kind of images ("default", "faces",
"natural"), ``sanet-paper`` the paper's text. Classical methods see the pixels; those that our core
can make are made by it: N-Cuts is ``SpectralClustering(laplacian="rw", assign="discretize")``,
self-tuning spectral clustering ``affinity="self-tuning"``, landmark-based (SC-LS) a full Gaussian
by ``solver="nystrom"``. Agglomerative clustering (Ward) is scikit-learn's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from common import ResumableTable, arguments, mean_sd
from sanet_common import IMAGE_SETS, NOTES, PAPER, timed_scores
from sklearn.cluster import AgglomerativeClustering, KMeans

from fiedler import KNN, SANet, SpectralClustering

PUBLISHED = {
    "mnist": 0.970,
    "usps11k": 0.976,
    "ar": 0.855,
    "cmu_pie": 0.610,
    "yaleb": 0.766,
    "cifar10": 0.336,
}
# Ward's tree holds all distances.
_TREE_ROWS = 12_000

Fit = Callable[[np.ndarray, int, int], np.ndarray]


def methods(preset: str) -> dict[str, Fit]:
    """What is compared, each as a function of images, clusters and seed."""

    def flat(X: np.ndarray) -> np.ndarray:
        return X.reshape(len(X), -1).astype(np.float32)

    return {
        "sanet": lambda X, k, seed: SANet(k, layers=preset, random_state=seed).fit_predict(X),
        "sanet-paper": lambda X, k, seed: SANet(
            k, layers=PAPER[preset], random_state=seed
        ).fit_predict(X),
        "k-means": lambda X, k, seed: KMeans(k, n_init=10, random_state=seed).fit_predict(flat(X)),
        "n-cuts": lambda X, k, seed: SpectralClustering(
            k,
            affinity=KNN(10, "gaussian"),
            laplacian="rw",
            assign="discretize",
            random_state=seed,
        ).fit_predict(X),
        "self-tuning": lambda X, k, seed: SpectralClustering(
            k, affinity="self-tuning", assign="kmeans", random_state=seed
        ).fit_predict(X),
        "sc-ls": lambda X, k, seed: SpectralClustering(
            k, affinity="gaussian", solver="nystrom", assign="kmeans", random_state=seed
        ).fit_predict(X),
        "agglomerative": lambda X, k, seed: AgglomerativeClustering(k).fit_predict(flat(X)),
    }


def main() -> None:
    """Make every row that is not there yet."""
    names = list(methods("default"))
    chosen = arguments(__doc__, {"--methods": names, "--sets": list(IMAGE_SETS)})
    warnings.simplefilter("ignore")  # disconnected graphs, solvers that stop early
    table = ResumableTable(
        "sanet_accuracy", ("data", "method"), again=chosen.again, seeds=chosen.seeds, notes=NOTES
    )
    for name in chosen.sets:
        get, preset = IMAGE_SETS[name]
        X, y = get()
        k = int(y.max()) + 1
        for method in chosen.methods:
            once = method == "agglomerative"  # it has no seed
            seeds = chosen.seeds[:1] if once else chosen.seeds
            if (once and len(y) > _TREE_ROWS) or not table.lacks(
                data=name, method=method, seeds=len(seeds)
            ):
                continue
            fit = methods(preset)[method]
            runs = [timed_scores(partial(fit, X, k, seed), y) for seed in seeds]
            scores = {score: mean_sd([run[score] for run in runs]) for score in runs[0]}
            worst = min(run["acc"] for run in runs)
            size = {"n": len(y), "k": k, "preset": preset if "sanet" in method else None}
            paper = PUBLISHED.get(name) if "sanet" in method else None
            table.put(
                {"data": name, **size, "method": method, **scores}
                | {"worst acc": worst, "paper acc": paper, "seeds": len(seeds)}
            )


if __name__ == "__main__":
    main()
