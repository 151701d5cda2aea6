"""The record of a run: what was put in, what came out, and with which software."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

import fiedler

if TYPE_CHECKING:
    from fiedler.cli.inputs import Input
    from fiedler.report import ReportData

RECORD_FORMAT = 1
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "pillow", "bokeh")


def make_record(
    opened: Input,
    model: Any,
    described: ReportData,
    seconds: Mapping[str, float],
    warnings: list[str],
) -> dict[str, Any]:
    """Everything of a run that is worth keeping in words and numbers.

    Parameters
    ----------
    opened : Input
    model : estimator
        Fitted.
    described : ReportData
        What its report was made from.
    seconds : mapping of str to float
        By stage.
    warnings : list of str
    """
    source = opened.source
    return {
        "format": RECORD_FORMAT,
        "fiedler": fiedler.__version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "input": {
            "name": opened.name,
            "description": source.description,
            "kind": opened.row_name,
            "shape": list(source.shape),
            "left_out": source.failures,
        },
        "method": type(model).__name__,
        "seed": model.random_state,
        "result": _result(model),
        "metrics": _scores(opened, model),
        "words": [
            f"Cluster {cluster}: {', '.join(words)}"
            for cluster, words in enumerate(described.words)
        ],
        "timings": dict(seconds),
        "warnings": list(warnings),
        "versions": _versions(),
    }


def _scores(opened: Input, model: Any) -> dict[str, float] | None:
    if opened.known is None:
        return None
    from fiedler.evaluation import score_all

    return dict(score_all(opened.known.codes, np.asarray(model.labels_)))


def _result(model: Any) -> dict[str, Any]:
    """What came out; spectral figures where the estimator has them."""
    k = int(model.n_clusters_)
    found: dict[str, Any] = {
        "n_clusters": k,
        "cluster_sizes": np.bincount(np.asarray(model.labels_), minlength=k),
    }
    if getattr(model, "n_connected_components_", None) is not None:
        found["n_connected_components"] = int(model.n_connected_components_)
    if getattr(model, "eigenvalues_", None) is not None:
        found["eigenvalues"] = np.asarray(model.eigenvalues_)
    if hasattr(model, "eigen_residuals_"):
        found["largest_residual"] = float(np.max(model.eigen_residuals_, initial=0.0))
    return found


def _versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed under this name"
    return found
