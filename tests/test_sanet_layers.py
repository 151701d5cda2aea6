"""The kernels of SA-Net against plain loops, and its layers against what they are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from fiedler import (
    KNN,
    BlockHistogram,
    Coding,
    Epsilon,
    Gaussian,
    LocalContrast,
    Normalization,
    Orientation,
    Pooling,
    Procedure,
    SpectralEmbedding,
    SpectralLayer,
    Upright,
    VotingLayer,
)
from fiedler.data.upright import upright
from fiedler.exceptions import InputError
from fiedler.graph import NeighborIndex, SearchOptions
from fiedler.graph.shared import SharedSearch
from fiedler.models.sanet import memory, sources, spectral
from fiedler.models.sanet.geometry import passages
from fiedler.models.sanet.maps import (
    Channels,
    apply_plain,
    block_histograms,
    channels_after,
    encode,
    local_contrast,
    orientation,
    pixels,
    pool,
)
from fiedler.models.sanet.memory import memory_needed
from fiedler.models.sanet.network import Checkpoints, check_layers, fit_network, prepared_images
from fiedler.models.sanet.patches import (
    crop,
    crop_some,
    fit_preparation,
    patch_grid,
    prepare,
    principal_directions,
    unit_length,
    zca,
)
from fiedler.models.sanet.presets import PRESETS, recipe_for
from fiedler.models.sanet.procedures import fit_procedures, neighbor_average
from fiedler.models.sanet.sources import MapSource, distinct, image_source, largest_absolute
from fiedler.models.sanet.spectral import fit_spectral
from fiedler.models.sanet.voting import count_votes, fit_voting, kept_affinity, largest
from fiedler.progress import silent

RNG = np.random.default_rng(0)
OPTIONS = SearchOptions()


def random_maps(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


# Patches


@given(
    st.integers(4, 12),
    st.integers(4, 12),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from(["valid", "same", "flush"]),
    st.integers(1, 3),
)
def test_crop_is_what_loops_cut(
    height: int, width: int, patch: int, stride: int, padding: Any, channels: int
) -> None:
    maps = random_maps(2, height, width, channels)
    grid = patch_grid(maps.shape[1:], patch, stride, padding)
    (top, bottom), (left, right) = grid.padding
    padded = np.pad(maps, ((0, 0), (top, bottom), (left, right), (0, 0)))
    wanted = np.array(
        [
            [
                padded[i, r : r + patch, c : c + patch].ravel()
                for r in grid.rows
                for c in grid.columns
            ]
            for i in range(2)
        ]
    )
    np.testing.assert_array_equal(crop(maps, grid), wanted)
    images, positions = np.array([0, 1, 1]), np.array([0, grid.n_positions - 1, 0])
    np.testing.assert_array_equal(
        crop_some(maps, grid, images, positions), wanted[images, positions]
    )
    if padding == "same":
        assert grid.shape == (-(-height // stride), -(-width // stride))
    if padding == "flush":
        assert grid.rows[-1] + patch == height
        assert grid.padding == ((0, 0), (0, 0))


def test_geometry_of_the_paper() -> None:
    digits = patch_grid((28, 28), 11, 5, "same")
    assert digits.shape == (6, 6)
    assert patch_grid((*digits.shape,), 4, 1, "valid").shape == (3, 3)
    assert patch_grid((32, 32), 11, 2, "same").shape == (16, 16)
    assert patch_grid((5, 7), None, 1, "valid").shape == (1, 1)
    with pytest.raises(InputError, match="a patch of 9 x 9 does not fit into maps of 8 x 8"):
        patch_grid((8, 8), 9, 1, "valid")


def test_preparation_of_patches() -> None:
    patches = (random_maps(400, 12) * np.linspace(0.1, 2, 12) + 3).astype(np.float32)
    plain = SpectralLayer(center=False)
    np.testing.assert_array_equal(prepare(patches, plain, fit_preparation(patches, plain)), patches)
    full = SpectralLayer(contrast=0.1, whiten=0.01, unit=True, n_pca=5)
    fitted = fit_preparation(patches, full)
    prepared = prepare(patches, full, fitted)
    centred = patches - patches.mean(axis=1, keepdims=True)
    even = centred / np.sqrt(centred.var(axis=1, keepdims=True) + 0.1)
    white = (even - fitted.whiten_mean) @ fitted.whiten
    unit = white / np.linalg.norm(white, axis=1, keepdims=True)
    np.testing.assert_allclose(prepared, (unit - fitted.pca_mean) @ fitted.pca, atol=1e-5)
    # one patch at a time gives the same
    single = np.vstack([prepare(patches[i : i + 1], full, fitted) for i in range(5)])
    np.testing.assert_allclose(single, prepared[:5], atol=1e-5)
    flat = np.full((2, 12), [[0.3], [0.7]], dtype=np.float32)
    assert not prepare(flat, SpectralLayer(), fit_preparation(flat, SpectralLayer())).any()


def test_whitening_and_principal_directions() -> None:
    rows = random_maps(500, 8) @ random_maps(8, 8)
    mean, matrix = zca(rows, 1e-6)
    np.testing.assert_allclose(np.cov(((rows - mean) @ matrix).T), np.eye(8), atol=0.02)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    mean, directions = principal_directions(rows, 3)
    _, _, right = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(directions.T @ right[:3].T), np.eye(3), atol=1e-3)
    assert not unit_length(np.zeros((2, 3))).any()


# Layers without parameters


@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from(["max", "average"]))
def test_pooling_is_what_loops_do(size: int, stride: int, kind: Any) -> None:
    maps = random_maps(2, 6, 5, 2)
    found = pool(maps, Pooling(size, stride, kind))
    for r in range(found.shape[1]):
        for c in range(found.shape[2]):
            window = maps[:, r * stride : r * stride + size, c * stride : c * stride + size]
            flat = window.transpose(0, 3, 1, 2).reshape(2, 2, -1)
            if kind == "average":
                wanted = flat.mean(axis=2)
            else:
                at = np.abs(flat).argmax(axis=2)[..., None]
                wanted = np.take_along_axis(flat, at, axis=2)[..., 0]
            np.testing.assert_allclose(found[:, r, c], wanted, atol=1e-6)
    assert pool(maps, Pooling(2, 1, padding="same")).shape == maps.shape


def test_codes_weigh_the_smallest_eigenvalue_most() -> None:
    binary = np.array([1.0, 0.0, 1.0, 1.0, 0.0], dtype=np.float32).reshape(1, 1, 1, 5)
    values = np.array([0.3, 0.1, 0.2, 0.5, 0.4])
    # in the order of eigenvalues: 0 1 1 | 0 1
    found = encode(binary, values, 3)
    assert found.ravel().tolist() == [0 * 4 + 1 * 2 + 1, 0 * 4 + 1 * 2]
    after = channels_after(Coding(3), Channels(values, np.arange(5)))
    assert (after.bits, after.values.tolist()) == (3, [0.1, 0.4])
    assert after.procedures.tolist() == [1, 4]
    counts = block_histograms(np.broadcast_to(found, (1, 2, 2, 2)), 2, None, 3)
    assert counts.shape == (1, 1, 1, 16)
    assert counts.ravel().nonzero()[0].tolist() == [3, 8 + 2]
    assert counts.sum() == 2.0
    with pytest.raises(InputError, match="put a Coding layer before it"):
        channels_after(BlockHistogram(2), pixels(3))


def test_pictures_are_evened_out() -> None:
    images = np.abs(random_maps(3, 9, 8, 1))
    np.testing.assert_allclose(
        local_contrast(images, 2.0, False)[1], local_contrast(images[1:2], 2.0, False)[0], atol=1e-6
    )
    bright = local_contrast(1 + images, 2.0, False)
    np.testing.assert_allclose(bright, local_contrast(images, 2.0, False), atol=1e-4)
    ramp = np.tile(np.arange(6.0, dtype=np.float32), (1, 5, 1))[..., None]
    found = orientation(ramp, 1e-3)
    np.testing.assert_allclose(found[..., 0], 1.0, atol=2e-3)
    assert not found[..., 1].any()
    for layer in (LocalContrast(), Orientation(), Normalization(), Upright()):
        assert apply_plain(layer, images, pixels(1)).dtype == np.float32


# One search, many procedures


def sheared(image: np.ndarray, limit: float) -> np.ndarray:
    """What ``upright`` gives for an image (h, w), pixel by pixel."""
    height, width = image.shape
    mass = np.abs(image).astype(np.float64)
    y, x = np.mgrid[:height, :width] - np.array(
        [[[(mass * axis).sum() / mass.sum()]] for axis in np.mgrid[:height, :width]]
    )
    shear = np.clip((mass * x * y).sum() / (mass * y * y).sum(), -limit, limit)
    found = np.zeros_like(image)
    for row in range(height):
        places = np.arange(width) + shear * y[row, 0]
        beyond = np.concatenate([[0.0], image[row], [0.0]])
        found[row] = np.interp(places, np.arange(-1, width + 1), beyond, left=0.0, right=0.0)
    return found


@pytest.mark.parametrize("limit", [1.0, 0.1])
def test_upright_is_what_loops_shear(limit: float) -> None:
    images = random_maps(5, 7, 9, 1)
    found = upright(images, limit)
    for image, one in zip(images, found, strict=True):
        np.testing.assert_allclose(one[..., 0], sheared(image[..., 0], limit), atol=1e-4)
    np.testing.assert_allclose(upright(images[1:2], limit), found[1:2], atol=1e-6)
    assert not upright(np.zeros((1, 4, 4, 3), dtype=np.float32), limit).any()


def test_slanted_strokes_are_brought_upright() -> None:
    image = np.zeros((1, 15, 21, 3), dtype=np.float32)
    for row in range(3, 12):
        image[0, row, 3 + row : 6 + row] = 1.0
    found = upright(image, 1.0)
    np.testing.assert_allclose(found[0, 3:12].std(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.sum(), image.sum())


def test_images_are_judged_as_the_first_spectral_layer_sees_them() -> None:
    maps = random_maps(4, 6, 6, 1)
    source = image_source(maps, (6, 6, 1), 1.0)
    found = prepared_images(source, [Upright(), Pooling(2), SpectralLayer(3), Pooling(2)])
    assert found is not None
    np.testing.assert_array_equal(
        found.rows, pool(upright(maps, 1.0), Pooling(2)).reshape(4, 3, 3, 1)
    )
    assert prepared_images(source, [SpectralLayer(3), Pooling(2)]) is None


def test_one_search_serves_every_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_maps(200, 5)
    searches = []
    search = NeighborIndex.graph

    def counted(self: Any, *args: Any) -> Any:
        searches.append(self.n_neighbors)
        return search(self, *args)

    affinities = [KNN(4), KNN(9, "self-tuning"), Gaussian(), Epsilon(1.1), KNN(6, "gaussian")]
    alone = [affinity.fit(rows, OPTIONS).matrix for affinity in affinities]
    monkeypatch.setattr(NeighborIndex, "graph", counted)
    shared = SharedSearch(most_neighbors=10)
    together = [affinity.fit(rows, shared).matrix for affinity in affinities]
    assert searches == [10]
    for one, other in zip(alone, together, strict=True):
        difference = abs(one - other)
        assert difference.max() < 1e-12
    # patches of unit length, among which a blank one is left to itself
    searches.clear()
    unit = np.vstack([rows / np.linalg.norm(rows, axis=1, keepdims=True), np.zeros((1, 5))])
    for affinity in (KNN(4), KNN(9)):
        affinity.fit(unit.astype(np.float32), shared)
    assert searches == [10]


@pytest.mark.parametrize("laplacian", ["sym", "rw"])
def test_a_procedure_is_a_spectral_embedding(laplacian: Any) -> None:
    rows = random_maps(150, 4)
    procedure = Procedure(5, KNN(8), laplacian, normalize=False)
    places, _ = fit_procedures(rows, [procedure, procedure], 3, OPTIONS)
    model = SpectralEmbedding(
        5, affinity=KNN(8), laplacian=laplacian, keep_trivial=True, random_state=0
    ).fit(rows)
    np.testing.assert_allclose(places.coordinates[:, :5], model.embedding_, atol=1e-6)
    np.testing.assert_array_equal(places.coordinates[:, :5], places.coordinates[:, 5:])
    np.testing.assert_allclose(places.values[:5], model.eigenvalues_, atol=1e-9)
    # weights by diffusion time, then rows of unit length
    weighed = Procedure(5, KNN(8), laplacian, diffusion=3.0)
    found = fit_procedures(rows, [weighed], 3, OPTIONS)[0].coordinates
    wanted = unit_length(model.embedding_ * (1 - model.eigenvalues_) ** 3.0)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("solver", ["dense", "lanczos", "block", "nystrom", "minibatch"])
def test_every_solver_serves(solver: str) -> None:
    rows = np.repeat(random_maps(3, 6), 30, axis=0) * 4 + random_maps(90, 6)
    procedure = Procedure(3, Gaussian(2.0), solver=solver, normalize=False)
    exact = fit_procedures(rows, [Procedure(3, Gaussian(2.0), normalize=False)], 3, OPTIONS)[0]
    found = fit_procedures(rows, [procedure], 3, OPTIONS)[0]
    overlap = np.linalg.svd(found.coordinates.T @ exact.coordinates, compute_uv=False)
    assert overlap.min() > 0.99


@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_few_points_are_enough(m: int) -> None:
    procedures = [Procedure(6, KNN(9)), Procedure(4, Gaussian())]
    places, _ = fit_procedures(random_maps(m, 3), procedures, 3, OPTIONS)
    assert places.coordinates.shape == (m, 10)
    assert np.isfinite(places.coordinates).all()
    assert len(places.values) == 10


def test_new_points_get_the_mean_of_their_neighbours() -> None:
    coordinates = random_maps(4, 3)
    indices = np.array([[2, 0], [1, 3], [3, 1]])
    distances = np.array([[1.0, 2.0], [0.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    found = neighbor_average(indices, distances, coordinates)
    near = np.exp([-0.25, -1.0])
    wanted = (near[0] * coordinates[2] + near[1] * coordinates[0]) / near.sum()
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5)
    np.testing.assert_array_equal(found[1:], coordinates[[1, 3]])


def test_equal_rows_are_found() -> None:
    rows = random_maps(5, 3)[[0, 1, 0, 2, 1, 0]]
    rows[0, 0] = rows[2, 0] = rows[5, 0] = 0.0
    rows[2, 0] = -0.0
    first, kind = distinct(rows)
    assert first.tolist() == [0, 1, 3]
    assert kind.tolist() == [0, 1, 0, 2, 1, 0]


# The spectral layer


def stripes(n: int, seed: int, side: int = 8) -> np.ndarray:
    """Pictures of three kinds of stripes with noise, (n, side, side), float64."""
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    kinds = np.stack([np.sin(across), np.sin(down), np.sin(across + down)])
    return kinds[np.arange(n) % 3] + 0.15 * rng.normal(size=(n, side, side))


def source_of(images: np.ndarray) -> MapSource:
    shape = (*images.shape[1:3], 1)
    return image_source(images, shape, largest_absolute(images))


LAYER = SpectralLayer(4, 2, procedures=[Procedure(5, KNN(6)), Procedure(3, KNN(9, "self-tuning"))])


@pytest.mark.parametrize("graph", ["shared", "position"])
def test_fitted_patches_keep_their_places(graph: Any) -> None:
    images = np.round(stripes(40, 0))  # many equal patches
    source = source_of(images)
    layer = SpectralLayer(4, 2, LAYER.procedures, graph=graph)
    fitted, known = fit_spectral(source, layer, 3, OPTIONS)
    assert known is not None
    maps = source.read(slice(None))
    np.testing.assert_allclose(fitted.apply(maps), fitted.place_known(known), atol=1e-6)
    assert fitted.out_shape == (3, 3, 8)
    assert len(fitted.starts) == (2 if graph == "shared" else 10)
    # equal patches are one point
    patches = crop(maps, fitted.grid)
    if graph == "shared":
        assert len(fitted.points) == len(np.unique(patches.reshape(-1, 16), axis=0))
    # every procedure's rows have unit length, but for components that no eigenvector reaches
    length = np.linalg.norm(fitted.coordinates[:, :5], axis=1)
    np.testing.assert_allclose(length[length > 0], 1, atol=1e-5)
    assert (length > 0).mean() > 0.8


def test_one_graph_for_each_position_is_that_positions_alone() -> None:
    images = stripes(30, 1)
    layer = SpectralLayer(4, 4, [Procedure(4, KNN(5))], graph="position")
    fitted, known = fit_spectral(source_of(images), layer, 3, OPTIONS)
    assert known is not None
    corner = source_of(images[:, :4, :4] / np.abs(images[:, :4, :4]).max() * np.abs(images).max())
    alone, alone_known = fit_spectral(
        corner, SpectralLayer(4, 4, [Procedure(4, KNN(5))]), 3, OPTIONS
    )
    assert alone_known is not None
    np.testing.assert_allclose(
        fitted.place_known(known)[:, 0, 0], alone.place_known(alone_known)[:, 0, 0], atol=1e-4
    )


@pytest.mark.parametrize("graph", ["shared", "position"])
@pytest.mark.parametrize("choice", ["uniform", "greedy"])
def test_landmarks_stand_for_the_others(graph: Any, choice: Any) -> None:
    source = source_of(stripes(60, 2))
    layer = SpectralLayer(4, 2, LAYER.procedures, graph=graph, landmarks=40, landmark_choice=choice)
    fitted, known = fit_spectral(source, layer, 3, OPTIONS)
    assert known is None
    sizes = np.diff(fitted.starts)
    assert (sizes == 40).all()
    maps = fitted.apply(source.read(slice(None)))
    assert maps.shape == (60, 3, 3, 8)
    assert np.isfinite(maps).all()
    # a landmark gets exactly its own place
    again = fitted._places(0, fitted.points[: sizes[0]])
    np.testing.assert_allclose(again, fitted.coordinates[: sizes[0]], atol=1e-6)


def test_nothing_depends_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    images = stripes(50, 3)
    layers = [
        SpectralLayer(4, 2, LAYER.procedures, padding="same", landmarks=80),
        Pooling(2, 1, "average"),
        SpectralLayer(2, procedures=[Procedure(4)], graph="position", n_pca=6),
    ]

    def fitted_maps() -> np.ndarray:
        stack, output = fit_network(
            source_of(images), layers, 3, OPTIONS, Checkpoints(None, ""), silent
        )
        assert [step.out_shape for step in stack] == [(4, 4, 8), (3, 3, 8), (2, 2, 4)]
        return np.asarray(output.rows)

    whole = fitted_maps()
    cut = []
    monkeypatch.setattr(sources, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(
        spectral, "crop", lambda maps, grid: cut.append(len(maps)) or crop(maps, grid)
    )
    np.testing.assert_allclose(fitted_maps(), whole, atol=1e-5)
    assert max(cut) < 50


# The voting layer


def test_votes_are_what_loops_count() -> None:
    maps = random_maps(12, 7, 6, 2)
    layer = VotingLayer(3, 2, n_neighbors=2, shifts=1)
    votes = count_votes(maps, maps, layer, own=np.arange(12)).toarray()
    grid = patch_grid((7, 6), 3, 2, "flush")
    wanted = np.zeros((12, 12))

    def unit(patch: np.ndarray) -> np.ndarray:
        flat = patch.ravel() - patch.mean()
        return flat / np.linalg.norm(flat)

    for r in grid.rows:
        for c in grid.columns:
            similarity = np.full((12, 12), -np.inf)
            for dr in (-1, 0, 1):
                for dc in (-1, 0, 1):
                    if 0 <= r + dr <= 4 and 0 <= c + dc <= 3:
                        for i in range(12):
                            mine = unit(maps[i, r : r + 3, c : c + 3])
                            for j in range(12):
                                other = maps[j, r + dr : r + dr + 3, c + dc : c + dc + 3]
                                similarity[i, j] = max(similarity[i, j], mine @ unit(other))
            np.fill_diagonal(similarity, -np.inf)
            for i in range(12):
                wanted[i, np.argsort(-similarity[i])[:2]] += 1 / grid.n_positions
    np.testing.assert_allclose(votes, wanted, atol=1e-6)


@pytest.mark.parametrize("squared", [True, False])
def test_kept_affinity_is_the_largest_of_two_normalised_steps(squared: bool) -> None:
    votes = sp.csr_matrix(np.random.default_rng(0).random((9, 9)))
    votes = votes + votes.T
    layer = VotingLayer(n_kept=3, squared=squared)
    roots = np.sqrt(votes.toarray().sum(axis=0))
    step = votes.toarray() / np.outer(roots, roots)
    dense = step @ step if squared else step.copy()
    np.testing.assert_allclose(dense, dense.T)
    np.fill_diagonal(dense, 0)
    wanted = np.where(dense >= np.sort(dense, axis=1)[:, -3:-2], dense, 0)
    np.testing.assert_allclose(kept_affinity(votes, votes, layer, own=True).toarray(), wanted)
    # a new image that votes as the first does gets its affinities, to itself too, summing to 1
    new = kept_affinity(votes[:1], votes, replace(layer, n_kept=9), own=False).toarray()
    first = (step @ step if squared else step)[0]
    np.testing.assert_allclose(new[0], first / first.sum())


def test_of_equal_entries_the_first_are_the_largest() -> None:
    rows = np.array([[1.0, 3, 3, 3], [2, 2, 2, 2], [0, 4, 1, 9]])
    np.testing.assert_array_equal(largest(rows, 2), [[1, 2], [0, 1], [1, 3]])
    many = RNG.integers(0, 4, size=(30, 20))
    wanted = np.sort(np.argsort(-many, axis=1, kind="stable")[:, :6], axis=1)
    np.testing.assert_array_equal(largest(many, 6), wanted)


def test_voting_sees_kinds_behind_a_block() -> None:
    images = stripes(60, 4, 16)
    rng = np.random.default_rng(0)
    for image, (r, c) in zip(images, rng.integers(0, 9, size=(60, 2)), strict=True):
        image[r : r + 7, c : c + 7] = rng.normal(size=(7, 7))
    fitted = fit_voting(source_of(images), VotingLayer(5, 3, shifts=1), 3, OPTIONS)
    places = fitted.coordinates
    near = np.argsort(-(places @ places.T), axis=1)[:, 1]
    assert (near % 3 == np.arange(60) % 3).mean() > 0.95
    new = fitted.apply(source_of(stripes(9, 5, 16)).read(slice(None)))[:, 0, 0]
    assert ((new @ places.T).argmax(axis=1) % 3 == np.arange(9) % 3).all()


# Layers as values, presets


def test_layers_are_values() -> None:
    assert SpectralLayer(procedures=[Procedure(3)]) == SpectralLayer(procedures=(Procedure(3),))
    assert hash(Pooling(2)) == hash(Pooling(2))
    assert repr(Pooling(2, kind="average")) == "Pooling(kind='average')"
    assert repr(Coding(4)) == "Coding(bits=4)"
    plain = SpectralLayer((5, 5), 2, [Procedure(3)], landmarks=9)
    assert plain == SpectralLayer([5, 5], np.int64(2), [Procedure(np.int64(3))], landmarks=9)
    assert repr(SpectralLayer(np.int64(5))) == "SpectralLayer(patch=5)"


FITTED = SpectralEmbedding(1).fit(np.arange(12.0).reshape(6, 2))


@pytest.mark.parametrize("keep_trivial", [True, False])
def test_a_layer_takes_spectral_embeddings(keep_trivial: bool) -> None:
    embedding = SpectralEmbedding(
        4, affinity=KNN(6), laplacian="rw", solver="dense", keep_trivial=keep_trivial
    )
    (procedure,) = SpectralLayer(5, 2, [embedding]).procedures
    points = stripes(50, 8).reshape(50, -1)
    places, _ = fit_procedures(points, [procedure], 3, SearchOptions(recall=1.0))
    wanted = embedding.fit(points)
    np.testing.assert_allclose(places.coordinates, wanted.embedding_, atol=1e-5)
    skipped = int(not keep_trivial)
    np.testing.assert_allclose(places.values, wanted.eigenvalues_[skipped:], atol=1e-8)


def test_diffusion_means_the_same_for_every_laplacian() -> None:
    """A ring's degrees are equal: only where eigenvalues have no bound must they be scaled."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    shares = {}
    for laplacian in ("sym", "unnormalized"):
        procedure = Procedure(9, KNN(4), laplacian, diffusion=3.0, normalize=False)
        places, _ = fit_procedures(ring, [procedure], 3, OPTIONS)
        shares[laplacian] = np.linalg.norm(places.coordinates, axis=0)
    assert shares["unnormalized"].min() > 0.1
    np.testing.assert_allclose(shares["unnormalized"], shares["sym"], atol=0.15)


