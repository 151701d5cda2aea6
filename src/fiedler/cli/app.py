"""The commands and their options; what they do is in the module of the same name."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import fiedler
from fiedler.cli.methods import AffinityName, LabelSource, LaplacianName, Method, ModeName
from fiedler.cli.outcome import ExitCode, ending
from fiedler.cli.terminal import Terminal

app = typer.Typer(
    name="fiedler",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done, 1 fault of the program, 2 wrong usage, 3 bad input, 4 not enough "
        "memory, 5 output cannot be written, 130 interrupted. FIEDLER_DEBUG=1 shows tracebacks."
    ),
)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run wrote.")]
Skip = Annotated[
    bool, typer.Option("--skip-unreadable", help="Leave unreadable images out, with a warning.")
]


def run() -> None:
    """Run the command line and leave with its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def _terminate(number: int, frame: Any) -> None:
    """End on SIGTERM in good order, so that no half-written folder stays."""
    sys.exit(128 + number)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fiedler {fiedler.__version__}")
        raise typer.Exit


def _clusters(text: str) -> str:
    if text == "auto" or (text.isdecimal() and int(text) >= 1):
        return text
    raise typer.BadParameter(f"{text!r} is neither 'auto' nor a number of at least 1.")


def _refuse_foreign_options(method: Method, graph: dict[str, bool], layers: str | None) -> None:
    """Refuse options that the method does not have, rather than ignore them."""
    if method is Method.SANET and any(graph.values()):
        given = ", ".join(name for name, is_given in graph.items() if is_given)
        raise typer.BadParameter(f"{given} belongs to --method spectral; sanet has --layers.")
    if method is not Method.SANET and layers is not None:
        raise typer.BadParameter("--layers belongs to --method sanet.")


def _size(text: str | None) -> str | None:
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) == 2 and all(side.isdecimal() and int(side) > 0 for side in sides):
        return text
    raise typer.BadParameter(f"{text!r} is no size; write HEIGHTxWIDTH in pixels, such as 64x64.")


@app.callback()
def top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Deep spectral clustering: images, texts or vectors in; clusters and a report out."""


@app.command()
def cluster(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Folder of images or texts, .npy, .npz, .csv, .tsv, .parquet, .jsonl, .txt, or "
            "dataset:NAME.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to make.")],
    clusters: Annotated[
        str, typer.Option("--clusters", "-k", callback=_clusters, help="Number of clusters.")
    ] = "auto",
    method: Annotated[Method, typer.Option(help="Method.")] = Method.SPECTRAL,
    affinity: Annotated[AffinityName, typer.Option(help="How rows are linked.")] = AffinityName.KNN,
    neighbors: Annotated[
        int | None, typer.Option(min=1, help="Neighbours of each row (affinity knn).")
    ] = None,
    laplacian: Annotated[
        LaplacianName, typer.Option(help="Laplacian of the graph.")
    ] = LaplacianName.SYM,
    solver: Annotated[str, typer.Option(help="Eigensolver.")] = "auto",
    components: Annotated[
        int | None, typer.Option(min=1, help="Number of eigenvectors.  [default: as clusters]")
    ] = None,
    assign: Annotated[str, typer.Option(help="How eigenvectors become clusters.")] = "auto",
    layers: Annotated[
        str | None,
        typer.Option(help="Layers (method sanet): default, faces, natural, digits-paper, ..."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is random.")] = 0,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", callback=_size, help="Resize images to height x width."),
    ] = None,
    mode: Annotated[ModeName | None, typer.Option(help="Images grey (L) or in colour.")] = None,
    column: Annotated[str | None, typer.Option(help="Column or field that holds texts.")] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Numeric columns to use.  [default: all]")
    ] = None,
    labels_from: Annotated[
        LabelSource | None,
        typer.Option(help="Known classes to compare with: the subfolder of each file."),
    ] = None,
    skip_unreadable: Skip = False,
    overwrite: Overwrite = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start even if the memory seems not to suffice.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Cluster INPUT and write a run folder: labels, embedding, model, record, report.

    For example:

    - `fiedler cluster photos/ --clusters auto --size 64x64 --output run/`

    - `fiedler cluster table.csv --columns height,weight -k 5 -o run/`

    - `fiedler cluster mails.jsonl --column body -o run/`

    - `fiedler cluster dataset:mnist/test -k 10 -o run/`
    """
    if neighbors is not None and affinity is not AffinityName.KNN:
        raise typer.BadParameter("--neighbors belongs to --affinity knn.")
    _refuse_foreign_options(
        method,
        {
            "--affinity": affinity is not AffinityName.KNN,
            "--neighbors": neighbors is not None,
            "--laplacian": laplacian is not LaplacianName.SYM,
            "--solver": solver != "auto",
            "--components": components is not None,
        },
        layers,
    )
    if column is not None and columns is not None:
        raise typer.BadParameter("--column names texts and --columns numbers; give one of them.")
    terminal = Terminal(quiet=quiet, json=json)
    log = output.with_name(f"{output.name}.error.log") if output.name else None
    with ending(terminal, log):
        from fiedler.cli.cluster import cluster as work
        from fiedler.cli.inputs import Opening
        from fiedler.cli.methods import Settings

        opening = Opening(
            text_column=column,
            number_columns=None if columns is None else columns.split(","),
            size=None if size is None else _sides(size),
            mode=None if mode is None else mode.value,
            skip_unreadable=skip_unreadable,
            labels_from=None if labels_from is None else labels_from.value,
        )
        settings = Settings(
            clusters=None if clusters == "auto" else int(clusters),
            method=method,
            affinity=affinity,
            neighbors=neighbors,
            laplacian=laplacian,
            solver=solver,
            components=components,
            assign=assign,
            layers=layers or "default",
            seed=seed,
        )
        work(source, output, settings, opening, terminal, overwrite=overwrite, force=force)


