"""One of several partitions, without labels: modularity, and a longer walk where that is tied."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from fiedler.partition.centers import kmeans
from fiedler.partition.modularity import group_affinity, modularity, move_rows
from fiedler.partition.stability import best_partition
from fiedler.spectrum import smallest_eigenpairs

_logger = logging.getLogger(__name__)
_MAX_EXCHANGES = 4


def choose_partition(
    candidates: Sequence[np.ndarray],
    judge: sp.csr_matrix,
    n_clusters: int,
    places: np.ndarray,
    *,
    random_state: int = 0,
) -> np.ndarray:
    """Return the partition of largest modularity, of a tie a clearly more stable one.

    Partitions that cut one class in two and join two others may have all but the modularity of the
    true one, which need not be among the candidates. So the partitions that are one exchange away
    from the choice (:func:`exchanged`) are judged as well, until none is better
    (:func:`fiedler.partition.best_partition`). At the end rows are moved to the clusters to which
    they bring most modularity.

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
    gains = _gains(tried, judge)
    chosen = best_partition(tried, gains, pairs)
    for _ in range(_MAX_EXCHANGES if n_clusters > 2 else 0):
        more = exchanged(tried[chosen], places, judge, rng=rng)
        tried, gains = tried + more, np.append(gains, _gains(more, judge))
        before, chosen = chosen, best_partition(tried, gains, pairs)
        _logger.info("modularity %.4f", gains[chosen])
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


def _gains(candidates: Sequence[np.ndarray], judge: sp.csr_matrix) -> np.ndarray:
    """Return the modularity of each; minus infinity for those with fewer clusters than others."""
    counts = [len(np.unique(labels)) for labels in candidates]
    return np.array(
        [
            modularity(judge, labels) if count == max(counts) else -np.inf
            for labels, count in zip(candidates, counts, strict=True)
        ]
    )
