"""Eigenvectors to labels, against brute force, ideal indicators and planted partitions."""

from __future__ import annotations

from itertools import combinations, cycle
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group
from sklearn.datasets import load_digits, make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score

from fiedler.evaluation import accuracy
from fiedler.exceptions import InputError
from fiedler.graph import KNN, SearchOptions
from fiedler.partition import (
    Partition,
    assign_labels,
    best_partition,
    choose_partition,
    components_k,
    markov_stability,
    merge_groups,
    mixed_affinity,
    modularity,
    modularity_k,
    nearest_center,
    normalized_cut,
    rebuild_partition,
    row_normalized,
)
from fiedler.partition import assign as assign_module
from fiedler.partition import centers as centers_module
from fiedler.partition import stability as stability_module
from fiedler.partition.centers import kmeans, spread_rows
from fiedler.partition.choose import exchanged
from fiedler.partition.modularity import group_affinity, move_gains, move_rows
from fiedler.partition.rotations import cluster_qr, discretize
from fiedler.spectrum import smallest_eigenpairs

METHODS = ["auto", "kmeans", "cluster_qr", "discretize", "merge"]
seeds = st.integers(0, 10**6)


def random_graph(n: int, rng: np.random.Generator, *, whole: bool = False) -> np.ndarray:
    """A weighted graph with self-loops, some entries zero; small whole weights make ties."""
    weights = rng.integers(0, 3, (n, n)).astype(float) if whole else rng.random((n, n))
    weights *= rng.random((n, n)) < 0.7
    weights[0, 0] += 1
    return weights + weights.T


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = len(np.unique(np.stack([a, b]), axis=1).T)
    return pairs == len(np.unique(a)) == len(np.unique(b))


# Scores of a partition


def brute_modularity(W: np.ndarray, labels: np.ndarray) -> float:
    degrees, total = W.sum(axis=1), W.sum()
    same = labels[:, None] == labels
    return float(((W / total - np.outer(degrees, degrees) / total**2) * same).sum())


def brute_cut(W: np.ndarray, labels: np.ndarray) -> float:
    value = 0.0
    for group in np.unique(labels):
        inside = labels == group
        if W[inside].sum() > 0:
            value += W[np.ix_(inside, ~inside)].sum() / W[inside].sum()
    return float(value)


