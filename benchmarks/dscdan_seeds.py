"""How much DSCDAN depends on its seed: 20 seeds on USPS, the whole distribution.

    python benchmarks/dscdan_seeds.py [--seeds 20] [--again]

A fit that ends in a collapse counts as accuracy 0. Every run has a process of its own and is kept,
so the script can be cut and continued.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from common import arguments
from runs import RunsTable, table_name
from spectralnet import fit

NOTES = [
    "low, q1, median, q3, high: of the accuracy over the seeds; sorted: that of each seed. "
    "collapsed: how many fits reported a collapse: by CollapsedOutputsError, counted as accuracy "
    "0, or by CollapsedOutputsWarning, counted with the accuracy of their labels. n_clusters is "
    "the true number of classes; no label is used otherwise.",
]
METHODS = ["SpectralNet, default", "DSCDAN, default"]
SHARES = {"low": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "high": 1.0}


def attempt(
    name: str, method: str, seed: int, rows: int, steps: int, threads: int
) -> dict[str, Any]:
    """One run; a reported collapse is a result."""
    try:
        found = fit(name, method, seed, rows, steps, threads=threads)
    except RuntimeError as error:
        if "CollapsedOutputsError" not in str(error):
            raise
        return {"acc": 0.0, "nmi": 0.0, "collapsed": 1.0}
    warned = "CollapsedOutputsWarning" in found["warnings"]
    return {"acc": found["acc"], "nmi": found["nmi"], "collapsed": float(warned)}


def main() -> None:
    """Make every run that is not there yet."""
    chosen = arguments(
        __doc__,
        {"--sets": ["usps"], "--methods": METHODS},
        options={"--seeds": 20, "--threads": 2, "--rows": 0, "--steps": 0},
    )
    torch.set_num_threads(chosen.threads)
    cuts = (chosen.rows, chosen.steps)

    def finish(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            wanted = {"data": row["data"], "method": row["method"]}
            found = table.figures("acc", **wanted)
            row |= {name: float(np.quantile(found, share)) for name, share in SHARES.items()}
            row["collapsed"] = int(sum(table.figures("collapsed", **wanted)))
            row["sorted"] = " ".join(f"{acc:.3f}" for acc in sorted(found))
        return rows

    table = RunsTable(
        table_name("dscdan_seeds", *cuts),
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
                    table.put(run | attempt(name, method, seed, *cuts, chosen.threads))


if __name__ == "__main__":
    main()
