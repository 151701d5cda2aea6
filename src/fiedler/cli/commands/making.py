"""Commands that compute: cluster, predict, demo, plan, benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fiedler.cli import options as o
from fiedler.cli.methods import AUTO, METHODS
from fiedler.cli.outcome import ending
from fiedler.cli.terminal import Terminal


def cluster(
    source: o.Source,
    output: o.Output,
    clusters: o.Clusters = AUTO,
    method: o.MethodName = AUTO,
    encoder: o.EncoderName = "pixels",
    encoder_weights: o.EncoderWeights = None,
    encoder_scale: o.Normalize = o.NormalizeName.AUTO,
    size: o.Size = None,
    mode: o.Mode = None,
    column: o.Column = None,
    columns: o.Columns = None,
    standardize: o.Standardize = False,
    upright: o.Upright = False,
    gradients: o.Gradients = None,
    labels_from: o.LabelsFrom = None,
    affinity: o.Affinity = None,
    neighbors: o.Neighbors = None,
    laplacian: o.Laplacian = None,
    solver: o.Solver = None,
    components: o.Components = None,
    assign: o.Assign = None,
    set_parameters: o.SetParameters = None,
    seed: o.Seed = 0,
    resume: o.Resume = False,
    skip_unreadable: o.Skip = False,
    overwrite: o.Overwrite = False,
    force: o.Force = False,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Cluster INPUT and write a run folder: labels, embedding, model, record, report.

    For example:

    - `fiedler cluster photos/ --clusters auto --size 64x64 --output run/`

    - `fiedler cluster photos/ -k 10 --encoder resnet50 --labels-from folder -o run/`

    - `fiedler cluster table.csv --columns height,weight -k 5 -o run/`

    - `fiedler cluster mails.jsonl --column body -o run/`

    - `fiedler cluster dataset:mnist/test -k 10 -o run/`
    """
    chosen = o.settings(
        clusters, method, seed, set_parameters,
        affinity=affinity, neighbors=neighbors, laplacian=laplacian, solver=solver,
        n_components=components, assign=assign,
    )  # fmt: skip
    opening = o.opening(
        size=size, mode=mode, column=column, columns=columns, labels_from=labels_from,
        skip_unreadable=skip_unreadable, standardize=standardize, upright=upright,
        gradients=gradients,
        encoder=o.encoder_choice(encoder, encoder_weights, encoder_scale),
    )  # fmt: skip
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal, _log_beside(output), kept=_kept(resume)):
        from fiedler.cli.cluster import Request
        from fiedler.cli.cluster import cluster as work

        request = Request(source, chosen, opening)
        work(request, output, terminal, overwrite=overwrite, force=force, resume=resume)


def _log_beside(output: Path) -> Path | None:
    return output.with_name(f"{output.name}.error.log") if output.name else None


def _kept(resume: bool) -> str:
    if resume:
        return "what was done is kept: the same command goes on from there"
    return "nothing was written"


def predict(
    model: Annotated[Path, typer.Argument(help="Run folder, or its model.fiedler.")],
    source: Annotated[
        str, typer.Argument(metavar="NEW", help="New rows, of the same sort as the run's input.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Table to write.  [default: stdout]")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="The run's encoder, where it is code or its file lies elsewhere now."),
    ] = None,
    encoder_weights: o.EncoderWeights = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where the model runs: auto, cpu, cuda, mps.  [where it was made]"),
    ] = None,
    skip_unreadable: o.Skip = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Assign NEW rows to the clusters of an earlier run; nothing is fitted again.

    For example: `fiedler predict run/ new_photos/ --output new.csv`
    """
    chosen = o.encoder_choice(encoder or "pixels", encoder_weights, o.NormalizeName.AUTO)
    opening = o.opening(skip_unreadable=skip_unreadable, encoder=chosen)
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal):
        from fiedler.cli.predict import predict as work

        work(model, source, output, terminal, overwrite=overwrite, opening=opening, device=device)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder.")] = Path("demo-run"),
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the report.")] = False,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Cluster real handwritten digits and write a report to look at.

    MNIST's test digits are used where they lie on this machine (FIEDLER_DATA or the cache), else
    the 1,797 digits that come with scikit-learn.
    """
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal, _log_beside(output)):
        from fiedler.cli.demo import demo as work

        work(output, terminal, open_report=show)


def plan(
    rows: Annotated[int, typer.Argument(min=1, metavar="N", help="Number of rows.")],
    features: Annotated[int, typer.Argument(min=1, metavar="D", help="Numbers in a row.")],
    clusters: o.Clusters = AUTO,
    method: Annotated[str, o.one_of(tuple(METHODS), "--method", help="Method.")] = "spectral",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW", callback=o.size_option, help="The rows are images of height x width."
        ),
    ] = None,
    affinity: o.Affinity = None,
    neighbors: o.Neighbors = None,
    solver: o.Solver = None,
    components: o.Components = None,
    set_parameters: o.SetParameters = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Estimate time and memory of a run before starting it.

    For example:

    - `fiedler plan 2000000 784 --clusters 10`

    - `fiedler plan 70000 784 --method sanet --size 28x28`

    - `fiedler plan 20000 50 --solver dense`

    - `fiedler plan 60000 3072 --method sanet --size 32x32 --set layers=natural`
    """
    chosen = o.settings(
        clusters, method, 0, set_parameters,
        affinity=affinity, neighbors=neighbors, solver=solver, n_components=components,
    )  # fmt: skip
    shape: tuple[int, ...] = (rows, features)
    if size is not None:
        height, width = o.sides(size)
        if features % (height * width):
            raise typer.BadParameter(f"{features} numbers are no images of {size} pixels.")
        shape = (rows, height, width, features // (height * width))
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal):
        from fiedler.cli.info import plan as work

        work(shape, chosen, terminal)


def benchmark(
    source: o.Source,
    methods: Annotated[
        str, typer.Option(metavar="A,B,...", help=f"Of {', '.join(METHODS)}, kmeans.  [all]")
    ] = "",
    clusters: Annotated[
        int | None,
        typer.Option("--clusters", "-k", min=1, help="Number of clusters.  [known classes]"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each method.")] = 3,
    encoder: o.EncoderName = "pixels",
    encoder_weights: o.EncoderWeights = None,
    encoder_scale: o.Normalize = o.NormalizeName.AUTO,
    size: o.Size = None,
    mode: o.Mode = None,
    column: o.Column = None,
    columns: o.Columns = None,
    standardize: o.Standardize = False,
    upright: o.Upright = False,
    gradients: o.Gradients = None,
    labels_from: o.LabelsFrom = None,
    skip_unreadable: o.Skip = False,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Compare methods on INPUT with known classes: accuracy, NMI, ARI, F and time.

    For example:

    - `fiedler benchmark dataset:usps --methods spectral,kmeans`

    - `fiedler benchmark table.csv --labels-from species`
    """
    opening = o.opening(
        size=size, mode=mode, column=column, columns=columns, labels_from=labels_from,
        skip_unreadable=skip_unreadable, standardize=standardize, upright=upright,
        gradients=gradients,
        encoder=o.encoder_choice(encoder, encoder_weights, encoder_scale),
    )  # fmt: skip
    allowed = (*METHODS, "kmeans")
    chosen = methods.split(",") if methods else list(allowed)
    for name in chosen:
        if name not in allowed:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(allowed)}.")
    terminal = Terminal(quiet=quiet, json=json)
    with ending(terminal):
        from fiedler.cli.benchmark import benchmark as work

        work(source, opening, clusters, chosen, seeds, terminal)


COMMANDS = (cluster, predict, demo, plan, benchmark)
