"""The estimators on real and small data: every combination, exactness, extension, choice of k."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import LAPLACIANS, dense, symmetric_form
from sklearn.datasets import load_digits, make_blobs

from fiedler import KNN, Epsilon, Gaussian, SpectralClustering, SpectralEmbedding, load
from fiedler.evaluation import accuracy
from fiedler.exceptions import InputError
from fiedler.graph import SearchOptions, gaussian, resolve_affinity
from fiedler.memory import available_memory
from fiedler.models import base
from fiedler.models.extension import extend_eigenvectors
from fiedler.models.plan import CostEstimate, estimate_cost
from fiedler.spectrum import Block, Nystrom


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + ((a[:, None] - b) ** 2).sum(axis=2))


ROWS = np.random.default_rng(0).normal(size=(60, 4)) + 1.5 * np.eye(4)[np.arange(60) % 3]
NEW = np.random.default_rng(1).normal(size=(20, 4)) + 1.5 * np.eye(4)[np.arange(20) % 3]
KERNEL = similarity(ROWS, ROWS)
AFFINITIES: dict[str, Any] = {
    "knn": KNN(8),
    "knn gaussian": KNN(8, weights="gaussian"),
    "knn self-tuning": "self-tuning",
    "knn cosine": KNN(8, metric="cosine"),
    "epsilon": Epsilon(1.3),
    "gaussian": "gaussian",
    "gaussian self-tuning": Gaussian("self-tuning"),
    "function": similarity,
    "precomputed": "precomputed",
}
# Here equal rows cannot be told, so that fitted rows are extended to as if they were new.
GIVEN = {"function", "precomputed"}
SOLVERS = ["auto", "dense", "lanczos", "block", "nystrom", "minibatch"]
ASSIGN = ["auto", "kmeans", "cluster_qr", "discretize", "merge"]


def rows_for(affinity: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit and new ones, as this affinity takes them."""
    if affinity == "precomputed":
        return KERNEL, similarity(NEW, ROWS)
    return ROWS, NEW


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("laplacian", LAPLACIANS)
@pytest.mark.parametrize("name", AFFINITIES)
def test_every_combination(name: str, laplacian: str, solver: str) -> None:
    affinity = AFFINITIES[name]
    rows, new = rows_for(affinity)
    options: dict[str, Any] = {
        "affinity": affinity,
        "laplacian": laplacian,
        "solver": solver,
        "random_state": 0,
    }
    if solver in ("nystrom", "minibatch") and laplacian == "unnormalized":
        with pytest.raises(InputError, match="use laplacian='sym' or 'rw'"):
            SpectralEmbedding(**options).fit(rows)
        return
    embedding = SpectralEmbedding(3, **options).fit(rows)
    assert embedding.embedding_.shape == (60, 3)
    assert embedding.transform(new).shape == (20, 3)
    assert np.isfinite(embedding.transform(new)).all()
    for assign in ASSIGN:
        found = SpectralClustering(3, assign=assign, **options).fit(rows)
        np.testing.assert_array_equal(np.unique(found.labels_), np.arange(3))
        if name not in GIVEN:
            np.testing.assert_array_equal(found.predict(rows), found.labels_)
            np.testing.assert_array_equal(found.transform(rows), found.embedding_)
        elif solver != "minibatch" and laplacian != "unnormalized":
            np.testing.assert_array_equal(found.predict(rows), found.labels_)
            np.testing.assert_allclose(found.transform(rows), found.embedding_, atol=1e-5)
        else:  # by the extension alone, which is inexact here
            assert np.mean(found.predict(rows) == found.labels_) >= 0.9
        labels, confidence = found.predict_with_confidence(new)
        assert set(labels) <= {0, 1, 2}
        assert ((confidence >= -1e-9) & (confidence <= 1)).all()
        assert assign in ("auto", found.assignment_)
        assert solver in ("auto", found.solver_)


# Against the textbook


