"""SpectralNet: against exact eigenvectors, on shapes and real data, and where others go wrong."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
import torch
from sklearn.datasets import load_digits, make_blobs, make_moons
from sklearn.utils.validation import check_is_fitted

import fiedler
from fiedler import (
    KNN,
    Autoencoder,
    BatchAffinity,
    ConvMap,
    DenseMap,
    Epsilon,
    Gaussian,
    ImageFolder,
    RandomAffine,
    Siamese,
    SpectralNet,
    SpectralNetRecipe,
    Training,
)
from fiedler.data.gradients import gradient_histograms
from fiedler.data.upright import upright_rows
from fiedler.evaluation import accuracy
from fiedler.exceptions import (
    CollapsedOutputsError,
    CollapsedOutputsWarning,
    DisconnectedGraphWarning,
    InputError,
    OutputError,
    SmallNetworkWarning,
)
from fiedler.graph import SearchOptions
from fiedler.graph.known_labels import check_known_labels, constrain_batch, constrain_graph
from fiedler.models.readout import rotate_by_batches
from fiedler.models.spectralnet.recipe import settle
from fiedler.spectrum.ritz import rayleigh_ritz, ritz_rotation, subspace_distance

SMALL = DenseMap((32,), batch_norm=False)


def brief(steps: int = 60, size: int = 128, **options: Any) -> Training:
    return Training(steps=steps, batch_size=size, learning_rate=1e-2, **options)


def recipe_of(**parts: Any) -> SpectralNetRecipe:
    return SpectralNetRecipe(**({"network": SMALL, "training": brief()} | parts))


def blobs(n: int, seed: int = 0, groups: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Groups far apart."""
    truth = np.arange(n) % groups
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 6)) + 8.0 * np.eye(6)[truth], truth


def nested_cs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two C-shaped arcs, one within the other."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    angle = rng.uniform(0.25 * np.pi, 1.75 * np.pi, n)
    radius = np.where(truth == 0, 1.0, 2.0)[:, None]
    points = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + rng.normal(scale=0.07, size=(n, 2)), truth


def moons(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    points, truth = make_moons(n, noise=0.06, random_state=seed)
    return points, truth


ROWS, TRUTH = blobs(240)
NEW, NEW_TRUTH = blobs(60, seed=1)


# Rayleigh-Ritz


def graph_of(n: int, seed: int = 0) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.2), 1)
    upper[np.arange(n - 1), np.arange(1, n)] += 0.1
    return sp.csr_matrix(upper + upper.T)


