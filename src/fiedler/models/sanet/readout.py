"""From the last layer's maps to clusters: k-means, or one partition rebuilt from several."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from fiedler.exceptions import CollapsedOutputsWarning, warn_user
from fiedler.graph import KNN, NeighborGraph, NeighborIndex, SearchOptions, nearest_neighbors
from fiedler.graph.knn import Weights, to_csr
from fiedler.graph.shared import SharedSearch
from fiedler.models.readout import choose_clusters
from fiedler.models.sanet.patches import principal_directions, unit_length
from fiedler.models.sanet.procedures import neighbor_average, neighbor_weights
from fiedler.partition import (
    choose_partition,
    mixed_affinity,
    rebuild_partition,
)
from fiedler.partition.assign import merge_microclusters
from fiedler.partition.centers import kmeans
from fiedler.progress import ProgressCallback
from fiedler.spectrum import smallest_eigenpairs
from fiedler.spectrum.signs import sign_of_columns

# Features beyond this many directions are noise to the search and cost time.
_DIRECTIONS = 128
_SAMPLE = 20_000
_NEIGHBORS = 10
_SCALE_NEIGHBOR = 7
_FEW_ROWS, _FEW_NEIGHBORS = 3000, 5
_N_INIT = 20
# Diffusion times of the candidates, and of the embedding that is kept.
_TIMES = (0.0, 16.0, 64.0, 128.0)
_KEPT_TIME = 64.0
_CANDIDATE_STARTS = 4


@dataclass(frozen=True)
class Readout:
    """Clusters of the fitted images and what new ones are compared with.

    Attributes
    ----------
    method : {"kmeans", "rebuild"}
    labels : ndarray of shape (n,), int64
    confidence : ndarray of shape (n,), float64
    embedding : ndarray of shape (n, e), float64
        The features themselves (``"kmeans"``), or the eigenvectors of the graph of the images.
    signs : ndarray of shape (e,)
        By which features were multiplied.
    centers : ndarray of shape (k, e)
        In the embedding; empty for ``"rebuild"``.
    points : ndarray of shape (n, p), float32
        Features in principal directions; empty for ``"kmeans"``.
    pca_mean, pca : ndarray
        ``(features - mean) @ pca`` gives points; empty where they are the features.
    eigenvalues, residuals, component_sizes : ndarray
        Of the graph of the images; empty for ``"kmeans"``.
    """

    method: str
    labels: np.ndarray
    confidence: np.ndarray
    embedding: np.ndarray
    signs: np.ndarray
    centers: np.ndarray
    points: np.ndarray
    pca_mean: np.ndarray
    pca: np.ndarray
    eigenvalues: np.ndarray
    residuals: np.ndarray
    component_sizes: np.ndarray

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.labels.max()) + 1

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what a file must keep."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "method"}

    def index(self, options: SearchOptions) -> NeighborIndex | None:
        """Return the search index that new images need, where they need one."""
        if not self.points.size:
            return None
        return options.index(self.points, min(8, len(self.points) - 1), "euclidean")


def read_kmeans(features: np.ndarray, k: int, seed: int) -> Readout:
    """Cluster the last maps (n, f) by k-means, as the paper does."""
    labels, centers = kmeans(features, k, n_init=_N_INIT, rng=np.random.default_rng(seed))
    _tell_of_fewer(len(centers), k)
    signs = sign_of_columns(features).astype(np.float64)
    embedding = features * signs
    centers = centers * signs
    none, empty = np.empty(0), np.empty((0, 0), dtype=np.float32)
    return Readout(
        "kmeans",
        labels,
        by_centers(embedding, centers)[1],
        embedding,
        signs,
        centers,
        empty,
        none,
        empty,
        none,
        none,
        np.empty(0, dtype=np.int64),
    )


def _tell_of_fewer(found: int, wanted: int) -> None:
    if found < wanted:
        warn_user(
            f"{found} clusters instead of {wanted}: what the layers make of the images has no more "
            "distinct values. Use smaller patches, more eigenvectors, or another preset.",
            CollapsedOutputsWarning,
        )


def as_first_twins(readout: Readout, digests: np.ndarray) -> Readout:
    """Give equal images what the first of them got, as ``predict`` will.

    Parameters
    ----------
    readout : Readout
    digests : ndarray of shape (n, 2), int64
        Equal for equal images.
    """
    _, first, kind = np.unique(digests, axis=0, return_index=True, return_inverse=True)
    twin = first[kind.ravel()]
    kept, labels = np.unique(readout.labels[twin], return_inverse=True)
    _tell_of_fewer(len(kept), readout.n_clusters)
    return replace(
        readout,
        labels=labels.astype(np.int64),
        centers=readout.centers[kept] if len(readout.centers) else readout.centers,
        confidence=readout.confidence[twin],
        embedding=readout.embedding[twin],
    )


def read_rebuilt(
    features: np.ndarray,
    rows: Any,
    k: int | str,
    most: int,
    options: SearchOptions,
    progress: ProgressCallback,
) -> Readout:
    """Return the best of many partitions, some rebuilt from the others; none sees a label.

    Candidates: k-means on the features; k-means on the leading eigenvectors of the graph of the
    images, weighted by several diffusion times; micro-clusters merged by modularity; and what
    :func:`fiedler.partition.rebuild_partition` makes of these. They, and those one exchange away,
    are judged by modularity on an equal mix of the neighbour graphs of the rows and of what was
    learned, of a tie by Markov stability (:func:`fiedler.partition.choose_partition`).

    Parameters
    ----------
    features : ndarray of shape (n, f), float32
        Last maps.
    rows : array-like of shape (n, ...)
        What describes the images without being learned: their gradients.
    k : int or {"auto", "eigengap", "modularity"}
        Clusters, or the rule that chooses at most ``most`` of them.
    most : int
        For which eigenvectors are computed.
    options : SearchOptions
    progress : callable
        Called as ``progress("clusters", done, total)``.
    """
    n = len(features)
    mean, directions, points = _to_points(features, options.seed)
    graph, search = _image_graph(points, options)
    pairs = smallest_eigenpairs(graph, min(3 * most, n), random_state=options.seed)
    if isinstance(k, str):
        k = choose_clusters(pairs.vectors, pairs.values, graph, most, k, options.seed)
    progress("clusters", 1, 3)
    vectors = pairs.vectors[:, : min(3 * k, n)]
    values = pairs.values[: min(3 * k, n)]
    places = diffused(vectors, values, _KEPT_TIME)
    judges = judging_graphs(rows, search, places, options)
    progress("clusters", 2, 3)
    tried = candidates(points, vectors, values, judges[0], k, options.seed)
    for judge in judges:
        tried.append(rebuild_partition(tried, judge, k, random_state=options.seed))
    labels = choose_partition(tried, judges[0], k, places, random_state=options.seed)
    progress("clusters", 3, 3)
    signs = sign_of_columns(places)
    voters = search.cut(min(8, search.n_neighbors))
    return Readout(
        "rebuild",
        labels,
        _votes(voters.indices, voters.distances, labels)[np.arange(n), labels],
        np.ascontiguousarray(places * signs),
        signs,
        np.empty((0, 0)),
        points,
        mean,
        directions,
        pairs.values,
        pairs.residuals,
        pairs.component_sizes,
    )


def candidates(
    points: np.ndarray,
    vectors: np.ndarray,
    values: np.ndarray,
    graph: sp.csr_matrix,
    k: int,
    seed: int,
) -> list[np.ndarray]:
    """Return partitions (n,) by several read-outs; merging is by ``graph``."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_CANDIDATE_STARTS):
        found.append(kmeans(points, k, n_init=3, rng=rng)[0])
    for time in _TIMES:
        places = diffused(vectors, values, time)
        for _ in range(2):
            found.append(kmeans(places, k, n_init=3, rng=rng)[0])
    for count in (k, 2 * k, 3 * k):
        found.append(merge_microclusters(vectors[:, :count], k, graph, rng=rng).labels)
    leading = unit_length(vectors[:, :k])
    found.append(kmeans(leading, k, n_init=5, rng=rng)[0])
    return found


