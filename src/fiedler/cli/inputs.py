"""What a command is pointed at, opened as rows: files, folders, and benchmark sets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.cli.outcome import reading
from fiedler.cli.run_folder import RECIPE
from fiedler.exceptions import InputError, ModelFileError, warn_user

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fiedler.data import Source, SourceRecipe
    from fiedler.progress import ProgressCallback

DATASET_PREFIX = "dataset:"
FOLDER = "folder"
# What the rows of each kind of source are called.
ROW_NAMES = {"images": "images", "text": "texts", "vectors": "rows"}
_RECIPE_KIND = "SourceRecipe"


@dataclass(frozen=True)
class EncoderChoice:
    """The encoder that the user names.

    Parameters
    ----------
    name, weights, scale
        As `fiedler.data.EncoderSpec` takes them (its ``normalize`` is the scale).
    """

    name: str
    weights: str | None = None
    scale: str = "auto"


@dataclass(frozen=True)
class Opening:
    """How the user wants an input to be opened.

    Parameters
    ----------
    text_column : str, optional
        Column of a table, or field of a ``.jsonl``, that holds texts.
    number_columns : sequence of str, optional
        Columns of a table to use as features.
    size : (int, int), optional
        Height and width of images.
    mode : {"L", "RGB"}, optional
        Grey or colour.
    skip_unreadable : bool
        Leave unreadable images out.
    labels_from : str, optional
        Where known classes come from: ``"folder"``, the subfolder of each file; or a column of a
        table, or field of a ``.jsonl``.
    encoder : EncoderChoice, optional
        What makes rows of images or texts; their pixels or words if None.
    standardize : bool
        Give each numeric column mean 0 and standard deviation 1.
    upright : bool
        Bring images upright.
    gradients : bool, optional
        Make rows of the gradients of images; None: where the method compares rows as they are.
    """

    text_column: str | None = None
    number_columns: Sequence[str] | None = None
    size: tuple[int, int] | None = None
    mode: Any = None
    skip_unreadable: bool = False
    labels_from: str | None = None
    encoder: EncoderChoice | None = None
    standardize: bool = False
    upright: bool = False
    gradients: bool | None = None

    def to_state(self) -> dict[str, Any]:
        """The options as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Opening:
        """Undo `to_state`."""
        columns, size, encoder = (state[name] for name in ("number_columns", "size", "encoder"))
        return cls(
            text_column=state["text_column"],
            number_columns=None if columns is None else tuple(columns),
            size=None if size is None else (int(size[0]), int(size[1])),
            mode=state["mode"],
            skip_unreadable=bool(state["skip_unreadable"]),
            labels_from=state["labels_from"],
            encoder=None if encoder is None else EncoderChoice(**encoder),
            standardize=bool(state.get("standardize", False)),
            upright=bool(state.get("upright", False)),
            gradients=state.get("gradients"),
        )


@dataclass(frozen=True)
class KnownClasses:
    """The classes that rows are known to belong to.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Class of each row.
    names : list of str
        Name of each class, by its code.
    """

    codes: NDArray[np.integer[Any]]
    names: list[str]


@dataclass(frozen=True)
class Input:
    """An opened input.

    Parameters
    ----------
    name : str
        What the user called it.
    source : Source
        Rows, ids, recipe.
    known : KnownClasses, optional
        What the rows are known to be.
    """

    name: str
    source: Source
    known: KnownClasses | None

    @property
    def row_name(self) -> str:
        """What one row is called, in the plural."""
        return "texts" if self.source.texts is not None else ROW_NAMES[self.source.kind]


def open_input(
    name: str,
    opening: Opening,
    progress: ProgressCallback,
    recipe: SourceRecipe | None = None,
    admit: Callable[[str, tuple[int, ...]], None] = lambda kind, shape: None,
) -> Input:
    """Open a path or a ``dataset:NAME`` (``dataset:NAME/test`` for one half of it).

    Parameters
    ----------
    name : str
        Path, or name of a benchmark set.
    opening : Opening
        Options of the user.
    progress : callable
        Told about images read and bytes downloaded.
    recipe : SourceRecipe, optional
        Open as an earlier input was opened; most of `opening` is then refused.
    admit : callable
        Told kind and shape of the rows before they are decoded, as `fiedler.data.open_rows` does.

    Raises
    ------
    InputError
        If it cannot be opened so; the message says why.
    """
    if name.startswith(DATASET_PREFIX):
        return _open_dataset(name, opening, progress, recipe)
    from fiedler.data import open_rows

    column: Any = opening.text_column or opening.number_columns
    by_folder = opening.labels_from == FOLDER
    with reading(name):
        source = open_rows(
            name,
            column=column,
            image_size=opening.size,
            image_mode=opening.mode,
            skip_unreadable=opening.skip_unreadable,
            encoder=_encoder(opening),
            standardize=opening.standardize,
            upright=opening.upright,
            gradients=bool(opening.gradients),
            labels=None if by_folder else opening.labels_from,
            recipe=recipe,
            admit=admit,
            progress=progress,
        )
    labels = source.labels
    if by_folder:
        labels = _folder_names(name, source.ids)
    known = None
    if labels is not None:
        names, codes = np.unique(labels, return_inverse=True)
        known = KnownClasses(codes, [str(value) for value in names])
    opened = Input(name, source, known)
    return opened if recipe is not None else without_empty_texts(opened)


