from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from fiedler.evaluation import (
    accuracy,
    ari,
    calinski_harabasz,
    confusion_matrix,
    eigengap,
    match_labels,
    nmi,
    pairwise_f,
    purity,
    score_all,
    silhouette,
)
from fiedler.exceptions import InputError

Metric = Callable[..., float]
METRICS: list[Metric] = [accuracy, nmi, ari, pairwise_f, purity]


@st.composite
def labellings(draw: st.DrawFn, most: int = 5) -> tuple[list[int], list[int]]:
    n = draw(st.integers(1, 14))
    ids = st.integers(0, most - 1)
    one = st.lists(ids, min_size=n, max_size=n)
    return draw(one), draw(one)


def brute_accuracy(y: list[int], c: list[int]) -> float:
    classes, clusters = sorted(set(y)), sorted(set(c))
    targets = classes + [-1 - i for i in range(len(clusters))]
    best = max(
        sum(dict(zip(clusters, chosen, strict=True))[b] == a for a, b in zip(y, c, strict=True))
        for chosen in permutations(targets, len(clusters))
    )
    return best / len(y)


def brute_pair_counts(y: list[int], c: list[int]) -> tuple[int, int, int, int]:
    both = only_c = only_y = neither = 0
    for i, j in combinations(range(len(y)), 2):
        same_y, same_c = y[i] == y[j], c[i] == c[j]
        both += same_y and same_c
        only_c += same_c and not same_y
        only_y += same_y and not same_c
        neither += not same_y and not same_c
    return both, only_c, only_y, neither


@given(labellings(most=4))
def test_accuracy_is_the_best_of_all_matchings(pair: tuple[list[int], list[int]]) -> None:
    assert accuracy(*pair) == pytest.approx(brute_accuracy(*pair))


@given(labellings())
def test_pair_figures_against_all_pairs(pair: tuple[list[int], list[int]]) -> None:
    both, only_c, only_y, neither = brute_pair_counts(*pair)
    pairs = both + only_c + only_y
    expected = 1.0 if pairs == 0 else 2 * both / (2 * both + only_c + only_y)
    assert pairwise_f(*pair) == pytest.approx(expected)
    bottom = (both + only_y) * (only_y + neither) + (both + only_c) * (only_c + neither)
    expected = 1.0 if bottom == 0 else 2 * (both * neither - only_c * only_y) / bottom
    assert ari(*pair) == pytest.approx(expected)


@given(labellings())
def test_purity_and_nmi_by_definition(pair: tuple[list[int], list[int]]) -> None:
    y, c = np.array(pair[0]), np.array(pair[1])
    largest = sum(np.bincount(y[c == k]).max() for k in set(pair[1]))
    assert purity(y, c) == pytest.approx(largest / len(y))
    joint = np.array([[np.mean((y == a) & (c == b)) for b in set(pair[1])] for a in set(pair[0])])
    product = np.outer(joint.sum(1), joint.sum(0))
    information = (joint[joint > 0] * np.log(joint[joint > 0] / product[joint > 0])).sum()
    entropies = [-(p * np.log(p)).sum() for p in (joint.sum(0), joint.sum(1))]
    expected = 1.0 if sum(entropies) == 0 else information / np.mean(entropies)
    assert nmi(y, c) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("metric", METRICS)
@given(labellings(), st.permutations(range(5)))
def test_names_do_not_matter(
    metric: Metric, pair: tuple[list[int], list[int]], names: list[int]
) -> None:
    y, c = pair
    value = metric(y, c)
    assert metric(y, [names[i] for i in c]) == pytest.approx(value, abs=1e-12)
    assert metric([f"class {i}" for i in y], [i / 2 for i in c]) == pytest.approx(value, abs=1e-12)
    assert -0.5 <= value <= 1.0
    assert metric(y, y) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", [accuracy, nmi, ari, pairwise_f])
@given(labellings())
def test_symmetry(metric: Metric, pair: tuple[list[int], list[int]]) -> None:
    assert metric(*pair) == pytest.approx(metric(*pair[::-1]), abs=1e-12)


@given(labellings())
def test_matched_order(pair: tuple[list[int], list[int]]) -> None:
    y, c = np.array(pair[0]), np.array(pair[1])
    table, classes, clusters = confusion_matrix(y, c)
    assert np.trace(table) == round(accuracy(y, c) * len(y))
    for i, a in enumerate(classes):
        for j, b in enumerate(clusters):
            assert table[i, j] == np.sum((y == a) & (c == b))
    renamed = match_labels(y, c)
    assert np.mean(renamed == y) == pytest.approx(accuracy(y, c))
    assert ari(renamed, c) == 1.0  # the clusters themselves stay as they were


