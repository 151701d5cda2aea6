"""The command line as a user meets it: real processes, real files."""

from __future__ import annotations

import csv
import json
import os
import pickle
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fiedler.cli.methods import METHODS
from fiedler.cli.wording import in_options

RUN_FILES = {
    "embedding.npy",
    "labels.csv",
    "model.fiedler",
    "recipe.fiedler",
    "report.html",
    "run.json",
}
TRACEBACK = "Traceback (most recent call last)"


def command(*arguments: object) -> list[str]:
    code = "from fiedler.cli import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def fiedler(
    *arguments: object, env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "FIEDLER_DEBUG"}
    environment = {**inherited, "OMP_NUM_THREADS": "1", "COLUMNS": "100", **(env or {})}
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        **options,
    )


def blobs(n: int = 90, k: int = 3, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % k
    return (4 * np.eye(k, width)[labels] + 0.3 * rng.normal(size=(n, width))), labels


def read_labels(path: Path) -> dict[str, int]:
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return {row["id"]: int(row["cluster"]) for row in csv.DictReader(file)}


def assert_no_trace(folder: Path, *kept: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(kept)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz of three clear clusters with labels."""
    rows, labels = blobs()
    path = tmp_path_factory.mktemp("table") / "rows.npz"
    np.savez(path, X=rows, y=labels)
    return path


@pytest.fixture(scope="module")
def finished(
    table: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run on that table, and what it said."""
    run = tmp_path_factory.mktemp("finished") / "run"
    done = fiedler("cluster", table, "-k", 3, "--output", run, "--seed", 7)
    assert done.returncode == 0, done.stderr
    return run, done


# Help, version, usage


def test_help_names_every_command_and_exit_code() -> None:
    done = fiedler("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("cluster", "predict", "info", "demo", "plan", "130 interrupted", "5 output"):
        assert word in " ".join(done.stdout.split())
    for name in ("benchmark", "cluster", "compare", "export", "info", "plan", "predict", "report"):
        shown = fiedler(name, "--help")
        assert shown.returncode == 0
        assert f"fiedler {name}" in shown.stdout.split("xample")[1]


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'sklearn', 'scipy', 'pandas', 'bokeh', 'faiss', 'pyarrow'}"
    code = f"import sys, fiedler.cli.app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version() -> None:
    import fiedler as package

    assert fiedler("--version").stdout == f"fiedler {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["cluster"],
        ["cluster", "x.npy"],
        ["cluster", "x.npy", "-o", "run", "-k", "0"],
        ["cluster", "x.npy", "-o", "run", "-k", "many"],
        ["cluster", "x.npy", "-o", "run", "--size", "12"],
        ["cluster", "x.npy", "-o", "run", "--affinity", "none"],
        ["cluster", "x.npy", "-o", "run", "--affinity", "gaussian", "--neighbors", "5"],
        ["cluster", "x.npy", "-o", "run", "--column", "a", "--columns", "b,c"],
        ["cluster", "x.npy", "-o", "run", "--no-such-option"],
        ["plan", "10"],
        ["plan", "0", "4"],
        ["plan", "10", "65", "--size", "8x8"],
        ["conquer"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_code_2(arguments: list[str], tmp_path: Path) -> None:
    done = fiedler(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage" in done.stderr
    assert TRACEBACK not in done.stderr
    assert_no_trace(tmp_path)


@pytest.mark.parametrize(
    ("advice", "option"),
    [
        ("pass skip_unreadable=True to", "pass --skip-unreadable to"),
        ("Pass size=(height, width) to", "Pass --size HEIGHTxWIDTH to"),
        ("(column=['a', 'b c']).", "(--columns 'a,b c')."),
        ("(column='a').", "(--column 'a')."),
        ("name it with column=.", "name it with --column."),
        ("use laplacian='sym' or n_neighbors=20", "use --laplacian sym or --neighbors 20"),
        ("again, with encoder='m:f', to", "again, with --encoder 'm:f', to"),
        ("with weights=.", "with --encoder-weights."),
        ("a column = b, column", "a column = b, column"),
        (
            "Raise n_neighbors, as in affinity=KNN(20), or n_clusters or n_components.",
            "Raise --neighbors, as in --neighbors 20, or --clusters or --components.",
        ),
        (
            "Raise n_neighbors, as in recipe=DSCDANRecipe(graph=KNN(20)), or n_clusters.",
            "Raise --clusters or, in Python, the graph's neighbours: "
            "recipe=DSCDANRecipe(graph=KNN(20)).",
        ),
        ("raise n_components or use assign='kmeans'", "raise --components or use --assign kmeans"),
        (
            "use laplacian='sym' or 'rw', or solver='block' or 'lanczos'.",
            "use --laplacian sym or rw, or --solver block or lanczos.",
        ),
        ("it has assign, n_clusters, n_components.", "it has assign, n_clusters, n_components."),
        ("device='cuda' is; use device='auto'", "--set device=cuda is; use --set device=auto"),
    ],
)
def test_advice_names_options(advice: str, option: str) -> None:
    assert in_options(advice) == option


# The main job


def test_run_folder_is_complete(finished: tuple[Path, Any], table: Path) -> None:
    run, _ = finished
    assert {path.name for path in run.iterdir()} == RUN_FILES
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    _, known = blobs()
    labels = read_labels(run / "labels.csv")
    assert list(labels) == [str(i) for i in range(90)]
    found = np.array(list(labels.values()))
    assert all(len(set(found[known == c])) == 1 for c in range(3))
    embedding = np.load(run / "embedding.npy")
    assert embedding.dtype == np.float32
    assert len(embedding) == 90
    record = json.loads((run / "run.json").read_text())
    assert record["input"]["shape"] == [90, 6]
    assert record["parameters"]["n_clusters"] == 3
    assert record["seed"] == 7
    assert record["result"]["cluster_sizes"] == [30, 30, 30]
    assert record["metrics"]["acc"] == 1.0
    assert {"reading", "graph", "eigenvectors", "assignment"} <= set(record["timings"])
    assert record["versions"]["numpy"] == np.__version__
    assert record["command"][1:3] == ["cluster", str(table)]
    page = (run / "report.html").read_text()
    assert "90 rows fall into 3 clusters" in page
    assert "accuracy 1.000" in page


def test_result_on_stdout_progress_on_stderr(finished: tuple[Path, Any]) -> None:
    run, done = finished
    assert "90 rows in 3 clusters of 30 to 30" in done.stdout
    assert f"Report:  {run / 'report.html'}" in done.stdout
    assert "neighbors: done in" in done.stderr
    assert "neighbors: done" not in done.stdout


def test_json_is_one_object_and_the_same_seed_gives_the_same(
    finished: tuple[Path, Any], table: Path, tmp_path: Path
) -> None:
    options = ["cluster", table, "-k", 3, "-o", tmp_path / "run", "--seed", 7]
    done = fiedler(*options, "--json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    assert record["output"] == str(tmp_path / "run")
    assert record["result"]["n_clusters"] == 3
    for name in ("labels.csv", "embedding.npy"):
        assert (tmp_path / "run" / name).read_bytes() == (finished[0] / name).read_bytes()


def test_info_of_a_run_and_of_a_model(finished: tuple[Path, Any]) -> None:
    run, _ = finished
    done = fiedler("info", run)
    assert done.returncode == 0
    assert "n clusters: 3" in done.stdout
    assert json.loads(fiedler("info", run, "--json").stdout)["metrics"]["acc"] == 1.0
    model = fiedler("info", run / "model.fiedler")
    assert "method: SpectralClustering" in model.stdout
    shown = json.loads(fiedler("info", run / "model.fiedler", "--json").stdout)
    assert shown["parameters"]["n_clusters"] == 3


def test_predict_gives_the_training_rows_their_clusters(
    finished: tuple[Path, Any], table: Path, tmp_path: Path
) -> None:
    run, _ = finished
    output = tmp_path / "new.csv"
    done = fiedler("predict", run / "model.fiedler", table, "--output", output)
    assert "90 rows assigned to 3 clusters" in done.stdout
    assert output.read_text() == (run / "labels.csv").read_text()
    again = fiedler("predict", run / "model.fiedler", table, "-o", output)
    assert again.returncode == 5
    assert "--overwrite" in again.stderr
    assert_no_trace(tmp_path, "new.csv")
    answer = json.loads(fiedler("predict", run / "model.fiedler", table, "--json", "-q").stdout)
    assert answer["clusters"] == list(read_labels(output).values())


# Every kind of input


def test_images_of_a_folder_with_hostile_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photos = tmp_path / "photos"
    for name in ("dark", "light"):
        (photos / name).mkdir(parents=True)
        for i in range(15):
            low = 0 if name == "dark" else 180
            pixels = rng.integers(low, low + 60, (10 + i % 3, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{i:02d}.png")
    hostile = photos / "dark" / "<img src=x onerror=alert(1)>.png"
    (photos / "dark" / "00.png").rename(hostile)
    (photos / "light" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    run = tmp_path / "run"
    options = ["cluster", photos, "-k", 2, "-o", run, "--size", "8x8", "--mode", "L"]
    options += ["--neighbors", 5, "--labels-from", "folder"]
    refused = fiedler(*options)
    assert refused.returncode == 3
    assert "broken.png" in refused.stderr
    assert "--skip-unreadable" in refused.stderr
    assert_no_trace(tmp_path, "photos")
    done = fiedler(*options, "--skip-unreadable")
    assert done.returncode == 0, done.stderr
    assert "warning: " in done.stderr
    assert "broken.png" in done.stderr
    record = json.loads((run / "run.json").read_text())
    assert record["input"]["shape"] == [30, 8, 8]
    assert "broken.png" in "".join(record["input"]["left_out"])
    assert record["metrics"]["acc"] == 1.0
    assert "dark/<img src=x onerror=alert(1)>.png" in read_labels(run / "labels.csv")
    page = (run / "report.html").read_text()
    assert "<img src=x" not in page
    # One colour picture of another size is opened as the others were.
    new = fiedler("predict", run, photos / "light" / "07.png")
    assert new.returncode == 0, new.stderr
    light = read_labels(run / "labels.csv")["light/07.png"]
    assert new.stdout.startswith(f"id,cluster,confidence\n07.png,{light},")


def test_pictures_by_a_network(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(16))
    kinds = np.stack([np.tile(waves, (16, 1)), np.tile(waves, (16, 1)).T])
    for i in range(40):
        pixels = 128 + 60 * kinds[i % 2] + rng.normal(scale=9, size=(16, 16))
        (tmp_path / "photos" / f"{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"photos/{i % 2}/{i:02}.png")
    run = tmp_path / "run"
    options = ["--method", "sanet", "-k", 2, "--labels-from", "folder"]
    done = fiedler("cluster", tmp_path / "photos", "-o", run, *options)
    assert done.returncode == 0, done.stderr
    record = json.loads((run / "run.json").read_text())
    assert record["how"] == "SANet (sanet): asked for."
    assert record["metrics"]["acc"] == 1.0
    page = (run / "report.html").read_text()
    layers = ("Layer 1: Upright", "Layer 2: SpectralLayer", "n_neighbors=17")
    for shown in ("Visual patterns", ">0/00.png<", *layers):
        assert shown in page
    again = fiedler("report", run, "-o", tmp_path / "again.html")
    assert again.returncode == 0, again.stderr
    assert "Visual patterns" in (tmp_path / "again.html").read_text()
    new = fiedler("predict", run / "model.fiedler", tmp_path / "photos" / "1" / "01.png")
    assert new.returncode == 0, new.stderr
    for wrong, why in (
        (["--set", "layers=wide"], "layers must be one of"),
        (["--neighbors", 5], "the method sanet has no parameter 'affinity'"),
    ):
        refused = fiedler(
            "cluster", tmp_path / "photos", "-o", tmp_path / "no", *options[:2], *wrong
        )
        assert refused.returncode == 3
        assert why in refused.stderr


def test_texts_of_a_jsonl(tmp_path: Path) -> None:
    words = ["apple pear plum cherry fruit", "engine wheel brake gear motor"]
    rng = np.random.default_rng(0)
    lines = [
        json.dumps({"body": "</script> " + " ".join(rng.choice(words[i % 2].split(), 4))})
        for i in range(40)
    ]
    source = tmp_path / "mails.jsonl"
    source.write_text("\n".join(lines))
    run = tmp_path / "run"
    done = fiedler("cluster", source, "--column", "body", "-k", 2, "-o", run)
    assert done.returncode == 0, done.stderr
    labels = list(read_labels(run / "labels.csv").values())
    assert len({(i % 2, label) for i, label in enumerate(labels)}) == 2
    assert "&lt;/script&gt;" in (run / "report.html").read_text()
    (tmp_path / "new.jsonl").write_text(json.dumps({"body": "a pear and a plum"}))
    new = fiedler("predict", run / "model.fiedler", tmp_path / "new.jsonl")
    assert new.stdout.startswith(f"id,cluster,confidence\n1,{labels[0]},")


def test_columns_of_a_csv_quietly_in_place_of_an_earlier_run(tmp_path: Path) -> None:
    rows, _ = blobs()
    header = "name," + ",".join(f"x{j}" for j in range(6))
    lines = [f"n{i}," + ",".join(f"{v:.5f}" for v in row) for i, row in enumerate(rows)]
    source = tmp_path / "table.csv"
    source.write_text("\n".join([header, *lines]))
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    (run / "old").touch()
    options = ["cluster", source, "--clusters", "auto", "-o", run, "--overwrite", "--quiet"]
    refused = fiedler(*options)
    assert refused.returncode == 3
    assert "--column 'name'" in refused.stderr
    assert "--columns 'x0,x1,x2" in refused.stderr
    assert_no_trace(run, "old", "run.json")
    done = fiedler(*options, "--columns", "x0,x1,x2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert_no_trace(run, *RUN_FILES)
    assert_no_trace(tmp_path, "run", "table.csv")
    new = fiedler("predict", run / "model.fiedler", source)
    assert new.stdout == (run / "labels.csv").read_text()


def test_demo_needs_no_data_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    env = {"FIEDLER_DATA": str(tmp_path / "none"), "FIEDLER_CACHE": str(tmp_path / "cache")}
    (tmp_path / "demo-run").mkdir()
    (tmp_path / "demo-run" / "run.json").write_text("{}")
    done = fiedler("demo", "--quiet", "--json", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["input"]["name"] == "dataset:digits"
    assert record["metrics"]["acc"] > 0.7
    assert {path.name for path in (tmp_path / "demo-run").iterdir()} == RUN_FILES


def test_plan_says_time_and_memory() -> None:
    done = fiedler("plan", 2_000_000, 784, "--clusters", 10)
    assert done.returncode == 0
    assert "2,000,000 rows of 784 numbers into 10 clusters" in done.stdout
    for method in METHODS:
        options = ["plan", 70_000, 784, "--method", method, "--size", "28x28"]
        assert f"28 x 28 x 1 into up to 20 clusters ({method})" in fiedler(*options).stdout
    faces = ["--method", "sanet", "--size", "28x28", "--set", "layers=faces", "--json"]
    # every image is compared with every other, which the usual layers do not
    assert json.loads(fiedler("plan", 70_000, 784, *faces).stdout)["seconds"] > 1000
    few = fiedler("plan", 10, 784, "--clusters", 300)
    assert few.returncode != 0
    assert "10 rows make no 300 clusters" in few.stderr
    small = json.loads(fiedler("plan", 1_000, 10, "--json").stdout)
    assert small["fits"] is True
    assert small["peak_bytes"] > 0
    assert small["seconds"] > 0


# What can go wrong: one message, the right code, nothing left behind


def test_too_little_memory_is_refused_before_anything_starts(tmp_path: Path) -> None:
    # A sparse file: a hundred terabytes of zeros that take no room.
    source = tmp_path / "huge.npy"
    with open(source, "wb") as file:
        np.lib.format.write_array_header_2_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (10_000_000, 200_000)}
        )
        start = file.tell()
    try:
        os.truncate(source, start + 10_000_000 * 200_000 * 4)
    except OSError:
        os.truncate(source, start)
        pytest.skip("this file system keeps no sparse file of 8 TB")
    done = fiedler("cluster", source, "-k", 3, "-o", tmp_path / "run", "--json")
    assert done.returncode == 4
    assert "10,000,000 rows of 200,000 numbers needs about" in done.stderr
    assert "--force" in done.stderr
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["kind"]) == (4, "NotEnoughMemoryError")
    assert_no_trace(tmp_path, "huge.npy")


@pytest.mark.parametrize("case", ["absent", "nan", "empty", "strange", "dataset", "no images"])
def test_bad_input_is_code_3(case: str, tmp_path: Path) -> None:
    source: Any = tmp_path / "input.npz"
    if case == "nan":
        rows, _ = blobs()
        rows[17, 2] = np.nan
        np.savez(source, X=rows)
    elif case == "empty":
        np.savez(source, X=np.zeros((0, 4)))
    elif case == "strange":
        source = tmp_path / "input.xyz"
        source.touch()
    elif case == "dataset":
        source = "dataset:no_such_set"
    elif case == "no images":
        source = tmp_path / "folder"
        source.mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    done = fiedler("cluster", source, "-k", 3, "-o", tmp_path / "run")
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 1
    assert TRACEBACK not in done.stderr
    assert_no_trace(tmp_path, *before)


@pytest.mark.parametrize("case", ["pickle", "truncated", "other", "no recipe", "other input"])
def test_bad_model_is_code_3(
    case: str, finished: tuple[Path, Any], table: Path, tmp_path: Path
) -> None:
    run, _ = finished
    model, source = tmp_path / "model.fiedler", table
    model.write_bytes((run / "model.fiedler").read_bytes())
    if case != "no recipe":
        (tmp_path / "recipe.fiedler").write_bytes((run / "recipe.fiedler").read_bytes())
    if case == "pickle":
        model.write_bytes(pickle.dumps([1, 2, 3]))
    elif case == "truncated":
        model.write_bytes(model.read_bytes()[:-20])
    elif case == "other":
        model.write_text("hello, this is no model")
    elif case == "other input":
        source = tmp_path / "wide.npy"
        np.save(source, np.zeros((4, 9)))
    done = fiedler("predict", model, source, "--output", tmp_path / "new.csv")
    assert done.returncode == 3
    assert done.stderr.count("error: ") == 1
    assert TRACEBACK not in done.stderr
    assert not (tmp_path / "new.csv").exists()


def test_existing_output_is_kept(table: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "dear.png").touch()
    for options, advice in (([], "--overwrite"), (["--overwrite"], "not an earlier run")):
        done = fiedler("cluster", table, "-k", 3, "-o", photos, *options)
        assert done.returncode == 5
        assert advice in done.stderr
    absent = fiedler("cluster", table, "-o", tmp_path / "no" / "run")
    assert absent.returncode == 5
    assert "does not exist" in absent.stderr
    assert_no_trace(photos, "dear.png")
    assert_no_trace(tmp_path, "photos")


def test_read_only_folder_is_code_5(table: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    # Root may write anywhere, except where the kernel itself allows no files.
    target = locked / "run" if os.geteuid() else Path("/proc/run")
    done = fiedler("cluster", table, "-k", 3, "-o", target)
    locked.chmod(stat.S_IRWXU)
    assert done.returncode == 5
    assert "cannot be written" in done.stderr
    assert TRACEBACK not in done.stderr
    assert_no_trace(locked)


@pytest.mark.parametrize("limit", [100, 200_000], ids=["labels", "report"])
def test_full_disk_is_code_5(limit: int, table: Path, tmp_path: Path) -> None:
    # The system refuses longer files, at another stage of the writing each time.
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = fiedler("cluster", table, "-k", 3, "-o", tmp_path / "run", "-q", preexec_fn=no_room)
    assert done.returncode == 5, done.stderr
    assert f"{tmp_path / 'run'} cannot be written: File too large." in done.stderr
    assert done.stderr.count("error: ") == 1
    assert_no_trace(tmp_path)


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminate"]
)
def test_interruption_leaves_nothing(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    # Opening a pipe that nobody writes to takes for ever, so the moment is certain.
    pipe = tmp_path / "rows.csv"
    os.mkfifo(pipe)
    run = tmp_path / "run"
    process = subprocess.Popen(
        command("cluster", pipe, "-k", 3, "-o", run),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not any(path.name.startswith(".run.") for path in tmp_path.iterdir()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert TRACEBACK not in err
    if sent == signal.SIGINT:
        assert "interrupted; nothing was written" in err
    assert_no_trace(tmp_path, "rows.csv")


@pytest.mark.parametrize(
    ("name", "exit_code"), [("SIGINT", 130), ("SIGTERM", 143)], ids=["ctrl-c", "terminate"]
)
def test_an_interruption_that_python_loses_comes_again(
    name: str, exit_code: int, table: Path, tmp_path: Path
) -> None:
    code = (
        "import signal, time, weakref\n"
        "import fiedler.cli.cluster as c\n"
        "class Thing: pass\n"
        "def build(*arguments):\n"
        "    thing = Thing()\n"
        f"    ref = weakref.ref(thing, lambda _: signal.raise_signal(signal.{name}))\n"
        "    del thing\n"  # what is raised in here is ignored
        "    time.sleep(60)\n"
        "c.build = build\n"
        "from fiedler.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "cluster", str(table), "-o", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == exit_code, done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_fault_of_the_program_goes_to_a_log(table: Path, tmp_path: Path) -> None:
    code = (
        "import fiedler.cli.cluster as c\n"
        "def build(*arguments): raise RuntimeError('a bolt came loose')\n"
        "c.build = build\n"
        "from fiedler.cli import main; main()"
    )
    arguments = ["cluster", str(table), "-o", str(tmp_path / "run")]
    for debug in (False, True):
        env = {key: value for key, value in os.environ.items() if key != "FIEDLER_DEBUG"}
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            env={**env, "FIEDLER_DEBUG": "1"} if debug else env,
        )
        assert done.returncode == 1
        assert "error: internal error: RuntimeError: a bolt came loose" in done.stderr
        assert (TRACEBACK in done.stderr) == debug
        log = (tmp_path / "run.error.log").read_text()
        assert TRACEBACK in log
        assert "a bolt came loose" in log
        assert_no_trace(tmp_path, "run.error.log")
