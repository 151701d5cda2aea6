"""`fiedler cluster`: from an input to a run folder."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.cli.inputs import (
    ROW_NAMES,
    Input,
    Opening,
    by_gradients,
    open_input,
    save_recipe,
    wants_gradients,
)
from fiedler.cli.methods import (
    Job,
    Settings,
    build,
    check_parameters,
    choose_method,
    describe_cost,
    estimate,
    human_bytes,
    human_seconds,
    plain_parameters,
    refuse_if_too_large,
)
from fiedler.cli.outcome import writing
from fiedler.cli.record import make_record
from fiedler.cli.reporting import write_run_report
from fiedler.cli.run_folder import (
    EMBEDDING,
    HISTORY,
    LABELS,
    MODEL,
    RECORD,
    REPORT,
    new_run_folder,
    read_record,
    to_json,
    write_labels,
    write_record,
    write_whole,
)
from fiedler.cli.terminal import Terminal
from fiedler.exceptions import InputError

if TYPE_CHECKING:
    from fiedler.progress import ProgressCallback

# What an unfinished run keeps besides its results.
_REQUEST = "request.json"
_CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class Request:
    """All that the user asked of a run.

    Parameters
    ----------
    name : str
        Path of the input, or ``dataset:NAME``.
    settings : Settings
        For the method.
    opening : Opening
        For the input.
    """

    name: str
    settings: Settings
    opening: Opening

    def to_state(self) -> dict[str, Any]:
        """The request as plain JSON values."""
        settings = self.settings
        state = {
            "input": self.name if self.is_dataset else str(Path(self.name).resolve()),
            "opening": self.opening.to_state(),
            "clusters": settings.clusters,
            "method": settings.method,
            "seed": settings.seed,
            "parameters": {name: repr(value) for name, value in settings.parameters.items()},
        }
        plain: dict[str, Any] = json.loads(to_json(state))
        return plain

    @property
    def is_dataset(self) -> bool:
        """Whether the input is a benchmark set and no path."""
        return self.name.startswith("dataset:")


def cluster(
    request: Request,
    output: Path,
    terminal: Terminal,
    *,
    overwrite: bool = False,
    force: bool = False,
    resume: bool = False,
) -> dict[str, Any]:
    """Cluster an input and write the run folder; return the run's record.

    Parameters
    ----------
    request : Request
        What the user asked for.
    output : Path
        The run folder to be made.
    terminal : Terminal
        Told about progress, and the result.
    overwrite : bool
        Whether an earlier run may be replaced.
    force : bool
        Start even where the memory seems not to suffice.
    resume : bool
        Keep what is done where the work is interrupted, and go on from there; a run that is
        finished already is told, not made again.
    """
    if resume and (output / RECORD).is_file():
        record = read_record(output)
        _check_same(record.get("request"), request, output)
        terminal.say(f"{output} is finished already.")
    else:
        with (
            new_run_folder(output, overwrite=overwrite, keep=resume) as folder,
            terminal.progress() as progress,
        ):
            if resume:
                _keep_request(folder, request)
            run = _Run(request, folder, terminal, progress)
            run.open(force)
            run.fit(folder / _CHECKPOINT if resume else None)
            with writing(output):
                record = run.write()
                (folder / _REQUEST).unlink(missing_ok=True)
                shutil.rmtree(folder / _CHECKPOINT, ignore_errors=True)
    record["output"] = str(output)
    _tell(record, output, terminal)
    return record


class _Run:
    """The stages of one run: open, fit, write."""

    opened: Input
    model: Any

    def __init__(
        self, request: Request, folder: Path, terminal: Terminal, progress: ProgressCallback
    ) -> None:
        self.request, self.folder = request, folder
        self.terminal, self.progress = terminal, progress
        self.seconds: dict[str, float] = {}

    def open(self, force: bool) -> None:
        """Open the input; refuse what will not fit in memory, where it can before decoding it."""

        def admit(kind: str, shape: tuple[int, ...]) -> None:
            self._choose(ROW_NAMES[kind], shape, force)

        start = time.perf_counter()
        request = self.request
        self.opened = open_input(request.name, request.opening, self.progress, admit=admit)
        self._choose(self.opened.row_name, self.opened.source.shape, force)
        if self._wants_gradients(self.opened.source.shape):
            self.opened = by_gradients(self.opened, self.progress)
        self.seconds["reading"] = time.perf_counter() - start

    def _choose(self, row_name: str, shape: tuple[int, ...], force: bool) -> None:
        """Choose the method for such rows, and refuse it if they are too many."""
        settings = self.request.settings
        job = Job(row_name, shape, self.request.opening.encoder is not None)
        self.method, self.reason = choose_method(settings, job)
        check_parameters(settings, self.method)
        described = self._wants_gradients(shape)
        self.cost = estimate(
            shape, settings, self.method, images=len(shape) > 2, gradients=described
        )
        if not force:
            refuse_if_too_large(self.cost, shape)

    def _wants_gradients(self, shape: tuple[int, ...]) -> bool:
        affinity = self.request.settings.parameters.get("affinity")
        return wants_gradients(self.request.opening, self.method, affinity, shape)

    def fit(self, checkpoint: Path | None) -> None:
        """Fit the method, or take the model that an interrupted run has left."""
        path = self.folder / MODEL
        if path.is_file():
            from fiedler import load

            self.model = load(path)
        else:
            self.model = build(self.request.settings, self.method, self.progress, checkpoint)
            self.terminal.note(
                f"{self.method} ({self.reason}): about {human_seconds(self.cost.seconds)}, "
                f"{human_bytes(self.cost.peak_bytes)} of memory."
            )
            self.model.fit(self.opened.source.rows)
            # The callback belongs to this terminal, not to the model that is kept.
            self.model.set_params(progress=None)
            if checkpoint is not None:
                self.model.save(path)
        timings = getattr(self.model, "timings_", {})
        self.seconds |= {stage: float(value) for stage, value in timings.items()}

    def write(self) -> dict[str, Any]:
        """Write all files; return the record."""
        start = time.perf_counter()
        self.progress("writing", 0, 2)
        folder, model, source = self.folder, self.model, self.opened.source
        confidence = getattr(model, "confidence_", None)
        write_labels(folder / LABELS, source.ids, model.labels_, confidence)
        np.save(folder / EMBEDDING, np.asarray(model.embedding_, dtype=np.float32))
        if getattr(model, "history_", None):
            write_whole(folder / HISTORY, to_json(model.history_))
        model.save(folder / MODEL, overwrite=True)
        save_recipe(folder, source.recipe)
        self.progress("writing", 1, 2)
        how = f"{type(model).__name__} ({self.method}): {self.reason}."
        described = write_run_report(
            folder / REPORT, self.opened, model, how, self.seconds, self.terminal.warnings
        )
        self.seconds["writing"] = time.perf_counter() - start
        self.progress("writing", 2, 2)
        record = make_record(self.opened, model, described, self.seconds, self.terminal.warnings)
        record |= {
            "command": sys.argv,
            "request": self.request.to_state(),
            "reason": self.reason,
            "how": how,
            "parameters": plain_parameters(model),
            "estimate": describe_cost(self.cost),
        }
        write_record(folder / RECORD, record)
        return record


def _keep_request(folder: Path, request: Request) -> None:
    """Note in an unfinished folder what it is of, or check that it is of the same."""
    path = folder / _REQUEST
    if not path.is_file():
        with writing(path):
            write_whole(path, to_json(request.to_state()))
        return
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({error}), so it is not known what the unfinished run was of. "
            f"Remove the folder {folder} and start again."
        ) from error
    _check_same(earlier, request, folder)


def _check_same(earlier: Any, request: Request, where: Path) -> None:
    now = request.to_state()
    if earlier == now:
        return
    known = earlier if isinstance(earlier, dict) else {}
    differing = [name for name, value in now.items() if known.get(name) != value]
    raise InputError(
        f"{where} was made with another {' and '.join(differing)}, so it cannot be gone on with. "
        "Repeat the earlier command, remove that folder, or choose another --output."
    )


def _tell(record: Mapping[str, Any], output: Path, terminal: Terminal) -> None:
    """Say the result, in a few sentences or as one JSON object."""
    if terminal.json:
        terminal.result(to_json(record))
        return
    n = record["input"]["shape"][0]
    what = record["input"]["kind"]
    sizes = record["result"]["cluster_sizes"]
    around = {name: record["timings"].get(name, 0.0) for name in ("reading", "writing")}
    fitted = sum(record["timings"].values()) - sum(around.values())
    terminal.say(f"Method: {record['how']}")
    terminal.say(
        f"{n:,} {what} in {record['result']['n_clusters']} clusters of {min(sizes):,} to "
        f"{max(sizes):,}, found in {human_seconds(fitted)} (expected "
        f"{human_seconds(record['estimate']['seconds'])}); reading took "
        f"{human_seconds(around['reading'])}, the report {human_seconds(around['writing'])}."
    )
    if record["metrics"]:
        from fiedler.report.describe import METRIC_NAMES

        shown = ((METRIC_NAMES.get(k, k), v) for k, v in record["metrics"].items())
        terminal.say(
            "Against the known classes: " + ", ".join(f"{k} {v:.3f}" for k, v in shown) + "."
        )
    for line in record["words"] or ():
        terminal.say(line)
    terminal.say(f"Results: {output}")
    terminal.say(f"Report:  {output / REPORT}")
