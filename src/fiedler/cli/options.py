"""The options that commands share, and what makes of them what the commands need."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from fiedler.cli.inputs import FOLDER, EncoderChoice, Opening
from fiedler.cli.methods import AUTO, METHODS, Settings, read_parameters
from fiedler.exceptions import InputError


class AffinityName(str, Enum):
    """Affinities by name."""

    KNN = "knn"
    SELF_TUNING = "self-tuning"
    EPSILON = "epsilon"
    GAUSSIAN = "gaussian"


class LaplacianName(str, Enum):
    """Laplacians by name."""

    SYM = "sym"
    RW = "rw"
    UNNORMALIZED = "unnormalized"


class ModeName(str, Enum):
    """Grey or colour."""

    L = "L"
    RGB = "RGB"


class NormalizeName(str, Enum):
    """How pixels are scaled for an encoder."""

    AUTO = "auto"
    IMAGENET = "imagenet"
    HALF = "half"
    UNIT = "unit"


def clusters_option(text: str) -> str:
    """Check ``--clusters``."""
    if text == AUTO or (text.isdecimal() and int(text) >= 1):
        return text
    raise typer.BadParameter(f"{text!r} is neither 'auto' nor a number of at least 1.")


def size_option(text: str | None) -> str | None:
    """Check ``--size``."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) == 2 and all(side.isdecimal() and int(side) > 0 for side in sides):
        return text
    raise typer.BadParameter(f"{text!r} is no size; write HEIGHTxWIDTH in pixels, such as 64x64.")


def sides(size: str) -> tuple[int, int]:
    """Height and width of a checked ``--size``."""
    height, width = size.lower().split("x")
    return int(height), int(width)


def one_of(names: Sequence[str], *flags: str, help: str, panel: str | None = None) -> Any:
    """An option that takes one of some names, which the shell completes."""

    def check(text: str) -> str:
        if text in names:
            return text
        raise typer.BadParameter(f"{text!r} is none of {', '.join(names)}.")

    return typer.Option(
        *flags,
        metavar="|".join(names),
        callback=check,
        autocompletion=lambda: list(names),
        help=help,
        rich_help_panel=panel,
    )


# Under which headings the help lists the options.
_INPUT, _METHOD = "How the input is read", "The method"


def _methods_help() -> str:
    listed = "; ".join(f"{name}: {spec.summary}" for name, spec in METHODS.items())
    return f"auto: by kind and size of the input; {listed}."


Source = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="Folder of images or texts, .npy, .npz, .csv, .tsv, .parquet, .jsonl, .txt, or "
        "dataset:NAME.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Run folder to make.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run wrote.")]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Keep what is done if interrupted, and go on from there."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Start even if the memory seems not to suffice.")
]
Skip = Annotated[
    bool,
    typer.Option(
        "--skip-unreadable",
        help="Leave unreadable images out, with a warning.",
        rich_help_panel=_INPUT,
    ),
]
Clusters = Annotated[
    str,
    typer.Option(
        "--clusters",
        "-k",
        callback=clusters_option,
        help="Number of clusters.",
        rich_help_panel=_METHOD,
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, max=2**32 - 1, help="Seed of all that is random.", rich_help_panel=_METHOD),
]
MethodName = Annotated[
    str, one_of((AUTO, *METHODS), "--method", help=_methods_help(), panel=_METHOD)
]
SetParameters = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other parameter of the method.",
        rich_help_panel=_METHOD,
    ),
]
Affinity = Annotated[
    AffinityName | None,
    typer.Option(help="How rows are linked.  [spectral: knn]", rich_help_panel=_METHOD),
]
Neighbors = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Neighbours of each row (affinity knn and self-tuning).",
        rich_help_panel=_METHOD,
    ),
]
Laplacian = Annotated[
    LaplacianName | None,
    typer.Option(help="Laplacian of the graph.  [spectral: sym]", rich_help_panel=_METHOD),
]
Solver = Annotated[
    str | None, typer.Option(help="Eigensolver.  [spectral: auto]", rich_help_panel=_METHOD)
]
Components = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of eigenvectors.  [default: by clusters]", rich_help_panel=_METHOD
    ),
]
Assign = Annotated[
    str | None,
    typer.Option(
        help="How eigenvectors become clusters.  [spectral: auto]", rich_help_panel=_METHOD
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        callback=size_option,
        help="Resize images to height x width.",
        rich_help_panel=_INPUT,
    ),
]
Mode = Annotated[
    ModeName | None, typer.Option(help="Images grey (L) or in colour.", rich_help_panel=_INPUT)
]
Column = Annotated[
    str | None, typer.Option(help="Column or field that holds texts.", rich_help_panel=_INPUT)
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...", help="Numeric columns to use.  [default: all]", rich_help_panel=_INPUT
    ),
]
Standardize = Annotated[
    bool,
    typer.Option(
        "--standardize",
        help="Give every numeric column of a table the same weight.",
        rich_help_panel=_INPUT,
    ),
]
Upright = Annotated[
    bool,
    typer.Option(
        "--upright",
        help="Shear images until what they show does not slant: for handwriting on dark ground.",
        rich_help_panel=_INPUT,
    ),
]
Gradients = Annotated[
    bool | None,
    typer.Option(
        "--gradients/--no-gradients",
        help="Compare images by the directions of their edges.  [images of --method spectral: yes]",
        rich_help_panel=_INPUT,
    ),
]
LabelsFrom = Annotated[
    str | None,
    typer.Option(
        metavar="folder|NAME",
        autocompletion=lambda: [FOLDER],
        help="Known classes to compare with: the subfolder of each file, or a column or field.",
        rich_help_panel=_INPUT,
    ),
]
EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="What makes rows of images: pixels, a timm model, a TorchScript (.pt) or .onnx file, "
        "or a Python function module:function (for texts too).",
        rich_help_panel=_INPUT,
    ),
]
EncoderWeights = Annotated[
    str | None,
    typer.Option(
        "--encoder-weights",
        help="Local file of a timm model's weights.  [its hub]",
        rich_help_panel=_INPUT,
    ),
]
Normalize = Annotated[
    NormalizeName,
    typer.Option(
        "--encoder-scale", help="How pixels are scaled for the encoder.", rich_help_panel=_INPUT
    ),
]