def test_surplus_clusters_get_names_of_their_own() -> None:
    assert match_labels([5, 5, 7], [0, 1, 2]).tolist() == [5, 8, 7]
    renamed = match_labels(["a", "a", "a", "b"], [0, 0, 9, 1])
    assert renamed.tolist() == ["a", "a", "cluster 9", "b"]
    assert match_labels(["a", "b"], [1, 0]).tolist() == ["a", "b"]


def test_score_all() -> None:
    scores = score_all([0, 0, 1, 1], ["x", "x", "x", "y"])
    assert list(scores) == ["acc", "nmi", "ari", "pairwise_f", "purity"]
    assert scores["acc"] == scores["purity"] == 0.75
    assert all(type(value) is float for value in scores.values())


@pytest.mark.parametrize("metric", [*METRICS, match_labels, confusion_matrix])
@pytest.mark.parametrize(
    ("y", "c", "message"),
    [
        ([0, 1], [0, 1, 1], "y_true has 2 labels and y_pred 3"),
        ([], [], "y_true is empty"),
        ([0.0, np.nan], [0, 1], "NaN or infinite labels, the first in row 1"),
        ([0, 1], np.array([None, 1]), "y_pred holds 1 missing"),
        ([[0, 1]], [0, 1], "shape"),
        ([0, 1], np.array(["a", 1], dtype=object), "cannot be sorted"),
    ],
)
def test_bad_labels(metric: Metric, y: object, c: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(y, c)


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 9000)
    return rng.normal(size=(9000, 3)) + 3 * rng.normal(size=(4, 3))[y], y


def test_silhouette(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    exact = sklearn.metrics.silhouette_score(X[:800], y[:800])
    assert silhouette(X[:800], y[:800]) == pytest.approx(exact)
    sampled = silhouette(X, y, max_rows=2000)
    assert sampled == silhouette(X, y, max_rows=2000)
    assert sampled == pytest.approx(sklearn.metrics.silhouette_score(X, y), abs=0.02)
    few = np.where(np.arange(9000) == 17, 1, 0)  # one row against all others
    assert -1 <= silhouette(X, few, max_rows=50) <= 1


def test_calinski_harabasz(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    expected = sklearn.metrics.calinski_harabasz_score(X, y)
    assert calinski_harabasz(X, y) == pytest.approx(expected)
    assert calinski_harabasz(X + 1e6, y) == pytest.approx(expected)
    assert calinski_harabasz(torch.from_numpy(X), y) == pytest.approx(expected)
    assert calinski_harabasz(csr_array(X), y) == pytest.approx(expected)
    assert calinski_harabasz(X.reshape(9000, 3, 1), y) == pytest.approx(expected)
    assert calinski_harabasz(np.array([[0.0], [0.0], [1.0]]), [0, 0, 1]) == np.inf
    assert calinski_harabasz(np.zeros((3, 1)), [0, 0, 1]) == 0.0


@pytest.mark.parametrize("figure", [silhouette, calinski_harabasz])
def test_unsupervised_bad_input(figure: Metric) -> None:
    X = np.arange(12.0).reshape(6, 2)
    labels = [0, 0, 0, 1, 1, 1]
    with pytest.raises(InputError, match="6 rows and labels 5"):
        figure(X, labels[:5])
    with pytest.raises(InputError, match="1 clusters of 6 rows"):
        figure(X, [0] * 6)
    with pytest.raises(InputError, match="6 clusters of 6 rows"):
        figure(X, range(6))
    X[4, 1] = np.nan
    with pytest.raises(InputError, match="row 4"):
        figure(X, labels)


def test_silhouette_sample_too_small() -> None:
    with pytest.raises(InputError, match="max_rows=2;"):
        silhouette(np.zeros((9, 1)), [0, 1, 2] * 3, max_rows=2)
    with pytest.raises(InputError, match="raise max_rows"):
        silhouette(np.zeros((200, 1)), np.arange(200) // 2, max_rows=5)


def test_eigengap() -> None:
    assert eigengap([0.0, 0.0, 0.5, 0.6]).tolist() == pytest.approx([0.0, 0.5, 0.1])
    assert eigengap([1e-12, 0.0]).tolist() == [0.0]
    for bad, message in [
        ([0.0], "at least 2"),
        ([0.0, np.nan], "eigenvalue 1 is nan"),
        ([1.0, 0.9], "ascending"),
    ]:
        with pytest.raises(InputError, match=message):
            eigengap(bad)
