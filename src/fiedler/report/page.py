"""Writing the page: choose what is shown, draw it, put everything into one file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fiedler
from fiedler.exceptions import OutputError
from fiedler.report import figures, layout
from fiedler.report.palette import colour_of
from fiedler.report.pictures import SpriteSheets, example_side, png_uri, sprite_sheets, thumbnail

if TYPE_CHECKING:
    from fiedler.report.data import ReportData

Ints = NDArray[np.integer[Any]]

MAP_POINTS = 20_000
# Pictures that must be decoded from files for the hover; arrays in memory show one at every point.
LAZY_THUMBNAILS = 4_000
SHOWN_CLUSTERS = 100
TYPICAL, DOUBTFUL = 8, 4
SNIPPET, HOVER_SNIPPET = 180, 100
# A larger confusion table is a figure only: nobody reads ten thousand numbers.
TABLE_CELLS = 2_500


def write_report(path: str | os.PathLike[str], data: ReportData) -> None:
    """Write one self-contained HTML page; nothing is left at `path` when that fails.

    The same data give the same page but for the ids inside the figures.

    Parameters
    ----------
    path : path-like
        Replaced if it exists.
    data : ReportData

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    target = Path(path)
    page = render(data)
    part = target.with_name(f".{target.name}.part{os.getpid()}")
    try:
        # Names of files may hold bytes that are no text.
        part.write_text(page, encoding="utf-8", errors="replace")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"The report cannot be written to {target}: {error.strerror or error}. "
            "Choose a folder that exists, can be written to, and has room."
        ) from error


def render(data: ReportData) -> str:
    """Return the page as text.

    Parameters
    ----------
    data : ReportData

    Returns
    -------
    str
        HTML with all styles, scripts and pictures inside.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    rng = np.random.default_rng(0)
    k = int(np.max(data.labels)) + 1
    counts = np.bincount(data.labels, minlength=k)
    clusters = _describe_clusters(data, counts)
    drawn, sheets, map_text = _map_figure(data, rng)
    plots = {"map": drawn, "sizes": figures.size_chart(counts)}
    if data.eigenvalues is not None and len(data.eigenvalues) > 0:
        plots["eigenvalues"] = figures.eigenvalue_chart(data.eigenvalues, k)
    if data.confusion is not None:
        plots["confusion"] = figures.confusion_chart(
            data.confusion, data.class_names, data.cluster_names
        )
    scripts = [*_bokeh_scripts(), _resource("report.js")]
    scripts = [script.replace("</script", "<\\/script") for script in scripts]
    environment = Environment(
        loader=PackageLoader("fiedler.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title=data.title,
        summary=_summary(data, counts),
        notes=data.notes,
        kind=data.kind,
        has_known=data.known is not None,
        has_pictures=data.pictures is not None,
        clusters=clusters,
        examples=_examples(data, clusters),
        clusters_left_out=max(0, int(np.sum(counts > 0)) - SHOWN_CLUSTERS),
        map_text=map_text,
        sizes_text=_sizes_text(counts),
        eigenvalues=[] if data.eigenvalues is None else [float(v) for v in data.eigenvalues],
        eigen_text=_eigen_text(data, k),
        metrics=data.metrics,
        has_confusion=data.confusion is not None,
        confusion_text=_confusion_text(data),
        confusion_rows=_confusion_rows(data),
        cluster_names=data.cluster_names,
        galleries=_galleries(data),
        agreement=data.agreement,
        timings=data.timings,
        total_time=sum(data.timings.values()),
        parameters=data.parameters,
        version=fiedler.__version__,
        policy=_policy(scripts),
        style=Markup(_resource("report.css") + _sheet_style(sheets)),
        figures=Markup(_as_json(plots)),
        scripts=[Markup(script) for script in scripts],
    )


def _map_figure(data: ReportData, rng: np.random.Generator) -> tuple[Any, SpriteSheets | None, str]:
    """Draw the map of at most `MAP_POINTS` rows; return it, its pictures and its description."""
    n = len(data.labels)
    chosen = layout.sample_rows(data.labels, MAP_POINTS, rng)
    rows = chosen.tolist()
    places = layout.lay_out(np.asarray(data.embedding)[chosen], rng)
    columns: dict[str, list[str]] = {"row": [str(data.ids[i]) for i in rows]}
    if data.known is not None:
        columns["known class"] = [str(data.known[i]) for i in rows]
    if data.texts is not None:
        columns["text"] = [_snippet(data.texts[i], HOVER_SNIPPET) for i in rows]
    sheets, corners = None, None
    if data.pictures is not None:
        pictured = np.arange(len(rows))
        if not isinstance(data.pictures, np.ndarray) and len(rows) > LAZY_THUMBNAILS:
            pictured = np.sort(rng.choice(len(rows), LAZY_THUMBNAILS, replace=False))
        sheets = sprite_sheets((data.pictures[rows[i]] for i in pictured), len(pictured))
        corners = tuple(np.full(len(rows), -1, dtype=np.int32) for _ in range(3))
        places_in_sheets = SpriteSheets.place(np.arange(len(pictured)), sheets.side)
        for corner, values in zip(corners, places_in_sheets, strict=True):
            corner[pictured] = values
    plot = figures.cluster_map(
        places, data.labels[chosen], columns, corners, sheets.side if sheets else 0
    )
    shown = f"{len(rows):,} of the {n:,}" if len(rows) < n else f"All {n:,}"
    text = f"{shown} {data.kind}, coloured and numbered by cluster."
    return plot, sheets, text


def _describe_clusters(data: ReportData, counts: Ints) -> list[dict[str, Any]]:
    """Facts of each cluster, in the order of their numbers."""
    described = []
    for cluster, size in enumerate(counts):
        common, share = None, 0.0
        if data.known is not None and size:
            members = np.flatnonzero(data.labels == cluster).tolist()
            common, times = Counter(str(data.known[i]) for i in members).most_common(1)[0]
            share = times / int(size)
        described.append(
            {
                "number": cluster,
                "size": int(size),
                "share": int(size) / int(counts.sum()),
                "colour": colour_of(cluster),
                "common": common,
                "common_share": share,
            }
        )
    return described


def _examples(data: ReportData, clusters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Typical and doubtful rows of the largest clusters."""
    shown = sorted((c for c in clusters if c["size"]), key=lambda c: -c["size"])[:SHOWN_CLUSTERS]
    distances = layout.distance_to_centre(data.embedding, data.labels)
    side = example_side(len(shown) * (TYPICAL + DOUBTFUL))
    typical, doubtful = (TYPICAL, DOUBTFUL) if data.pictures is not None else (4, 2)
    described = []
    for cluster in sorted(shown, key=lambda c: int(c["number"])):
        members = np.flatnonzero(data.labels == cluster["number"])
        near, far = layout.pick_examples(distances, members, typical, doubtful)
        groups = [
            {"name": name, "rows": [_example(data, int(i), side) for i in rows]}
            for name, rows in (("Typical", near), ("Doubtful", far))
        ]
        described.append({**cluster, "groups": groups})
    return described