def exact(W: np.ndarray, laplacian: str) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and unit eigenvectors of the Laplacian by dense eigh."""
    values, vectors = np.linalg.eigh(symmetric_form(W, laplacian))
    if laplacian == "rw":
        vectors = vectors / np.sqrt(W.sum(axis=1))[:, None]
    return values, vectors / np.linalg.norm(vectors, axis=0)


@pytest.mark.parametrize("solver", ["dense", "lanczos", Block(tol=1e-8)], ids=str)
@pytest.mark.parametrize("laplacian", LAPLACIANS)
@pytest.mark.parametrize("name", AFFINITIES)
def test_embedding_is_the_exact_eigenvectors(name: str, laplacian: str, solver: Any) -> None:
    affinity = AFFINITIES[name]
    rows, _ = rows_for(affinity)
    W = dense(resolve_affinity(affinity).fit(rows, SearchOptions()).matrix)
    values, vectors = exact(W, laplacian)
    found = SpectralEmbedding(
        5, affinity=affinity, laplacian=laplacian, solver=solver, random_state=0
    ).fit(rows)
    np.testing.assert_allclose(found.eigenvalues_, values[:6], atol=1e-6 * max(1, values[-1]))
    np.testing.assert_allclose(np.linalg.norm(found.embedding_, axis=0), 1, atol=1e-6)
    gaps = np.diff(values) > 1e-3 * values[-1]
    checked = 0
    for j in range(1, 6):
        if gaps[j - 1] and gaps[j]:
            assert abs(found.embedding_[:, j - 1] @ vectors[:, j]) == pytest.approx(1, abs=1e-5)
            checked += 1
    assert checked >= 2
    assert found.eigen_residuals_.max() <= 1e-4 * max(1, values[-1])


@pytest.mark.parametrize("laplacian", LAPLACIANS)
@pytest.mark.parametrize("name", AFFINITIES)
def test_new_rows_by_the_formula(name: str, laplacian: str) -> None:
    affinity = AFFINITIES[name]
    rows, new = rows_for(affinity)
    fitted = resolve_affinity(affinity).fit(rows, SearchOptions())
    W, cross = dense(fitted.matrix), dense(fitted.cross(new).weights)
    found = SpectralEmbedding(
        3, affinity=affinity, laplacian=laplacian, keep_trivial=True, random_state=0
    ).fit(rows)
    degrees, values = W.sum(axis=1), found.eigenvalues_[:3]
    wanted = np.empty((20, 3))
    for i, weights in enumerate(cross):
        own = weights.sum()
        for j in range(3):
            vector = found.embedding_[:, j]
            if laplacian == "sym":
                wanted[i, j] = weights @ (vector / np.sqrt(degrees * own)) / (1 - values[j])
            elif laplacian == "rw":
                wanted[i, j] = weights @ vector / own / (1 - values[j])
            else:
                wanted[i, j] = weights @ vector / max(own - values[j], 0.05 * own)
    np.testing.assert_allclose(found.transform(new), wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("laplacian", LAPLACIANS)
def test_extension_to_the_fitted_rows_gives_their_eigenvectors(laplacian: str) -> None:
    values, vectors = exact(KERNEL, laplacian)
    degrees = KERNEL.sum(axis=1)
    found = extend_eigenvectors(KERNEL, vectors[:, :5], values[:5], degrees, laplacian)
    np.testing.assert_allclose(found, vectors[:, :5], atol=1e-9)
    nowhere = extend_eigenvectors(np.zeros((2, 60)), vectors, values, degrees, laplacian)
    np.testing.assert_array_equal(nowhere, 0)


# Numbers of eigenvectors and of clusters


@pytest.mark.parametrize("n_components", [1, 3, 11, 60])
def test_number_of_eigenvectors_is_a_parameter_of_its_own(n_components: int) -> None:
    found = SpectralClustering(3, n_components=n_components, random_state=0).fit(ROWS)
    assert found.embedding_.shape == (60, n_components)
    assert len(found.eigenvalues_) == len(found.eigen_residuals_) == min(n_components + 1, 60)
    assert found.transform(NEW).shape == (20, n_components)
    assert len(found.get_feature_names_out()) == n_components
    if n_components < 60:
        embedding = SpectralEmbedding(n_components, random_state=0).fit(ROWS)
        kept = SpectralEmbedding(n_components, keep_trivial=True, random_state=0).fit(ROWS)
        assert embedding.embedding_.shape == kept.embedding_.shape == (60, n_components)
        np.testing.assert_allclose(kept.embedding_[:, 1:], embedding.embedding_[:, :-1], atol=1e-9)


def test_default_number_of_eigenvectors() -> None:
    for k, wanted in ((1, 3), (4, 12), (20, 60), (40, 60)):
        assert SpectralClustering(k, random_state=0).fit(ROWS).embedding_.shape == (60, wanted)
    rows = np.random.default_rng(0).normal(size=(200, 3))
    assert SpectralClustering(70, random_state=0).fit(rows).embedding_.shape == (200, 170)


@pytest.mark.parametrize("rule", ["auto", "eigengap", "modularity"])
def test_rules_stay_within_their_bounds(rule: str) -> None:
    for most in (1, 2, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = SpectralClustering(rule, max_clusters=most, random_state=0).fit(ROWS)
        assert 1 <= found.n_clusters_ <= most
        assert found.embedding_.shape == (60, 3 * found.n_clusters_)
        np.testing.assert_array_equal(np.unique(found.labels_), np.arange(found.n_clusters_))


@pytest.mark.parametrize("rule", ["auto", "eigengap"])
def test_separate_groups_are_counted(rule: str) -> None:
    rows, truth = make_blobs(300, 8, centers=30 * np.eye(8)[:3], random_state=0)
    found = SpectralClustering(rule, affinity=KNN(15), random_state=0).fit(rows)
    assert found.n_connected_components_ == found.n_clusters_ == 3
    assert accuracy(truth, found.labels_) == 1


def test_rules_on_graphs_with_a_clear_answer() -> None:
    rows, truth = make_blobs(300, 8, centers=4.5 * np.eye(8)[:3], random_state=0)
    for rule in ("auto", "eigengap", "modularity"):
        found = SpectralClustering(rule, affinity=KNN(30), random_state=0).fit(rows)
        assert found.n_connected_components_ == 1
        assert found.n_clusters_ == 3
        assert accuracy(truth, found.labels_) >= 0.99


def test_kernels_that_are_not_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, truth = make_blobs(300, 8, centers=6 * np.eye(8)[:3], random_state=0)
    formed = SpectralClustering(3, affinity="gaussian", random_state=0).fit(rows)
    monkeypatch.setattr(gaussian, "_FORMED_ROWS", 10)
    options: dict[str, Any] = {"affinity": Gaussian(3.0), "random_state": 0}
    found = SpectralClustering(**options).fit(rows)
    assert (found.n_clusters_, found.assignment_) == (3, "kmeans")
    assert accuracy(truth, found.labels_) == accuracy(formed.labels_, found.labels_) == 1
    sampled = SpectralClustering(3, solver=Nystrom(n_landmarks=100), **options).fit(rows)
    assert accuracy(truth, sampled.labels_) == 1
    with pytest.raises(
        InputError, match=r"'modularity' needs a formed affinity.*use 'eigengap' or"
    ):
        SpectralClustering("modularity", **options).fit(rows)
    with pytest.raises(InputError, match=r"'merge' needs a formed affinity.*Use assign='kmeans'"):
        SpectralClustering(3, assign="merge", **options).fit(rows)


# Held-out rows


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The rows of digits in random order, and their truth."""
    rows, truth = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(rows))
    return rows[order], truth[order]


