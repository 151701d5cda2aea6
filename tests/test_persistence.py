from __future__ import annotations

import errno
import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fiedler import graph, persistence, spectrum
from fiedler.exceptions import InputError, ModelFileError, OutputError
from fiedler.persistence import (
    decode_params,
    encode_params,
    load,
    load_state,
    parameters,
    save,
    save_state,
)

DTYPES = [np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.just("__fiedler__"), inner, max_size=3)
    ),
    max_leaves=8,
)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


@dataclass(frozen=True)
class Probe:
    scale: Any = 1.0
    metric: Any = "euclidean"


class Midpoint:
    """The smallest estimator that can be saved."""

    def __init__(self, scale: Any = 1.0) -> None:
        self.scale = scale

    def fit(self, X: np.ndarray) -> Midpoint:
        self.mean_ = X.mean(axis=0)
        return self

    def _to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"scale": self.scale}, {"mean": self.mean_}

    @classmethod
    def _from_state(cls, params: dict[str, Any], arrays: dict[str, np.ndarray]) -> Midpoint:
        made = cls(**params)
        made.mean_ = arrays["mean"]
        return made


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parameters.PARAMETER_CLASSES, "Probe", f"{__name__}:Probe")
    monkeypatch.setitem(persistence._ESTIMATORS, "Midpoint", f"{__name__}:Midpoint")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.fiedler"
    save_state(path, "Midpoint", {"scale": 2}, {"mean": np.arange(50.0)})
    return path


def same(a: Any, b: Any) -> bool:
    """Equal in value and type, NaN equal to itself."""
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_params_round_trip(params: dict[str, Any]) -> None:
    text = json.dumps(encode_params(params), allow_nan=False)
    assert same(decode_params(json.loads(text)), params)


@pytest.mark.parametrize(
    "value",
    [
        graph.KNN(7, weights="self-tuning", metric="cosine"),
        graph.Epsilon(1.5),
        graph.Gaussian("self-tuning"),
        graph.Precomputed(),
        spectrum.Dense(),
        spectrum.Block(tol=1e-6),
        spectrum.Lanczos(),
        spectrum.Nystrom(landmarks="uniform", n_landmarks=50),
        spectrum.MiniBatch(batch_size=9),
    ],
    ids=repr,
)
def test_affinities_and_solvers_round_trip(value: Any) -> None:
    text = json.dumps(encode_params({"chosen": value}), allow_nan=False)
    assert decode_params(json.loads(text)) == {"chosen": value}


@given(st.dictionaries(st.text(), values, max_size=3), st.dictionaries(st.text(), arrays))
def test_state_round_trip(
    tmp_path_factory: pytest.TempPathFactory, params: dict[str, Any], stored: dict[str, np.ndarray]
) -> None:
    path = tmp_path_factory.mktemp("state") / "model.fiedler"
    stored.pop("__metadata__", None)
    save_state(path, "Some", params, stored)
    kind, params_back, back = load_state(path)
    assert kind == "Some"
    assert same(params_back, params)
    assert sorted(back) == sorted(stored)
    for name, array in stored.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()
        assert back[name].flags.writeable
    assert sorted(safetensors.numpy.load_file(path)) == sorted(stored)


def test_memory_order_and_byte_order(tmp_path: Path) -> None:
    base = np.arange(12.0).reshape(3, 4)
    stored = {"f": np.asfortranarray(base), "cut": base[::2, 1:], "big": base.astype(">f8")}
    save_state(tmp_path / "m", "Some", {}, stored)
    for name, array in load_state(tmp_path / "m")[2].items():
        np.testing.assert_array_equal(array, stored[name])


