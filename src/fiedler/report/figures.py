"""The figures of a report but for the map, each a function from arrays to a Bokeh figure.

They have transparent grounds and mid-grey ink: the page sets the ink for light and dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from fiedler.report.drawing import (
    EVERY_TICK,
    GRID,
    INK,
    add_hover,
    hover_line,
    name_ticks,
    new_figure,
    number_ticks,
    thousands,
)
from fiedler.report.palette import COLOURS, colour_of, mark_of

if TYPE_CHECKING:
    from bokeh.plotting import figure as Figure

# Side in cells of the picture of the affinity matrix.
MATRIX_CELLS = 160
# More columns than this are a blur.
EIGENVECTORS = 40
_STRONG, _DARK_INK = 0.15, "#1c2024"
DASHES = ("solid", "dashed", "dotted", "dotdash")


def size_chart(counts: NDArray[np.integer[Any]]) -> Figure:
    """Draw the number of rows in each cluster, one bar a cluster.

    Parameters
    ----------
    counts : ndarray of int, shape (k,)

    Returns
    -------
    bokeh.plotting.figure
    """
    from bokeh.models import ColumnDataSource

    k = len(counts)
    source = ColumnDataSource(
        {
            "cluster": np.arange(k),
            "count": np.asarray(counts),
            "share": np.asarray(counts) / max(int(np.sum(counts)), 1),
            "colour": [colour_of(cluster) for cluster in range(k)],
        }
    )
    plot = new_figure("cluster", "rows")
    bars = plot.vbar("cluster", 0.8, "count", source=source, color="colour", line_width=0)
    share = hover_line("share", "of all", "{0.0%}")
    add_hover(plot, bars, hover_line("cluster") + hover_line("count", "rows", "{0,0}") + share)
    plot.y_range.start = 0
    plot.x_range.range_padding = 0.02
    plot.xgrid.visible = False
    plot.xaxis.ticker = number_ticks(k)
    plot.yaxis.formatter = thousands()
    return cast("Figure", plot)


def eigenvalue_chart(eigenvalues: NDArray[np.floating[Any]], n_clusters: int) -> Figure:
    """Draw the smallest eigenvalues of the Laplacian, and mark the gap after number `n_clusters`.

    Parameters
    ----------
    eigenvalues : ndarray of float, shape (e,)
        Ascending.
    n_clusters : int

    Returns
    -------
    bokeh.plotting.figure
    """
    from bokeh.models import ColumnDataSource
    from bokeh.models.annotations import BoxAnnotation

    count = len(eigenvalues)
    within = np.arange(1, count + 1) <= n_clusters
    source = ColumnDataSource(
        {
            "number": np.arange(1, count + 1),
            "value": np.asarray(eigenvalues, dtype=np.float64),
            "colour": np.where(within, COLOURS[0], COLOURS[3]).tolist(),
        }
    )
    tooltip = hover_line("number", "eigenvalue") + hover_line("value", "value", "{0.000000}")
    plot = new_figure("number", "eigenvalue")
    if count > n_clusters:
        gap = BoxAnnotation(
            left=n_clusters,
            right=n_clusters + 1,
            fill_color=COLOURS[1],
            fill_alpha=0.25,
            line_color=None,
        )
        plot.add_layout(gap)
    plot.line("number", "value", source=source, color=INK, line_alpha=0.5)
    dots = plot.scatter("number", "value", source=source, size=8, color="colour")
    add_hover(plot, dots, tooltip)
    plot.x_range.range_padding = 0.04
    plot.y_range.range_padding = 0.1
    if count <= EVERY_TICK:
        plot.xaxis.ticker = list(range(1, count + 1))
    return cast("Figure", plot)


def confusion_chart(
    counts: NDArray[np.integer[Any]], class_names: Sequence[str], cluster_names: Sequence[str]
) -> Figure:
    """Draw how the rows of each known class are spread over the clusters.

    Parameters
    ----------
    counts : ndarray of int, shape (classes, clusters)
    class_names, cluster_names : sequence of str

    Returns
    -------
    bokeh.plotting.figure
        One cell a pair; its strength is the share of the class.
    """
    from bokeh.models import ColumnDataSource

    row, column = np.divmod(np.arange(counts.size), counts.shape[1])
    share = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).ravel()
    source = ColumnDataSource(
        {
            "row": row,
            "column": column,
            "count": counts.ravel(),
            "share": share,
            "strength": 0.9 * np.sqrt(share),
            "class": [str(class_names[i]) for i in row],
            "cluster": [str(cluster_names[j]) for j in column],
        }
    )
    tooltip = (
        hover_line("class", "known class")
        + hover_line("cluster")
        + hover_line("count", "rows", "{0,0}")
    )
    tooltip += hover_line("share", "of the class", "{0.0%}")
    plot = new_figure("cluster", "known class")
    cells = plot.rect(
        "column", "row", 1, 1, source=source, color=COLOURS[0], fill_alpha="strength",
        line_color=GRID,
    )  # fmt: skip
    add_hover(plot, cells, tooltip)
    if counts.size <= 400:
        filled = np.flatnonzero(counts.ravel())
        plot.text(
            column[filled], row[filled], [str(c) for c in counts.ravel()[filled]],
            text_align="center", text_baseline="middle", text_font_size="11px", name="ink",
            # The page sets its own ink; elsewhere grey cannot be read on strong cells.
            text_color=np.where(share[filled] > _STRONG, _DARK_INK, INK).tolist(),
        )  # fmt: skip
    name_ticks(plot.xaxis, cluster_names)
    name_ticks(plot.yaxis, class_names)
    plot.x_range.range_padding = plot.y_range.range_padding = 0
    plot.y_range.flipped = True
    plot.grid.visible = False
    return cast("Figure", plot)


def loss_chart(steps: Sequence[float], curves: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the figures of one stage of a training, a line each.

    Parameters
    ----------
    steps : sequence of float, length t
    curves : mapping of str to sequence of float, length t
        NaN where a figure is absent at a step.

    Returns
    -------
    bokeh.plotting.figure
    """
    from bokeh.models import ColumnDataSource

    plot = new_figure("step", "value")
    for i, (name, values) in enumerate(curves.items()):
        known = [j for j, value in enumerate(values) if np.isfinite(value)]
        source = ColumnDataSource(
            {
                "step": [float(steps[j]) for j in known],
                "value": [float(values[j]) for j in known],
                "name": [name] * len(known),
            }
        )
        look = {"color": colour_of(i), "legend_label": name}
        plot.line(
            "step", "value", source=source, line_width=2,
            line_dash=DASHES[i // len(COLOURS) % len(DASHES)], **look,
        )  # fmt: skip
        dots = plot.scatter("step", "value", source=source, size=5, color=colour_of(i))
        content = hover_line("name", "figure") + hover_line("step") + hover_line("value")
        add_hover(plot, dots, content)
    if len(curves) == 1:
        plot.yaxis.axis_label = next(iter(curves))
        plot.legend.visible = False
    else:
        # Above the curves, so that it hides none of them.
        plot.add_layout(plot.legend[0], "above")
        plot.legend.orientation = "horizontal"
    plot.legend.background_fill_alpha = 0.0
    plot.legend.border_line_color = None
    plot.legend.label_text_color = INK
    plot.legend.click_policy = "hide"
    return cast("Figure", plot)


def phase_chart(
    places: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], names: Sequence[str]
) -> Figure:
    """Draw a small map of some rows, each in the colour and with the mark of its cluster.

    Parameters
    ----------
    places : ndarray of float, shape (m, 2)
    labels : ndarray of int, shape (m,)
    names : sequence of str, length m

    Returns
    -------
    bokeh.plotting.figure
    """
    from bokeh.models import ColumnDataSource

    source = ColumnDataSource(
        {
            "x": places[:, 0].astype(np.float32),
            "y": places[:, 1].astype(np.float32),
            "cluster": labels.astype(np.int32),
            "row": list(names),
            "colour": [colour_of(int(label)) for label in labels],
            "mark": [mark_of(int(label)) for label in labels],
        }
    )
    plot = new_figure("", "")
    marks = plot.scatter(
        "x", "y", source=source, size=5, color="colour", marker="mark", fill_alpha=0.75,
        line_alpha=0.0,
    )  # fmt: skip
    add_hover(plot, marks, hover_line("cluster") + hover_line("row"))
    plot.axis.visible = plot.grid.visible = False
    return cast("Figure", plot)


