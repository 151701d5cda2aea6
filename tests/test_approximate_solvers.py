"""Landmarks, Nystrom and the mini-batch solver against dense ``eigh``."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.linalg import subspace_angles
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits, make_blobs, make_moons

from fiedler.exceptions import ConvergenceWarning, InputError
from fiedler.graph.kernel import KernelOperator, as_affinity_matrix, median_sigma
from fiedler.spectrum.landmarks import N_PROBES, greedy_landmarks, uniform_landmarks
from fiedler.spectrum.minibatch import minibatch_eigenpairs
from fiedler.spectrum.nystrom import nystrom_eigenpairs, nystrom_extend
from fiedler.spectrum.signs import fix_signs, random_walk_vectors


def gaussian(X: np.ndarray, sigma: float | None = None) -> np.ndarray:
    distances = cdist(X, X)
    width = median_sigma(np.sort(distances, axis=1)[:, 7]) if sigma is None else sigma
    return np.exp(-(distances**2) / (2 * width**2))


def self_tuning(X: np.ndarray) -> np.ndarray:
    distances = cdist(X, X)
    kth = np.sort(distances, axis=1)[:, 7]
    return np.exp(-(distances**2) / np.outer(kth, kth))


def dense_eigenpairs(W: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest eigenpairs of ``L_sym``, by ``eigh``."""
    root = np.sqrt(W.sum(axis=1))
    values, vectors = np.linalg.eigh(np.eye(len(W)) - W / np.outer(root, root))
    return values[:k], vectors[:, :k]


def sine(A: np.ndarray, B: np.ndarray) -> float:
    """Sine of the largest principal angle between two column spaces."""
    return float(np.sin(subspace_angles(A, B).max()))


def rare_clusters(seed: int) -> np.ndarray:
    """Three large clusters and six of five rows each."""
    rng = np.random.default_rng(seed)
    centers = 12 * np.eye(9)
    sizes = [150] * 3 + [5] * 6
    blocks = [c + rng.standard_normal((s, 9)) for c, s in zip(centers, sizes, strict=True)]
    return np.vstack(blocks)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return load_digits().data[:500]


# --- signs ---------------------------------------------------------------------------------------


