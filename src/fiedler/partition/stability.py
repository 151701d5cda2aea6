"""Markov stability of partitions: modularity seen by a longer random walk, and a judge of ties."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from fiedler.spectrum import Eigenpairs

_logger = logging.getLogger(__name__)
# Modularities that are closer than this are tied.
TIE = 0.002
# A walk of so many steps judges, where it sees so large a share of difference.
_JUDGING_TIME = 256.0
_CLEARLY = 0.05


def markov_stability(pairs: Eigenpairs, labels: np.ndarray, time: float) -> float:
    """Return how much more often than by chance a walk of ``time`` steps ends where it began.

    ``trace(H^T (Pi P^t - pi pi^T) H)`` with H the one-hot labels, P the random walk on the graph
    and pi its stationary distribution: Delvenne, Yaliraki & Barahona (2010), "Stability of graph
    communities across time scales", equation 3. At one step it is modularity. That is all but the
    same for a partition that cuts a class in two and joins two others: a long walk crosses a cut
    through the middle of a class soon, a true border late.

    Parameters
    ----------
    pairs : Eigenpairs
        The smallest of the graph's symmetric normalised Laplacian. Those left out count as decayed,
        so the time must be long enough for that.
    labels : ndarray of shape (n,), int
    time : float
        Steps.
    """
    weight = pairs.degrees / max(float(pairs.degrees.sum()), 1e-300)
    _, groups = np.unique(labels, return_inverse=True)
    count = int(groups.max()) + 1
    shares = np.bincount(groups, weights=weight, minlength=count)
    projected = np.zeros((pairs.vectors.shape[1], count))
    for i, vector in enumerate(pairs.vectors.T):
        projected[i] = np.bincount(groups, weights=vector * np.sqrt(weight), minlength=count)
    decay = np.maximum(1.0 - pairs.values, 0.0) ** time
    return float(decay @ (projected**2).sum(axis=1) - (shares**2).sum())


def best_partition(
    partitions: Sequence[np.ndarray], gains: Sequence[float] | np.ndarray, pairs: Eigenpairs
) -> int:
    """Return which partition has the largest modularity, where no tied one is clearly more stable.

    Partitions as unlike as the true one and one that cuts a class in two and joins two others may
    differ by less in modularity than k-means does from start to start. So of those within .002 of
    the largest, the ones are passed over whose Markov stability at 256 steps is more than 5 % below
    another's. Smaller differences say nothing: see ``benchmarks/EXPERIMENTS.md``.

    Parameters
    ----------
    partitions : sequence of ndarray of shape (n,), int
        At least one.
    gains : sequence of float
        Modularity of each; minus infinity for one that must not be taken.
    pairs : Eigenpairs
        The smallest of the graph's symmetric normalised Laplacian.

    Returns
    -------
    int
        Its place; the first of equals.
    """
    gains = np.asarray(gains, dtype=np.float64)
    tied = [i for i, gain in enumerate(gains) if gain >= gains.max() - TIE]
    if len(tied) == 1:
        return tied[0]
    scores = np.array([markov_stability(pairs, partitions[i], _JUDGING_TIME) for i in tied])
    for i, score in zip(tied, scores, strict=True):
        _logger.info("partition %d: modularity %.4f, stability %.4f", i, gains[i], score)
    least = scores.max() - _CLEARLY * abs(scores.max())
    return max((i for i, s in zip(tied, scores, strict=True) if s >= least), key=lambda i: gains[i])
