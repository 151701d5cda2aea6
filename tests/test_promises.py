"""What every estimator promises. A new estimator joins by one line in ``ESTIMATORS``."""

from __future__ import annotations

import copy
import io
import logging
import os
import pickle
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

import fiedler
from fiedler import (
    DSCDAN,
    KNN,
    Autoencoder,
    BatchAffinity,
    DenseCoder,
    DenseMap,
    DSCDANRecipe,
    Epsilon,
    Gaussian,
    ImageFolder,
    LearnedGraph,
    Normalization,
    Pooling,
    Procedure,
    Round,
    SANet,
    Siamese,
    SpectralClustering,
    SpectralEmbedding,
    SpectralLayer,
    SpectralNet,
    SpectralNetRecipe,
    Training,
)
from fiedler.exceptions import InputError, OutputError

# Networks trained briefly: the promises do not depend on how good they are. Dense, since flat rows
# and images are compared.
BRIEF = SpectralNetRecipe(
    network=DenseMap((32,)), views=None, training=Training(steps=25, batch_size=40)
)
AS_PUBLISHED = SpectralNetRecipe(
    codes=Autoencoder((16,), 4, Training(steps=10, batch_size=32)),
    siamese=Siamese((16,), 4, training=Training(steps=10, batch_size=32)),
    affinity=BatchAffinity(),
    network=DenseMap((16,), batch_norm=False, head="tanh"),
    normalized=False,
    alternate=True,
    extra_outputs=0,
    training=Training(steps=20, batch_size=50, patience=5),
)
SHORT = Training(steps=8, batch_size=40)
BRIEF_DUAL = DSCDANRecipe(
    coder=DenseCoder((16,)),
    n_codes=8,
    critic_width=8,
    pretraining=SHORT,
    spectral=DenseMap((16,)),
    rounds=(Round(training=SHORT), Round(LearnedGraph(), known=0.5, training=SHORT)),
    views=None,
    joint_batch=16,
)
AS_PUBLISHED_DUAL = DSCDANRecipe(
    coder=DenseCoder((16,), batch_norm=False),
    n_codes=8,
    critic_width=8,
    pretraining=SHORT,
    spectral=DenseMap((16,), batch_norm=False),
    graph=None,
    rounds=(Round(BatchAffinity(), training=SHORT),),
    views=None,
    joint_weight=1.0,
    joint_batch=16,
    normalized=False,
    extra_outputs=0,
)
ESTIMATORS: list[Callable[..., Any]] = [
    SpectralEmbedding,
    SpectralClustering,
    partial(SpectralEmbedding, n_components=3, affinity="gaussian", laplacian="rw"),
    partial(SpectralEmbedding, n_components=3, affinity=Epsilon(1.2), solver="lanczos"),
    partial(SpectralClustering, 3, affinity=KNN(8, weights="self-tuning"), assign="merge"),
    partial(SpectralNet, recipe=SpectralNetRecipe(training=Training(steps=8, batch_size=128))),
    partial(SpectralNet, 3, recipe=BRIEF),
    partial(SpectralNet, 3, recipe=AS_PUBLISHED),
    # rows as vectors, and as pictures of one line; by themselves arrays of pictures are taken so
    partial(SANet, image_shape=(1, 1, -1)),
    partial(
        SANet,
        3,
        layers=[
            SpectralLayer((1, 4), 4, [Procedure(4), Procedure(3, Gaussian())], padding="same"),
            Pooling((1, 2), 1, "average", padding="same"),
            Normalization(),
            SpectralLayer(None, procedures=[Procedure(5)], landmarks=50, n_pca=6),
        ],
        assign="kmeans",
        image_shape=(1, -1),
    ),
    partial(DSCDAN, 3, recipe=BRIEF_DUAL),
    partial(DSCDAN, 3, recipe=AS_PUBLISHED_DUAL),
]


