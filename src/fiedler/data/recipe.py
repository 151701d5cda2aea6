"""Rows as they were opened, and how, so that new data can be opened in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from fiedler.data.encoders import EncoderSpec
from fiedler.data.text import TextVectorizer
from fiedler.exceptions import InputError

Kind = Literal["images", "text", "vectors"]

KINDS: tuple[Kind, ...] = ("images", "text", "vectors")


@dataclass(frozen=True)
class SourceRecipe:
    """How to open new data so that its rows can be compared with those of the first source.

    A model file stores it (``to_state``), and ``open_rows(path, recipe=recipe)`` follows it.

    Parameters
    ----------
    kind : {"images", "text", "vectors"}
        What the rows are.
    row_shape : tuple of int
        Shape of one row: ``(d,)``, ``(height, width)`` or ``(height, width, 3)``.
    columns : tuple of str, optional
        The numeric columns of a table, in order.
    column : str, optional
        The column of a table, or field of a ``.jsonl``, that holds the texts.
    vectorizer : TextVectorizer, optional
        The fitted vectoriser of texts.
    encoder : EncoderSpec, optional
        The encoder of images or texts.
    scale : ndarray of float64, shape (2, d), optional
        Mean and standard deviation of each numeric column, where they were standardized.
    wide : bool
        Whether the numeric columns are read in float64, because float32 would round them by a share
        of their spread.
    upright : bool
        Whether images were brought upright.
    gradients : bool
        Whether images were described by the orientations of their gradients.
    """

    kind: Kind
    row_shape: tuple[int, ...]
    columns: tuple[str, ...] | None = None
    column: str | None = None
    vectorizer: TextVectorizer | None = field(default=None, compare=False)
    encoder: EncoderSpec | None = None
    scale: np.ndarray | None = field(default=None, compare=False)
    wide: bool = False
    upright: bool = False
    gradients: bool = False

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what :meth:`from_state` needs: a JSON-able dict and a dict of arrays."""
        settings: dict[str, Any] = {"kind": self.kind, "row_shape": list(self.row_shape)}
        arrays: dict[str, np.ndarray] = {}
        if self.columns is not None:
            settings["columns"] = list(self.columns)
        if self.column is not None:
            settings["column"] = self.column
        if self.vectorizer is not None:
            settings["vectorizer"], arrays = self.vectorizer.to_state()
        if self.encoder is not None:
            settings["encoder"] = self.encoder.to_state()
        if self.scale is not None:
            arrays["scale"] = self.scale
        if self.wide:
            settings["wide"] = True
        if self.upright:
            settings["upright"] = True
        if self.gradients:
            settings["gradients"] = True
        return settings, arrays

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> SourceRecipe:
        """Rebuild a recipe from its state."""
        try:
            kind = settings["kind"]
            row_shape = tuple(int(size) for size in settings["row_shape"])
            encoder = settings.get("encoder")
            spec = None if encoder is None else EncoderSpec.from_state(encoder)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not the state of a SourceRecipe: {error!r}") from error
        if kind not in KINDS:
            raise InputError(f"unknown kind of rows {kind!r}; known: {', '.join(KINDS)}")
        columns = settings.get("columns")
        state = settings.get("vectorizer")
        return cls(
            kind,
            row_shape,
            columns=None if columns is None else tuple(map(str, columns)),
            column=settings.get("column"),
            vectorizer=None if state is None else TextVectorizer.from_state(state, arrays),
            encoder=spec,
            scale=arrays.get("scale"),
            wide=bool(settings.get("wide", False)),
            upright=bool(settings.get("upright", False)),
            gradients=bool(settings.get("gradients", False)),
        )


@dataclass(frozen=True)
class Source:
    """Rows, with what is needed to name and show them.

    Attributes
    ----------
    rows : ndarray, memmap, csr matrix or ImageFolder, shape (n, ...)
        Has ``shape`` and row indexing (``rows[a:b]``, ``rows[indices]``).
    ids : sequence of str or int, length n
        File of each image or text below the folder; line of each text of a file, counted from
        1; index of a data frame; else the row number, counted from 0.
    kind : {"images", "text", "vectors"}
        What was opened; rows of images and texts are feature vectors where they were encoded.
    recipe : SourceRecipe
        How to open new data in the same way.
    labels : ndarray of shape (n,), optional
        True classes, where an ``.npz`` file or a named column holds them. No estimator reads them.
    texts : sequence of str, optional
        The texts of rows of kind ``"text"``.
    description : str
        One line for people: what was opened, and from where.
    failures : dict of str to str
        Files left out because they cannot be read, and why.
    pictures : array of shape (n, h, w) or (n, h, w, 3), or ImageFolder, optional
        What to show of each row, uint8: the rows themselves, or small copies of encoded images.
    """

    rows: Any
    ids: Sequence[str | int]
    kind: Kind
    recipe: SourceRecipe
    labels: np.ndarray | None = None
    texts: Sequence[str] | None = None
    description: str = ""
    failures: dict[str, str] = field(default_factory=dict)
    pictures: Any | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rows."""
        return tuple(self.rows.shape)

    def __len__(self) -> int:
        return int(self.rows.shape[0])