@pytest.mark.parametrize("laplacian", LAPLACIANS)
@pytest.mark.parametrize("assign", ASSIGN[1:])
def test_predicting_agrees_with_a_joint_fit(
    digits: tuple[np.ndarray, np.ndarray], assign: str, laplacian: str
) -> None:
    rows, _ = digits
    model = SpectralClustering(10, assign=assign, laplacian=laplacian, random_state=0)
    joint = model.fit(rows).labels_
    model.fit(rows[:1400])
    fitted = accuracy(joint[:1400], model.labels_)
    held_out = accuracy(joint[1400:], model.predict(rows[1400:]))
    # k-means and merging start at random, and may cluster the part in another way than the whole
    assert held_out >= fitted - 0.05
    if assign in ("cluster_qr", "discretize"):
        assert min(fitted, held_out) >= 0.95


@pytest.mark.parametrize("laplacian", LAPLACIANS)
def test_held_out_coordinates_approach_those_of_a_joint_fit(
    digits: tuple[np.ndarray, np.ndarray], laplacian: str
) -> None:
    rows, _ = digits
    model = SpectralEmbedding(9, laplacian=laplacian, random_state=0)
    joint = model.fit(rows).embedding_
    model.fit(rows[:1400])
    turn = np.linalg.lstsq(model.embedding_, joint[:1400], rcond=None)[0]
    left = joint[1400:] - model.transform(rows[1400:]) @ turn
    assert (left**2).sum() <= 0.06 * (joint[1400:] ** 2).sum()


