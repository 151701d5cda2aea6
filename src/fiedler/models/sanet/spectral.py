"""The spectral analysis layer: fitted to the patches of all images, applied to those of any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fiedler.graph import NeighborIndex, SearchOptions
from fiedler.graph.kernel import KernelOperator, median_sigma
from fiedler.models.sanet.layers import SpectralLayer, VotingLayer
from fiedler.models.sanet.maps import Channels
from fiedler.models.sanet.patches import (
    PatchGrid,
    Preparation,
    crop,
    crop_some,
    fit_preparation,
    patch_grid,
    prepare,
)
from fiedler.models.sanet.procedures import (
    fit_procedures,
    n_columns,
    neighbor_average,
    renormalized,
)
from fiedler.models.sanet.sources import MapSource, distinct
from fiedler.progress import ProgressCallback, silent
from fiedler.spectrum.landmarks import greedy_landmarks

# Patches that whitening and principal directions are fitted to.
PREPARATION_SAMPLE = 20_000
# Patches that tell which others are flat.
_FLAT_SAMPLE = 2_000
# A graph of more patches than this is fitted to so many of them, unless its layer says otherwise.
_MOST_PATCHES = 200_000
# Distinct patches looked at for each landmark that greedy choice takes.
GREEDY_POOL = 4
# Neighbours that only lend their places: this share of the true ones changes the mean by 2 %, and
# takes half the time of .98 (30,000 landmarks of MNIST).
_EXTENSION_RECALL = 0.9


@dataclass(frozen=True)
class FittedSpectral:
    """A spectral layer after its fit.

    Attributes
    ----------
    layer : SpectralLayer
    in_shape : (h, w, c)
        Of the maps that it takes.
    n_clusters : int
        That numbers of eigenvectors were reckoned from.
    preparation : Preparation
    points : ndarray of shape (m, p), float32
        Fitted patches, prepared, group after group.
    coordinates : ndarray of shape (m, q), float32
        Their maps' values.
    starts : ndarray of shape (groups + 1,), int64
        First point of each group: one group, or one for each position.
    values : ndarray of shape (groups, q)
        Eigenvalues.
    options : SearchOptions
    """

    layer: SpectralLayer
    in_shape: tuple[int, int, int]
    n_clusters: int
    preparation: Preparation
    points: np.ndarray
    coordinates: np.ndarray
    starts: np.ndarray
    values: np.ndarray
    options: SearchOptions
    _indexes: dict[int, NeighborIndex]

    @property
    def grid(self) -> PatchGrid:
        """Where its patches lie."""
        return layer_grid(self.layer, self.in_shape)

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Of the maps that it gives."""
        return (*self.grid.shape, self.coordinates.shape[1])

    @property
    def channels(self) -> Channels:
        """Eigenvalue (mean of the groups) and procedure of each map."""
        counts = [n_columns(p, self.n_clusters) for p in self.layer.procedures]
        return Channels(self.values.mean(axis=0), np.repeat(np.arange(len(counts)), counts))

    @property
    def bytes_per_image(self) -> int:
        """Memory that one image takes while it is applied."""
        return _bytes_per_image(self.layer, self.in_shape, self.coordinates.shape[1])

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Give maps (n, h, w, c) the places of their patches; nothing is refitted."""
        grid = self.grid
        n, positions = len(maps), grid.n_positions
        patches = crop(maps, grid).reshape(n * positions, -1)
        prepared = prepare(patches, self.layer, self.preparation)
        if self.layer.graph == "shared":
            first, kind = distinct(prepared)
            places = self._places(0, prepared[first])[kind]
        else:
            by_position = prepared.reshape(n, positions, -1)
            parts = [self._places(p, by_position[:, p]) for p in range(positions)]
            places = np.stack(parts, axis=1)
        return np.asarray(places.reshape(n, *self.out_shape))

    def place_known(self, known: np.ndarray) -> np.ndarray:
        """Return the maps of fitted images from their points' numbers (n, positions)."""
        maps: np.ndarray = self.coordinates[known].reshape(len(known), *self.out_shape)
        return maps

    def _places(self, group: int, patches: np.ndarray) -> np.ndarray:
        """Give prepared patches (m, p) the coordinates that their neighbours suggest."""
        part = slice(self.starts[group], self.starts[group + 1])
        coordinates = self.coordinates[part]
        size = len(coordinates)
        if size == 1:
            return np.repeat(coordinates, len(patches), axis=0)
        count = min(self.layer.n_extension, size - 1)
        index = self._indexes.get(group)
        if index is None:
            index = _extension_search(self.options).index(self.points[part], count, "euclidean")
            self._indexes[group] = index
        indices, distances = index.query(patches, count)
        average = neighbor_average(indices, distances, coordinates)
        return renormalized(average, self.layer.procedures, self.n_clusters)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what a file must keep."""
        kept = {name: getattr(self, name) for name in ("points", "coordinates", "starts", "values")}
        return kept | {name: np.asarray(a) for name, a in vars(self.preparation).items()}

    @classmethod
    def from_arrays(
        cls,
        layer: SpectralLayer,
        in_shape: tuple[int, int, int],
        n_clusters: int,
        arrays: dict[str, np.ndarray],
        options: SearchOptions,
    ) -> FittedSpectral:
        """Restore what :meth:`to_arrays` gave."""
        preparation = Preparation(
            *(arrays[name] for name in ("whiten_mean", "whiten", "pca_mean", "pca", "flat"))
        )
        return cls(
            layer,
            in_shape,
            n_clusters,
            preparation,
            arrays["points"],
            arrays["coordinates"],
            arrays["starts"],
            arrays["values"],
            options,
            {},
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the search indexes, which are rebuilt when they are needed."""
        return {**self.__dict__, "_indexes": {}}


