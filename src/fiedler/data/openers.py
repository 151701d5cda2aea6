"""From pixels, arrays, tables and texts to a :class:`Source`, for :func:`open_rows`."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from fiedler.data.arrays import as_rows
from fiedler.data.folder import ImageFolder
from fiedler.data.images import Mode
from fiedler.data.recipe import Kind, Source, SourceRecipe
from fiedler.data.tables import numeric_rows, text_column
from fiedler.data.text import TextVectorizer
from fiedler.exceptions import InputError
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


def from_images(folder: ImageFolder, options: Options) -> Source:
    """Open a folder of images."""
    refuse(options, "images have no columns and no words", "column", "text")
    return Source(
        folder,
        folder.ids,
        "images",
        SourceRecipe("images", folder.shape[1:]),
        description=f"{_times(folder.shape)} images of {folder.root}",
        failures=dict(folder.failures),
    )


def from_array(
    source: Any, name: str, options: Options, labels: np.ndarray | None = None
) -> Source:
    """Open an array, tensor or sparse matrix; uint8 of an image's shape is images."""
    refuse(
        options,
        "arrays have no columns, words or files to resize",
        "column",
        "text",
        "image_size",
        "image_mode",
    )
    rows = as_rows(source, name)
    shape = tuple(rows.shape)
    if rows.dtype == np.uint8 and len(shape) == 4 and shape[3] not in (1, 3):
        raise InputError(
            f"{name} has shape {shape}; images are (n, h, w) or (n, h, w, 3). If the channels "
            "come first pass np.moveaxis(X, 1, -1)."
        )
    if rows.dtype == np.uint8 and len(shape) == 4 and shape[3] == 1:
        rows = rows[:, :, :, 0]
    kind: Kind = "images" if rows.dtype == np.uint8 and len(shape) > 2 else "vectors"
    return Source(
        rows,
        range(shape[0]),
        kind,
        SourceRecipe(kind, tuple(rows.shape[1:])),
        labels=labels,
        description=f"{_times(shape)} {rows.dtype} {kind} of {name}",
    )


def from_table(
    table: Any, name: str, options: Options, ids: Sequence[str | int] | None = None
) -> Source:
    """Open a table: its numeric columns, or one column of texts."""
    ids = range(table.num_rows) if ids is None else ids
    column = text_column_name(options)
    if column is not None:
        return from_texts(text_column(table, column, name), ids, name, options, column)
    refuse(
        options,
        "numeric columns have no words or files; name a text column with column=",
        "text",
        "image_size",
        "image_mode",
    )
    columns = options.column
    if options.recipe is not None:
        check_kind("vectors", name, options.recipe)
        columns = options.recipe.columns
    rows = numeric_rows(table, columns, name)
    names = tuple(table.column_names) if columns is None else tuple(columns)
    recipe = SourceRecipe("vectors", rows.shape[1:], columns=names)
    return Source(
        rows, ids, "vectors", recipe, description=f"{_times(rows.shape)} numbers of {name}"
    )


def from_texts(
    texts: list[str],
    ids: Sequence[str | int],
    name: str,
    options: Options,
    column: str | None = None,
) -> Source:
    """Open texts as tf-idf rows, by the recipe's vectoriser or by a new one."""
    refuse(options, "texts are not images", "image_size", "image_mode")
    if column is None and options.column is not None:
        refuse(options, "plain texts have no columns", "column")
    if options.recipe is not None:
        check_kind("text", name, options.recipe)
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