def exact(graph: sp.csr_matrix, normalized: bool) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and vectors by dense eigh, in the measure and the units of rayleigh_ritz."""
    weights = graph.toarray()
    degrees = weights.sum(axis=1)
    measure = np.diag(degrees / degrees.mean()) if normalized else np.eye(len(weights))
    form = (np.diag(degrees) - weights) / degrees.mean()
    values, vectors = scipy.linalg.eigh(form, measure)
    return values, vectors * np.sqrt(len(weights))


@pytest.mark.parametrize("normalized", [True, False])
def test_ritz_vectors_of_an_exact_basis_are_the_eigenvectors(normalized: bool) -> None:
    graph = graph_of(40)
    values, vectors = exact(graph, normalized)
    mixing = np.random.default_rng(1).normal(size=(6, 6))
    rotation = rayleigh_ritz(vectors[:, :6] @ mixing, graph, normalized=normalized)
    np.testing.assert_allclose(rotation.values, values[:6], atol=1e-9)
    found = vectors[:, :6] @ mixing @ rotation.weights
    assert (found[np.abs(found).argmax(axis=0), np.arange(6)] > 0).all()
    signs = np.sign((found * vectors[:, :6]).sum(axis=0))
    np.testing.assert_allclose(found * signs, vectors[:, :6], atol=1e-6)


@pytest.mark.parametrize("normalized", [True, False])
def test_ritz_of_any_basis_is_orthonormal_and_not_below_the_spectrum(normalized: bool) -> None:
    graph = graph_of(40)
    values, _ = exact(graph, normalized)
    basis = np.random.default_rng(2).normal(size=(40, 7)) * 10.0 ** np.arange(-3, 4)
    rotation = rayleigh_ritz(basis, graph, normalized=normalized)
    vectors = basis @ rotation.weights
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    measure = degrees / degrees.mean() if normalized else np.ones(40)
    np.testing.assert_allclose(vectors.T @ (measure[:, None] * vectors) / 40, np.eye(7), atol=1e-8)
    quotients = vectors.T @ (np.diag(degrees) - graph.toarray()) @ vectors / 40 / degrees.mean()
    np.testing.assert_allclose(quotients, np.diag(rotation.values), atol=1e-8)
    assert (np.diff(rotation.values) >= 0).all()
    assert (rotation.values >= values[:7] - 1e-9).all()


def test_ritz_of_a_basis_of_lower_rank() -> None:
    graph = graph_of(40)
    values, vectors = exact(graph, True)
    twice = np.hstack([vectors[:, :3], vectors[:, :3] @ np.ones((3, 2)), np.zeros((40, 1))])
    rotation = rayleigh_ritz(twice, graph)
    assert rotation.weights.shape == (6, 3)
    np.testing.assert_allclose(rotation.values, values[:3], atol=1e-9)
    nothing = ritz_rotation(np.zeros((2, 2)), np.zeros((2, 2)))
    assert nothing.weights.shape == (2, 0)


def test_batches_of_all_rows_rotate_as_the_whole_graph_does() -> None:
    graph = graph_of(40)
    basis = np.random.default_rng(2).normal(size=(40, 4))

    def affinity(indices: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(graph.toarray()[np.ix_(indices, indices)])

    whole = rayleigh_ritz(basis, graph, normalized=False)
    batches = rotate_by_batches(basis, affinity, 64, normalized=False, seed=0)
    np.testing.assert_allclose(batches.values, whole.values, atol=1e-9)
    np.testing.assert_allclose(batches.weights, whole.weights, atol=1e-7)
    # normalised: quotients of the symmetric Laplacian
    root = np.sqrt(np.asarray(graph.sum(axis=1)).ravel())
    symmetric = np.eye(40) - graph.toarray() / np.outer(root, root)
    found = rotate_by_batches(basis, affinity, 64, normalized=True, seed=0)
    wanted = scipy.linalg.eigh(basis.T @ symmetric @ basis, basis.T @ basis, eigvals_only=True)
    np.testing.assert_allclose(found.values, wanted, atol=1e-9)
    # parts of the rows: the quotients of a complete graph are known
    ones = rotate_by_batches(
        basis,
        lambda indices: torch.ones(len(indices), len(indices)).fill_diagonal_(0.0),
        30,
        normalized=False,
        seed=0,
    )
    np.testing.assert_allclose(ones.values, 1.0, atol=0.15)


def test_subspace_distance() -> None:
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(30, 4))
    assert subspace_distance(basis, basis @ rng.normal(size=(4, 4))) < 1e-6
    axes = np.eye(6)
    assert subspace_distance(axes[:, :2], axes[:, 2:4]) == pytest.approx(np.pi / 2 * np.sqrt(2))
    turned = axes[:, :2].copy()
    turned[:, 1] = np.cos(0.3) * axes[:, 1] + np.sin(0.3) * axes[:, 4]
    assert subspace_distance(axes[:, :2], turned) == pytest.approx(0.3)


# Against the exact eigenvectors


def exact_subspace(rows: np.ndarray, affinity: Any, k: int) -> np.ndarray:
    graph = sp.csr_matrix(affinity.fit(rows, SearchOptions()).matrix)
    return exact(graph, True)[1][:, :k]


def test_the_learned_subspace_is_that_of_the_eigenvectors() -> None:
    rows, _ = moons(200, 0)
    recipe = SpectralNetRecipe(
        affinity=KNN(10), network=DenseMap((64, 64), batch_norm=False), training=brief(300, 200)
    )
    net = SpectralNet(2, recipe=recipe, n_components=3, random_state=0).fit(rows)
    vectors = exact_subspace(rows, KNN(10), 3)
    random = np.random.default_rng(0).normal(size=(200, 3))
    assert subspace_distance(net.embedding_, vectors) < 0.5
    assert subspace_distance(random, vectors) > 2.0
    np.testing.assert_allclose(net.embedding_[:, 0], 1.0, atol=0.1)
    assert net.eigenvalues_[0] < 1e-3
    assert (np.diff(net.eigenvalues_) >= 0).all()


@pytest.mark.parametrize("size", [200, 90], ids=["whole graph", "pairs"])
def test_components_are_found_by_either_task(size: int) -> None:
    rows, truth = blobs(200)
    recipe = recipe_of(affinity=KNN(8), training=brief(150, size))
    net = SpectralNet(3, recipe=recipe, n_components=3, random_state=0).fit(rows)
    assert subspace_distance(net.embedding_, np.eye(3)[truth]) < 0.2
    assert net.eigenvalues_[2] < 0.02
    assert accuracy(truth, net.labels_) == 1.0


# Shapes that k-means cannot tell


@pytest.mark.parametrize("shape", [moons, nested_cs])
def test_shapes_and_new_points(shape: Any) -> None:
    rows, truth = shape(600, 0)
    new, new_truth = shape(1000, 1)
    net = SpectralNet(2, random_state=0).fit(rows)
    assert accuracy(truth, net.labels_) == 1.0
    assert accuracy(new_truth, net.predict(new)) >= 0.998
    labels, confidence = net.predict_with_confidence(new)
    np.testing.assert_array_equal(labels, net.predict(new))
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert np.median(confidence) > 0.5


# Every part of a recipe


def similarity(a: Any, b: Any) -> np.ndarray:
    squared = ((np.asarray(a)[:, None] - np.asarray(b)) ** 2).sum(axis=2)
    # in single precision, and so not quite symmetric
    return np.exp(-squared.astype(np.float32) / 8.0) * (1 + 1e-6 * np.arange(len(b)))


def torch_similarity(a: Any, b: Any) -> torch.Tensor:
    distances = torch.cdist(torch.as_tensor(a).float(), torch.as_tensor(b).float())
    return torch.exp(-distances.square() / 8.0)


def sparse_similarity(a: Any, b: Any) -> sp.csr_array:
    dense = similarity(a, b)
    return sp.csr_array(np.where(dense > 1e-3, dense, 0.0))


PARTS: dict[str, dict[str, Any]] = {
    "neighbours": {"affinity": KNN(8)},
    "weighted neighbours": {"affinity": KNN(8, weights="gaussian"), "training": brief(80, 64)},
    "epsilon": {"affinity": Epsilon(1.5)},
    "unnormalised": {"affinity": KNN(8), "normalized": False},
    "unnormalised pairs": {"normalized": False, "training": brief(80, 64)},
    "qr": {"orthonormalization": "qr"},
    "qr pairs": {"orthonormalization": "qr", "training": brief(80, 64)},
    "batch neighbours": {"affinity": BatchAffinity(10)},
    "own scales": {"affinity": BatchAffinity(10, 5, "local"), "normalized": False},
    "gaussian": {"affinity": BatchAffinity(None)},
    "function": {"affinity": similarity},
    "function of torch": {"affinity": torch_similarity},
    "sparse function": {"affinity": sparse_similarity},
    "alternating": {"affinity": BatchAffinity(10), "alternate": True},
    "tanh": {"network": DenseMap((32,), batch_norm=False, head="tanh")},
    "batch normalisation": {"network": DenseMap((32,))},
    "codes": {"codes": Autoencoder((32,), 4, brief(60))},
    "siamese": {"siamese": Siamese((32,), 4, training=brief(60))},
    "siamese batches": {
        "siamese": Siamese((32,), 4, training=brief(60)),
        "affinity": BatchAffinity(10),
    },
}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_tells_far_groups_apart(name: str) -> None:
    net = SpectralNet(3, recipe=recipe_of(**PARTS[name]), random_state=0).fit(ROWS)
    assert accuracy(TRUTH, net.labels_) == 1.0
    assert accuracy(NEW_TRUTH, net.predict(NEW)) > 0.95
    np.testing.assert_array_equal(net.predict(ROWS), net.labels_)
    np.testing.assert_array_equal(net.transform(ROWS), net.embedding_)
    assert net.embedding_.shape == (240, net.eigenvalues_.shape[0])
    assert -1e-6 < net.eigenvalues_[0] < 0.1
    assert (np.diff(net.eigenvalues_) >= 0).all()
    assert len({row["stage"] for row in net.history_}) == 1 + ("codes" in name or "siam" in name)


def test_the_published_recipe_end_to_end(tmp_path: Path) -> None:
    paper = SpectralNetRecipe.named("paper")
    settled = settle(paper, (6,), 500)
    assert settled == paper
    assert paper.codes == Autoencoder((512, 512, 2048), 10)
    assert (paper.affinity, paper.alternate, paper.normalized) == (BatchAffinity(3, 2), True, False)
    # the same, with smaller networks and fewer steps
    recipe = SpectralNetRecipe(
        # the default rate: at ten times it the codes of some seeds mix two groups in float32
        codes=Autoencoder((64, 32), 5, Training(steps=300, batch_size=64)),
        siamese=Siamese((64, 32), 5, training=Training(steps=250, batch_size=64)),
        affinity=BatchAffinity(3, 2),
        network=DenseMap((64, 32), batch_norm=False, head="tanh"),
        normalized=False,
        alternate=True,
        extra_outputs=0,
        training=Training(steps=150, batch_size=128, learning_rate=1e-3, patience=20),
    )
    net = SpectralNet(3, recipe=recipe, random_state=0).fit(ROWS)
    assert [row["stage"] for row in net.history_ if row["step"] == 10] == [
        "autoencoder",
        "siamese",
        "spectral map",
    ]
    assert net.embedding_.shape == (240, 3)
    assert accuracy(TRUTH, net.labels_) == 1.0
    assert accuracy(NEW_TRUTH, net.predict(NEW)) > 0.95
    assert list(net.timings_) == ["autoencoder", "siamese", "training", "assignment"]
    net.save(tmp_path / "m")
    np.testing.assert_array_equal(fiedler.load(tmp_path / "m").transform(NEW), net.transform(NEW))


@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_a_graph_that_is_known_already(recipe: str) -> None:
    parts: dict[str, Any] = {"training": brief(120)}  # one row is slow to cross over
    if recipe == "paper":
        parts |= {"affinity": BatchAffinity(), "alternate": True}
        parts["siamese"] = Siamese((9,), training=brief())
    truth = np.arange(240) // 120  # another grouping than that of the rows
    graph = sp.csr_matrix((truth[:, None] == truth).astype(float) - np.eye(240))
    rows = np.hstack([ROWS, 4.0 * truth[:, None]])
    net = SpectralNet(2, recipe=recipe_of(**parts), random_state=0).fit(rows, graph=graph)
    assert accuracy(truth, net.labels_) == 1.0
    assert {row["stage"] for row in net.history_} == {"spectral map"}
    lists = graph.toarray().tolist()
    again = SpectralNet(2, recipe=recipe_of(**parts), random_state=0).fit(rows, graph=lists)
    np.testing.assert_array_equal(again.labels_, net.labels_)


# Known labels


def crossed(n: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four groups in a plane, of which two each shall be one cluster: against the distances."""
    rng = np.random.default_rng(seed)
    corner = np.arange(n) % 4
    centers = np.array([[0.0, 0.0], [9.0, 9.0], [0.0, 3.0], [9.0, 6.0]])
    return centers[corner] + 0.5 * rng.normal(size=(n, 2)), corner % 2 * 0 + (corner % 3 > 0)