def _extension_search(options: SearchOptions) -> SearchOptions:
    """Return the options for searching neighbours of new patches; exact stays exact."""
    if options.recall == 1.0:
        return options
    return replace(options, recall=min(options.recall, _EXTENSION_RECALL))


def layer_grid(layer: SpectralLayer | VotingLayer, shape: tuple[int, ...]) -> PatchGrid:
    """Return where a layer's patches lie on maps of a shape."""
    return patch_grid(shape, layer.patch, layer.stride, layer.padding)


def fit_spectral(
    source: MapSource,
    layer: SpectralLayer,
    n_clusters: int,
    options: SearchOptions,
    progress: ProgressCallback = silent,
) -> tuple[FittedSpectral, np.ndarray | None]:
    """Fit a layer to the patches of all images.

    Parameters
    ----------
    source : MapSource
        Maps of n images.
    layer : SpectralLayer
    n_clusters : int
        For procedures that take eigenvectors by it.
    options : SearchOptions
        Its progress is not told; ``progress`` is.
    progress : callable
        Called as ``progress("graphs", done, groups)``.

    Returns
    -------
    fitted : FittedSpectral
    known : ndarray of shape (n, positions), int64, or None
        The point that each patch is; None where landmarks stand for the others.
    """
    rng = np.random.default_rng(options.seed)
    grid = layer_grid(layer, source.shape)
    preparation = fit_preparation(_sample(source, layer, grid, rng, options.seed), layer)
    known: np.ndarray | None = None
    chosen = replace(layer, landmarks=n_landmarks(layer, len(source), grid))
    if chosen.landmarks is None:
        groups, known = _all_points(source, layer, grid, preparation)
    elif layer.graph == "shared":
        groups = [_landmarks(source, chosen, grid, preparation, rng)]
    else:
        groups = _landmarks_by_position(source, chosen, grid, preparation, rng)
    found = []
    for number, points in enumerate(groups):
        found.append(fit_procedures(points, layer.procedures, n_clusters, options)[0])
        progress("graphs", number + 1, len(groups))
    starts = np.concatenate([[0], np.cumsum([len(points) for points in groups])])
    fitted = FittedSpectral(
        layer,
        source.shape,
        n_clusters,
        preparation,
        np.concatenate(groups),
        np.concatenate([places.coordinates for places in found]),
        starts.astype(np.int64),
        np.stack([places.values for places in found]),
        options,
        {},
    )
    if known is not None and layer.graph == "position":
        known += starts[:-1]
    return fitted, known


def n_landmarks(layer: SpectralLayer, n_images: int, grid: PatchGrid) -> int | None:
    """Return how many patches of a graph are fitted; None: all of them."""
    if layer.landmarks is not None:
        return layer.landmarks
    patches = n_images * (1 if layer.graph == "position" else grid.n_positions)
    return _MOST_PATCHES if patches > _MOST_PATCHES else None


def _sample(
    source: MapSource, layer: SpectralLayer, grid: PatchGrid, rng: np.random.Generator, seed: int
) -> np.ndarray:
    """Return the patches that a layer's preparation is fitted to."""
    total = len(source) * grid.n_positions
    if layer.whiten is not None or layer.n_pca is not None:
        return _patches_at(source, grid, _choose(total, PREPARATION_SAMPLE, rng))
    if not layer.center:
        return np.empty((0, 0), dtype=np.float32)
    # what tells flat patches must not move the landmarks that are drawn next
    return _patches_at(source, grid, _choose(total, _FLAT_SAMPLE, np.random.default_rng(seed)))