def _sides(text: str) -> tuple[int, int]:
    height, width = text.lower().split("x")
    return int(height), int(width)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="model.fiedler of a run folder.")],
    source: Annotated[
        str, typer.Argument(metavar="NEW", help="New rows, of the same sort as the run's input.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Table to write.  [default: stdout]")
    ] = None,
    skip_unreadable: Skip = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Assign NEW rows to the clusters of an earlier run; nothing is fitted again.

    For example: `fiedler predict run/model.fiedler new_photos/ --output new.csv`
    """
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal):
        from fiedler.cli.predict import predict as work

        work(
            model,
            source,
            output,
            terminal,
            overwrite=overwrite,
            skip_unreadable=skip_unreadable,
        )


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    json: Json = False,
) -> None:
    """Describe a run folder or a model file.

    For example: `fiedler info run/`
    """
    terminal = Terminal(json=json)
    with ending(terminal):
        from fiedler.cli.info import info as work

        work(path, terminal)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder.")] = Path("demo-run"),
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the report.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Cluster real handwritten digits and write a report to look at.

    MNIST's test digits are used where they lie on this machine (FIEDLER_DATA or the cache), else
    the 1,797 digits that come with scikit-learn.
    """
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal, output.with_name(f"{output.name}.error.log") if output.name else None):
        from fiedler.cli.demo import demo as work

        work(output, terminal, open_report=show)


@app.command()
def plan(
    rows: Annotated[int, typer.Argument(min=1, metavar="N", help="Number of rows.")],
    features: Annotated[int, typer.Argument(min=1, metavar="D", help="Numbers in a row.")],
    clusters: Annotated[
        str, typer.Option("--clusters", "-k", callback=_clusters, help="Number of clusters.")
    ] = "auto",
    method: Annotated[Method, typer.Option(help="Method.")] = Method.SPECTRAL,
    json: Json = False,
) -> None:
    """Estimate time and memory of a run before starting it.

    For example: `fiedler plan 2000000 784 --clusters 10`
    """
    terminal = Terminal(json=json)
    with ending(terminal):
        from fiedler.cli.info import plan as work

        work(rows, features, None if clusters == "auto" else int(clusters), method, terminal)
