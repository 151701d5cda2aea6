"""The map: a mark for each row, in the colour of its cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from fiedler.report.drawing import EVERY_TICK, INK, add_hover, hover_line, new_figure
from fiedler.report.palette import COLOURS, colour_of, mark_of

if TYPE_CHECKING:
    from bokeh.plotting import figure as Figure

# While the map is dragged or zoomed, only about so many marks are drawn, so that it keeps up.
STILL_MARKS = 4000


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
    from bokeh.models import ColumnDataSource

    # Names of our own, so that no caller's column can hide another.
    shown = {f"field{i}": name for i, name in enumerate(columns)}
    values: dict[str, Any] = {
        "x": places[:, 0].astype(np.float32),
        "y": places[:, 1].astype(np.float32),
        "cluster": labels.astype(np.int32),
        **{key: [str(text) for text in columns[name]] for key, name in shown.items()},
    }
    tooltip = hover_line("cluster")
    tooltip += "".join(hover_line(key, name) for key, name in shown.items())
    if thumbnails is not None:
        values |= dict(zip(("sheet", "left", "top"), thumbnails, strict=True))
        look = "display:flex;gap:8px;padding:3px 0"
        tooltip = f'<div style="{look}">{_thumbnail_html(side)}<div>{tooltip}</div></div>'
    if int(labels.max()) >= len(COLOURS):
        values["mark"] = [mark_of(int(label)) for label in labels]
    plot = new_figure("", "", tools="pan,box_zoom,tap,reset,save")
    plot.lod_threshold, plot.lod_factor = STILL_MARKS, -(-len(labels) // STILL_MARKS)
    marks = _draw_marks(plot, ColumnDataSource(values, name="rows"), labels)
    add_hover(plot, marks, tooltip, most=2)
    _name_clusters(plot, places, labels)
    plot.axis.visible = False
    plot.grid.visible = False
    return cast("Figure", plot)


def _draw_marks(plot: Any, source: Any, labels: NDArray[np.integer[Any]]) -> Any:
    """Draw the marks, grey ghosts of them for when a cluster is isolated, and a ring for a find.

    The page finds them by their names: "marks", "ghosts", "found".
    """
    from bokeh.models import (
        BooleanFilter,
        CDSView,
        ColumnDataSource,
        LinearColorMapper,
        WheelZoomTool,
    )

    plot.add_tools(WheelZoomTool())
    k = int(labels.max()) + 1
    palette = [colour_of(cluster) for cluster in range(k)]
    mapper = LinearColorMapper(palette=palette, low=-0.5, high=k - 0.5)
    size = float(np.clip(220 / np.sqrt(len(labels)), 2.5, 9.0))
    ghosts = plot.scatter(
        "x", "y", source=source, size=size, color=INK, fill_alpha=0.12, line_alpha=0.0,
        visible=False, name="ghosts",
    )  # fmt: skip
    marks = plot.scatter(
        "x", "y", source=source, view=CDSView(filter=BooleanFilter()), size=size,
        marker="mark" if "mark" in source.data else "circle",
        color={"field": "cluster", "transform": mapper},
        fill_alpha=0.75, line_alpha=0.0, name="marks",
    )  # fmt: skip
    for drawn in (ghosts, marks):
        drawn.selection_glyph = drawn.nonselection_glyph = None
    plot.scatter(
        "x", "y", source=ColumnDataSource({"x": [], "y": []}), size=22, fill_alpha=0.0,
        line_color=INK, line_width=3, name="found",
    )  # fmt: skip
    return marks


def _thumbnail_html(side: int) -> str:
    # Small pictures are enlarged, pixel by pixel.
    return (
        f'<div style="width:{side}px;height:{side}px;flex:none;zoom:{max(1.0, 64 / side):.2f};'
        f"image-rendering:{'pixelated' if side < 32 else 'auto'};"
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