# Real sets

FLOORS = {"mnist": 0.78, "usps": 0.74, "coil20": 0.80, "digits": 0.85}


@pytest.fixture(scope="module")
def real_fits(data_dir: Path) -> dict[str, tuple[np.ndarray, np.ndarray, SpectralClustering]]:
    fits = {}
    for name in FLOORS:
        if name == "digits":
            rows, truth = load_digits(return_X_y=True)
        else:
            with np.load(data_dir / f"{name}.npz") as archive:
                rows, truth = archive["X"][-10_000:], archive["y"][-10_000:]
        k = len(np.unique(truth))
        fits[name] = (rows, truth, SpectralClustering(k, random_state=0).fit(rows))
    return fits


@pytest.mark.parametrize("name", FLOORS)
def test_accuracy_on_real_sets(real_fits: dict[str, Any], name: str) -> None:
    _, truth, model = real_fits[name]
    assert model.n_clusters_ == len(np.unique(truth))
    assert accuracy(truth, model.labels_) >= FLOORS[name]


@pytest.mark.parametrize("name", FLOORS)
def test_applying_on_real_sets(real_fits: dict[str, Any], name: str, tmp_path: Path) -> None:
    rows, _, model = real_fits[name]
    some = np.random.default_rng(0).permutation(len(rows))[:300]
    np.testing.assert_array_equal(model.predict(rows[some]), model.labels_[some])
    np.testing.assert_array_equal(model.transform(rows[some]), model.embedding_[some])
    blurred = rows[some].astype(np.float32)
    blurred += np.random.default_rng(1).normal(scale=0.05 * blurred.std(), size=blurred.shape)
    labels = model.predict(blurred)
    assert np.mean(labels == model.labels_[some]) >= 0.97
    one_by_one = [model.predict(blurred[i : i + 1])[0] for i in range(20)]
    np.testing.assert_array_equal(one_by_one, labels[:20])
    model.save(tmp_path / "real.fiedler")
    np.testing.assert_array_equal(load(tmp_path / "real.fiedler").predict(blurred), labels)


# What a job will cost


def test_cost_rises_with_rows_features_and_clusters() -> None:
    sizes = [(n, d, k) for n in (100, 10**4, 10**6) for d in (2, 64, 784) for k in (2, 10, 100)]
    costs = {size: estimate_cost(*size) for size in sizes}
    for n, d, k in sizes:
        for larger in ((n * 100, d, k), (n, d * 10, k), (n, d, k * 5)):
            cost, more = costs[n, d, k], estimate_cost(*larger)
            assert more.seconds >= cost.seconds > 0
            assert more.peak_bytes >= cost.peak_bytes > 0
    cost = costs[10**4, 64, 10]
    assert sum(cost.detail.values()) <= cost.seconds
    assert set(cost.detail) == {"graph", "eigenvectors", "assignment"}


def test_cost_of_images_rises_with_their_number_and_size() -> None:
    for method in ("spectralnet", "sanet"):
        costs = [
            estimate_cost(n, side * side * 3, method=method, image_shape=(side, side, 3))
            for n, side in ((1000, 8), (1000, 12), (1000, 32), (20_000, 32), (20_000, 64))
        ]
        for cost, more in pairwise(costs):
            assert more.seconds > cost.seconds > 0
            assert more.peak_bytes > cost.peak_bytes > 0
    assert estimate_cost(1000, 784, method="sanet").seconds < costs[2].seconds
    # what is no image to a network, or has no graph, costs neither convolutions nor gradients
    thin = [estimate_cost(500, 40, method="dscdan", image_shape=shape) for shape in (None, (1, 40))]
    assert thin[0] == thin[1]
    published = {"recipe": "paper"}
    assert estimate_cost(500, 40, method="dscdan", parameters=published).detail["graph"] == 0
    for layers in ("faces", "objects", "natural", "digits-paper", "natural-paper-3"):
        given = {"layers": layers}
        few, many = (
            estimate_cost(n, 784, method="sanet", image_shape=(28, 28), parameters=given)
            for n in (2000, 70_000)
        )
        assert few.seconds < many.seconds
        assert few.peak_bytes < many.peak_bytes