def test_known_labels_improve() -> None:
    rows, truth = crossed()
    known = np.where(np.arange(240) % 5 == 0, truth.astype(np.int64), -1)
    recipe = recipe_of(affinity=KNN(8), training=brief(150, 240))

    def fitted(labels: Any) -> SpectralNet:
        return SpectralNet(2, recipe=recipe, random_state=0).fit(rows, known_labels=labels)

    assert accuracy(truth, fitted(None).labels_) < 0.8
    net = fitted(known)
    assert accuracy(truth, net.labels_) > 0.97
    new, new_truth = crossed(100, seed=1)
    assert accuracy(new_truth, net.predict(new)) > 0.97
    unknown = fitted(np.full(240, -1))
    np.testing.assert_array_equal(unknown.labels_, fitted(None).labels_)
    batches = recipe_of(affinity=BatchAffinity(8), training=brief(150, 120))
    net = SpectralNet(2, recipe=batches, random_state=0).fit(rows, known_labels=known)
    assert accuracy(truth, net.labels_) > 0.97


def test_constrain_graph_cuts_and_ties() -> None:
    graph = graph_of(60)
    labels = np.full(60, -1)
    labels[:20], labels[20:30], labels[30] = 0, 1, 2
    got = constrain_graph(graph, labels, np.random.default_rng(0)).toarray()
    before = graph.toarray()
    mean = graph.data.mean()
    np.testing.assert_array_equal(got, got.T)
    assert (np.diag(got) == 0).all()
    known = labels >= 0
    equal = known[:, None] & known & (labels[:, None] == labels)
    different = known[:, None] & known & ~equal
    assert (got[different] == 0).all()
    np.testing.assert_array_equal(got[~equal & ~different], before[~equal & ~different])
    raised = got[equal] != before[equal]
    np.testing.assert_allclose(got[equal][raised], mean)
    assert (got[equal] >= before[equal]).all()
    ties = (got > before).sum(axis=1)
    assert (ties[labels == -1] == 0).all()
    assert ties[30] == 0
    assert 3 <= ties[:20].mean() <= 10
    untouched = constrain_graph(graph, np.full(60, -1), np.random.default_rng(0))
    np.testing.assert_array_equal(untouched.toarray(), before)
    # two rows of a label are tied once, by the mean weight
    pair = constrain_graph(sp.csr_matrix((4, 4)), np.array([0, 0, -1, 1]), np.random.default_rng(0))
    assert pair.toarray().tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_constrain_batch() -> None:
    affinity = torch.full((4, 4), 0.3).fill_diagonal_(0.0)
    affinity[2, 3] = affinity[3, 2] = 0.9
    got = constrain_batch(affinity, torch.tensor([5, 5, 7, -1]))
    wanted = [[0, 0.9, 0, 0.3], [0.9, 0, 0, 0.3], [0, 0, 0, 0.9], [0.3, 0.3, 0.9, 0]]
    assert torch.equal(got, torch.tensor(wanted))
    assert affinity[0, 1] == torch.tensor(0.3)
    apart = constrain_batch(torch.zeros(2, 2), torch.tensor([5, 5]))
    assert torch.equal(apart, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))


