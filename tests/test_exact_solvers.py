"""Exact solvers against dense `eigh`: affinities, Laplacians, repeated and zero eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from graphs import (
    EXACT,
    LAPLACIANS,
    OPTIONS,
    REPEATED,
    blocks,
    check_pairs,
    dense,
    gapped_k,
    sine,
    small_graphs,
    symmetric_form,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence
from sklearn.datasets import load_digits, make_blobs, make_moons

from fiedler.exceptions import ConvergenceWarning
from fiedler.graph import KNN, Epsilon, Gaussian, Precomputed, build_laplacian
from fiedler.graph.kernel import KernelOperator
from fiedler.spectrum import Block, lanczos, smallest_eigenpairs, solvers
from fiedler.spectrum.block import block_eigenpairs
from fiedler.spectrum.lanczos import lanczos_eigenpairs

# ---- every affinity, Laplacian and exact solver -------------------------------------------------


@pytest.fixture(scope="module")
def affinities() -> dict[str, Any]:
    points = make_blobs(150, 4, centers=5, cluster_std=1.6, random_state=3)[0]
    fitted = {
        repr(affinity): affinity.fit(points, OPTIONS).matrix
        for affinity in [
            KNN(),
            KNN(8, weights="gaussian"),
            KNN(12, weights="self-tuning"),
            KNN(9, metric="cosine"),
            Epsilon(),
            Epsilon(1.6),
            Gaussian(),
            Gaussian("self-tuning"),
            Gaussian(2.0),
        ]
    }
    kernel = KernelOperator(points, sigma=1.5)
    fitted["kernel that is not formed"] = kernel
    fitted["precomputed"] = Precomputed().fit(np.abs(points @ points.T), OPTIONS).matrix
    return fitted


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("laplacian", LAPLACIANS)
def test_every_affinity(affinities: dict[str, Any], laplacian: str, solver: str) -> None:
    for W in affinities.values():
        k = gapped_k(W, laplacian)
        found = check_pairs(W, k, laplacian, solver)
        assert found.solver == solver


@pytest.mark.parametrize("solver", ["lanczos", "block"])
@pytest.mark.parametrize("k", [1, 2, 7, 30, 119, 120])
def test_any_number_of_pairs(solver: str, k: int) -> None:
    points = np.random.default_rng(5).normal(size=(120, 3))
    W = KNN(7, weights="gaussian").fit(points, OPTIONS).matrix
    for laplacian in LAPLACIANS:
        check_pairs(W, k, laplacian, solver)


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 12), st.sampled_from(LAPLACIANS))
def test_any_graph(seed: int, n: int, k: int, laplacian: str) -> None:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((n, n)) * (rng.random((n, n)) < rng.random()))  # loops too
    W = sp.csr_matrix(upper + upper.T)
    for solver in ("lanczos", "block"):
        check_pairs(W, min(k, n), laplacian, solver)


@pytest.mark.parametrize("laplacian", LAPLACIANS)
def test_tiny_graphs_and_every_k(laplacian: str) -> None:
    for W in small_graphs().values():
        for k in range(1, len(W) + 1):
            for solver in ("lanczos", "block"):
                check_pairs(W, k, laplacian, solver)


def test_one_row() -> None:
    for W in (np.zeros((1, 1)), np.ones((1, 1))):
        for solver in (*EXACT, "auto"):
            found = smallest_eigenpairs(W, 1, solver=solver)
            assert found.values.tolist() == [0.0]
            assert found.vectors.tolist() == [[1.0]]


# ---- null space and repeated eigenvalues --------------------------------------------------------


@pytest.mark.parametrize("solver", ["lanczos", "block"])
def test_no_zero_eigenvalue_is_lost(solver: str) -> None:
    """50 seeds, 1 to 12 components: as many zeros as components, whatever k."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        c = 1 + seed % 12
        sizes = rng.integers(1 if seed % 3 == 0 else 4, 21, c).tolist()
        W = blocks([*sizes[:-1], sizes[-1] + 40], rng)
        n = W.shape[0]
        for k in (c, min(c + 4, n)):
            found = smallest_eigenpairs(W, k, laplacian=LAPLACIANS[seed % 3], solver=solver)
            assert found.n_connected_components == c
            assert (found.values[:c] == 0).all()
            assert (found.values[c:] > 1e-6).all()
            true = np.linalg.eigvalsh(symmetric_form(dense(W), LAPLACIANS[seed % 3]))
            np.testing.assert_allclose(found.values, true[:k], atol=1e-6)
            assert found.component_sizes.sum() == n
            assert (np.diff(found.component_sizes) <= 0).all()


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("laplacian", LAPLACIANS)
def test_null_space_spans_the_indicators(laplacian: Any, solver: str) -> None:
    W = blocks([30, 50, 1, 8], np.random.default_rng(6))
    graph = build_laplacian(W, laplacian)
    found = smallest_eigenpairs(W, 6, laplacian=laplacian, solver=solver)
    assert found.component_sizes.tolist() == [50, 30, 8, 1]
    indicators = (graph.components[:, None] == np.arange(4)).astype(float)
    if laplacian == "sym":
        isolated = graph.degrees == 0
        indicators *= np.sqrt(np.where(isolated, 1, graph.degrees))[:, None]
    indicators /= np.linalg.norm(indicators, axis=0)
    np.testing.assert_allclose(found.vectors[:, :4], indicators, atol=1e-12)