def blobs(n: int, seed: int) -> np.ndarray:
    """Three groups near enough that the graph is connected."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 6)) + 2.5 * np.eye(6)[np.arange(n) % 3]


ROWS, NEW = blobs(90, 0), blobs(25, 1)


def name_of(make: Callable[..., Any]) -> str:
    return repr(make())


def outputs(model: Any, rows: Any) -> dict[str, np.ndarray]:
    """Everything that a fitted estimator says about rows."""
    methods = [method for method in ("predict", "transform") if hasattr(model, method)]
    assert methods
    return {method: np.asarray(getattr(model, method)(rows)) for method in methods}


def fitted_parts(model: Any) -> dict[str, np.ndarray]:
    """What ``outputs`` of the fitted rows must be."""
    named = {"predict": "labels_", "transform": "embedding_"}
    return {m: getattr(model, name) for m, name in named.items() if hasattr(model, m)}


def assert_same(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    """Bit for bit."""
    assert got.keys() == wanted.keys()
    for method, values in wanted.items():
        np.testing.assert_array_equal(got[method], values, err_msg=method)
        assert got[method].dtype == values.dtype


def assert_alike(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    """Equal labels; coordinates up to the rounding of float32 kernels."""
    assert got.keys() == wanted.keys()
    for method, values in wanted.items():
        atol = 0.0 if values.dtype.kind == "i" else 1e-5 * np.abs(values).max()
        np.testing.assert_allclose(got[method], values, rtol=0, atol=atol, err_msg=method)


@pytest.fixture(scope="module", params=ESTIMATORS, ids=name_of)
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def model(make: Callable[..., Any]) -> Any:
    return make(random_state=0).fit(ROWS)


# 1. scikit-learn's contract


@parametrize_with_checks([make() for make in ESTIMATORS])
def test_scikit_learn_contract(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_fitted_attributes(model: Any, make: Callable[..., Any]) -> None:
    assert model.fit(ROWS) is model
    assert model.n_features_in_ == 6
    assert len(model.embedding_) == 90
    assert model.embedding_.dtype == np.float64
    if hasattr(model, "predict"):
        assert model.labels_.shape == (90,)
        assert model.labels_.dtype == np.int64
        np.testing.assert_array_equal(np.unique(model.labels_), np.arange(model.n_clusters_))
        np.testing.assert_array_equal(make(random_state=0).fit_predict(ROWS), model.labels_)
    np.testing.assert_array_equal(make(random_state=0).fit_transform(ROWS), model.embedding_)


def test_parameters_clone_and_repr(make: Callable[..., Any]) -> None:
    estimator = make(random_state=7)
    params = estimator.get_params()
    assert params["random_state"] == 7
    assert clone(estimator).get_params() == params
    assert type(estimator)().set_params(**params).get_params() == params
    assert eval(repr(estimator), vars(fiedler)).get_params() == params
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        estimator.set_params(nonsense=1)


def test_pipeline_and_grid_search(make: Callable[..., Any]) -> None:
    def spread(pipeline: Any, rows: np.ndarray, y: None = None) -> float:
        return float(np.abs(pipeline.transform(rows)).sum())

    pipeline = make_pipeline(StandardScaler(), make(random_state=0))
    step = f"{type(make()).__name__.lower()}__random_state"
    search = GridSearchCV(pipeline, {step: [0, 1]}, scoring=spread, cv=2, error_score="raise")
    best = search.fit(ROWS).best_estimator_
    np.testing.assert_array_equal(best.transform(ROWS), best[-1].embedding_)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# 2. Applying refits nothing, and rows do not see each other


def test_fitted_rows_get_what_they_got(model: Any) -> None:
    assert_same(outputs(model, ROWS), fitted_parts(model))
    order = np.random.default_rng(0).permutation(90)[:40]
    wanted = {method: values[order] for method, values in fitted_parts(model).items()}
    assert_same(outputs(model, ROWS[order]), wanted)


def test_a_row_does_not_depend_on_the_others(model: Any) -> None:
    before = joblib.hash(model)
    together = outputs(model, NEW)
    for i in range(len(NEW)):
        assert_alike(outputs(model, NEW[i : i + 1]), {m: v[i : i + 1] for m, v in together.items()})
    assert_alike(outputs(model, NEW[::-1]), {m: v[::-1] for m, v in together.items()})
    mixed = outputs(model, np.vstack([ROWS, NEW, NEW, 1e3 * NEW]))
    assert_alike({m: v[90:115] for m, v in mixed.items()}, together)
    assert_alike({m: v[115:140] for m, v in mixed.items()}, together)
    assert joblib.hash(model) == before


# 3. The same seed gives the same result, and no global state is read or changed


def test_same_seed_same_result(make: Callable[..., Any], model: Any) -> None:
    again = make(random_state=0).fit(ROWS)
    assert_same(fitted_parts(again), fitted_parts(model))
    assert_same(outputs(again, NEW), outputs(model, NEW))
    seeds = [np.random.RandomState(5) for _ in range(2)]
    one, two = (make(random_state=seed).fit(ROWS) for seed in seeds)
    assert_same(outputs(one, NEW), outputs(two, NEW))


def test_global_random_state_is_neither_read_nor_changed(
    make: Callable[..., Any], model: Any
) -> None:
    def state() -> list[str]:
        legacy = np.random.get_state()  # noqa: NPY002
        generators = (legacy, random.getstate(), torch.get_rng_state().numpy())
        return [joblib.hash(generator) for generator in generators]

    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        torch.manual_seed(seed)
        before = state()
        found = make(random_state=0).fit(ROWS)
        assert_same(outputs(found, NEW), outputs(model, NEW))
        make(random_state=None).fit(ROWS)
        assert state() == before


def test_signs_are_fixed(model: Any) -> None:
    columns = model.embedding_
    largest = columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])]
    assert (largest > 0).all()


# 4. Silence, and progress for those who ask


def test_silence(
    make: Callable[..., Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        found = make(random_state=0).fit(ROWS)
        outputs(found, NEW)
        found.save(tmp_path / "a.fiedler")
        outputs(fiedler.load(tmp_path / "a.fiedler"), NEW)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_progress_rises(make: Callable[..., Any], model: Any) -> None:
    seen: dict[str, list[tuple[float, float]]] = {}
    found = make(
        random_state=0,
        progress=lambda stage, done, total: seen.setdefault(stage, []).append((done, total)),
    ).fit(ROWS)
    assert seen
    for stage, steps in seen.items():
        done = [step[0] for step in steps]
        assert done == sorted(done), stage
        assert all(0 <= step[0] <= step[1] for step in steps), stage
        assert done[-1] == steps[-1][1], stage
    assert_same(outputs(found, NEW), outputs(model, NEW))


# 5. Saved and loaded


APPLY = """
import sys, pickle, numpy as np, fiedler
for path in sys.argv[1:]:
    model = fiedler.load(path)
    rows = np.load("rows.npy")
    found = {m: getattr(model, m)(rows) for m in ("predict", "transform") if hasattr(model, m)}
    np.savez(path + ".npz", **found)