def test_numpy_scalars_and_parameter_classes() -> None:
    params = {
        "k": np.int64(3),
        "flag": np.bool_(True),
        "tolerance": np.float32(0.5),
        "affinity": [Probe(scale=np.float64(math.inf)), Probe((1, 2))],
    }
    back = decode_params(json.loads(json.dumps(encode_params(params))))
    assert same(back["k"], 3)
    assert same(back["flag"], True)
    assert same(back["tolerance"], 0.5)
    assert back["affinity"] == params["affinity"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda X: X, "parameter 'p' cannot be saved: it is a function"),
        (Probe(metric=math.dist), "parameter 'p.metric' cannot be saved"),
        ([1, np.random.RandomState(0)], r"parameter 'p\[1\]'.*set it to an integer"),
        (np.random.default_rng(0), "Generator; set it to an integer"),
        (np.zeros(2), "among the arrays"),
        ({1: 2}, "has the key 1; keys must be strings"),
        ({1, 2}, "builtins.set"),
        (1j, "builtins.complex"),
    ],
)
def test_params_that_cannot_be_saved(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        save_state(tmp_path / "m", "Some", {"p": value}, {})
    assert list(tmp_path.iterdir()) == []


def test_endless_and_oversized_params(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InputError, match="nested deeper"):
        encode_params({"p": endless})
    with pytest.raises(InputError, match="store long lists as arrays"):
        save_state(tmp_path / "m", "Some", {"p": "x" * 2**24}, {})


@pytest.mark.parametrize("bad", [np.array(["a"]), np.array([None]), np.zeros(1, complex), [1.0]])
def test_arrays_that_cannot_be_saved(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(InputError, match="array 'a' is of"):
        save_state(tmp_path / "m", "Some", {}, {"a": bad})
    with pytest.raises(InputError, match="cannot be named"):
        save_state(tmp_path / "m", "Some", {}, {"__metadata__": np.zeros(1)})
    assert list(tmp_path.iterdir()) == []


def test_estimator_round_trip(tmp_path: Path) -> None:
    fitted = Midpoint(scale=Probe(3)).fit(np.random.default_rng(0).normal(size=(9, 4)))
    save(fitted, tmp_path / "m")
    back = load(str(tmp_path / "m"))
    assert isinstance(back, Midpoint)
    assert back.scale == Probe(3)
    assert back.mean_.tobytes() == fitted.mean_.tobytes()


def test_existing_file_is_kept_unless_asked(model: Path) -> None:
    before = model.read_bytes()
    with pytest.raises(OutputError, match="overwrite=True"):
        save_state(model, "Midpoint", {}, {})
    assert model.read_bytes() == before
    save_state(model, "Midpoint", {}, {}, overwrite=True)
    assert load_state(model) == ("Midpoint", {}, {})


def test_unusable_targets(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        save_state(tmp_path, "Some", {}, {})
    with pytest.raises(OutputError, match="does not exist; create it"):
        save_state(tmp_path / "no" / "m", "Some", {}, {})


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_failed_write_leaves_no_trace(
    model: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    before = model.read_bytes()

    def fail(*args: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OutputError, match=os.strerror(code)):
        save_state(model, "Midpoint", {}, {"mean": np.zeros(9)}, overwrite=True)
    assert model.read_bytes() == before
    assert [path.name for path in model.parent.iterdir()] == [model.name]


def test_interrupt_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path / "m", "Some", {}, {})
    assert list(tmp_path.iterdir()) == []


def test_every_truncation_is_refused(model: Path) -> None:
    whole = model.read_bytes()
    for length in range(len(whole)):
        model.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="truncated" if length > 30 else None):
            load(model)
    model.write_bytes(whole + b"\0")
    with pytest.raises(ModelFileError, match="damaged or was altered"):
        load(model)


class Trap:
    """Unpickling it would end the test run."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[int]]:
        return os._exit, (13,)


def write_foreign(path: Path, kind: str) -> None:
    if kind == "torch":
        torch.save({"a": torch.zeros(2)}, path)
    elif kind == "npz":
        with open(path, "wb") as file:
            np.savez(file, a=np.zeros(2))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "random":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    else:
        path.write_bytes(pickle.dumps(Trap(), protocol=int(kind)))


@pytest.mark.parametrize("kind", ["0", "2", "4", "5", "torch", "npz", "empty", "random"])
def test_foreign_files_are_never_opened(tmp_path: Path, kind: str) -> None:
    write_foreign(tmp_path / "m", kind)
    with pytest.raises(ModelFileError, match=r"not a fiedler model file.*pickles are never opened"):
        load(tmp_path / "m")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        load(tmp_path / "none")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load(tmp_path)


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the header of a model file, leaving the tensors as they are."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])


def set_meta(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda header: header["__metadata__"].update({key: value})


def set_mean(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda header: header["mean"].update({key: value})


DEEP = "[" * 10**5 + "]" * 10**5
TAGGED = '{"p": {"__fiedler__": "%s"}}'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_meta("format_version", "2"), "format version 2, written by fiedler .* reads version"),
        (set_meta("format", "other"), "not a fiedler model file"),
        (set_meta("kind", "Trap"), "holds a 'Trap'; this version"),
        (set_meta("params", '{"scale": NaN}'), "number NaN is not allowed"),
        (set_meta("params", '{"scale": -Infinity}'), "number -Infinity is not allowed"),
        (set_meta("params", "[1]"), "params an object"),
        (set_meta("params", DEEP), "RecursionError"),
        (set_meta("params", '{"p":' + "[" * 900 + "]" * 900 + "}"), "altered"),
        (set_meta("params", TAGGED % "os:system"), "unknown kind of parameter 'os:system'"),
        (set_meta("params", TAGGED % "Trap"), "unknown kind of parameter 'Trap'"),
        (set_meta("params", '{"p": {"__fiedler__": "Probe", "x": 1}}'), "unexpected keyword"),
        (set_meta("params", '{"fit": 1}'), "does not hold what a Midpoint needs"),
        (lambda header: header.update(mean2=header.pop("mean")), "does not hold what"),
        (set_mean("data_offsets", [0, 10**9]), "truncated"),
        (set_mean("data_offsets", [0, math.nan]), "number NaN is not allowed"),
        (set_mean("data_offsets", "x"), "damaged header"),
        (set_mean("shape", [51]), "damaged or was altered"),
        (set_mean("shape", [2**40, 2**40]), "damaged or was altered"),
    ],
)
def test_altered_headers(
    model: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    rewrite(model, change)
    with pytest.raises(ModelFileError, match=message):
        load(model)


def test_a_plain_safetensors_file_is_refused(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "m", {"format": "pt"})
    with pytest.raises(ModelFileError, match="safetensors file, but not a fiedler model"):
        load(tmp_path / "m")


def test_reading_a_state_imports_no_model(model: Path) -> None:
    code = (
        "import sys; from fiedler.persistence import load_state; load_state(sys.argv[1]); "
        "print(sorted({'fiedler.models', 'fiedler.graph', 'torch', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, model], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
