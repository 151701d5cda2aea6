"""One of several partitions, without labels: modularity, and a longer walk where that is tied."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from fiedler.partition.centers import kmeans
from fiedler.partition.modularity import group_affinity, modularity, move_rows
from fiedler.partition.stability import markov_stability
from fiedler.spectrum import Eigenpairs, smallest_eigenpairs

_logger = logging.getLogger(__name__)
# Modularities that are closer than this are tied, and a walk of so many steps judges. What it
# gives within this share of the best is tied again.
_TIE = 0.002
_TIME = 64.0
_STABILITY_TIE = 0.01
_MAX_EXCHANGES = 4


def choose_partition(
    candidates: Sequence[np.ndarray],
    judge: sp.csr_matrix,
    n_clusters: int,
    places: np.ndarray,
    *,
    random_state: int = 0,
) -> np.ndarray:
    """Return the partition of largest modularity, of a tie the most stable one.

    Partitions that cut one class in two and join two others may have all but the modularity of the
    true one, which need not be among the candidates. So the partitions that are one exchange away
    from the choice (:func:`exchanged`) are judged as well, until none is better. At the end rows
    are moved to the clusters to which they bring most modularity.

    Parameters
    ----------
    candidates : sequence of ndarray of shape (n,), int
        Those with fewer clusters than others are passed over.
    judge : csr_matrix of shape (n, n)
        Symmetric graph.
    n_clusters : int
    places : ndarray of shape (n, e)
        In which a cluster is cut in two, best eigenvectors weighted by diffusion time.
    random_state : int

    Returns
    -------
    ndarray of shape (n,), int64
        Labels from 0.
    """
    n = judge.shape[0]
    pairs = smallest_eigenpairs(judge, min(6 * n_clusters, n), random_state=random_state)
    rng = np.random.default_rng(random_state)
    tried = list(candidates)
    gains, scores = _judged(tried, judge, pairs)
    chosen = _best(gains, scores)
    for _ in range(_MAX_EXCHANGES if n_clusters > 2 else 0):
        more = exchanged(tried[chosen], places, judge, rng=rng)
        more_gains, more_scores = _judged(more, judge, pairs)
        tried += more
        gains, scores = np.append(gains, more_gains), np.append(scores, more_scores)
        before, chosen = chosen, _best(gains, scores)
        _logger.info("modularity %.4f, stability %.4f", gains[chosen], scores[chosen])
        if chosen == before:
            break
    labels = np.unique(tried[chosen], return_inverse=True)[1].astype(np.int64)
    return move_rows(judge, labels)


def exchanged(
    labels: np.ndarray, places: np.ndarray, graph: sp.csr_matrix, *, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return the partitions that cut one cluster in two and join two others.

    Each cluster is cut by 2-means on ``places``; of all pairs but its halves, those are joined that
    lose the least modularity on the graph.
    """
    _, groups = np.unique(labels, return_inverse=True)
    count = int(groups.max()) + 1
    found = []
    for cluster in range(count):
        rows = np.flatnonzero(groups == cluster)
        halves, centers = kmeans(places[rows], min(2, len(rows)), n_init=2, rng=rng)
        if len(centers) < 2:
            continue
        cut = groups.copy()
        cut[rows[halves == 1]] = count
        between = group_affinity(graph, cut, count + 1)
        degree = between.sum(axis=1)
        gain = between - np.outer(degree, degree)
        gain[np.tril_indices(count + 1)] = -np.inf
        gain[cluster, count] = -np.inf
        first, second = divmod(int(gain.argmax()), count + 1)
        cut[cut == second] = first
        found.append(np.unique(cut, return_inverse=True)[1])
    return found


def _judged(
    candidates: Sequence[np.ndarray], judge: sp.csr_matrix, pairs: Eigenpairs
) -> tuple[np.ndarray, np.ndarray]:
    """Return modularity and stability of each; those with fewer clusters do not count."""
    counts = [len(np.unique(labels)) for labels in candidates]
    gains = [
        modularity(judge, labels) if count == max(counts) else -np.inf
        for labels, count in zip(candidates, counts, strict=True)
    ]
    scores = [markov_stability(pairs, labels, _TIME) for labels in candidates]
    return np.array(gains), np.array(scores)


def _best(gains: np.ndarray, scores: np.ndarray) -> int:
    """Return the most modular of the stable ones among those of all but the best modularity."""
    tied = gains >= gains.max() - _TIE
    stable = tied & (scores >= (1.0 - _STABILITY_TIE) * scores[tied].max())
    return int(np.where(stable, gains, -np.inf).argmax())
