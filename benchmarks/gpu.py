"""The fits of dscdan.py on a GPU, ours beside ClustPy's: seconds, memory of both sides, accuracy.

    make peers
    python benchmarks/gpu.py [--seeds 5] [--sets usps] [--methods "DSCDAN, default"] [--again]

Needs a GPU that torch finds; everything runs there by itself. What runs on the processor alone
(k-means, UMAP) is not repeated. The table is written after each run, and can be continued.
"""

from __future__ import annotations

import sys

import torch
from dscdan import PEER_METHODS, SETS, fit_any, order, wanted
from network_table import make_table, network_arguments

OURS = ["SpectralClustering", "SpectralNet, default", "DSCDAN, default"]
NETWORKS = [method for method in PEER_METHODS if "k-means" not in method]
NOTES = [
    "As the table of dscdan.py, but on a GPU. gpu_mb: the most that torch held there, in MB; "
    "peak_mb: of the process. Loading CUDA is in the seconds.",
]

if __name__ == "__main__":
    if not torch.cuda.is_available():
        print(
            "torch finds no GPU here: this table, of fits on one, stays as it is", file=sys.stderr
        )
        sys.exit()  # make bench goes on
    make_table(
        "gpu",
        network_arguments(__doc__, SETS, [*OURS, *NETWORKS]),
        notes=NOTES,
        finish=order,
        one_run=fit_any,
        wanted=wanted,
    )
