"""A partition that new rows can join: labels, and centres to which rows are compared."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

# k-means on more rows than this sees a sample; the centres hardly move, the time does.
_SAMPLE_ROWS = 25_000
_SAMPLE_ROWS_PER_CENTER = 200
_QUICK_STEPS = 8


@dataclass(frozen=True)
class Partition:
    """Labels of the fitted rows and the centres that give labels to new ones.

    Attributes
    ----------
    labels : ndarray of shape (n,), int64
        0 to the number of clusters less one.
    centers : ndarray of shape (m, d), float64
        Centres in the space of the first d eigenvectors; a cluster may have several.
    center_labels : ndarray of shape (m,), int64
        Cluster of each centre.
    method : str
        The assignment that made it.
    unit_rows : bool
        Whether rows are scaled to unit length before they are compared with centres.
    """

    labels: np.ndarray
    centers: np.ndarray
    center_labels: np.ndarray
    method: str
    unit_rows: bool = True

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.center_labels.max()) + 1


def row_normalized(vectors: np.ndarray) -> np.ndarray:
    """Return rows scaled to unit length; zero rows stay zero (Ng, Jordan & Weiss 2001, step 4)."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0))


def nearest_center(vectors: np.ndarray, partition: Partition) -> tuple[np.ndarray, np.ndarray]:
    """Assign rows to the cluster of their nearest centre.

    Parameters
    ----------
    vectors : ndarray of shape (m, d)
        Coordinates in the eigenvectors. Those that the centres know, the first, are used.
    partition : Partition

    Returns
    -------
    labels : ndarray of shape (m,), int64
    confidence : ndarray of shape (m,), float64
        ``1 - a / b`` with the distances to the nearest centre of the own and of any other cluster:
        0 on the border, 1 on the centre; 1 where there is one cluster.
    """
    points = vectors[:, : partition.centers.shape[1]]
    if partition.unit_rows:
        points = row_normalized(points)
    centers = partition.centers
    best = np.full((len(points), partition.n_clusters), np.inf)
    squared = (points**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1) - 2.0 * points @ centers.T
    for cluster in range(partition.n_clusters):
        best[:, cluster] = squared[:, partition.center_labels == cluster].min(axis=1)
    labels = best.argmin(axis=1)
    if partition.n_clusters == 1:
        return labels, np.ones(len(points))
    nearest, second = np.sqrt(np.maximum(np.partition(best, 1, axis=1)[:, :2], 0.0)).T
    return labels, 1.0 - nearest / np.where(second > 0, second, 1.0)


def kmeans(
    rows: np.ndarray, k: int, *, n_init: int, rng: np.random.Generator, quick: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster rows by k-means (scikit-learn's), on a sample of max(25,000, 200 k) rows.

    Quickly, for pieces that are merged anyway: one start from :func:`spread_rows`, a few steps.

    Returns
    -------
    labels : ndarray of shape (n,), int64
        Every label from 0 to the number of centres less one occurs.
    centers : ndarray of shape (m, d)
        ``m <= k``: fewer where the rows have fewer distinct places.
    """
    rows = np.ascontiguousarray(rows, dtype=np.float32)  # halves the time; distances need no more
    sample = rows
    most = max(_SAMPLE_ROWS, _SAMPLE_ROWS_PER_CENTER * k)
    if len(rows) > most:
        sample = rows[np.sort(rng.choice(len(rows), most, replace=False))]
    seed = int(rng.integers(2**31 - 1))
    model = KMeans(k, n_init=n_init, random_state=seed)
    if quick:
        start = sample[spread_rows(sample, k, rng)]
        model.set_params(n_init=1, init=start, max_iter=_QUICK_STEPS)
    with warnings.catch_warnings():
        # fewer distinct places than k is told by fewer centres, below
        warnings.filterwarnings("ignore", "Number of distinct clusters", ConvergenceWarning)
        model.fit(sample)
    labels = model.labels_ if sample is rows else model.predict(rows)
    used, compact = np.unique(labels, return_inverse=True)
    return compact.astype(np.int64), np.asarray(model.cluster_centers_[used], dtype=np.float64)


def spread_rows(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rows, each with a chance that grows with its squared distance to those before it.

    Arthur & Vassilvitskii (2007), "k-means++", section 2.2, without the trials that scikit-learn
    makes at each step: these cost four times the rest of a quick k-means.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
    count : int
        At most n.
    rng : numpy Generator

    Returns
    -------
    ndarray of shape (count,), int64
        Places; they repeat where there are fewer distinct rows.
    """
    norms = np.einsum("ij,ij->i", rows, rows)
    chosen = np.empty(count, dtype=np.int64)
    nearest = np.ones(len(rows), dtype=np.float32)
    for i in range(count):
        reach = np.cumsum(nearest, dtype=np.float64)
        place = np.searchsorted(reach, rng.random() * reach[-1], side="right")
        chosen[i] = min(int(place), len(rows) - 1)
        apart = norms + norms[chosen[i]] - 2.0 * (rows @ rows[chosen[i]])
        nearest = np.maximum(np.minimum(nearest, apart) if i else apart, 0.0)
        nearest[chosen[i]] = 0.0
    return chosen
