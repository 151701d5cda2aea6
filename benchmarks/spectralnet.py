"""SpectralNet on real sets, beside k-means, spectral clustering and an autoencoder with k-means.

    python benchmarks/spectralnet.py [--seeds 5] [--sets mnist] [--methods k-means] [--again]

Every run has a process of its own. The table is written after each; a run that is there is not
made again, so the script can be cut and continued.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from common import arguments
from fit_network import METHODS, SPLITS
from runs import RunsTable, in_own_process, table_name

HERE = Path(__file__).resolve().parent
SETS = [
    "mnist",
    "mnist_60k_10k",
    "mnist_test",
    "usps",
    "fashion_mnist",
    "reuters_r8",
    "20newsgroups",
]
CHOSEN = [
    name for name in METHODS if name != "SpectralNet, as the package" and "DSCDAN" not in name
]
NOTES = [
    "n_clusters is the true number of classes; no label is used otherwise. Seconds and peak memory "
    "(MB) are those of the fit, each in a process of its own, data and imports in the memory.",
    "mnist is trained and scored on all 70,000 rows; mnist_60k_10k is trained on 60,000, and "
    "'unseen' scores the other 10,000, given to predict. 20newsgroups is without 111 empty rows.",
    "'paper': codes, Siamese affinity, random batches, alternating steps; for texts with the "
    "published settings of Reuters. Published: MNIST .971/.924 (without Siamese .800/.814, on "
    "pixels .622/.687), unseen .970/.925.",
]


def order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by set and method, in the order of the tables in fit_network."""
    ranks = [*SPLITS, *METHODS]
    return sorted(rows, key=lambda row: (ranks.index(row["data"]), ranks.index(row["method"])))


def fit(
    name: str, method: str, seed: int, rows: int, steps: int, *, threads: int
) -> dict[str, Any]:
    """What fit_network.py says of one run."""
    given = (name, method, "--seed", seed, "--rows", rows, "--steps", steps)
    found = in_own_process(HERE / "fit_network.py", *given, threads=threads)
    assert found is not None  # no limit was given
    return found


def main() -> None:
    """Make every run that is not there yet."""
    chosen = arguments(
        __doc__,
        {"--sets": SETS, "--methods": CHOSEN},
        options={"--threads": 2, "--rows": 0, "--steps": 0},
    )
    torch.set_num_threads(chosen.threads)  # what the table says
    cuts = (chosen.rows, chosen.steps)
    table = RunsTable(
        table_name("spectralnet", *cuts),
        ("data", "method"),
        again=chosen.again,
        finish=order,
        seeds=chosen.seeds,
        notes=NOTES,
    )
    for seed in chosen.seeds:
        for name in chosen.sets:
            for method in chosen.methods:
                run = {"data": name, "method": method, "seed": seed}
                if table.lacks(**run):
                    table.put(run | fit(name, method, seed, *cuts, threads=chosen.threads))


if __name__ == "__main__":
    main()