@given(n=st.integers(1, 8), k=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_the_largest_entry_of_a_fixed_vector_is_positive(n: int, k: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).integers(-3, 4, (n, k)).astype(np.float32)
    fixed = fix_signs(vectors)
    assert fixed.dtype == np.float32
    assert (fixed.max(axis=0) >= -fixed.min(axis=0)).all()
    np.testing.assert_array_equal(np.abs(fixed), np.abs(vectors))
    np.testing.assert_array_equal(
        fix_signs(-vectors)[:, np.abs(vectors).any(axis=0)], fixed[:, np.abs(vectors).any(axis=0)]
    )


def test_the_first_of_equal_entries_decides_the_sign() -> None:
    np.testing.assert_array_equal(
        fix_signs(np.array([[-2.0, 2.0, 0.0], [2.0, -2.0, 0.0]])), [[2, 2, 0], [-2, -2, 0]]
    )


def test_random_walk_vectors_solve_the_random_walk_problem(digits: np.ndarray) -> None:
    W = gaussian(digits[:100])
    values, vectors = dense_eigenpairs(W, 5)
    degrees = W.sum(axis=1)
    walk, lengths = random_walk_vectors(vectors, degrees)
    np.testing.assert_allclose(walk - (W @ walk) / degrees[:, None], walk * values, atol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(walk, axis=0), 1)
    np.testing.assert_allclose(walk * lengths * np.sqrt(degrees)[:, None], vectors)


# --- landmarks -----------------------------------------------------------------------------------


def test_uniform_landmarks_are_distinct_rows() -> None:
    marks = uniform_landmarks(50, 20, np.random.default_rng(0))
    assert len(np.unique(marks)) == 20
    np.testing.assert_array_equal(uniform_landmarks(7, 7, np.random.default_rng(0)), np.arange(7))


def test_each_greedy_step_takes_the_largest_exact_gain() -> None:
    W = gaussian(np.random.default_rng(0).standard_normal((40, 3)), 1.0)
    marks = greedy_landmarks(as_affinity_matrix(W), 12, np.random.default_rng(0), n_candidates=40)
    for step in range(12):
        C = W[:, marks[:step]]
        residual = W - C @ np.linalg.pinv(C[marks[:step]]) @ C.T if step else W.copy()
        left = np.setdiff1d(np.arange(40), marks[:step])
        gains = (residual[:, left] ** 2).sum(axis=0) / residual[left, left]
        assert marks[step] == left[gains.argmax()]


def test_greedy_landmarks_leave_less_of_the_trace_than_uniform_ones(digits: np.ndarray) -> None:
    W = gaussian(digits)
    assert len(W) > N_PROBES  # gains are estimated here

    def left_over(marks: np.ndarray) -> float:
        C = W[:, marks]
        return float(np.trace(W - C @ np.linalg.pinv(C[marks]) @ C.T))

    for seed in range(3):
        rng = np.random.default_rng(seed)
        greedy = greedy_landmarks(as_affinity_matrix(W), 60, rng)
        assert left_over(greedy) < 0.95 * left_over(uniform_landmarks(len(W), 60, rng))


@given(rank=st.integers(1, 12), copies=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_greedy_stops_when_the_kernel_is_explained(rank: int, copies: int, seed: int) -> None:
    X = 3.0 * np.random.default_rng(seed).permutation(20)[:rank, None]
    W = gaussian(np.repeat(X, copies, axis=0), 1.0)  # duplicate rows: exactly this rank
    marks = greedy_landmarks(as_affinity_matrix(W), rank * copies, np.random.default_rng(seed))
    assert len(marks) == rank == len(np.unique(marks))


def test_greedy_refuses_a_neighbor_graph_and_bad_counts() -> None:
    W = as_affinity_matrix(sparse.csr_array(np.ones((4, 4)) - np.eye(4)))
    with pytest.raises(InputError, match="positive diagonal"):
        greedy_landmarks(W, 2, np.random.default_rng(0))
    for m in (0, 5):
        with pytest.raises(InputError, match="between 1 and n = 4"):
            uniform_landmarks(4, m, np.random.default_rng(0))
        with pytest.raises(InputError, match="between 1 and n = 4"):
            greedy_landmarks(W, m, np.random.default_rng(0))


# --- Nystrom -------------------------------------------------------------------------------------


@pytest.mark.parametrize("affinity", [gaussian, self_tuning])
@pytest.mark.parametrize("landmarks", ["greedy", "uniform"])
@pytest.mark.parametrize("laplacian", ["sym", "rw"])
def test_nystrom_is_exact_when_every_row_is_a_landmark(
    digits: np.ndarray, affinity: Any, landmarks: Any, laplacian: Any
) -> None:
    W = affinity(digits[:300])
    values, vectors, extras = nystrom_eigenpairs(
        W, 8, laplacian=laplacian, landmarks=landmarks, n_landmarks=300, random_state=0
    )
    exact_values, exact_vectors = dense_eigenpairs(W, 8)
    if laplacian == "rw":
        exact_vectors, _ = random_walk_vectors(exact_vectors, W.sum(axis=1))
    np.testing.assert_allclose(values, exact_values, atol=1e-6)
    np.testing.assert_allclose(vectors, fix_signs(exact_vectors), atol=1e-6)
    np.testing.assert_allclose(extras["degrees"], W.sum(axis=1), rtol=1e-6)
    assert extras["rank"] == 300


def test_nystrom_is_exact_for_an_indefinite_affinity() -> None:
    A = np.random.default_rng(0).uniform(0, 1, (60, 60))
    W = A + A.T  # about half of its eigenvalues are negative
    values, vectors, _ = nystrom_eigenpairs(
        W, 5, landmarks="uniform", n_landmarks=60, random_state=0
    )
    exact_values, exact_vectors = dense_eigenpairs(W, 5)
    np.testing.assert_allclose(values, exact_values, atol=1e-8)
    assert sine(vectors, exact_vectors) < 1e-6


@pytest.mark.parametrize("affinity", [gaussian, self_tuning])
def test_nystrom_error_falls_with_more_landmarks(digits: np.ndarray, affinity: Any) -> None:
    W = affinity(digits)
    exact_values, exact_vectors = dense_eigenpairs(W, 6)
    angles, errors = [], []
    for m in (30, 120, 300, 480):
        runs = [nystrom_eigenpairs(W, 6, n_landmarks=m, random_state=s) for s in range(3)]
        angles.append(np.mean([sine(r[1], exact_vectors) for r in runs]))
        errors.append(np.mean([np.abs(r[0] - exact_values).max() for r in runs]))
    assert (np.diff(angles) < 0).all()
    assert (np.diff(errors) < 0).all()
    assert angles[-1] < 0.05


def test_greedy_landmarks_find_rare_clusters_that_uniform_ones_miss() -> None:
    angles: dict[str, list[float]] = {"greedy": [], "uniform": []}
    for seed in range(10):
        W = gaussian(rare_clusters(seed), 4.0)
        exact = dense_eigenpairs(W, 9)[1]
        for landmarks, found in angles.items():
            vectors = nystrom_eigenpairs(
                W, 9, landmarks=landmarks, n_landmarks=60, random_state=seed
            )[1]
            found.append(sine(vectors, exact))
    assert np.mean(angles["greedy"]) < 0.3 * np.mean(angles["uniform"])


@given(n=st.integers(12, 40), m=st.integers(4, 12), k=st.integers(1, 4), seed=st.integers(0, 999))
def test_nystrom_vectors_are_orthonormal(n: int, m: int, k: int, seed: int) -> None:
    W = gaussian(np.random.default_rng(seed).standard_normal((n, 2)), 1.0)
    values, vectors, extras = nystrom_eigenpairs(W, k, n_landmarks=m, random_state=seed)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(k), atol=1e-10)
    assert (np.diff(values) >= 0).all()
    assert values[0] > -1e-9
    assert (extras["degrees"] > 0).all()
    assert values.dtype == vectors.dtype == np.float64


@pytest.mark.parametrize("laplacian", ["sym", "rw"])
def test_extending_a_training_row_gives_its_own_entries(digits: np.ndarray, laplacian: Any) -> None:
    X = digits.astype(np.float32)
    W = KernelOperator(X[:400], sigma=18.0)
    _, vectors, extras = nystrom_eigenpairs(
        W, 8, laplacian=laplacian, n_landmarks=80, random_state=0
    )
    again = nystrom_extend(W.columns(extras["landmarks"]), extras, laplacian=laplacian)
    np.testing.assert_allclose(again, vectors, atol=1e-7)
    new = nystrom_extend(W.cross(X[400:])[:, extras["landmarks"]], extras, laplacian=laplacian)
    assert new.shape == (100, 8)
    assert np.abs(new).max() < 3 * np.abs(vectors).max()
    far = nystrom_extend(np.zeros((1, 80)), extras, laplacian=laplacian)
    np.testing.assert_array_equal(far, np.zeros((1, 8)))


def test_nystrom_default_landmarks_and_operator_agree_with_the_matrix(digits: np.ndarray) -> None:
    X = digits.astype(np.float32)
    sigma = 18.0
    a = nystrom_eigenpairs(KernelOperator(X, sigma=sigma), 5, n_landmarks=100, random_state=3)
    b = nystrom_eigenpairs(gaussian(digits, sigma), 5, n_landmarks=100, random_state=3)
    np.testing.assert_array_equal(a[2]["landmarks"], b[2]["landmarks"])
    np.testing.assert_allclose(a[0], b[0], atol=1e-5)
    assert sine(a[1], b[1]) < 1e-4
    assert len(nystrom_eigenpairs(gaussian(digits), 5, random_state=0)[2]["landmarks"]) == 500


def test_nystrom_warns_of_rows_that_no_landmark_touches() -> None:
    W = sparse.block_diag([np.ones((5, 5))] * 6, format="csr")
    with pytest.warns(ConvergenceWarning, match="10 of 30 rows have no affinity"):
        _, vectors, extras = nystrom_eigenpairs(W, 4, n_landmarks=4, random_state=0)
    assert extras["n_uncovered"] == 10
    assert (np.abs(vectors).sum(axis=1) == 0).sum() == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"laplacian": "unnormalized"}, "solver='lanczos'"),
        ({"landmarks": "random"}, "'greedy' or 'uniform'"),
        ({"n_components": 0}, "n_components must be between 1 and n = 30"),
        ({"n_components": 31}, "n_components must be between 1 and n = 30"),
        ({"n_landmarks": 2}, "n_landmarks must be between n_components = 3"),
        ({"n_landmarks": 31}, "n_landmarks must be between"),
        ({"n_components": 2, "n_landmarks": 5, "W": np.ones((30, 30))}, "span 1 dimensions"),
    ],
)
def test_nystrom_names_unusable_arguments(arguments: dict[str, Any], message: str) -> None:
    W = gaussian(np.random.default_rng(0).standard_normal((30, 2)))
    with pytest.raises(InputError, match=message):
        nystrom_eigenpairs(**{"W": W, "n_components": 3, "random_state": 0, **arguments})


