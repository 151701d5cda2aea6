"""Products in threads, the eigengap, approximate solvers on graphs, and the dispatcher."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from graphs import OPTIONS, blocks, cycle, dense, gapped_k, sine, symmetric_form
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_blobs

from fiedler.exceptions import ConvergenceWarning, InputError
from fiedler.graph import KNN, Epsilon, Gaussian, build_laplacian
from fiedler.graph.kernel import KernelOperator
from fiedler.spectrum import (
    Block,
    Dense,
    Lanczos,
    MiniBatch,
    Nystrom,
    eigengap_k,
    resolve_solver,
    smallest_eigenpairs,
    solve,
    solvers,
    sparse_product,
)

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
    monkeypatch.setattr(solve, "SMALL_ROWS", 10)
    assert type(resolve_solver("auto", graph, 3)) is Block
    assert type(resolve_solver("auto", graph, 8)) is Dense  # most of the spectrum is wanted
    assert resolve_solver("auto", graph, 3) == Block()
    monkeypatch.setattr(solve, "_LOOSE_ROWS", 10)
    assert resolve_solver("auto", graph, 3) == Block(tol=0.05, rest=0.02)
    assert resolve_solver("block", graph, 3) == Block()


def test_auto_approximates_only_large_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "SMALL_ROWS", 10)
    kernel = KernelOperator(np.random.default_rng(18).normal(size=(60, 2)), sigma=1.0)
    assert type(resolve_solver("auto", build_laplacian(kernel), 3)) is Block
    monkeypatch.setattr(solve, "_KERNEL_ROWS", 50)
    assert type(resolve_solver("auto", build_laplacian(kernel), 3)) is Nystrom
    assert type(resolve_solver("auto", build_laplacian(kernel, "unnormalized"), 3)) is Block


def test_auto_gives_dense_arrays_to_lapack(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bulk of a wide kernel's spectrum has no gap: the block solver needs 20,000 products."""
    rows = np.random.default_rng(19).normal(size=(500, 5))
    wide = np.exp(-((rows[:, None] - rows) ** 2).sum(axis=2) / 1800)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = smallest_eigenpairs(wide, 10)
    assert found.solver == "dense"
    assert found.residuals.max() < 1e-13
    monkeypatch.setattr(solve, "FULL_ROWS", 400)
    assert resolve_solver("auto", build_laplacian(wide), 3) == Block(tol=0.05, rest=0.02)


@pytest.mark.parametrize("solver", ["auto", "lanczos"])
def test_a_nearly_complete_sparse_graph_is_given_to_lapack(
    solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ball around each row that leaves out few: hundreds of nearly equal eigenvalues."""
    rows = np.random.default_rng(20).normal(size=(600, 5))
    W = Epsilon(3.0).fit(rows, OPTIONS).matrix
    assert 0.9 < W.nnz / 600**2 < 1
    values = np.linalg.eigvalsh(symmetric_form(dense(W), "sym"))
    monkeypatch.setattr(solvers, "lanczos_eigenpairs", None)  # not called
    monkeypatch.setattr(solvers, "block_eigenpairs", None)
    found = smallest_eigenpairs(W, 64, solver=solver)
    np.testing.assert_allclose(found.values, values[:64], atol=1e-12)
    assert found.residuals.max() < 1e-12


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
