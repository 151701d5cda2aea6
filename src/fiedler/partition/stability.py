"""Markov stability of partitions: modularity seen by a longer random walk."""

from __future__ import annotations

import numpy as np

from fiedler.spectrum import Eigenpairs


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
