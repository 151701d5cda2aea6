"""Writing the page: what is shown, put into one file that needs no other."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fiedler
from fiedler.exceptions import OutputError
from fiedler.report import sections
from fiedler.report.cards import SHOWN_CLUSTERS, describe_clusters, make_cards
from fiedler.report.map_section import draw_map
from fiedler.report.phases import phase_sections
from fiedler.report.pictures import SpriteSheets

if TYPE_CHECKING:
    from fiedler.report.data import ReportData

# Of level 9 a page is a tenth smaller and takes ten times as long.
_COMPRESSION = 5


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

    content, plots, sheets = _content(data)
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
        **content,
        version=fiedler.__version__,
        policy=_policy(scripts),
        style=Markup(_resource("report.css") + _sheet_style(sheets)),
        figures=_packed(plots),
        scripts=[Markup(script) for script in scripts],
    )


def _content(data: ReportData) -> tuple[dict[str, Any], dict[str, Any], SpriteSheets | None]:
    """What the template says, the figures by name, and the pictures of the map."""
    k = int(np.max(data.labels)) + 1
    counts = np.bincount(data.labels, minlength=k)
    clusters = describe_clusters(data, counts)
    drawn = draw_map(data, np.random.default_rng(0))
    parts: dict[str, Any] = {
        "sizes": sections.sizes(counts),
        "eigenvalues": sections.eigenvalues(data, k),
        "eigenvectors": sections.eigenvectors(data),
        "affinity": sections.affinity(data),
        "confusion": sections.confusion(data),
        **{f"history{i}": part for i, part in enumerate(sections.history(data))},
        **{f"phase{i}": part for i, part in enumerate(phase_sections(data))},
    }
    parts = {name: part for name, part in parts.items() if part is not None}
    plots = {"map": drawn.figure, **{name: part["figure"] for name, part in parts.items()}}
    content = {
        "title": data.title,
        "summary": sections.summary(data, counts),
        "how": data.how,
        "notes": data.notes,
        "kind": data.kind,
        "has_known": data.known is not None,
        "has_pictures": data.pictures is not None,
        "clusters": clusters,
        "cards": make_cards(data, clusters),
        "clusters_left_out": max(0, int(np.sum(counts > 0)) - SHOWN_CLUSTERS),
        "map_text": drawn.text,
        "map_columns": drawn.columns,
        "side": drawn.sheets.side if drawn.sheets else 0,
        "parts": parts,
        "galleries": [sections.gallery(found) for found in data.galleries],
        "agreement": data.agreement,
        "rounds": data.phases.rounds if data.phases else (),
        "metrics": data.metrics,
        "timings": data.timings,
        "total_time": sum(data.timings.values()),
        "parameters": data.parameters,
    }
    return content, plots, drawn.sheets


def _packed(plots: dict[str, Any]) -> str:
    """Figures as compressed JSON in base64, which holds nothing that could end its element."""
    from bokeh.embed import json_item

    text = json.dumps({name: json_item(plot) for name, plot in plots.items()}, allow_nan=False)
    # The names of files may hold bytes that are no text.
    data = text.encode("utf-8", "replace")
    return base64.b64encode(gzip.compress(data, _COMPRESSION, mtime=0)).decode("ascii")


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
