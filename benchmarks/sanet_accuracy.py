"""SA-Net on images: the presets that work, the paper's text, and classical methods beside them.

    python benchmarks/sanet_accuracy.py [--seeds 5] [--sets usps yaleb] [--methods sanet] [--again]

``sanet`` is ``fiedler.SANet`` with the preset for the kind of images ("default", "faces",
"objects", "natural"), ``sanet-paper`` the paper's text; for natural images ``sanet-paper-2``,
``-3`` and ``-5``; for objects ``sanet-default`` is "default". Classical methods see the pixels;
those that our core can make are made by it: N-Cuts is
``SpectralClustering(laplacian="rw", assign="discretize")``, self-tuning spectral clustering
``affinity="self-tuning"``, Nystrom a full Gaussian by ``solver="nystrom"``. Landmark-based (SC-LS)
and spectral embedded clustering (SEC) follow their papers (``classical.py``). Agglomerative
clustering (Ward) is scikit-learn's, above 12,000 images only along a graph of 10 neighbours. With
``--rows`` the script is tried on so many images of each set, in a table of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.sparse as sp
from classical import landmark_spectral, spectral_embedded
from common import ResumableTable, arguments, mean_sd
from runs import table_name
from sanet_common import BESIDE, IMAGE_SETS, NOTES, some, timed_scores
from sklearn.cluster import AgglomerativeClustering, KMeans

from fiedler import KNN, SANet, SpectralClustering
from fiedler.graph import nearest_neighbors

PUBLISHED = {
    "mnist": 0.970,
    "usps11k": 0.976,
    "ar": 0.855,
    "cmu_pie": 0.610,
    "yaleb": 0.766,
    "cifar10": 0.336,
}
# Ward's tree holds all distances; above this it goes along a neighbour graph.
_TREE_ROWS = 12_000
_TREE_NEIGHBORS = 10

Fit = Callable[[np.ndarray, int, int], np.ndarray]


def flat(X: np.ndarray) -> np.ndarray:
    """Images as rows."""
    return X.reshape(len(X), -1).astype(np.float32)


def agglomerative(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Ward's tree; it has no seed."""
    rows, connectivity = flat(X), None
    if len(rows) > _TREE_ROWS:
        graph = nearest_neighbors(rows, _TREE_NEIGHBORS)
        pointers = np.arange(0, graph.indices.size + 1, _TREE_NEIGHBORS)
        ones = np.ones(graph.indices.size)
        connectivity = sp.csr_matrix((ones, graph.indices.ravel(), pointers), (len(X), len(X)))
    return AgglomerativeClustering(k, connectivity=connectivity).fit_predict(rows)


def sanet(preset: str, X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """SA-Net by a preset."""
    return SANet(k, layers=preset, random_state=seed).fit_predict(X)


def presets(kind: str) -> dict[str, str]:
    """The presets for a kind of images, by the names of the methods."""
    return {"sanet": kind, **BESIDE[kind]}


def methods(kind: str) -> dict[str, Fit]:
    """What is compared, each as a function of images, clusters and seed."""
    return {name: partial(sanet, preset) for name, preset in presets(kind).items()} | {
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
        "nystrom": lambda X, k, seed: SpectralClustering(
            k, affinity="gaussian", solver="nystrom", assign="kmeans", random_state=seed
        ).fit_predict(X),
        "sc-ls": lambda X, k, seed: landmark_spectral(flat(X), k, seed),
        "sec": lambda X, k, seed: spectral_embedded(flat(X), k, seed),
        "agglomerative": agglomerative,
    }


def main() -> None:
    """Make every row that is not there yet."""
    names = list(dict.fromkeys(name for kind in BESIDE for name in methods(kind)))
    chosen = arguments(
        __doc__, {"--methods": names, "--sets": list(IMAGE_SETS)}, options={"--rows": 0}
    )
    warnings.simplefilter("ignore")  # disconnected graphs, solvers that stop early
    table = ResumableTable(
        table_name("sanet_accuracy", chosen.rows),
        ("data", "method"),
        again=chosen.again,
        seeds=chosen.seeds,
        notes=NOTES,
    )
    for name in chosen.sets:
        get, preset = IMAGE_SETS[name]
        X, y = some(*get(), chosen.rows)
        k = int(y.max()) + 1
        for method, fit in methods(preset).items():
            seeds = chosen.seeds[:1] if method == "agglomerative" else chosen.seeds
            made = not table.lacks(data=name, method=method, seeds=len(seeds))
            if method not in chosen.methods or made:
                continue
            runs = [timed_scores(partial(fit, X, k, seed), y) for seed in seeds]
            scores = {score: mean_sd([run[score] for run in runs]) for score in runs[0]}
            worst = min(run["acc"] for run in runs)
            size = {"n": len(y), "k": k, "preset": presets(preset).get(method)}
            paper = PUBLISHED.get(name) if "sanet" in method else None
            table.put(
                {"data": name, **size, "method": method, **scores}
                | {"worst acc": worst, "paper acc": paper, "seeds": len(seeds)}
            )


if __name__ == "__main__":
    main()
