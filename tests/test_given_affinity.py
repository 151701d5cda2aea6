"""Affinities that the caller brings, and the dispatcher over names, objects and functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from graphs import OPTIONS, dense

from fiedler.exceptions import InputError
from fiedler.graph import (
    KNN,
    Epsilon,
    FromCallable,
    Gaussian,
    Precomputed,
    check_affinity,
    resolve_affinity,
)

POINTS = np.random.default_rng(0).normal(size=(90, 4))
NEW = np.random.default_rng(1).normal(size=(25, 4))

GIVEN = np.array([[1.0, 0.5, 0], [0.5, 0, 0.25], [0, 0.25, 0]])


@pytest.mark.parametrize("convert", [np.array, sp.csr_matrix, sp.coo_array, sp.lil_matrix])
def test_a_given_matrix_is_taken_as_it_is(convert: Any) -> None:
    fitted = Precomputed().fit(convert(GIVEN), OPTIONS)
    np.testing.assert_array_equal(dense(fitted.matrix), GIVEN)
    assert sp.issparse(fitted.matrix) == (convert is not np.array)
    assert fitted.matrix.dtype == np.float64
    np.testing.assert_array_equal(fitted.cross(convert(GIVEN)).twins, -1)
    for cross in (fitted.cross, Precomputed().restore(GIVEN, {}, OPTIONS).cross):
        np.testing.assert_array_equal(dense(cross(convert(GIVEN[:2])).weights), GIVEN[:2])
        with pytest.raises(InputError, match="must not be negative, its smallest entry is -1"):
            cross(convert(-GIVEN))
        with pytest.raises(InputError, match=r"shape \(m, 3\), .* fitted row; got shape \(3, 2\)"):
            cross(convert(GIVEN[:, :2]))


def test_integers_and_booleans_are_affinities() -> None:
    np.testing.assert_array_equal(check_affinity(np.eye(3, dtype=int)), np.eye(3))
    np.testing.assert_array_equal(dense(check_affinity(sp.eye(3, dtype=bool))), np.eye(3))


@pytest.mark.parametrize("convert", [np.array, sp.csr_matrix])
@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((3, 2)), r"square matrix of shape \(n, n\), got shape \(3, 2\).*'knn'"),
        (GIVEN - 2 * np.eye(3), "must not be negative, its smallest entry is -2"),
        (GIVEN + np.diag([0, np.nan, 0]), "NaN or infinite"),
        (GIVEN + np.diag([0, np.inf, 0]), "NaN or infinite"),
        (np.triu(GIVEN), r"symmetric; .* by up to 0.5. Pass \(W \+ W.T\) / 2"),
    ],
)
def test_what_is_no_affinity_is_refused(convert: Any, matrix: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Precomputed().fit(convert(matrix), OPTIONS)
    if matrix.shape == (3, 3):
        with pytest.raises(InputError, match=message):
            FromCallable(lambda a, b: convert(matrix)).fit(POINTS[:3], OPTIONS)


def test_rounding_is_no_asymmetry() -> None:
    check_affinity(GIVEN * (1 + 1e-12 * np.triu(np.ones((3, 3)))))
    with pytest.raises(InputError, match="symmetric"):
        check_affinity(GIVEN * (1 + 1e-5 * np.triu(np.ones((3, 3)))))


def test_shapes_that_are_no_matrix() -> None:
    for bad in (np.ones(4), np.ones((2, 2, 2)), [[1.0]]):
        with pytest.raises(InputError, match="square matrix"):
            check_affinity(bad)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_function_as_affinity(sparse: bool) -> None:
    def cosine_like(a: np.ndarray, b: np.ndarray) -> Any:
        values = np.abs(a @ b.T)
        return sp.csr_matrix(values) if sparse else values

    fitted = resolve_affinity(cosine_like).fit(POINTS, OPTIONS)
    np.testing.assert_allclose(dense(fitted.matrix), np.abs(POINTS @ POINTS.T))
    restored = FromCallable(cosine_like).restore(POINTS, fitted.state, OPTIONS)
    for one in (fitted, restored):
        np.testing.assert_allclose(dense(one.cross(NEW).weights), np.abs(NEW @ POINTS.T))


def test_a_function_must_return_one_entry_a_pair() -> None:
    with pytest.raises(InputError, match=r"shape \(90, 90\).*got \(4, 4\)"):
        FromCallable(lambda a, b: np.ones((4, 4))).fit(POINTS, OPTIONS)
    fitted = FromCallable(lambda a, b: np.ones((len(b), len(b)))).fit(POINTS, OPTIONS)
    with pytest.raises(InputError, match=r"shape \(25, 90\).*got \(90, 90\)"):
        fitted.cross(NEW)


def test_names_and_objects() -> None:
    assert resolve_affinity("knn") == KNN()
    assert resolve_affinity("self-tuning") == KNN(weights="self-tuning")
    assert resolve_affinity("epsilon") == Epsilon()
    assert resolve_affinity("gaussian") == Gaussian()
    assert resolve_affinity("precomputed") == Precomputed()
    mine = KNN(3)
    assert resolve_affinity(mine) is mine


@pytest.mark.parametrize("bad", ["nearest", 7, None])
def test_other_affinities_are_refused(bad: Any) -> None:
    with pytest.raises(InputError, match=r"affinity must be one of .*'knn'.* got " + repr(bad)):
        resolve_affinity(bad)


@pytest.mark.parametrize(
    ("affinity", "message"),
    [
        (KNN(weights="linear"), "weights must be one of .*'binary'.* got 'linear'"),  # type: ignore[arg-type]
        (Gaussian("mean"), "sigma must be one of .*'median'.* got 'mean'"),  # type: ignore[arg-type]
        (KNN(90), "between 1 and the number of rows less one, 89; got 90"),
    ],
)
def test_bad_parameters_are_named(affinity: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        affinity.fit(POINTS, OPTIONS)
