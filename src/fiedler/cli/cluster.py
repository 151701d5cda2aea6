"""`fiedler cluster`: from an input to a run folder."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fiedler
from fiedler.cli.inputs import Input, Opening, open_input, save_recipe
from fiedler.cli.methods import (
    Settings,
    build,
    describe_cost,
    estimate,
    features_of,
    human_bytes,
    human_seconds,
    plain_parameters,
    refuse_if_too_large,
)
from fiedler.cli.outcome import writing
from fiedler.cli.run_folder import (
    EMBEDDING,
    LABELS,
    MODEL,
    RECORD,
    REPORT,
    new_run_folder,
    to_json,
    write_labels,
    write_record,
)
from fiedler.cli.terminal import Terminal

if TYPE_CHECKING:
    from fiedler.evaluation import ConfusionMatrix
    from fiedler.progress import ProgressCallback

RECORD_FORMAT = 1
METRIC_NAMES = {
    "acc": "accuracy",
    "nmi": "NMI",
    "ari": "ARI",
    "pairwise_f": "pairwise F",
    "purity": "purity",
}
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "pillow", "bokeh")


@dataclass(frozen=True)
class Judgement:
    """A clustering held against known classes."""

    metrics: Mapping[str, float]
    confusion: ConfusionMatrix


def cluster(
    name: str,
    output: Path,
    settings: Settings,
    opening: Opening,
    terminal: Terminal,
    *,
    overwrite: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Cluster an input and write the run folder; return the run's record.

    Parameters
    ----------
    name : str
        Path or ``dataset:NAME``.
    output : Path
        The run folder to be made.
    settings, opening : Settings, Opening
        What the user asked for.
    terminal : Terminal
        Told about progress, and the result.
    overwrite : bool
        Whether an earlier run may be replaced.
    force : bool
        Start even where the memory seems not to suffice.
    """
    with new_run_folder(output, overwrite=overwrite) as folder, terminal.progress() as progress:
        start = time.perf_counter()
        opened = open_input(name, opening, progress)
        seconds = {"reading": time.perf_counter() - start}
        shape = opened.source.shape
        cost = estimate(shape[0], features_of(shape), settings.clusters, settings.method)
        if not force:
            refuse_if_too_large(cost, shape)
        model = build(settings, progress)
        model.fit(opened.source.rows)
        # The callback belongs to this terminal, not to the model that is kept.
        model.set_params(progress=None)
        seconds |= {stage: float(value) for stage, value in model.timings_.items()}
        with writing(output):
            record = _write_run(folder, opened, model, seconds, terminal.warnings, progress)
            record["estimate"] = describe_cost(cost)
            write_record(folder / RECORD, record)
    record["output"] = str(output)
    _tell(record, output, terminal)
    return record