def test_known_labels_tie_whatever_the_affinity_is_measured_in() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 2
    rows = np.stack([2.2 * truth + 0.6 * rng.normal(size=240), 3.0 * rng.normal(size=240)], axis=1)
    known = np.where(rng.random(240) < 0.5, truth, -1)
    for scale in (1e-4, 1.0, 1e4):

        def similarity(a: np.ndarray, b: np.ndarray, scale: float = scale) -> np.ndarray:
            return scale * np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / 0.5)

        recipe = recipe_of(affinity=similarity, training=brief(200, 240))
        net = SpectralNet(2, recipe=recipe, random_state=0).fit(rows, known_labels=known)
        assert accuracy(truth, net.labels_) > 0.9


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.zeros(239, dtype=int),
            r"integers of shape \(240,\), -1 where unknown; got shape \(239",
        ),
        (np.zeros(240), "of float64"),
        (["a"] * 240, "of <U1"),
        (np.zeros((240, 1), dtype=int), r"got shape \(240, 1\)"),
        (np.full(240, -2), "must not be below -1, which stands for unknown; got -2"),
    ],
)
def test_known_labels_that_cannot_be(labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SpectralNet(3, recipe=recipe_of()).fit(ROWS, known_labels=labels)
    with pytest.raises(InputError, match=message):
        check_known_labels(labels, 240)


# The number of clusters


@pytest.mark.parametrize(
    ("rule", "affinity"),
    [
        ("auto", KNN(8)),
        ("modularity", KNN(8)),
        ("eigengap", KNN(8)),
        ("auto", BatchAffinity(10)),
    ],
)
def test_the_number_of_clusters_is_found(rule: str, affinity: Any) -> None:
    recipe = recipe_of(affinity=affinity, training=brief(120, 240))
    net = SpectralNet(rule, recipe=recipe, max_clusters=8, random_state=0).fit(ROWS)
    assert net.n_clusters_ == 3
    assert accuracy(TRUTH, net.labels_) == 1.0
    assert net.embedding_.shape[1] == 3 + recipe.extra_outputs
    assert accuracy(NEW_TRUTH, net.predict(NEW)) > 0.95


def test_one_cluster_and_one_for_each_row() -> None:
    one = SpectralNet(1, recipe=recipe_of(), random_state=0).fit(ROWS)
    assert set(one.labels_) == set(one.predict(NEW)) == {0}
    few = ROWS[:8]
    net = SpectralNet(8, recipe=recipe_of(affinity=KNN(2)), random_state=0).fit(few)
    assert net.n_clusters_ == len(set(net.labels_)) >= 6
    np.testing.assert_array_equal(net.predict(few), net.labels_)


@pytest.mark.parametrize("seed", range(3))
def test_groups_without_an_edge_between_them_are_found_whole(seed: int) -> None:
    rows, truth = blobs(1000, seed)
    net = SpectralNet(3, random_state=0).fit(rows)
    assert net.n_connected_components_ == 3
    assert accuracy(truth, net.labels_) == 1.0
    new, new_truth = blobs(1000, seed=9)
    assert accuracy(new_truth, net.predict(new)) > 0.995


def test_many_clusters_of_few_rows() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(1400) % 70
    rows = 4.0 * rng.normal(size=(70, 20))[truth] + 0.3 * rng.normal(size=(1400, 20))
    recipe = SpectralNetRecipe(training=Training(150, 2000, 1e-2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapsedOutputsWarning)
        net = SpectralNet(70, recipe=recipe, random_state=0).fit(rows)
    assert accuracy(truth, net.labels_) > 0.95


# Errors and warnings


def test_a_network_that_is_too_small() -> None:
    recipe = recipe_of(network=DenseMap((), batch_norm=False), training=brief(5, 240))
    rows = np.random.default_rng(0).normal(size=(16, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = SpectralNet(1, recipe=recipe, n_components=1, random_state=0).fit(rows)
    # one layer of two weights can do next to nothing
    assert net.capacity_ == 2.0
    many = np.random.default_rng(0).normal(size=(300, 1))
    with pytest.warns(
        SmallNetworkWarning, match=r"capacity, about 2, is below n / 10 = 30:"
    ) as seen:
        SpectralNet(1, recipe=recipe, n_components=1, random_state=0).fit(many)
    assert seen[0].filename == __file__


def test_a_graph_that_falls_apart_is_told(tmp_path: Path) -> None:
    rows, _ = blobs(230)
    rows[:, 0] += 60.0 * (np.arange(230) % 23)
    recipe = recipe_of(affinity=KNN(3), training=brief(3))
    with pytest.warns(DisconnectedGraphWarning) as seen:
        net = SpectralNet(3, recipe=recipe, random_state=0).fit(rows)
    [warning] = seen
    assert warning.filename == __file__
    text = str(warning.message)
    assert f"graph has {net.n_connected_components_} connected components (of " in text
    assert "more than the 3" in text
    assert "Raise n_neighbors, as in recipe=SpectralNetRecipe(affinity=KNN(20)), or n_cl" in text
    assert net.component_sizes_ is not None
    assert net.n_connected_components_ >= 23
    assert net.component_sizes_.sum() == 230
    net.save(tmp_path / "m")
    assert fiedler.load(tmp_path / "m").n_connected_components_ == net.n_connected_components_
    # within batches there is no graph of all rows to count in
    batches = recipe_of(affinity=BatchAffinity(3), training=brief(3))
    net.set_params(recipe=batches).fit(rows)
    assert net.component_sizes_ is net.n_connected_components_ is None
    net.save(tmp_path / "n")
    assert fiedler.load(tmp_path / "n").component_sizes_ is None


def test_batches_too_small_for_the_outputs() -> None:
    message = (
        r"7 outputs need batches of at least 28 rows .* batch_size=20\. Raise it \(in the recipe's "
        r"training\), or lower n_clusters"
    )
    with pytest.raises(InputError, match=message):
        SpectralNet(3, recipe=recipe_of(training=brief(9, 20))).fit(ROWS)
    SpectralNet(3, recipe=recipe_of(training=brief(9, 28)), random_state=0).fit(ROWS)
    few = ROWS[:60]  # 23 outputs of 60 rows: batches of all rows are large enough
    with pytest.raises(InputError, match=r"need batches of at least 60 rows .* batch_size=20\."):
        SpectralNet(3, recipe=recipe_of(training=brief(9, 20)), n_components=23).fit(few)
    with pytest.raises(InputError, match=r"n_components must be between 1 and 240"):
        SpectralNet(3, recipe=recipe_of(), n_components=0).fit(ROWS)


@pytest.mark.parametrize("affinity", [KNN(8), BatchAffinity(8)], ids=repr)
@pytest.mark.parametrize("steps", [1, 30])
def test_a_training_that_diverges(affinity: Any, steps: int) -> None:
    wild = Training(steps=steps, batch_size=240, learning_rate=1e30)
    net = SpectralNet(3, recipe=recipe_of(affinity=affinity, training=wild), random_state=0)
    with pytest.raises(CollapsedOutputsError, match=r"[Ll]ower the learning rate"):
        net.fit(ROWS)
    assert "labels_" not in vars(net)


def test_outputs_that_collapse() -> None:
    # a network that has died gives each row the same outputs
    recipe = recipe_of(affinity=BatchAffinity(8), training=brief(1))
    net = SpectralNet(3, recipe=recipe, random_state=0)
    original = fiedler.models.spectralnet.stages.build_network

    def dead(*arguments: Any) -> Any:
        network = original(*arguments)
        for parameter in network.parameters():
            parameter.data.zero_()
        network[-1][-1].bias.data.fill_(1.0)
        return network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fiedler.models.spectralnet.stages, "build_network", dead)
        with pytest.raises(CollapsedOutputsError, match=r"span 1 dimensions, too few for 3"):
            net.fit(ROWS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"codes": 10}, "codes must be Autoencoder or NoneType, got 10"),
        ({"siamese": "yes"}, "siamese must be Siamese"),
        ({"network": (10, 10)}, r"network must be 'auto' or DenseMap or ConvMap, got \(10, 10\)"),
        ({"views": 3}, "views must be 'auto' or RandomAffine"),
        ({"training": 100}, "training must be 'auto' or Training, got 100"),
        ({"affinity": "precomputed"}, r"or a function f\(A, B\), got 'precomputed'. A known graph"),
        (
            {"affinity": Gaussian(2.0)},
            r"Gaussian\(\) with a sigma that is measured, .* got Gaussian",
        ),
        ({"orthonormalization": "svd"}, "must be one of .'cholesky', 'qr'., got 'svd'"),
        ({"extra_outputs": -1}, "extra_outputs must be an integer of at least 0, got -1"),
        ({"extra_outputs": 2.5}, "extra_outputs must be an integer of at least 0, got 2.5"),
        ({"normalized": "no"}, "normalized must be bool, got 'no'"),
        ({"alternate": "no"}, "alternate must be bool, got 'no'"),
        ({"alternate": True}, r"alternate=True needs batches of random rows, as affinity=Batch"),
    ],
)
def test_recipes_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SpectralNetRecipe(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": "mean"}, "scale must be 'global' or 'local', got 'mean'"),
        ({"n_neighbors": 0}, r"n_neighbors must be an integer of at least 1, got 0"),
        ({"n_neighbors": 2.5}, r"n_neighbors must be an integer of at least 1, got 2\.5"),
        ({"scale_neighbor": 0}, r"scale_neighbor must be an integer of at least 1, got 0"),
    ],
)
def test_batch_affinities_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BatchAffinity(**wrong)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("knn", KNN()),
        ("self-tuning", KNN(weights="self-tuning")),
        ("epsilon", Epsilon()),
        ("gaussian", BatchAffinity(None, 7)),
        (Gaussian("self-tuning", 3), BatchAffinity(None, 3, "local")),
    ],
)
def test_affinities_by_name(name: Any, meant: Any) -> None:
    assert recipe_of(affinity=name) == recipe_of(affinity=meant)