def affinity_chart(affinity: Any, labels: NDArray[np.integer[Any]]) -> Figure:
    """Draw the affinity matrix with its rows sorted by cluster; blocks are clusters.

    Parameters
    ----------
    affinity : sparse matrix, shape (n, n)
    labels : ndarray of int, shape (n,)

    Returns
    -------
    bokeh.plotting.figure
        At most `MATRIX_CELLS` cells a side; a stronger cell holds more weight.
    """
    cells = sorted_matrix(affinity, labels, MATRIX_CELLS)
    strength = np.sqrt(cells / max(float(cells.max()), 1e-300))
    picture = np.empty((*cells.shape, 4), dtype=np.uint8)
    picture[..., :3] = [int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)]
    picture[..., 3] = np.rint(255 * strength)
    n = len(labels)
    plot = new_figure("rows, sorted by cluster", "rows, sorted by cluster")
    packed = np.ascontiguousarray(picture).view(np.uint32)[..., 0]
    # Row 0 at the top, as in a matrix on paper: the axis is flipped and the picture with it.
    plot.image_rgba([packed], x=0, y=0, dw=n, dh=n)
    plot.x_range.range_padding = plot.y_range.range_padding = 0
    plot.y_range.flipped = True
    plot.grid.visible = False
    plot.xaxis.formatter = plot.yaxis.formatter = thousands()
    return cast("Figure", plot)


