"""What every figure shares: an empty figure of the house's look, hovers, ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

INK = "#767676"
GRID = "rgba(128, 128, 128, 0.22)"
# Beyond this many bars or cells the axis shows only some of the numbers.
EVERY_TICK = 40


def new_figure(x_label: str, y_label: str, *, tools: str = "save") -> Any:
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


def add_hover(plot: Any, marks: Any, content: str, most: int | None = None) -> None:
    """Show `content` for each mark under the pointer, of `most` of them at most."""
    from bokeh.models import HoverTool

    box = f'<div style="max-width:18rem;overflow-wrap:anywhere">{content}</div>'
    plot.add_tools(HoverTool(renderers=[marks], tooltips=box, visible=False, limit=most))


def hover_line(column: str, label: str = "", form: str = "") -> str:
    """One line of a hover; Bokeh puts the value in as text, never as markup."""
    return f"<div><b>{label or column}</b> @{{{column}}}{form}</div>"


def number_ticks(count: int) -> Any:
    """Ticks at whole numbers, each of them where there is room."""
    from bokeh.models import BasicTicker

    if count <= EVERY_TICK:
        return list(range(count))
    return BasicTicker(min_interval=1, num_minor_ticks=0)


def name_ticks(axis: Any, names: Sequence[str]) -> None:
    """Write names at whole numbers of an axis."""
    step = -(-len(names) // EVERY_TICK)
    axis.ticker = list(range(0, len(names), step))
    axis.major_label_overrides = {i: short(str(names[i])) for i in range(0, len(names), step)}


def short(name: str, limit: int = 16) -> str:
    """Return a name, cut where it is too long."""
    return name if len(name) <= limit else name[: limit - 1] + "…"


def thousands() -> Any:
    """Numbers on an axis as 12,345."""
    from bokeh.models import NumeralTickFormatter

    return NumeralTickFormatter(format="0,0")
