"""A million rows from a memory map on disk: SpectralNet trained and every row labelled.

    python benchmarks/million.py [--rows 1000000] [--steps 0] [--folder /tmp]

The rows are 8 x 8 windows of MNIST images (64 features, float32, 256 MB on disk), each around a
random pixel with ink: real data whose neighbours come from different images. They have no classes;
modularity says whether the labels follow the graph. One process writes the file, another fits.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import record
from runs import in_own_process, peak_mb, table_name

import fiedler
from fiedler.graph import KNN, SearchOptions
from fiedler.partition import modularity

MILLION, CLUSTERS, SIDE = 1_000_000, 10, 8
JUDGED = 20_000
NOTES = [
    "Default recipe, 10 clusters. seconds and peak_mb are of the fit with all labels, in a process "
    "of its own; pages of the mapped file count as its memory, before_mb is what imports take.",
    f"modularity: of the labels of {JUDGED:,} random rows on their own neighbour graph; k-means: "
    "of 10 clusters of those rows by k-means. smallest: share of the smallest cluster.",
]


def write_windows(path: Path, n: int) -> None:
    """Write n windows, (n, 64), float32 from 0 to 1, as a ``.npy`` file, block by block."""
    images = fiedler.load_dataset("mnist").X
    half = SIDE // 2
    padded = np.pad(images, ((0, 0), (half, half), (half, half)))
    rng = np.random.default_rng(0)
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, SIDE * SIDE))
    steps = np.arange(SIDE)
    for start in range(0, n, 50_000):
        count = min(50_000, n - start)
        image = rng.integers(len(images), size=count)
        # of all pixels with ink (over half of white) a random one: the largest of random numbers
        chance = rng.random((count, images[0].size), dtype=np.float32)
        chance *= images[image].reshape(count, -1) > 127
        top, left = np.divmod(chance.argmax(axis=1), images.shape[2])
        down = (top[:, None] + steps)[:, :, None]
        across = (left[:, None] + steps)[:, None, :]
        windows = padded[image[:, None, None], down, across]
        rows[start : start + count] = windows.reshape(count, -1) / np.float32(255)
    rows.flush()


def fit(path: Path, steps: int) -> dict[str, Any]:
    """Fit the file's rows, judge the labels, and say what it took."""
    from fit_network import shortened

    rows = np.load(path, mmap_mode="r")
    recipe = shortened(fiedler.SpectralNetRecipe.named("default"), steps)
    before, start = peak_mb(), time.perf_counter()
    model = fiedler.SpectralNet(CLUSTERS, recipe=recipe, random_state=0).fit(rows)
    seconds, peak = time.perf_counter() - start, peak_mb()
    return {
        "rows": len(rows),
        "features": rows.shape[1],
        "seconds": seconds,
        **{f"{stage} s": spent for stage, spent in model.timings_.items()},
        "peak_mb": peak,
        "before_mb": before,
        "smallest": float(np.bincount(model.labels_).min() / len(rows)),
        **judge(rows, model.labels_),
    }


def judge(rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Modularity of the labels of some rows, and of k-means on them."""
    from sklearn.cluster import KMeans

    chosen = np.sort(np.random.default_rng(1).permutation(len(rows))[:JUDGED])
    some = np.ascontiguousarray(rows[chosen])
    graph = KNN().fit(some, SearchOptions()).matrix
    peer = KMeans(CLUSTERS, n_init=3, random_state=0).fit_predict(some)
    return {"modularity": modularity(graph, labels[chosen]), "k-means": modularity(graph, peer)}


def main() -> None:
    """Write the file, fit it in a process of its own, record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=MILLION)
    parser.add_argument("--steps", type=int, default=0, help="at most, to try the script (0: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the temporary file goes")
    parser.add_argument("--fit", type=Path, help="fit this file and print (used by itself)")
    given = parser.parse_args()
    if given.fit is not None:
        print(json.dumps(fit(given.fit, given.steps)))
        return
    torch.set_num_threads(given.threads)  # what the table says
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "windows.npy"
        write_windows(path, given.rows)
        found = in_own_process(
            Path(__file__), "--fit", path, "--steps", given.steps, threads=given.threads
        )
    assert found is not None  # no limit was given
    print(found)
    trial = table_name("million", given.steps, given.rows != MILLION)
    record(trial, [found], seeds=[0], notes=NOTES)


if __name__ == "__main__":
    main()