# --- mini-batch ----------------------------------------------------------------------------------


def blobs(n: int = 600) -> np.ndarray:
    return make_blobs(n, 5, centers=5, random_state=0)[0]


def moons(n: int = 600) -> np.ndarray:
    return make_moons(n, noise=0.05, random_state=0)[0]


@pytest.mark.parametrize(
    ("W", "k"),
    [
        pytest.param(gaussian(blobs()), 5, id="blobs, one width"),
        pytest.param(self_tuning(blobs()), 5, id="blobs, self-tuning"),
        pytest.param(gaussian(load_digits().data[:500]), 10, id="digits, one width"),
        pytest.param(self_tuning(load_digits().data[:500]), 10, id="digits, self-tuning"),
        pytest.param(gaussian(moons(), 0.15), 2, id="moons"),
    ],
)
def test_minibatch_converges_to_the_dense_eigenvectors(W: np.ndarray, k: int) -> None:
    exact_values, exact_vectors = dense_eigenpairs(W, k)
    for seed in range(2):
        values, vectors, extras = minibatch_eigenpairs(W, k, random_state=seed)
        assert sine(vectors, exact_vectors) <= extras["subspace_bound"] + 1e-9
        assert extras["subspace_bound"] <= 1e-3  # the default tol
        assert extras["n_epochs"] < 20
        np.testing.assert_allclose(values, exact_values, atol=1e-5)
        root = np.sqrt(extras["degrees"])
        product = W @ (vectors / root[:, None]) / root[:, None]
        residuals = np.linalg.norm(product - vectors * (1 - values), axis=0)
        np.testing.assert_allclose(extras["residuals"], residuals, atol=1e-9)


