"""`fiedler export`: files sorted into a folder for each cluster, or a network as ONNX."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fiedler.cli.outcome import reading, writing
from fiedler.cli.run_folder import MODEL, check_new_file, read_labels, read_record, to_json
from fiedler.cli.terminal import Terminal
from fiedler.exceptions import InputError, OutputError


def _copy(source: Path, target: Path) -> None:
    shutil.copy2(source, target)


def _link(source: Path, target: Path) -> None:
    target.symlink_to(source)


PLACERS: dict[str, Callable[[Path, Path], None]] = {"links": _link, "copies": _copy}
FORMATS = (*PLACERS, "onnx")


def export(
    run: Path, output: Path, form: str, terminal: Terminal, *, overwrite: bool = False
) -> None:
    """Write the result of a run in another form.

    Parameters
    ----------
    run : Path
        A run folder.
    output : Path
        The folder (``links``, ``copies``) or the file (``onnx``) to make.
    form : str
        One of `FORMATS`.
    terminal : Terminal
    overwrite : bool
        Whether an existing ONNX file may be replaced. Folders are never replaced.
    """
    record = read_record(run)
    if form == "onnx":
        check_new_file(output, overwrite)
        told = _to_onnx(run, output, terminal)
    else:
        told = _to_folders(run, record, output, PLACERS[form])
    if terminal.json:
        terminal.result(to_json({"output": str(output), "format": form, **told}))
        return
    terminal.say(", ".join(f"{value:,} {name}" for name, value in told.items()) + f": {output}")


def _to_folders(
    run: Path, record: dict[str, Any], output: Path, place: Callable[[Path, Path], None]
) -> dict[str, Any]:
    """Put every file of the input into the folder of its cluster, below its own subfolder."""
    root = Path(str(record.get("request", {}).get("input", "")))
    ids, labels = read_labels(run)
    root = root.parent if root.is_file() else root
    missing = [row for row in ids if not (root / row).is_file()]
    if missing or not root.is_dir():
        raise InputError(
            f"{len(missing) or len(ids):,} of the {len(ids):,} rows of {run} are no files below "
            f"{root} (such as {(missing or ids)[0]!r}). Only runs on folders of files can be "
            "sorted into folders; labels.csv holds the clusters of all others."
        )
    if output.exists():
        raise OutputError(f"{output} exists; give the name of a new folder.")
    width = len(str(max(labels)))
    with writing(output):
        for row, label in zip(ids, labels, strict=True):
            target = output / f"cluster-{label:0{width}d}" / row
            target.parent.mkdir(parents=True, exist_ok=True)
            place(Path(os.path.abspath(root / row)), target)
    return {"files": len(ids), "clusters": len(set(labels))}


def _to_onnx(run: Path, output: Path, terminal: Terminal) -> dict[str, Any]:
    from fiedler import load
    from fiedler.persistence.onnx import export_onnx

    with reading(str(run / MODEL)):
        model = load(run / MODEL)
    with terminal.progress() as progress, writing(output):
        progress("exporting", 0, 1)
        checked = export_onnx(model, output)
        progress("exporting", 1, 1)
    return {"outputs": checked.outputs, "rows checked with onnxruntime": checked.rows}
