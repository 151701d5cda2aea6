"""From eigenvectors to labels: every assignment, and the rule that chooses between two."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import scipy.sparse as sp

from fiedler.exceptions import InputError
from fiedler.partition.centers import Partition, kmeans, row_normalized
from fiedler.partition.modularity import (
    group_affinity,
    merge_groups,
    modularity,
    normalized_cut,
)
from fiedler.partition.rotations import cluster_qr, discretize
from fiedler.partition.stability import best_partition
from fiedler.spectrum import Eigenpairs

Assignment = Literal["auto", "kmeans", "cluster_qr", "discretize", "merge"]
ASSIGNMENTS = ("auto", "kmeans", "cluster_qr", "discretize", "merge")
_logger = logging.getLogger(__name__)
_N_INIT = 4
# More starts pay only where the better of two tied partitions can be told.
_JUDGED_STARTS = 12
MICRO_PER_CLUSTER = 6
# Merging is refused where it cuts this much more than k-means does. Chosen on the sets of
# benchmarks/assignment.py, whose table shows where it errs (CMU PIE), and on Fashion-MNIST: merging
# is right up to 1.4, and wrong from 1.6 on.
_CUT_TOLERANCE = 1.5
# Merging wants about three eigenvectors a cluster; past this many more they only cost.
_EXTRA_VECTORS = 100


def vectors_wanted(k: int, n: int) -> int:
    """Return from how many eigenvectors of n rows k clusters are best read."""
    return min(3 * k, k + _EXTRA_VECTORS, n)


def assign_labels(
    vectors: np.ndarray,
    k: int,
    *,
    method: Assignment = "auto",
    affinity: sp.csr_matrix | np.ndarray | None = None,
    pairs: Eigenpairs | None = None,
    random_state: int = 0,
) -> Partition:
    """Turn eigenvectors into ``k`` clusters.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Eigenvectors of a Laplacian by rising eigenvalue. ``"merge"`` uses all of them, the others
        the first ``k``.
    k : int
        Clusters wanted, at most ``n``.
    method : {"auto", "kmeans", "cluster_qr", "discretize", "merge"}
        ``"kmeans"``: on row-normalised eigenvectors (Ng, Jordan & Weiss 2001). ``"cluster_qr"``:
        Damle, Minden & Ying (2019). ``"discretize"``: Yu & Shi (2003). ``"merge"``: many
        micro-clusters, merged by modularity on the affinity. ``"auto"``: ``"merge"``, unless its
        partition has a lower modularity than that of k-means or cuts 1.5 times as much; then
        ``"kmeans"``, if that has a quarter of the modularity or more.
    affinity : csr_matrix or ndarray of shape (n, n) or None
        The graph; needed by ``"merge"``. Without it ``"auto"`` is ``"kmeans"``.
    pairs : Eigenpairs or None
        Eigenpairs of the graph's symmetric normalised Laplacian: ``"merge"`` then settles ties of
        modularity by them (:func:`fiedler.partition.best_partition`).
    random_state : int
        Seed of k-means and of the start of ``"discretize"``.

    Returns
    -------
    Partition

    Raises
    ------
    InputError
        If the method is unknown, or lacks the graph or eigenvectors.
    """
    if method not in ASSIGNMENTS:
        raise InputError(f"assign must be one of {list(ASSIGNMENTS)}, got {method!r}.")
    if method == "merge" and affinity is None:
        raise InputError(
            "assign='merge' needs a formed affinity, which a full kernel of many rows is not. "
            "Use assign='kmeans' or affinity='knn'."
        )
    if method in ("cluster_qr", "discretize") and vectors.shape[1] < k:
        raise InputError(
            f"assign={method!r} needs one eigenvector for each of {k} clusters, got "
            f"{vectors.shape[1]}; raise n_components or use assign='kmeans'."
        )
    rng = np.random.default_rng(random_state)
    if k == 1:
        return _one_cluster(vectors)
    if method == "cluster_qr":
        return cluster_qr(vectors, k)
    if method == "discretize":
        return discretize(vectors, k, rng=rng)
    if method == "kmeans" or affinity is None:
        return kmeans_partition(vectors, k, rng=rng)
    merged = merge_microclusters(vectors, k, affinity, rng=rng, pairs=pairs)
    if method == "merge" or holds_against(merged.labels, vectors, affinity, rng):
        return merged
    return kmeans_partition(vectors, k, rng=rng)


def kmeans_partition(
    vectors: np.ndarray, k: int, *, rng: np.random.Generator, n_vectors: int | None = None
) -> Partition:
    """Cluster the row-normalised first k (or so many) eigenvectors (Ng, Jordan & Weiss 2001)."""
    labels, centers = kmeans(
        row_normalized(vectors[:, : n_vectors or k]), k, n_init=_N_INIT, rng=rng
    )
    return Partition(labels, centers, np.arange(len(centers)), "kmeans")


def merge_microclusters(
    vectors: np.ndarray,
    k: int,
    affinity: sp.csr_matrix | np.ndarray,
    *,
    rng: np.random.Generator,
    pairs: Eigenpairs | None = None,
) -> Partition:
    """Cut into about 6 k micro-clusters, then merge by modularity on the graph until k are left.

    Large curved clusters are not round in the eigenvectors, so k-means splits them; small pieces
    of them are round, and the graph tells which pieces belong together. Of four starts the one of
    largest modularity is kept; with the graph's eigenpairs, of twelve, and ties are settled by
    :func:`fiedler.partition.best_partition`.
    """
    found, gains = [], []
    for _ in range(_N_INIT if pairs is None else _JUDGED_STARTS):
        micro, centers = micro_clusters(vectors, MICRO_PER_CLUSTER * k, rng=rng, at_least=k)
        between = group_affinity(affinity, micro, len(centers))
        merged, trace = merge_groups(between, min(k, len(centers)))
        found.append(Partition(merged[micro], centers, merged, "merge"))
        gains.append(float(trace[-1]))
    if pairs is None:
        return found[int(np.argmax(gains))]
    return found[best_partition([partition.labels for partition in found], gains, pairs)]


def micro_clusters(
    vectors: np.ndarray, count: int, *, rng: np.random.Generator, at_least: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Return k-means labels and centres of many small groups of row-normalised eigenvectors.

    They have five rows or more on average, unless ``at_least`` so many groups are needed.
    """
    count = max(at_least, min(count, len(vectors) // 5))
    return kmeans(row_normalized(vectors), count, n_init=1, rng=rng, quick=True)


def holds_against(
    labels: np.ndarray,
    vectors: np.ndarray,
    affinity: sp.csr_matrix | np.ndarray,
    rng: np.random.Generator,
) -> bool:
    """Tell whether modularity did not force a partition against the grain of the graph.

    Modularity favours clusters of like size; where the true ones are not, its partition cuts many
    more edges than k-means on the plain eigenvectors, the relaxed normalised cut, does. Where that
    has less than a quarter of the modularity it is nothing to measure by: it has left all but some
    outliers in one cluster, as with texts, and so cuts next to nothing.
    """
    k = int(labels.max()) + 1
    plain, _ = kmeans(vectors[:, :k], k, n_init=_N_INIT, rng=rng)
    gain, plain_gain = modularity(affinity, labels), modularity(affinity, plain)
    cut, plain_cut = normalized_cut(affinity, labels), normalized_cut(affinity, plain)
    _logger.info("modularity %.4f, %.4f; cut %.3g, %.3g", gain, plain_gain, cut, plain_cut)
    if gain > 0 and plain_gain < gain / 4:
        return True
    return gain >= plain_gain and cut <= _CUT_TOLERANCE * plain_cut


def _one_cluster(vectors: np.ndarray) -> Partition:
    n = len(vectors)
    center = row_normalized(vectors).mean(axis=0, keepdims=True)
    return Partition(np.zeros(n, dtype=np.int64), center, np.zeros(1, dtype=np.int64), "one")
