"""One partition rebuilt from several candidates, without labels (rule R)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from fiedler.exceptions import InputError
from fiedler.partition.centers import kmeans
from fiedler.partition.modularity import group_affinity, merge_groups, modularity


def mixed_affinity(graphs: Sequence[sp.csr_matrix]) -> sp.csr_matrix:
    """Return the mean of graphs, each scaled to the same total weight.

    Rule R mixes the neighbour graph of the raw rows with the mean of those of the embeddings:
    ``mixed_affinity([raw, mixed_affinity(embeddings)])``.

    Parameters
    ----------
    graphs : sequence of csr_matrix of shape (n, n)
        Symmetric, not negative, not empty.

    Raises
    ------
    InputError
        If there is no graph, one has no edges, or their shapes differ.
    """
    shapes = {graph.shape for graph in graphs}
    totals = [float(graph.sum()) for graph in graphs]
    if len(shapes) != 1 or min(totals) <= 0:
        raise InputError(
            "mixed_affinity needs at least one graph, all of one shape and with edges; got shapes "
            f"{sorted(shapes)} and total weights {totals}."
        )
    scaled = [graph * (1.0 / total) for graph, total in zip(graphs, totals, strict=True)]
    total = scaled[0]
    for graph in scaled[1:]:
        total = total + graph
    return sp.csr_matrix(total / len(graphs))


def rebuild_partition(
    candidates: Sequence[np.ndarray],
    affinity: sp.csr_matrix,
    n_clusters: int,
    *,
    random_state: int = 0,
) -> np.ndarray:
    """Rebuild one partition from several by what they agree on and what the graph says.

    1. Keep the better half of the candidates by modularity on the graph.
    2. Their one-hot labels side by side, on their 3 K leading principal directions, are cut into
       4 K micro-clusters by k-means.
    3. Micro-clusters are merged by modularity on the graph until K are left.

    Parameters
    ----------
    candidates : sequence of ndarray of shape (n,), int
        Partitions of the same rows: other seeds, read-outs, numbers of eigenvectors, snapshots.
        Their numbers of clusters may differ.
    affinity : csr_matrix of shape (n, n)
        The graph to judge by, best a mix of raw and learned neighbours (:func:`mixed_affinity`).
    n_clusters : int
        K.
    random_state : int
        Seed of k-means.

    Returns
    -------
    ndarray of shape (n,), int64
        Labels from 0 to ``n_clusters - 1``.

    Raises
    ------
    InputError
        If there is no candidate, or lengths differ, or K is out of range.
    """
    n = affinity.shape[0]
    partitions = [np.unique(np.asarray(c), return_inverse=True)[1] for c in candidates]
    if not partitions or any(p.shape != (n,) for p in partitions):
        shapes = [np.shape(c) for c in candidates]
        raise InputError(
            f"candidates must be one or more label arrays of shape ({n},), like the graph; "
            f"got {shapes}."
        )
    if not 1 <= n_clusters <= n:
        raise InputError(f"n_clusters must be between 1 and n = {n}, got {n_clusters}.")
    scores = np.array([modularity(affinity, p) for p in partitions])
    better = np.argsort(-scores, kind="stable")[: (len(partitions) + 1) // 2]
    rng = np.random.default_rng(random_state)
    places = _principal_places([partitions[i] for i in better], 3 * n_clusters)
    micro, centers = kmeans(places, min(4 * n_clusters, n), n_init=1, rng=rng)
    between = group_affinity(affinity, micro, len(centers))
    merged, _ = merge_groups(between, min(n_clusters, len(centers)))
    return np.asarray(merged[micro], dtype=np.int64)


def _principal_places(partitions: Sequence[np.ndarray], n_directions: int) -> np.ndarray:
    """Return each row's coordinates on the leading directions of the centred one-hot labels.

    Rows with the same label in every candidate share their place, so the decomposition is that of
    a small Gram matrix.
    """
    onehot = np.hstack([np.eye(int(p.max()) + 1)[p] for p in partitions])
    onehot -= onehot.mean(axis=0)
    _, directions = np.linalg.eigh(onehot.T @ onehot)
    return np.asarray(onehot @ directions[:, ::-1][:, :n_directions])