@given(st.integers(1, 12), st.integers(1, 5), seeds)
def test_modularity_and_cut_by_their_formulas(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    W, labels = random_graph(n, rng), rng.integers(0, k, n)
    for graph in (W, sp.csr_matrix(W), 7 * W):
        assert modularity(graph, labels) == pytest.approx(brute_modularity(W, labels), abs=1e-12)
        assert normalized_cut(graph, labels) == pytest.approx(brute_cut(W, labels), abs=1e-12)
        assert modularity(graph, 5 - 3 * labels) == pytest.approx(modularity(graph, labels))
    between = group_affinity(W, labels, k + 1)
    assert between.shape == (k + 1, k + 1)
    assert between.sum() == pytest.approx(1)
    np.testing.assert_allclose(between[k], 0)


def test_scores_that_are_known() -> None:
    cliques = np.kron(np.eye(2), np.ones((4, 4)) - np.eye(4))
    split = np.repeat([0, 1], 4)
    assert modularity(cliques, split) == pytest.approx(0.5)
    assert normalized_cut(cliques, split) == 0
    assert modularity(cliques, np.zeros(8, dtype=int)) == pytest.approx(0)
    assert modularity(np.zeros((8, 8)), split) == 0
    assert normalized_cut(np.zeros((8, 8)), split) == 0
    two_groups = np.ones((2, 2)) - np.eye(2)
    assert modularity(two_groups, np.array([0, 1])) == pytest.approx(-0.5)


# Merging


@given(st.integers(1, 8), seeds, st.booleans())
def test_each_merge_is_the_best_there_is(size: int, seed: int, whole: bool) -> None:
    W = random_graph(size, np.random.default_rng(seed), whole=whole)
    between = W / W.sum()
    kept = between.copy()
    before = np.arange(size)
    for n_left in range(size, 0, -1):
        labels, trace = merge_groups(between, n_left)
        assert labels.shape == (size,)
        assert len(trace) == size - n_left + 1
        assert trace[-1] == pytest.approx(brute_modularity(W, labels), abs=1e-12)
        _, first = np.unique(labels, return_index=True)
        assert (np.diff(first) > 0).all()  # numbered by first appearance
        np.testing.assert_array_equal(np.unique(labels), np.arange(n_left))
        if n_left < size:
            merged = [
                np.where(before == b, a, before) for a, b in combinations(range(n_left + 1), 2)
            ]
            best = max(brute_modularity(W, labels) for labels in merged)
            assert trace[-1] == pytest.approx(best, abs=1e-12)
            assert any(same_partition(labels, candidate) for candidate in merged)
        before = labels
    np.testing.assert_array_equal(between, kept)


def test_merging_groups_without_edges() -> None:
    labels, trace = merge_groups(np.zeros((4, 4)), 2)
    assert len(np.unique(labels)) == 2
    np.testing.assert_array_equal(trace, 0)


# k-means and centres


def test_kmeans_finds_distinct_places(monkeypatch: pytest.MonkeyPatch) -> None:
    places = np.array([[0.0, 0], [9, 0], [0, 9]])
    rows = np.repeat(places, 40, axis=0)
    for sample in (25_000, 30):
        monkeypatch.setattr(centers_module, "_SAMPLE_ROWS", sample)
        monkeypatch.setattr(centers_module, "_SAMPLE_ROWS_PER_CENTER", 1)
        labels, found = kmeans(rows, 3, n_init=2, rng=np.random.default_rng(0))
        np.testing.assert_allclose(found[labels], rows, atol=1e-6)
        labels, found = kmeans(rows, 5, n_init=2, rng=np.random.default_rng(0))
        assert len(found) == 3
        np.testing.assert_array_equal(np.unique(labels), np.arange(3))
        np.testing.assert_allclose(found[labels], rows, atol=1e-6)


def test_kmeans_on_a_sample_labels_every_row_by_its_nearest_centre(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(centers_module, "_SAMPLE_ROWS", 100)
    monkeypatch.setattr(centers_module, "_SAMPLE_ROWS_PER_CENTER", 1)
    rows = np.random.default_rng(0).normal(size=(500, 3))
    labels, found = kmeans(rows, 4, n_init=1, rng=np.random.default_rng(1))
    again, _ = kmeans(rows, 4, n_init=1, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(labels, again)
    distances = np.linalg.norm(rows[:, None] - found, axis=2)
    np.testing.assert_array_equal(labels, distances.argmin(axis=1))


def test_spread_rows_are_distinct_and_drawn_by_squared_distance() -> None:
    rows = np.array([[0.0, 0], [0, 0], [3, 0], [0, 4], [3, 0]], dtype=np.float32)
    rng = np.random.default_rng(0)
    draws = np.array([spread_rows(rows, 3, rng) for _ in range(3000)])
    assert all(len(np.unique(rows[draw], axis=0)) == 3 for draw in draws)
    at_first = np.bincount(draws[:, 0], minlength=5) / 3000
    np.testing.assert_allclose(at_first, 0.2, atol=0.03)
    after_zero = draws[draws[:, 0] < 2][:, 1]  # squared distances 9, 16 and 9
    shares = np.bincount(after_zero, minlength=5) / len(after_zero)
    np.testing.assert_allclose(shares, np.array([0, 0, 9, 16, 9]) / 34, atol=0.05)
    assert sorted(spread_rows(rows[:2], 2, rng))[-1] <= 1  # fewer distinct rows: they repeat


def test_rows_get_unit_length_and_zero_stays_zero() -> None:
    rows = row_normalized(np.array([[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0]]))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [-1, 0]])


def at(*degrees: float) -> np.ndarray:
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_nearest_centre_and_confidence() -> None:
    owners = np.array([0, 1, 0, 2])
    partition = Partition(np.zeros(1, dtype=np.int64), at(0, 60, 120, 240), owners, "test")
    labels, confidence = nearest_center(7 * at(0, 60, 120, 240, 10, 130, 30, 180), partition)
    np.testing.assert_array_equal(labels[:6], [0, 1, 0, 2, 0, 0])
    np.testing.assert_allclose(confidence[[0, 1, 2, 3, 6, 7]], [1, 1, 1, 1, 0, 0], atol=1e-6)
    chord = np.sin(np.radians(5)) / np.sin(np.radians(25))
    np.testing.assert_allclose(confidence[4], 1 - chord, atol=1e-6)
    wider = np.hstack([at(10, 70), np.full((2, 1), 100.0)])  # the centres do not know this column
    np.testing.assert_allclose(nearest_center(wider, partition)[1][0], 1 - chord, atol=1e-6)
    alone = Partition(np.zeros(1, dtype=np.int64), at(0), np.zeros(1, dtype=np.int64), "test")
    np.testing.assert_array_equal(nearest_center(at(0, 99), alone), [[0, 0], [1, 1]])


@given(st.integers(1, 6), st.integers(1, 30), seeds)
def test_nearest_centre_by_brute_force(n_centers: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, vectors = rng.normal(size=(n_centers, 3)), rng.normal(size=(n, 5))
    _, owners = np.unique(rng.integers(0, 3, n_centers), return_inverse=True)
    labels, confidence = nearest_center(
        vectors, Partition(np.zeros(1, dtype=np.int64), found, owners, "test")
    )
    rows = vectors[:, :3] / np.linalg.norm(vectors[:, :3], axis=1, keepdims=True)
    distances = np.linalg.norm(rows[:, None] - found, axis=2)
    np.testing.assert_array_equal(labels, owners[distances.argmin(axis=1)])
    for i in range(n):
        others = distances[i, owners != labels[i]]
        wanted = 1 - distances[i].min() / others.min() if len(others) else 1.0
        assert confidence[i] == pytest.approx(wanted, abs=1e-6)


# Rotations towards indicators


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=6), seeds, st.sampled_from([0.0, 1e-3, 0.05])
)
def test_ideal_indicators_are_recovered_under_rotation(
    sizes: list[int], seed: int, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    k = len(sizes)
    truth = rng.permutation(np.repeat(np.arange(k), sizes))
    weights = rng.uniform(0.5, 2, len(truth))  # roots of degrees
    indicator = np.eye(k)[truth] * weights[:, None]
    indicator /= np.linalg.norm(indicator, axis=0)
    turn = ortho_group.rvs(k, random_state=rng) if k > 1 else np.array([[-1.0]])
    noisy = indicator + noise * np.abs(indicator).max(axis=1)[:, None] * rng.uniform(
        -1, 1, indicator.shape
    ) / np.sqrt(k)
    vectors = noisy @ turn
    for found in (cluster_qr(vectors, k), discretize(vectors, k, rng=rng)):
        assert same_partition(found.labels, truth)
        assert found.n_clusters == k
        again, confidence = nearest_center(vectors, found)
        np.testing.assert_array_equal(again, found.labels)
        assert (confidence > (0.8 if noise else 1 - 1e-6)).all()


def test_discretize_stops_in_time_with_labels_of_its_last_rotation() -> None:
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.normal(size=(300, 6)))[0]
    for most in (1, 2, 100):
        found = discretize(vectors, 6, rng=np.random.default_rng(1), max_iter=most)
        again, _ = nearest_center(vectors, found)
        np.testing.assert_array_equal(again, found.labels)