BATCHES = recipe_of(affinity=BatchAffinity())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"recipe": "fast"},
            r"recipe must be one of \['default', 'paper'\] or a SpectralNetRecipe",
        ),
        ({"recipe": ["paper"]}, r"or a SpectralNetRecipe, got \['paper'\]"),
        ({"assign": "best"}, "assign must be one of"),
        ({"n_clusters": 500}, "n_clusters must be between 1 and 240"),
        ({"n_clusters": "many"}, "n_clusters must be an integer, 'auto'"),
        ({"image_shape": (2, 4)}, r"image_shape must be .* of 6 numbers, got \(2, 4\)"),
        ({"image_shape": (6,)}, r"image_shape must be \(h, w\) or \(h, w, channels\)"),
        ({"checkpoint": "c"}, "random_state, but it is None; pass a number"),
        ({"recipe": recipe_of(views=RandomAffine())}, r"random views need images.*shape \(6,\)"),
        ({"recipe": recipe_of(network=ConvMap())}, "a ConvMap needs images"),
        ({"recipe": recipe_of(siamese=Siamese(n_neighbors=240))}, "240 neighbours need more than"),
        ({"recipe": recipe_of(affinity=lambda a, b: a)}, r"must return an array of shape \(len\(A"),
        ({"recipe": recipe_of(affinity=lambda a, b: -np.ones((len(a), len(b))))}, "negative"),
        ({"n_clusters": "modularity", "recipe": BATCHES}, "n_clusters='modularity' needs a graph"),
        ({"assign": "merge", "recipe": BATCHES}, "assign='merge' needs a graph of all rows, but"),
        ({"assign": "cluster_qr", "n_components": 2}, "each of 3 clusters, got n_components=2"),
    ],
)
def test_parameters_that_cannot_be(params: dict[str, Any], message: str) -> None:
    steps: list[str] = []
    net = SpectralNet(
        **({"n_clusters": 3, "recipe": recipe_of()} | params),
        progress=lambda stage, done, total: steps.append(stage),
    )
    with pytest.raises(InputError, match=message):
        net.fit(ROWS)
    assert "spectral map" not in steps  # refused before the training
    assert "labels_" not in vars(net)
    assert not Path("c").exists()


def test_labels_that_cut_the_last_edge() -> None:
    rows = np.arange(12.0)[:, None]
    for size in (12, 8):
        recipe = recipe_of(affinity=KNN(2), training=brief(3, size), extra_outputs=0)
        net = SpectralNet(2, recipe=recipe, n_components=2, random_state=0)
        with pytest.raises(InputError, match="no edges to train on"):
            net.fit(rows, known_labels=np.arange(12))


def test_an_affinity_of_nothing() -> None:
    def nothing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.zeros((len(a), len(b)))

    for recipe, labels in (
        (recipe_of(affinity=nothing), None),
        (recipe_of(affinity=BatchAffinity(8)), np.arange(240)),
    ):
        net = SpectralNet(3, recipe=recipe, random_state=0)
        with pytest.raises(InputError, match="affinity above zero: there is nothing to train on"):
            net.fit(ROWS, known_labels=labels)


def test_one_eigenvector_tells_nothing_apart() -> None:
    net = SpectralNet(3, recipe=recipe_of(), n_components=1, random_state=0)
    with pytest.warns(CollapsedOutputsWarning, match="n_components=1 keeps .*: there will be one"):
        net.fit(ROWS)


# Images, text, files


def test_a_siamese_network_of_images() -> None:
    """What it makes of images has no pixels: neighbours are those of its outputs."""
    rng = np.random.default_rng(0)
    truth = np.arange(300) % 3
    bright = 100.0 + 60.0 * np.eye(3)[truth].repeat(48, axis=1)
    images = np.uint8(np.clip(rng.normal(bright, 20.0), 0, 255)).reshape(300, 12, 12)
    siamese = Siamese((16,), 4, training=brief(30))
    recipe = SpectralNetRecipe(siamese=siamese, training=brief(30))
    net = SpectralNet(3, recipe=recipe, random_state=0).fit(images)
    assert accuracy(truth, net.labels_) > 0.9
    asked = dataclasses.replace(recipe, gradients=True)
    with pytest.raises(InputError, match="no codes, no Siamese network"):
        SpectralNet(3, recipe=asked).fit(images)


