"""The map with all that belongs to it: which rows are drawn, where, and with which pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiedler.report import layout
from fiedler.report.cards import snippet
from fiedler.report.map_figure import cluster_map
from fiedler.report.pictures import SpriteSheets, sprite_sheets

if TYPE_CHECKING:
    from fiedler.report.data import ReportData

MAP_POINTS = 70_000
# Pictures that must be decoded from files for the hover; those in memory are shown at every mark.
LAZY_THUMBNAILS = 4_000
HOVER_SNIPPET = 100
HOVER_NAME = 120


@dataclass(frozen=True)
class MapSection:
    """The drawn map.

    Attributes
    ----------
    figure : bokeh.plotting.figure
    sheets : SpriteSheets, optional
        Pictures of its rows.
    columns : list of str
        What is told of each row, in the order of the figure's columns ``field0``, ``field1``, ...
    text : str
        What it shows, in a sentence.
    """

    figure: Any
    sheets: SpriteSheets | None
    columns: list[str]
    text: str


def draw_map(data: ReportData, rng: np.random.Generator) -> MapSection:
    """Draw the map of at most `MAP_POINTS` rows."""
    n = len(data.labels)
    chosen = layout.sample_rows(data.labels, MAP_POINTS, rng)
    rows = chosen.tolist()
    places = layout.lay_out(np.asarray(data.embedding)[chosen], rng)
    columns: dict[str, list[str]] = {"row": [_cut_front(str(data.ids[i])) for i in rows]}
    if data.known is not None:
        columns["known class"] = [str(data.known[i]) for i in rows]
    if data.texts is not None:
        columns["text"] = [snippet(data.texts[i], HOVER_SNIPPET) for i in rows]
    sheets, corners = _pictures(data.pictures, chosen, rng)
    plot = cluster_map(places, data.labels[chosen], columns, corners, sheets.side if sheets else 0)
    shown = f"{len(rows):,} of the {n:,}" if len(rows) < n else f"All {n:,}"
    text = f"{shown} {data.kind}, coloured and numbered by cluster."
    return MapSection(plot, sheets, list(columns), text)


def _pictures(
    pictures: Any, chosen: NDArray[np.integer[Any]], rng: np.random.Generator
) -> tuple[SpriteSheets | None, tuple[NDArray[np.int32], ...] | None]:
    """Thumbnails of the chosen rows, and where each lies in the sheets (sheet -1: none)."""
    if pictures is None:
        return None, None
    count = len(chosen)
    pictured = np.arange(count)
    cheap = isinstance(pictures, np.ndarray) or getattr(pictures, "in_memory", False)
    if not cheap and count > LAZY_THUMBNAILS:
        pictured = np.sort(rng.choice(count, LAZY_THUMBNAILS, replace=False))
    sheets = sprite_sheets((pictures[int(chosen[i])] for i in pictured), len(pictured))
    corners = tuple(np.full(count, -1, dtype=np.int32) for _ in range(3))
    places = SpriteSheets.place(np.arange(len(pictured)), sheets.side)
    for corner, values in zip(corners, places, strict=True):
        corner[pictured] = values
    return sheets, corners


def _cut_front(name: str) -> str:
    """The end of a long path, which tells more than its beginning."""
    return name if len(name) <= HOVER_NAME else "…" + name[1 - HOVER_NAME :]
