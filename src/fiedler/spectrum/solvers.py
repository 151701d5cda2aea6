"""The solvers: small frozen objects that compute the smallest eigenpairs of a Laplacian."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence

from fiedler.exceptions import ConvergenceWarning, InputError, NotEnoughMemoryError, warn_user
from fiedler.graph.kernel import AffinityMatrix
from fiedler.graph.laplacian import Laplacian
from fiedler.memory import available_memory
from fiedler.progress import ProgressCallback
from fiedler.spectrum.block import Product, block_eigenpairs
from fiedler.spectrum.lanczos import lanczos_eigenpairs
from fiedler.spectrum.minibatch import minibatch_eigenpairs
from fiedler.spectrum.nystrom import nystrom_eigenpairs
from fiedler.spectrum.sparse_product import threaded_product

_logger = logging.getLogger(__name__)
# Float32 blocks halve the memory traffic; below this size float64 is quick anyway.
_FLOAT32_ROWS = 5_000
_REORDERED_ROWS = 2_000
# Up to here LAPACK takes no longer than the others, and a full matrix up to there is best given to
# it, as its time is known. The others take as long where the spectrum has gaps, and a hundred times
# as long where it has none (wide kernels of 1,000 rows: 90 s against 0.2 s; a nearly complete graph
# of 4,000: minutes against 8 s).
SMALL_ROWS = 400
FULL_ROWS = 4_000


@dataclass(frozen=True)
class SolverRequest:
    """What a solver is asked for: k pairs of ``laplacian`` (built from ``affinity``).

    Of the k, the first ``leading`` are those that clusters are read from.
    """

    affinity: sp.csr_matrix | np.ndarray | AffinityMatrix
    laplacian: Laplacian
    k: int
    leading: int
    seed: int
    progress: ProgressCallback

    def beyond_null_space(self) -> tuple[np.ndarray, int]:
        """Return the known null vectors and how many pairs are still wanted."""
        known = self.laplacian.null_space(self.k)
        return known, self.k - known.shape[1]


class Solver(Protocol):
    """Returns k eigenvalues and eigenvectors of the symmetric operator, null space included."""

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Solve."""


def is_full(laplacian: Laplacian) -> bool:
    """Tell whether more than half of a Laplacian that is in memory is not zero."""
    matrix = laplacian.matrix
    if isinstance(matrix, sp.csr_matrix):
        return bool(matrix.nnz > matrix.shape[0] ** 2 / 2)
    return matrix is not None


def dense_bytes(n: int) -> int:
    """Return the memory that `Dense` takes for n rows: the matrix, its copies, LAPACK's space."""
    return 56 * n * n


def _require_memory(n: int) -> None:
    needed, free = dense_bytes(n), available_memory()
    if needed > free:
        raise NotEnoughMemoryError(
            f"the dense solver needs about {needed / 1e9:,.1f} GB of memory for {n:,} rows; "
            f"{free / 1e9:,.1f} GB are free. Use solver='block' or 'lanczos', or fewer rows."
        )


