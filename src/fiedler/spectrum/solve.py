"""One dispatcher from an affinity to eigenpairs: every solver, one result with residuals."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import scipy.sparse as sp

from fiedler.exceptions import ConvergenceWarning, InputError
from fiedler.graph.kernel import AffinityMatrix
from fiedler.graph.laplacian import Laplacian, LaplacianKind, build_laplacian
from fiedler.progress import ProgressCallback, silent
from fiedler.spectrum.block import Product, block_eigenpairs
from fiedler.spectrum.lanczos import lanczos_eigenpairs
from fiedler.spectrum.minibatch import minibatch_eigenpairs
from fiedler.spectrum.nystrom import nystrom_eigenpairs
from fiedler.spectrum.signs import fix_signs
from fiedler.spectrum.sparse_product import threaded_product

_logger = logging.getLogger(__name__)
_DENSE_ROWS = 400
# A product with a kernel that is never formed costs n^2 d; beyond this, approximate.
_KERNEL_ROWS = 10_000
# Float32 blocks halve the memory traffic; below this size float64 is quick anyway.
_FLOAT32_ROWS = 20_000


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


@dataclass(frozen=True)
class SolverRequest:
    """What a solver is asked for: k pairs of ``laplacian`` (built from ``affinity``)."""

    affinity: sp.csr_matrix | np.ndarray | AffinityMatrix
    laplacian: Laplacian
    k: int
    seed: int
    progress: ProgressCallback

    def beyond_null_space(self) -> tuple[np.ndarray, int]:
        """Return the known null vectors and how many pairs are still wanted."""
        known = self.laplacian.null_space(self.laplacian.n_components)
        return known, self.k - min(self.k, known.shape[1])


class Solver(Protocol):
    """Returns k eigenvalues and eigenvectors of the symmetric operator, null space included."""

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Solve."""


@dataclass(frozen=True)
class Dense:
    """LAPACK on the formed matrix: exact, O(n^3) time and O(n^2) memory."""

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Solve all, keep the smallest."""
        laplacian = request.laplacian
        if laplacian.matrix is None:
            matrix = laplacian.matmat(np.eye(laplacian.n))
        elif sp.issparse(laplacian.matrix):
            matrix = laplacian.matrix.toarray()
        else:
            matrix = np.asarray(laplacian.matrix)
        known, wanted = request.beyond_null_space()
        # Deflated here too, so that every solver gives the same basis of the null space.
        lifted = matrix + 2.0 * max(laplacian.upper_bound, 1.0) * (known @ known.T)
        values, vectors = np.linalg.eigh((lifted + lifted.T) / 2.0)
        return _with_null_space(known, request.k, values[:wanted], vectors[:, :wanted])


@dataclass(frozen=True)
class Block:
    """Chebyshev-filtered subspace iteration on blocks of vectors: the default for large graphs.

    Parameters
    ----------
    tol : float
        Wanted sine of the largest angle between computed and true subspace.
    """

    tol: float = 1e-4

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Solve beyond the null space."""
        known, wanted = request.beyond_null_space()
        if wanted == 0:
            return _with_null_space(known, request.k, np.empty(0), np.empty((len(known), 0)))
        laplacian = request.laplacian
        result = block_eigenpairs(
            _products(laplacian),
            laplacian.n,
            wanted,
            upper_bound=max(laplacian.upper_bound, 1e-300),
            deflated=known,
            tol=self.tol,
            rng=np.random.default_rng(request.seed),
            progress=request.progress,
        )
        if not result.converged:
            warnings.warn(
                f"the block solver stopped after {result.n_products} products with residual "
                f"{result.residuals.max():.2g}; raise tol or use solver='lanczos'.",
                ConvergenceWarning,
                stacklevel=2,
            )
        _logger.info("block solver: %d products", result.n_products)
        return _with_null_space(known, request.k, result.values, result.vectors)