# Assignments


def unbalanced() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes, places = [400, 40, 40, 20], np.array([[0, 0], [4, 0], [0, 4], [4, 4]])
    truth = np.repeat(np.arange(4), sizes)
    return places[truth] + 0.5 * rng.normal(size=(500, 2)), truth


SETS: dict[str, Any] = {
    "moons": lambda: make_moons(600, noise=0.06, random_state=0),
    "blobs": lambda: make_blobs(600, centers=4, random_state=3),
    "unbalanced": unbalanced,
    "digits": lambda: load_digits(return_X_y=True),
}


@pytest.fixture(scope="module", params=SETS)
def problem(request: pytest.FixtureRequest) -> Any:
    """Name, graph, eigenvectors and truth of one set."""
    rows, truth = SETS[request.param]()
    affinity = KNN(5 if request.param == "digits" else 10).fit(rows, SearchOptions()).matrix
    k = int(truth.max()) + 1
    return request.param, affinity, smallest_eigenpairs(affinity, 3 * k).vectors, truth


def test_auto_merges_where_merging_is_right(problem: Any) -> None:
    name, affinity, vectors, truth = problem
    found = assign_labels(vectors, truth.max() + 1, affinity=affinity)
    if name != "blobs":  # there the two agree
        assert found.method == ("merge" if name == "digits" else "kmeans")
    assert accuracy(truth, found.labels) >= (0.85 if name == "digits" else 0.99)
    again = assign_labels(vectors, truth.max() + 1, affinity=affinity)
    np.testing.assert_array_equal(again.labels, found.labels)
    assert assign_labels(vectors, truth.max() + 1).method == "kmeans"