def _choose(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return at most ``count`` of ``total`` numbers, ascending."""
    if count >= total:
        return np.arange(total)
    return np.sort(rng.choice(total, count, replace=False))


def _patches_at(source: MapSource, grid: PatchGrid, chosen: np.ndarray) -> np.ndarray:
    """Return the patches of ascending numbers ``image * positions + position``, (m, d)."""
    images, positions = np.divmod(chosen, grid.n_positions)
    needed, where = np.unique(images, return_inverse=True)
    size = source.block_size()
    parts = []
    for start in range(0, len(needed), size):
        inside = (where >= start) & (where < start + size)
        maps = source.read(needed[start : start + size])
        parts.append(crop_some(maps, grid, where[inside] - start, positions[inside]))
    return np.concatenate(parts)


def _all_points(
    source: MapSource, layer: SpectralLayer, grid: PatchGrid, preparation: Preparation
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the distinct prepared patches of each group, and which one each patch is."""
    n_groups = grid.n_positions if layer.graph == "position" else 1
    seen: list[list[np.ndarray]] = [[] for _ in range(n_groups)]
    kinds: list[list[np.ndarray]] = [[] for _ in range(n_groups)]
    counts = [0] * n_groups
    for _, maps in source.blocks(_bytes_per_image(layer, source.shape, 0)):
        patches = crop(maps, grid)
        flat = prepare(patches.reshape(-1, patches.shape[2]), layer, preparation)
        for group, rows in enumerate(_grouped(flat, len(maps), n_groups)):
            first, kind = distinct(rows)
            seen[group].append(rows[first])
            kinds[group].append(kind + counts[group])
            counts[group] += len(first)
    points, known = [], []
    for rows_seen, kinds_seen in zip(seen, kinds, strict=True):
        rows = np.concatenate(rows_seen)
        first, kind = distinct(rows)
        points.append(rows[first])
        known.append(kind[np.concatenate(kinds_seen)])
    if n_groups == 1:
        return points, known[0].reshape(len(source), grid.n_positions)
    return points, np.stack(known, axis=1)


def _grouped(flat: np.ndarray, n: int, n_groups: int) -> list[np.ndarray]:
    """Split the patches of n images into groups by position, or leave them in one."""
    if n_groups == 1:
        return [flat]
    by_position = flat.reshape(n, n_groups, -1)
    return [np.ascontiguousarray(by_position[:, group]) for group in range(n_groups)]


def _landmarks(
    source: MapSource,
    layer: SpectralLayer,
    grid: PatchGrid,
    preparation: Preparation,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw patches of all images until there are enough distinct ones."""
    assert layer.landmarks is not None
    total = len(source) * grid.n_positions
    pool = 2 * layer.landmarks * (GREEDY_POOL if layer.landmark_choice == "greedy" else 1)
    while True:
        drawn = _patches_at(source, grid, _choose(total, pool, rng))
        rows = prepare(drawn, layer, preparation)
        rows = rows[distinct(rows)[0]]
        if len(rows) >= layer.landmarks or pool >= total:
            return _chosen_points(rows, layer, rng)
        pool *= 4


def _landmarks_by_position(
    source: MapSource,
    layer: SpectralLayer,
    grid: PatchGrid,
    preparation: Preparation,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Draw images until there are enough distinct patches at each position, or all are drawn."""
    assert layer.landmarks is not None
    count = layer.landmarks * (GREEDY_POOL if layer.landmark_choice == "greedy" else 1)
    while True:
        images = _choose(len(source), count, rng)
        groups = _distinct_by_position(source, layer, grid, preparation, images)
        fewest = min(len(rows) for rows in groups)
        if fewest >= layer.landmarks or count >= len(source):
            return [_chosen_points(rows, layer, rng) for rows in groups]
        count *= 4


def _distinct_by_position(
    source: MapSource,
    layer: SpectralLayer,
    grid: PatchGrid,
    preparation: Preparation,
    images: np.ndarray,
) -> list[np.ndarray]:
    """Return the distinct prepared patches of some images at each position."""
    parts: list[list[np.ndarray]] = [[] for _ in range(grid.n_positions)]
    size = source.block_size(_bytes_per_image(layer, source.shape, 0))
    for start in range(0, len(images), size):
        maps = source.read(images[start : start + size])
        patches = crop(maps, grid)
        flat = prepare(patches.reshape(-1, patches.shape[2]), layer, preparation)
        for part, rows in zip(parts, _grouped(flat, len(maps), len(parts)), strict=True):
            part.append(rows)
    joined = [np.concatenate(part) for part in parts]
    return [rows[distinct(rows)[0]] for rows in joined]


def _chosen_points(rows: np.ndarray, layer: SpectralLayer, rng: np.random.Generator) -> np.ndarray:
    """Return the landmarks among distinct prepared patches."""
    assert layer.landmarks is not None
    if len(rows) <= layer.landmarks:
        return rows
    if layer.landmark_choice == "uniform":
        return np.asarray(rows[_choose(len(rows), layer.landmarks, rng)])
    sample = rows[_choose(len(rows), 2000, rng)]
    nearest = NeighborIndex(sample, 7, check=False).graph().distances[:, -1]
    kernel = KernelOperator(rows, sigma=median_sigma(nearest))
    return np.asarray(rows[np.sort(greedy_landmarks(kernel, layer.landmarks, rng))])


def _bytes_per_image(layer: SpectralLayer, shape: tuple[int, int, int], n_maps: int) -> int:
    grid = layer_grid(layer, shape)
    numbers = 3 * grid.height * grid.width * shape[2] + 2 * n_maps + 8 * layer.n_extension
    return 4 * grid.n_positions * numbers
