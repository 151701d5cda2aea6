"""How near SpectralNet's outputs come to the exact eigenvectors, by the kind of its batches.

    python benchmarks/spectral_quality.py [--seeds 5] [--again]

Rows are the codes of the MNIST test set (an autoencoder of each seed). The span of the learned
first 10 columns is compared with that of the exact 10 smallest eigenvectors of a graph of all rows,
those of the Laplacian that the loss belongs to. No label is read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from common import arguments
from fit_network import codes_of, load_split, shortened, train_encoder
from runs import RunsTable, table_name
from scipy.linalg import subspace_angles

import fiedler
from fiedler import BatchAffinity, SpectralNetRecipe
from fiedler.graph import KNN, SearchOptions
from fiedler.graph.laplacian import LaplacianKind
from fiedler.spectrum import smallest_eigenpairs
from fiedler.spectrum.ritz import subspace_distance

K = 10
# In a batch of 1,024 of 10,000 rows, 20 neighbours reach as far as about 200 of all rows.
GRAPHS = {"default": KNN(), "200": KNN(200)}
NOTES = [
    f"grassmann: root of the sum of squared principal angles, at most {np.pi / 2 * K**0.5:.2f}; "
    "canonical: mean squared canonical correlation (squared cosine of those angles), 1 is exact.",
    "neighbours: batches along the edges of the default graph of all rows (the default recipe). "
    "random: the same network and steps on random rows, 20 neighbours in the batch. random, as "
    "published: 3 neighbours, tanh, alternating steps (the paper recipe).",
    "graph: how many neighbours the graph has whose eigenvectors are exact; 'default' is the one "
    "that neighbour batches are drawn from, 200 is about what 20 within a batch amount to.",
]


@dataclass(frozen=True)
class Batches:
    """A recipe on codes, and the Laplacian whose eigenvectors its loss looks for."""

    recipe: SpectralNetRecipe
    laplacian: LaplacianKind


_DEFAULT = SpectralNetRecipe.named("default")
_RANDOM = BatchAffinity(n_neighbors=20, scale_neighbor=7, scale="local")
BATCHES = {
    "neighbours": Batches(_DEFAULT, "rw"),
    "random": Batches(replace(_DEFAULT, affinity=_RANDOM), "sym"),
    "random, as published": Batches(
        replace(SpectralNetRecipe.named("paper"), codes=None, siamese=None), "unnormalized"
    ),
}


def exact_vectors(codes: np.ndarray, laplacian: LaplacianKind) -> dict[str, np.ndarray]:
    """The exact K eigenvectors of each graph, each of shape (n, K)."""
    found = {}
    for name, affinity in GRAPHS.items():
        matrix = affinity.fit(codes, SearchOptions()).matrix
        pairs = smallest_eigenpairs(matrix, K, laplacian=laplacian, solver="block")
        found[name] = pairs.vectors
    return found


def compare(learned: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Distance and agreement of two spans."""
    angles = subspace_angles(learned.astype(np.float64), exact)
    return {
        "grassmann": subspace_distance(learned, exact),
        "canonical": float(np.square(np.cos(angles)).mean()),
    }


def one_fit(codes: np.ndarray, batches: Batches, seed: int, steps: int) -> list[dict[str, Any]]:
    """Fit once; one result for each graph."""
    start = time.perf_counter()
    recipe = shortened(batches.recipe, steps)
    model = fiedler.SpectralNet(K, recipe=recipe, random_state=seed).fit(codes)
    seconds = time.perf_counter() - start
    return [
        {
            "laplacian": batches.laplacian,
            "graph": name,
            "n": len(codes),
            **compare(model.embedding_[:, :K], exact),
            "seconds": seconds,
        }
        for name, exact in exact_vectors(codes, batches.laplacian).items()
    ]


def main() -> None:
    """Make every run that is not there yet."""
    options = {"--threads": 2, "--rows": 0, "--steps": 0}
    chosen = arguments(
        __doc__, {"--sets": ["mnist_test"], "--batches": list(BATCHES)}, options=options
    )
    torch.set_num_threads(chosen.threads)
    table = RunsTable(
        table_name("spectral_quality", chosen.rows, chosen.steps),
        ("data", "batches", "graph"),
        again=chosen.again,
        seeds=chosen.seeds,
        notes=NOTES,
    )
    for seed in chosen.seeds:
        for name in chosen.sets:
            wanted = {"data": name, "seed": seed, "graph": "200"}  # a fit's last row
            missing = [each for each in chosen.batches if table.lacks(**wanted, batches=each)]
            if missing:
                X = load_split(name, chosen.rows).X
                codes = codes_of(train_encoder(X, seed, chosen.steps), X)
            for each in missing:
                for found in one_fit(codes, BATCHES[each], seed, chosen.steps):
                    table.put({"data": name, "batches": each, "seed": seed, **found})


if __name__ == "__main__":
    main()