def test_a_graph_of_very_many_patches_is_fitted_to_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "_MOST_PATCHES", 100)
    source = source_of(stripes(60, 2))
    shared, known = fit_spectral(source, LAYER, 3, OPTIONS)
    assert (known, len(shared.points)) == (None, 100)
    # one graph for each position holds 60 patches
    apart, known = fit_spectral(source, replace(LAYER, graph="position"), 3, OPTIONS)
    assert known is not None
    assert np.diff(apart.starts).max() <= 60


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpectralLayer(0), "patch must be a positive integer or a pair"),
        (lambda: SpectralLayer(stride=(2, 0)), "stride must be a positive integer"),
        (lambda: SpectralLayer(procedures=[]), "a list of one or more Procedure"),
        (lambda: SpectralLayer(procedures=Procedure()), r"Procedure.* got Procedure\(\)"),
        (lambda: SpectralLayer(procedures=[SpectralEmbedding(recall=1.0)]), "recall=1.0 .* SANet"),
        (lambda: SpectralLayer(procedures=[FITTED]), "got a fitted SpectralEmbedding"),
        (lambda: SpectralLayer([5, 5, 5]), "patch must be a positive integer or a pair"),
        (lambda: SpectralLayer(graph="sum"), "graph must be one of"),
        (lambda: SpectralLayer(landmark_choice="greedy"), "needs landmarks between 1 and 5000"),
        (lambda: SpectralLayer(n_pca=0), "n_pca must be a positive integer"),
        (lambda: Procedure(0), "n_components must be a positive integer"),
        (lambda: Procedure(diffusion=-1.0), "diffusion must be a finite number of at least 0"),
        (lambda: Procedure(diffusion=float("inf")), "diffusion must be a finite number"),
        (lambda: Procedure(normalize="no"), "normalize must be True or False"),
        (lambda: Procedure(4, "knn", "unnormalized", "nystrom"), "needs a normalised Laplacian"),
        (lambda: SpectralLayer(3, None), "stride must be a positive integer"),
        (lambda: SpectralLayer(3, n_extension=None), "n_extension must be a positive integer"),
        (lambda: SpectralLayer(contrast=0.0), "contrast must be None or a positive number"),
        (lambda: SpectralLayer(contrast="a"), "contrast must be None or a positive number"),
        (lambda: SpectralLayer(whiten=float("nan")), "whiten must be None or a positive number"),
        (lambda: SpectralLayer(unit="no"), "unit must be True or False"),
        (lambda: Pooling(None), "Pooling size must be a positive integer"),
        (lambda: VotingLayer(3, n_kept=None), "n_kept must be a positive integer"),
        (lambda: VotingLayer(3, shifts=1.5), "shifts must be an integer"),
        (lambda: LocalContrast(1e6), "at most 1000 pixels"),
        (lambda: LocalContrast("a"), "positive sigma"),
        (lambda: Upright(None), "positive limit"),
        (lambda: Procedure(laplacian="foo"), "laplacian must be one of"),
        (lambda: Procedure(solver="foo"), "solver must be one of"),
        (lambda: Procedure(solver=3), "solver must be a name or have a solve method"),
        (lambda: Procedure(affinity="precomputed"), "cannot have affinity='precomputed'"),
        (lambda: Procedure(affinity="foo"), "affinity must be one of"),
        (lambda: Pooling(2, 0), "Pooling stride must be a positive integer"),
        (lambda: BlockHistogram(2, (1, 0)), "BlockHistogram stride must be a positive integer"),
        (lambda: VotingLayer(laplacian="foo"), "laplacian must be one of"),
        (lambda: VotingLayer(solver="foo"), "solver must be one of"),
        (lambda: VotingLayer(diffusion=-1.0), "VotingLayer diffusion must be a finite"),
        (lambda: Pooling(kind="sum"), "kind must be one of"),
        (lambda: Coding(0), "bits must be between 1 and 24"),
        (lambda: VotingLayer(shifts=-1), "shifts must be an integer of at least 0"),
        (lambda: LocalContrast(0.0), "positive sigma"),
        (lambda: Upright(0.0), "positive limit"),
        (lambda: Orientation(0.0), "positive floor"),
        (lambda: check_layers([]), "layers holds no layer"),
        (lambda: check_layers(["pool"]), "layers must be objects of SpectralLayer"),
        (lambda: recipe_for("nonsense", "auto", (28, 28, 1)), "layers must be one of"),
        (lambda: recipe_for("default", "best", (28, 28, 1)), "assign must be one of"),
        (lambda: recipe_for(7, "auto", (28, 28, 1)), "or a list of layers, got 7"),
    ],
)
def test_wrong_layers_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "shape", "outputs"),
    [
        ("digits-paper", (28, 28, 1), (3, 3, 8)),
        ("natural-paper-2", (32, 32, 3), (4, 4, 8)),
        ("natural-paper-3", (32, 32, 3), (4, 4, 8)),
        ("natural-paper-5", (32, 32, 3), (4, 4, 8)),
        ("faces-paper", (32, 32, 1), (2, 2, 8)),
        ("default", (28, 28, 1), (3, 3, 60)),
        ("default", (16, 16, 1), (3, 3, 60)),
        ("default", (32, 32, 1), (4, 4, 60)),
        ("default", (64, 64, 1), (4, 4, 60)),
        ("default", (96, 128, 3), (4, 6, 60)),
        ("default", (224, 224, 3), (3, 3, 60)),
        ("fashion-paper", (28, 28, 1), (3, 3, 16)),
        ("fashion-paper", (600, 400, 3), (9, 6, 16)),
        ("faces", (32, 32, 1), (1, 1, 12)),
        ("objects", (32, 32, 1), (1, 1, 12)),
        ("natural", (32, 32, 3), (1, 1, 30)),
    ],
)
def test_presets_have_the_outputs_that_are_stated(
    name: str, shape: tuple[int, int, int], outputs: tuple[int, int, int]
) -> None:
    assert passages(PRESETS[name](shape).layers, shape, 10)[-1].after == outputs