"""


def test_a_fresh_process_gives_the_same(tmp_path: Path) -> None:
    both = np.vstack([ROWS, NEW])
    np.save(tmp_path / "rows.npy", both)
    wanted = {}
    for i, make in enumerate(ESTIMATORS):
        found = make(random_state=0).fit(ROWS)
        found.save(tmp_path / f"{i}.fiedler")
        wanted[f"{i}.fiedler"] = outputs(found, both)
    call = [sys.executable, "-W", "error", "-c", APPLY, *wanted]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name, values in wanted.items():
        assert_same(dict(np.load(tmp_path / f"{name}.npz")), values)


def through_file(model: Any, folder: Path) -> Any:
    model.save(folder / "m.fiedler")
    return fiedler.load(folder / "m.fiedler")


def through_joblib(model: Any, folder: Path) -> Any:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return joblib.load(buffer)


COPIES: dict[str, Callable[[Any, Path], Any]] = {
    "file": through_file,
    "file twice": lambda m, folder: through_file(through_file(m, folder), folder / ".."),
    "pickle": lambda m, _: pickle.loads(pickle.dumps(m)),
    "joblib": through_joblib,
    "deepcopy": lambda m, _: copy.deepcopy(m),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_give_the_same(model: Any, how: str, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    found = COPIES[how](model, tmp_path / "inner")
    assert type(found) is type(model)
    assert found.get_params() == model.get_params()
    assert_same(outputs(found, NEW), outputs(model, NEW))
    assert_same(outputs(found, ROWS), fitted_parts(model))
    public = {name for name in vars(model) if name.endswith("_")}
    assert {name for name in vars(found) if name.endswith("_")} == public
    for name in public:
        np.testing.assert_equal(getattr(found, name), getattr(model, name), err_msg=name)
    assert_same(outputs(found.fit(ROWS), NEW), outputs(model, NEW))


def test_saving_needs_a_fit_and_a_free_name(
    make: Callable[..., Any], model: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.fiedler"
    with pytest.raises(NotFittedError, match="not fitted yet"):
        make().save(path)
    assert list(tmp_path.iterdir()) == []
    model.save(path)
    with pytest.raises(OutputError, match="exists; choose another name or pass overwrite=True"):
        model.save(path)
    model.save(path, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]


# 6. Interrupted


class Interrupt:
    """Raises KeyboardInterrupt at its call of the given number."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.calls = 0

    def __call__(self, stage: str, done: float, total: float) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt


