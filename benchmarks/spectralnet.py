"""SpectralNet on real sets, beside k-means, spectral clustering and an autoencoder with k-means.

    python benchmarks/spectralnet.py [--seeds 5] [--sets mnist] [--methods k-means] [--again]

Every run has a process of its own. The table is written after each; a run that is there is not
made again, so the script can be cut and continued.
"""

from __future__ import annotations

from fit_network import METHODS, SPLITS
from network_table import make_table, network_arguments
from runs import Rows

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


def order(rows: Rows, _runs: Rows) -> Rows:
    """Rows by set and method, in the order of the tables in fit_network."""
    ranks = [*SPLITS, *METHODS]
    return sorted(rows, key=lambda row: (ranks.index(row["data"]), ranks.index(row["method"])))


if __name__ == "__main__":
    make_table("spectralnet", network_arguments(__doc__, SETS, CHOSEN), notes=NOTES, finish=order)
