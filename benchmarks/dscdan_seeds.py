"""How much DSCDAN depends on its seed: 20 seeds on USPS, the whole distribution.

    python benchmarks/dscdan_seeds.py [--seeds 20] [--again]

A fit that ends in a collapse counts as accuracy 0. Every run has a process of its own and is kept,
so the script can be cut and continued.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from network_table import fit_chosen, make_table, network_arguments
from runs import Rows

NOTES = [
    "low, q1, median, q3, high: of the accuracy over the seeds; sorted: that of each seed. "
    "collapsed: how many fits reported a collapse: by CollapsedOutputsError, counted as accuracy "
    "0, or by CollapsedOutputsWarning, counted with the accuracy of their labels. n_clusters is "
    "the true number of classes; no label is used otherwise.",
]
METHODS = ["SpectralNet, default", "DSCDAN, default"]
SHARES = {"low": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "high": 1.0}


def attempt(name: str, method: str, seed: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """One run; a reported collapse is a result."""
    try:
        found = fit_chosen(name, method, seed, chosen)
    except RuntimeError as error:
        if "CollapsedOutputsError" not in str(error):
            raise
        return {"acc": 0.0, "nmi": 0.0, "collapsed": 1.0}
    warned = "CollapsedOutputsWarning" in found["warnings"]
    return {"acc": found["acc"], "nmi": found["nmi"], "collapsed": float(warned)}


def distribution(rows: Rows, runs: Rows) -> Rows:
    """Rows with the whole distribution of the accuracy over the seeds."""
    for row in rows:
        own = [r for r in runs if (r["data"], r["method"]) == (row["data"], row["method"])]
        found = sorted(run["acc"] for run in own)
        row |= {name: float(np.quantile(found, share)) for name, share in SHARES.items()}
        row["collapsed"] = int(sum(run["collapsed"] for run in own))
        row["sorted"] = " ".join(f"{acc:.3f}" for acc in found)
    return rows


if __name__ == "__main__":
    chosen = network_arguments(__doc__, ["usps"], METHODS, seeds=20)
    make_table("dscdan_seeds", chosen, notes=NOTES, finish=distribution, one_run=attempt)
