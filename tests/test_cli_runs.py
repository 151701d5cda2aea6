"""Commands on earlier runs, encoders and resuming, as a user meets them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.cluster import KMeans
from test_cli import RUN_FILES, TRACEBACK, assert_no_trace, blobs, command, read_labels

from fiedler import DenseMap, SpectralNetRecipe, Training
from fiedler.cli import main
from fiedler.cli.benchmark import _measure
from fiedler.cli.cluster import Request, cluster
from fiedler.cli.compare import agreement
from fiedler.cli.inputs import Opening
from fiedler.cli.methods import METHODS, Job, Settings, build, choose_method, read_parameters
from fiedler.cli.terminal import Terminal
from fiedler.exceptions import InputError
from fiedler.progress import silent

ENCODER = """
import time
import numpy as np

def colours(pictures):
    time.sleep(PAUSE)
    return pictures.mean(axis=(1, 2))

colours.input_size = (8, 8)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nested folder of 120 pictures of mixed sizes, dark and light."""
    folder = tmp_path_factory.mktemp("input") / "photos"
    rng = np.random.default_rng(0)
    for i in range(120):
        name = "light" if i % 2 else "dark"
        (folder / name).mkdir(parents=True, exist_ok=True)
        low = 180 if i % 2 else 0
        pixels = rng.integers(low, low + 60, (9 + i % 3, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name / f"{i:03d}.png")
    return folder


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with an encoder to be named as "mine:colours", in which commands are run."""
    (tmp_path / "mine.py").write_text(ENCODER.replace("PAUSE", "0"))
    return tmp_path


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def fiedler(*arguments: object, cwd: Path | None = None) -> Done:
    """Run a command in this process, which is many times faster than in one of its own."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    sys.modules.pop("mine", None)
    before = list(sys.path)
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.delenv("FIEDLER_DEBUG", raising=False)
        patch.setenv("COLUMNS", "100")
        patch.setattr(sys, "argv", ["fiedler", *map(str, arguments)])
        patch.setattr(signal, "signal", lambda *ignored: None)
        if cwd is not None:
            patch.chdir(cwd)
            patch.setenv("FIEDLER_CACHE", str(cwd / "cache"))
        try:
            main()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
    sys.path[:] = before
    return Done(int(code), out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]


run = fiedler


# Encoders


def test_a_folder_by_an_encoder_then_predict_report_compare_export(
    photos: Path, workplace: Path
) -> None:
    options = ["cluster", photos, "-k", 2, "--encoder", "mine:colours", "--labels-from", "folder"]
    done = run(*options, "--output", "run", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "Method: SpectralClustering (spectral): the encoder has already" in done.stdout
    assert "encoding: done in" in done.stderr
    assert {path.name for path in (workplace / "run").iterdir()} == RUN_FILES
    record = json.loads((workplace / "run" / "run.json").read_text())
    assert record["input"]["shape"] == [120, 3]
    assert record["metrics"]["acc"] == 1.0
    labels = read_labels(workplace / "run" / "labels.csv")

    one = photos / "light" / "007.png"
    refused = run("predict", "run/model.fiedler", one, cwd=workplace)
    assert refused.returncode == 3
    assert "--encoder 'mine:colours'" in refused.stderr
    new = run("predict", "run/model.fiedler", one, "--encoder", "mine:colours", cwd=workplace)
    assert new.stdout.startswith(f"id,cluster,confidence\n007.png,{labels['light/007.png']},")

    page = (workplace / "run" / "report.html").read_bytes()
    (workplace / "run" / "report.html").unlink()
    rebuilt = run("report", "run", cwd=workplace)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert abs((workplace / "run" / "report.html").stat().st_size - len(page)) < 2000

    sorted_out = run("export", "run", "sorted", cwd=workplace)
    assert sorted_out.stdout.startswith("120 files, 2 clusters: ")
    link = workplace / "sorted" / f"cluster-{labels['dark/000.png']}" / "dark" / "000.png"
    assert link.is_symlink()
    assert link.read_bytes() == (photos / "dark" / "000.png").read_bytes()
    assert len(list((workplace / "sorted").rglob("*.png"))) == 120
    again = run("export", "run", "sorted", "--as", "copies", cwd=workplace)
    assert again.returncode == 5
    copies = run("export", "run", "copied", "--as", "copies", "--json", cwd=workplace)
    assert json.loads(copies.stdout)["files"] == 120
    assert not any(path.is_symlink() for path in (workplace / "copied").rglob("*"))

    network = run("export", "run", "net.onnx", "--as", "onnx", cwd=workplace)
    assert network.returncode == 3
    assert "SpectralClustering has no network" in network.stderr
    assert not (workplace / "net.onnx").exists()


def check_prediction_and_refusal(option: str, folder: Path) -> None:
    """What a run on images made of them, `predict` makes of new ones; of a table nothing does."""
    labels = read_labels(folder / "run" / "labels.csv")
    new = run("predict", "run", "bars", cwd=folder)
    found = dict(line.split(",")[:2] for line in new.stdout.splitlines()[1:])
    assert {name: str(label) for name, label in labels.items()} == found
    (folder / "table.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    refused = run("cluster", "table.csv", option, "-o", "no", cwd=folder)
    assert refused.returncode == 3
    assert f"{option} is for the pixels of images" in refused.stderr


def test_images_upright_and_new_ones_too(tmp_path: Path) -> None:
    """Bars of two kinds, each at any slant: which kind shows only once they stand."""
    rng = np.random.default_rng(0)
    for i in range(80):
        picture = np.zeros((20, 40), dtype=np.uint8)
        slant, wide = rng.uniform(-0.9, 0.9), 2 + 5 * (i % 2)
        for row in range(2, 18):
            middle = 20 + round(slant * (row - 10))
            picture[row, middle - wide : middle + wide] = 200
        (tmp_path / "bars" / f"{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "bars" / f"{i % 2}" / f"{i:02}.png")
    options = ("-k", 2, "--method", "spectral", "--labels-from", "folder")
    done = run(
        "cluster", "bars", *options, "--upright", "--no-gradients", "-o", "run", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["metrics"]["acc"] == 1.0
    assert "brought upright" in record["input"]["description"]
    check_prediction_and_refusal("--upright", tmp_path)


def test_images_are_compared_by_gradients_and_new_ones_too(tmp_path: Path) -> None:
    """Bars that lie and bars that stand, anywhere: which kind, their pixels do not tell."""
    rng = np.random.default_rng(0)
    for i in range(120):
        picture = np.zeros((24, 24), dtype=np.uint8)
        y, x = rng.integers(1, 21), rng.integers(1, 9)
        picture[y : y + 3, x : x + 14] = rng.integers(50, 255)
        (tmp_path / "bars" / f"{i % 2}").mkdir(parents=True, exist_ok=True)
        turned = picture.T if i % 2 else picture
        Image.fromarray(turned).save(tmp_path / "bars" / f"{i % 2}" / f"{i:03}.png")
    options = ("-k", 2, "--method", "spectral", "--labels-from", "folder")

    def accuracy_of(name: str, *more: str) -> tuple[float, str]:
        done = run("cluster", "bars", *options, *more, "-o", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        record = json.loads((tmp_path / name / "run.json").read_text())
        return record["metrics"]["acc"], record["input"]["description"]

    found, told = accuracy_of("run")
    assert told.endswith("by their gradients")
    assert found == 1.0
    assert accuracy_of("asked", "--gradients") == (found, told)
    pixels, told = accuracy_of("pixels", "--no-gradients")
    assert not told.endswith("by their gradients")
    assert pixels < 1.0
    check_prediction_and_refusal("--gradients", tmp_path)


def test_encoder_options_belong_to_an_encoder(workplace: Path) -> None:
    for option in (["--encoder-weights", "x"], ["--encoder-scale", "half"]):
        done = run("cluster", "x", "-o", "run", *option, cwd=workplace)
        assert done.returncode == 2
        assert "belong to an --encoder" in " ".join(done.stderr.replace("│", " ").split())


# Resuming


def test_a_killed_run_goes_on_where_it_was(photos: Path, workplace: Path) -> None:
    (workplace / "mine.py").write_text(ENCODER.replace("PAUSE", "0.5"))
    options = ["cluster", photos, "-k", 2, "--encoder", "mine:colours", "-o", "run", "--resume"]
    env = {**os.environ, "FIEDLER_CACHE": str(workplace / "cache")}
    process = subprocess.Popen(
        command(*options), cwd=workplace, env=env, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60
    rows = workplace / "cache" / "features"
    while not any(path.stat().st_size for path in rows.rglob("rows.f32")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (workplace / ".run.unfinished").is_dir()
    assert not (workplace / "run").exists()
    other = run(*options, "--seed", 5, cwd=workplace)
    assert other.returncode == 3
    assert "another seed" in other.stderr
    done = run(*options, cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert not (workplace / ".run.unfinished").exists()
    assert_no_trace(workplace / "run", *RUN_FILES)
    straight = run(*options[:-2], "straight", cwd=workplace)
    assert straight.returncode == 0, straight.stderr
    for name in ("labels.csv", "embedding.npy"):
        first, second = (workplace / folder / name for folder in ("run", "straight"))
        assert first.read_bytes() == second.read_bytes()
    told = run(*options, cwd=workplace)
    assert "run is finished already" in told.stdout


def test_an_interrupted_run_that_is_fitted_is_not_fitted_again(
    photos: Path, workplace: Path
) -> None:
    def stop(*arguments: Any) -> None:
        raise KeyboardInterrupt

    options = ["cluster", str(photos), "-k", "2", "--size", "8x8", "-o", "run", "--resume"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fiedler.cli.cluster.write_run_report", stop)
        stopped = run(*options, cwd=workplace)
    assert stopped.returncode == 130
    assert "the same command goes on from there" in stopped.stderr
    assert (workplace / ".run.unfinished" / "model.fiedler").is_file()
    done = run(*options, cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "neighbors: done" not in done.stderr
    assert_no_trace(workplace / "run", *RUN_FILES)


# Comparing


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Runs of three and of two clusters on the same rows."""
    folder = tmp_path_factory.mktemp("runs")
    rows, _ = blobs()
    np.save(folder / "rows.npy", rows)
    for k in (2, 3):
        done = fiedler("cluster", folder / "rows.npy", "-k", k, "-o", folder / f"run{k}", "-q")
        assert done.returncode == 0, done.stderr
    return folder / "run3", folder / "run2"


