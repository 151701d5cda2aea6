"""DSCDAN on real images, beside k-means, spectral clustering and SpectralNet.

    python benchmarks/dscdan.py [--seeds 5] [--sets usps] [--methods k-means] [--again]

Every run has a process of its own. The table is written after each; a run that is there is not
made again, so the script can be cut and continued. ``--rows`` and ``--steps`` make a trial.
"""

from __future__ import annotations

import torch
from common import arguments
from runs import RunsTable, table_name
from spectralnet import fit, order

SETS = [
    "mnist_test",
    "usps",
    "mnist",
    "mnist_60k_10k",
    "fashion_mnist",
    "coil20",
    "yaleb",
    "cifar10_10k",
]
CHOSEN = ["k-means", "SpectralClustering", "SpectralNet, default", "DSCDAN, default"]
PAPER = "DSCDAN, paper"
NOTES = [
    "n_clusters is the true number of classes; no label is used otherwise. Seconds and peak memory "
    "(MB) are those of the fit, each in a process of its own, data and imports in the memory.",
    "mnist is trained and scored on all 70,000 rows; mnist_60k_10k is trained on 60,000, and "
    "'unseen' scores the other 10,000, given to predict. cifar10_10k: 10,000 images at random.",
    "Published (Yang et al. 2019): MNIST .978/.941, MNIST-test .980/.946, USPS .869/.857, "
    "Fashion .662/.645. 'paper' is the published procedure with settings that it leaves open.",
]


def main() -> None:
    """Make every run that is not there yet."""
    chosen = arguments(
        __doc__,
        {"--sets": SETS, "--methods": [*CHOSEN, PAPER]},
        options={"--threads": 2, "--rows": 0, "--steps": 0},
    )
    torch.set_num_threads(chosen.threads)  # what the table says
    cuts = (chosen.rows, chosen.steps)
    table = RunsTable(
        table_name("dscdan", *cuts),
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
