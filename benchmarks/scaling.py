"""Cost of a fit from 10,000 to 1,000,000 rows: stages, their distance from the machine's limits.

    python benchmarks/scaling.py [--sets blobs] [--sizes 10000 1000000] [--limit 900] [--again]

Every size has a process of its own and is kept when it ends, so the table can be cut and continued.
The limit of the search is the time of its multiply-adds at the measured speed of matrix products;
that of the eigenvectors, the time to read the graph and the gathered vectors at the measured
speed of memory.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from common import ResumableTable
from versus_sklearn import run

from fiedler.graph.precision import scan_dtype


def product_speed(d: int) -> float:
    """Return multiply-adds a second of a matrix product in the dtype of the scan."""
    dtype = scan_dtype(torch.device("cpu"))
    a, b = torch.randn(1024, d).to(dtype), torch.randn(8192, d).to(dtype)
    seconds = min(_seconds(lambda: a @ b.T) for _ in range(7))
    return 1024 * 8192 * d / seconds


def memory_speed() -> float:
    """Return bytes a second of reading and writing a large array."""
    a = torch.zeros(64 << 20)
    return 2 * 4 * len(a) / min(_seconds(lambda: a.add_(1.0)) for _ in range(5))


def _seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


SETS = ("mnist", "mnist-pca64", "blobs")
MNIST_SIZES = [10_000, 20_000, 40_000, 70_000]


def main() -> None:
    """Run the sizes that are not there yet, fit the exponents, record the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--limit", type=int, default=900, help="seconds of one fit; default 900")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    given = parser.parse_args()
    table = ResumableTable("scaling", ("data", "rows"), again=given.again, seeds=[0], notes=[])
    speeds = {d: product_speed(d) for d in (64, 784)}
    bandwidth = memory_speed()
    notes = []
    for name in given.sets:
        for n in MNIST_SIZES if name == "mnist" else given.sizes:
            if not table.lacks(data=name, rows=n):
                continue
            result = run("fiedler", name, n, given.limit)
            if result is None:
                notes.append(f"{name} at {n:,} rows was stopped after {given.limit} s.")
                continue
            table.put(line(name, n, result, speeds[784 if name == "mnist" else 64], bandwidth))
    notes += exponents(table.rows)
    notes.append(
        f"Measured limits: {speeds[64] / 1e9:.0f} (d = 64) and {speeds[784] / 1e9:.0f} (d = 784) "
        f"thousand million multiply-adds a second, {bandwidth / 1e9:.0f} GB a second."
    )
    table.note(*notes)


def exponents(rows: list[dict[str, Any]]) -> list[str]:
    """Say how the seconds of each set grow, by least squares of the logarithms."""
    notes = []
    for name in SETS:
        chosen = [row for row in rows if row["data"] == name]
        if len(chosen) > 1:
            logs = np.log([[row["rows"], row["seconds"]] for row in chosen])
            exponent = np.polyfit(logs[:, 0], logs[:, 1], 1)[0]
            notes.append(f"Seconds grow like n^{exponent:.2f} on {name}.")
    return notes


def line(
    name: str, n: int, result: dict[str, Any], speed: float, bandwidth: float
) -> dict[str, Any]:
    """Return one row of the table."""
    stages, d = result["stages"], 784 if name == "mnist" else 64
    k = 20 if name == "blobs" else 10
    # about eight probed cells of 400 rows a query; exact search would be n
    search_limit = n * 8 * 400 * d / speed
    width, products, edges = 1.5 * 3 * k, 100, 11 * n
    eigen_limit = products * (edges * 8 + 3 * n * width * 4) / bandwidth
    return {
        "data": name,
        "rows": n,
        "features": d,
        "seconds": round(result["seconds"], 2),
        "peak_mb": round(result["peak_mb"]),
        "acc": round(result.get("acc", float("nan")), 3),
        "graph s": round(stages["graph"], 2),
        "eigenvectors s": round(stages["eigenvectors"], 2),
        "assignment s": round(stages["assignment"], 2),
        "graph share": round(stages["graph"] / result["seconds"], 2),
        "graph over limit": round(stages["graph"] / search_limit, 1),
        "eigenvectors over limit": round(stages["eigenvectors"] / eigen_limit, 1),
    }


if __name__ == "__main__":
    main()