def _example(data: ReportData, row: int, side: int) -> dict[str, Any]:
    picture = None
    if data.pictures is not None:
        picture = png_uri(thumbnail(data.pictures[row], side))
    return {
        "id": str(data.ids[row]),
        "known": None if data.known is None else str(data.known[row]),
        "text": None if data.texts is None else _snippet(data.texts[row], SNIPPET),
        "picture": picture,
    }


def _galleries(data: ReportData) -> list[dict[str, Any]]:
    """Pictures of each gallery, small enough that all of them fit into the page."""
    side = example_side(sum(len(gallery.pictures) for gallery in data.galleries))
    return [
        {
            "title": gallery.title,
            "text": gallery.text,
            "pictures": [png_uri(thumbnail(_stretched(p), side)) for p in gallery.pictures],
        }
        for gallery in data.galleries
    ]


def _stretched(picture: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers from their smallest to their largest value as 0 to 1; other channels left out."""
    values = np.asarray(picture, dtype=np.float64)
    if values.ndim == 3 and values.shape[2] not in (1, 3):
        values = values[:, :, 0]
    low, high = float(values.min()), float(values.max())
    scaled: NDArray[np.float64] = (values - low) / max(high - low, 1e-12)
    return scaled


def _snippet(text: str, limit: int) -> str:
    """The beginning of a text on one line."""
    words = " ".join(str(text[: 4 * limit]).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _summary(data: ReportData, counts: Ints) -> str:
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


def _sizes_text(counts: Ints) -> str:
    return (
        f"{int(np.sum(counts > 0))} clusters; the largest is number {int(np.argmax(counts))} with "
        f"{int(counts.max()):,} rows, the median holds {int(np.median(counts)):,}."
    )


def _eigen_text(data: ReportData, k: int) -> str:
    values = data.eigenvalues
    if values is None or len(values) == 0:
        return ""
    text = f"The {len(values)} smallest eigenvalues of the Laplacian."
    if len(values) > k:
        text += (
            f" The band marks the gap after the {k} clusters: from {values[k - 1]:.4f} to "
            f"{values[k]:.4f}, a step of {values[k] - values[k - 1]:.4f}."
        )
    return text


def _confusion_text(data: ReportData) -> str:
    if data.confusion is None:
        return ""
    classes, clusters = data.confusion.shape
    return (
        f"How many rows of each of the {classes} known classes went into each of the {clusters} "
        "clusters; matched pairs lie on the diagonal, and a stronger cell holds more of its class."
    )


def _confusion_rows(data: ReportData) -> list[tuple[str, list[int]]]:
    if data.confusion is None or data.confusion.size > TABLE_CELLS:
        return []
    rows = ([int(count) for count in row] for row in data.confusion)
    return list(zip(map(str, data.class_names), rows, strict=True))


def _as_json(plots: dict[str, Any]) -> str:
    """Figures as JSON that cannot end the script element it stands in."""
    from bokeh.embed import json_item

    text = json.dumps({name: json_item(plot) for name, plot in plots.items()}, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _bokeh_scripts() -> list[str]:
    from bokeh.resources import Resources

    return list(Resources(mode="inline", components=["bokeh"], log_level="error").js_raw)


def _sheet_style(sheets: SpriteSheets | None) -> str:
    if sheets is None:
        return ""
    rules = "".join(f"--sheet-{i}:url({uri});" for i, uri in enumerate(sheets.uris))
    return f":root{{{rules}}}"


def _policy(scripts: list[str]) -> str:
    """Forbid every request, and every script but the page's own, whatever the data hold."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; "
        f"style-src 'unsafe-inline'; script-src {hashes}"
    )


def _resource(name: str) -> str:
    return (resources.files("fiedler.report") / "templates" / name).read_text(encoding="utf-8")
