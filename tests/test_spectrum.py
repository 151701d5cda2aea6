"""Exact solvers against dense `eigh`: affinities, Laplacians, repeated and zero eigenvalues."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_blobs, make_moons

from fiedler.exceptions import ConvergenceWarning, InputError
from fiedler.graph import KNN, Epsilon, Gaussian, Precomputed, SearchOptions, build_laplacian
from fiedler.graph.kernel import KernelOperator
from fiedler.spectrum import (
    Block,
    Dense,
    Eigenpairs,
    Lanczos,
    MiniBatch,
    Nystrom,
    eigengap_k,
    fix_signs,
    resolve_solver,
    smallest_eigenpairs,
    solve,
    solvers,
    sparse_product,
)
from fiedler.spectrum.block import block_eigenpairs
from fiedler.spectrum.lanczos import lanczos_eigenpairs

LAPLACIANS = ["sym", "rw", "unnormalized"]
EXACT = ["dense", "lanczos", "block"]
OPTIONS = SearchOptions()


def dense(matrix: Any) -> np.ndarray:
    if isinstance(matrix, KernelOperator):
        return matrix.block(np.arange(matrix.shape[0]), np.arange(matrix.shape[0])).astype(float)
    return np.asarray(matrix.toarray() if sp.issparse(matrix) else matrix, dtype=float)


def symmetric_form(W: np.ndarray, laplacian: str) -> np.ndarray:
    """The textbook Laplacian (for "rw": the symmetric one, which has the same eigenvalues)."""
    degrees = W.sum(axis=1)
    if laplacian == "unnormalized":
        return np.diag(degrees) - W
    root = np.where(degrees > 0, 1 / np.sqrt(np.where(degrees > 0, degrees, 1)), 0)
    return np.diag((degrees > 0).astype(float)) - root[:, None] * W * root


def symmetric_vectors(found: Eigenpairs, laplacian: str) -> np.ndarray:
    """Eigenvectors of the symmetric form, unit columns."""
    vectors = found.vectors
    if laplacian == "rw":
        vectors = vectors * np.sqrt(np.where(found.degrees > 0, found.degrees, 1))[:, None]
    return vectors / np.linalg.norm(vectors, axis=0)


def sine(found: np.ndarray, true: np.ndarray) -> float:
    """Sine of the largest angle between two subspaces with orthonormal bases."""
    return float(np.linalg.norm(found - true @ (true.T @ found), ord=2))


def check_pairs(W: Any, k: int, laplacian: Any, solver: Any, **tolerances: float) -> Eigenpairs:
    """Everything that eigenpairs promise, against the dense oracle."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = smallest_eigenpairs(W, k, laplacian=laplacian, solver=solver)
    matrix = dense(W)
    form = symmetric_form(matrix, laplacian)
    values, vectors = np.linalg.eigh(form)
    scale = max(1.0, matrix.sum(axis=1).max())
    assert found.values.shape == (k,)
    assert found.vectors.shape == (len(matrix), k)
    np.testing.assert_allclose(found.values, values[:k], atol=1e-6 * scale)
    assert (np.diff(found.values) >= -1e-12 * scale).all()
    assert found.values.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=0), 1, atol=1e-6)
    symmetric = symmetric_vectors(found, laplacian)
    # For "rw" this is orthogonality in the inner product of D.
    np.testing.assert_allclose(
        symmetric.T @ symmetric, np.eye(k), atol=tolerances.get("orthogonal", 1e-9)
    )
    residuals = np.linalg.norm(form @ symmetric - symmetric * found.values, axis=0)
    np.testing.assert_allclose(found.residuals, residuals, atol=1e-6 * scale)
    assert found.residuals.max() <= 1e-4 * scale
    np.testing.assert_array_equal(found.vectors, fix_signs(found.vectors))
    if k == len(matrix) or values[k] - values[k - 1] > 1e-3 * scale:
        assert sine(symmetric, vectors[:, :k]) <= 1e-4
    return found


def gapped_k(W: Any, laplacian: str, least: int = 2, most: int = 10) -> int:
    """The k of the widest gap: only there is the subspace defined well."""
    values = np.linalg.eigvalsh(symmetric_form(dense(W), laplacian))
    return least + int(np.argmax(np.diff(values[least - 1 : most + 1])))


def blocks(sizes: list[int], rng: np.random.Generator) -> sp.csr_matrix:
    """A graph of one random connected component for each size, its rows shuffled."""
    parts = []
    for size in sizes:
        path = np.diag(rng.uniform(0.2, 1, max(size - 1, 0)), 1)
        path += np.triu(rng.random((size, size)) * (rng.random((size, size)) < 0.15), 1)
        parts.append(path + path.T)
    order = rng.permutation(sum(sizes))
    return sp.csr_matrix(sp.block_diag(parts, format="csr")[order][:, order])


