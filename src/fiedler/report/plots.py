"""Plots of a fitted clustering for notebooks: functions that return a Bokeh figure.

Show one with ``bokeh.plotting.show``, after ``bokeh.io.output_notebook()``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.exceptions import InputError
from fiedler.report import figures, sections
from fiedler.report.data import ReportData
from fiedler.report.describe import fitted_parts
from fiedler.report.map_section import draw_map

if TYPE_CHECKING:
    from bokeh.plotting import figure as Figure

__all__ = [
    "plot_affinity",
    "plot_confusion",
    "plot_eigenvalues",
    "plot_eigenvectors",
    "plot_history",
    "plot_map",
    "plot_sizes",
]

HEIGHT, TALL = 320, 560


def plot_map(
    model: Any,
    *,
    ids: Sequence[Any] | None = None,
    texts: Sequence[str] | None = None,
    known: Sequence[Any] | None = None,
) -> Figure:
    """Draw each fitted row in the plane, in the colour of its cluster.

    Parameters
    ----------
    model : estimator
        Fitted, with ``labels_`` and ``embedding_``.
    ids, texts, known : sequence, length n, optional
        What the hover tells of each row: its name, its text, its known class.

    Returns
    -------
    bokeh.plotting.figure
    """
    data = _described(model, ids=ids, texts=texts, known=known)
    return _sized(draw_map(data, np.random.default_rng(0)).figure, TALL)


def plot_sizes(model: Any) -> Figure:
    """Draw the number of rows in each cluster."""
    labels = _described(model).labels
    return _sized(figures.size_chart(np.bincount(labels)), HEIGHT)


def plot_eigenvalues(model: Any) -> Figure:
    """Draw the smallest eigenvalues of the Laplacian, and mark the gap after the clusters.

    Raises
    ------
    InputError
        If the estimator has no eigenvalues.
    """
    data = _described(model)
    if data.eigenvalues is None:
        raise _absent(model, "eigenvalues_")
    return _sized(figures.eigenvalue_chart(data.eigenvalues, int(data.labels.max()) + 1), HEIGHT)


def plot_eigenvectors(model: Any) -> Figure:
    """Draw the columns of the embedding over the rows sorted by cluster."""
    data = _described(model)
    return _sized(figures.eigenvector_chart(data.embedding, data.labels), TALL)


def plot_affinity(model: Any) -> Figure:
    """Draw the affinity matrix with its rows sorted by cluster.

    Raises
    ------
    InputError
        If the estimator has no affinity matrix.
    """
    data = _described(model)
    if data.affinity is None:
        raise _absent(model, "affinity_matrix_")
    plot = _sized(figures.affinity_chart(data.affinity, data.labels), TALL)
    plot.width, plot.sizing_mode = TALL, "fixed"
    return plot


def plot_confusion(known: Sequence[Any], labels: Sequence[int]) -> Figure:
    """Draw how the rows of each known class are spread over the clusters.

    Parameters
    ----------
    known : sequence, length n
        Class of each row.
    labels : sequence of int, length n
        Cluster of each row.
    """
    from fiedler.evaluation import confusion_matrix

    names, codes = np.unique([str(value) for value in known], return_inverse=True)
    found = confusion_matrix(codes, np.asarray(labels))
    class_names = [str(names[code]) for code in found.classes]
    cluster_names = [str(name) for name in found.clusters]
    return _sized(figures.confusion_chart(found.table, class_names, cluster_names), TALL)


def plot_history(model: Any, stage: str | None = None) -> Figure:
    """Draw the curves of a training.

    Parameters
    ----------
    model : estimator
        With ``history_``: rows with ``stage``, ``step``, and figures by name.
    stage : str, optional
        Which stage; may be left out where there is only one.

    Raises
    ------
    InputError
        If there is no history, or no such stage.
    """
    found = {part["title"]: part["figure"] for part in sections.history(_described(model))}
    if not found:
        raise _absent(model, "history_")
    if stage is None and len(found) == 1:
        (stage,) = found
    if stage not in found:
        raise InputError(f"name one stage of {', '.join(map(repr, found))}; got {stage!r}.")
    return _sized(found[stage], HEIGHT)


def _described(model: Any, **shown: Any) -> ReportData:
    """Only what the figures need: no words, no metrics, no pictures."""
    parts = fitted_parts(model, shown.pop("ids", None))
    return ReportData(type(model).__name__, **parts, **shown)


def _absent(model: Any, name: str) -> InputError:
    return InputError(f"{type(model).__name__} has no {name}, so there is nothing to draw.")


def _sized(plot: Figure, height: int) -> Figure:
    """Figures fill their place on the page of a report; in a notebook they need a height."""
    plot.sizing_mode = "stretch_width"
    plot.height = height
    return plot
