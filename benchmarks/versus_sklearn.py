"""Time and peak memory of fit_predict on MNIST pixels beside scikit-learn, each in its own process.

The sizes alternate between the two; each of the smaller ones is run three times and the median
kept. The largest is run once (an hour is scikit-learn's limit there). Sizes that are there already
are not run again without ``--again``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import Any

from common import ResumableTable
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
    parser.add_argument("--limit", type=int, default=LIMIT, help="seconds of one fit")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    given = parser.parse_args()
    notes = [str(__doc__).splitlines()[0]]
    table = ResumableTable("versus_sklearn", ("rows",), again=given.again, seeds=[0], notes=notes)
    stopped = []
    for n in (n for n in given.sizes if table.lacks(rows=n)):
        repeats = 3 if n <= 20_000 else 1
        ours, peers = [], []
        for _ in range(repeats):
            ours.append(run("fiedler", "mnist", n, given.limit))
            peers.append(run("sklearn", "mnist", n, given.limit))
        table.put({"rows": n, **compare(ours, peers)})
        if None in peers:
            stopped.append(f"At {n:,} rows scikit-learn was stopped after {given.limit:,} s.")
    table.note(*stopped)


def compare(ours: list[Any], peers: list[Any]) -> dict[str, Any]:
    """Return medians of both and their ratios; None where the peer was stopped."""
    keys = ("seconds", "peak_mb", "acc", "nmi")
    mine = {key: median(run[key] for run in ours) for key in keys}
    ended = [peer for peer in peers if peer is not None]
    theirs = {key: median(run[key] for run in ended) if ended else None for key in keys}
    faster = theirs["seconds"] and round(theirs["seconds"] / mine["seconds"], 1)
    share = theirs["peak_mb"] and round(mine["peak_mb"] / theirs["peak_mb"], 2)
    return {
        **{f"fiedler {key}": round(value, 3) for key, value in mine.items()},
        **{f"scikit-learn {key}": value and round(value, 3) for key, value in theirs.items()},
        "times faster": faster,
        "share of memory": share,
    }


if __name__ == "__main__":
    main()
