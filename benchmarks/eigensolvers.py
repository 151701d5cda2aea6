"""Block solver, Lanczos (ARPACK) and LOBPCG on the same neighbour graphs: seconds and residuals.

    python benchmarks/eigensolvers.py [--sizes 70000] [--counts 10] [--solvers block] [--again]

Seconds are of the processor, over all threads, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from common import ResumableTable
from scipy.sparse.linalg import lobpcg

import fiedler
from fiedler.graph import KNN, SearchOptions, build_laplacian
from fiedler.spectrum import smallest_eigenpairs

NOTES = [
    "Processor seconds over all threads, the set-up of the Laplacian included but for lobpcg.",
    "auto is the block solver with a tolerance of 0.05 for the first third of the pairs and "
    "residuals below 0.02 times the eigenvalue for the others; block has 1e-4 for all.",
    "lanczos runs to machine precision; lobpcg (no preconditioner) stops after 500 steps.",
]


def lobpcg_eigenpairs(affinity: sp.csr_matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return SciPy's LOBPCG on the same deflated problem, Jacobi being the identity here."""
    laplacian = build_laplacian(affinity)
    start = np.random.default_rng(0).standard_normal((laplacian.n, k))
    known = laplacian.null_space(laplacian.n_components)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values, vectors = lobpcg(
            laplacian.matrix, start, largest=False, tol=1e-5, maxiter=500, Y=known
        )
    return values, vectors


def timed(work: Any) -> tuple[float, Any]:
    """Return processor seconds and result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


SOLVERS = ("auto", "block", "lanczos", "lobpcg")


def main() -> None:
    """Time each solver on each graph, unless it is there already."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 70_000])
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 30], help="of eigenvectors")
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=list(SOLVERS))
    parser.add_argument("--again", action="store_true", help="also what is there already")
    given = parser.parse_args()
    X = fiedler.load_dataset("mnist").X.reshape(70_000, -1)
    key = ("rows", "eigenvectors", "solver")
    table = ResumableTable("eigensolvers", key, again=given.again, seeds=[0], notes=NOTES)
    for n in given.sizes:
        affinity = KNN().fit(X[-n:], SearchOptions()).matrix
        for k, solver in itertools.product(given.counts, given.solvers):
            if table.lacks(rows=n, eigenvectors=k, solver=solver):
                table.put(row_of(affinity, k, solver))


def row_of(affinity: sp.csr_matrix, k: int, solver: str) -> dict[str, Any]:
    """Seconds and largest residual of one solver."""
    if solver == "lobpcg":
        matrix = build_laplacian(affinity).matrix
        seconds, (values, vectors) = timed(lambda: lobpcg_eigenpairs(affinity, k))
        residuals = np.linalg.norm(matrix @ vectors - vectors * values, axis=0)
    else:
        seconds, pairs = timed(
            lambda: smallest_eigenpairs(affinity, k, leading=k // 3, solver=solver)
        )
        residuals = pairs.residuals
    return {
        "rows": affinity.shape[0],
        "eigenvectors": k,
        "solver": solver,
        "seconds": round(seconds, 2),
        "largest residual": float(f"{residuals.max():.1e}"),
    }


if __name__ == "__main__":
    main()
