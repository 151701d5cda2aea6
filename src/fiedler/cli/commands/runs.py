"""Commands on what earlier runs have left: info, report, compare, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fiedler.cli import options as o
from fiedler.cli.outcome import ending
from fiedler.cli.terminal import Terminal

# What `fiedler.cli.export` knows; named here so that the help need not import it.
EXPORT_FORMATS = ("links", "copies", "onnx")

Run = Annotated[Path, typer.Argument(help="Run folder.")]


def info(
    path: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    json: o.Json = False,
) -> None:
    """Describe a run folder or a model file.

    For example: `fiedler info run/`
    """
    terminal = Terminal(json=json)
    with ending(terminal):
        from fiedler.cli.info import info as work

        work(path, terminal)


def report(
    run: Run,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Page to write.  [RUN/report.html]")
    ] = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Build the report of a run again, from its model and its input; nothing is fitted.

    For example: `fiedler report run/ --output page.html`
    """
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal):
        from fiedler.cli.reporting import report as work

        work(run, output, terminal)


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another one, on the same rows.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Table to write of the rows that moved.")
    ] = None,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Say how far two runs agree, and which rows moved between clusters.

    For example: `fiedler compare run/ other-run/ --output moved.csv`
    """
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal):
        from fiedler.cli.compare import compare as work

        work(first, second, output, terminal, overwrite=overwrite)


def export(
    run: Run,
    output: Annotated[Path, typer.Argument(help="Folder (links, copies) or file (onnx) to make.")],
    form: Annotated[
        str,
        o.one_of(
            EXPORT_FORMATS,
            "--as",
            help="links or copies: every file in a folder of its cluster; onnx: the network.",
        ),
    ] = "links",
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Sort the files of a run into a folder for each cluster, or write its network as ONNX.

    For example:

    - `fiedler export run/ sorted/ --as links`

    - `fiedler export run/ network.onnx --as onnx`
    """
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal):
        from fiedler.cli.export import export as work

        work(run, output, form, terminal, overwrite=overwrite)


COMMANDS = (info, report, compare, export)