def test_minibatch_reaches_a_tighter_tolerance() -> None:
    W = gaussian(blobs())
    values, vectors, _ = minibatch_eigenpairs(W, 5, tol=1e-7, random_state=0)
    exact_values, exact_vectors = dense_eigenpairs(W, 5)
    np.testing.assert_allclose(values, exact_values, atol=1e-12)
    assert sine(vectors, exact_vectors) < 1e-7


def test_the_paper_s_gradient_approaches_but_keeps_its_noise() -> None:
    W = gaussian(blobs())
    exact = dense_eigenpairs(W, 5)[1]

    def angle(epochs: int, seed: int) -> float:
        with pytest.warns(ConvergenceWarning, match="variance_reduction=True"):
            vectors = minibatch_eigenpairs(
                W, 5, variance_reduction=False, n_epochs=epochs, random_state=seed
            )[1]
        return sine(vectors, exact)

    early, late = (np.mean([angle(e, s) for s in range(3)]) for e in (2, 30))
    assert late < 0.6 * early
    assert late < 0.15


@given(n=st.integers(2, 40), data=st.data(), reduced=st.booleans())
def test_minibatch_vectors_are_orthonormal(n: int, data: st.DataObject, reduced: bool) -> None:
    k = data.draw(st.integers(1, n))
    batch = data.draw(st.integers(1, n))
    seed = data.draw(st.integers(0, 999))
    W = gaussian(np.random.default_rng(seed).standard_normal((n, 2)), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        values, vectors, _ = minibatch_eigenpairs(
            W, k, batch_size=batch, n_epochs=3, variance_reduction=reduced, random_state=seed
        )
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(k), atol=1e-7)
    assert (np.diff(values) >= -1e-9).all()
    assert values.shape == (k,)