def test_compare_says_who_moved(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = two_runs
    same = fiedler("compare", first, first)
    assert "100.0% of 90 rows agree" in same.stdout
    assert "moved" not in same.stdout
    done = fiedler("compare", first, second, "--output", tmp_path / "moved.csv")
    assert "66.7% of 90 rows agree" in done.stdout
    assert "30 rows moved (clusters by the numbers of the first run):" in done.stdout
    counterpart = json.loads(fiedler("compare", first, second, "--json").stdout)["counterpart"]
    left = counterpart.index(-1)
    joined = next(
        i for i, to in enumerate(counterpart) if to >= 0 and f"from {left} to {i}" in done.stdout
    )
    assert joined != left
    assert "warning" not in done.stderr
    with open(tmp_path / "moved.csv", newline="") as file:
        moved = list(csv.DictReader(file))
    a, b = read_labels(first / "labels.csv"), read_labels(second / "labels.csv")
    assert len(moved) == 30
    assert all(a[row["id"]] == int(row["first"]) for row in moved)
    assert all(b[row["id"]] == int(row["second"]) for row in moved)
    record = json.loads((second / "run.json").read_text())
    record["request"]["input"] = "/elsewhere/rows.npy"
    shutil.copytree(second, tmp_path / "moved")
    (tmp_path / "moved" / "run.json").write_text(json.dumps(record))
    other = fiedler("compare", first, tmp_path / "moved")
    assert "one on /elsewhere/rows.npy: rows of the same name (or number)" in other.stderr
    told = json.loads(fiedler("compare", first, second, "--json").stdout)
    assert told["streams"][0]["rows"] == 30
    assert len(told["moved"]) == 30


def test_runs_that_cannot_be_compared(
    two_runs: tuple[Path, Path], photos: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(two_runs[0], broken)
    lines = (broken / "labels.csv").read_text().splitlines()
    cases = {
        "no rows in common": [lines[0], "elsewhere,0,1.0"],
        "an id twice": [*lines, lines[-1]],
        "cannot be read": ["nothing", "of", "this"],
    }
    for message, content in cases.items():
        (broken / "labels.csv").write_text("\n".join(content))
        done = fiedler("compare", two_runs[0], broken)
        assert done.returncode == 3
        assert message in done.stderr
        assert TRACEBACK not in done.stderr


def test_agreement_is_that_of_the_best_matching() -> None:
    a, b = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 0, 0, 0, 2])
    found = agreement(a, b)
    assert found["share"] == pytest.approx(5 / 6)
    assert found["counterpart"].tolist() == [1, 0, 2]


