"""From pixels, arrays, tables and texts to a :class:`Source`, for :func:`open_rows`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fiedler.data.arrays import as_rows
from fiedler.data.encode import encode_array, encode_files, encode_texts
from fiedler.data.encoders import Encoder, EncoderSpec, load_encoder
from fiedler.data.folder import (
    ImageFolder,
    failure_message,
    find_images,
    relative_names,
)
from fiedler.data.gradients import gradient_histograms
from fiedler.data.images import Mode
from fiedler.data.recipe import Kind, Source, SourceRecipe
from fiedler.data.tables import (
    column_scale,
    numeric_rows,
    scaled,
    text_column,
    warn_of_spread,
)
from fiedler.data.text import TextVectorizer
from fiedler.data.upright import upright_rows
from fiedler.exceptions import InputError, UnreadableImagesError, warn_user
from fiedler.progress import ProgressCallback


@dataclass(frozen=True)
class Options:
    """What the caller of :func:`open_rows` asked for."""

    column: str | Sequence[str] | None
    image_size: tuple[int, int] | None
    image_mode: Mode | None
    skip_unreadable: bool
    max_pixels: int
    text: TextVectorizer | None
    recipe: SourceRecipe | None
    progress: ProgressCallback
    encoder: EncoderSpec | None = None
    standardize: bool | None = None
    labels: str | None = None
    admit: Callable[[Kind, tuple[int, ...]], None] = lambda kind, shape: None
    upright: bool | None = None
    gradients: bool | None = None


def encoder_of(options: Options) -> Encoder | None:
    """Load the encoder that the options or the recipe name, if they name one.

    Raises
    ------
    InputError
        It cannot be loaded; the recipe has none or another one; or it is code, which a recipe, that
        may come from anyone, must not choose to run.
    """
    spec, recipe = options.encoder, options.recipe
    if recipe is not None:
        known = recipe.encoder
        if known is None and spec is not None:
            raise InputError(
                f"the encoder {spec.name} cannot be given here: the recipe has none, so the rows "
                "of the first source were not encoded."
            )
        if known is not None and spec is None and known.kind in ("function", "torchscript"):
            raise InputError(
                f"the rows were encoded by {known.name}, which is code: name it again, with "
                f"encoder={known.name!r}, to have it run."
            )
        if known is not None:
            # The file may lie elsewhere now; the fingerprint tells whether it is the same.
            named = known if spec is None else replace(known, name=spec.name, weights=spec.weights)
            return load_encoder(named)
    if spec is None:
        return None
    if options.image_size is not None:
        spec = replace(spec, size=options.image_size)
    refuse(options, "an encoder decides this", "image_mode", "text")
    return load_encoder(spec)


def from_encoded_files(path: Path, encoder: Encoder, options: Options) -> Source:
    """Open the images of a folder (or one image) as rows of an encoder."""
    refuse(options, "images have no columns", "column", "standardize", "labels")
    files = find_images(path)
    encoded = encode_files(path, files, encoder, options.max_pixels, options.progress)
    rows, pictures = encoded.rows, encoded.pictures
    failures = {str(files[i]): why for i, why in sorted(encoded.failures.items())}
    if failures:
        message = failure_message(path, failures)
        if not options.skip_unreadable or len(failures) == len(files):
            raise UnreadableImagesError(message, failures)
        warn_user(f"Left out: {message}", UserWarning)
        good = [i for i in range(len(files)) if i not in encoded.failures]
        files, rows = [files[i] for i in good], rows[good]
        pictures = None if pictures is None else pictures[good]
    return Source(
        rows,
        relative_names(path, files),
        "images",
        SourceRecipe("images", rows.shape[1:], encoder=encoder.spec),
        description=f"{_times(rows.shape)} rows of {encoder.spec.name} from images of {path}",
        failures=failures,
        pictures=pictures,
    )


def from_images(folder: ImageFolder, options: Options) -> Source:
    """Open a folder of images."""
    refuse(
        options, "images have no columns and no words", "column", "text", "standardize", "labels"
    )
    return Source(
        folder,
        folder.ids,
        "images",
        SourceRecipe("images", folder.shape[1:]),
        description=f"{_times(folder.shape)} images of {folder.root}",
        failures=dict(folder.failures),
        pictures=folder,
    )


def from_array(
    source: Any, name: str, options: Options, labels: np.ndarray | None = None
) -> Source:
    """Open an array, tensor or sparse matrix; uint8 of an image's shape is images."""
    refuse(
        options,
        "arrays have no columns, words or files",
        "column",
        "text",
        "image_mode",
        "standardize",
        "labels",
    )
    encoder = encoder_of(options)
    if encoder is None:
        refuse(options, "the rows of an array are used as they are", "image_size")
    rows = as_rows(source, name)
    shape = tuple(rows.shape)
    if rows.dtype == np.uint8 and len(shape) == 4 and shape[3] not in (1, 3):
        raise InputError(
            f"{name} has shape {shape}; images are (n, h, w) or (n, h, w, 3). If the channels "
            "come first pass np.moveaxis(X, 1, -1)."
        )
    if rows.dtype == np.uint8 and len(shape) == 4 and shape[3] == 1:
        rows = rows[:, :, :, 0]
    kind = array_kind(shape, rows.dtype)
    pictures = rows if kind == "images" else None
    description = f"{_times(shape)} {rows.dtype} {kind} of {name}"
    if encoder is not None:
        if kind != "images":
            raise InputError(
                f"{name} holds vectors of shape {shape}; an encoder takes images: uint8, shape "
                "(n, h, w) or (n, h, w, 3)."
            )
        rows = encode_array(rows, encoder, options.progress)
        description = f"{_times(rows.shape)} rows of {encoder.spec.name} from images of {name}"
    return Source(
        rows,
        range(shape[0]),
        kind,
        SourceRecipe(
            kind, tuple(rows.shape[1:]), encoder=None if encoder is None else encoder.spec
        ),
        labels=labels,
        description=description,
        pictures=pictures,
    )


