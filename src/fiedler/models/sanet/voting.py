"""The voting layer: images linked by the patches that look alike, position by position."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fiedler.graph import SearchOptions
from fiedler.models.sanet.layers import VotingLayer
from fiedler.models.sanet.maps import Channels
from fiedler.models.sanet.patches import PatchGrid, crop, patch_grid, unit_length
from fiedler.models.sanet.procedures import weighted
from fiedler.models.sanet.sources import MapSource
from fiedler.progress import ProgressCallback, silent
from fiedler.spectrum import smallest_eigenpairs

# Images that are compared with all others at one time. How a product is rounded depends on its
# size, so all are of this one: an image then votes the same in whatever company it comes.
_TILE = 64
# Some more than clusters, which diffusion weighs: a seed of k-means then hardly matters.
_VECTORS_PER_CLUSTER = 1.2


@dataclass(frozen=True)
class FittedVoting:
    """A voting layer after its fit.

    Attributes
    ----------
    layer : VotingLayer
    maps : ndarray of shape (n, h, w, c), float32
        Of the fitted images.
    votes : csr_matrix of shape (n, n)
        Votes of all positions, symmetric.
    coordinates : ndarray of shape (n, q), float32
        Place of each fitted image.
    values : ndarray of shape (q,)
        Eigenvalues.
    """

    layer: VotingLayer
    maps: np.ndarray
    votes: sp.csr_matrix
    coordinates: np.ndarray
    values: np.ndarray

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """One place an image."""
        return (1, 1, self.coordinates.shape[1])

    @property
    def channels(self) -> Channels:
        """Eigenvalue of each map, all of one procedure."""
        return Channels(self.values, np.zeros(len(self.values), dtype=np.int64))

    @property
    def bytes_per_image(self) -> int:
        """Memory that one image takes while it is applied."""
        return 12 * len(self.maps)

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Give images (m, h, w, c) the mean place of those they vote for, (m, 1, 1, q)."""
        votes = count_votes(maps, self.maps, self.layer, own=None)
        affinity = kept_affinity(votes, self.votes, self.layer, own=False)
        places = affinity.astype(np.float32) @ self.coordinates
        if self.layer.normalize:
            places = unit_length(places)
        return np.asarray(places).reshape(len(maps), *self.out_shape)

    def place_known(self, known: np.ndarray) -> np.ndarray:
        """Return the maps of fitted images by their numbers (n,)."""
        maps: np.ndarray = self.coordinates[known].reshape(len(known), *self.out_shape)
        return maps

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what a file must keep."""
        return {
            "maps": self.maps,
            "votes.data": self.votes.data,
            "votes.indices": self.votes.indices,
            "votes.indptr": self.votes.indptr,
            "coordinates": self.coordinates,
            "values": self.values,
        }

    @classmethod
    def from_arrays(cls, layer: VotingLayer, arrays: dict[str, np.ndarray]) -> FittedVoting:
        """Restore what :meth:`to_arrays` gave."""
        n = len(arrays["maps"])
        parts = (arrays["votes.data"], arrays["votes.indices"], arrays["votes.indptr"])
        votes = sp.csr_matrix(parts, shape=(n, n))
        return cls(layer, arrays["maps"], votes, arrays["coordinates"], arrays["values"])


def n_vectors(layer: VotingLayer, n_clusters: int) -> int:
    """Return how many eigenvectors a layer takes, where there are so many images."""
    return layer.n_components or math.ceil(_VECTORS_PER_CLUSTER * n_clusters)


def fit_voting(
    source: MapSource,
    layer: VotingLayer,
    n_clusters: int,
    options: SearchOptions,
    progress: ProgressCallback = silent,
) -> FittedVoting:
    """Count the votes of all images and solve for the eigenvectors of their affinity.

    Parameters
    ----------
    source : MapSource
        Maps of n images; they are held in memory.
    layer : VotingLayer
    n_clusters : int
        A fifth more eigenvectors, unless the layer says.
    options : SearchOptions
        Its seed is used.
    progress : callable
        Called as ``progress("votes", done, positions)``.
    """
    maps = source.read(slice(None))
    n = len(maps)
    one_way = count_votes(maps, maps, layer, own=np.arange(n), progress=progress)
    votes = sp.csr_matrix(one_way + one_way.T)
    directed = kept_affinity(votes, votes, layer, own=True)
    affinity = directed.maximum(directed.T)
    wanted = min(n_vectors(layer, n_clusters), n)
    pairs = smallest_eigenpairs(
        affinity.astype(np.float64),
        wanted,
        laplacian=layer.laplacian,
        solver=layer.solver,
        random_state=options.seed,
    )
    coordinates = weighted(pairs, layer).astype(np.float32)
    return FittedVoting(layer, maps, votes, coordinates, pairs.values)


def count_votes(
    maps: np.ndarray,
    others: np.ndarray,
    layer: VotingLayer,
    *,
    own: np.ndarray | None,
    progress: ProgressCallback = silent,
) -> sp.csr_matrix:
    """Count, over all positions, whose patches are most similar to each image's.

    Parameters
    ----------
    maps : ndarray of shape (m, h, w, c)
        The images that vote.
    others : ndarray of shape (n, h, w, c)
        The images that are voted for.
    own : ndarray of shape (m,) or None
        The one of ``others`` that each image is, for which it may not vote.

    Returns
    -------
    csr_matrix of shape (m, n)
        Shares of the positions.
    """
    m, n = len(maps), len(others)
    grid = patch_grid(maps.shape[1:], layer.patch, layer.stride, layer.padding)
    count = min(layer.n_neighbors, n - 1 if own is not None else n)
    voters = _unit_patches(maps, grid)
    voters = np.pad(voters, ((0, -m % _TILE), (0, 0), (0, 0)))
    total = sp.csr_matrix((m, n), dtype=np.float32)
    for position, shifted in enumerate(_shifted_patches(others, grid, layer.shifts)):
        chosen = []
        for start in range(0, m, _TILE):
            best = _best_similarity(voters[start : start + _TILE, position], shifted)[: m - start]
            if own is not None:
                best[np.arange(len(best)), own[start : start + _TILE]] = -np.inf
            chosen.append(largest(best, count))
        columns = np.concatenate(chosen)
        ones = np.ones(columns.size, dtype=np.float32)
        pointers = np.arange(0, columns.size + 1, count)
        total = total + sp.csr_matrix((ones, columns.ravel(), pointers), shape=(m, n))
        progress("votes", position + 1, grid.n_positions)
    return sp.csr_matrix(total / np.float32(grid.n_positions))


def kept_affinity(
    votes: sp.csr_matrix, known: sp.csr_matrix, layer: VotingLayer, *, own: bool
) -> sp.csr_matrix:
    """Follow votes for a second step and keep the largest of each row.

    With ``D`` the votes that the fitted images get, squared affinities are ``V D^-1 V D^-1/2``:
    two steps of a walk, normalised from both sides (rows are scaled at the end). Without ``D``
    images that get many votes, as all with a block at the same place do of each other, would join
    what they have nothing to do with.

    Parameters
    ----------
    votes : csr_matrix of shape (m, n)
        Of the images in question.
    known : csr_matrix of shape (n, n)
        Of the fitted images, symmetric.
    layer : VotingLayer
    own : bool
        Whether the images are the fitted ones, whose own entries are left out.

    Returns
    -------
    csr_matrix of shape (m, n)
        At most ``n_kept`` entries a row; for new images, rows sum to 1.
    """
    m, n = votes.shape
    degrees = np.maximum(np.asarray(known.sum(axis=0)).ravel(), 1e-30)
    ends = sp.diags_array(degrees**-0.5)
    second = sp.csr_matrix(sp.diags_array(1.0 / degrees) @ known @ ends if layer.squared else ends)
    begins = degrees[:, None] ** -0.5 if own else np.ones((m, 1))
    count = min(layer.n_kept, n - 1 if own else n)
    columns, weights = np.empty((m, count), dtype=np.int64), np.empty((m, count))
    for start in range(0, m, _TILE):
        part = slice(start, start + _TILE)
        dense = (votes[part] @ second).toarray() * begins[part]
        rows = np.arange(len(dense))
        if own:
            dense[rows, start + rows] = 0.0
        columns[part] = largest(dense, count)
        weights[part] = np.take_along_axis(dense, columns[part], axis=1)
    if not own:
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
    pointers = np.arange(0, m * count + 1, count)
    kept = sp.csr_matrix((weights.ravel(), columns.ravel(), pointers), shape=(m, n))
    kept.eliminate_zeros()
    kept.sort_indices()
    return kept


def largest(rows: np.ndarray, count: int) -> np.ndarray:
    """Return the columns of the largest entries of each row, (m, count); of equal ones the first.

    Ascending columns.
    """
    least = np.partition(rows, -count, axis=1)[:, [-count]]
    taken = rows >= least
    for i in np.flatnonzero(taken.sum(axis=1) > count):
        equal = np.flatnonzero(rows[i] == least[i])
        taken[i, equal[count - int((rows[i] > least[i]).sum()) :]] = False
    return np.nonzero(taken)[1].reshape(len(rows), count)


def _unit_patches(maps: np.ndarray, grid: PatchGrid) -> np.ndarray:
    """Return patches (n, positions, d) without their mean, of unit length."""
    patches = crop(maps, grid)
    return unit_length(patches - patches.mean(axis=2, keepdims=True))


def _shifted_patches(maps: np.ndarray, grid: PatchGrid, shifts: int) -> Iterator[list[np.ndarray]]:
    """Yield, for each position, the patches (n, d) there and at the shifts that stay inside."""
    padded = np.pad(maps, ((0, 0), *grid.padding, (0, 0)))
    height, width = padded.shape[1] - grid.height, padded.shape[2] - grid.width
    for row in grid.rows:
        for column in grid.columns:
            found = []
            for r in range(max(0, row - shifts), min(height, row + shifts) + 1):
                for c in range(max(0, column - shifts), min(width, column + shifts) + 1):
                    patch = padded[:, r : r + grid.height, c : c + grid.width]
                    flat = patch.reshape(len(maps), -1)
                    found.append(unit_length(flat - flat.mean(axis=1, keepdims=True)))
            yield found


def _best_similarity(patches: np.ndarray, shifted: list[np.ndarray]) -> np.ndarray:
    """Return the largest cosine similarity over the shifts, (m, n)."""
    best: np.ndarray = patches @ shifted[0].T
    other = np.empty_like(best)
    for rows in shifted[1:]:
        np.matmul(patches, rows.T, out=other)
        np.maximum(best, other, out=best)
    return best