@pytest.mark.parametrize("method", METHODS)
def test_centres_give_back_the_labels(problem: Any, method: Any) -> None:
    name, affinity, vectors, truth = problem
    for k in (1, 2, int(truth.max()) + 1):
        found = assign_labels(vectors, k, method=method, affinity=affinity, random_state=3)
        assert found.n_clusters == k
        assert found.labels.dtype == np.int64
        np.testing.assert_array_equal(np.unique(found.labels), np.arange(k))
        again, _ = nearest_center(vectors, found)
        np.testing.assert_array_equal(again, found.labels)
    if method != "merge":
        assert accuracy(truth, found.labels) >= (0.75 if name == "digits" else 0.99)


@pytest.mark.parametrize("k", [2, 5, 7, 20, 40])
def test_merging_gives_as_many_clusters_as_asked(k: int) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    affinity = KNN(5).fit(rows, SearchOptions()).matrix
    vectors = smallest_eigenpairs(affinity, min(3 * k, 40)).vectors
    for method in ("merge", "auto"):
        found = assign_labels(vectors, k, method=method, affinity=affinity)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.unique(found.labels), np.arange(k))


def test_assignments_that_cannot_be() -> None:
    vectors = np.eye(6)[:, :2]
    with pytest.raises(InputError, match=r"assign must be one of .*'merge'.* got 'guess'"):
        assign_labels(vectors, 2, method="guess")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"needs a formed affinity.*Use assign='kmeans' or"):
        assign_labels(vectors, 2, method="merge")
    with pytest.raises(InputError, match="one eigenvector for each of 3 clusters, got 2; raise"):
        assign_labels(vectors, 3, method="cluster_qr")


# How many clusters


def ring_of_cliques(k: int, size: int) -> np.ndarray:
    W = np.kron(np.eye(k), np.ones((size, size)) - np.eye(size))
    ends = np.arange(k) * size
    W[ends, (ends + size + 1) % (k * size)] = W[(ends + size + 1) % (k * size), ends] = 1
    return W