def encoder_choice(name: str, weights: str | None, scale: NormalizeName) -> EncoderChoice | None:
    """What the three options of the encoder ask for; None for pixels."""
    if name != "pixels":
        return EncoderChoice(name, weights, scale.value)
    if weights is not None or scale is not NormalizeName.AUTO:
        raise typer.BadParameter("--encoder-weights and --encoder-scale belong to an --encoder.")
    return None


def opening(
    *,
    size: str | None = None,
    mode: ModeName | None = None,
    column: str | None = None,
    columns: str | None = None,
    labels_from: str | None = None,
    skip_unreadable: bool = False,
    encoder: EncoderChoice | None = None,
    standardize: bool = False,
    upright: bool = False,
    gradients: bool | None = None,
) -> Opening:
    """How the user wants the input to be opened."""
    if column is not None and columns is not None:
        raise typer.BadParameter("--column names texts and --columns numbers; give one of them.")
    return Opening(
        text_column=column,
        number_columns=None if columns is None else _names(columns),
        size=None if size is None else sides(size),
        mode=None if mode is None else mode.value,
        skip_unreadable=skip_unreadable,
        labels_from=labels_from,
        encoder=encoder,
        standardize=standardize,
        upright=upright,
        gradients=gradients,
    )


def _names(columns: str) -> tuple[str, ...]:
    """Read the names of ``--columns``, without the blanks around them."""
    names = tuple(name.strip() for name in columns.split(","))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        wrong = f"names {', '.join(map(repr, twice))} twice" if twice else "holds an empty name"
        raise typer.BadParameter(f"--columns {columns!r} {wrong}; write each column once: A,B.")
    return names


# What one may set by an option, and its name among the parameters.
_OPTION_OF = {
    "affinity": "--affinity or --neighbors",
    "laplacian": "--laplacian",
    "solver": "--solver",
    "n_components": "--components",
    "assign": "--assign",
    "n_clusters": "--clusters",
    "random_state": "--seed",
}


def settings(
    clusters: str,
    method: str,
    seed: int,
    others: list[str] | None,
    *,
    affinity: AffinityName | None = None,
    neighbors: int | None = None,
    **given: Any,
) -> Settings:
    """What the user asks of the method: options that were given become its parameters."""
    if neighbors is not None and affinity in (AffinityName.EPSILON, AffinityName.GAUSSIAN):
        raise typer.BadParameter("--neighbors belongs to --affinity knn or self-tuning.")
    named: dict[str, Any] = {
        name: value.value if isinstance(value, Enum) else value
        for name, value in {"affinity": affinity, **given}.items()
        if value is not None
    }
    if neighbors is not None:
        from fiedler import KNN

        tuned = affinity is AffinityName.SELF_TUNING
        named["affinity"] = KNN(neighbors, "self-tuning" if tuned else "binary")
    try:
        set_by_name = read_parameters(others or [])
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
    number = None if clusters == AUTO else int(clusters)
    chosen = {*named, *(["n_clusters"] if number else []), *(["random_state"] if seed else [])}
    for name in set_by_name:
        if name in chosen:
            raise typer.BadParameter(
                f"--set {name} and {_OPTION_OF[name]} set the same; give one of them."
            )
    return Settings(number, method, seed, {**named, **set_by_name})