@pytest.mark.parametrize("solver", EXACT)
def test_fewer_pairs_than_components_are_the_largest(solver: str) -> None:
    W = blocks([10, 40, 20], np.random.default_rng(7))
    found = smallest_eigenpairs(W, 2, laplacian="unnormalized", solver=solver)
    np.testing.assert_allclose((found.vectors > 0).sum(axis=0), [40, 20])
    assert found.values.tolist() == [0, 0]
    assert found.n_connected_components == 3


@pytest.mark.parametrize("solver", ["lanczos", "block"])
@pytest.mark.parametrize("name", REPEATED)
def test_repeated_eigenvalues_are_all_there(name: str, solver: str) -> None:
    W = REPEATED[name]
    n = len(W)
    for laplacian in LAPLACIANS:
        for k in (2, 3, 6, 11, n // 2, n - 2, n - 1, n):
            check_pairs(W, k, laplacian, solver)
            check_pairs(sp.csr_matrix(W), k, laplacian, solver)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_an_eigenvalue_repeated_more_often_than_the_block_is_wide(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block's end then is the wanted eigenvalue: the filter must favour it all the same."""
    monkeypatch.setattr(solvers, "_FLOAT32_ROWS", 10 if precision == "float32" else 10**6)
    products = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        result = block_eigenpairs(*args, **kwargs)
        products.append(result.n_products)
        return result

    monkeypatch.setattr(solvers, "block_eigenpairs", counted)
    for name in ("hypercube", "complete", "star", "bipartite"):
        for k in range(2, 20):
            check_pairs(sp.csr_matrix(REPEATED[name]), k, "unnormalized", "block", orthogonal=1e-5)
    assert max(products) < 300


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("features", "spread", "components"), [(30, 0.4, 6), (16, 3.5, 4)])
def test_the_leading_pairs_alone_must_be_accurate(
    features: int, spread: float, components: int, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the clusters of Gaussians there is no gap, and waiting for one buys nothing."""
    monkeypatch.setattr(solvers, "_FLOAT32_ROWS", 10 if precision == "float32" else 10**6)
    results = []

    def kept(*args: Any, **kwargs: Any) -> Any:
        results.append(block_eigenpairs(*args, **kwargs))
        return results[-1]

    monkeypatch.setattr(solvers, "block_eigenpairs", kept)
    points = make_blobs(900, features, centers=6, cluster_std=spread, random_state=1)[0]
    W = KNN(9).fit(points, OPTIONS).matrix
    assert build_laplacian(W).n_components == components
    matrix = symmetric_form(dense(W), "sym")
    values, vectors = np.linalg.eigh(matrix)
    found = smallest_eigenpairs(W, 19, leading=6, solver=Block(tol=1e-3, rest=0.02))
    assert sine(found.vectors[:, :6], vectors[:, :6]) <= 1e-3
    np.testing.assert_allclose(found.values[:6], values[:6], atol=1e-6)
    residual = np.linalg.norm(matrix @ found.vectors - found.vectors * found.values, axis=0)
    np.testing.assert_allclose(found.residuals, residual, atol=1e-7)
    assert 1e-4 < residual.max() <= 0.021 * values[18]
    assert (np.abs(values[:, None] - found.values).min(axis=0) <= residual + 1e-6).all()
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(19), atol=1e-6)
    smallest_eigenpairs(W, 19, solver=Block(tol=1e-3))
    assert 1.5 * results[0].n_products < results[1].n_products


def test_leading_pairs_without_a_gap_after_them() -> None:
    """The last of them is one of four equal ones, which are found together."""
    W = np.kron(np.eye(4), np.ones((12, 12))) + 0.01 * np.ones((48, 48))
    values, vectors = np.linalg.eigh(symmetric_form(W, "sym"))
    found = smallest_eigenpairs(sp.csr_matrix(W), 8, leading=2, solver=Block(1e-6, rest=0.02))
    assert sine(found.vectors[:, :4], vectors[:, :4]) <= 1e-5
    np.testing.assert_allclose(found.values, values[:8], atol=1e-6)


def test_identical_components_repeat_the_rest_of_their_spectrum() -> None:
    """Ten copies: each eigenvalue ten times, of which a single Krylov sequence holds one."""
    part = blocks([20], np.random.default_rng(8))
    W = sp.csr_matrix(sp.kron(sp.eye(10), part))
    for solver in ("lanczos", "block"):
        check_pairs(W, 30, "sym", solver)
        check_pairs(W, 34, "unnormalized", solver)


def test_isolated_rows() -> None:
    W = dense(blocks([20, 25], np.random.default_rng(9)))
    W = np.pad(W, (0, 3))
    for laplacian in LAPLACIANS:
        for solver in ("lanczos", "block"):
            found = check_pairs(sp.csr_matrix(W), 8, laplacian, solver)
            assert found.n_connected_components == 5
            assert (np.abs(found.vectors[45:, 5:]) < 1e-12).all()


def test_stored_zeros_are_no_edges() -> None:
    entries = np.kron(np.eye(3), np.ones((4, 4)))
    entries[0, 11] = entries[11, 0] = 9
    W = sp.csr_matrix(entries)
    W.data[W.data == 9] = 0
    assert W.nnz == 50
    assert smallest_eigenpairs(W, 4, solver="lanczos").n_connected_components == 3
    assert W.nnz == 50


@pytest.mark.parametrize("convert", [sp.csr_array, sp.coo_matrix, sp.csc_matrix])
def test_other_sparse_formats(convert: Any) -> None:
    W = blocks([30], np.random.default_rng(10))
    expected = smallest_eigenpairs(W, 3)
    found = smallest_eigenpairs(convert(W), 3)
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-12)


# ---- hard cases ---------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lanczos", "block"])
@pytest.mark.parametrize("noise", [0.07, 0.09])
def test_moons_with_a_small_gap(solver: str, noise: float) -> None:
    points, labels = make_moons(1500, noise=noise, random_state=1)
    W = KNN(12).fit(points, OPTIONS).matrix
    values, vectors = np.linalg.eigh(symmetric_form(dense(W), "sym"))
    found = smallest_eigenpairs(W, 2, solver=solver)
    assert found.n_connected_components == 1
    assert values[2] - values[1] < 0.001
    assert sine(found.vectors, vectors[:, :2]) <= 1e-4
    sides = found.vectors[:, 1] > np.median(found.vectors[:, 1])
    assert max((sides == labels).mean(), (sides != labels).mean()) > 0.99


@pytest.mark.parametrize("seed", range(5))
def test_gap_far_from_zero(seed: int) -> None:
    """Random regular-like graphs: no small eigenvalue but 0, whose rounding must not grow."""
    rng = np.random.default_rng(seed)
    W = KNN(10).fit(rng.normal(size=(300, 40)), OPTIONS).matrix
    for laplacian in LAPLACIANS:
        check_pairs(W, 5, laplacian, "block", orthogonal=1e-9)


@pytest.mark.parametrize("laplacian", LAPLACIANS)
def test_float32_products(laplacian: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "_FLOAT32_ROWS", 10)
    digits = load_digits().data[:500]
    for affinity in (KNN(), KNN(weights="self-tuning")):
        W = affinity.fit(digits, OPTIONS).matrix
        k = gapped_k(W, laplacian, least=6, most=14)
        check_pairs(W, k, laplacian, "block", orthogonal=1e-5)
    W = blocks([40, 30, 60], np.random.default_rng(11))
    check_pairs(W, 100, laplacian, "block", orthogonal=1e-5)
    for W in REPEATED.values():
        for k in (2, 6, len(W) - 1):
            check_pairs(sp.csr_matrix(W), k, laplacian, "block", orthogonal=1e-5)


def test_float32_alone_is_not_trusted_beyond_its_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "_FLOAT32_ROWS", 10)
    points = make_moons(1000, noise=0.05, random_state=0)[0]
    W = KNN(12).fit(points, OPTIONS).matrix
    vectors = np.linalg.eigh(symmetric_form(dense(W), "sym"))[1]
    k = gapped_k(W, "sym", least=2, most=8)
    found = smallest_eigenpairs(W, k, solver=Block(tol=1e-6))
    assert sine(found.vectors, vectors[:, :k]) <= 1e-6


def test_the_block_solver_says_when_it_stops_early(monkeypatch: pytest.MonkeyPatch) -> None:
    W = KNN(6).fit(make_moons(900, noise=0.1, random_state=0)[0], OPTIONS).matrix
    original = block_eigenpairs

    def hurried(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs, max_products=20)

    monkeypatch.setattr(solvers, "block_eigenpairs", hurried)
    with pytest.warns(ConvergenceWarning, match=r"stopped after \d+ products .*solver='lanczos'"):
        found = smallest_eigenpairs(W, 3, solver="block")
    assert found.residuals.max() > 1e-6
    assert np.isfinite(found.vectors).all()


def test_equal_seeds_equal_vectors() -> None:
    W = KNN(6).fit(np.random.default_rng(12).normal(size=(450, 3)), OPTIONS).matrix
    for solver in ("lanczos", "block", "nystrom", "minibatch"):
        first, second = (smallest_eigenpairs(W, 3, solver=solver, random_state=5) for _ in range(2))
        np.testing.assert_array_equal(first.vectors, second.vectors)


def test_progress_is_monotone_and_silent(capsys: pytest.CaptureFixture[str]) -> None:
    W = KNN(6).fit(np.random.default_rng(13).normal(size=(450, 3)), OPTIONS).matrix
    calls: list[tuple[str, float, float]] = []
    smallest_eigenpairs(W, 4, solver="block", progress=lambda *call: calls.append(call))
    assert {stage for stage, _, _ in calls} == {"eigenvectors"}
    assert all(0 <= done <= total for _, done, total in calls)
    assert calls[-1][1] == calls[-1][2]
    assert capsys.readouterr() == ("", "")


def test_kernels_alone_deflate_what_they_are_given() -> None:
    """The two kernels as functions, on a diagonal operator with three vectors taken away."""
    spectrum = np.arange(60.0)
    deflated = np.eye(60)[:, [0, 2, 4]]
    found, vectors = lanczos_eigenpairs(
        lambda V: spectrum[:, None] * V,
        60,
        4,
        upper_bound=60.0,
        deflated=deflated,
        rng=np.random.default_rng(0),
    )
    np.testing.assert_allclose(found, [1, 3, 5, 6], atol=1e-9)
    result = block_eigenpairs(
        {"float64": lambda V: spectrum[:, None] * V},
        60,
        4,
        upper_bound=60.0,
        deflated=deflated,
        tol=1e-6,
        rng=np.random.default_rng(0),
    )
    assert result.converged
    np.testing.assert_allclose(result.values, [1, 3, 5, 6], atol=1e-9)
    for basis in (vectors, result.vectors):
        assert sine(basis, np.eye(60)[:, [1, 3, 5, 6]]) < 1e-5
        assert np.abs(deflated.T @ basis).max() < 1e-12


def test_the_block_solver_goes_on_where_the_krylov_space_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As ARPACK says of a nearly complete graph, whose eigenvalues are nearly all equal."""
    near = np.random.default_rng(0).random((60, 60)) < 0.99
    affinity = sp.csr_matrix(np.triu(near, 1) | np.triu(near, 1).T, dtype=float)
    wanted = smallest_eigenpairs(affinity, 8, solver="dense")

    def ended(*_: Any, **__: Any) -> None:
        raise ArpackError(3)

    monkeypatch.setattr(lanczos, "eigsh", ended)
    found = smallest_eigenpairs(affinity, 8, solver="lanczos")
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-8)

    def unfinished(*_: Any, **__: Any) -> None:
        raise ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr(lanczos, "eigsh", unfinished)
    with pytest.raises(ArpackNoConvergence):
        smallest_eigenpairs(affinity, 8, solver="lanczos")