def complete(n: int) -> np.ndarray:
    return np.ones((n, n)) - np.eye(n)


def star(n: int) -> np.ndarray:
    W = np.zeros((n, n))
    W[0, 1:] = W[1:, 0] = 1
    return W


def cycle(n: int) -> np.ndarray:
    shift = np.roll(np.eye(n), 1, axis=1)
    return np.maximum(shift, shift.T)


def bipartite(a: int, b: int) -> np.ndarray:
    W = np.zeros((a + b, a + b))
    W[:a, a:] = 1
    return W + W.T


def small_graphs() -> dict[str, np.ndarray]:
    graphs = {}
    for n in range(2, 11):
        graphs |= {f"complete {n}": complete(n), f"star {n}": star(n), f"ones {n}": np.ones((n, n))}
        graphs |= {f"no edges {n}": np.zeros((n, n)), f"loops only {n}": np.eye(n)}
        graphs[f"path {n}"] = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
        if n > 2:
            graphs[f"cycle {n}"] = cycle(n)
    return graphs


REPEATED = {
    "complete": complete(40),
    "star": star(40),
    "cycle": cycle(45),
    "bipartite": bipartite(15, 25),
    "two complete": np.kron(np.eye(2), complete(20)),
    "five cycles": np.kron(np.eye(5), cycle(9)),
    "matching": np.kron(np.eye(25), complete(2)),
    "hypercube": (np.bitwise_count(np.arange(64)[:, None] ^ np.arange(64)) == 1).astype(float),
}


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


# ---- products in threads ------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2, 5, 64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threaded_product(n_threads: int, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_product.os, "cpu_count", lambda: n_threads)
    monkeypatch.setattr(sparse_product, "_SMALL", 0)
    rng = np.random.default_rng(14)
    for density in (0.0, 0.02, 0.5):
        entries = sp.random(40, 40, density, random_state=1).toarray()
        entries[:8] = 0  # empty rows
        entries[30] = density  # and a full one: bands of equal entries are of unequal height
        matrix = sp.csr_matrix(entries.astype(dtype))
        block = rng.normal(size=(40, 6)).astype(dtype)
        result = sparse_product.threaded_product(matrix)(block)
        assert result.dtype == dtype
        np.testing.assert_allclose(result, matrix @ block, rtol=1e-5)


# ---- eigengap -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "bounds", "k"),
    [
        ([0, 0.1, 0.2, 0.9, 1.0], {}, 3),
        ([0, 0.8, 0.9, 1.0], {}, 1),
        ([0, 0.5], {}, 1),
        ([0, 0.1, 0.2, 0.3, 0.4], {}, 1),  # all gaps equal: the smallest k
        ([0, 0.1, 0.5, 0.6, 1.0, 1.1], {}, 2),  # a tie up to rounding
        ([0, 0.8, 0.9, 1.3], {"k_min": 2}, 3),
        ([0, 0.1, 0.5, 0.6, 1.4], {"k_max": 3}, 2),
        ([0, 0.1, 0.2, 0.9], {"k_max": 99}, 3),
        ([0, 0, 0, 0.05, 0.9], {}, 4),
        ([0, 0, 0, 0.5, 0.6], {}, 3),
        ([0, 1e-14, 1e-13, 0.1, 0.9, 1], {"k_max": 3}, 3),  # three components
        ([0, 0, 0, 0, 1], {"k_max": 2}, 2),  # no room for what the components ask
        ([0, 0, 0, 0], {}, 3),
        ([0, 0.1, 0.9], {"k_min": 2, "k_max": 2}, 2),
    ],
)
def test_eigengap(values: list[float], bounds: dict[str, int], k: int) -> None:
    assert eigengap_k(np.array(values), **bounds) == k


@given(st.integers(1, 12), st.integers(2, 20))
def test_eigengap_is_at_least_the_number_of_components(c: int, more: int) -> None:
    rng = np.random.default_rng(c * 100 + more)
    values = np.concatenate([np.zeros(c), np.sort(rng.uniform(0.01, 1, more))])
    assert c <= eigengap_k(values) < c + more


