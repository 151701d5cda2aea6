"""Texts: reading them from files, and turning them into tf-idf rows."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fiedler.exceptions import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Words of two or more letters of any alphabet, without digits.
_WORD = r"(?u)\b[^\W\d_]{2,}\b"


class TextVectorizer:
    """Texts to tf-idf rows of unit length, with a state of plain arrays and JSON.

    A term's weight in a text is ``(1 + ln count) * (ln((1 + n) / (1 + texts with it)) + 1)``,
    and each row is divided by its Euclidean norm, so that distances compare directions (Salton
    and Buckley, Term-weighting approaches in automatic text retrieval, 1988).

    Parameters
    ----------
    max_features : int
        How many terms to keep: the most frequent ones of the fitted texts.
    stop_words : "english" or None
        Leave out common English words, or nothing (texts in other languages).
    analyzer : {"word", "char_wb"}
        Terms are words of two or more letters, or runs of letters within words (for languages
        that do not separate words, or noisy spelling).
    ngram_range : (int, int)
        Shortest and longest run of words (or letters) that makes a term.
    """

    def __init__(
        self,
        max_features: int = 2000,
        *,
        stop_words: Literal["english"] | None = "english",
        analyzer: Literal["word", "char_wb"] = "word",
        ngram_range: tuple[int, int] = (1, 1),
    ) -> None:
        self.max_features = max_features
        self.stop_words = stop_words
        self.analyzer = analyzer
        self.ngram_range = ngram_range
        self._fitted: Any = None

    def __repr__(self) -> str:
        return (
            f"TextVectorizer({self.max_features}, stop_words={self.stop_words!r}, "
            f"analyzer={self.analyzer!r}, ngram_range={self.ngram_range})"
        )

    @property
    def vocabulary_(self) -> list[str]:
        """The terms, in the order of the columns."""
        return [str(term) for term in self._require_fitted().get_feature_names_out()]

    @property
    def idf_(self) -> np.ndarray:
        """The inverse document frequency of each term, float64, shape ``(terms,)``."""
        return np.asarray(self._require_fitted().idf_, dtype=np.float64)

    def fit(self, texts: Sequence[str]) -> TextVectorizer:
        """Choose the terms and their weights from ``texts``; return self."""
        self.fit_transform(texts)
        return self

    def fit_transform(self, texts: Sequence[str]) -> csr_matrix:
        """Fit, and return the rows of ``texts``: csr, float32, shape ``(n, terms)``."""
        vectorizer = self._new()
        try:
            rows = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise InputError(
                f"the {len(texts)} texts give no terms ({error}). Words of two or more letters "
                "are needed; for texts of another kind pass text=TextVectorizer(stop_words=None, "
                "analyzer='char_wb', ngram_range=(2, 4))."
            ) from error
        self._fitted = vectorizer
        return rows

    def transform(self, texts: Iterable[str]) -> csr_matrix:
        """Return the rows of new texts; a text of unknown words only is a row of zeros."""
        return self._require_fitted().transform(texts)

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what :meth:`from_state` needs: a JSON-able dict and a dict of arrays."""
        settings = {
            "max_features": self.max_features,
            "stop_words": self.stop_words,
            "analyzer": self.analyzer,
            "ngram_range": list(self.ngram_range),
            "vocabulary": self.vocabulary_,
        }
        return settings, {"idf": self.idf_}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> TextVectorizer:
        """Rebuild a fitted vectoriser; it transforms exactly as the one that was stored."""
        try:
            vocabulary, idf = settings["vocabulary"], np.asarray(arrays["idf"], dtype=np.float64)
            new = cls(
                int(settings["max_features"]),
                stop_words=settings["stop_words"],
                analyzer=settings["analyzer"],
                ngram_range=(int(settings["ngram_range"][0]), int(settings["ngram_range"][1])),
            )
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise InputError(f"not the state of a TextVectorizer: {error!r}") from error
        if idf.shape != (len(vocabulary),):
            raise InputError(f"{len(vocabulary)} terms, but idf of shape {idf.shape}")
        new._fitted = new._new(vocabulary)
        new._fitted.idf_ = idf
        return new

    def _new(self, vocabulary: list[str] | None = None) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            max_features=self.max_features,
            stop_words=self.stop_words if self.analyzer == "word" else None,
            analyzer=self.analyzer,
            ngram_range=self.ngram_range,
            token_pattern=_WORD if self.analyzer == "word" else None,
            sublinear_tf=True,
            dtype=np.float32,
            vocabulary=vocabulary,
        )

    def _require_fitted(self) -> Any:
        if self._fitted is None:
            raise InputError("this TextVectorizer is not fitted yet: call fit(texts) first")
        return self._fitted


def read_jsonl(
    path: Path, field: str = "text", *, classes: bool = False
) -> tuple[list[str], list[int]]:
    """Read one field of each JSON object of a ``.jsonl`` or ``.jsonl.gz`` file.

    Parameters
    ----------
    path : Path
    field : str
    classes : bool
        The field names the class of each row, as a string, a number or a truth value.

    Returns
    -------
    texts : list of str
    lines : list of int
        The line of each text, counted from 1; empty lines are passed over.

    Raises
    ------
    InputError
        A line is not a JSON object, or lacks the field, or has no string there.
    """
    texts: list[str] = []
    lines: list[int] = []
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    where = f"{path}, line {number}"
                    texts.append(_field(json.loads(line), field, where, classes))
                    lines.append(number)
    except InputError:
        raise
    except (ValueError, OSError, EOFError, RecursionError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read near line {max(number, 1)} ({error}). Each line must be one "
            f'JSON object, such as {{"{field}": "..."}}, in UTF-8.'
        ) from error
    if not texts:
        raise InputError(f"{path} is empty: it holds no texts.")
    return texts, lines


def read_lines(path: Path) -> tuple[list[str], list[int]]:
    """Read a ``.txt`` file as one text for each line that is not empty, with its number."""
    numbered = enumerate(read_text(path).splitlines(), start=1)
    kept = [(line, number) for number, line in numbered if line.strip()]
    if not kept:
        raise InputError(f"{path} is empty: it holds no lines of text.")
    return [line for line, _ in kept], [number for _, number in kept]


def read_text(path: Path) -> str:
    """Read a text file as UTF-8, or as Latin-1 where it is not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _field(record: Any, field: str, where: str, classes: bool) -> str:
    if not isinstance(record, dict):
        raise InputError(f"{where}: a JSON object is needed, got {type(record).__name__}.")
    if field not in record:
        advice = "" if classes else " Name the field that holds the text with column=."
        raise InputError(
            f"{where}: no field {field!r}; there are {', '.join(map(repr, record)) or 'none'}."
            + advice
        )
    value = record[field]
    if classes and isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: field {field!r} is {type(value).__name__}, not text.")
    return value
