"""The Gaussian affinity as an operator against the matrix it stands for."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from fiedler.exceptions import InputError
from fiedler.graph.kernel import (
    AffinityMatrix,
    KernelOperator,
    as_affinity_matrix,
    median_sigma,
)


def rows(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def formed(
    X: np.ndarray, Y: np.ndarray, s: np.ndarray | float, t: np.ndarray | float
) -> np.ndarray:
    """The whole kernel in float64; a sigma is a scale of ``sqrt(2) sigma``."""
    scales = np.outer(np.broadcast_to(s, len(X)), np.broadcast_to(t, len(Y)))
    return np.exp(-cdist(X.astype(float), Y.astype(float), "sqeuclidean") / scales)


def seventh_neighbor(X: np.ndarray) -> np.ndarray:
    return np.sort(cdist(X, X), axis=1)[:, 7]


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return load_digits().data[:600].astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("self_tuning", [False, True])
def test_every_view_agrees_with_the_formed_matrix(
    digits: np.ndarray, dtype: type, self_tuning: bool
) -> None:
    kth = seventh_neighbor(digits)
    sigma = median_sigma(kth)
    s = kth if self_tuning else np.sqrt(2) * sigma
    scale = {"scales": kth} if self_tuning else {"sigma": sigma}
    # Tiles of 100 x 100, so that products take many of them and the last ones are cut short.
    size = np.dtype(dtype).itemsize
    W = KernelOperator(digits.astype(dtype), **scale, tile_bytes=100 * 100 * size)
    exact = formed(digits, digits, s, s)
    assert W.dtype == dtype
    assert W.shape == exact.shape
    tolerance = {"rtol": 1e-6 if dtype == np.float32 else 1e-11, "atol": 0}
    idx = np.array([5, 0, 599, 5])
    other = np.array([0, 7, 599])
    V = np.abs(rows(600, 3)).astype(dtype)
    # The exponents of distant pairs are large, so their entries carry more of the rounding.
    entries = {"rtol": 2e-5 if dtype == np.float32 else 1e-11, "atol": 0}
    np.testing.assert_allclose(W.columns(idx), exact[:, idx], **entries)
    np.testing.assert_allclose(W.block(idx, other), exact[np.ix_(idx, other)], **entries)
    np.testing.assert_allclose(W.degrees(), exact.sum(axis=1), **tolerance)
    np.testing.assert_allclose(W.matmat(V), exact @ V.astype(float), **tolerance)
    np.testing.assert_array_equal(W.diagonal(), np.ones(600))
    np.testing.assert_array_equal(W.columns(idx)[idx, np.arange(4)], np.ones(4))
    assert W.matmat(V).dtype == dtype
    assert W.degrees().dtype == np.float64


def test_near_entries_keep_six_digits_in_float32(digits: np.ndarray) -> None:
    sigma = median_sigma(seventh_neighbor(digits))
    W = KernelOperator(digits, sigma=sigma)
    exact = formed(digits, digits, np.sqrt(2) * sigma, np.sqrt(2) * sigma)
    near = exact > 0.1
    found = W.columns(np.arange(600))
    assert np.abs(found[near] / exact[near] - 1).max() < 2e-6


@given(
    n=st.integers(2, 40), d=st.integers(1, 6), seed=st.integers(0, 10**6), tile=st.integers(1, 9)
)
def test_products_do_not_depend_on_the_tiles(n: int, d: int, seed: int, tile: int) -> None:
    X = rows(n, d, seed)
    scales = np.random.default_rng(seed).uniform(0.5, 2.0, n)
    V = rows(n, 2, seed + 1)
    W = KernelOperator(X, scales=scales, tile_bytes=8 * tile * tile)
    exact = formed(X, X, scales, scales)
    np.testing.assert_allclose(W.matmat(V), exact @ V, atol=1e-12)
    np.testing.assert_allclose(W.degrees(), exact.sum(axis=1), atol=1e-12)


def test_data_far_from_the_origin_and_short_scales_stay_accurate() -> None:
    X = (rows(300, 5) * 1e-3 + 1000.0).astype(np.float64)
    W = KernelOperator(X, sigma=1e-3)
    s = np.sqrt(2) * 1e-3
    np.testing.assert_allclose(W.degrees(), formed(X, X, s, s).sum(axis=1), rtol=1e-8)
    Z = rows(300, 5).astype(np.float32)
    short = KernelOperator(Z, sigma=0.05)
    assert short.dtype == np.float64  # float32 would round |x|^2 / s^2 by more than 1e-6
    t = np.sqrt(2) * 0.05
    np.testing.assert_allclose(short.degrees(), formed(Z, Z, t, t).sum(axis=1), rtol=1e-10)


def test_new_rows_meet_the_old_ones(digits: np.ndarray) -> None:
    old, new = digits[:500], digits[500:]
    kth, new_kth = seventh_neighbor(old), seventh_neighbor(new)
    tuned = KernelOperator(old, scales=kth, tile_bytes=4 * 64 * 64)
    exact = formed(new, old, new_kth, kth)
    np.testing.assert_allclose(tuned.cross(new, scales=new_kth), exact, rtol=2e-5)
    fixed = KernelOperator(old, sigma=20.0)
    np.testing.assert_allclose(fixed.cross(old), fixed.columns(np.arange(500)), atol=2e-6)
    np.testing.assert_allclose(fixed.cross(new[:1]), fixed.cross(new)[:1], rtol=1e-5)


def test_memory_stays_far_below_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    n, tile = 4000, 256
    W = KernelOperator(rows(n, 8).astype(np.float32), sigma=1.0, tile_bytes=4 * tile * tile)
    largest = 0
    entries = KernelOperator._entries

    def watched(left, other):
        nonlocal largest
        result = entries(left, other)
        largest = max(largest, result.numel())
        return result

    monkeypatch.setattr(KernelOperator, "_entries", staticmethod(watched))
    tracemalloc.start()
    W.matmat(np.ones((n, 4)))
    W.degrees()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert largest <= tile * tile  # torch's memory: the tiles
    assert peak < n * n * 4 / 20  # numpy's memory


def test_the_width_follows_the_data() -> None:
    assert median_sigma([1.0, 2.0, 9.0]) == 2.0
    assert median_sigma([0.0, 0.0, 0.0, 4.0]) == 4.0  # duplicates: median of the positive ones
    assert median_sigma(np.array([1.0, 2.0, 9.0]) * 7) == 14.0


@pytest.mark.parametrize("bad", [[], [0.0, 0.0], [1.0, np.nan], [1.0, -1.0]])
def test_a_width_needs_usable_distances(bad: list[float]) -> None:
    with pytest.raises(InputError, match="distances"):
        median_sigma(bad)


@pytest.mark.parametrize(
    ("X", "arguments", "message"),
    [
        (np.zeros((3, 2)), {}, "exactly one of sigma"),
        (np.zeros((3, 2)), {"sigma": 1.0, "scales": np.ones(3)}, "exactly one of sigma"),
        (np.zeros((3, 2)), {"sigma": 0.0}, "above 0"),
        (np.zeros((3, 2)), {"sigma": np.inf}, "above 0"),
        (np.zeros((3, 2)), {"scales": np.array([1.0, 0.0, 1.0])}, "scales must be 3"),
        (np.zeros((3, 2)), {"scales": np.ones(2)}, "scales must be 3"),
        (np.zeros(3), {"sigma": 1.0}, "matrix of numbers"),
        (np.zeros((0, 2)), {"sigma": 1.0}, "non-empty"),
        (np.array([["a", "b"]]), {"sigma": 1.0}, "matrix of numbers"),
        (np.array([[1.0, np.nan], [0, 0]]), {"sigma": 1.0}, r"NaN or infinity in 1 rows.*\[0\]"),
    ],
)
def test_unusable_arguments_are_named(X: np.ndarray, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        KernelOperator(X, **arguments)


def test_new_rows_are_checked() -> None:
    fixed = KernelOperator(rows(5, 3), sigma=1.0)
    with pytest.raises(InputError, match="Y has 2 columns"):
        fixed.cross(rows(4, 2))
    with pytest.raises(InputError, match="scales are needed exactly where"):
        fixed.cross(rows(4, 3), scales=np.ones(4))
    with pytest.raises(InputError, match="scales are needed exactly where"):
        KernelOperator(rows(5, 3), scales=np.ones(5)).cross(rows(4, 3))
    with pytest.raises(InputError, match=r"V must have shape \(5, b\)"):
        fixed.matmat(np.ones((4, 1)))


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, sparse.coo_matrix])
def test_matrices_get_the_same_interface(convert) -> None:
    A = np.abs(rows(20, 20))
    A = np.where(A + A.T > 2, A + A.T, 0)
    W = as_affinity_matrix(convert(A))
    assert isinstance(W, AffinityMatrix)
    V = rows(20, 3)
    np.testing.assert_allclose(W.matmat(V), A @ V)
    np.testing.assert_allclose(W.degrees(), A.sum(axis=1))
    np.testing.assert_array_equal(W.columns([3, 1]), A[:, [3, 1]])
    np.testing.assert_array_equal(W.block([3, 1, 0], [2, 4]), A[np.ix_([3, 1, 0], [2, 4])])
    np.testing.assert_array_equal(W.diagonal(), A.diagonal())


def test_only_square_matrices_of_numbers_are_affinities() -> None:
    kernel = KernelOperator(rows(5, 3), sigma=1.0)
    assert as_affinity_matrix(kernel) is kernel
    assert as_affinity_matrix(np.eye(3, dtype=int)).dtype == np.float64
    for bad in (np.ones((2, 3)), np.ones(4), sparse.eye_array(2, 3), np.array([["a"]])):
        with pytest.raises(InputError, match="square matrix of numbers"):
            as_affinity_matrix(bad)
