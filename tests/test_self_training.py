"""What a graph's own partition tells of its rows, and what networks take of it as known."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_blobs

import fiedler.models.self_training as self_training
import fiedler.partition.whole as whole
from fiedler import DSCDAN, DSCDANRecipe, Round, SpectralNet, SpectralNetRecipe
from fiedler.evaluation import accuracy
from fiedler.exceptions import InputError
from fiedler.graph import KNN, SearchOptions
from fiedler.graph.known_labels import UNKNOWN
from fiedler.models.dscdan.recipe import settle as settle_rounds
from fiedler.models.self_training import (
    Clusters,
    clusters_of_graph,
    surest,
    unless_contradicted,
    with_known,
)
from fiedler.models.spectralnet.recipe import settle
from fiedler.networks import ConvMap, RandomAffine
from fiedler.partition import assign_labels, known_partition, modularity, nearest_center
from fiedler.partition.modularity import move_rows
from fiedler.partition.whole import partition_graph
from fiedler.spectrum import Eigenpairs, smallest_eigenpairs
from fiedler.training import Training


def graph_of(rows: np.ndarray, k: int) -> tuple[sp.csr_matrix, Eigenpairs]:
    graph = KNN(10).fit(rows.astype(np.float32), SearchOptions()).matrix
    return graph, smallest_eigenpairs(graph, 3 * k)


# The graph's partition


def test_a_graph_is_cut_at_least_as_well_as_by_merging() -> None:
    rows, truth = load_digits(return_X_y=True)
    graph, pairs = graph_of(rows, 10)
    found = partition_graph(graph, 10, pairs)
    assert found is not None
    merged = assign_labels(pairs.vectors, 10, method="merge", affinity=graph, pairs=pairs)
    assert modularity(graph, found.labels) >= modularity(graph, merged.labels)
    np.testing.assert_array_equal(move_rows(graph, found.labels), found.labels)
    assert accuracy(truth, found.labels) > 0.88
    again = partition_graph(graph, 10, pairs)
    assert again is not None
    np.testing.assert_array_equal(again.labels, found.labels)


def test_separate_clusters_are_found() -> None:
    rows, truth = make_blobs(300, centers=9 * np.eye(4), random_state=0)
    graph, pairs = graph_of(rows, 4)
    found = partition_graph(graph, 4, pairs)
    assert found is not None
    assert accuracy(truth, found.labels) == 1.0


def test_no_partition_where_it_is_not_to_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, pairs = graph_of(make_blobs(120, centers=3, random_state=0)[0], 3)
    assert partition_graph(graph, 1, pairs) is None
    monkeypatch.setattr(whole, "holds_against", lambda *_, **__: False)
    assert partition_graph(graph, 3, pairs) is None
    assert clusters_of_graph(graph, 3, 3, seed=0) is None


def test_stray_rows_do_not_take_the_trust_away() -> None:
    rows, truth = make_blobs(300, centers=9 * np.eye(4), cluster_std=2.0, random_state=0)
    graph, pairs = graph_of(rows, 4)
    assert partition_graph(graph, 4, pairs) is not None
    duplicates = sp.csr_matrix(np.ones((3, 3)) - np.eye(3))
    more = sp.csr_matrix(sp.block_diag([graph, duplicates, sp.csr_matrix((1, 1))]))
    found = partition_graph(more, 4, smallest_eigenpairs(more, 12))
    assert found is not None
    assert accuracy(truth, found.labels[:300]) > 0.9


@pytest.mark.parametrize("k", [1, 19, 20])
def test_as_many_clusters_as_rows_are_nothing_to_learn_from(k: int) -> None:
    rows = np.random.default_rng(0).normal(size=(20, 4))
    graph = KNN(5).fit(rows.astype(np.float32), SearchOptions()).matrix
    assert clusters_of_graph(graph, k, k, seed=0) is None
    images = np.random.default_rng(0).random((20, 8, 8))
    brief = Training(steps=3, batch_size=30)
    recipe = SpectralNetRecipe(network=ConvMap((4,), 32), training=brief, known=1.0)
    assert SpectralNet(k, recipe=recipe, random_state=0).fit(images).n_clusters_ <= k


def test_a_graph_without_edges_has_no_partition() -> None:
    graph = sp.csr_matrix((30, 30))
    assert clusters_of_graph(graph, 3, 3, seed=0) is None


# Clusters, and how sure they are


@pytest.mark.parametrize("wanted", [4, "auto", "modularity", "eigengap"])
def test_clusters_of_a_graph(wanted: int | str) -> None:
    rows, truth = make_blobs(300, centers=9 * np.eye(4), random_state=0)
    graph, _ = graph_of(rows, 4)
    found = clusters_of_graph(graph, 4 if wanted == 4 else 9, wanted, seed=0)
    assert found is not None
    assert accuracy(truth, found.labels) == 1.0
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert (found.confidence > 0).mean() > 0.9


def test_surest_takes_the_share_of_each_cluster() -> None:
    labels = np.repeat([0, 1], [6, 4])
    sure = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.5, 0.6, 0.4, 0.3])
    got = surest(Clusters(labels, sure), 0.5)
    np.testing.assert_array_equal(got, [-1, 0, -1, 0, -1, 0, 1, 1, -1, -1])


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_nothing_unsure_is_known(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    clusters = Clusters(rng.integers(0, 4, n), rng.random(n) * (rng.random(n) < 0.5))
    known = surest(clusters, share)
    taken = known >= 0
    np.testing.assert_array_equal(known[taken], clusters.labels[taken])
    assert (clusters.confidence[taken] > 0).all()
    for label in np.unique(clusters.labels):
        own = clusters.labels == label
        assert (taken & own).sum() <= round(share * own.sum())
        rest = clusters.confidence[own & ~taken]
        least = clusters.confidence[own & taken].min(initial=1.0)
        assert rest.max(initial=0.0) <= least or not (taken & own).any()


def test_known_rows_cut_the_edges_between_clusters() -> None:
    rows, _ = make_blobs(200, centers=[[0, 0], [2, 0]], random_state=0)
    graph, _ = graph_of(rows, 2)
    labels = (rows[:, 0] > 1).astype(np.int64)
    known = with_known(graph, Clusters(labels, np.ones(200)), 1.0, seed=0)
    np.testing.assert_array_equal(known.labels, labels)
    entries = known.matrix.tocoo()
    assert (labels[entries.row] == labels[entries.col]).all()
    unsure = with_known(graph, Clusters(labels, np.zeros(200)), 1.0, seed=0)
    assert (unsure.labels == UNKNOWN).all()
    assert (unsure.matrix != graph).nnz == 0


def test_rows_on_borders_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = make_blobs(300, centers=9 * np.eye(4), random_state=0)
    graph, _ = graph_of(rows, 4)
    cut = whole.partition_graph

    def one_moved(*given: Any, **options: Any) -> Any:
        found = cut(*given, **options)
        labels = found.labels.copy()
        labels[7] = (labels[7] + 1) % 4
        return dataclasses.replace(found, labels=labels)

    monkeypatch.setattr(self_training, "partition_graph", one_moved)
    found = clusters_of_graph(graph, 4, 4, seed=0)
    assert found is not None
    assert found.confidence[7] == 0
    assert surest(found, 1.0)[7] == -1
    assert (surest(found, 1.0) >= 0).sum() > 280


@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 7))
def test_known_clusters_are_read_out_by_their_nearest_mean(seed: int, k: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(40, d))
    labels = rng.integers(-1, k, 40)
    labels[:k] = np.arange(k)
    found = known_partition(vectors, labels)
    width = found.centers.shape[1]
    points = vectors[:, :width] / np.linalg.norm(vectors[:, :width], axis=1, keepdims=True)
    means = np.array([points[labels == cluster].mean(axis=0) for cluster in range(k)])
    squared = ((points[:, None] - means) ** 2).sum(axis=2)
    best = squared.min(axis=1, keepdims=True)
    assert (np.take_along_axis(squared, found.labels[:, None], axis=1) <= best + 1e-12).all()
    np.testing.assert_allclose(found.centers, means)
    np.testing.assert_array_equal(nearest_center(vectors, found)[0], found.labels)
    assert width in (min(k, d), d)


@pytest.mark.parametrize(("apart", "width"), [(2, 3), (4, 5)])
def test_known_clusters_that_the_first_vectors_join_are_told_apart_by_all(
    apart: int, width: int
) -> None:
    labels = np.repeat([0, 1, 2], 20)
    vectors = 0.05 * np.random.default_rng(0).normal(size=(60, 5))
    vectors[:, 0] += 1.0
    vectors[:20, 1] += 1.0
    vectors[20:40, apart] += 1.0
    found = known_partition(vectors, labels)
    assert found.centers.shape == (3, width)
    np.testing.assert_array_equal(found.labels, labels)


def test_what_all_vectors_have_mended_is_read_out_in_the_first() -> None:
    # a tenth of the rows came out otherwise in all vectors, a quarter in the first
    labels = np.repeat([0, 1], 100)
    vectors = np.zeros((200, 3))
    vectors[:, 0] = 1.0
    vectors[labels == 1, 1] = 1.0
    vectors[:25, 1] = 1.0
    vectors[:15, 2] = -3.0
    assert known_partition(vectors, labels).centers.shape == (2, 2)


# Networks


def images_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    digits, truth = load_digits(return_X_y=True)
    return digits[:n].reshape(n, 8, 8), truth[:n]


def test_a_network_is_trained_on_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    import fiedler.models.spectralnet.stages as stages

    seen: list[Any] = []
    train_map = stages.train_map

    def spy(fit: Any, recipe: Any, forward: Any, source: Any, shape: Any) -> None:
        seen.append(source)
        train_map(fit, recipe, forward, source, shape)

    monkeypatch.setattr(stages, "train_map", spy)
    images, _ = images_of(400)
    brief = SpectralNetRecipe(
        network=ConvMap((8,), 16), training=Training(steps=5, batch_size=100), known=0.7
    )
    net = SpectralNet(10, recipe=brief, random_state=0).fit(images)
    assert "self-training" in net.timings_
    SpectralNet(10, recipe=dataclasses.replace(brief, known=0.0), random_state=0).fit(images)
    found = clusters_of_graph(seen[1], 10, 10, seed=net._seed)
    assert found is not None
    wanted = with_known(seen[1], found, 0.7, seed=net._seed)
    np.testing.assert_array_equal(seen[0].labels, wanted.labels)
    assert (seen[0].matrix != wanted.matrix).nnz == 0
    assert (seen[0].matrix != seen[1]).nnz > 0


def test_what_is_known_is_read_out_as_it_was_learned() -> None:
    images, truth = images_of(400)
    brief = SpectralNetRecipe(
        network=ConvMap((8,), 16), training=Training(steps=60, batch_size=100, learning_rate=1e-2)
    )

    def fitted(n_clusters: Any = 10, assign: str = "auto", **options: Any) -> SpectralNet:
        recipe = dataclasses.replace(brief, **options)
        return SpectralNet(n_clusters, recipe=recipe, assign=assign, random_state=0).fit(images)

    known = fitted()
    assert known.assignment_ == "known"
    assert accuracy(truth, known.labels_) > 0.8
    np.testing.assert_array_equal(known.predict(images), known.labels_)
    # of too few rows known, none known, another read-out asked for
    assert fitted(known=0.7).assignment_ == "rebuild"
    assert fitted(known=0.0).assignment_ == "rebuild"
    assert fitted(assign="kmeans").assignment_ == "kmeans"


def test_a_known_cluster_that_is_lost_is_not_read_out() -> None:
    model = SpectralNet(3)
    known = np.repeat([0, 1, 2], 20)
    learned = known.copy()
    learned[[0, 20]] = 2  # what it was told of two rows the network has mended
    model.embedding_ = np.eye(3)[learned]
    found = model._learned(3, known)
    assert found is not None
    np.testing.assert_array_equal(found.labels, learned)
    assert model._learned(4, known) is None
    assert model._learned(3, known + (known == 2)) is None  # nothing is known of one of four
    assert model._learned(3, np.where(np.arange(60) % 5 == 0, -1, known)) is None
    model.embedding_ = np.eye(3)[np.minimum(known, 1)]
    assert model._learned(3, known) is None


@pytest.mark.parametrize(("mended", "kept"), [(0, False), (1, False), (2, True)])
def test_clusters_learned_by_heart_are_not_read_out(mended: int, kept: bool) -> None:
    model = SpectralNet(2)
    known = np.repeat([0, 1], 350)
    learned = known.copy()
    learned[:mended] = 1
    model.embedding_ = np.eye(2)[learned]
    assert (model._learned(2, known) is not None) == kept
    assert model._learned(2, known, own=True) is not None


def test_given_labels_join_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    import fiedler.models.spectralnet.estimator as spectralnet

    seen: list[Any] = []

    def spy(graph: Any, clusters: Clusters, share: float, seed: int) -> Any:
        seen.append((graph, clusters))
        return with_known(graph, clusters, share, seed)

    monkeypatch.setattr(spectralnet, "with_known", spy)
    images, truth = images_of(400)
    given = np.where(np.arange(400) % 4 == 0, truth, -1)
    brief = SpectralNetRecipe(
        network=ConvMap((8,), 16), training=Training(steps=5, batch_size=100), known=1.0
    )
    net = SpectralNet(10, recipe=brief, random_state=0).fit(images, known_labels=given)
    graph, clusters = seen[0]
    entries = graph.tocoo()
    both = (given[entries.row] >= 0) & (given[entries.col] >= 0)
    assert (given[entries.row] == given[entries.col])[both].all()
    found = clusters_of_graph(graph, 10, 10, seed=net._seed)
    assert found is not None
    wanted = unless_contradicted(found, given)
    np.testing.assert_array_equal(clusters.confidence, wanted.confidence)


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
def test_what_a_given_label_contradicts_is_unsure(seed: int, k: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    clusters = Clusters(rng.integers(0, k, 40), rng.uniform(0.1, 1.0, 40))
    told = np.maximum(3 * rng.integers(-1, classes, 40), -1)
    found = unless_contradicted(clusters, told)
    np.testing.assert_array_equal(found.labels, clusters.labels)
    for row, label in enumerate(told):
        counts = Counter(told[(clusters.labels == clusters.labels[row]) & (told >= 0)].tolist())
        contradicted = label >= 0 and label != min(counts, key=lambda o: (-counts[o], o))
        assert found.confidence[row] == (0.0 if contradicted else clusters.confidence[row])


def _known_of_rounds(recipe: DSCDANRecipe, shape: tuple[int, ...]) -> list[float]:
    return [spec.known for spec in settle_rounds(recipe, shape, 5000).rounds]


def test_what_recipes_take_as_known() -> None:
    assert settle(SpectralNetRecipe(), (28, 28), 5000).known == 1.0
    assert settle(SpectralNetRecipe(views=None), (28, 28), 5000).known == 0.0
    assert settle(SpectralNetRecipe(), (6,), 5000).known == 0.0
    assert settle(SpectralNetRecipe(known=0.3), (6,), 5000).known == 0.3
    assert settle(SpectralNetRecipe(views=RandomAffine()), (28, 28), 5000).known == 1.0
    assert settle(SpectralNetRecipe.named("paper"), (28, 28), 5000).known == 0.0
    assert _known_of_rounds(DSCDANRecipe(), (28, 28)) == [1.0, 1.0]
    assert _known_of_rounds(DSCDANRecipe(views=None), (28, 28)) == [0.0, 0.7]
    assert _known_of_rounds(DSCDANRecipe(), (6,)) == [0.0, 0.7]
    assert _known_of_rounds(DSCDANRecipe(rounds=(Round(known=0.2),)), (6,)) == [0.2]
    assert not any(_known_of_rounds(DSCDANRecipe.named("paper"), (28, 28)))
    with pytest.raises(InputError, match=r"known must be a share between 0 and 1, got 1\.5"):
        SpectralNetRecipe(known=1.5)
    with pytest.raises(InputError, match="known must be 'auto' or float or int, got 'most'"):
        SpectralNetRecipe(known="most")
    with pytest.raises(InputError, match=r"known=0\.5 needs the edges of a graph"):
        dataclasses.replace(SpectralNetRecipe.named("paper"), known=0.5)


@pytest.mark.parametrize("trusted", [True, False])
def test_dscdan_starts_from_the_graphs_partition(
    trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fiedler.models.dscdan.rounds as rounds

    seen: list[Clusters] = []
    source_of = rounds.source_of

    def spy(*given: Any) -> Any:
        seen.append(given[-1])
        return source_of(*given)

    monkeypatch.setattr(rounds, "source_of", spy)
    if not trusted:
        monkeypatch.setattr(self_training, "partition_graph", lambda *_, **__: None)
    images, _ = images_of(300)
    steps = Training(steps=3, batch_size=100)
    recipe = DSCDANRecipe(pretraining=steps, rounds=(Round(known=1.0, training=steps),))
    model = DSCDAN(10, recipe=recipe, random_state=0).fit(images)
    assert bool(seen[0].confidence.any()) == trusted
    assert "self-training" in model.timings_
    without = dataclasses.replace(recipe, rounds=(Round(known=0, training=steps),))
    assert "self-training" not in DSCDAN(10, recipe=without, random_state=0).fit(images).timings_
