"""Table 4 of the paper: what each part of the dual autoencoder adds, with the recipe "paper".

    python benchmarks/dscdan_ablation.py [--seeds 3] [--sets usps] [--again]

The first four rows are k-means on the codes after pretraining, "all" is the whole procedure. Every
run has a process of its own and is kept, so the script can be cut and continued.
"""

from __future__ import annotations

from network_table import make_table, network_arguments
from runs import Rows

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


def finish(rows: Rows, _runs: Rows) -> Rows:
    """Rows in the order of the paper's table, its figures beside ours."""
    for row in rows:
        acc, nmi = PUBLISHED[row["method"]][row["data"]]
        row |= {"published acc": acc, "published nmi": nmi}
    ranks = list(PUBLISHED)
    return sorted(rows, key=lambda row: (SETS.index(row["data"]), ranks.index(row["method"])))


if __name__ == "__main__":
    chosen = network_arguments(__doc__, SETS, list(PUBLISHED))
    make_table("dscdan_ablation", chosen, notes=NOTES, finish=finish)
