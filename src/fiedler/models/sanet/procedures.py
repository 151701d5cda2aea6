"""Spectral analysis procedures, in parallel on the same points: one search, many eigenvectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from fiedler.exceptions import InputError
from fiedler.graph import KNN, SearchOptions, resolve_affinity
from fiedler.graph.shared import SharedSearch
from fiedler.models.sanet.layers import Procedure, VotingLayer
from fiedler.models.sanet.patches import unit_length
from fiedler.progress import ProgressCallback, silent
from fiedler.spectrum import Eigenpairs, smallest_eigenpairs

# Beyond three eigenvectors a cluster, this many more only cost (as in SpectralClustering).
_EXTRA_COMPONENTS = 100


@dataclass(frozen=True)
class Places:
    """Points and their coordinates in the eigenvectors of several procedures.

    Attributes
    ----------
    coordinates : ndarray of shape (m, q), float32
        The procedures' coordinates side by side, weighted and normalised as they ask for.
    values : ndarray of shape (q,)
        Eigenvalue of each column.
    """

    coordinates: np.ndarray
    values: np.ndarray


def n_columns(procedure: Procedure, n_clusters: int) -> int:
    """Return how many maps a procedure makes."""
    if procedure.n_components is not None:
        return procedure.n_components
    return min(3 * n_clusters, n_clusters + _EXTRA_COMPONENTS)


def fit_procedures(
    points: np.ndarray,
    procedures: Sequence[Procedure],
    n_clusters: int,
    options: SearchOptions,
    progress: ProgressCallback = silent,
) -> tuple[Places, SharedSearch]:
    """Run procedures on points (m, d), sharing one neighbour search.

    Returns
    -------
    places : Places
        Columns that so few points cannot have are zero, with the largest eigenvalue.
    search : SharedSearch
        With the search index of the points.
    """
    m = len(points)
    affinities = [_fitting(procedure.affinity, m) for procedure in procedures]
    reach = [a.reach(m) for a in affinities if hasattr(a, "reach")]
    search = SharedSearch(
        options.method,
        options.recall,
        options.seed,
        options.device,
        progress,
        most_neighbors=max(reach, default=1),
    )
    blocks, values = [], []
    for procedure, affinity in zip(procedures, affinities, strict=True):
        wanted = n_columns(procedure, n_clusters)
        dropped = int(not procedure.keep_trivial)
        if m < 3:
            found, places = np.zeros(1), np.ones((m, 1))
        else:
            try:
                pairs = smallest_eigenpairs(
                    affinity.fit(points, search).matrix,
                    min(wanted + dropped, m),
                    laplacian=procedure.laplacian,
                    solver=procedure.solver,
                    random_state=options.seed,
                )
            except InputError as error:
                raise InputError(f"of {m:,} distinct patches, {procedure!r}: {error}") from error
            found, places = pairs.values[dropped:], weighted(pairs, procedure)
        blocks.append(_padded(places, wanted))
        values.append(np.append(found, np.full(wanted - len(found), found[-1])))
    return Places(np.hstack(blocks).astype(np.float32), np.concatenate(values)), search


def weighted(pairs: Eigenpairs, own: Procedure | VotingLayer) -> np.ndarray:
    """Weight eigenvectors by diffusion time and scale rows to unit length, as asked for."""
    vectors, values = pairs.vectors, pairs.values
    if own.diffusion > 0:
        if own.laplacian == "unnormalized":  # no bound: (1 - value) means nothing
            shares = np.exp(-values / max(float(pairs.degrees.mean()), 1e-300))
        else:
            shares = np.maximum(1.0 - values, 0.0)
        vectors = vectors * shares**own.diffusion
    if isinstance(own, Procedure):
        vectors = vectors[:, int(not own.keep_trivial) :]
    return unit_length(vectors) if own.normalize else vectors


def renormalized(
    coordinates: np.ndarray, procedures: Sequence[Procedure], n_clusters: int
) -> np.ndarray:
    """Scale each procedure's block of averaged coordinates (m, q) to unit length again."""
    start = 0
    for procedure in procedures:
        stop = start + n_columns(procedure, n_clusters)
        if procedure.normalize:
            coordinates[:, start:stop] = unit_length(coordinates[:, start:stop])
        start = stop
    return coordinates


def neighbor_average(
    indices: np.ndarray, distances: np.ndarray, coordinates: np.ndarray
) -> np.ndarray:
    """Give new points the mean of their neighbours' coordinates, near ones weighing more.

    ``w_j = exp(-(d_j / d_last)^2)``; a point that equals a fitted one gets its coordinates.

    Parameters
    ----------
    indices, distances : ndarray of shape (m, k)
        Neighbours among the fitted points, nearest first.
    coordinates : ndarray of shape (n, q)

    Returns
    -------
    ndarray of shape (m, q), the type of ``coordinates``
    """
    weights = neighbor_weights(distances).astype(coordinates.dtype)
    m, k = indices.shape
    pointers = np.arange(0, m * k + 1, k)
    matrix = sp.csr_matrix(
        (weights.ravel(), indices.ravel(), pointers), shape=(m, len(coordinates))
    )
    return np.asarray(matrix @ coordinates)


def neighbor_weights(distances: np.ndarray) -> np.ndarray:
    """Return weights (m, k) of neighbours by their distances: they sum to 1; a twin has all."""
    last = distances[:, -1:].astype(np.float64)
    weights = np.exp(-((distances / np.where(last > 0, last, 1.0)) ** 2))
    twin = distances[:, 0] == 0
    weights[twin] = 0.0
    weights[twin, 0] = 1.0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _padded(vectors: np.ndarray, wanted: int) -> np.ndarray:
    return np.pad(vectors, ((0, 0), (0, wanted - vectors.shape[1])))


def _fitting(affinity: Any, m: int) -> Any:
    """Return the affinity object, with no more neighbours than there are other points."""
    resolved = resolve_affinity(affinity)
    if isinstance(resolved, KNN) and resolved.n_neighbors is not None:
        return replace(resolved, n_neighbors=max(1, min(resolved.n_neighbors, m - 1)))
    return resolved
