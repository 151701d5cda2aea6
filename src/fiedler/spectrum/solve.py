"""One dispatcher from an affinity to eigenpairs: every solver, one result with residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fiedler.data.checks import check_choice
from fiedler.exceptions import InputError
from fiedler.graph.kernel import AffinityMatrix
from fiedler.graph.laplacian import Laplacian, LaplacianKind, build_laplacian
from fiedler.progress import ProgressCallback, silent
from fiedler.spectrum.signs import fix_signs
from fiedler.spectrum.solvers import (
    FULL_ROWS,
    SMALL_ROWS,
    Block,
    Dense,
    Lanczos,
    MiniBatch,
    Nystrom,
    Solver,
    SolverRequest,
    is_full,
)

# A product with a kernel that is never formed costs n^2 d; beyond this, approximate.
_KERNEL_ROWS = 10_000
# From here an angle of 0.05 (sine) is asked for: labels do not feel it, and float32 reaches it.
_LOOSE_ROWS = 5_000
_LOOSE = Block(tol=0.05, rest=0.02)


@dataclass(frozen=True)
class Eigenpairs:
    """Smallest eigenpairs of a Laplacian.

    Attributes
    ----------
    values : ndarray of shape (k,), float64
        Ascending, zeros included.
    vectors : ndarray of shape (n, k), float64
        Unit columns, the entry of largest absolute value positive.
    residuals : ndarray of shape (k,)
        ``|L u - lambda u|`` of the symmetric operator.
    n_connected_components : int
        Multiplicity of the eigenvalue zero in the graph.
    component_sizes : ndarray of int
        Rows of each component, falling.
    degrees : ndarray of shape (n,)
    solver : str
        The solver that "auto" stood for, or the one that was named.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    n_connected_components: int
    component_sizes: np.ndarray
    degrees: np.ndarray
    solver: str


_NAMED: dict[str, Solver] = {
    "dense": Dense(),
    "lanczos": Lanczos(),
    "block": Block(),
    "nystrom": Nystrom(),
    "minibatch": MiniBatch(),
}


def check_solver(solver: object) -> None:
    """Raise :class:`InputError` unless something names a solver or can solve."""
    if isinstance(solver, str):
        check_choice("solver", solver, ("auto", *_NAMED))
    elif not hasattr(solver, "solve"):
        raise InputError(f"solver must be a name or have a solve method, got {solver!r}.")


def resolve_solver(solver: str | Solver, laplacian: Laplacian, k: int) -> Solver:
    """Return the solver object for a name or an object; ``"auto"`` goes by size and storage."""
    check_solver(solver)
    if not isinstance(solver, str):
        return solver
    if solver == "auto":
        formed = laplacian.matrix is not None
        return auto_solver(laplacian.n, k, laplacian.kind, formed=formed, full=is_full(laplacian))
    return _NAMED[solver]


def auto_solver(n: int, k: int, kind: LaplacianKind, *, formed: bool, full: bool) -> Solver:
    """Return what ``"auto"`` stands for with k pairs of n rows.

    ``formed`` tells whether the affinity is a matrix in memory, ``full`` whether most of it is not
    zero.
    """
    if n <= max(FULL_ROWS if full else SMALL_ROWS, 4 * k):
        return Dense()
    block = Block() if n < _LOOSE_ROWS and not full else _LOOSE
    return block if formed or n <= _KERNEL_ROWS or kind == "unnormalized" else Nystrom()


def smallest_eigenpairs(
    affinity: sp.csr_matrix | np.ndarray | AffinityMatrix,
    k: int,
    *,
    leading: int | None = None,
    laplacian: LaplacianKind = "sym",
    solver: str | Solver = "auto",
    random_state: int = 0,
    progress: ProgressCallback = silent,
) -> Eigenpairs:
    """Compute the k smallest eigenpairs of a graph Laplacian, zeros included.

    Connected components are found first: they give the null space exactly, and the solvers look
    only for the rest, so no zero eigenvalue is lost.

    Parameters
    ----------
    affinity : csr_matrix, ndarray or AffinityMatrix of shape (n, n)
        Symmetric, not negative.
    k : int
        Pairs wanted, between 1 and n.
    leading : int or None
        How many of them, from the first, must be accurate; None: all. ``"auto"`` asks less of the
        others from 5,000 rows on (full graphs: beyond 4,000).
    laplacian : {"sym", "rw", "unnormalized"}
        Which Laplacian.
    solver : {"auto", "dense", "lanczos", "block", "nystrom", "minibatch"} or Solver
        ``"dense"``, ``"lanczos"`` and ``"block"`` are exact, the others approximate.
    random_state : int
        Seed of start vectors and landmarks.
    progress : callable
        Called as ``progress("eigenvectors", done, total)``.

    Returns
    -------
    Eigenpairs

    Raises
    ------
    InputError
        If k is out of range, a name is unknown, or the solver cannot do the Laplacian.
    """
    n = affinity.shape[0]
    if not 1 <= k <= n:
        raise InputError(f"the number of eigenvectors must be between 1 and n = {n}, got {k}.")
    if sp.issparse(affinity):
        affinity = sp.csr_matrix(affinity)
    operator = build_laplacian(affinity, laplacian)
    chosen = resolve_solver(solver, operator, k)
    request = SolverRequest(
        affinity, operator, k, k if leading is None else min(leading, k), random_state, progress
    )
    values, symmetric = chosen.solve(request)
    residuals = np.linalg.norm(operator.matmat(symmetric) - symmetric * values, axis=0)
    return Eigenpairs(
        values,
        fix_signs(operator.eigenvectors(symmetric)),
        residuals,
        operator.n_components,
        np.bincount(operator.components),
        operator.degrees,
        type(chosen).__name__.lower(),
    )
