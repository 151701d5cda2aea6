"""How many clusters: by the eigengap, and by the modularity of merged micro-clusters."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from fiedler.partition.assign import micro_clusters
from fiedler.partition.modularity import group_affinity, merge_groups


def modularity_k(
    vectors: np.ndarray,
    affinity: sp.csr_matrix | np.ndarray,
    *,
    k_min: int = 1,
    k_max: int = 30,
    random_state: int = 0,
) -> int:
    """Return the number of clusters at which merging micro-clusters has the largest modularity.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Eigenvectors by rising eigenvalue, about twice as many as the clusters expected at most.
    affinity : csr_matrix or ndarray of shape (n, n)
        The graph.
    k_min, k_max : int
        Bounds of the answer.
    random_state : int
        Seed of k-means.
    """
    rng = np.random.default_rng(random_state)
    micro, centers = micro_clusters(vectors, 6 * k_max, rng=rng)
    _, trace = merge_groups(group_affinity(affinity, micro, len(centers)), 1)
    # trace[i] belongs to len(centers) - i groups; ties go to fewer clusters
    by_k = trace[::-1]
    low, high = max(1, k_min), max(k_min, min(k_max, len(by_k)))
    window = by_k[low - 1 : high]
    if len(window) == 0:
        return k_min
    return low + int(np.argmax(window >= window.max() - 1e-12))
