"""The read-out of one learned embedding: several partitions of it, rebuilt into one (rule R)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from fiedler.graph import KNN, SearchOptions
from fiedler.partition.assign import (
    MICRO_PER_CLUSTER,
    holds_against,
    kmeans_partition,
    merge_microclusters,
)
from fiedler.partition.centers import Partition, kmeans, nearest_center, row_normalized
from fiedler.partition.modularity import modularity, normalized_cut
from fiedler.partition.rebuild import mixed_affinity, rebuild_partition

_NEIGHBORS = 10
_STARTS = 4
_SAME = 1e-9
# As many known rows in their cluster: the network has learned them by heart.
BY_HEART = 0.998


def rebuilt_partition(
    vectors: np.ndarray,
    k: int,
    affinity: sp.csr_matrix,
    *,
    options: SearchOptions,
) -> Partition:
    """Read several partitions out of an embedding and rebuild one from them.

    The candidates are k-means on the first k, k + 2 and all eigenvectors, and micro-clusters merged
    on the graph and on its mix with the embedding's neighbour graph; the mix judges them
    (:func:`fiedler.partition.rebuild_partition`). Where the outcome cuts the graph much more than
    k-means does, as with clusters of very unequal size, or k-means cuts nothing, k-means on k
    eigenvectors stands.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Approximate eigenvectors by rising eigenvalue, ``d >= k``.
    k : int
        Clusters wanted.
    affinity : csr_matrix of shape (n, n)
        Graph of the raw rows.
    options : SearchOptions
        Of the embedding's neighbour search; its seed is that of k-means.

    Returns
    -------
    Partition
        Each cluster has several centres, so that new rows can join curved clusters.
    """
    rng = np.random.default_rng(options.seed)
    plain = kmeans_partition(vectors, k, rng=rng)
    if k == 1 or plain.n_clusters < k:
        return plain
    graph = embedding_graph(vectors, options)
    mixed = mixed_affinity([affinity, graph])
    widths = sorted({min(k + 2, vectors.shape[1]), vectors.shape[1]})
    candidates = [plain.labels]
    candidates += [kmeans_partition(vectors, k, rng=rng, n_vectors=w).labels for w in widths]
    candidates += [merge_microclusters(vectors, k, w, rng=rng).labels for w in (affinity, mixed)]
    rebuilt = [
        rebuild_partition(candidates, mixed, k, random_state=options.seed + i)
        for i in range(_STARTS)
    ]
    labels = max(rebuilt, key=lambda partition: modularity(mixed, partition))
    if _cuts_nothing(plain.labels, labels, affinity) or not holds_against(
        labels, vectors, affinity, rng
    ):
        return plain
    return _with_centers(row_normalized(vectors), labels, rng)


def known_partition(vectors: np.ndarray, labels: np.ndarray) -> Partition:
    """Return the clusters that an embedding was learned from, as they show in it.

    Each row joins the cluster whose known rows' mean is nearest, rows scaled to unit length, in as
    many eigenvectors as there are clusters. In all of them where those show all but two known rows
    in a thousand in their cluster, and at most half as many in another: then some clusters lie
    together in the first ones.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Approximate eigenvectors by rising eigenvalue.
    labels : ndarray of shape (n,), int64
        Known clusters from 0, each of at least one row; -1 where unknown.
    """
    rows = labels >= 0
    first = _nearest_known(vectors[:, : int(labels.max()) + 1], labels)
    whole = _nearest_known(vectors, labels)
    lost = [int((found.labels != labels)[rows].sum()) for found in (first, whole)]
    together = lost[0] and 2 * lost[1] <= lost[0] and lost[1] <= (1.0 - BY_HEART) * rows.sum()
    return whole if together else first


def _nearest_known(vectors: np.ndarray, labels: np.ndarray) -> Partition:
    """Return each row in the cluster whose known rows' mean is nearest, by direction."""
    k = int(labels.max()) + 1
    rows = np.flatnonzero(labels >= 0)
    points = row_normalized(vectors)
    member = sp.csr_matrix((np.ones(len(rows)), (labels[rows], rows)), shape=(k, len(labels)))
    means = (member @ points) / np.bincount(labels[rows])[:, None]
    known = Partition(labels, means, np.arange(k, dtype=np.int64), "known")
    return replace(known, labels=nearest_center(vectors, known)[0])


def _cuts_nothing(plain: np.ndarray, rebuilt: np.ndarray, affinity: sp.csr_matrix) -> bool:
    """Tell whether k-means cuts no edge, and not by giving stray rows a cluster of their own."""
    if normalized_cut(affinity, plain) > 0:
        return False
    return modularity(affinity, plain) >= modularity(affinity, rebuilt) - _SAME


def embedding_graph(vectors: np.ndarray, options: SearchOptions) -> sp.csr_matrix:
    """Return the graph of the ten nearest neighbours of an embedding's rows, by direction."""
    rows = row_normalized(vectors).astype(np.float32)
    neighbors = min(_NEIGHBORS, len(rows) - 1)
    return sp.csr_matrix(KNN(neighbors).fit(rows, options).matrix)


def _with_centers(points: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Partition:
    """Give each cluster the centres of its own micro-clusters."""
    centers, owners = [], []
    for cluster in range(int(labels.max()) + 1):
        own = points[labels == cluster]
        count = max(1, min(MICRO_PER_CLUSTER, len(own) // 5))
        found = kmeans(own, count, n_init=1, rng=rng)[1]
        centers.append(found)
        owners.append(np.full(len(found), cluster, dtype=np.int64))
    return Partition(labels, np.concatenate(centers), np.concatenate(owners), "rebuild")
