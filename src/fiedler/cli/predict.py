"""`fiedler predict`: new rows into the clusters of an earlier run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiedler.cli.inputs import Opening, load_recipe, open_input
from fiedler.cli.outcome import reading, writing
from fiedler.cli.run_folder import MODEL, check_new_file, print_labels, to_json, write_labels
from fiedler.cli.terminal import Terminal


def predict(
    model_path: Path,
    name: str,
    output: Path | None,
    terminal: Terminal,
    *,
    overwrite: bool = False,
    opening: Opening,
    device: str | None = None,
) -> None:
    """Assign the rows of `name`, opened as the model's own input was, to its clusters.

    Parameters
    ----------
    model_path : Path
        A run folder, or its ``model.fiedler``.
    name : str
        Path or ``dataset:NAME`` of the new rows.
    output : Path, optional
        Table to write; by default it goes to stdout.
    terminal : Terminal
    overwrite : bool
        Whether an existing table may be replaced.
    opening : Opening
        What the recipe leaves open: unreadable images, and an encoder that is code.
    device : str, optional
        Where the model shall run; by default where it was made.
    """
    from fiedler import load

    if output is not None:
        check_new_file(output, overwrite)
    if model_path.is_dir():
        model_path = model_path / MODEL
    with reading(str(model_path)):
        recipe = load_recipe(model_path)
        model = load(model_path, device=device)
    with terminal.progress() as progress:
        source = open_input(name, opening, progress, recipe).source
        if hasattr(model, "predict_with_confidence"):
            labels, confidence = model.predict_with_confidence(source.rows)
        else:
            labels, confidence = model.predict(source.rows), None
    if output is not None:
        with writing(output):
            write_labels(output, source.ids, labels, confidence)
    _tell(list(source.ids), labels, confidence, int(model.n_clusters_), output, terminal)


def _tell(
    ids: list[Any],
    labels: NDArray[np.integer[Any]],
    confidence: NDArray[np.floating[Any]] | None,
    n_clusters: int,
    output: Path | None,
    terminal: Terminal,
) -> None:
    """Say what came out: as one JSON object, as the table itself, or where the table lies."""
    if terminal.json:
        told = {
            "output": None if output is None else str(output),
            "ids": ids,
            "clusters": labels,
            "confidence": confidence,
            "cluster_sizes": np.bincount(labels, minlength=n_clusters),
            "warnings": terminal.warnings,
        }
        terminal.result(to_json(told))
    elif output is None:
        table = io.StringIO()
        print_labels(table, ids, labels, confidence)
        terminal.table(table.getvalue())
    else:
        terminal.say(
            f"{len(labels):,} rows assigned to {len(np.unique(labels))} clusters: {output}"
        )