def eigenvector_chart(embedding: NDArray[np.floating[Any]], labels: NDArray[Any]) -> Figure:
    """Draw the eigenvectors as columns, over the rows sorted by cluster.

    Parameters
    ----------
    embedding : ndarray of shape (n, m)
        Eigenvectors by rising eigenvalue; the first `EIGENVECTORS` are drawn.
    labels : ndarray of int, shape (n,)

    Returns
    -------
    bokeh.plotting.figure
        Blue above zero, orange below, stronger further from it; each column has its own scale.
    """
    shown = np.asarray(embedding, dtype=np.float64)[:, :EIGENVECTORS]
    n, m = shown.shape
    bands = np.array_split(shown[np.argsort(labels, kind="stable")], min(n, MATRIX_CELLS))
    cells = np.stack([band.mean(axis=0) for band in bands])
    strength = np.abs(cells) / np.maximum(np.abs(cells).max(axis=0), 1e-300)
    inks = np.array([[int(COLOURS[j][i : i + 2], 16) for i in (1, 3, 5)] for j in (0, 1)])
    picture = np.empty((*cells.shape, 4), dtype=np.uint8)
    picture[..., :3] = inks[(cells < 0).astype(int)]
    picture[..., 3] = np.rint(255 * strength)
    plot = new_figure("eigenvector, by rising eigenvalue", "rows, sorted by cluster")
    packed = np.ascontiguousarray(picture).view(np.uint32)[..., 0]
    plot.image_rgba([packed], x=-0.5, y=0, dw=m, dh=n)
    plot.xaxis.ticker = number_ticks(m)
    plot.x_range.range_padding = plot.y_range.range_padding = 0
    plot.y_range.flipped = True
    plot.grid.visible = False
    plot.yaxis.formatter = thousands()
    return cast("Figure", plot)


def sorted_matrix(
    affinity: Any, labels: NDArray[np.integer[Any]], cells: int
) -> NDArray[np.float64]:
    """Mean weight in each cell of the affinity matrix with its rows sorted by cluster.

    Parameters
    ----------
    affinity : sparse matrix, shape (n, n)
    labels : ndarray of int, shape (n,)
    cells : int
        Side of the result at most.

    Returns
    -------
    ndarray of float64, shape (s, s) with s = min(n, cells)
    """
    import scipy.sparse as sp

    n = len(labels)
    side = min(n, cells)
    place = np.empty(n, dtype=np.int64)
    place[np.argsort(labels, kind="stable")] = np.arange(n)
    cell = place * side // n
    member = sp.csr_matrix((np.ones(n), (np.arange(n), cell)), shape=(n, side))
    sums = (member.T @ sp.csr_matrix(affinity) @ member).toarray()
    counts = np.bincount(cell, minlength=side).astype(np.float64)
    return np.asarray(sums / np.outer(counts, counts), dtype=np.float64)