def array_kind(shape: tuple[int, ...], dtype: Any) -> Kind:
    """Tell what the rows of an array are."""
    return "images" if dtype == np.uint8 and len(shape) > 2 else "vectors"


def from_table(
    table: Any, name: str, options: Options, ids: Sequence[str | int] | None = None
) -> Source:
    """Open a table: its numeric columns, or one column of texts; and the column of classes."""
    ids = range(table.num_rows) if ids is None else ids
    column, labels = text_column_name(options), options.labels
    classes = None if labels is None else np.array(text_column(table, labels, name))
    if column is not None:
        texts = text_column(table, column, name)
        return replace(from_texts(texts, ids, name, options, column), labels=classes)
    if labels is not None:
        table = table.drop_columns([labels])
    refuse(
        options,
        "numeric columns have no words or files; name a text column with column=",
        "text",
        "image_size",
        "image_mode",
        "encoder",
    )
    known = options.recipe
    if known is not None:
        check_kind("vectors", name, known)
    columns = options.column if known is None else known.columns
    rows = numeric_rows(table, columns, name, None if known is None else known.wide)
    wide = rows.dtype == np.float64
    names = tuple(table.column_names) if columns is None else tuple(columns)
    if known is not None:
        scale = known.scale
    elif options.standardize:
        scale = column_scale(rows)
    else:
        scale = None
        warn_of_spread(rows, names, name)
    if scale is not None:
        rows = scaled(rows, scale)
    recipe = SourceRecipe("vectors", rows.shape[1:], columns=names, scale=scale, wide=wide)
    what = "standardized numbers" if scale is not None else "numbers"
    description = f"{_times(rows.shape)} {what} of {name}"
    return Source(rows, ids, "vectors", recipe, labels=classes, description=description)


