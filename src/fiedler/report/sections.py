"""The other sections of the page: their figures, and the same in words and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiedler.report import figures
from fiedler.report.pictures import LARGEST_EXAMPLE, example_side, png_uri, thumbnail

if TYPE_CHECKING:
    from fiedler.report.data import Gallery, ReportData

Ints = NDArray[np.integer[Any]]
Section = dict[str, Any]

# A larger confusion table is a figure only: nobody reads ten thousand numbers.
TABLE_CELLS = 2_500
# What a row of a history may hold besides figures, and figures of another order of magnitude, which
# would be a line at the foot of the chart: these are told only.
_NO_FIGURES = ("stage", "step", "epoch", "seconds", "time", "batch")
_TOLD_ONLY = ("learning_rate",)


def summary(data: ReportData, counts: Ints) -> str:
    """One sentence that says what came out."""
    filled = counts[counts > 0]
    n = int(counts.sum())
    text = f"{n:,} {data.kind} fall into {len(filled)} cluster{'s' if len(filled) != 1 else ''}"
    if len(filled) > 1:
        text += (
            f", the largest of {int(filled.max()):,} ({filled.max() / n:.1%}) and the smallest of "
            f"{int(filled.min()):,} ({filled.min() / n:.1%})"
        )
    if data.timings:
        text += f", found in {sum(data.timings.values()):.1f} s"
    if data.metrics:
        figures_of_merit = ", ".join(f"{name} {value:.3f}" for name, value in data.metrics.items())
        text += f"; against the known classes: {figures_of_merit}"
    return text + "."


def sizes(counts: Ints) -> Section:
    """Sizes of the clusters."""
    text = (
        f"{int(np.sum(counts > 0))} clusters; the largest is number {int(np.argmax(counts))} with "
        f"{int(counts.max()):,} rows, the median holds {int(np.median(counts)):,}."
    )
    return {"figure": figures.size_chart(counts), "text": text}


def eigenvalues(data: ReportData, k: int) -> Section | None:
    """Eigenvalues, and the gap after as many as there are clusters."""
    values = data.eigenvalues
    if values is None or len(values) == 0:
        return None
    text = f"The {len(values)} smallest eigenvalues of the Laplacian."
    if len(values) > k:
        text += (
            f" The band marks the gap after the {k} clusters: from {values[k - 1]:.4f} to "
            f"{values[k]:.4f}, a step of {values[k] - values[k - 1]:.4f}."
        )
    plot = figures.eigenvalue_chart(values, k)
    return {"figure": plot, "text": text, "values": [float(value) for value in values]}


def eigenvectors(data: ReportData) -> Section | None:
    """The embedding's columns over the rows sorted by cluster, and their mean in each cluster."""
    if data.eigenvalues is None or data.embedding.shape[1] < 2:
        return None
    values = np.asarray(data.embedding, dtype=np.float64)
    clusters = np.unique(data.labels)
    shown = min(values.shape[1], max(1, TABLE_CELLS // len(clusters)), figures.EIGENVECTORS)
    scale = np.sqrt(np.square(values[:, :shown]).mean(axis=0))
    scaled = values[:, :shown] / np.where(scale > 0, scale, 1.0)
    rows = [
        (int(cluster), [float(mean) for mean in scaled[data.labels == cluster].mean(axis=0)])
        for cluster in clusters
    ]
    text = (
        f"The {values.shape[1]} columns of the embedding over the rows sorted by cluster: blue "
        "above zero, orange below. A column that is of one colour on a cluster and of the other "
        "elsewhere sets it apart."
    )
    plot = figures.eigenvector_chart(values, data.labels)
    return {"figure": plot, "text": text, "rows": rows, "columns": list(range(shown))}


def confusion(data: ReportData) -> Section | None:
    """Known classes against clusters."""
    if data.confusion is None:
        return None
    classes, clusters = data.confusion.shape
    text = (
        f"How many rows of each of the {classes} known classes went into each of the {clusters} "
        "clusters; matched pairs lie on the diagonal, and a stronger cell holds more of its class."
    )
    rows: list[tuple[str, list[int]]] = []
    if data.confusion.size <= TABLE_CELLS:
        counts = ([int(count) for count in row] for row in data.confusion)
        rows = list(zip(map(str, data.class_names), counts, strict=True))
    plot = figures.confusion_chart(data.confusion, data.class_names, data.cluster_names)
    return {"figure": plot, "text": text, "rows": rows, "columns": list(data.cluster_names)}


def affinity(data: ReportData) -> Section | None:
    """The affinity matrix sorted by cluster, and the share of links that stay inside."""
    if data.affinity is None:
        return None
    import scipy.sparse as sp

    n, k = len(data.labels), int(data.labels.max()) + 1
    member = sp.csr_matrix((np.ones(n), (np.arange(n), data.labels)), shape=(n, k))
    weights = np.asarray((member.T @ sp.csr_matrix(data.affinity) @ member).toarray())
    inside = np.diag(weights) / np.maximum(weights.sum(axis=1), 1e-300)
    others = weights - np.diag(np.diag(weights))
    rows = [
        {
            "number": cluster,
            "inside": float(inside[cluster]),
            "next": int(others[cluster].argmax()) if others[cluster].any() else None,
        }
        for cluster in range(k)
    ]
    loosest = int(inside.argmin())
    share = np.trace(weights) / weights.sum()
    text = (
        f"{data.links}, its rows sorted by cluster. {share:.1%} of the weight of all links "
        f"stays within clusters; least in cluster {loosest}, {inside[loosest]:.1%}."
    )
    return {
        "figure": figures.affinity_chart(data.affinity, data.labels),
        "text": text,
        "rows": rows,
    }


def history(data: ReportData) -> list[Section]:
    """The curves of each stage of a training, with their first, best and last values."""
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for row in data.history:
        stages.setdefault(str(row.get("stage", "training")), []).append(row)
    described = []
    for stage, rows in stages.items():
        steps = [float(row.get("step", row.get("epoch", i))) for i, row in enumerate(rows)]
        curves = _curves(rows)
        if not curves:
            continue
        table = [_extremes(name, values) for name, values in curves.items()]
        said = "; ".join(f"{row['name']} from {row['first']} to {row['last']}" for row in table)
        drawn = {name: values for name, values in curves.items() if name not in _TOLD_ONLY}
        plot = figures.loss_chart(steps, drawn or curves)
        text = f"{stage}, {len(rows)} points: {said}."
        described.append({"figure": plot, "title": stage, "text": text, "rows": table})
    return described


def _curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The figures of each name, NaN where a row lacks it."""
    names = dict.fromkeys(
        name
        for row in rows
        for name, value in row.items()
        if name not in _NO_FIGURES
        and isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
    )
    curves = {name: [float(row.get(name, math.nan)) for row in rows] for name in names}
    return {name: values for name, values in curves.items() if np.isfinite(values).any()}


def _extremes(name: str, values: list[float]) -> dict[str, str]:
    finite = [value for value in values if math.isfinite(value)]
    shown = {"first": finite[0], "lowest": min(finite), "highest": max(finite), "last": finite[-1]}
    return {"name": name, **{key: f"{value:.4g}" for key, value in shown.items()}}


def gallery(found: Gallery) -> Section:
    """Pictures with captions; several that belong together share a place."""
    side = min(LARGEST_EXAMPLE, example_side(len(found.pictures)))
    shown = [
        {"uri": png_uri(thumbnail(picture, side)), "caption": str(caption)}
        for picture, caption in zip(found.pictures, found.captions, strict=True)
    ]
    groups = [shown[i : i + found.group] for i in range(0, len(shown), found.group)]
    return {"title": found.title, "text": found.text, "groups": groups}
