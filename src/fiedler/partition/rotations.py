"""Labels by rotating the eigenvectors towards indicators, with no random start: QR and Yu & Shi."""

from __future__ import annotations

import numpy as np
from scipy.linalg import polar, qr

from fiedler.partition.centers import Partition, row_normalized


def cluster_qr(vectors: np.ndarray, k: int) -> Partition:
    """Assign by pivoted QR of the eigenvectors, without iteration or random start.

    Damle, Minden & Ying (2019), "Simple, direct and efficient multi-way spectral clustering",
    algorithm 1.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Orthonormal eigenvectors; the first ``k`` are used.
    k : int
        Clusters.
    """
    basis = vectors[:, :k]
    _, _, pivots = qr(basis.T, pivoting=True, mode="economic")
    rotation, _ = polar(basis[pivots[:k]].T)
    labels = np.abs(basis @ rotation).argmax(axis=1)
    # the sign of a coordinate does not count, so each cluster has a centre at either end
    centers = np.vstack([rotation.T, -rotation.T])
    return _compact(labels, centers, np.tile(np.arange(k), 2), "cluster_qr")


def discretize(
    vectors: np.ndarray, k: int, *, rng: np.random.Generator, max_iter: int = 100
) -> Partition:
    """Assign by the nearest discrete indicator: Yu & Shi (2003), "Multiclass spectral clustering".

    Alternates between labels (largest coordinate of the rotated rows) and the rotation that fits
    them best (singular vectors), from a start of k mutually most orthogonal rows.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Eigenvectors; the first ``k`` are used.
    k : int
        Clusters.
    rng : numpy Generator
        First row of the start.
    max_iter : int
        Alternations at most.
    """
    rows = row_normalized(vectors[:, :k])
    rotation = np.empty((k, k))
    rotation[:, 0] = rows[rng.integers(len(rows))]
    overlap = np.zeros(len(rows))
    for j in range(1, k):
        overlap += np.abs(rows @ rotation[:, j - 1])
        rotation[:, j] = rows[overlap.argmin()]
    objective = -np.inf
    for _ in range(max_iter):
        labels = (rows @ rotation).argmax(axis=1)
        sums = np.zeros((k, k))
        np.add.at(sums, labels, rows)
        left, strength, right = np.linalg.svd(sums)
        if strength.sum() <= objective * (1.0 + 1e-12):
            break
        objective = float(strength.sum())
        rotation = (left @ right).T
    else:
        labels = (rows @ rotation).argmax(axis=1)
    return _compact(labels, rotation.T, np.arange(k), "discretize")


def _compact(
    labels: np.ndarray, centers: np.ndarray, center_labels: np.ndarray, method: str
) -> Partition:
    """Number the clusters that have rows from 0 and drop the centres of the others."""
    used = np.unique(labels)
    kept = np.isin(center_labels, used)
    return Partition(
        np.searchsorted(used, labels),
        centers[kept],
        np.searchsorted(used, center_labels[kept]),
        method,
    )