def pictures(n: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures of bars at three heights, uint8."""
    truth = np.arange(n) % 3
    rng = np.random.default_rng(0)
    bars = np.zeros((n, *shape))
    for i, t in enumerate(truth):
        bars[i, 2 * t + 1 : 2 * t + 3] = 160
    return np.clip(bars + rng.normal(30, 15, bars.shape), 0, 255).astype(np.uint8), truth


CONV = SpectralNetRecipe(
    network=ConvMap((8,), 32), training=brief(40, 60), views=RandomAffine(0, 0, 0.03, 0)
)


@pytest.mark.parametrize("shape", [(8, 8), (8, 7, 3), (8, 9, 1)])
def test_images(shape: tuple[int, ...], tmp_path: Path) -> None:
    images, truth = pictures(150, *shape)
    net = SpectralNet(3, recipe=CONV, random_state=0).fit(images[:120])
    assert net.row_shape_ == shape
    assert net.n_features_in_ == np.prod(shape)
    assert accuracy(truth[:120], net.labels_) == 1.0
    assert accuracy(truth[120:], net.predict(images[120:])) == 1.0
    flat = images.reshape(150, -1)
    np.testing.assert_array_equal(net.transform(flat), net.transform(images))
    told = SpectralNet(3, recipe=CONV, image_shape=shape, random_state=0).fit(flat[:120])
    np.testing.assert_array_equal(told.embedding_, net.embedding_)
    listed = SpectralNet(3, recipe=CONV, random_state=0).fit(images[:120].tolist())
    assert listed.row_shape_ == shape
    net.save(tmp_path / "m")
    np.testing.assert_array_equal(
        fiedler.load(tmp_path / "m").transform(images), net.transform(images)
    )
    with pytest.raises(InputError, match=r"image_shape is \(4, 16.*but the images have shape"):
        SpectralNet(3, image_shape=(4, 16, *shape[2:]), recipe=CONV).fit(
            pictures(30, 8, 8, *shape[2:])[0]
        )


@pytest.mark.parametrize(("k", "n_components"), [(70, None), (3, 70)])
def test_batches_of_images_hold_some_rows_of_many_clusters(
    k: int, n_components: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fiedler.models.spectralnet.recipe as recipes

    def briefly(*args: Any, **options: Any) -> Training:
        return dataclasses.replace(map_training(*args, **options), steps=2)

    map_training = recipes.map_training
    monkeypatch.setattr(recipes, "map_training", briefly)
    recipe = SpectralNetRecipe(network=ConvMap((4,), 80))
    net = SpectralNet(k, recipe=recipe, n_components=n_components, random_state=0)
    net.fit(pictures(600, 8, 8)[0])
    assert net._fitted_recipe.training.batch_size == 12 * 70


def test_what_auto_stands_for() -> None:
    few, images = settle(SpectralNetRecipe(), (6,), 500), settle(SpectralNetRecipe(), (28, 28), 500)
    many = settle(SpectralNetRecipe(), (6,), 50_000)
    assert isinstance(images.network, ConvMap)
    assert isinstance(images.views, RandomAffine)
    assert isinstance(few.network, DenseMap)
    assert isinstance(many.network, DenseMap)
    assert sum(many.network.widths) > sum(few.network.widths)
    assert few.views is many.views is None
    assert few.training.batch_size >= 500
    for recipe, steps, rows in (
        (SpectralNetRecipe(), [1500, 1500, 2250, 3000], 256),
        (SpectralNetRecipe(known=0), [400, 600, 1500, 1500], 1024),
    ):
        found = [settle(recipe, (28, 28), n).training for n in (500, 2000, 30_000, 50_000)]
        assert [training.steps for training in found] == steps
        assert {training.batch_size for training in found} == {rows}
    tiny = settle(SpectralNetRecipe(), (2, 30), 500)
    assert isinstance(tiny.network, DenseMap)
    coded = settle(SpectralNetRecipe(codes=Autoencoder()), (28, 28), 5000)
    assert (type(coded.network), coded.views) == (DenseMap, None)
    batches = settle(SpectralNetRecipe(affinity=BatchAffinity()), (28, 28), 5000)
    assert batches.views is None
    still = settle(SpectralNetRecipe(views=RandomAffine(shear=0.0)), (28, 28), 5000)
    shown = (images, few, coded, batches, still)
    assert [s.upright for s in shown] == [True, False, False, False, False]
    assert [s.gradients for s in shown] == [True, False, False, False, True]
    tiny = settle(SpectralNetRecipe(), (9, 12), 500)
    assert (tiny.upright, tiny.gradients) == (True, False)
    radius = settle(SpectralNetRecipe(affinity=Epsilon(2.0)), (28, 28), 5000)
    assert (radius.upright, radius.gradients) == (True, False)
    assert settle(SpectralNetRecipe(views=None, upright=True), (28, 28), 5000).upright
    for vectors, shape in ((SpectralNetRecipe(), (6,)), (coded, (28, 28))):
        for name in ("upright", "gradients"):
            with pytest.raises(InputError, match=f"{name}=True needs images and a graph"):
                settle(dataclasses.replace(vectors, **{name: True}), shape, 5000)
    with pytest.raises(InputError, match="random views need images, no codes, and the edges of a"):
        settle(SpectralNetRecipe(affinity=BatchAffinity(), views=RandomAffine()), (28, 28), 5000)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("slanted", [True, False])
def test_neighbours_are_those_of_upright_images_and_of_gradients(
    slanted: bool, gradients: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    fit_knn = KNN.fit

    def spy(self: KNN, rows: np.ndarray, *args: Any) -> Any:
        seen.append(rows)
        return fit_knn(self, rows, *args)

    monkeypatch.setattr(KNN, "fit", spy)
    images = pictures(60, 8, 8)[0]
    chosen = {"upright": "auto" if slanted else False, "gradients": gradients, "known": 0.0}
    recipe = dataclasses.replace(CONV, views=RandomAffine(), **chosen)
    SpectralNet(3, recipe=recipe, random_state=0).fit(images)
    rows = images.reshape(60, -1)
    upright = upright_rows(rows, (8, 8))
    assert not np.array_equal(upright, rows)
    if gradients:
        compared = [rows, upright] if slanted else [rows]
        wanted = [gradient_histograms(images, (8, 8)) for images in compared]
    else:
        wanted = [upright if slanted else rows]
    *found, outputs = seen  # the last graph is of the outputs, for the read-out
    assert outputs.shape[1] < 10
    for rows_seen, one in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(rows_seen, one)


def test_siamese_and_codes_of_an_image_folder(tmp_path: Path) -> None:
    from PIL import Image

    images, truth = pictures(60, 8, 8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i:03}.png")
    recipe = recipe_of(siamese=Siamese((16,), 4, training=brief(40, 32)), network=SMALL, views=None)
    for kept in (0, 10**9):
        rows = ImageFolder(tmp_path, keep_bytes=kept)
        net = SpectralNet(3, recipe=recipe, random_state=0).fit(rows)
        wanted = SpectralNet(3, recipe=recipe, random_state=0).fit(images)
        np.testing.assert_array_equal(net.embedding_, wanted.embedding_)
        assert accuracy(truth, net.labels_) == 1.0


def topics(n: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """Rows like tf-idf: a few words of their topic and a few of all."""
    truth, rng = np.arange(n) % 3, np.random.default_rng(0)
    columns = np.hstack(
        [100 * truth[:, None] + rng.integers(100, size=(n, 12)), rng.integers(300, size=(n, 3))]
    )
    rows = np.repeat(np.arange(n), 15)
    matrix = sp.csr_matrix((rng.uniform(0.5, 1, 15 * n), (rows, columns.ravel())), (n, 300))
    return sp.csr_matrix(matrix / np.sqrt(matrix.multiply(matrix).sum(axis=1))), truth


@pytest.mark.parametrize("codes", [None, Autoencoder((32,), 5, brief(150))])
def test_sparse_rows(codes: Any) -> None:
    rows, truth = topics(300)
    recipe = recipe_of(codes=codes, affinity=KNN(10), training=brief(100, 300))
    net = SpectralNet(3, recipe=recipe, random_state=0).fit(rows[:240])
    assert accuracy(truth[:240], net.labels_) > 0.95
    assert accuracy(truth[240:], net.predict(rows[240:])) > 0.9
    np.testing.assert_array_equal(net.transform(rows[:9]), net.embedding_[:9])
    dense = SpectralNet(3, recipe=recipe, random_state=0).fit(rows[:240].toarray())
    np.testing.assert_allclose(dense.embedding_, net.embedding_, atol=1e-2)


def test_a_memory_map(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS.astype(np.float32))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for parts in ({"training": brief(40, 64)}, {"affinity": similarity, "training": brief(40, 64)}):
        net = SpectralNet(3, recipe=recipe_of(**parts), random_state=0).fit(rows)
        held = SpectralNet(3, recipe=recipe_of(**parts), random_state=0).fit(np.asarray(rows))
        np.testing.assert_array_equal(net.embedding_, held.embedding_)
        np.testing.assert_array_equal(net.transform(rows), net.embedding_)


# Interrupted, killed, resumed


class Interrupt:
    def __init__(self, stage: str, step: int) -> None:
        self.at = (stage, step)

    def __call__(self, stage: str, done: float, total: float) -> None:
        if (stage, done) == self.at:
            raise KeyboardInterrupt


FULL = recipe_of(
    codes=Autoencoder((16,), 4, brief(25, 32)),
    siamese=Siamese((16,), 4, training=brief(25, 32)),
    training=brief(25, 60),
)


def test_interrupted_in_any_stage_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "c"
    wanted = SpectralNet(3, recipe=FULL, random_state=0).fit(ROWS)
    for stage, step in [("autoencoder", 7), ("siamese", 25), ("spectral map", 12)]:
        stopped = SpectralNet(
            3, recipe=FULL, random_state=0, checkpoint=path, progress=Interrupt(stage, step)
        )
        with pytest.raises(KeyboardInterrupt):
            stopped.fit(ROWS)
        assert os.listdir(tmp_path) == ["c"]
        with pytest.raises(Exception, match="not fitted yet"):
            check_is_fitted(stopped)
    seen: list[tuple[str, float]] = []
    resumed = SpectralNet(
        3,
        recipe=FULL,
        random_state=0,
        checkpoint=path,
        progress=lambda stage, done, total: seen.append((stage, done)),
    ).fit(ROWS)
    assert ("autoencoder", 24) not in seen
    assert ("spectral map", 12) not in seen
    assert ("spectral map", 13) in seen
    np.testing.assert_array_equal(resumed.embedding_, wanted.embedding_)
    np.testing.assert_array_equal(resumed.transform(NEW), wanted.transform(NEW))
    assert [(r["stage"], r["step"], r["loss"]) for r in resumed.history_] == [
        (r["stage"], r["step"], r["loss"]) for r in wanted.history_
    ]
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    common: dict[str, Any] = {"recipe": FULL, "random_state": 0, "checkpoint": path}
    stopped = SpectralNet(3, **common, progress=Interrupt("spectral map", 5))
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(ROWS, known_labels=np.full(240, -1))
    known = np.where(np.arange(240) < 9, TRUTH, -1)
    others: list[tuple[dict[str, Any], np.ndarray, Any]] = [
        ({}, ROWS, None),
        ({}, ROWS, known),
        ({}, ROWS + 1e-3, np.full(240, -1)),
        ({}, ROWS[:-1], np.full(239, -1)),
        ({"random_state": 1}, ROWS, np.full(240, -1)),
        ({"n_components": 5}, ROWS, np.full(240, -1)),
        ({"recall": 0.9}, ROWS, np.full(240, -1)),
        ({"assign": "kmeans"}, ROWS, np.full(240, -1)),
        ({"max_clusters": 9}, ROWS, np.full(240, -1)),
        ({"image_shape": (2, 3)}, ROWS, np.full(240, -1)),
        ({"recipe": recipe_of()}, ROWS, np.full(240, -1)),
    ]
    before = path.read_bytes()
    for params, rows, labels in others:
        with pytest.raises(InputError, match="checkpoint of other rows, parameters or another"):
            SpectralNet(3, **(common | params)).fit(rows, known_labels=labels)
        assert path.read_bytes() == before
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(InputError, match="not a whole one; delete it or name another"):
        SpectralNet(3, **common).fit(ROWS)
    with pytest.raises(OutputError, match="folder of checkpoint"):
        SpectralNet(3, random_state=0, checkpoint=tmp_path / "no" / "c").fit(ROWS)


def similarity_of_width(width: float) -> Any:
    return lambda a, b: np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / width)


def test_a_checkpoint_of_another_graph_function_or_row_is_refused(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(240)
    graph = KNN(8).fit(ROWS.astype(np.float32), SearchOptions()).matrix
    other = graph[order][:, order]
    changed = ROWS.copy()
    changed[1] += 1.0
    functions = [recipe_of(affinity=similarity_of_width(width)) for width in (2.0, 3.0)]
    pairs: list[tuple[list[SpectralNetRecipe], list[np.ndarray], list[dict[str, Any]]]] = [
        ([recipe_of()] * 2, [ROWS, ROWS], [{"graph": graph}, {"graph": other}]),
        ([recipe_of()] * 2, [ROWS, changed], [{}, {}]),
        ([recipe_of()] * 2, [sp.csr_matrix(ROWS), sp.csr_matrix(changed)], [{}, {}]),
        (functions, [ROWS, ROWS], [{}, {}]),
    ]
    for number, (recipes, rows, given) in enumerate(pairs):
        path = tmp_path / f"c{number}"
        common: dict[str, Any] = {"random_state": 0, "checkpoint": path}
        stop = Interrupt("spectral map", 5)
        with pytest.raises(KeyboardInterrupt):
            SpectralNet(3, recipe=recipes[0], **common, progress=stop).fit(rows[0], **given[0])
        with pytest.raises(InputError, match="checkpoint of other rows, parameters or another"):
            SpectralNet(3, recipe=recipes[1], **common).fit(rows[1], **given[1])
        SpectralNet(3, recipe=recipes[0], **common).fit(rows[0], **given[0])


# What the published packages get wrong


@pytest.fixture(scope="module")
def net() -> SpectralNet:
    recipe = recipe_of(affinity=BatchAffinity(10), training=brief(60, 100))
    return SpectralNet(3, recipe=recipe, random_state=0).fit(ROWS)


def test_labels_are_the_same_at_every_call(net: SpectralNet) -> None:
    first = net.predict(NEW)
    for _ in range(3):
        np.testing.assert_array_equal(net.predict(NEW), first)
    np.testing.assert_array_equal(net.predict(ROWS), net.labels_)
    np.testing.assert_array_equal(net.predict(NEW[::-1]), first[::-1])


def test_single_rows_and_fewer_rows_than_clusters(net: SpectralNet) -> None:
    labels = net.predict(NEW)
    for count in (1, 2):
        np.testing.assert_array_equal(net.predict(NEW[:count]), labels[:count])
        np.testing.assert_array_equal(net.transform(NEW[:count]), net.transform(NEW)[:count])
    one_by_one = [int(net.predict(row[None])[0]) for row in NEW]
    np.testing.assert_array_equal(one_by_one, labels)


def test_the_orthonormal_weights_are_kept_and_come_from_all_rows(
    net: SpectralNet, tmp_path: Path
) -> None:
    # batches of 100 of the 240 rows; yet over all rows the outputs are orthonormal
    gram = net.embedding_.T @ net.embedding_ / 240
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-6)
    net.save(tmp_path / "m")
    again = fiedler.load(tmp_path / "m")
    np.testing.assert_array_equal(again.transform(NEW), net.transform(NEW))
    np.testing.assert_array_equal(again.predict(NEW), net.predict(NEW))
    np.testing.assert_array_equal(again.confidence_, net.confidence_)
    assert again.history_ == net.history_
    assert again.capacity_ == net.capacity_


QUIET = """
import sys
import numpy as np
from fiedler import Autoencoder, BatchAffinity, DenseMap, Siamese, SpectralNet, SpectralNetRecipe
from fiedler import Training

brief = Training(steps=10, batch_size=32)
recipe = SpectralNetRecipe(codes=Autoencoder((8,), 3, brief),
                           siamese=Siamese((8,), 3, training=brief),
                           affinity=BatchAffinity(), network=DenseMap((8,)), training=brief)
rows = np.random.default_rng(int(sys.argv[1])).normal(size=(60, 5))
# CUDA keeps compiled kernels in the home folder
net = SpectralNet(2, recipe=recipe, random_state=0, device="cpu")
assert net.fit(rows) is net
np.save(sys.argv[2], net.transform(rows))
"""


def test_nothing_is_written_printed_or_reused(tmp_path: Path) -> None:
    """No weights are left on disk, where a fit of other rows would find and reuse them."""
    home, package = tmp_path / "home", Path(fiedler.__file__).parent
    home.mkdir()

    def files() -> set[Path]:
        return {p for p in package.rglob("*") if "__pycache__" not in p.parts}

    before = files()
    found = []
    for seed in (1, 2, 1):
        out = tmp_path / f"{len(found)}.npy"
        call = [sys.executable, "-W", "error", "-c", QUIET, str(seed), str(out)]
        kept = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "TMPDIR": str(home)}
        done = subprocess.run(call, cwd=home, env=os.environ | kept, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        found.append(np.load(out))
    assert list(home.rglob("*")) == []
    assert files() == before
    np.testing.assert_array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])


def test_seeds_rule_and_global_ones_do_not() -> None:
    def embedding(seed: int) -> np.ndarray:
        return SpectralNet(3, recipe=FULL, random_state=seed).fit(ROWS).embedding_

    torch.manual_seed(1)
    first = embedding(0)
    torch.manual_seed(2)
    np.testing.assert_array_equal(embedding(0), first)
    assert not np.array_equal(embedding(1), first)


def test_many_clusters_in_small_batches_do_not_break_the_factorisation() -> None:
    rows, truth = blobs(300, groups=6)
    for method in ("cholesky", "qr"):
        recipe = recipe_of(
            affinity=KNN(8), orthonormalization=method, training=brief(150, 42), extra_outputs=4
        )
        net = SpectralNet(6, recipe=recipe, random_state=0).fit(rows)
        assert accuracy(truth, net.labels_) > 0.95
    # fewer distinct rows than outputs: bridged by the ridge, refused without it
    few = np.repeat(blobs(6, groups=6)[0], 20, axis=0)
    net = SpectralNet(6, recipe=recipe_of(affinity=BatchAffinity(5)), random_state=0).fit(few)
    assert len(np.unique(net.labels_)) == net.n_clusters_ <= 6
    with pytest.raises(CollapsedOutputsError, match=r"span only . dimensions.*fewer clusters"):
        SpectralNet(
            6,
            recipe=recipe_of(affinity=BatchAffinity(5), orthonormalization="qr"),
            random_state=0,
        ).fit(few)


# Real data


def test_digits_of_sklearn() -> None:
    digits = load_digits()
    recipe = SpectralNetRecipe(affinity=KNN(10), training=Training(steps=150, batch_size=512))
    net = SpectralNet(10, recipe=recipe, random_state=0).fit(digits.data[:1400])
    assert accuracy(digits.target[:1400], net.labels_) > 0.6
    assert accuracy(digits.target[1400:], net.predict(digits.data[1400:])) > 0.6


def test_blobs_with_the_default_recipe() -> None:
    rows, truth = make_blobs(400, centers=4, n_features=8, cluster_std=1.0, random_state=3)
    net = SpectralNet(random_state=0).fit(rows[:300])
    assert net.n_clusters_ == 4
    assert accuracy(truth[:300], net.labels_) == 1.0
    assert accuracy(truth[300:], net.predict(rows[300:])) == 1.0
