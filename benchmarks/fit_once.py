"""One fit in a process of its own: prints seconds, peak memory and labels' scores as JSON.

Used by versus_sklearn.py and scaling.py, so that each figure has a fresh process and its own peak.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from runs import peak_mb

import fiedler
from fiedler.evaluation import accuracy, nmi


def make_rows(name: str, n: int) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Return rows, classes or None, and the number of clusters to ask for.

    ``mnist``: the first n. ``mnist-pca64``: MNIST on 64 principal directions, repeated up to n with
    Gaussian noise half as long as the median neighbour distance. From eight copies on, the copies
    of a row are nearest to each other, and the graph falls into one piece for each original: the
    search has its full work there, the eigenvectors and the labels do not. ``blobs``: 20 Gaussians
    in 64 dimensions.
    """
    if name == "blobs":
        rng = np.random.default_rng(0)
        centers = rng.standard_normal((20, 64)).astype(np.float32) * 2
        y = rng.integers(20, size=n)
        X = centers[y] + rng.standard_normal((n, 64), dtype=np.float32)
        return X, y, 20
    data = fiedler.load_dataset("mnist")
    pixels, y = data.X.reshape(len(data.X), -1), data.y
    if name == "mnist":
        return pixels[:n], y[:n], 10
    sample = pixels[::7].astype(np.float32)
    mean = sample.mean(axis=0)
    _, _, directions = np.linalg.svd(sample - mean, full_matrices=False)
    rows = (pixels.astype(np.float32) - mean) @ directions[:64].T
    rng = np.random.default_rng(0)
    pick = np.concatenate([rng.permutation(len(rows)) for _ in range(-(-n // len(rows)))])[:n]
    gap = fiedler.nearest_neighbors(rows[:10000], 1).distances
    noise = rng.standard_normal((n, 64), dtype=np.float32)
    return rows[pick] + noise * np.float32(0.5 * np.median(gap) / 8.0), y[pick], 10


def fit(method: str, X: np.ndarray, k: int) -> tuple[np.ndarray, dict[str, float]]:
    """Return labels and seconds of each stage."""
    if method == "fiedler":
        model = fiedler.SpectralClustering(k, random_state=0).fit(X)
        return model.labels_, model.timings_
    from sklearn.cluster import SpectralClustering

    peer = SpectralClustering(
        k, affinity="nearest_neighbors", n_neighbors=10, n_jobs=2, random_state=0
    )
    return peer.fit_predict(X), {}


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=["fiedler", "sklearn"])
    parser.add_argument("rows", choices=["mnist", "mnist-pca64", "blobs"])
    parser.add_argument("n", type=int)
    given = parser.parse_args()
    X, y, k = make_rows(given.rows, given.n)
    if given.method == "fiedler":
        fiedler.SpectralClustering()  # imports are not part of the fit
    else:
        import sklearn.cluster  # noqa: F401
    before = peak_mb()
    start = time.perf_counter()
    labels, stages = fit(given.method, X, k)
    seconds = time.perf_counter() - start
    result: dict[str, Any] = {
        "seconds": seconds,
        "peak_mb": peak_mb(),
        "before_mb": before,
        "stages": stages,
    }
    if y is not None:
        result |= {"acc": accuracy(y, labels), "nmi": nmi(y, labels)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
