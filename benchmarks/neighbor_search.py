"""Cells against faiss's inverted file on MNIST pixels: seconds, recall of 10 neighbours.

faiss is no dependency: without it (``pip install faiss-cpu`` in an environment of its own) the
table holds the cells alone.
"""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import numpy as np
from common import record

import fiedler

K = 10


def exact_distances(X: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Return the true distance of each sampled row to its K-th neighbour, in float64."""
    rows = X.astype(np.float64)
    norms = (rows**2).sum(axis=1)
    squared = norms[sample, None] + norms - 2.0 * rows[sample] @ rows.T
    squared[np.arange(len(sample)), sample] = np.inf
    return np.sqrt(np.partition(squared, K - 1, axis=1)[:, K - 1])


def cells(X: np.ndarray, recall: float) -> np.ndarray:
    """Return the distances that the package finds."""
    return fiedler.nearest_neighbors(X, K, method="cells", recall=recall).distances


def faiss_inverted_file(X: np.ndarray, n_probes: int) -> np.ndarray:
    """Return the distances that IndexIVFFlat finds with 256 lists."""
    import faiss

    rows = X.astype(np.float32)
    quantizer = faiss.IndexFlatL2(X.shape[1])
    index = faiss.IndexIVFFlat(quantizer, X.shape[1], 256)
    index.train(rows[::4].copy())
    index.add(rows)
    index.nprobe = n_probes
    squared, _ = index.search(rows, K + 1)
    return np.sqrt(np.maximum(squared[:, 1:], 0.0))


def main() -> None:
    """Time every search."""
    X = fiedler.load_dataset("mnist").X.reshape(70_000, -1)
    sample = np.random.default_rng(0).choice(len(X), 500, replace=False)
    farthest = exact_distances(X, sample)
    jobs: list[tuple[str, Any, Any]] = [(f"cells, recall {r}", cells, r) for r in (0.9, 0.98, 0.99)]
    if importlib.util.find_spec("faiss"):
        jobs += [(f"faiss, {p} of 256 lists", faiss_inverted_file, p) for p in (4, 8, 16)]
    fiedler.nearest_neighbors(X[:5000], K, method="cells")  # imports and kernels are not timed
    rows = []
    for name, search, argument in jobs:
        start = time.perf_counter()
        distances = search(X, argument)
        seconds = time.perf_counter() - start
        found = float((distances[sample] <= farthest[:, None] * (1 + 1e-5)).mean())
        rows.append({"search": name, "seconds": round(seconds, 2), "recall": round(found, 4)})
        print(rows[-1], flush=True)
    record("neighbor_search", rows, seeds=[0], notes=[str(__doc__).splitlines()[0]])


if __name__ == "__main__":
    main()
