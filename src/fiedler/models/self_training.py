"""Self-training without labels: clusters that are sure enough to be taken as known."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from fiedler.graph.known_labels import UNKNOWN, KnownGraph, constrain_graph
from fiedler.models.readout import choose_clusters
from fiedler.partition import nearest_center
from fiedler.partition.assign import vectors_wanted
from fiedler.partition.whole import partition_graph
from fiedler.progress import ProgressCallback, silent
from fiedler.spectrum import smallest_eigenpairs
from fiedler.training.processes import from_first

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clusters:
    """What is known of the clusters: labels (n,) and how sure each is (n,), 0 if not at all."""

    labels: np.ndarray
    confidence: np.ndarray


def clusters_of_graph(
    graph: sp.csr_matrix,
    most: int,
    wanted: int | str,
    *,
    seed: int,
    progress: ProgressCallback = silent,
) -> Clusters | None:
    """Return the clusters of a graph by its own eigenvectors, the same in every process.

    Parameters
    ----------
    graph : csr_matrix of shape (n, n)
    most : int
        Most clusters that a rule may choose, else their number.
    wanted : int or str
        Number of clusters, or the rule that chooses it (:func:`choose_clusters`).
    seed : int
    progress : callable
        Called as ``progress("eigenvectors", done, total)``.

    Returns
    -------
    Clusters or None
        None where the graph has no partition to be trusted (:func:`partition_graph`). Rows on
        borders, in another cluster than that of their nearest centre, have confidence 0.
    """

    def compute() -> dict[str, np.ndarray]:
        n = int(graph.shape[0])
        pairs = smallest_eigenpairs(
            graph, vectors_wanted(most, n), leading=most, random_state=seed, progress=progress
        )
        k = most
        if isinstance(wanted, str):
            k = choose_clusters(pairs.vectors, pairs.values, graph, most, wanted, seed)
            width = vectors_wanted(k, n)
            pairs = replace(
                pairs,
                values=pairs.values[:width],
                vectors=pairs.vectors[:, :width],
                residuals=pairs.residuals[:width],
            )
        partition = partition_graph(graph, k, pairs, random_state=seed)
        if partition is None:
            return {}
        nearest, confidence = nearest_center(pairs.vectors, partition)
        confidence[nearest != partition.labels] = 0.0
        return {"labels": partition.labels, "confidence": confidence}

    found = from_first(compute)
    _logger.info("the graph's own partition is %s", "taken" if found else "not trusted")
    return Clusters(found["labels"], found["confidence"]) if found else None


def unless_contradicted(clusters: Clusters, given: np.ndarray) -> Clusters:
    """Return the clusters, of rows whose given label (-1: none) is not their cluster's unsure.

    A cluster's label is that of most of its rows that have one.
    """
    rows = np.flatnonzero(given != UNKNOWN)
    if not len(rows):
        return clusters
    labels = np.unique(given[rows], return_inverse=True)[1]
    counts = np.zeros((int(clusters.labels.max()) + 1, int(labels.max()) + 1))
    np.add.at(counts, (clusters.labels[rows], labels), 1)
    confidence = clusters.confidence.copy()
    confidence[rows[counts.argmax(axis=1)[clusters.labels[rows]] != labels]] = 0.0
    return replace(clusters, confidence=confidence)


def surest(clusters: Clusters, share: float) -> np.ndarray:
    """Return the labels of this share of each cluster's rows, the surest; -1 for the others.

    Rows of which nothing is sure are never among them, nor one that is a cluster by itself: it
    would lose all its edges.
    """
    known = np.full(len(clusters.labels), UNKNOWN, dtype=np.int64)
    for label in np.unique(clusters.labels):
        rows = np.flatnonzero(clusters.labels == label)
        if len(rows) < 2:
            continue
        order = np.argsort(-clusters.confidence[rows], kind="stable")
        chosen = rows[order[: round(share * len(rows))]]
        known[chosen[clusters.confidence[chosen] > 0]] = label
    return known


def with_known(graph: sp.csr_matrix, clusters: Clusters, share: float, seed: int) -> KnownGraph:
    """Return the graph with the surest share of the rows taken as known."""
    known = surest(clusters, share)
    return KnownGraph(constrain_graph(graph, known, np.random.default_rng(seed)), known)
