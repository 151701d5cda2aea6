"""Where each row lies on the map, and which rows speak for a cluster.

Kernels: `sample_rows` (which rows are drawn), `lay_out` (two coordinates a row),
`distance_to_centre`, `distances_between_centres` and `pick_examples` (typical and doubtful rows).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

# t-SNE of this many rows takes about three seconds; the others are placed between them.
ANCHORS = 2000
# Below this many rows t-SNE has no neighbourhoods to keep; two principal axes show everything.
SMALL = 12


def sample_rows(labels: Ints, limit: int, rng: np.random.Generator) -> Ints:
    """Choose at most `limit` rows at random, and at least one of each cluster.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
    limit : int
        At least the number of clusters.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int
        Row numbers, ascending.
    """
    n = len(labels)
    if n <= limit:
        return np.arange(n)
    order = rng.permutation(n)
    _, first = np.unique(labels[order], return_index=True)
    rest = np.delete(order, first)[: max(0, limit - len(first))]
    return np.sort(np.concatenate([order[first], rest]))


def unit_rows(embedding: Floats) -> NDArray[np.float64]:
    """Scale each row to length one (zero rows stay), as the clusters are cones, not balls."""
    values = np.asarray(embedding, dtype=np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = values / np.where(lengths > 0, lengths, 1.0)
    return scaled


def lay_out(embedding: Floats, rng: np.random.Generator) -> NDArray[np.float64]:
    """Place each row in the plane so that near neighbours stay near.

    The row-normalised embedding is laid out by t-SNE (van der Maaten & Hinton 2008); above
    `ANCHORS` rows a random sample is laid out so and each other row is put between the nearest of
    the sample. A handful of rows is shown by its two principal axes.

    Parameters
    ----------
    embedding : ndarray of float, shape (n, m)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (n, 2)
    """
    points = unit_rows(embedding)
    n = len(points)
    if n < SMALL or np.allclose(points, points[0]):
        return _principal_axes(points)
    if n <= ANCHORS:
        return _tsne(points, rng)
    anchors = np.sort(rng.choice(n, ANCHORS, replace=False))
    placed = _tsne(points[anchors], rng)
    return _place_between(points, points[anchors], placed, rng)


def _principal_axes(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project on the two directions of largest variance; absent directions give zeros."""
    centred = points - points.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(points), 2))
    width = min(2, len(scale))
    plane[:, :width] = left[:, :width] * scale[:width]
    return plane


def _tsne(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Run t-SNE from the principal axes."""
    from sklearn.manifold import TSNE

    start = _principal_axes(points)
    start *= 1e-4 / max(float(start[:, 0].std()), 1e-12)
    # Equal rows start at the same place and can never part: a little noise lets them.
    start += rng.normal(scale=1e-6, size=start.shape)
    tsne = TSNE(
        init=start.astype(np.float32),
        perplexity=min(30.0, (len(points) - 1) / 3),
        max_iter=400,
        random_state=int(rng.integers(2**31 - 1)),
    )
    return np.asarray(tsne.fit_transform(points), dtype=np.float64)


def _place_between(
    points: NDArray[np.float64],
    anchors: NDArray[np.float64],
    placed: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Put each point at the weighted mean of its three nearest anchors, with a little spread."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=3).fit(anchors)
    distances, indices = search.kneighbors(points)
    scale = np.maximum(distances[:, 1:2], 1e-12)
    weights = np.exp(-((distances / scale) ** 2) * 2)
    weights /= weights.sum(axis=1, keepdims=True)
    between = np.einsum("nk,nkd->nd", weights, placed[indices])
    # The typical spacing of the anchors, so that the others fill the gaps and hide nothing.
    near = NearestNeighbors(n_neighbors=2).fit(placed).kneighbors(placed)[0][:, 1]
    is_anchor = distances[:, 0] <= 1e-12
    spread = rng.normal(scale=float(np.median(near)), size=between.shape)
    return np.asarray(np.where(is_anchor[:, None], between, between + spread))


def distance_to_centre(embedding: Floats, labels: Ints) -> NDArray[np.float64]:
    """Distance of each row to the mean of its cluster, in the row-normalised embedding.

    Parameters
    ----------
    embedding : ndarray of float, shape (n, m)
    labels : ndarray of int, shape (n,)

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    points = unit_rows(embedding)
    clusters, codes = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(clusters), points.shape[1]))
    np.add.at(sums, codes, points)
    centres = sums / np.bincount(codes)[:, None]
    return np.asarray(np.linalg.norm(points - centres[codes], axis=1))


def distances_between_centres(embedding: Floats, labels: Ints) -> NDArray[np.float64]:
    """Distances between the means of the clusters, in the row-normalised embedding.

    Parameters
    ----------
    embedding : ndarray of float, shape (n, m)
    labels : ndarray of int, shape (n,)

    Returns
    -------
    ndarray of float64, shape (k, k)
        Infinite from and to clusters without rows.
    """
    points = unit_rows(embedding)
    k = int(np.max(labels)) + 1
    counts = np.bincount(labels, minlength=k)
    sums = np.zeros((k, points.shape[1]))
    np.add.at(sums, labels, points)
    centres = sums / np.maximum(counts, 1)[:, None]
    square = np.einsum("ij,ij->i", centres, centres)
    squared = square[:, None] + square - 2 * centres @ centres.T
    distances = np.sqrt(np.maximum(squared, 0.0))
    np.fill_diagonal(distances, 0.0)
    distances[counts == 0] = np.inf
    distances[:, counts == 0] = np.inf
    return np.asarray(distances)


def pick_examples(
    distances: NDArray[np.float64],
    doubt: NDArray[np.floating[Any]],
    members: Ints,
    typical: int,
    doubtful: int,
) -> tuple[Ints, Ints]:
    """Choose the members nearest to the centre of their cluster and the most doubtful others.

    Parameters
    ----------
    distances : ndarray of float, shape (n,)
        Of every row, from `distance_to_centre`.
    doubt : ndarray of float, shape (n,)
        The larger, the more doubtful: the same distances, or the confidence with a minus.
    members : ndarray of int
        Rows of one cluster.
    typical, doubtful : int
        How many of each at most; no row is in both.

    Returns
    -------
    typical, doubtful : ndarray of int
        Nearest first; most doubtful first.
    """
    order = members[np.argsort(distances[members], kind="stable")]
    nearest, rest = order[:typical], order[typical:]
    farthest = rest[np.argsort(-doubt[rest], kind="stable")][:doubtful]
    return nearest, farthest