def test_shapes_are_those_of_a_fit() -> None:
    layers = [*LAYERS_OF_ALL_KINDS]
    source = source_of(stripes(40, 6, 12))
    stack, _ = fit_network(source, layers, 3, OPTIONS, Checkpoints(None, ""), silent)
    walked = passages(layers, source.shape, 3)
    assert [passage.after for passage in walked] == [step.out_shape for step in stack]
    assert walked[2].name == "layer 3 (SpectralLayer)"


LAYERS_OF_ALL_KINDS = (
    Orientation(),
    LocalContrast(),
    SpectralLayer(5, (2, 3), [Procedure(4, KNN(6)), Procedure(None, KNN(7))], "flush"),
    Pooling(2, 1, padding="same"),
    Coding(4),
    BlockHistogram(2),
    VotingLayer(2, 1),
)


def test_large_maps_are_made_again_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(stripes(40, 6, 12))
    layers = [LAYER, SpectralLayer(3, procedures=[Procedure(4)], landmarks=50)]

    def output() -> np.ndarray:
        stages: list[str] = []

        def tell(stage: str, done: float, total: float) -> None:
            stages.append(stage)

        rows = fit_network(source, layers, 3, OPTIONS, Checkpoints(None, ""), tell)[1].rows
        held.append("before layer 2: maps" in stages[: stages.index("layer 2: graphs")])
        return np.asarray(rows)

    held: list[bool] = []
    wanted = output()
    monkeypatch.setattr(memory, "_MOST_HELD", 1000)
    np.testing.assert_allclose(output(), wanted, atol=1e-5)
    assert held == [True, False]