# Texts


def test_texts_without_a_word_are_left_out_and_clusters_are_named(workplace: Path) -> None:
    words = [["apple", "pear", "plum", "cherry"], ["engine", "wheel", "brake", "gear"]]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words[i % 2], 4)) for i in range(40)] + ["", "123 456"]
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    (workplace / "texts.jsonl").write_text(lines)
    done = run("cluster", "texts.jsonl", "-k", 2, "-o", "run", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "warning: 2 of 42 texts hold no known word and are left out: 41, 42." in done.stderr
    assert len(read_labels(workplace / "run" / "labels.csv")) == 40
    record = json.loads((workplace / "run" / "run.json").read_text())
    assert record["input"]["left_out"] == {"41": "no known word", "42": "no known word"}
    named = [line.partition(": ")[2].split(", ") for line in record["words"]]
    assert sorted(map(sorted, named)) == sorted(map(sorted, words))
    assert f"Cluster 0: {', '.join(named[0])}" in done.stdout
    assert run("report", "run", cwd=workplace).returncode == 0
    new = run("predict", "run/model.fiedler", "texts.jsonl", cwd=workplace)
    assert len(new.stdout.splitlines()) == 43


# Benchmark, completion, exports that cannot be


def test_benchmark_prints_a_table(tmp_path: Path) -> None:
    rows, labels = blobs()
    np.savez(tmp_path / "rows.npz", X=rows, y=labels)
    done = fiedler("benchmark", tmp_path / "rows.npz", "--seeds", 2)
    assert done.returncode == 0, done.stderr
    for method in ("spectral", "kmeans"):
        assert any(
            line.startswith(method) and "1.000 ± 0.000" in line for line in done.stdout.split("\n")
        )
    told = json.loads(
        fiedler("benchmark", tmp_path / "rows.npz", "--methods", "kmeans", "--json").stdout
    )
    assert [row["method"] for row in told["rows"]] == ["kmeans"]
    np.save(tmp_path / "plain.npy", rows)
    unknown = fiedler("benchmark", tmp_path / "plain.npy")
    assert unknown.returncode == 3
    assert "--labels-from folder" in unknown.stderr
    assert fiedler("benchmark", tmp_path / "rows.npz", "--methods", "magic").returncode == 2


def test_the_clock_of_a_benchmark_starts_when_the_method_is_there() -> None:
    rows, labels = blobs()

    def make(seed: int) -> KMeans:
        time.sleep(0.4)  # as an import takes
        return KMeans(3, n_init=1, random_state=seed)

    found = _measure("kmeans", make, rows, labels, 1)
    assert found["seconds"]["mean"] < 0.3


def test_the_shell_can_complete() -> None:
    env = {**os.environ, "_FIEDLER_COMPLETE": "complete_bash", "COMP_WORDS": "fiedler c"}
    done = subprocess.run(
        [sys.executable, "-c", "from fiedler.cli import main; main()"],
        env={**env, "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
    )
    assert "cluster" in done.stdout.split()
    assert "compare" in done.stdout.split()


def test_rows_of_a_table_are_no_files_to_sort(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    done = fiedler("export", two_runs[0], tmp_path / "sorted")
    assert done.returncode == 3
    assert "labels.csv holds the clusters" in done.stderr
    assert_no_trace(tmp_path)


def test_a_report_is_not_rebuilt_from_another_input(tmp_path: Path) -> None:
    rows, _ = blobs()
    np.save(tmp_path / "rows.npy", rows)
    fiedler("cluster", tmp_path / "rows.npy", "-k", 3, "-o", tmp_path / "run", "-q")
    np.save(tmp_path / "rows.npy", rows[:50])
    done = fiedler("report", tmp_path / "run")
    assert done.returncode == 3
    assert "no longer holds the 90 rows" in done.stderr
    (tmp_path / "rows.npy").unlink()
    assert fiedler("report", tmp_path / "run").returncode == 3
    assert fiedler("report", tmp_path).returncode == 3


def test_a_fault_of_any_command_goes_to_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*arguments: Any) -> None:
        raise RuntimeError("a bolt came loose")

    monkeypatch.setattr("fiedler.cli.info.info", break_down)
    done = run("info", "x", cwd=tmp_path)
    assert done.returncode == 1
    assert TRACEBACK not in done.stderr
    assert str(tmp_path / "cache" / "error.log") in done.stderr
    assert TRACEBACK in (tmp_path / "cache" / "error.log").read_text()


# Methods


def test_a_network_leaves_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_report = SimpleNamespace(words=[])
    monkeypatch.setattr("fiedler.cli.cluster.write_run_report", lambda *_: no_report)
    np.save(tmp_path / "rows.npy", blobs(60)[0])
    recipe = SpectralNetRecipe(network=DenseMap((8,)), training=Training(12, 60))
    chosen = Settings(3, "spectralnet", 0, {"recipe": recipe})
    request = Request(str(tmp_path / "rows.npy"), chosen, Opening())
    cluster(request, tmp_path / "run", Terminal(quiet=True))
    rows = json.loads((tmp_path / "run" / "history.json").read_text())
    assert rows[-1]["step"] == 12
    assert {"stage", "step", "loss", "learning_rate"} <= set(rows[0])


def test_every_method_builds_and_auto_gives_a_reason() -> None:
    for name in METHODS:
        model = build(Settings(clusters=3, seed=4), name, silent)
        assert model.get_params()["n_clusters"] == 3
        assert model.get_params()["random_state"] == 4
    jobs = [
        Job("images", (100, 28, 28)),
        Job("images", (70_000, 1280), encoded=True),
        Job("texts", (500, 2000)),
        Job("rows", (10, 3)),
    ]
    for job in jobs:
        name, reason = choose_method(Settings(), job)
        assert name in METHODS
        assert len(reason) > 20
    assert choose_method(Settings(method="spectral"), jobs[0]) == ("spectral", "asked for")
    # A network is trained only where it is asked for: minutes, hours on large pictures.
    assert choose_method(Settings(), Job("images", (5000, 28, 28)))[0] == "spectral"


def test_parameters_by_name() -> None:
    for text in ("28x28", "(28, 28)", "28,28", "[28, 28]"):
        assert read_parameters([f"image_shape={text}"]) == {"image_shape": [28, 28]}
    read = read_parameters(["recall=0.9", "assign=kmeans", "n_components=5"])
    assert read == {"recall": 0.9, "assign": "kmeans", "n_components": 5}
    model = build(Settings(clusters=3, parameters=read), "spectral", silent)
    assert (model.recall, model.assign, model.n_components) == (0.9, "kmeans", 5)
    for wrong in ("recall", "=3", "a b=3"):
        with pytest.raises(InputError, match="write name=value"):
            read_parameters([wrong])
    with pytest.raises(InputError, match=r"no parameter 'depth'; it has affinity, assign"):
        build(Settings(parameters={"depth": 3}), "spectral", silent)