def from_texts(
    texts: list[str],
    ids: Sequence[str | int],
    name: str,
    options: Options,
    column: str | None = None,
) -> Source:
    """Open texts as tf-idf rows, by the recipe's vectoriser or a new one, or as encoded rows."""
    refuse(options, "these are texts", "image_size", "image_mode", "standardize")
    if column is None and options.column is not None:
        refuse(options, "plain texts have no columns", "column")
    if column is None:
        refuse(options, "plain texts have no fields", "labels")
    if options.recipe is not None:
        check_kind("text", name, options.recipe)
    encoder = encoder_of(options)
    if encoder is not None:
        rows = encode_texts(texts, encoder, options.progress)
        recipe = SourceRecipe("text", rows.shape[1:], column=column, encoder=encoder.spec)
        description = f"{_times(rows.shape)} rows of {encoder.spec.name} from texts of {name}"
        return Source(rows, ids, "text", recipe, texts=texts, description=description)
    if options.recipe is not None:
        recipe = options.recipe
        if recipe.vectorizer is None:
            raise InputError("the recipe is of texts but holds no vectoriser")
        rows = recipe.vectorizer.transform(texts)
    else:
        # A copy: the caller's own vectoriser stays unfitted.
        vectorizer = TextVectorizer() if options.text is None else copy(options.text)
        rows = vectorizer.fit_transform(texts)
        recipe = SourceRecipe("text", rows.shape[1:], column=column, vectorizer=vectorizer)
    description = f"{_times(rows.shape)} tf-idf of {name}"
    return Source(rows, ids, "text", recipe, texts=texts, description=description)


def text_column_name(options: Options) -> str | None:
    """Name the column that holds texts, if it is texts that are wanted."""
    if isinstance(options.column, str):
        return options.column
    if options.recipe is not None:
        return options.recipe.column
    return None


def is_texts(source: Any) -> bool:
    """Tell whether this is a flat, non-empty list, array or series of strings."""
    if hasattr(source, "dtype"):
        flat = getattr(source, "ndim", 0) == 1 and str(source.dtype).startswith(
            ("object", "str", "<U", ">U", "StringDType")
        )
    else:
        flat = isinstance(source, (list, tuple))
    return flat and len(source) > 0 and all(isinstance(item, str) for item in source)


def refuse(options: Options, why: str, *names: str) -> None:
    """Raise if any of the named options was given: none is ever ignored in silence."""
    given = [name for name in names if getattr(options, name) is not None]
    if given:
        raise InputError(f"{', '.join(given)} cannot be given here: {why}.")


def bring_upright(opened: Source) -> Source:
    """Shear the images of a source upright; they are shown as they were.

    Raises
    ------
    InputError
        If the rows are no images.
    """
    shape = _pixels(opened, "upright=True")
    return replace(
        opened,
        rows=upright_rows(opened.rows, shape),
        recipe=replace(opened.recipe, upright=True),
        description=f"{opened.description}, brought upright",
    )


def describe_by_gradients(opened: Source, progress: ProgressCallback) -> Source:
    """Make rows of the gradients of images; they are shown as they were.

    Raises
    ------
    InputError
        If the rows are no images, or smaller than 2 by 2 pixels.
    """
    shape = _pixels(opened, "gradients=True")
    return replace(
        opened,
        rows=gradient_histograms(opened.rows, shape, progress=progress),
        recipe=replace(opened.recipe, gradients=True),
        description=f"{opened.description}, by their gradients",
    )


def _pixels(opened: Source, option: str) -> tuple[int, ...]:
    """Shape of the images that the rows are; an error if they are none."""
    if opened.kind != "images" or opened.recipe.encoder is not None:
        raise InputError(f"{option} is for the pixels of images; this is {opened.description}.")
    return opened.shape[1:]


def check_kind(kind: Kind, name: str, recipe: SourceRecipe) -> None:
    """Raise if rows are of another kind than the recipe's."""
    if kind != recipe.kind:
        raise InputError(
            f"{name} gives rows of kind {kind!r}, but {recipe.kind!r} "
            f"({_times(recipe.row_shape)} a row) are needed, as in the first source."
        )


def check_recipe(opened: Source, recipe: SourceRecipe) -> None:
    """Raise if rows are of another kind or shape than the recipe's."""
    check_kind(opened.kind, opened.description, recipe)
    if opened.shape[1:] != recipe.row_shape:
        raise InputError(
            f"{opened.description}: a row has shape {opened.shape[1:]}, but {recipe.row_shape} "
            "is needed, as in the first source."
        )


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