def wants_gradients(opening: Opening, method: str, affinity: Any, shape: tuple[int, ...]) -> bool:
    """Whether opened images are yet to be described by their gradients.

    Where the user did not say: for the method that compares rows as they are, unless the affinity
    has settings of its own, as a radius, which are of pixels, or the images are tiny.
    """
    if opening.gradients is not None or opening.encoder is not None or method != "spectral":
        return False
    from fiedler.data.gradients import has_enough_pixels
    from fiedler.graph import Epsilon, Gaussian

    images = len(shape) > 2 and has_enough_pixels(shape[1:])
    return images and not isinstance(affinity, (Epsilon, Gaussian))


def by_gradients(opened: Input, progress: ProgressCallback) -> Input:
    """Describe opened images by their gradients."""
    from fiedler.data.openers import describe_by_gradients

    return replace(opened, source=describe_by_gradients(opened.source, progress))


def _open_dataset(
    name: str, opening: Opening, progress: ProgressCallback, recipe: SourceRecipe | None
) -> Input:
    from fiedler.data import load_dataset, open_rows

    if replace(opening, encoder=None, size=None, upright=False, gradients=None) != Opening():
        raise InputError(
            f"{name} is a benchmark set, made already: leave out the options that say how to open "
            "files (mode, columns, labels)."
        )
    wanted, _, split = name.removeprefix(DATASET_PREFIX).partition("/")
    if split not in ("", "train", "test"):
        raise InputError(f"{name}: a half of a set is /train or /test, not /{split}.")
    half: Any = split or None
    with reading(name):
        dataset = load_dataset(wanted, split=half, progress=progress)
    rows: Any = dataset.X
    if opening.encoder is not None and dataset.texts is not None:
        rows = list(dataset.texts)
    with reading(name):
        source = open_rows(
            rows,
            image_size=opening.size,
            encoder=_encoder(opening),
            upright=opening.upright,
            gradients=bool(opening.gradients),
            recipe=recipe,
            progress=progress,
        )
    prefix = "" if opening.encoder is None else f"Rows of {opening.encoder.name} from "
    changed = ", brought upright" if source.recipe.upright else ""
    changed += ", by their gradients" if source.recipe.gradients else ""
    told = f"{prefix}{dataset.description}{changed}"
    source = replace(source, texts=dataset.texts, description=told)
    opened = Input(name, source, KnownClasses(dataset.y, list(dataset.target_names)))
    return opened if recipe is not None else without_empty_texts(opened)


def without_empty_texts(opened: Input) -> Input:
    """Leave texts without any known word out, with a warning that says how many and which.

    Their rows are all zero, as near to every text as to any other, so that they would link all.
    """
    source, known = opened.source, opened.known
    if source.texts is None or not hasattr(source.rows, "getnnz"):
        return opened
    filled = source.rows.getnnz(axis=1) > 0
    if filled.all():
        return opened
    if not filled.any():
        raise InputError(f"no text of {opened.name} holds a known word, so there is no row to use.")
    empty = [source.ids[i] for i in np.flatnonzero(~filled).tolist()]
    shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
    warn_user(
        f"{len(empty):,} of {len(filled):,} texts hold no known word and are left out: {shown}.",
        UserWarning,
    )
    kept = np.flatnonzero(filled).tolist()
    source = replace(
        source,
        rows=source.rows[filled],
        ids=[source.ids[i] for i in kept],
        texts=[source.texts[i] for i in kept],
        failures={**source.failures, **{str(row): "no known word" for row in empty}},
    )
    if known is not None:
        known = replace(known, codes=known.codes[filled])
    return replace(opened, source=source, known=known)


def _encoder(opening: Opening) -> Any:
    from fiedler.data import EncoderSpec

    chosen = opening.encoder
    if chosen is None:
        return None
    return EncoderSpec(chosen.name, weights=chosen.weights, normalize=chosen.scale)


def _folder_names(name: str, ids: Sequence[str | int]) -> NDArray[np.str_]:
    if not all(isinstance(row, str) for row in ids):
        raise InputError(
            f"{name} is no folder of files, so --labels-from folder finds no classes in it."
        )
    return np.array([str(row).rpartition("/")[0] or "." for row in ids], dtype=str)


def save_recipe(folder: Path, recipe: SourceRecipe) -> None:
    """Write beside the model how its input was opened."""
    from fiedler.persistence import save_state

    settings, arrays = recipe.to_state()
    save_state(folder / RECIPE, _RECIPE_KIND, settings, arrays, overwrite=True)


def load_recipe(model: Path) -> SourceRecipe:
    """Read the recipe that lies beside a model file.

    Raises
    ------
    ModelFileError
        If there is none, or the file is something else.
    """
    from fiedler.data import SourceRecipe
    from fiedler.persistence import load_state

    path = model.parent / RECIPE
    if not path.is_file():
        raise ModelFileError(
            f"{path} is missing: it says how the input of {model.name} was opened. Keep both files "
            "together, or open the data yourself and use fiedler.load(...).predict(rows)."
        )
    kind, settings, arrays = load_state(path)
    if kind != _RECIPE_KIND:
        raise ModelFileError(f"{path} holds a {kind!r}, not the recipe of an input.")
    return SourceRecipe.from_state(settings, arrays)