def judging_graphs(
    rows: Any, search: NeighborGraph, places: np.ndarray, options: SearchOptions
) -> list[sp.csr_matrix]:
    """Return equal mixes of the graph of the rows and of what was learned.

    The first, learned from features and eigenvectors, judges; the second knows the features alone.
    """
    count = _count(len(places))
    raw = binary_graph(options.index(rows, count, "euclidean").graph())
    near = binary_graph(search.cut(min(count, search.n_neighbors)))
    learned = mixed_affinity([near, binary_graph(nearest_neighbors(places, count, check=False))])
    return [mixed_affinity([raw, learned]), mixed_affinity([raw, near])]


def binary_graph(graph: NeighborGraph) -> sp.csr_matrix:
    """Return the symmetric binary matrix of a neighbour graph."""
    directed = to_csr(graph.indices, np.ones(graph.indices.shape), len(graph.indices))
    return sp.csr_matrix(directed.maximum(directed.T))


def diffused(vectors: np.ndarray, values: np.ndarray, time: float) -> np.ndarray:
    """Return ``(1 - value)^time`` times eigenvectors (n, e), rows of unit length."""
    return unit_length(vectors * np.maximum(1.0 - values, 0.0) ** time)


def apply_readout(
    readout: Readout, index: NeighborIndex | None, features: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give new images their embedding (m, e), labels (m,) and confidence (m,)."""
    if index is None:
        embedding = features * readout.signs
        return embedding, *by_centers(embedding, readout.centers)
    points = features
    if readout.pca.size:
        points = (features - readout.pca_mean) @ readout.pca
    count = min(8, len(readout.points) - 1)
    indices, distances = index.query(np.ascontiguousarray(points, dtype=np.float32), count)
    embedding = unit_length(neighbor_average(indices, distances, readout.embedding))
    votes = _votes(indices, distances, readout.labels)
    labels = votes.argmax(axis=1)
    return embedding, labels, votes[np.arange(len(votes)), labels]


def by_centers(points: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest centre of points (m, e) and ``1 - a / b`` with the two distances."""
    squared = (points**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1)
    squared = np.maximum(squared - 2.0 * points @ centers.T, 0.0)
    labels = squared.argmin(axis=1)
    if len(centers) == 1:
        return labels, np.ones(len(points))
    nearest, second = np.sqrt(np.partition(squared, 1, axis=1)[:, :2]).T
    return labels, 1.0 - nearest / np.where(second > 0, second, 1.0)


def _votes(indices: np.ndarray, distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the share of each cluster among the neighbours, (m, k)."""
    weights = neighbor_weights(distances)
    votes = np.zeros((len(indices), int(labels.max()) + 1))
    for j in range(indices.shape[1]):
        votes[np.arange(len(votes)), labels[indices[:, j]]] += weights[:, j]
    return votes


def _to_points(features: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reduce features (n, f) to their principal directions where there are many."""
    if features.shape[1] <= _DIRECTIONS:
        return np.empty(0, dtype=np.float32), np.empty((0, 0), dtype=np.float32), features
    sample = features
    if len(features) > _SAMPLE:
        rng = np.random.default_rng(seed)
        sample = features[np.sort(rng.choice(len(features), _SAMPLE, replace=False))]
    mean, directions = principal_directions(sample, min(_DIRECTIONS, len(sample)))
    return mean, directions, np.ascontiguousarray((features - mean) @ directions)


def _image_graph(points: np.ndarray, options: SearchOptions) -> tuple[sp.csr_matrix, NeighborGraph]:
    """Return the graph of the images and the neighbours that it was made from.

    Self-tuned, unless all images have so many equals that distances have no scale.
    """
    count = min(_NEIGHBORS, len(points) - 1)
    shared = SharedSearch(options.method, options.recall, options.seed, options.device)
    found = shared.index(points, count, "euclidean").graph()
    spread = found.distances[:, min(_SCALE_NEIGHBOR, count) - 1].any()
    weights: Weights = "self-tuning" if spread else "binary"
    affinity = KNN(count, weights, scale_neighbor=_SCALE_NEIGHBOR)
    return affinity.fit(points, shared).matrix, found


def _count(n: int) -> int:
    return min(_NEIGHBORS if n >= _FEW_ROWS else _FEW_NEIGHBORS, n - 1)
