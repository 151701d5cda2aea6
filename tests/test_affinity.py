"""Affinities against the formulas they stand for, computed densely in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from graphs import OPTIONS, dense
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial.distance import cdist
from sklearn.datasets import make_blobs, make_moons

from fiedler.exceptions import InputError, NotEnoughMemoryError
from fiedler.graph import (
    KNN,
    Epsilon,
    Gaussian,
    epsilon,
    gaussian,
    knn,
    symmetrized,
)
from fiedler.graph.blocks import RowBlocks
from fiedler.graph.epsilon import bottleneck_edge, radius_graph
from fiedler.graph.kernel import KernelOperator
from fiedler.graph.neighbors import nearest_neighbors

POINTS = np.random.default_rng(0).normal(size=(90, 4))
NEW = np.random.default_rng(1).normal(size=(25, 4))
FEATURES = [
    KNN(6),
    KNN(6, weights="gaussian"),
    KNN(6, weights="self-tuning"),
    KNN(9, weights="self-tuning", metric="cosine", scale_neighbor=3),
    Epsilon(),
    Epsilon(1.5),
    Gaussian(),
    Gaussian(0.8),
    Gaussian("self-tuning"),
]


def longest_tree_edge(points: np.ndarray) -> float:
    """Dense float64 oracle; coinciding points get a tiny distance, since 0 means "no edge"."""
    distances = np.maximum(cdist(points, points), 1e-200)
    np.fill_diagonal(distances, 0)
    return float(minimum_spanning_tree(distances).data.max())


def n_components(matrix: Any) -> int:
    return int(connected_components(sp.csr_matrix(matrix), directed=False)[0])


def knn_oracle(points: np.ndarray, queries: np.ndarray, affinity: KNN, k: int) -> np.ndarray:
    """``A`` of the queries to the points (no self-neighbours where they are the same array)."""
    if affinity.metric == "cosine":
        points, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (points, queries))
    base = cdist(points, points)
    np.fill_diagonal(base, np.inf)
    at = min(affinity.scale_neighbor, k) - 1
    kth = np.sort(base, axis=1)[:, at]
    distances = cdist(queries, points)
    if queries.shape == points.shape and np.array_equal(queries, points):
        distances = base
    own = np.sort(distances, axis=1)[:, at]
    sigma = np.median(kth)
    weights = {
        "binary": lambda: np.ones_like(distances),
        "gaussian": lambda: np.exp(-(distances**2) / (2 * sigma**2)),
        "self-tuning": lambda: np.exp(-(distances**2) / np.outer(own, kth)),
    }[affinity.weights]()
    order = np.argsort(distances, axis=1)[:, :k]
    result = np.zeros_like(distances)
    np.put_along_axis(result, order, np.take_along_axis(weights, order, axis=1), axis=1)
    return result


# ---- nearest neighbours -------------------------------------------------------------------------


@pytest.mark.parametrize("affinity", [a for a in FEATURES if isinstance(a, KNN)], ids=repr)
def test_knn_is_its_formula(affinity: KNN) -> None:
    k = int(affinity.n_neighbors or 0)
    fitted = affinity.fit(POINTS, OPTIONS)
    directed = knn_oracle(POINTS, POINTS, affinity, k)
    np.testing.assert_allclose(dense(fitted.matrix), (directed + directed.T) / 2, rtol=1e-4)
    np.testing.assert_allclose(
        dense(fitted.cross(NEW).weights), knn_oracle(POINTS, NEW, affinity, k), rtol=1e-4
    )
    assert fitted.neighbors is not None
    assert fitted.neighbors.n_neighbors == k


def test_knn_goes_by_rows_and_features_or_takes_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = np.tile(POINTS, (1, 10))
    for few, many, wanted in ((91, 200, 10), (50, 91, 5), (50, 90, 7)):  # POINTS are 90 rows
        monkeypatch.setattr(knn, "_FEW_ROWS", few)
        monkeypatch.setattr(knn, "_MANY_ROWS", many)
        for rows, count in ((wide, wanted), (POINTS, 10)):  # POINTS have few features
            neighbors = KNN().fit(rows, OPTIONS).neighbors
            assert neighbors is not None
            assert neighbors.n_neighbors == count
    five = KNN(weights="self-tuning").fit(POINTS[:5], OPTIONS)  # scale neighbour 7 of only 4
    assert five.neighbors is not None
    assert five.neighbors.n_neighbors == 4
    assert (dense(five.matrix)[~np.eye(5, dtype=bool)] > 0).all()


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(3, 25), st.integers(1, 3)),
        elements=st.integers(-6, 6).map(float),
    ),
    st.sampled_from(["binary", "gaussian", "self-tuning"]),
    st.integers(1, 24),
)
def test_knn_is_symmetric_nonnegative_and_without_loops(
    points: np.ndarray, weights: Any, k: int
) -> None:
    k = min(k, len(points) - 1)
    far = np.sort(cdist(points, points), axis=1)[:, min(7, k)]
    assume(weights == "binary" or far.any())  # else the data have no scale: an error
    matrix = KNN(k, weights=weights).fit(points, OPTIONS).matrix
    assert isinstance(matrix, sp.csr_matrix)
    assert abs(matrix - matrix.T).max() == 0
    assert matrix.data.min() > 0
    assert matrix.data.max() <= 1
    assert (matrix.diagonal() == 0).all()
    assert (matrix.getnnz(axis=1) >= k).all()
    assert matrix.has_canonical_format


def test_far_neighbors_keep_a_tiny_weight() -> None:
    """An edge that the search found must not vanish by underflow: the graph would fall apart."""
    points = np.concatenate([np.linspace(0, 1, 30), [1e4]])[:, None]
    matrix = dense(KNN(3, weights="gaussian").fit(points, OPTIONS).matrix)
    assert (matrix[-1] > 0).sum() == 3
    assert n_components(matrix) == 1


def test_a_row_with_many_duplicates_takes_the_common_scale() -> None:
    points = np.vstack([np.zeros((9, 2)), np.random.default_rng(3).normal(5, 1, (40, 2))])
    fitted = KNN(8, weights="self-tuning").fit(points, OPTIONS)
    assert (fitted.state["scales"] > 0).all()
    assert np.isfinite(dense(fitted.matrix)).all()
    assert np.isfinite(dense(fitted.cross(points[:3]).weights)).all()


@pytest.mark.parametrize("affinity", [KNN(weights="gaussian"), Gaussian(), Gaussian("self-tuning")])
def test_equal_rows_have_no_scale(affinity: Any) -> None:
    with pytest.raises(InputError, match="no scale"):
        affinity.fit(np.ones((20, 3)), OPTIONS)


def test_symmetrized() -> None:
    directed = sp.csr_matrix(np.array([[0, 2.0, 0], [0, 0, 4], [1, 0, 0]]))
    np.testing.assert_array_equal(
        symmetrized(directed).toarray(), [[0, 1, 0.5], [1, 0, 2], [0.5, 2, 0]]
    )


# ---- epsilon ------------------------------------------------------------------------------------


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(2, 40), st.integers(1, 3)),
        elements=st.integers(-200, 200).map(lambda i: i / 8),
    ),
)
def test_radius_is_the_longest_edge_of_the_spanning_tree(points: np.ndarray) -> None:
    assume(len(np.unique(points, axis=0)) > 1)
    fitted = Epsilon().fit(points, OPTIONS)
    assert fitted.state["radius"][0] == pytest.approx(longest_tree_edge(points), rel=1e-5)
    assert n_components(fitted.matrix) == 1


@pytest.mark.parametrize("seed", range(5))
def test_epsilon_is_just_connected_at_one(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(120, 3))
    edge = longest_tree_edge(points)
    fitted = Epsilon().fit(points, OPTIONS)
    inside = cdist(points, points) <= edge * (1 + 1e-6)
    np.fill_diagonal(inside, False)
    np.testing.assert_array_equal(dense(fitted.matrix), inside)
    assert n_components(fitted.matrix) == 1
    assert n_components(Epsilon(0.999).fit(points, OPTIONS).matrix) == 2
    wide = Epsilon(2.5).fit(points, OPTIONS)
    assert wide.state["radius"][0] == pytest.approx(2.5 * edge, rel=1e-5)


@pytest.mark.parametrize("case", ["moons", "separated", "duplicates", "outliers"])
def test_above_the_limit_the_tree_is_found_among_neighbors(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    n = 3200 if case == "separated" else 800
    if n == 800:
        monkeypatch.setattr(epsilon, "_PRIM_ROWS", 500)
    points: np.ndarray = {
        "moons": lambda: make_moons(n, noise=0.05, random_state=0)[0],
        # 16 groups: the neighbour graph is in pieces, which exact searches must join
        "separated": lambda: make_blobs(n, 5, centers=16, cluster_std=0.4, random_state=1)[0],
        "duplicates": lambda: np.repeat(rng.normal(size=(40, 3)), 20, axis=0),
        "outliers": lambda: np.vstack([rng.normal(size=(750, 4)), rng.normal(0, 90, (50, 4))]),
    }[case]()
    graph = nearest_neighbors(points, 10)
    assert len(points) > epsilon._PRIM_ROWS
    found = bottleneck_edge(RowBlocks(points), graph)
    assert found == pytest.approx(longest_tree_edge(points), rel=1e-5)


def test_epsilon_of_new_rows() -> None:
    fitted = Epsilon(1.2).fit(POINTS, OPTIONS)
    radius = fitted.state["radius"][0]
    new = np.vstack([NEW, POINTS[:3], np.full((1, 4), 50.0)])
    distances = cdist(new, POINTS)
    expected = (distances <= radius).astype(float)
    outside = expected.sum(1) == 0
    assert outside[-1]
    expected[outside, distances[outside].argmin(1)] = 1  # the nearest row stands in
    np.testing.assert_array_equal(dense(fitted.cross(new).weights), expected)


def test_radius_graph_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epsilon, "block_size", lambda *_, **__: 16)
    blocks = RowBlocks(POINTS)
    expected = cdist(POINTS, POINTS) <= 1.7
    np.testing.assert_array_equal(radius_graph(blocks, blocks, 1.7).toarray(), expected)
    np.fill_diagonal(expected, False)
    found = radius_graph(blocks, blocks, 1.7, drop_self=True)
    np.testing.assert_array_equal(found.toarray(), expected)


def test_too_many_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epsilon, "_MAX_EDGES", 500)
    with pytest.raises(NotEnoughMemoryError, match=r"more than 500 edges .* lower Epsilon\(scale"):
        Epsilon(10.0).fit(POINTS, OPTIONS)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_epsilon_needs_a_positive_scale(scale: float) -> None:
    with pytest.raises(InputError, match="positive scale, got"):
        Epsilon(scale).fit(POINTS, OPTIONS)


# ---- Gaussian -----------------------------------------------------------------------------------


def gaussian_oracle(points: np.ndarray, queries: np.ndarray, sigma: Any, at: int) -> np.ndarray:
    base = cdist(points, points)
    np.fill_diagonal(base, np.inf)
    kth = np.sort(base, axis=1)[:, at - 1]
    distances = cdist(queries, points)
    if sigma == "self-tuning":
        own = kth if queries is points else np.sort(distances, axis=1)[:, at - 1]
        return np.exp(-(distances**2) / np.outer(own, kth))
    width = np.median(kth) if sigma == "median" else sigma
    return np.exp(-(distances**2) / (2 * width**2))


@pytest.mark.parametrize("sigma", ["median", "self-tuning", 0.7])
@pytest.mark.parametrize("formed", [True, False])
def test_gaussian_is_its_formula(sigma: Any, formed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not formed:
        monkeypatch.setattr(gaussian, "_FORMED_ROWS", 10)
    fitted = Gaussian(sigma, scale_neighbor=5).fit(POINTS, OPTIONS)
    expected = gaussian_oracle(POINTS, POINTS, sigma, 5)
    matrix = fitted.matrix
    if formed:
        assert isinstance(matrix, np.ndarray)
        assert matrix.dtype == np.float64
        assert (matrix == matrix.T).all()
        whole = matrix
    else:
        assert isinstance(matrix, KernelOperator)
        whole = matrix.matmat(np.eye(90))
        np.testing.assert_allclose(matrix.degrees(), expected.sum(1), rtol=1e-5)
    np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(
        fitted.cross(NEW).weights, gaussian_oracle(POINTS, NEW, sigma, 5), rtol=1e-4, atol=1e-12
    )


@pytest.mark.parametrize("sigma", [0.0, -2.0, float("nan")])
def test_gaussian_needs_a_positive_sigma(sigma: float) -> None:
    with pytest.raises(InputError, match="positive sigma, got"):
        Gaussian(sigma).fit(POINTS, OPTIONS)


def test_gaussian_of_few_rows() -> None:
    fitted = Gaussian().fit(POINTS[:3], OPTIONS)  # scale neighbour 7 of only 2
    np.testing.assert_allclose(fitted.matrix, gaussian_oracle(POINTS[:3], POINTS[:3], "median", 2))


# ---- what all affinities of features promise ----------------------------------------------------


@pytest.mark.parametrize("affinity", FEATURES, ids=repr)
def test_matrix_is_symmetric_and_nonnegative(affinity: Any) -> None:
    matrix = dense(affinity.fit(POINTS, OPTIONS).matrix)
    assert matrix.shape == (90, 90)
    assert (matrix == matrix.T).all()
    assert matrix.min() >= 0


@pytest.mark.parametrize("affinity", FEATURES, ids=repr)
def test_restored_affinity_relates_new_rows_alike(affinity: Any) -> None:
    fitted = affinity.fit(POINTS, OPTIONS)
    restored = affinity.restore(POINTS, fitted.state, OPTIONS)
    np.testing.assert_array_equal(
        dense(restored.cross(NEW).weights), dense(fitted.cross(NEW).weights)
    )
    assert restored.matrix.shape == (0, 0)
    assert restored.neighbors is None
    np.testing.assert_array_equal(restored.cross(NEW).twins, -1)
    np.testing.assert_array_equal(restored.cross(POINTS[[4, 2]]).twins, [4, 2])


@pytest.mark.parametrize("affinity", FEATURES, ids=repr)
def test_one_new_row_is_related_as_in_company(affinity: Any) -> None:
    fitted = affinity.fit(POINTS, OPTIONS)
    together = dense(fitted.cross(NEW).weights)
    alone = np.vstack([dense(fitted.cross(row[None]).weights) for row in NEW])
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("affinity", FEATURES, ids=repr)
def test_two_rows_suffice(affinity: Any) -> None:
    smaller = KNN(1, affinity.weights) if isinstance(affinity, KNN) else affinity
    matrix = dense(smaller.fit(POINTS[:2], OPTIONS).matrix)
    assert matrix[0, 1] == matrix[1, 0] > 0


# ---- rows without a direction -------------------------------------------------------------------


def unit_rows_and_zeros(n_zeros: int, form: str) -> tuple[Any, np.ndarray]:
    """Sixty unit vectors, most of them farther from each other than from the origin."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(60 + n_zeros, 12))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    zeros = np.sort(rng.choice(len(rows), n_zeros, replace=False))
    rows[zeros] = 0
    return (sp.csr_matrix(rows) if form == "sparse" else rows.astype(np.float32)), zeros