@dataclass(frozen=True)
class Lanczos:
    """ARPACK to machine precision, null space deflated, repeated eigenvalues looked for."""

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Solve beyond the null space."""
        known, wanted = request.beyond_null_space()
        laplacian = request.laplacian
        if wanted >= laplacian.n - known.shape[1] - 1:  # ARPACK needs k < n
            return Dense().solve(request)
        if wanted == 0:
            return _with_null_space(known, request.k, np.empty(0), np.empty((len(known), 0)))
        values, vectors = lanczos_eigenpairs(
            _products(laplacian)["float64"],
            laplacian.n,
            wanted,
            upper_bound=max(laplacian.upper_bound, 1e-300),
            deflated=known,
            rng=np.random.default_rng(request.seed),
        )
        return _with_null_space(known, request.k, values, vectors)


@dataclass(frozen=True)
class Nystrom:
    """Approximate: from some columns of the affinity. For full kernels of many rows.

    Parameters
    ----------
    landmarks : {"greedy", "uniform"}
        Greedy (Smola & Schoelkopf 2000) or uniform choice of columns.
    n_landmarks : int or None
        Number of columns; None takes ``max(500, 10 k)``.
    """

    landmarks: Literal["greedy", "uniform"] = "greedy"
    n_landmarks: int | None = None

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Approximate from landmark columns."""
        _refuse_unnormalized(request.laplacian.kind, "nystrom")
        affinity, factor = request.affinity, 1.0
        if not (affinity.diagonal() > 0).all():
            # A neighbour graph is indefinite, which no set of its columns can approximate. W + D
            # is semi-definite, and its normalised Laplacian is half of that of W.
            affinity, factor = _with_degrees(affinity, request.laplacian.degrees), 2.0
        values, vectors, _ = nystrom_eigenpairs(
            affinity,
            request.k,
            landmarks=self.landmarks,
            n_landmarks=self.n_landmarks,
            random_state=request.seed,
        )
        return factor * values, vectors


@dataclass(frozen=True)
class MiniBatch:
    """Approximate: stochastic gradient on the Stiefel manifold (Han & Filippone 2017).

    Parameters
    ----------
    batch_size : int or None
        Columns a step; None takes ``sqrt(n)``.
    n_epochs : int
        Passes over the columns at most.
    tol : float
        Bound on the subspace error at which to stop.
    """

    batch_size: int | None = None
    n_epochs: int = 50
    tol: float = 1e-3

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Approximate from batches of columns."""
        _refuse_unnormalized(request.laplacian.kind, "minibatch")
        values, vectors, _ = minibatch_eigenpairs(
            request.affinity,
            request.k,
            batch_size=self.batch_size,
            n_epochs=self.n_epochs,
            tol=self.tol,
            random_state=request.seed,
            progress=request.progress,
        )
        return values, vectors


_NAMED: dict[str, Solver] = {
    "dense": Dense(),
    "lanczos": Lanczos(),
    "block": Block(),
    "nystrom": Nystrom(),
    "minibatch": MiniBatch(),
}


def resolve_solver(solver: str | Solver, laplacian: Laplacian, k: int) -> Solver:
    """Return the solver object for a name or an object; ``"auto"`` goes by size and storage."""
    if not isinstance(solver, str):
        if not hasattr(solver, "solve"):
            raise InputError(f"solver must be a name or have a solve method, got {solver!r}.")
        return solver
    if solver == "auto":
        if laplacian.n <= max(_DENSE_ROWS, 4 * k):
            return Dense()
        formed = laplacian.matrix is not None or laplacian.n <= _KERNEL_ROWS
        return Block() if formed or laplacian.kind == "unnormalized" else Nystrom()
    if solver not in _NAMED:
        raise InputError(f"solver must be one of {['auto', *_NAMED]}, got {solver!r}.")
    return _NAMED[solver]


def smallest_eigenpairs(
    affinity: sp.csr_matrix | np.ndarray | AffinityMatrix,
    k: int,
    *,
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
    operator = build_laplacian(affinity, laplacian)
    chosen = resolve_solver(solver, operator, k)
    request = SolverRequest(affinity, operator, k, random_state, progress)
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


def _products(laplacian: Laplacian) -> dict[str, Product]:
    """Return ``V -> L V`` in the precisions worth having at this size."""
    if not isinstance(laplacian.matrix, sp.csr_matrix):
        return {"float64": laplacian.matmat}
    products: dict[str, Product] = {}
    if laplacian.n >= _FLOAT32_ROWS:
        products["float32"] = threaded_product(laplacian.matrix.astype(np.float32))
    products["float64"] = threaded_product(laplacian.matrix)
    return products


def _with_null_space(
    known: np.ndarray, k: int, values: np.ndarray, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put the null vectors before the others, k pairs in all."""
    zeros = known[:, :k]
    return (
        np.concatenate([np.zeros(zeros.shape[1]), np.maximum(values, 0.0)]),
        np.hstack([zeros, vectors]),
    )


def _with_degrees(affinity: Any, degrees: np.ndarray) -> sp.csr_matrix | np.ndarray:
    """Return ``W + D``; an isolated row gets a self-loop of 1."""
    diagonal = np.where(degrees > 0, degrees, 1.0)
    if sp.issparse(affinity):
        return sp.csr_matrix(affinity + sp.diags(diagonal))
    return np.asarray(affinity + np.diag(diagonal))


def _refuse_unnormalized(kind: str, name: str) -> None:
    if kind == "unnormalized":
        raise InputError(
            f"solver={name!r} approximates the kernel by one of low rank, and D - W has none; "
            "use laplacian='sym' or 'rw', or solver='block' or 'lanczos'."
        )
