"""Bad rows, parameters and model files: an error that says what was got, allowed, and to do."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from brief import brief_dual
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import fiedler
from fiedler import (
    DSCDAN,
    KNN,
    Autoencoder,
    ConvMap,
    DenseCoder,
    DenseMap,
    Epsilon,
    Gaussian,
    SANet,
    Siamese,
    SpectralClustering,
    SpectralEmbedding,
    SpectralLayer,
    SpectralNet,
    SpectralNetRecipe,
    Training,
)
from fiedler.exceptions import (
    DisconnectedGraphWarning,
    InputError,
    ModelFileError,
    NotEnoughMemoryError,
)

ESTIMATORS: list[Callable[..., Any]] = [
    partial(SpectralEmbedding, random_state=0),
    partial(SpectralClustering, 3, random_state=0),
    partial(SpectralClustering, "auto", random_state=0),
]
ROWS = np.random.default_rng(0).normal(size=(60, 5))
FEW = np.repeat(np.random.default_rng(1).normal(size=(2, 5)), 20, axis=0)
HOLED = ROWS.copy()
HOLED[3, 1], HOLED[7, 0], HOLED[50] = np.nan, -np.inf, np.inf
KERNEL = np.exp(-((ROWS[:, None] - ROWS) ** 2).sum(axis=2))
HOLED_KERNEL = KERNEL + np.diag([np.nan] + 59 * [0.0])


@pytest.fixture(params=ESTIMATORS, ids=lambda make: repr(make()))
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def refuses(make: Callable[..., Any], rows: Any, message: str, **params: Any) -> None:
    """A ValueError with this message, and an estimator that is as if nothing had happened."""
    estimator = make(**params)
    with pytest.raises(ValueError, match=message):
        estimator.fit(rows)
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        estimator.transform(ROWS)


# Rows

HOLDERS: dict[str, Callable[[np.ndarray], Any]] = {
    "float64": np.asarray,
    "float32": lambda rows: rows.astype(np.float32),
    "float16": lambda rows: rows.astype(np.float16),
    "lists": lambda rows: rows.tolist(),
    "objects": lambda rows: rows.astype(object),
    "with None": lambda rows: np.where(np.isfinite(rows), rows, None),
    "data frame": pd.DataFrame,
    "csr": sp.csr_matrix,
    "torch": torch.tensor,
    "images": lambda rows: rows.reshape(60, 5, 1),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_rows_with_nan_or_infinity_are_named(make: Callable[..., Any], holder: str) -> None:
    message = r"NaN or infinity in 3 rows, first \[3, 7, 50\]; remove or impute them"
    refuses(make, HOLDERS[holder](HOLED), message)
    found = make().fit(ROWS)
    with pytest.raises(InputError, match=message):
        found.transform(HOLDERS[holder](HOLED))


@pytest.mark.parametrize("factor", [1e20, 1e200])
def test_rows_too_large_to_measure_distances_are_named(
    make: Callable[..., Any], factor: float
) -> None:
    rows = ROWS.copy()
    rows[4] *= factor
    refuses(make, rows, r"too large in 1 rows, first \[4\].*below 1e38; scale the rows")
    refuses(make, sp.csr_matrix(rows), r"too large in 1 rows, first \[4\]")
    make().fit(ROWS * 1e17)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.empty((0, 5)), r"0 sample\(s\) \(shape=\(0, 5\)\) while a minimum of 1 is required"),
        (torch.empty(0, 5), r"0 sample\(s\) \(shape=\(0, 5\)\) while a minimum of 1"),
        (np.empty((0, 4, 4)), r"no rows: got shape \(0, 4, 4\), at least one is needed"),
        (np.empty((5, 0)), r"0 feature\(s\) \(shape=\(5, 0\)\) while a minimum of 1 is required"),
        ([], "(?s)Expected 2D array, got 1D array.*Reshape your data"),
        (ROWS[0], "(?s)Expected 2D array, got 1D array.*Reshape your data"),
        (7.0, "Expected 2D array, got scalar array"),
        (None, "Expected 2D array, got scalar array"),
        (ROWS[:1], "at least 2 rows, got n_samples=1: one row has no neighbours"),
        (np.ones((1, 4, 4)), "at least 2 rows, got n_samples=1: one row has no neighbours"),
        (
            np.array([["a", "b"], ["c", "d"]]),
            r"X holds strings, .* numbers; open .* by fiedler.open_rows",
        ),
        ([["1", "b"], ["c", "d"]], "X holds strings, rows must be numbers"),
        (np.array([["a", 1], ["c", 2]], dtype=object), "X holds strings, rows must be numbers"),
        (pd.DataFrame({"a": [1, 2], "b": ["c", "d"]}), "X holds strings, rows must be numbers"),
        (
            ["one text", "another text"],
            r"X holds strings, .* numbers; open .* by fiedler.open_rows",
        ),
        ("photos/", r"X holds strings, .* numbers; open .* by fiedler.open_rows"),
        (np.full((5, 2, 2), "a"), "X holds strings, rows must be numbers"),
        (np.full((5, 2, 2), "a", dtype=object), "X holds object, images must be real numbers"),
        (np.zeros((5, 2, 2), dtype=complex), "X holds complex128, images must be real numbers"),
        (np.zeros((5, 2), dtype=complex), "Complex data not supported"),
        (np.zeros((5, 2), dtype="M8[D]"), r"X holds datetime64\[D\], rows must be numbers"),
    ],
)
def test_what_is_no_rows(make: Callable[..., Any], rows: Any, message: str) -> None:
    refuses(make, rows, message)


@pytest.mark.parametrize("affinity", ["knn", "self-tuning", "gaussian", "epsilon"])
def test_equal_rows(make: Callable[..., Any], affinity: str) -> None:
    wanted = "at least [23] distinct rows; ask for fewer or check the data"
    refuses(make, np.ones((20, 3)), f"all rows are equal, but .* needs {wanted}", affinity=affinity)
    refuses(make, sp.csr_matrix((20, 3)), f"all rows are equal, but .* needs {wanted}")
    refuses(make, np.zeros((20, 3, 3), np.uint8), "all rows are equal")


def test_fewer_distinct_rows_than_clusters() -> None:
    three = partial(SpectralClustering, 3)
    message = "only 2 rows are distinct, but n_clusters=3 needs at least 3 distinct rows; ask for"
    refuses(three, FEW, message)
    refuses(three, sp.csr_matrix(FEW), message)
    refuses(three, np.tile([[0.0], [-0.0], [1.0]], (9, 1)), message)
    late = np.vstack([np.repeat(FEW, 30, axis=0), ROWS[:1]])
    assert three(random_state=0).fit(late).labels_.shape == (1201,)


@pytest.mark.parametrize("rule", [2, "auto", "eigengap", "modularity"])
def test_two_distinct_rows_are_two_clusters(rule: Any) -> None:
    found = SpectralClustering(rule, random_state=0).fit(FEW)
    assert found.n_clusters_ == 2
    np.testing.assert_array_equal(found.labels_ == found.labels_[0], np.arange(40) < 20)


def test_equal_rows_are_one_cluster_if_one_is_asked_for() -> None:
    np.testing.assert_array_equal(SpectralClustering(1).fit(np.ones((20, 3))).labels_, 0)


def test_constant_columns_change_nothing(make: Callable[..., Any]) -> None:
    wider = np.hstack([ROWS, np.full((60, 2), 7.0), np.zeros((60, 1))])
    plain, found = make().fit(ROWS), make().fit(wider)
    np.testing.assert_allclose(found.embedding_, plain.embedding_, atol=1e-9)
    np.testing.assert_allclose(
        found.transform(wider[:9] + 0.01), plain.transform(ROWS[:9] + 0.01), atol=1e-5
    )


def test_wrong_number_of_features(make: Callable[..., Any]) -> None:
    found = make().fit(ROWS)
    message = "X has 4 features.* expecting 5 features"
    for rows in (ROWS[:, :4], sp.csr_matrix(ROWS[:, :4]), torch.ones(3, 4), np.ones((3, 2, 2))):
        with pytest.raises(ValueError, match=message):
            found.transform(rows)
    for empty in (ROWS[:0], np.empty((0, 5, 1))):
        with pytest.raises(ValueError, match=r"0 sample\(s\)|no rows"):
            found.transform(empty)


# Given affinities


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (KERNEL[:, :40], r"square matrix of shape \(n, n\), got shape \(60, 40\).* such as 'knn'"),
        (np.triu(KERNEL), r"must be symmetric; .* Pass \(W \+ W.T\) / 2"),
        (KERNEL - 0.5, "must not be negative, .* -0.5.* turned into similarities first"),
        (HOLED_KERNEL, r"NaN or infinity in 1 rows, first \[0\]"),
        (np.ones((1, 1)), "at least 2 rows, got n_samples=1"),
    ],
)
def test_what_is_no_affinity(
    make: Callable[..., Any], convert: Callable[[Any], Any], matrix: np.ndarray, message: str
) -> None:
    refuses(make, convert(matrix), message, affinity="precomputed")


def test_a_given_affinity_may_be_large(make: Callable[..., Any]) -> None:
    found = make(affinity="precomputed").fit(1e30 * KERNEL)
    plain = make(affinity="precomputed").fit(KERNEL)
    np.testing.assert_allclose(found.embedding_, plain.embedding_, atol=1e-9)


def test_disconnected_graph_is_told_with_sizes_and_remedy(make: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(8 + i, 3)) + 60 * i for i in range(23)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = make(affinity=KNN(3)).fit(np.concatenate(parts))
    [warning] = caught
    assert warning.category is DisconnectedGraphWarning
    assert warning.filename == __file__
    text = str(warning.message)
    assert f"graph has {found.n_connected_components_} connected components (of 30, 29, " in text
    assert "23, ... rows), more than the " in text
    assert "Raise n_neighbors, as in affinity=KNN(20), or n_clusters or n_components." in text
    np.testing.assert_array_equal(found.component_sizes_, np.arange(30, 7, -1))


@pytest.mark.parametrize("call", ["fit", "fit_predict", "fit_transform"])
def test_a_warning_points_at_the_line_of_the_caller(call: str) -> None:
    rows = np.repeat(100.0 * np.eye(4, 3), 20, axis=0) + np.random.default_rng(0).normal(
        size=(80, 3)
    )
    with pytest.warns(DisconnectedGraphWarning) as caught:
        getattr(SpectralClustering(2, random_state=0), call)(rows)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("clusters", [4, "auto"])
def test_as_many_components_as_clusters_are_no_reason_to_warn(clusters: Any) -> None:
    rows = np.concatenate([ROWS + 60 * i for i in range(4)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = SpectralClustering(clusters, random_state=0).fit(rows)
    np.testing.assert_array_equal(np.bincount(found.labels_), 60)
    np.testing.assert_array_equal(found.labels_, np.repeat(found.labels_[::60], 60))


# Parameters


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"affinity": "nearest"}, "affinity must be one of .*'knn'.* got 'nearest'"),
        ({"affinity": 7}, r"affinity must be one of .* an object such as KNN\(15\), .* got 7"),
        ({"affinity": KNN(0)}, "n_neighbors .* got 0"),
        ({"laplacian": "random"}, "laplacian must be 'sym', 'rw' or 'unnormalized', got 'random'"),
        ({"solver": "fast"}, "solver must be one of .*'lanczos'.* got 'fast'"),
        ({"solver": 3}, "solver must be a name or have a solve method, got 3"),
        (
            {"solver": "nystrom", "laplacian": "unnormalized"},
            "use laplacian='sym' or 'rw', or solver='block' or 'lanczos'",
        ),
        ({"recall": 0.0}, r"recall must be in \(0, 1\], got 0.0"),
        ({"recall": 1.5}, r"recall must be in \(0, 1\], got 1.5"),
        ({"n_components": 0}, "n_components must be between 1 and (59|60), .* rows.*; got 0"),
        ({"n_components": -1}, "n_components must be between 1 and (59|60), .* rows.*; got -1"),
        ({"n_components": 61}, "n_components must be between 1 and (59|60), .* rows.*; got 61"),
        ({"n_components": 2.5}, "n_components must be an integer, got 2.5"),
        ({"n_components": True}, "n_components must be an integer, got True"),
        ({"random_state": "dice"}, "random_state must be None, .* got 'dice'"),
        ({"random_state": -1}, "random_state must be None, .* got -1"),
    ],
)
def test_bad_parameters(make: Callable[..., Any], params: dict[str, Any], message: str) -> None:
    refuses(make, ROWS, message, **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_clusters": 0}, "n_clusters must be between 1 and 60, the number of rows; got 0"),
        ({"n_clusters": -2}, "n_clusters must be between 1 and 60, the number of rows; got -2"),
        ({"n_clusters": 61}, "n_clusters must be between 1 and 60, the number of rows; got 61"),
        ({"n_clusters": 2.5}, "n_clusters must be an integer, 'auto', .* got 2.5"),
        ({"n_clusters": True}, "n_clusters must be an integer, 'auto', .* got True"),
        ({"n_clusters": None}, "n_clusters must be an integer, 'auto', .* got None"),
        ({"n_clusters": "many"}, "'auto', 'eigengap' or 'modularity', got 'many'"),
        ({"n_clusters": "auto", "max_clusters": 0}, "max_clusters must be between 1 .* got 0"),
        ({"n_clusters": "auto", "max_clusters": 2.5}, "max_clusters must be an integer, got 2.5"),
        ({"assign": "guess"}, "assign must be one of .*'kmeans'.* got 'guess'"),
        (
            {"n_clusters": 3, "assign": "discretize", "n_components": 2},
            "one eigenvector for each of 3 clusters, got 2; raise n_components or use assign=",
        ),
    ],
)
def test_bad_parameters_of_a_clustering(params: dict[str, Any], message: str) -> None:
    refuses(SpectralClustering, ROWS, message, **params)
    if "n_clusters" in params:
        refuses(SpectralClustering, ROWS.tolist(), message, **params)


ASSIGN = ["auto", "kmeans", "cluster_qr", "discretize", "merge"]


@pytest.mark.parametrize("assign", ASSIGN)
def test_one_cluster(assign: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = SpectralClustering(1, assign=assign, random_state=0).fit(ROWS)
    assert found.n_clusters_ == 1
    np.testing.assert_array_equal(found.labels_, 0)
    labels, confidence = found.predict_with_confidence(ROWS + 0.01)
    np.testing.assert_array_equal(labels, 0)
    np.testing.assert_array_equal(confidence, 1)


@pytest.mark.parametrize("assign", ASSIGN)
@pytest.mark.parametrize("k", [30, 60])
def test_as_many_clusters_as_rows(assign: str, k: int) -> None:
    found = SpectralClustering(k, assign=assign, random_state=0).fit(ROWS)
    if assign == "discretize":  # its rotation may leave a cluster without rows
        assert k - 3 <= found.n_clusters_ <= k
    else:
        assert found.n_clusters_ == k
    np.testing.assert_array_equal(np.unique(found.labels_), np.arange(found.n_clusters_))
    np.testing.assert_array_equal(found.predict(ROWS), found.labels_)


@pytest.mark.parametrize(
    ("affinity", "message"),
    [
        (KNN, r"an object such as KNN\(\), got the class itself"),
        (KNN(1.5), "n_neighbors must be an integer of at least 1, got 1.5"),  # type: ignore[arg-type]
        (KNN(weights="gaussian", scale_neighbor=0), "scale_neighbor must be an integer .* got 0"),
        (Epsilon("a"), "Epsilon needs a positive scale, got 'a'"),  # type: ignore[arg-type]
        (Gaussian(None), "Gaussian needs a positive sigma, got None"),  # type: ignore[arg-type]
    ],
)
def test_bad_affinities(make: Callable[..., Any], affinity: Any, message: str) -> None:
    refuses(make, ROWS, message, affinity=affinity)


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        (Training, {"steps": "a"}, "Training needs steps >= 1, .* got 'a', 1024 and 0.001"),
        (Training, {"steps": 2.5}, "Training needs steps >= 1, .* got 2.5, 1024 and 0.001"),
        (Training, {"learning_rate": "a"}, "learning_rate > 0, got 1000, 1024 and 'a'"),
        (Training, {"patience": 2.5}, "patience must be None or at least 1, got 2.5"),
        (Training, {"precision": "fp16"}, "'auto', 'bfloat16', 'float32'], got 'fp16'"),
        (DenseMap, {"widths": 64}, r"tuple of positive integers, such as \(64,\) .* got 64"),
        (DenseMap, {"widths": (-3,)}, r"tuple of positive integers, .* got \(-3,\)"),
        (DenseCoder, {"widths": "ab"}, "widths must be a tuple of positive integers, .* got 'ab'"),
        (ConvMap, {"channels": 8}, "channels must be a tuple of positive integers, .* got 8"),
        (Autoencoder, {"n_codes": 0}, "n_codes must be an integer of at least 1, got 0"),
        (Siamese, {"n_neighbors": 0}, "n_neighbors must be an integer of at least 1, got 0"),
        (SpectralNetRecipe, {"affinity": KNN}, r"affinity must be one of .*KNN\(...\)"),
    ],
)
def test_bad_parts(part: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        part(**options)


# Networks, and layers without gradients: nothing here gets as far as training

BRIEF = Training(steps=2, batch_size=60)
LEARNED: dict[str, Callable[..., Any]] = {
    "SpectralNet": partial(
        SpectralNet,
        3,
        recipe=SpectralNetRecipe(network=DenseMap((8,)), views=None, training=BRIEF),
        random_state=0,
    ),
    "DSCDAN": partial(DSCDAN, 3, recipe=brief_dual(BRIEF), random_state=0),
    "SANet": partial(SANet, 3, layers=[SpectralLayer(None)], assign="kmeans", random_state=0),
}
DATES = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=60), "size": range(60)})


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (HOLED, r"NaN or infinity in 3 rows, first \[3, 7, 50\]; remove or impute them"),
        (HOLED.reshape(60, 5, 1), r"NaN or infinity in 3 rows, first \[3, 7, 50\]"),
        (ROWS * 1e200, "too large in 60 rows"),
        (np.empty((0, 5)), r"0 sample\(s\)"),
        (np.empty((0, 4, 4)), "no rows"),
        (ROWS[:1], "at least 2 rows, got n_samples=1"),
        (ROWS[0], "Expected 2D array, got 1D array"),
        ([["1", "b"], ["c", "d"]], "X holds strings, rows must be numbers"),
        ("photos/", "X holds strings, .* by fiedler.open_rows"),
        (DATES, "X holds dates or objects, rows must be numbers"),
        (DATES[["day"]], r"X holds datetime64\[.s\], rows must be numbers"),
        (np.ones((20, 3)), "all rows are equal, but n_clusters=3 needs at least 3 distinct rows"),
        (FEW, "only 2 rows are distinct, but n_clusters=3 needs at least 3 distinct rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_rows_for_networks_and_layers(name: str, rows: Any, message: str) -> None:
    refuses(LEARNED[name], rows, message)


@pytest.mark.parametrize("name", LEARNED)
def test_rows_that_a_fitted_network_refuses(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few steps
        found = LEARNED[name]().fit(ROWS)
    for rows, message in [
        (HOLED, r"NaN or infinity in 3 rows, first \[3, 7, 50\]"),
        (ROWS[:, :4], "X has 4 features.* expecting 5 features"),
        (np.ones((3, 2, 2)), "X has 4 features.* expecting 5 features"),
        (ROWS[:0], r"0 sample\(s\)"),
        ([["1", "b"]], "X holds strings"),
    ]:
        with pytest.raises(ValueError, match=message):
            found.predict(rows)


@pytest.mark.parametrize("name", LEARNED)
def test_an_image_shape_is_height_and_width(name: str) -> None:
    refuses(LEARNED[name], ROWS, "image_shape.* 5 numbers", image_shape=8)


# Model files


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "a.fiedler"
    SpectralClustering(3, random_state=0).fit(ROWS).save(path)
    return path


def refuses_file(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        fiedler.load(path)


def with_header(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + content[8 + length :]


def test_truncated_model_files(model_file: Path, tmp_path: Path) -> None:
    content = model_file.read_bytes()
    for length in (0, 5, 8, 100, len(content) // 2, len(content) - 1):
        message = "truncated|not a fiedler model file"
        refuses_file(tmp_path / "a.fiedler", content[:length], message)


def test_other_files_are_refused_unopened(model_file: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    refuses_file(tmp_path / "a.fiedler", pickle.dumps(Bomb()), "looks like a pickle.*never opened")
    torch.save(Bomb(), tmp_path / "b.pt")
    refuses_file(tmp_path / "b.pt", (tmp_path / "b.pt").read_bytes(), "looks like a zip archive")
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(ModelFileError, match=r"cannot be read .* give the path of a model file"):
        fiedler.load(tmp_path / "missing.fiedler")


def test_altered_model_files(model_file: Path, tmp_path: Path) -> None:
    content = model_file.read_bytes()

    def set_metadata(name: str, value: str) -> bytes:
        return with_header(content, lambda header: header["__metadata__"].update({name: value}))

    path = tmp_path / "a.fiedler"
    refuses_file(path, set_metadata("format_version", "99"), "version 99.* reads version 1. Use")
    refuses_file(path, set_metadata("kind", "Oracle"), "holds a 'Oracle'; .*'SpectralClustering'")
    refuses_file(path, set_metadata("params", "{}"), "does not hold what .* save the model again")
    refuses_file(path, set_metadata("params", "[[["), "damaged metadata .*save the model again")
    renamed = with_header(content, lambda header: header.update(extra=header.pop("labels_")))
    refuses_file(path, renamed, r"does not hold what a SpectralClustering needs \(KeyError")


def test_a_dense_solver_without_memory_is_refused(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fiedler.spectrum.solvers.available_memory", lambda: 100_000)
    for affinity in ("knn", "gaussian"):
        with pytest.raises(NotEnoughMemoryError, match=r"for 60 rows; .* Use solver="):
            make(affinity=affinity, solver="dense").fit(ROWS)
