"""The report of a run: from what was opened and fitted, or rebuilt from a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.cli.inputs import Input, Opening, open_input
from fiedler.cli.methods import plain_parameters
from fiedler.cli.outcome import reading, writing
from fiedler.cli.run_folder import MODEL, REPORT, read_labels, read_record, to_json
from fiedler.cli.terminal import Terminal
from fiedler.exceptions import InputError

if TYPE_CHECKING:
    from fiedler.report import ReportData


def write_run_report(
    path: Path,
    opened: Input,
    model: Any,
    how: str,
    seconds: Mapping[str, float],
    notes: Sequence[str],
) -> ReportData:
    """Write the report of a fitted model on an opened input; return what it was made from."""
    from fiedler.report import describe, write_report

    source, known = opened.source, opened.known
    vectorizer = source.recipe.vectorizer
    data = describe(
        model,
        title=opened.name,
        ids=[str(row) for row in source.ids],
        kind=opened.row_name,
        pictures=source.pictures,
        texts=source.texts,
        terms=None if vectorizer is None else (source.rows, vectorizer.vocabulary_),
        known=None if known is None else [known.names[code] for code in known.codes],
        rows=source.rows,
        how=how,
        timings=seconds,
        parameters={"input": source.description, **plain_parameters(model)},
        notes=notes,
    )
    write_report(path, data)
    return data


def report(run: Path, output: Path | None, terminal: Terminal) -> None:
    """Build the report of a run folder again, from its model and its input.

    Parameters
    ----------
    run : Path
        A run folder.
    output : Path, optional
        The page to write; by default the run's own is replaced.
    terminal : Terminal
    """
    from fiedler import load

    record = read_record(run)
    ids, labels = read_labels(run)
    with reading(str(run / MODEL)):
        model = load(run / MODEL)
    with terminal.progress() as progress:
        request = _request_of(record, run)
        opened = open_input(request["input"], Opening.from_state(request["opening"]), progress)
        if [str(row) for row in opened.source.ids] != ids:
            raise InputError(
                f"{request['input']} no longer holds the {len(ids):,} rows of {run}, so their "
                "report cannot be built again. Put it back, or run `fiedler cluster` again."
            )
        if not np.array_equal(labels, model.labels_):
            raise InputError(f"{run} holds the labels of another model than its {MODEL}.")
        opened = replace(opened, name=record["input"]["name"])
        target = output or run / REPORT
        with writing(target):
            notes = record.get("warnings", [])
            write_run_report(target, opened, model, record["how"], record["timings"], notes)
    if terminal.json:
        terminal.result(to_json({"report": str(target)}))
    terminal.say(f"Report:  {target}")


def _request_of(record: Mapping[str, Any], run: Path) -> dict[str, Any]:
    request = record.get("request")
    if not isinstance(request, dict) or not {"input", "opening"} <= set(request):
        raise InputError(
            f"{run} was made by an earlier version, which did not note how its input was opened: "
            "run `fiedler cluster` again."
        )
    return request