def test_interruption_leaves_nothing_broken(
    make: Callable[..., Any], model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    count = Interrupt(0)
    make(random_state=0, progress=count).fit(ROWS)
    for at in {1, count.calls // 2 + 1, count.calls}:
        stopped = make(random_state=0, progress=Interrupt(at))
        with pytest.raises(KeyboardInterrupt):
            stopped.fit(ROWS)
        with pytest.raises(NotFittedError):
            check_is_fitted(stopped)
        assert vars(stopped).keys() == vars(make()).keys()
        stopped.set_params(progress=None)
        assert_same(outputs(stopped.fit(ROWS), NEW), outputs(model, NEW))
    assert os.listdir(tmp_path) == []


def test_an_interrupted_or_failed_fit_keeps_the_earlier_one(make: Callable[..., Any]) -> None:
    found = make(random_state=0).fit(ROWS)
    before, wanted = joblib.hash(found), outputs(found, NEW)
    found.set_params(progress=Interrupt(1))
    with pytest.raises(KeyboardInterrupt):
        found.fit(NEW[:, :4])
    found.set_params(progress=None)
    with pytest.raises(ValueError, match="NaN"):
        found.fit(np.full((9, 2), np.nan))
    assert joblib.hash(found) == before
    assert_same(outputs(found, NEW), wanted)


# 7. Whatever holds the rows


def pictures(n: int, seed: int) -> np.ndarray:
    """Grey pictures of 6 x 6 pixels in three groups, shape (n, 6, 6), uint8."""
    noise = np.random.default_rng(seed).normal(scale=9, size=(n, 6, 6))
    return np.clip(40 * blobs(n, seed)[:, :, None] + 60 + noise, 0, 255).astype(np.uint8)


PIXELS, NEW_PIXELS = pictures(60, 3), pictures(20, 4)


def as_folder(images: np.ndarray, folder: Path) -> ImageFolder:
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03}.png")
    return ImageFolder(folder)


def as_memory_map(images: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "rows.npy", flat(images))
    return np.load(folder / "rows.npy", mmap_mode="r")


def as_frame(images: np.ndarray, folder: Path) -> pd.DataFrame:
    return pd.DataFrame(flat(images), columns=[f"pixel {i}" for i in range(36)])


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)


