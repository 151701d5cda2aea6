"""The figures of a report, each a function from arrays to a Bokeh figure.

They have transparent grounds and mid-grey ink: the page sets the ink for light and dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from fiedler.report.palette import COLOURS, colour_of, mark_of

if TYPE_CHECKING:
    from bokeh.plotting import figure as Figure

INK = "#767676"
GRID = "rgba(128, 128, 128, 0.22)"
# Beyond this many bars or cells the axis shows only some of the numbers.
EVERY_TICK = 40


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
    plot = _figure("cluster", "rows")
    bars = plot.vbar("cluster", 0.8, "count", source=source, color="colour", line_width=0)
    share = _line("share", "of all", "{0.0%}")
    _hover(plot, bars, _line("cluster") + _line("count", "rows", "{0,0}") + share)
    plot.y_range.start = 0
    plot.x_range.range_padding = 0.02
    plot.xgrid.visible = False
    plot.xaxis.ticker = _ticks(k)
    plot.yaxis.formatter = _thousands()
    return cast("Figure", plot)


def cluster_map(
    places: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    columns: Mapping[str, Sequence[str]],
    thumbnails: tuple[NDArray[np.int32], ...] | None = None,
    side: int = 0,
) -> Figure:
    """Draw each row as a mark in the colour of its cluster, with a hover that describes it.

    Parameters
    ----------
    places : ndarray of float, shape (n, 2)
    labels : ndarray of int, shape (n,)
    columns : mapping of str to sequence of str
        What the hover shows of each row, in this order; shown as text whatever it holds.
    thumbnails : tuple of three ndarrays of int32, shape (n,), optional
        Sheet (-1: none), left and upper edge of each row's picture, in sheets that the page
        defines as the style variables ``--sheet-0``, ``--sheet-1``, ...
    side : int
        Side of these pictures in pixels.

    Returns
    -------
    bokeh.plotting.figure
    """
    from bokeh.models import ColumnDataSource, WheelZoomTool

    values: dict[str, Any] = {
        "x": places[:, 0].astype(np.float32),
        "y": places[:, 1].astype(np.float32),
        "cluster": labels.astype(np.int32),
        "colour": [colour_of(int(label)) for label in labels],
        "mark": [mark_of(int(label)) for label in labels],
    }
    # Names of our own, so that no caller's column can hide another.
    shown = {f"field{i}": name for i, name in enumerate(columns)}
    values |= {key: [str(text) for text in columns[name]] for key, name in shown.items()}
    tooltip = _line("cluster") + "".join(_line(key, name) for key, name in shown.items())
    if thumbnails is not None:
        values |= dict(zip(("sheet", "left", "top"), thumbnails, strict=True))
        tooltip = _thumbnail_html(side) + tooltip
    plot = _figure("", "", tools="pan,box_zoom,reset,save")
    plot.add_tools(WheelZoomTool())
    marks = plot.scatter(
        "x",
        "y",
        source=ColumnDataSource(values),
        marker="mark",
        color="colour",
        size=float(np.clip(220 / np.sqrt(len(labels)), 3.0, 9.0)),
        fill_alpha=0.75,
        line_alpha=0.0,
    )
    _hover(plot, marks, tooltip)
    _name_clusters(plot, places, labels)
    plot.axis.visible = False
    plot.grid.visible = False
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
    tooltip = _line("number", "eigenvalue") + _line("value", "value", "{0.000000}")
    plot = _figure("number", "eigenvalue")
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
    _hover(plot, dots, tooltip)
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
    tooltip = _line("class", "known class") + _line("cluster") + _line("count", "rows", "{0,0}")
    tooltip += _line("share", "of the class", "{0.0%}")
    plot = _figure("cluster", "known class")
    cells = plot.rect(
        "column", "row", 1, 1, source=source, color=COLOURS[0], fill_alpha="strength",
        line_color=GRID,
    )  # fmt: skip
    _hover(plot, cells, tooltip)
    if counts.size <= 400:
        filled = np.flatnonzero(counts.ravel())
        plot.text(
            column[filled], row[filled], [str(c) for c in counts.ravel()[filled]],
            text_align="center", text_baseline="middle", text_font_size="11px",
            text_color=INK, name="ink",
        )  # fmt: skip
    _name_ticks(plot.xaxis, cluster_names)
    _name_ticks(plot.yaxis, class_names)
    plot.x_range.range_padding = plot.y_range.range_padding = 0
    plot.y_range.flipped = True
    plot.grid.visible = False
    return cast("Figure", plot)


def _figure(x_label: str, y_label: str, *, tools: str = "save") -> Any:
    """Make an empty figure of the house's look; nothing in it catches a scroll or a swipe."""
    from bokeh.models import NoOverlap
    from bokeh.plotting import figure

    plot = figure(
        sizing_mode="stretch_both",
        tools=tools,
        active_drag=None,
        active_scroll=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        x_axis_label=x_label or None,
        y_axis_label=y_label or None,
        toolbar_location="above",
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = False
    plot.grid.grid_line_color = GRID
    for axis in plot.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_line_color = axis.major_tick_line_color = GRID
        axis.minor_tick_line_color = None
        axis.major_label_text_font_size = "12px"
        # On a phone there is no room for all of them.
        axis.major_label_policy = NoOverlap()
    return plot


def _hover(plot: Any, marks: Any, content: str) -> None:
    """Show `content` for the mark under the pointer."""
    from bokeh.models import HoverTool

    box = f'<div style="max-width:18rem;overflow-wrap:anywhere">{content}</div>'
    plot.add_tools(HoverTool(renderers=[marks], tooltips=box, visible=False))


def _line(column: str, label: str = "", form: str = "") -> str:
    """One line of a hover; Bokeh puts the value in as text, never as markup."""
    return f"<div><b>{label or column}</b> @{{{column}}}{form}</div>"


def _thumbnail_html(side: int) -> str:
    shown = max(side, 32)
    return (
        f'<div style="width:{side}px;height:{side}px;zoom:{max(1.0, 64 / shown):.2f};'
        "background-image:var(--sheet-@{sheet});"
        'background-position:-@{left}px -@{top}px"></div>'
    )


def _name_clusters(
    plot: Any, places: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]
) -> None:
    """Write each cluster's number at the drawn row nearest to the middle of its marks."""
    present = np.unique(labels)
    spots = []
    for cluster in present:
        own = places[labels == cluster]
        middle = np.median(own, axis=0)
        spots.append(own[np.argmin(np.sum((own - middle) ** 2, axis=1))])
    where = np.asarray(spots)
    plot.text(
        where[:, 0], where[:, 1], [str(cluster) for cluster in present],
        text_align="center", text_baseline="middle", text_font={"value": "sans-serif"},
        text_font_style="bold",
        text_font_size="13px" if len(present) <= EVERY_TICK else "10px",
        text_color=INK, background_fill_color="white", background_fill_alpha=0.85, padding=3,
        border_radius=4, border_line_color=[colour_of(int(cluster)) for cluster in present],
        name="label",
    )  # fmt: skip


def _ticks(count: int) -> Any:
    from bokeh.models import BasicTicker

    if count <= EVERY_TICK:
        return list(range(count))
    return BasicTicker(min_interval=1, num_minor_ticks=0)


def _name_ticks(axis: Any, names: Sequence[str]) -> None:
    step = -(-len(names) // EVERY_TICK)
    axis.ticker = list(range(0, len(names), step))
    axis.major_label_overrides = {i: _short(str(names[i])) for i in range(0, len(names), step)}


def _short(name: str, limit: int = 16) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def _thousands() -> Any:
    from bokeh.models import NumeralTickFormatter

    return NumeralTickFormatter(format="0,0")
