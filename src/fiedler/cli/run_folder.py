"""The folder of results: whole or not there at all."""

from __future__ import annotations

import csv
import io
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from fiedler.cli.outcome import writing
from fiedler.exceptions import InputError, OutputError

LABELS = "labels.csv"
EMBEDDING = "embedding.npy"
MODEL = "model.fiedler"
RECIPE = "recipe.fiedler"
RECORD = "run.json"
HISTORY = "history.json"
REPORT = "report.html"
UNFINISHED = "unfinished"


@contextmanager
def new_run_folder(target: Path, *, overwrite: bool, keep: bool = False) -> Iterator[Path]:
    """Give a fresh folder beside `target` that takes its place at the end, or leaves no trace.

    Parameters
    ----------
    target : Path
        The run folder to be.
    overwrite : bool
        Whether an earlier run there may be replaced. Nothing else is ever replaced.
    keep : bool
        Keep the unfinished folder where the work fails, and give the same one the next time.

    Raises
    ------
    OutputError
        If `target` exists (and is not an earlier run to be replaced), or cannot be written.
    """
    _check_target(target, overwrite)
    mark = UNFINISHED if keep else f"{secrets.token_hex(4)}.part"
    part = target.with_name(f".{target.name}.{mark}")
    finished = False
    try:
        with writing(target):
            part.mkdir(exist_ok=keep)
        yield part
        with writing(target):
            _put_in_place(part, target)
        finished = True
    finally:
        # Unless it is to be kept, no half-written folder stays.
        if not finished and not keep:
            shutil.rmtree(part, ignore_errors=True)


def read_record(run: Path) -> dict[str, Any]:
    """Read the record of a run folder.

    Raises
    ------
    InputError
        If the folder is not one, or its record is damaged.
    """
    path = run / RECORD
    if not path.is_file():
        raise InputError(f"{run} is not a run folder: it holds no {RECORD}.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); run `fiedler cluster` again.") from error
    if not isinstance(record, dict):
        raise InputError(f"{path} is not the record of a run.")
    return record


def read_labels(run: Path) -> tuple[list[str], list[int]]:
    """Read the ids and the clusters of a run folder, in the order of its rows.

    Raises
    ------
    InputError
        If its table is missing or damaged.
    """
    path = run / LABELS
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
        return [row["id"] for row in rows], [int(row["cluster"]) for row in rows]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as the labels of a run ({error}); run `fiedler cluster` again."
        ) from error


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.name:
        raise OutputError(f"{target} cannot be a run folder; give the name of a new folder.")
    if not target.parent.is_dir():
        raise OutputError(f"the folder {target.parent} does not exist; create it first.")
    if not target.exists() and not target.is_symlink():
        return
    if not overwrite:
        raise OutputError(
            f"{target} exists; choose another name, or pass --overwrite to replace an earlier run."
        )
    earlier_run = target.is_dir() and not target.is_symlink()
    if not earlier_run or (any(target.iterdir()) and not (target / RECORD).is_file()):
        raise OutputError(
            f"{target} is not an earlier run (it holds no {RECORD}), so it is not overwritten; "
            "choose another name."
        )


def _put_in_place(part: Path, target: Path) -> None:
    if not target.exists():
        part.rename(target)
        return
    old = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old")
    target.rename(old)
    try:
        part.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_new_file(output: Path, overwrite: bool) -> None:
    """Refuse before the work what cannot be written after it."""
    if not output.parent.is_dir():
        raise OutputError(f"the folder {output.parent} does not exist; create it first.")
    if output.is_dir():
        raise OutputError(f"{output} is a folder; give the name of a file in it.")
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; choose another name, or pass --overwrite.")


def write_labels(
    path: Path, ids: Iterable[object], labels: Iterable[int], confidence: Iterable[float] | None
) -> None:
    """Write one line a row: its id, cluster and confidence (if known); whole or not at all."""
    table = io.StringIO()
    print_labels(table, ids, labels, confidence)
    write_whole(path, table.getvalue())


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole, or not at all."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        # The names of files keep their bytes, whatever they are.
        with open(part, "x", newline="", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def print_labels(
    file: TextIO, ids: Iterable[object], labels: Iterable[int], confidence: Iterable[float] | None
) -> None:
    """Write the lines of `write_labels` to an open file."""
    table = csv.writer(file, lineterminator="\n")
    if confidence is None:
        table.writerow(["id", "cluster"])
        table.writerows(zip(ids, map(int, labels), strict=True))
        return
    table.writerow(["id", "cluster", "confidence"])
    shown = (f"{value:.4f}" for value in confidence)
    table.writerows(zip(ids, map(int, labels), shown, strict=True))


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run as JSON."""
    path.write_text(to_json(record, indent=2) + "\n", encoding="utf-8")


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON of plain and numpy values; what is not finite becomes null."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return repr(value)
