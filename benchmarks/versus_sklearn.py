"""Time and peak memory of fit_predict on MNIST pixels beside scikit-learn, each in its own process.

The sizes alternate between the two; each of the smaller ones is run three times and the median
kept. The largest is run once (an hour is scikit-learn's limit there).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import Any

from common import record
from runs import in_own_process

HERE = Path(__file__).resolve().parent
LIMIT = 3600


def run(method: str, rows: str, n: int, limit: int = LIMIT) -> dict[str, Any] | None:
    """Return what fit_once.py prints, None where the time limit ends it."""
    return in_own_process(HERE / "fit_once.py", method, rows, n, limit=limit)


def main() -> None:
    """Run all sizes and record the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 20_000, 70_000])
    given = parser.parse_args()
    rows = []
    for n in given.sizes:
        repeats = 3 if n <= 20_000 else 1
        ours, peers = [], []
        for _ in range(repeats):
            ours.append(run("fiedler", "mnist", n))
            peers.append(run("sklearn", "mnist", n))
        rows.append({"rows": n, **compare(ours, peers)})
        print(rows[-1], flush=True)
        record("versus_sklearn", rows, seeds=[0], notes=[str(__doc__).splitlines()[0]])


def compare(ours: list[Any], peers: list[Any]) -> dict[str, Any]:
    """Return medians of both and their ratios."""
    ended = [peer for peer in peers if peer is not None]
    mine = {key: median(run[key] for run in ours) for key in ("seconds", "peak_mb", "acc", "nmi")}
    table: dict[str, Any] = {f"fiedler {key}": round(value, 3) for key, value in mine.items()}
    if not ended:
        return table | {"scikit-learn seconds": f"over {LIMIT}"}
    theirs = {key: median(run[key] for run in ended) for key in mine}
    table |= {f"scikit-learn {key}": round(value, 3) for key, value in theirs.items()}
    return table | {
        "times faster": round(theirs["seconds"] / mine["seconds"], 1),
        "share of memory": round(mine["peak_mb"] / theirs["peak_mb"], 2),
    }


if __name__ == "__main__":
    main()
