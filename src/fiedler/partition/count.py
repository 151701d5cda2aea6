"""How many clusters: by components, and by the modularity of merged micro-clusters."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from fiedler.partition.assign import micro_clusters
from fiedler.partition.modularity import group_affinity, merge_groups

# Of all numbers of clusters whose modularity is within this of the largest, the fewest are taken:
# modularity rises slowly while true clusters are split. See benchmarks/cluster_count.py.
_PARSIMONY = 0.01


def modularity_k(
    vectors: np.ndarray,
    affinity: sp.csr_matrix | np.ndarray,
    *,
    k_min: int = 1,
    k_max: int = 20,
    random_state: int = 0,
) -> int:
    """Return the fewest clusters whose modularity is within 0.01 of the largest.

    Micro-clusters are merged down to one, and the modularity after each merge is looked at.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Eigenvectors by rising eigenvalue, two to three times ``k_max``.
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
    by_k = trace[::-1][: max(k_max, k_min)]  # entry i belongs to i + 1 clusters
    window = by_k[k_min - 1 :]
    if len(window) == 0:
        return k_min
    return k_min + int(np.argmax(window >= window.max() - _PARSIMONY))


def components_k(component_sizes: np.ndarray) -> int | None:
    """Return the number of connected components where they are clusters by themselves.

    That is where there are several and none is smaller than half their mean size; stray pairs of
    outliers do not count as clusters. None otherwise.
    """
    sizes = np.asarray(component_sizes)
    if len(sizes) > 1 and sizes.min() >= 0.5 * sizes.mean():
        return len(sizes)
    return None
