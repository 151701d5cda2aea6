"""The partition of a whole graph, from its own eigenvectors: what self-training starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from fiedler.partition.assign import holds_against, merge_microclusters
from fiedler.partition.centers import Partition
from fiedler.partition.modularity import modularity, move_rows
from fiedler.partition.stability import best_partition
from fiedler.spectrum import Eigenpairs

# Of each width, and each the best of four (merge_microclusters).
_STARTS = 2
# Components of fewer rows than this part of a mean cluster are stray.
_STRAY = 10


def partition_graph(
    affinity: sp.csr_matrix, k: int, pairs: Eigenpairs, *, random_state: int = 0
) -> Partition | None:
    """Cut a graph into ``k`` clusters with more care than speed, or not at all.

    Micro-clusters are cut in the first k, 1.5 k and all eigenvectors and merged by modularity
    (:func:`fiedler.partition.assign_labels`, ``"merge"``). Rows are then moved to the clusters to
    which they bring most modularity, which tells partitions apart that were tied before, and the
    best is taken (:func:`fiedler.partition.best_partition`).

    Parameters
    ----------
    affinity : csr_matrix of shape (n, n)
        Symmetric, not negative.
    k : int
        Clusters wanted, at most ``n``.
    pairs : Eigenpairs
        The smallest, k or more, of its symmetric normalised Laplacian; best 3 k.
    random_state : int
        Seed of k-means.

    Returns
    -------
    Partition or None
        None where the partition cuts the graph much more than k-means does, so that it is not to
        be trusted; and where there is but one cluster, or fewer than ``k``, or nothing to cut.
    """
    if k == 1 or affinity.nnz == 0:
        return None
    rng = np.random.default_rng(random_state)
    vectors = pairs.vectors
    found = []
    for width in sorted({k, min(3 * k // 2, vectors.shape[1]), vectors.shape[1]}):
        for _ in range(_STARTS):
            merged = merge_microclusters(vectors[:, :width], k, affinity, rng=rng)
            found.append(replace(merged, labels=move_rows(affinity, merged.labels)))
    gains = [modularity(affinity, partition.labels) for partition in found]
    chosen = best_partition([partition.labels for partition in found], gains, pairs)
    best = found[chosen]
    if best.n_clusters < k or gains[chosen] <= 0:
        return None
    return best if _holds(best.labels, affinity, k, vectors, rng) else None


def _holds(
    labels: np.ndarray,
    affinity: sp.csr_matrix,
    k: int,
    vectors: np.ndarray,
    rng: np.random.Generator,
) -> bool:
    """Tell whether a partition cuts about as little as k-means does, stray components left out.

    k-means gives a few duplicates that hang together a cluster of their own, which cuts nothing.
    """
    _, components = connected_components(affinity, directed=False)
    large = np.bincount(components)[components] >= len(labels) / (_STRAY * k)
    if not large.all():
        labels = np.unique(labels[large], return_inverse=True)[1]
        affinity, vectors = affinity[large][:, large], vectors[large]
    return holds_against(labels, vectors, affinity, rng)
