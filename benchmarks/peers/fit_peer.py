"""One fit of a deep clustering of ClustPy, or of UMAP and k-means, in a process of its own.

    python fit_peer.py SET.npz LABELS.npy DEC --clusters 10 [--seed 0]

Runs in ``.venv-peers``. Reads images (n, h, w) or (n, h, w, c), uint8, as rows of pixels from 0 to
1, writes labels, prints seconds, peak memory and version as JSON. Every method has its package's
default settings, k-means ten starts. But N2D: its default, t-SNE to as many dimensions as clusters,
cannot be run with more than three; it has UMAP with the settings of its paper.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_spectralnet import peak_mb

UMAP_METHOD = "UMAP + k-means"
METHODS = ("DEC", "IDEC", "VaDE", "N2D", UMAP_METHOD)


def clustpy_labels(method: str, rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Labels of one of ClustPy's methods."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        # Its compiled part is of another build of torch than the CPU's. ClustPy imports it for
        # networks and sets that are not used here, and that fails where these are not known.
        for name in ("nms", "qnms"):
            kinds = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", kinds)
    from clustpy import deep

    model = getattr(deep, method)(n_clusters=k, random_state=seed, **_options(method, k))
    return np.asarray(model.fit(rows).labels_)


def _options(method: str, k: int) -> dict[str, Any]:
    """What a method is told besides the number of clusters and the seed."""
    if method != "N2D":
        return {}
    from umap import UMAP

    settings = {"n_components": k, "n_neighbors": 20, "min_dist": 0.0}
    return {"manifold_class": UMAP, "manifold_params": settings}


def umap_labels(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Labels of k-means on two dimensions of UMAP."""
    from sklearn.cluster import KMeans
    from umap import UMAP

    places = UMAP(random_state=seed).fit_transform(rows)
    return np.asarray(KMeans(k, n_init=10, random_state=seed).fit_predict(places))


def main() -> None:
    """Fit, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    images = np.load(given.data)["X"]
    rows = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    before = peak_mb()
    start = time.perf_counter()
    if given.method == UMAP_METHOD:
        package, labels = "umap-learn", umap_labels(rows, given.clusters, given.seed)
    else:
        package, labels = "clustpy", clustpy_labels(given.method, rows, given.clusters, given.seed)
    seconds = time.perf_counter() - start
    np.save(given.labels, labels)
    found = {"seconds": seconds, "peak_mb": peak_mb(), "before_mb": before}
    if torch.cuda.is_available():
        found["gpu_mb"] = torch.cuda.max_memory_allocated() / 1e6
    print()  # progress bars end without one
    print(json.dumps(found | {"version": f"{package} {version(package)}"}))


if __name__ == "__main__":
    main()
