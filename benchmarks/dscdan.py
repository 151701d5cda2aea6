"""DSCDAN on real images, beside k-means, spectral clustering and SpectralNet.

    make peers
    python benchmarks/dscdan.py [--seeds 5] [--sets usps] [--methods k-means] [--again]

Methods of ClustPy and UMAP with k-means, in their default settings, run in ``.venv-peers``, on the
sets of :data:`PEER_SETS` alone. Every run has a process of its own. The table is written after
each; a run that is there, or in the table of ``spectralnet.py``, is not made again, so the script
can be cut and continued. ``--rows`` and ``--steps`` make a trial.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import kept
from fit_network import METHODS, SPLITS, load_split
from network_table import fit_chosen, make_table, network_arguments
from peer_fits import peer_fit
from runs import Rows

SETS = [
    "mnist_test",
    "usps",
    "mnist",
    "mnist_60k_10k",
    "fashion_mnist",
    "coil20",
    "yaleb",
    "cifar10_10k",
    "fashion_test",
]
PEER_METHODS = ["DEC", "IDEC", "VaDE", "N2D", "UMAP + k-means"]
PEER_SETS = ["mnist_test", "usps", "fashion_mnist", "fashion_test"]
CHOSEN = ["k-means", "SpectralClustering", "SpectralNet, default", "DSCDAN, default"]
PAPER = "DSCDAN, paper"
NOTES = [
    "n_clusters is the true number of classes; no label is used otherwise. Seconds and peak memory "
    "(MB) are those of the fit, each in a process of its own, data and imports in the memory.",
    "mnist is trained and scored on all 70,000 rows; mnist_60k_10k is trained on 60,000, and "
    "'unseen' scores the other 10,000, given to predict. cifar10_10k: 10,000 images at random.",
    "Published (Yang et al. 2019): MNIST .978/.941, MNIST-test .980/.946, USPS .869/.857, "
    "Fashion .662/.645. 'paper' is the published procedure with settings that it leaves open.",
    "k-means, SpectralClustering, SpectralNet: runs that spectralnet.py has made are those.",
    "DEC, IDEC, VaDE, N2D: ClustPy's; pixels from 0 to 1, its default settings, but N2D "
    "with UMAP as in its paper: its default, t-SNE to 10 dimensions, cannot be run.",
]


def order(rows: Rows, _runs: Rows) -> Rows:
    """Rows by set and method; the versions of peers stay in the runs."""
    ranks = [*SPLITS, *METHODS, *PEER_METHODS]
    rows = [{name: value for name, value in row.items() if name != "version"} for row in rows]
    return sorted(rows, key=lambda row: (ranks.index(row["data"]), ranks.index(row["method"])))


def made_elsewhere(chosen: argparse.Namespace) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Runs of the table of SpectralNet by set, method and seed: the same fits."""
    if chosen.again or chosen.rows or chosen.steps:
        return {}
    return {(run["data"], run["method"], run["seed"]): run for run in kept("spectralnet", "runs")}


def wanted(name: str, method: str) -> bool:
    """Tell whether a method is run on a set."""
    return method not in PEER_METHODS or name in PEER_SETS


def one_run(name: str, method: str, seed: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """Fit one method on one set, unless it was fitted elsewhere."""
    found = made_elsewhere(chosen).get((name, method, seed))
    return found or fit_any(name, method, seed, chosen)


def fit_any(name: str, method: str, seed: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """Fit one method, ours or a peer's, on one set."""
    if method not in PEER_METHODS:
        return fit_chosen(name, method, seed, chosen)
    split = load_split(name, chosen.rows)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "set.npz"
        np.savez(file, X=split.X)
        fitted = {"seed": seed, "threads": chosen.threads}
        return peer_fit("fit_peer.py", file, split.y, method, **fitted)


if __name__ == "__main__":
    make_table(
        "dscdan",
        network_arguments(__doc__, SETS, [*CHOSEN, PAPER, *PEER_METHODS]),
        notes=NOTES,
        finish=order,
        one_run=one_run,
        wanted=wanted,
    )
