"""SpectralNet beside the package ``spectralnet`` 1.1.0: time, peak memory, accuracy.

    make peers
    python benchmarks/spectralnet_package.py [--sets mnist_test mnist_20k] [--threads 2] [--again]

Each fit has a process of its own, the package in ``.venv-peers``. Same rows, layers, epochs, batch
sizes, rates and affinity (``fit_network.package_recipe``).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments
from fit_network import load_split
from network_table import fit
from peer_fits import peer_fit
from runs import Rows, RunsTable, table_name

PEER = "spectralnet 1.1.0"
METHODS = [PEER, "SpectralNet, as the package"]
SETS = ["mnist_test", "mnist_20k"]
NOTES = [
    "The package: its defaults, with autoencoder and Siamese network, on pixels from 0 to 1; its "
    "cached weights are deleted before each fit. 'as the package': fiedler's SpectralNet with the "
    "same layers, epochs, batch sizes, rates and affinity; one batch sets the last layer and is "
    "mapped by it, where the package takes two. Both read their rows from one file.",
    "process seconds are of the whole process, imports and reading of the data included; seconds "
    "of fit and labels; cpu: processor time of all threads. peak_mb is the process's; before_mb "
    "what it was before the fit. times faster and share of memory compare process cpu seconds, as "
    "the machine had other work, and peak_mb with the package's.",
    "mnist_test: the last 10,000 rows; mnist_20k: the first 20,000.",
]


def package(file: Path, y: np.ndarray, seed: int, epochs: int, threads: int) -> dict[str, Any]:
    """One fit of the package on a file's rows; n, k and seconds as fit_network.py says them."""
    given = ("--epochs", epochs)
    found = peer_fit("fit_spectralnet.py", file, y, *given, seed=seed, threads=threads)
    assert f"spectralnet {found.pop('version')}" == PEER
    return found


def compare(rows: Rows, _runs: Rows) -> Rows:
    """Rows by set and method, with what the package takes over what each takes."""
    rows = sorted(rows, key=lambda row: (SETS.index(row["data"]), METHODS.index(row["method"])))
    peers = {row["data"]: row for row in rows if row["method"] == PEER}
    for row in rows:
        peer = peers.get(row["data"])
        if peer is not None:
            row["times faster"] = _mean(peer["process cpu seconds"]) / _mean(
                row["process cpu seconds"]
            )
            row["share of memory"] = _mean(row["peak_mb"]) / _mean(peer["peak_mb"])
    return rows


def _mean(cell: Any) -> float:
    return float(cell["mean"] if isinstance(cell, dict) else cell)


def main() -> None:
    """Make every run that is not there yet."""
    options = {"--seeds": 1, "--threads": 2, "--rows": 0, "--steps": 0, "--epochs": 0}
    chosen = arguments(__doc__, {"--sets": SETS, "--methods": METHODS}, options=options)
    torch.set_num_threads(chosen.threads)  # what the table says
    table = RunsTable(
        table_name("spectralnet_package", chosen.rows, chosen.steps, chosen.epochs),
        ("data", "method"),
        again=chosen.again,
        finish=compare,
        seeds=chosen.seeds,
        notes=NOTES,
    )
    for name in chosen.sets:
        with tempfile.TemporaryDirectory() as folder:
            # both sides read the same file: nothing else of the set weighs on their memory
            split, file = load_split(name, chosen.rows), Path(folder) / "set.npz"
            np.savez(file, X=split.X, y=split.y)
            for seed in chosen.seeds:
                for method in chosen.methods:
                    run = {"data": name, "method": method, "seed": seed}
                    if table.lacks(**run):
                        table.put(run | one_run(file, split.y, method, seed, chosen))


def one_run(
    file: Path, y: np.ndarray, method: str, seed: int, chosen: argparse.Namespace
) -> dict[str, Any]:
    """Fit one method on a file's rows."""
    if method == PEER:
        return package(file, y, seed, chosen.epochs, chosen.threads)
    return fit(str(file), method, seed, 0, chosen.steps, threads=chosen.threads)


if __name__ == "__main__":
    main()