HOLDERS: dict[str, Callable[[np.ndarray, Path], Any]] = {
    "float32": lambda images, _: flat(images).astype(np.float32),
    "uint8": lambda images, _: images.reshape(len(images), -1),
    "int64": lambda images, _: flat(images).astype(np.int64),
    "lists": lambda images, _: flat(images).tolist(),
    "columns first": lambda images, _: np.asfortranarray(flat(images)),
    "every other": lambda images, _: np.repeat(flat(images), 2, axis=0)[::2],
    "images": lambda images, _: images,
    "colour images": lambda images, _: images.reshape(len(images), 3, 4, 3),
    "float images": lambda images, _: images.astype(np.float64),
    "torch": lambda images, _: torch.tensor(flat(images)),
    "torch images": lambda images, _: torch.tensor(images),
    "torch with gradient": lambda images, _: torch.tensor(flat(images), requires_grad=True),
    "csr": lambda images, _: sp.csr_matrix(flat(images)),
    "coo array": lambda images, _: sp.coo_array(flat(images)),
    "data frame": as_frame,
    "memory map": as_memory_map,
    "image folder": as_folder,
}


def rows_are_images(rows: Any) -> bool:
    return len(getattr(rows, "shape", ())) > 2 and min(rows.shape[1:3]) >= 4


@pytest.mark.parametrize("holder", HOLDERS)
def test_every_holder_of_rows_gives_the_same(
    make: Callable[..., Any], holder: str, tmp_path: Path
) -> None:
    (tmp_path / "fit").mkdir()
    (tmp_path / "new").mkdir()
    rows = HOLDERS[holder](PIXELS, tmp_path / "fit")
    new = HOLDERS[holder](NEW_PIXELS, tmp_path / "new")
    plain = make(random_state=0)
    if rows_are_images(rows) and plain.get_params().get("image_shape", 0) is None:
        # told or seen, the shape of an image makes the network convolutional
        plain.set_params(image_shape=(6, 6))
    plain.fit(flat(PIXELS))
    wanted = outputs(plain, flat(NEW_PIXELS))
    found = make(random_state=0).fit(rows)
    assert_alike(fitted_parts(found), fitted_parts(plain))
    assert_same(outputs(found, rows), fitted_parts(found))
    assert_alike(outputs(found, new), wanted)
    if holder != "data frame":
        assert_alike(outputs(plain, new), wanted)
        assert_alike(outputs(found, flat(NEW_PIXELS)), wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(outputs(through_file(found, tmp_path), new), outputs(found, new))
        assert_same(outputs(pickle.loads(pickle.dumps(found)), new), outputs(found, new))


def test_rows_are_left_as_they_are(make: Callable[..., Any]) -> None:
    rows, new = ROWS.copy(), NEW.copy()
    rows.flags.writeable = new.flags.writeable = False
    outputs(make(random_state=0).fit(rows), new)
    np.testing.assert_array_equal(rows, ROWS)
    np.testing.assert_array_equal(new, NEW)


# 8. Devices


def test_devices(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    on_cpu, chosen = (make(random_state=0, device=device).fit(ROWS) for device in ("cpu", "auto"))
    assert_same(outputs(chosen, NEW), outputs(on_cpu, NEW))
    for device in ("cuda", "cuda:1", "mps"):
        with pytest.raises(InputError, match=f"{device}' is not available here; use device='auto'"):
            make(device=device).fit(ROWS)
    with pytest.raises(
        InputError, match="device must be 'auto', 'cpu', 'cuda' or 'mps', got 'gpu'"
    ):
        make(device="gpu").fit(ROWS)


def test_a_model_made_elsewhere_loads_on_the_cpu(
    model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = tmp_path / "m.fiedler"
    copy.deepcopy(model).set_params(device="cuda:1").save(path)
    with pytest.warns(UserWarning, match="made for device='cuda:1', .* it runs on the CPU"):
        loaded = fiedler.load(path)
    assert loaded.get_params()["device"] == "cpu"
    # alike: the model was made on a GPU if one is here
    assert_alike(outputs(loaded, NEW), outputs(model, NEW))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fiedler.load(path, device="cpu").get_params()["device"] == "cpu"
    with pytest.raises(InputError, match="'cuda' is not available here") as caught:
        fiedler.load(path, device="cuda")
    assert caught.type is InputError
