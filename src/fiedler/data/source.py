"""Opening any source of data: one function from a path, an array, a table or texts to rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fiedler.data.arrays import read_npy, read_npz
from fiedler.data.encoders import EncoderSpec
from fiedler.data.folder import ImageFolder, find_files
from fiedler.data.images import MAX_PIXELS, SUFFIXES, Mode
from fiedler.data.openers import (
    Options,
    array_kind,
    bring_upright,
    check_kind,
    check_recipe,
    describe_by_gradients,
    encoder_of,
    from_array,
    from_encoded_files,
    from_images,
    from_table,
    from_texts,
    is_texts,
    refuse,
    text_column_name,
)
from fiedler.data.recipe import Kind, Source, SourceRecipe
from fiedler.data.tables import from_frame, read_table
from fiedler.data.text import TextVectorizer, read_jsonl, read_lines, read_text
from fiedler.exceptions import InputError
from fiedler.progress import ProgressCallback, silent

_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
_ALLOWED = (
    "a folder of images or of .txt files, one image, .npy, .npz, .csv, .tsv, .parquet, .jsonl, "
    ".jsonl.gz or .txt"
)


def open_rows(
    source: Any,
    *,
    column: str | Sequence[str] | None = None,
    image_size: tuple[int, int] | None = None,
    image_mode: Mode | None = None,
    skip_unreadable: bool = False,
    max_pixels: int = MAX_PIXELS,
    text: TextVectorizer | None = None,
    encoder: str | EncoderSpec | None = None,
    standardize: bool = False,
    upright: bool = False,
    gradients: bool = False,
    labels: str | None = None,
    recipe: SourceRecipe | None = None,
    admit: Callable[[Kind, tuple[int, ...]], None] = lambda kind, shape: None,
    progress: ProgressCallback = silent,
) -> Source:
    """Open data of any kind as rows.

    Parameters
    ----------
    source : array, sparse matrix, torch tensor, data frame, list of texts, ImageFolder, str, Path
        Arrays and tensors are used where they lie. A path may be a folder of images or of
        ``.txt`` files (whichever are more), one image, ``.npy`` (memory-mapped), ``.npz`` (array
        ``X`` or the only one; labels ``y``), ``.csv``, ``.tsv``, ``.parquet``, ``.jsonl``,
        ``.jsonl.gz``, or ``.txt`` (a text a line). uint8 arrays of shape (n, h, w) and
        (n, h, w, 3) are images. Texts become tf-idf rows.
    column : str or list of str, optional
        A table's column, or ``.jsonl`` field (default ``"text"``), that holds texts; or the list
        of the table's numeric columns to use (by default all, which must be numeric).
    image_size : (int, int), optional
        Height and width to resize the images of a folder to; needed if they differ.
    image_mode : {"L", "RGB"}, optional
        Grey or colour images of a folder; by default grey if all are.
    skip_unreadable : bool
        Leave unreadable images out, with a warning, instead of raising an error.
    max_pixels : int
        An image file with more pixels counts as unreadable.
    text : TextVectorizer, optional
        An unfitted vectoriser with other settings than the default.
    encoder : str or EncoderSpec, optional
        Turns images into feature rows: a ``timm`` model, a TorchScript or ONNX file, or a Python
        function ``"module:function"`` (which may also encode texts); see :class:`EncoderSpec`.
        The images are resized to what it takes, or to ``image_size``. Its rows are kept in the
        cache folder, so that the same input is encoded once; an interrupted encoding goes on
        where it stopped.
    standardize : bool
        Give each numeric column of a table mean 0 and standard deviation 1.
    upright : bool
        Shear images until what they show does not slant (LeCun et al. 1998, section III.A): for
        handwriting. On dark ground; held in memory as one array. They are shown as they were.
    gradients : bool
        Make rows of the orientations of the images' gradients (:func:`gradient_histograms`), after
        ``upright``: neighbours among them are alike in shape.
    labels : str, optional
        Column of a table, or field of a ``.jsonl``, that names the known class of each row. It
        becomes ``Source.labels``, and is not among the features.
    recipe : SourceRecipe, optional
        Open the source as an earlier one was opened (``Source.recipe``), to predict on it.
        Excludes ``image_size``, ``image_mode``, ``text``, ``standardize``, ``upright``,
        ``gradients``, and ``column`` but for texts. An encoder that is code (a function,
        TorchScript) must be named again.
    admit : callable
        Called as ``admit(kind, shape)`` before the images of a folder are decoded or an ``.npz`` is
        unpacked to rows of this shape (without an encoder); an error that it raises is passed on.
    progress : callable
        Called as ``progress(stage, done, total)`` while images are read.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        The source is absent, empty, unreadable, not numeric, or does not fit the options or the
        recipe; the message says what was got and what is allowed.
    UnreadableImagesError
        Image files cannot be decoded.
    """
    if isinstance(encoder, str):
        encoder = EncoderSpec(encoder)
    options = Options(
        column, image_size, image_mode, skip_unreadable, max_pixels, text, recipe, progress,
        encoder, standardize or None, labels, admit, upright or None,
        gradients or None,
    )  # fmt: skip
    if recipe is not None:
        refuse(
            options,
            "the recipe decides this",
            "image_size",
            "image_mode",
            "text",
            "standardize",
            "upright",
            "gradients",
        )
        if recipe.kind != "text":
            refuse(options, "the recipe decides this", "column")
    if isinstance(source, str) and not source:
        raise InputError(f"the path is empty. Allowed: {_ALLOWED}; '.' for the current folder.")
    if isinstance(source, (str, Path)):
        opened = _open_path(Path(source).expanduser(), options)
    else:
        opened = _open_object(source, options)
    if recipe is not None:
        check_recipe(opened, recipe)
    if upright or (recipe is not None and recipe.upright):
        opened = bring_upright(opened)
    if gradients or (recipe is not None and recipe.gradients):
        opened = describe_by_gradients(opened, progress)
    return opened


def _open_path(path: Path, options: Options) -> Source:
    name = path.name.lower()
    if not path.exists():
        raise InputError(f"there is no file or folder {path}. Allowed: {_ALLOWED}.")
    if path.is_dir():
        return _open_folder(path, options)
    if path.suffix.lower() in SUFFIXES:
        return _open_images(path, options)
    if name.endswith(".npy"):
        return from_array(read_npy(path), str(path), options)
    if name.endswith(".npz"):
        rows, labels = read_npz(path, partial(_admit_array, options))
        return from_array(rows, str(path), options, labels)
    if name.endswith(_TABLES):
        column = text_column_name(options)
        return from_table(read_table(path, column), str(path), options)
    if name.endswith((".jsonl", ".jsonl.gz")):
        column = text_column_name(options) or "text"
        texts, lines = read_jsonl(path, column)
        source = from_texts(texts, lines, str(path), options, column)
        if options.labels is None:
            return source
        classes, _ = read_jsonl(path, options.labels, classes=True)
        return replace(source, labels=np.array(classes))
    if name.endswith(".txt"):
        texts, lines = read_lines(path)
        return from_texts(texts, lines, str(path), options)
    raise InputError(
        f"{path}: files that end in {path.suffix!r} cannot be opened. Allowed: {_ALLOWED}."
    )


def _open_object(source: Any, options: Options) -> Source:
    if isinstance(source, ImageFolder):
        refuse(options, "the ImageFolder decides this", "image_size", "image_mode", "encoder")
        return from_images(source, options)
    if hasattr(source, "columns") and hasattr(source, "shape"):
        ids = [str(i) for i in source.index] if hasattr(source, "index") else None
        return from_table(from_frame(source), "the data frame", options, ids)
    if is_texts(source):
        _refuse_paths(source)
        texts = [str(text) for text in source]
        return from_texts(texts, range(len(texts)), "the list of texts", options)
    return from_array(source, "the array", options)


def _refuse_paths(texts: Sequence[str]) -> None:
    """Refuse names of image files, whose letters would be compared, not the images."""
    suffixes = tuple(SUFFIXES)
    if all(text.lower().endswith(suffixes) for text in texts):
        raise InputError(
            f"the list holds {len(texts)} names of image files, such as {texts[0]!r}, not texts. "
            "Pass the folder that holds the images, or the images themselves as an array."
        )


def _open_folder(path: Path, options: Options) -> Source:
    pictures = len(find_files(path, SUFFIXES))
    files = find_files(path, frozenset({".txt"}))
    wanted = None if options.recipe is None else options.recipe.kind
    if not pictures and not files:
        raise InputError(
            f"the folder {path} holds neither images ({' '.join(sorted(SUFFIXES))}) nor texts "
            "(.txt), in it or in its subfolders."
        )
    if wanted == "text" or (wanted is None and (options.text or len(files) > pictures)):
        if not files:
            raise InputError(f"the folder {path} holds no .txt files.")
        ids = [file.relative_to(path).as_posix() for file in files]
        return from_texts([read_text(file) for file in files], ids, str(path), options)
    return _open_images(path, options)


def _open_images(path: Path, options: Options) -> Source:
    encoder = encoder_of(options)
    if encoder is not None:
        return from_encoded_files(path, encoder, options)
    size, mode = options.image_size, options.image_mode
    if options.recipe is not None:
        check_kind("images", str(path), options.recipe)
        shape = options.recipe.row_shape
        size, mode = (shape[0], shape[1]), "RGB" if len(shape) == 3 else "L"
    folder = ImageFolder(
        path,
        size,
        mode,
        options.skip_unreadable,
        max_pixels=options.max_pixels,
        admit=partial(options.admit, "images"),
        progress=options.progress,
    )
    return from_images(folder, options)


def _admit_array(options: Options, shape: tuple[int, ...], dtype: Any) -> None:
    if options.encoder is None:
        options.admit(array_kind(shape, dtype), shape)