@dataclass(frozen=True)
class Dense:
    """LAPACK on the formed matrix: exact, O(n^3) time and O(n^2) memory."""

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Solve for the smallest only, which takes a fraction of the time of all.

        Raises
        ------
        NotEnoughMemoryError
            If the matrices will not fit into the memory that is free.
        """
        laplacian = request.laplacian
        _require_memory(laplacian.n)
        matrix = laplacian.matrix
        if matrix is None:
            matrix = laplacian.matmat(np.eye(laplacian.n))
        elif not isinstance(matrix, np.ndarray):
            matrix = matrix.toarray()
        known, wanted = request.beyond_null_space()
        if wanted == 0:
            return _with_null_space(known, request.k, np.empty(0), np.empty((len(known), 0)))
        # Deflated here too, so that every solver gives the same basis of the null space.
        lifted = matrix + 2.0 * max(laplacian.upper_bound, 1.0) * (known @ known.T)
        values, vectors = eigh(
            (lifted + lifted.T) / 2.0,
            subset_by_index=[0, wanted - 1],
            overwrite_a=True,
            check_finite=False,
        )
        return _with_null_space(known, request.k, values, vectors)


@dataclass(frozen=True)
class Block:
    """Chebyshev-filtered subspace iteration on blocks of vectors: the default for large graphs.

    Parameters
    ----------
    tol : float
        Wanted sine of the largest angle between computed and true subspace.
    rest : float or None
        None: ``tol`` holds for the subspace of all pairs. Otherwise for one that holds those that
        clusters are read from (the first ``n_clusters``); of the others, which only help to merge
        micro-clusters, the residual must be below ``rest`` times the eigenvalue. Without a gap
        after the last of them, all pairs take many times as long.
    """

    tol: float = 1e-4
    rest: float | None = None

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Solve beyond the null space."""
        known, wanted = request.beyond_null_space()
        if wanted == 0:
            return _with_null_space(known, request.k, np.empty(0), np.empty((len(known), 0)))
        laplacian = request.laplacian
        order = _cache_order(laplacian)
        result = block_eigenpairs(
            _products(laplacian, order),
            laplacian.n,
            wanted,
            upper_bound=max(laplacian.upper_bound, 1e-300),
            deflated=known[order],
            tol=self.tol,
            rng=np.random.default_rng(request.seed),
            leading=wanted if self.rest is None else max(request.leading - known.shape[1], 0),
            rest=self.rest or 0.0,
            progress=request.progress,
        )
        if not result.converged:
            warn_user(
                f"the block solver stopped after {result.n_products} products with residual "
                f"{result.residuals.max():.2g}; raise tol or use solver='lanczos'.",
                ConvergenceWarning,
            )
        _logger.info("block solver: %d products", result.n_products)
        vectors = np.empty_like(result.vectors)
        vectors[order] = result.vectors
        return _with_null_space(known, request.k, result.values, vectors)


@dataclass(frozen=True)
class Lanczos:
    """ARPACK to machine precision, null space deflated, repeated eigenvalues looked for.

    Full matrices of 400 to 4,000 rows go to LAPACK, which is as exact: of their eigenvalues
    hundreds may be nearly equal, and ARPACK does not come to an end.
    """

    def solve(self, request: SolverRequest) -> tuple[np.ndarray, np.ndarray]:
        """Solve beyond the null space."""
        known, wanted = request.beyond_null_space()
        laplacian = request.laplacian
        if wanted >= laplacian.n - known.shape[1] - 1:  # ARPACK needs k < n
            return Dense().solve(request)
        if SMALL_ROWS < laplacian.n <= FULL_ROWS and is_full(laplacian):
            return Dense().solve(request)
        if wanted == 0:
            return _with_null_space(known, request.k, np.empty(0), np.empty((len(known), 0)))
        try:
            values, vectors = lanczos_eigenpairs(
                _products(laplacian, slice(None))["float64"],
                laplacian.n,
                wanted,
                upper_bound=max(laplacian.upper_bound, 1e-300),
                deflated=known,
                rng=np.random.default_rng(request.seed),
            )
        except ArpackNoConvergence:
            raise
        except ArpackError:
            # nearly all eigenvalues are equal, as of a nearly complete graph: the Krylov space ends
            _logger.info("the Krylov space of Lanczos ended early; the block solver goes on")
            return Block(tol=1e-8).solve(request)
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


def _cache_order(laplacian: Laplacian) -> np.ndarray | slice:
    """Return an order of the rows in which neighbours are near each other in memory.

    Products with blocks of vectors gather rows at random; in this order (reverse Cuthill-McKee)
    most of them are in the cache, and a product takes less than half the time.
    """
    if laplacian.n < _REORDERED_ROWS or not isinstance(laplacian.matrix, sp.csr_matrix):
        return slice(None)
    return np.asarray(reverse_cuthill_mckee(laplacian.matrix, symmetric_mode=True))


def _products(laplacian: Laplacian, order: np.ndarray | slice) -> dict[str, Product]:
    """Return ``V -> L V``, rows in the given order, in the precisions worth having at this size."""
    if not isinstance(laplacian.matrix, sp.csr_matrix):
        return {"float64": laplacian.matmat}
    matrix = laplacian.matrix
    if isinstance(order, np.ndarray):
        matrix = sp.csr_matrix(matrix[order][:, order])
    products: dict[str, Product] = {}
    if laplacian.n >= _FLOAT32_ROWS:
        products["float32"] = threaded_product(matrix.astype(np.float32))
    products["float64"] = threaded_product(matrix)
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