def planted(
    sizes: list[int], inside: float, outside: float, seed: int
) -> tuple[sp.csr_matrix, np.ndarray]:
    """A random graph with more edges inside groups than between them, and the groups."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    chance = np.where(truth[:, None] == truth, inside, outside)
    upper = np.triu(rng.random(chance.shape) < chance, 1).astype(float)
    return sp.csr_matrix(upper + upper.T), truth


@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_modularity_counts_cliques_in_a_ring(k: int) -> None:
    W = ring_of_cliques(k, 40)
    vectors = smallest_eigenpairs(W, 25).vectors
    for graph in (W, sp.csr_matrix(W)):
        assert modularity_k(vectors, graph, k_max=10) == k
    assert modularity_k(vectors, W, k_min=k + 1, k_max=10) >= k + 1
    assert modularity_k(vectors, W, k_max=max(1, k - 1)) == max(1, k - 1)


@pytest.mark.parametrize("sizes", [[60, 60], [50, 50, 50], [80, 60, 50, 40, 40], 7 * [40]])
def test_modularity_counts_planted_groups(sizes: list[int]) -> None:
    W, _ = planted(sizes, 0.4, 0.01, 0)
    vectors = smallest_eigenpairs(W, 36).vectors
    assert [modularity_k(vectors, W, k_max=12, random_state=s) for s in range(3)] == [
        len(sizes)
    ] * 3


def test_components_count_where_they_are_of_like_size() -> None:
    assert components_k(np.array([50, 40, 30])) == 3
    assert components_k(np.array([100, 90, 2])) is None
    assert components_k(np.array([70])) is None


# One partition from several


@pytest.fixture(scope="module")
def truth_and_graph() -> tuple[np.ndarray, sp.csr_matrix]:
    graph, truth = planted([60, 50, 40, 30], 0.4, 0.03, 1)
    return truth, graph


def noisy(truth: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The truth under other names, a share of its labels drawn anew."""
    k = int(truth.max()) + 1
    wrong = rng.random(len(truth)) < share
    return rng.permutation(k)[np.where(wrong, rng.integers(0, k, len(truth)), truth)]


def test_truth_is_rebuilt_from_noisy_candidates(
    truth_and_graph: tuple[np.ndarray, sp.csr_matrix],
) -> None:
    truth, graph = truth_and_graph
    rng = np.random.default_rng(0)
    candidates = [noisy(truth, 0.25, rng) for _ in range(12)]
    best = max(adjusted_rand_score(truth, candidate) for candidate in candidates)
    found = rebuild_partition(candidates, graph, 4)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.unique(found), np.arange(4))
    assert adjusted_rand_score(truth, found) >= max(0.93, best + 0.2)
    np.testing.assert_array_equal(rebuild_partition(candidates, graph, 4), found)
    np.testing.assert_array_equal(rebuild_partition(candidates, 9 * graph, 4), found)


def test_the_worse_half_of_the_candidates_is_ignored(
    truth_and_graph: tuple[np.ndarray, sp.csr_matrix],
) -> None:
    truth, graph = truth_and_graph
    rng = np.random.default_rng(1)
    good = [noisy(truth, 0.2, rng) for _ in range(6)]
    bad = [rng.integers(0, 4, len(truth)) for _ in range(6)]
    with_bad = rebuild_partition([*bad, *good], graph, 4)
    assert adjusted_rand_score(truth, with_bad) >= 0.95
    worse = [rng.integers(0, 9, len(truth)) for _ in range(6)]
    np.testing.assert_array_equal(with_bad, rebuild_partition([*worse, *good], graph, 4))


def test_candidates_may_differ_in_their_number_of_clusters(
    truth_and_graph: tuple[np.ndarray, sp.csr_matrix],
) -> None:
    truth, graph = truth_and_graph
    rng = np.random.default_rng(2)
    split = truth + 4 * rng.integers(0, 2, len(truth))
    joined = np.minimum(truth, 2)
    candidates = [noisy(part, 0.1, rng) for part in (truth, split, joined, truth, split, joined)]
    found = rebuild_partition(candidates, graph, 4)
    assert adjusted_rand_score(truth, found) >= 0.9
    assert same_partition(rebuild_partition([truth], graph, 4), truth)
    assert same_partition(rebuild_partition([10 * truth - 7], graph, 4), truth)
    np.testing.assert_array_equal(rebuild_partition(candidates, graph, 1), 0)
    assert len(np.unique(rebuild_partition(candidates, graph, 2))) == 2


def test_candidates_that_cannot_be_used(
    truth_and_graph: tuple[np.ndarray, sp.csr_matrix],
) -> None:
    truth, graph = truth_and_graph
    for bad in ([], [truth[:-1]], [truth, truth[:, None]]):
        with pytest.raises(InputError, match=r"one or more label arrays of shape \(180,\)"):
            rebuild_partition(bad, graph, 4)
    for k in (0, 181):
        with pytest.raises(InputError, match=f"between 1 and n = 180, got {k}"):
            rebuild_partition([truth], graph, k)