@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("weights", ["binary", "gaussian", "self-tuning"])
@pytest.mark.parametrize("n_zeros", [1, 2, 5, 40])
def test_rows_of_zeros_are_neighbors_of_each_other_only(
    n_zeros: int, weights: Any, metric: Any, form: str
) -> None:
    rows, zeros = unit_rows_and_zeros(n_zeros, form)
    affinity = KNN(6, weights=weights, metric=metric)
    fitted = affinity.fit(rows, OPTIONS)
    matrix = dense(fitted.matrix)
    others = np.setdiff1d(np.arange(len(matrix)), zeros)
    assert not matrix[np.ix_(zeros, others)].any()
    assert not matrix.diagonal().any()
    assert n_components(fitted.matrix[zeros][:, zeros]) == 1
    alone = affinity.fit(rows[others], OPTIONS)
    np.testing.assert_allclose(matrix[np.ix_(others, others)], dense(alone.matrix), rtol=1e-5)
    restored = affinity.restore(rows, fitted.state, OPTIONS)
    for cross in (fitted.cross(rows), restored.cross(rows)):
        related = dense(cross.weights) > 0
        assert not related[np.ix_(others, zeros)].any()
        assert not related[np.ix_(zeros, others)].any()
        assert related[zeros].any(axis=1).all()
        np.testing.assert_array_equal(cross.twins[zeros], zeros[0])
        np.testing.assert_array_equal(cross.twins[others], others)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_new_row_of_zeros_has_no_affinity_where_none_was_fitted(metric: Any) -> None:
    rows, _ = unit_rows_and_zeros(0, "dense")
    new = np.vstack([rows[:2], np.zeros((1, 12), np.float32)])
    cross = KNN(6, metric=metric).fit(rows, OPTIONS).cross(new)
    np.testing.assert_array_equal(dense(cross.weights).sum(axis=1) > 0, [True, True, False])
    np.testing.assert_array_equal(cross.twins, [0, 1, -1])


def test_zeros_are_rows_like_others_where_lengths_mean_something() -> None:
    points = np.random.default_rng(5).normal(size=(50, 2))
    points[7] = 0
    matrix = dense(KNN(4).fit(points, OPTIONS).matrix)
    nearest = np.argsort(np.linalg.norm(points, axis=1))[1:5]
    assert (matrix[7, nearest] > 0).all()
    few = np.vstack([np.zeros((9, 3)), [[1.0, 0, 0]]])  # one direction has no neighbour by angle
    assert KNN(3).fit(few, OPTIONS).matrix.shape == (10, 10)