def _write_run(
    folder: Path,
    opened: Input,
    model: Any,
    seconds: dict[str, float],
    warnings: list[str],
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Write everything but the record, which is returned: it tells how long that took."""
    start = time.perf_counter()
    progress("writing", 0, 2)
    write_labels(folder / LABELS, opened.source.ids, model.labels_, model.confidence_)
    np.save(folder / EMBEDDING, np.asarray(model.embedding_, dtype=np.float32))
    model.save(folder / MODEL)
    save_recipe(folder, opened.source.recipe)
    progress("writing", 1, 2)
    judgement = _judge(opened, model.labels_)
    _write_report(folder / REPORT, opened, model, judgement, seconds, warnings)
    seconds["writing"] = time.perf_counter() - start
    progress("writing", 2, 2)
    return _record(opened, model, judgement, seconds, warnings)


def _judge(opened: Input, labels: np.ndarray) -> Judgement | None:
    if opened.known is None:
        return None
    from fiedler.evaluation import confusion_matrix, score_all

    codes = opened.known.codes
    return Judgement(score_all(codes, labels), confusion_matrix(codes, labels))


def _write_report(
    path: Path,
    opened: Input,
    model: Any,
    judgement: Judgement | None,
    seconds: Mapping[str, float],
    notes: list[str],
) -> None:
    from fiedler.report import ReportData, write_report

    galleries, agreement = _network_material(model, opened)
    source, known = opened.source, opened.known
    confusion = judgement.confusion if judgement else None
    data = ReportData(
        title=opened.name,
        ids=[str(row) for row in source.ids],
        labels=np.asarray(model.labels_),
        embedding=np.asarray(model.embedding_),
        eigenvalues=np.asarray(model.eigenvalues_),
        kind=opened.row_name,
        pictures=source.rows if source.kind == "images" else None,
        texts=source.texts,
        known=[known.names[code] for code in known.codes] if known else None,
        metrics=_shown_metrics(judgement.metrics) if judgement else {},
        confusion=confusion.table if confusion else None,
        class_names=[known.names[code] for code in confusion.classes]
        if known and confusion
        else (),
        cluster_names=[str(name) for name in confusion.clusters] if confusion else (),
        timings=seconds,
        parameters={"input": source.description, **plain_parameters(model)},
        notes=notes,
        galleries=galleries,
        agreement=agreement,
    )
    write_report(path, data)


def _network_material(model: Any, opened: Input) -> tuple[list[Any], list[tuple[str, float]]]:
    """Pictures and figures of a network's layers; nothing for other methods, or no pictures."""
    if not hasattr(model, "layer_maps") or opened.source.kind != "images":
        return [], []
    from fiedler.report.network import network_galleries, procedure_agreement

    rows = opened.source.rows
    return network_galleries(model, rows), procedure_agreement(model, rows)


def _shown_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    return {METRIC_NAMES.get(name, name): value for name, value in metrics.items()}


def _record(
    opened: Input,
    model: Any,
    judgement: Judgement | None,
    seconds: Mapping[str, float],
    warnings: list[str],
) -> dict[str, Any]:
    source = opened.source
    labels = np.asarray(model.labels_)
    return {
        "format": RECORD_FORMAT,
        "fiedler": fiedler.__version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv,
        "input": {
            "name": opened.name,
            "description": source.description,
            "kind": opened.row_name,
            "shape": list(source.shape),
            "left_out": source.failures,
        },
        "method": type(model).__name__,
        "parameters": plain_parameters(model),
        "seed": model.random_state,
        "result": {
            "n_clusters": int(model.n_clusters_),
            "cluster_sizes": np.bincount(labels, minlength=int(model.n_clusters_)),
            "n_connected_components": int(model.n_connected_components_),
            "eigenvalues": np.asarray(model.eigenvalues_),
            "largest_residual": float(np.max(model.eigen_residuals_, initial=0.0)),
        },
        "metrics": dict(judgement.metrics) if judgement else None,
        "timings": dict(seconds),
        "warnings": list(warnings),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed under this name"
    return found


def _tell(record: Mapping[str, Any], output: Path, terminal: Terminal) -> None:
    """Say the result, in a few sentences or as one JSON object."""
    if terminal.json:
        terminal.result(to_json(record))
        return
    n = record["input"]["shape"][0]
    what = record["input"]["kind"]
    sizes = record["result"]["cluster_sizes"]
    terminal.say(
        f"{n:,} {what} in {record['result']['n_clusters']} clusters of {min(sizes):,} to "
        f"{max(sizes):,}, in {human_seconds(sum(record['timings'].values()))} "
        f"(expected {human_seconds(record['estimate']['seconds'])}, "
        f"{human_bytes(record['estimate']['peak_bytes'])})."
    )
    if record["metrics"]:
        shown = _shown_metrics(record["metrics"]).items()
        terminal.say(
            "Against the known classes: " + ", ".join(f"{k} {v:.3f}" for k, v in shown) + "."
        )
    terminal.say(f"Results: {output}")
    terminal.say(f"Report:  {output / REPORT}")
