"""Accuracy on real and made sets: ours, scikit-learn's spectral clustering, k-means on the rows.

    python benchmarks/accuracy.py [--seeds 5] [--sets usps digits] [--methods fiedler] [--again]

Every method is told the true number of clusters and sees the same rows; labels only score. ``ours``
is ``fiedler.SpectralClustering`` with its defaults, on rows or on the gradients of images. The
embedding of scikit-learn hardly depends on the seed and takes it up to two minutes above 5,000
rows, so it gets two seeds there; the column ``seeds`` tells. Seconds are of the whole fit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
from common import SETS, ResumableTable, Rows, arguments, load, mean_sd
from sklearn.cluster import KMeans
from sklearn.cluster import SpectralClustering as SklearnSpectralClustering
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import fiedler
from fiedler.evaluation import accuracy, ari, nmi, pairwise_f
from fiedler.exceptions import DisconnectedGraphWarning

GRADIENTS = "fiedler, gradients"
METHODS: dict[str, Callable[[int, int], object]] = {
    "fiedler": lambda k, seed: fiedler.SpectralClustering(k, random_state=seed),
    GRADIENTS: lambda k, seed: make_pipeline(
        FunctionTransformer(fiedler.gradient_histograms),
        fiedler.SpectralClustering(k, random_state=seed),
    ),
    "scikit-learn spectral": lambda k, seed: SklearnSpectralClustering(
        k, affinity="nearest_neighbors", n_neighbors=10, random_state=seed
    ),
    "k-means": lambda k, seed: KMeans(k, n_init=10, random_state=seed),
}
SCORES = {"acc": accuracy, "nmi": nmi, "ari": ari, "f": pairwise_f}
LARGE = 5000
NOTES = [
    "n_clusters is the true number of classes; no label is used otherwise.",
    "acc: matched accuracy; nmi: normalised mutual information; ari: adjusted Rand index; "
    "f: F-measure over pairs. Mean ± standard deviation over the seeds.",
    "fiedler, gradients: of image sets, the same on histograms of gradient orientation "
    "(`fiedler.gradient_histograms`), as `fiedler cluster` does; seconds with these.",
    "scikit-learn gets 2 seeds above 5,000 rows.",
    "Seconds are of one thread on a machine with other work: they compare the rows of this table "
    "roughly, and are no speed benchmark.",
]


def run(
    make: Callable[[int, int], object], X: Rows, y: np.ndarray, seeds: list[int]
) -> dict[str, dict[str, float]]:
    """Mean and sd of every score, and of the seconds, over the seeds."""
    figures: dict[str, list[float]] = {name: [] for name in (*SCORES, "seconds")}
    for seed in seeds:
        start = time.perf_counter()
        labels = make(int(y.max()) + 1, seed).fit_predict(X)
        figures["seconds"].append(time.perf_counter() - start)
        for name, score in SCORES.items():
            figures[name].append(score(y, labels))
    return {name: mean_sd(values) for name, values in figures.items()}


def main() -> None:
    """Make every row that is not there yet."""
    chosen = arguments(__doc__, {"--methods": list(METHODS)})
    # both warn of every disconnected graph
    warnings.simplefilter("ignore", DisconnectedGraphWarning)
    warnings.filterwarnings("ignore", "Graph is not fully connected")
    warnings.filterwarnings("ignore", "The number of connected components")
    table = ResumableTable(
        "accuracy", ("data", "method"), again=chosen.again, seeds=chosen.seeds, notes=NOTES
    )
    for name in (name for name in SETS if name in chosen.sets):
        X, y = load(name)
        for method in chosen.methods:
            large = method == "scikit-learn spectral" and len(y) > LARGE
            seeds = chosen.seeds[:2] if large else chosen.seeds
            key = {"data": name, "method": method}
            images = SETS[name]()[0] if method == GRADIENTS else None
            if images is not None and images.ndim < 3:
                continue
            if table.lacks(**key, seeds=len(seeds)):
                size = {"n": len(y), "k": int(y.max()) + 1}
                scores = run(METHODS[method], X if images is None else images, y, seeds)
                table.put({"data": name, **size, "method": method, **scores, "seeds": len(seeds)})


if __name__ == "__main__":
    main()
