"""Table 4 of the paper: what each part of the dual autoencoder adds, with the recipe "paper".

    python benchmarks/dscdan_ablation.py [--seeds 3] [--sets usps] [--again]

The first four rows are k-means on the codes after pretraining, "all" is the whole procedure. Every
run has a process of its own and is kept, so the script can be cut and continued.
"""

from __future__ import annotations

from typing import Any

import torch
from common import arguments
from runs import RunsTable, table_name
from spectralnet import fit

SETS = ["mnist_test", "usps"]
# ACC and NMI as published, MNIST-test and USPS.
PUBLISHED = {
    "DSCDAN, ConvAE": {"mnist_test": (0.781, 0.751), "usps": (0.698, 0.652)},
    "DSCDAN, ConvAE + MI": {"mnist_test": (0.844, 0.796), "usps": (0.785, 0.744)},
    "DSCDAN, ConvAE + RS": {"mnist_test": (0.850, 0.801), "usps": (0.798, 0.752)},
    "DSCDAN, ConvAE + MI + RS": {"mnist_test": (0.961, 0.914), "usps": (0.831, 0.827)},
    "DSCDAN, paper": {"mnist_test": (0.980, 0.946), "usps": (0.869, 0.857)},
}
NOTES = [
    "MI: mutual information; RS: the second, noisy decoding; 'paper': both, with the spectral "
    "network. The other rows are k-means on the codes. 'published' are the paper's figures.",
    "n_clusters is the true number of classes; no label is used otherwise.",
]


def finish(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in the order of the paper's table, its figures beside ours."""
    for row in rows:
        acc, nmi = PUBLISHED[row["method"]][row["data"]]
        row |= {"published acc": acc, "published nmi": nmi}
    ranks = list(PUBLISHED)
    return sorted(rows, key=lambda row: (SETS.index(row["data"]), ranks.index(row["method"])))


def main() -> None:
    """Make every run that is not there yet."""
    chosen = arguments(
        __doc__,
        {"--sets": SETS, "--methods": list(PUBLISHED)},
        options={"--threads": 2, "--rows": 0, "--steps": 0},
    )
    torch.set_num_threads(chosen.threads)
    cuts = (chosen.rows, chosen.steps)
    table = RunsTable(
        table_name("dscdan_ablation", *cuts),
        ("data", "method"),
        again=chosen.again,
        finish=finish,
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