def test_memory_needed_grows_with_images_and_patches() -> None:
    def peak(n: int, side: int, **more: Any) -> float:
        layers = [SpectralLayer(5, 2, n_pca=20, **more), SpectralLayer(3, graph="position")]
        return max(memory_needed(passages(layers, (side, side, 1), 10), n, 10).values())

    assert peak(1000, 20) < peak(10_000, 20) < peak(10_000, 40)
    assert peak(100_000, 20) < peak(100_000, 20, padding="same")
    # what every patch is compared in would not fit, its landmarks would
    whole = [SpectralLayer(None, landmarks=1000)], [SpectralLayer(None)]
    few, all_ = (memory_needed(passages(x, (200, 200, 3), 10), 100_000, 10) for x in whole)
    assert few["layer 1 (SpectralLayer)"] < 5e9 < 40e9 < all_["layer 1 (SpectralLayer)"]


def test_checkpoints_of_another_fit_are_not_taken(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "this").write("layer-1", {"a": np.arange(3)})
    kept = Checkpoints(tmp_path, "this").read("layer-1")
    assert kept is not None
    assert kept["a"].tolist() == [0, 1, 2]
    assert Checkpoints(tmp_path, "that").read("layer-1") is None
    assert Checkpoints(tmp_path, "this").read("layer-2") is None
    (tmp_path / "layer-1").write_bytes((tmp_path / "layer-1").read_bytes()[:40])
    assert Checkpoints(tmp_path, "this").read("layer-1") is None