def test_graphs_are_mixed_by_equal_weight() -> None:
    rng = np.random.default_rng(0)
    raw, one, two = (sp.csr_matrix(random_graph(6, rng)) for _ in range(3))
    share = {id(g): g.toarray() / g.sum() for g in (raw, one, two)}
    mixed = mixed_affinity([raw, mixed_affinity([100 * one, two])])
    wanted = 0.5 * share[id(raw)] + 0.25 * (share[id(one)] + share[id(two)])
    np.testing.assert_allclose(mixed.toarray(), wanted)
    assert mixed.sum() == pytest.approx(1)
    np.testing.assert_allclose(mixed_affinity([one]).toarray(), share[id(one)])
    for bad in ([], [raw, sp.csr_matrix((6, 6))], [raw, raw[:5, :5]]):
        with pytest.raises(InputError, match="at least one graph, all of one shape and with edges"):
            mixed_affinity(bad)


@pytest.mark.parametrize("time", [1, 2, 5])
def test_stability_is_that_of_the_walk(time: int) -> None:
    rng = np.random.default_rng(0)
    half = rng.random((30, 40)) * (rng.random((30, 40)) < 0.3)
    affinity = half @ half.T  # so that no eigenvalue of the walk is negative
    pairs = smallest_eigenpairs(affinity, 30, solver="dense")
    labels = rng.integers(4, size=30)
    walk = affinity / affinity.sum(axis=1, keepdims=True)
    stationary = affinity.sum(axis=1) / affinity.sum()
    onehot = np.eye(4)[labels]
    flow = stationary[:, None] * np.linalg.matrix_power(walk, time)
    wanted = np.trace(onehot.T @ (flow - np.outer(stationary, stationary)) @ onehot)
    assert markov_stability(pairs, labels, time) == pytest.approx(wanted, abs=1e-9)
    if time == 1:
        assert wanted == pytest.approx(modularity(affinity, labels))


def chain_and_ball() -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """Two chained groups and one ball of their size, the true partition and one across the ball."""
    rng = np.random.default_rng(0)
    big = rng.random((80, 80)) < 0.5
    chain = np.zeros((160, 160))
    chain[:80, :80] = big
    for start in (80, 120):
        chain[start : start + 40, start : start + 40] = rng.random((40, 40)) < 0.5
    chain[79, 80] = 1
    chain[80:120, 120:] = rng.random((40, 40)) < 0.02
    affinity = sp.csr_matrix(np.maximum(chain, chain.T))
    return affinity, np.repeat([0, 1, 2], [80, 40, 40]), np.repeat([0, 1, 2], [40, 40, 80])


def test_stability_prefers_true_borders_to_even_sizes() -> None:
    """A cut through the ball is crossed soon."""
    affinity, right, wrong = chain_and_ball()
    pairs = smallest_eigenpairs(affinity, 12)
    assert markov_stability(pairs, right, 16) > markov_stability(pairs, wrong, 16) + 0.01


def test_ties_are_settled_by_clear_differences_of_stability(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stability_module, "_JUDGING_TIME", 16)
    affinity, right, wrong = chain_and_ball()
    pairs = smallest_eigenpairs(affinity, 12)
    stable = [markov_stability(pairs, labels, 16) for labels in (wrong, right)]
    assert stable[0] < 0.95 * stable[1]
    one_moved = right.copy()
    one_moved[0] = 1
    assert markov_stability(pairs, one_moved, 16) > 0.95 * stable[1]
    candidates = [wrong, right, one_moved]
    assert best_partition(candidates, [0.501, 0.5, 0.4995], pairs) == 1  # the wrong one is tied
    assert best_partition(candidates, [0.503, 0.5, 0.4995], pairs) == 0  # and here it is not
    assert best_partition(candidates, [0.501, 0.5, 0.5003], pairs) == 2  # both stable: modularity
    assert best_partition(candidates, [-np.inf, -np.inf, 0.1], pairs) == 2
    assert best_partition(candidates, [0.5, -np.inf, -np.inf], pairs) == 0


