"""Which columns of an affinity stand for all of it: landmarks for the Nystrom approximation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.exceptions import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fiedler.graph.kernel import AffinityMatrix

N_PROBES = 256
"""Rows on which a candidate's gain is estimated; with fewer rows in all, the gain is exact."""


def uniform_landmarks(n: int, m: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw ``m`` of ``n`` rows uniformly, without replacement.

    Parameters
    ----------
    n, m : int
        Number of rows, and of landmarks, ``1 <= m <= n``.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64 of shape (m,)
        Distinct rows, in increasing order.
    """
    _check_count(n, m)
    return np.sort(rng.choice(n, size=m, replace=False)).astype(np.int64)


def greedy_landmarks(
    W: AffinityMatrix, m: int, rng: np.random.Generator, n_candidates: int = 59
) -> NDArray[np.int64]:
    """Choose landmarks by sparse greedy matrix approximation (Smola & Schoelkopf 2000).

    Each step draws ``n_candidates`` random rows and takes the one whose column most reduces the
    trace of what the columns so far do not explain, ``R = W - C W_mm^-1 C^T``: candidate i
    reduces it by ``|R_:i|^2 / R_ii``. The best of 59 candidates is among the best 5 % of all rows
    with probability .95. ``R`` is known through the growing Cholesky factor of ``C W_mm^-1 C^T``.
    ``|R_:i|^2`` is taken over all rows where there are at most ``N_PROBES``, else over that many
    drawn anew at each step, so that a step costs one column and not 59.

    Memory O(n m); time O(n m^2) plus m steps over ``n_candidates x N_PROBES`` entries.

    Parameters
    ----------
    W : AffinityMatrix of shape (n, n)
        A positive semi-definite kernel. For one that nearly is (self-tuning), rows of which the
        residual has become negative are passed over.
    m : int
        Number of landmarks, ``1 <= m <= n``.
    rng : numpy.random.Generator
    n_candidates : int, default=59
        Rows to choose from at each step.

    Returns
    -------
    ndarray of int64 of shape (<= m,)
        Distinct rows, in the order of choice. Fewer than ``m`` where the residual vanished: these
        then represent the kernel up to rounding, and further ones would add nothing.

    Raises
    ------
    InputError
        If ``m`` is out of range or the diagonal of ``W`` is zero, as in a neighbour graph.
    """
    n = W.shape[0]
    _check_count(n, m)
    residual = W.diagonal().astype(np.float64)
    if not (residual > 0).any():
        raise InputError(
            "Greedy landmarks need a kernel with a positive diagonal, but this one is 0 everywhere "
            "(a neighbour graph?). Use landmarks='uniform', or a Lanczos solver for sparse graphs."
        )
    vanished = 100 * float(np.finfo(W.dtype).eps) * float(residual.max())
    factor = np.empty((n, m), dtype=W.dtype, order="F")
    chosen: list[int] = []
    for step in range(m):
        active = np.flatnonzero(residual > vanished)
        if active.size == 0:
            break
        known = factor[:, :step]
        candidates = rng.choice(active, size=min(n_candidates, active.size), replace=False)
        probes = np.arange(n) if n <= N_PROBES else rng.choice(n, N_PROBES, replace=False)
        gains = _gains(W, known, candidates, probes) / residual[candidates]
        best = int(candidates[gains.argmax()])
        column = (W.columns([best])[:, 0] - known @ known[best]) / np.sqrt(residual[best])
        factor[:, step] = column
        residual -= column.astype(np.float64) ** 2
        residual[best] = 0.0  # exactly, whatever the rounding: it is never chosen again
        chosen.append(best)
    return np.array(chosen, dtype=np.int64)


def _gains(
    W: AffinityMatrix,
    factor: NDArray[Any],
    candidates: NDArray[np.int64],
    probes: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Squared length of the candidates' residual columns over the probe rows."""
    residual = W.block(probes, candidates) - factor[probes] @ factor[candidates].T
    return np.asarray(np.einsum("ij,ij->j", residual, residual, dtype=np.float64))


def _check_count(n: int, m: int) -> None:
    if not 1 <= m <= n:
        raise InputError(f"The number of landmarks must be between 1 and n = {n}, got {m}.")