@pytest.mark.parametrize(
    ("values", "bounds", "message"),
    [
        ([0.0], {}, r"at least two eigenvalues, got shape \(1,\)"),
        ([[0.0, 1.0]], {}, r"at least two eigenvalues, got shape \(1, 2\)"),
        ([0.0, 1.0, 2.0], {"k_max": 0}, "no k between"),
    ],
)
def test_eigengap_errors(values: Any, bounds: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        eigengap_k(np.array(values), **bounds)


def test_eigengap_of_a_graph() -> None:
    points = make_blobs(300, 3, centers=4, cluster_std=0.5, random_state=2)[0]
    W = Gaussian("self-tuning").fit(points, OPTIONS).matrix
    assert eigengap_k(smallest_eigenpairs(W, 10).values) == 4


# ---- approximate solvers ------------------------------------------------------------------------


@pytest.mark.parametrize("laplacian", ["sym", "rw"])
def test_nystrom_of_all_rows_is_exact_on_neighbor_graphs(laplacian: Any) -> None:
    """A neighbour graph is indefinite; W + D is not, and has the same eigenvectors."""
    digits = load_digits().data[:300]
    for W in (
        KNN().fit(digits, OPTIONS).matrix,
        dense(KNN(weights="gaussian").fit(digits, OPTIONS).matrix),
        np.pad(dense(blocks([60], np.random.default_rng(15))), (0, 2)),
    ):
        k = gapped_k(W, laplacian, least=3)
        solver = Nystrom(landmarks="uniform", n_landmarks=len(dense(W)))
        found = smallest_eigenpairs(W, k, laplacian=laplacian, solver=solver)
        true = np.linalg.eigvalsh(symmetric_form(dense(W), laplacian))[:k]
        np.testing.assert_allclose(found.values, true, atol=1e-6)
        assert found.residuals.max() < 1e-5


def test_nystrom_of_some_rows_is_bounded() -> None:
    W = KNN(20).fit(load_digits().data[:600], OPTIONS).matrix
    for landmarks in ("greedy", "uniform"):
        solver = Nystrom(landmarks=landmarks, n_landmarks=200)  # type: ignore[arg-type]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # rows that touch no landmark
            found = smallest_eigenpairs(W, 6, solver=solver)
        assert (found.values > -1e-6).all()
        assert (found.values < 2 + 1e-6).all()
        assert np.isfinite(found.vectors).all()
        assert found.solver == "nystrom"


@pytest.mark.parametrize("solver", ["nystrom", "minibatch"])
def test_approximate_solvers_on_a_kernel(solver: str) -> None:
    points = make_blobs(400, 3, centers=3, cluster_std=0.6, random_state=5)[0]
    W = KernelOperator(points, sigma=2.0)
    values, vectors = np.linalg.eigh(symmetric_form(dense(W), "sym"))
    found = smallest_eigenpairs(W, 3, solver=solver)
    np.testing.assert_allclose(found.values, values[:3], atol=1e-3)
    assert sine(np.linalg.qr(found.vectors)[0], vectors[:, :3]) < 0.02


@pytest.mark.parametrize("solver", ["nystrom", "minibatch", Nystrom(), MiniBatch()])
def test_approximate_solvers_refuse_the_unnormalized(solver: Any) -> None:
    W = blocks([30], np.random.default_rng(16))
    with pytest.raises(InputError, match=r"use laplacian='sym' or 'rw', or solver='block'"):
        smallest_eigenpairs(W, 3, laplacian="unnormalized", solver=solver)


# ---- the dispatcher -----------------------------------------------------------------------------


def test_names_and_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = build_laplacian(blocks([30], np.random.default_rng(17)))
    for name, kind in [
        ("dense", Dense),
        ("lanczos", Lanczos),
        ("block", Block),
        ("nystrom", Nystrom),
        ("minibatch", MiniBatch),
        ("auto", Dense),
    ]:
        assert type(resolve_solver(name, graph, 3)) is kind
    mine = Block(tol=1e-2)
    assert resolve_solver(mine, graph, 3) is mine
    monkeypatch.setattr(solve, "_DENSE_ROWS", 10)
    assert type(resolve_solver("auto", graph, 3)) is Block
    assert type(resolve_solver("auto", graph, 8)) is Dense  # most of the spectrum is wanted


def test_auto_approximates_only_large_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "_DENSE_ROWS", 10)
    kernel = KernelOperator(np.random.default_rng(18).normal(size=(60, 2)), sigma=1.0)
    assert type(resolve_solver("auto", build_laplacian(kernel), 3)) is Block
    monkeypatch.setattr(solve, "_KERNEL_ROWS", 50)
    assert type(resolve_solver("auto", build_laplacian(kernel), 3)) is Nystrom
    assert type(resolve_solver("auto", build_laplacian(kernel, "unnormalized"), 3)) is Block


def test_a_solver_of_ones_own() -> None:
    class Mine:
        def solve(self, request: Any) -> tuple[np.ndarray, np.ndarray]:
            return Dense().solve(request)

    found = smallest_eigenpairs(cycle(12), 3, solver=Mine())
    assert found.solver == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "arpack"}, r"one of \['auto', 'dense', .* got 'arpack'"),
        ({"solver": 3}, "a name or have a solve method, got 3"),
        ({"laplacian": "random"}, "'sym', 'rw' or 'unnormalized', got 'random'"),
        ({"k": 0}, "between 1 and n = 12, got 0"),
        ({"k": 13}, "between 1 and n = 12, got 13"),
    ],
)
def test_bad_parameters_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        smallest_eigenpairs(cycle(12), **{"k": 3, **arguments})
