"""Error of the approximate eigensolvers against dense ``eigh``, on full kernels of real digits.

    python benchmarks/approximate_solvers.py

Rows: data set x affinity x number of eigenvectors x solver x landmarks. Columns, mean and standard
deviation over 5 seeds: largest error of an eigenvalue, sine of the largest principal angle to the
exact eigenvectors, largest residual ``|M u - (1 - value) u|``, seconds. No label is read. USPS
comes from ``fiedler.load_dataset``. Results go to ``benchmarks/results/approximate_solvers.json``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from common import load, mean_sd, record
from scipy.linalg import subspace_angles
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from fiedler.exceptions import ConvergenceWarning
from fiedler.graph.kernel import KernelOperator, median_sigma
from fiedler.spectrum.minibatch import minibatch_eigenpairs
from fiedler.spectrum.nystrom import nystrom_eigenpairs

SEEDS = range(5)
N_USPS = 2000
LANDMARKS = {10: (100, 300, 500, 1000), 64: (640, 1000)}
PAPER_EPOCHS = 20
COLUMNS = ("eigenvalue_error", "subspace_error", "residual", "seconds")

Solver = Callable[[KernelOperator, int, int], tuple[np.ndarray, np.ndarray, dict[str, Any]]]


def data_sets() -> dict[str, np.ndarray]:
    """Rows in float32: all of digits, and a fixed random sample of USPS (which is sorted)."""
    usps, _ = load("usps")
    sample = np.random.default_rng(0).choice(len(usps), N_USPS, replace=False)
    return {
        "digits": load_digits().data.astype(np.float32),
        f"usps {N_USPS}": usps[sample] / 255,
    }


def affinities(X: np.ndarray) -> dict[str, tuple[KernelOperator, np.ndarray]]:
    """Each affinity as the operator that is solved, and formed in float64 for the reference."""
    squared = cdist(X.astype(float), X.astype(float), "sqeuclidean")
    kth = np.sqrt(np.sort(squared, axis=1)[:, 7])
    sigma = median_sigma(kth)
    return {
        "gaussian": (KernelOperator(X, sigma=sigma), np.exp(-squared / (2 * sigma**2))),
        "self-tuning": (KernelOperator(X, scales=kth), np.exp(-squared / np.outer(kth, kth))),
    }


def solvers(k: int) -> dict[str, Solver]:
    """Name and call of each approximate solver for ``k`` eigenvectors."""
    table: dict[str, Solver] = {}
    for m in LANDMARKS[k]:
        for rule in ("uniform", "greedy"):
            table[f"nystrom, {m} {rule} landmarks"] = lambda W, k, seed, rule=rule, m=m: (
                nystrom_eigenpairs(W, k, landmarks=rule, n_landmarks=m, random_state=seed)
            )
    table[f"mini-batch, the paper's gradient, {PAPER_EPOCHS} epochs"] = lambda W, k, seed: (
        minibatch_eigenpairs(
            W, k, variance_reduction=False, n_epochs=PAPER_EPOCHS, random_state=seed
        )
    )
    table["mini-batch, variance reduction, tol 1e-3"] = lambda W, k, seed: minibatch_eigenpairs(
        W, k, random_state=seed
    )
    return table


def measure(
    solve: Solver, W: KernelOperator, normalized: np.ndarray, exact: Any, k: int, seed: int
) -> dict[str, float]:
    """One run of a solver against the exact eigenpairs."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the table shows it
        values, vectors, _ = solve(W, k, seed)
    seconds = time.perf_counter() - start
    errors = normalized @ vectors - vectors * (1 - values)
    return {
        "eigenvalue_error": float(np.abs(values - exact[0][:k]).max()),
        "subspace_error": float(np.sin(subspace_angles(vectors, exact[1][:, :k]).max())),
        "residual": float(np.linalg.norm(errors, axis=0).max()),
        "seconds": seconds,
    }


def rows() -> list[dict[str, Any]]:
    """All rows of the table, printed as they come."""
    table = []
    for set_name, X in data_sets().items():
        for affinity, (operator, formed) in affinities(X).items():
            root = np.sqrt(formed.sum(axis=1))
            normalized = formed / np.outer(root, root)
            start = time.perf_counter()
            values, vectors = np.linalg.eigh(normalized)
            dense_seconds = time.perf_counter() - start
            exact = 1 - values[::-1], vectors[:, ::-1]
            operator.degrees()  # cached, so that no solver is charged for it before another
            for k in LANDMARKS:
                gap = float(exact[0][k] - exact[0][k - 1])
                print(
                    f"\n{set_name}, n = {len(X)}, {affinity}, {k} eigenvectors, gap {gap:.1e}, "
                    f"dense eigh {dense_seconds:.1f} s"
                )
                for name, solve in solvers(k).items():
                    runs = [measure(solve, operator, normalized, exact, k, s) for s in SEEDS]
                    row = {
                        "data": set_name, "n": len(X), "affinity": affinity, "n_components": k,
                        "gap": gap, "dense_eigh_seconds": dense_seconds, "solver": name,
                    }  # fmt: skip
                    for column in COLUMNS:
                        row[column] = mean_sd([run[column] for run in runs])
                    table.append(row)
                    cells = (f"{row[c]['mean']:.1e} ± {row[c]['sd']:.0e}" for c in COLUMNS)
                    print(f"  {name:50s}" + "  ".join(cells), flush=True)
    return table


def main() -> None:
    """Measure, print, and keep the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print("columns: " + ", ".join(COLUMNS) + " (mean ± sd of 5 seeds)")
    record("approximate_solvers", rows(), seeds=list(SEEDS))


if __name__ == "__main__":
    main()