def test_what_fits_into_memory() -> None:
    assert estimate_cost(1000, 10).fits
    assert not estimate_cost(10**7, 10**4).fits
    assert CostEstimate(1.0, 100, 100).fits
    assert not CostEstimate(1.0, 101, 100).fits
    assert 2**26 < available_memory() < 2**50
    with pytest.raises(ValueError, match="'spectralnet', 'sanet' or 'dscdan', got"):
        estimate_cost(10, 10, method="magic")


MEASURE = """
import numpy as np
from sklearn.datasets import make_blobs
from fiedler import SpectralClustering
rows = make_blobs({n}, {d}, centers=50, random_state=0)[0].astype(np.float32)
SpectralClustering(10, random_state=0, device="cpu").fit(rows)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its own peak")
@pytest.mark.parametrize(("n", "d"), [(2000, 20), (10_000, 500)])
def test_estimated_memory_is_of_the_right_size(n: int, d: int) -> None:
    call = [sys.executable, "-W", "ignore", "-c", MEASURE.format(n=n, d=d)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    share = int(done.stdout) * 1024 / estimate_cost(n, d).peak_bytes
    assert 1 / 2 <= share <= 2


def test_rows_without_a_direction_stay_out_of_the_way(tmp_path: Path) -> None:
    """Texts without a word are no hub: the others' labels are as if they were not there."""
    rng = np.random.default_rng(6)
    centers = np.eye(4, 40)
    topics = rng.integers(4, size=300)
    rows = np.abs(centers[topics] + 0.12 * rng.normal(size=(300, 40)))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[::10] = 0
    filled = np.flatnonzero(rows.any(axis=1))
    model = SpectralClustering(5, random_state=0).fit(rows)
    assert accuracy(topics[filled], model.labels_[filled]) == 1.0
    assert len(set(model.labels_[::10])) == 1
    assert not np.isin(model.labels_[0], model.labels_[filled])
    model.save(tmp_path / "texts.fiedler")
    for fitted in (model, load(tmp_path / "texts.fiedler")):
        np.testing.assert_array_equal(fitted.predict(rows), model.labels_)
        assert fitted.predict(np.zeros((1, 40))) == model.labels_[0]
    without = SpectralClustering(4, random_state=0).fit(rows[filled])
    labels, confidence = without.predict_with_confidence(np.zeros((2, 40)))
    assert labels[0] == labels[1]
    assert confidence.max() < confidence.mean() + 1e-12 < 0.5


@pytest.mark.parametrize("n", [1000, 2500])
def test_long_curves_in_the_plane_hold_together(n: int) -> None:
    """A small C inside a large one, thinly set: with few neighbours each would fall into pieces."""
    rng = np.random.default_rng(0)
    inside = np.arange(n) % 3 == 0
    angle = rng.uniform(0.2 * np.pi, 1.8 * np.pi, n)
    radius = np.where(inside, 0.5, 1.0) + rng.normal(0, 0.04, n)
    X = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    model = SpectralClustering(2, random_state=0).fit(X)
    assert accuracy(inside, model.labels_) == 1.0


@pytest.mark.parametrize("affinity", ["gaussian", similarity])
def test_new_rows_are_related_to_many_fitted_ones_in_parts(
    affinity: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SpectralClustering(3, affinity=affinity, random_state=0).fit(ROWS)
    whole = model.transform(NEW)
    fitted, sizes = model._affinity(), []

    def cross(rows: np.ndarray) -> Any:
        sizes.append(len(rows))
        return fitted.cross(rows)

    model._fitted_affinity = replace(fitted, cross=cross)
    monkeypatch.setattr(base, "_CROSS_BYTES", 8 * len(ROWS) * 6)
    np.testing.assert_allclose(model.transform(NEW), whole, atol=1e-5)
    assert sizes == [6, 6, 6, 2]
