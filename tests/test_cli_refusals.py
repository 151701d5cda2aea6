"""What the command line refuses before it starts, and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fiedler.cli.app import app
from fiedler.cli.cluster import Request, cluster
from fiedler.cli.inputs import Opening
from fiedler.cli.methods import Settings, estimate
from fiedler.cli.options import AffinityName, opening, settings
from fiedler.cli.terminal import Terminal
from fiedler.data import ImageFolder, open_rows
from fiedler.data.tables import read_table
from fiedler.exceptions import InputError, NotEnoughMemoryError
from fiedler.graph import KNN


def invoke(*arguments: object) -> tuple[int, str]:
    """Exit code of a command, and all that it said."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, " ".join(done.output.replace("\u2502", " ").split())


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = 4 * np.eye(3, 5)[np.arange(60) % 3] + np.random.default_rng(0).normal(size=(60, 5))
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(20):
        Image.new("L", (4, 4), i).save(folder / f"{i}.png")
    return folder


# Too large


def test_large_pictures_are_refused_before_any_is_decoded(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFolder, "_decode_into", decode)
    request = Request(str(pictures), Settings(3), Opening(size=(60_000, 60_000)))
    with pytest.raises(NotEnoughMemoryError, match="20 rows of 3,600,000,000 numbers needs"):
        cluster(request, tmp_path / "run", Terminal(quiet=True))
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_large_npz_is_not_unpacked(tmp_path: Path) -> None:
    told: list[Any] = []

    def admit(kind: str, shape: tuple[int, ...]) -> None:
        told.append((kind, shape))
        raise NotEnoughMemoryError("too large")

    np.savez_compressed(tmp_path / "a.npz", X=np.zeros((5, 3, 3), dtype=np.uint8), y=np.arange(5))
    with pytest.raises(NotEnoughMemoryError, match="too large"):
        open_rows(tmp_path / "a.npz", admit=admit)
    assert told == [("images", (5, 3, 3))]


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "dense"},
        {"n_components": 2000},
        {"affinity": KNN(500)},
        {"affinity": "gaussian"},
        {"affinity": "gaussian", "solver": "lanczos"},
    ],
    ids=str,
)
def test_what_is_asked_for_counts_in_the_estimate(parameters: dict[str, Any]) -> None:
    plain = estimate((60_000, 50), Settings(10), "spectral")
    other = estimate((60_000, 50), Settings(10, parameters=parameters), "spectral")
    assert other.seconds > 2 * plain.seconds
    if "lanczos" not in parameters.values():
        assert other.peak_bytes > 1.5 * plain.peak_bytes
    if "dense" in parameters.values():
        assert other.peak_bytes > 8 * 60_000**2


def test_a_recipe_is_reckoned_with_its_own_steps() -> None:
    for method, times in (("spectralnet", 20), ("dscdan", 5)):
        plain = estimate((60, 500), Settings(3), method)
        paper = estimate((60, 500), Settings(3, parameters={"recipe": "paper"}), method)
        assert paper.seconds > times * plain.seconds


def test_a_number_to_be_chosen_counts_as_the_largest() -> None:
    assert Settings().most_clusters == 20
    assert Settings(parameters={"max_clusters": 50}).most_clusters == 50
    assert Settings(parameters={"n_clusters": 7}).most_clusters == 7
    auto, twenty = (estimate((9000, 9), Settings(k), "spectral") for k in (None, 20))
    assert auto.seconds == twenty.seconds
    code, said = invoke("plan", 60_000, 50, "--solver", "dense", "--json")
    assert code == 0
    assert json.loads(said)["fits"] is False
    assert invoke("plan", 60_000, 50, "--quiet") == (0, "")


# Parameters


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "random_state=-1"], "from 0 to 4294967295, got -1"),
        (["--set", "recall=high"], "recall must be in (0, 1], got 'high'"),
        (["--set", "progress=5"], "lets you set no parameter 'progress'; it has affinity"),
        (
            ["--method", "spectralnet", "--set", "checkpoint=x"],
            "set no parameter 'checkpoint'",
        ),
        (["--method", "spectralnet", "--set", 'recipe={"codes":null}'], "recipe must be one of"),
        (["--method", "dscdan", "--set", 'recipe={"codes":null}'], "recipe must be one of"),
        (["--method", "spectralnet", "--set", "image_shape=5"], "image_shape must be (h, w)"),
    ],
    ids=str,
)
def test_unusable_parameters_are_bad_input(
    arguments: list[str], words: str, table: Path, tmp_path: Path
) -> None:
    code, said = invoke("cluster", table, "-k", 3, "-o", tmp_path / "run", *arguments)
    assert code == 3, said
    assert words in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "5000000000"], "--seed"),
        (["-k", "3", "--set", "n_clusters=auto"], "--set n_clusters and --clusters set the same"),
        (["--solver", "block", "--set", "solver=dense"], "--set solver and --solver"),
        (["--seed", "3", "--set", "random_state=4"], "--set random_state and --seed"),
        (["--affinity", "gaussian", "--neighbors", "5"], "knn or self-tuning"),
        (["--columns", "v,v"], "names 'v' twice"),
        (["--columns", "v,"], "an empty name"),
    ],
    ids=str,
)
def test_contradictions_are_wrong_usage(
    arguments: list[str], words: str, table: Path, tmp_path: Path
) -> None:
    code, said = invoke("cluster", table, "-o", tmp_path / "run", *arguments)
    assert code == 2, said
    assert words in said


def test_self_tuning_takes_neighbors() -> None:
    chosen = settings("3", "spectral", 0, None, affinity=AffinityName.SELF_TUNING)
    assert chosen.parameters == {"affinity": "self-tuning"}
    chosen = settings("3", "spectral", 0, None, affinity=AffinityName.SELF_TUNING, neighbors=9)
    assert chosen.parameters == {"affinity": KNN(9, "self-tuning")}


# Inputs


def test_an_empty_name_is_not_the_current_folder(tmp_path: Path) -> None:
    code, said = invoke("cluster", "", "-o", tmp_path / "run")
    assert code == 3
    assert "the path is empty" in said


def test_blanks_around_names_of_columns_are_no_part_of_them(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("v, id, name\n1,2,007\n3,4,008\n")
    chosen = opening(columns="v, id")
    assert chosen.number_columns == ("v", "id")
    rows = open_rows(path, column=list(chosen.number_columns)).rows
    np.testing.assert_array_equal(rows, [[1, 2], [3, 4]])
    assert read_table(path, "name").column("name").to_pylist() == ["007", "008"]
    with pytest.raises(InputError, match="name each column once"):
        open_rows(path, column=["v", "v"])


@pytest.mark.parametrize("written", ["", '{"input": "ro'])
def test_a_damaged_request_of_an_unfinished_run_is_told(
    written: str, table: Path, tmp_path: Path
) -> None:
    unfinished = tmp_path / ".run.unfinished"
    unfinished.mkdir()
    (unfinished / "request.json").write_text(written)
    code, said = invoke("cluster", table, "-o", tmp_path / "run", "--resume")
    assert code == 3
    assert "request.json is damaged" in said
    assert "Remove the folder" in said