def test_merging_takes_the_stable_one_of_tied_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    affinity, right, wrong = chain_and_ball()
    pairs = smallest_eigenpairs(affinity, 12)
    starts = cycle([wrong, right])
    monkeypatch.setattr(
        assign_module, "micro_clusters", lambda *_, **__: (next(starts), np.zeros((3, 12)))
    )
    monkeypatch.setattr(stability_module, "TIE", 1.0)
    monkeypatch.setattr(stability_module, "_JUDGING_TIME", 16)
    found = assign_labels(pairs.vectors, 3, method="merge", affinity=affinity, pairs=pairs)
    assert same_partition(found.labels, right)


def test_gains_are_those_of_moving_one_row() -> None:
    rng = np.random.default_rng(0)
    graph = sp.csr_matrix(random_graph(15, rng))
    labels = np.append([0, 1, 2], rng.integers(3, size=12))
    gains = move_gains(graph, labels)
    for row in range(15):
        for cluster in range(3):
            moved = np.where(np.arange(15) == row, cluster, labels)
            wanted = modularity(graph, moved) - modularity(graph, labels)
            assert gains[row, cluster] - gains[row, labels[row]] == pytest.approx(wanted)
    better = move_rows(graph, labels)
    assert modularity(graph, better) >= modularity(graph, labels)
    assert len(np.unique(better)) == 3


def test_an_exchange_is_the_best_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    places = np.repeat(np.eye(5), 8, axis=0) + rng.normal(0, 0.05, (40, 5))
    graph = sp.csr_matrix(random_graph(40, rng))
    labels = np.repeat([0, 0, 1, 2, 3], 8)
    found = exchanged(labels, places, graph, rng=rng)[0]
    cut = np.repeat([0, 4, 1, 2, 3], 8)
    pairs = [pair for pair in combinations(range(5), 2) if pair != (0, 4)]
    wanted = [modularity(graph, np.where(cut == b, a, cut)) for a, b in pairs]
    assert modularity(graph, found) == pytest.approx(max(wanted))
    assert len(np.unique(found)) == 4


def test_what_no_candidate_has_is_found_by_an_exchange() -> None:
    """Every candidate cuts one ball in two and joins two others."""
    X, y = make_blobs(400, centers=np.eye(5) * 9, n_features=5, random_state=0)
    graph = KNN(7).fit(X, SearchOptions()).matrix
    pairs = smallest_eigenpairs(graph, 5)
    halved = np.where(y == 4, 3, y)
    halved[np.flatnonzero(y == 0)[::2]] = 4
    found = choose_partition([halved, np.zeros(400, dtype=int)], graph, 5, pairs.vectors)
    assert accuracy(y, found) == 1.0
    np.testing.assert_array_equal(choose_partition([y], graph, 5, pairs.vectors), y)
    two = choose_partition([np.minimum(y, 1)], graph, 2, pairs.vectors)
    np.testing.assert_array_equal(two, np.minimum(y, 1))


def test_merging_is_not_measured_by_what_leaves_all_in_one_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, truth = make_blobs(90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    graph = KNN(8).fit(rows.astype(np.float32), SearchOptions()).matrix
    vectors = smallest_eigenpairs(graph, 9).vectors
    apart = np.zeros(90, dtype=np.int64)
    apart[[0, 1]] = 1, 2
    joined = np.where(truth == 2, 1, truth)
    rng = np.random.default_rng(0)
    for plain, held in ((apart, True), (joined, False)):
        monkeypatch.setattr(assign_module, "kmeans", lambda *_, p=plain, **__: (p, None))
        monkeypatch.setattr(
            assign_module, "normalized_cut", lambda _, labels, p=plain: 1.0 if labels is p else 9.0
        )
        assert assign_module.holds_against(truth, vectors, graph, rng) is held
    # where both have less than chance neither is anything
    single = np.arange(90)
    monkeypatch.setattr(assign_module, "kmeans", lambda *_, **__: (np.roll(single, 1), None))
    assert modularity(graph, single) < 0
    assert not assign_module.holds_against(np.where(single == 1, 0, single), vectors, graph, rng)