def test_minibatch_takes_operators_sparse_matrices_and_the_random_walk(digits: np.ndarray) -> None:
    X = digits.astype(np.float32)
    dense = gaussian(digits, 18.0)
    exact_values, exact_vectors = dense_eigenpairs(dense, 6)
    walk, _ = random_walk_vectors(exact_vectors, dense.sum(axis=1))
    for W in (KernelOperator(X, sigma=18.0), sparse.csr_array(dense)):
        values, vectors, _ = minibatch_eigenpairs(W, 6, laplacian="rw", tol=1e-4, random_state=0)
        np.testing.assert_allclose(values, exact_values, atol=1e-6)
        np.testing.assert_allclose(vectors, fix_signs(walk), atol=1e-4)


def test_minibatch_reports_true_residuals_of_many_vectors_in_float32(digits: np.ndarray) -> None:
    X = digits.astype(np.float32)
    dense = gaussian(digits, 18.0)
    for seed in range(2):
        values, vectors, extras = minibatch_eigenpairs(
            KernelOperator(X, sigma=18.0), 40, random_state=seed
        )
        assert extras["subspace_bound"] <= 1e-3
        assert sine(vectors, dense_eigenpairs(dense, 40)[1]) <= 1e-3
        root = np.sqrt(dense.sum(axis=1))[:, None]
        errors = dense @ (vectors / root) / root - vectors * (1 - values)
        np.testing.assert_allclose(extras["residuals"], np.linalg.norm(errors, axis=0), atol=1e-6)


def test_minibatch_stops_at_the_rounding_of_float32(digits: np.ndarray) -> None:
    W = KernelOperator(digits[:200].astype(np.float32), sigma=18.0)
    with pytest.warns(ConvergenceWarning, match="float64 rows"):
        extras = minibatch_eigenpairs(W, 5, tol=1e-12, random_state=0)[2]
    assert extras["n_epochs"] < 50
    assert extras["residuals"].max() < 1e-6


def test_minibatch_reports_progress_and_can_be_stopped() -> None:
    W = gaussian(blobs(200))
    calls: list[tuple[str, float, float]] = []
    minibatch_eigenpairs(
        W, 5, random_state=0, progress=lambda stage, done, total: calls.append((stage, done, total))
    )
    assert calls[0] == ("eigenvectors", 1, 50)
    assert len(calls) < 50

    def stop(stage: str, done: float, total: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minibatch_eigenpairs(W, 5, random_state=0, progress=stop)


def test_minibatch_warns_when_it_has_not_converged() -> None:
    with pytest.warns(ConvergenceWarning, match="after 1 epochs"):
        minibatch_eigenpairs(gaussian(blobs(200)), 5, n_epochs=1, random_state=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"laplacian": "unnormalized"}, "solver='lanczos'"),
        ({"n_components": 0}, "n_components must be between"),
        ({"n_components": 31}, "n_components must be between"),
        ({"batch_size": 0}, "batch_size must be between"),
        ({"batch_size": 31}, "batch_size must be between"),
        ({"n_epochs": 0}, "n_epochs must be at least 1"),
        ({"tol": 0.0}, "tol above 0"),
        ({"W": np.diag([0.0, 1.0, 1.0])}, "1 of 3 rows have degree 0"),
        ({"W": np.ones((1, 1)), "n_components": 1}, "two rows or more"),
    ],
)
def test_minibatch_names_unusable_arguments(arguments: dict[str, Any], message: str) -> None:
    W = gaussian(np.random.default_rng(0).standard_normal((30, 2)))
    with pytest.raises(InputError, match=message):
        minibatch_eigenpairs(**{"W": W, "n_components": 3, "random_state": 0, **arguments})


# --- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("solve", [nystrom_eigenpairs, minibatch_eigenpairs])
def test_the_same_random_state_gives_the_same_result(digits: np.ndarray, solve: Any) -> None:
    W = gaussian(digits[:200])
    options = {"n_landmarks": 60} if solve is nystrom_eigenpairs else {}
    first, second = (solve(W, 5, random_state=4, **options) for _ in range(2))
    other = solve(W, 5, random_state=5, **options)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])
    np.testing.assert_array_equal(first[1], fix_signs(first[1]))
