"""What a report is made from: plain arrays and strings, whoever made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiedler.exceptions import InputError


@dataclass(frozen=True)
class Gallery:
    """Pictures with captions that a method wants shown, such as what its layers have learnt.

    Parameters
    ----------
    title : str
    text : str
        What the pictures are, in a sentence; also what is read out in their place.
    pictures : sequence of arrays, each (h, w) or (h, w, 3)
        uint8, or any numbers, stretched from the smallest to the largest of each picture.
    captions : sequence of str
        One for each picture.
    group : int
        So many pictures that follow each other belong together, and stay on one line.
    """

    title: str
    text: str
    pictures: Sequence[Any]
    captions: Sequence[str]
    group: int = 1

    def __post_init__(self) -> None:
        """Check that every picture has its caption."""
        if len(self.pictures) != len(self.captions):
            raise InputError(
                f"the gallery {self.title!r} has {len(self.pictures)} pictures and "
                f"{len(self.captions)} captions; one for each is needed."
            )


@dataclass(frozen=True)
class Phases:
    """Some rows as a training in phases has moved them.

    Parameters
    ----------
    rows : ndarray of int, shape (m,)
        Which of the rows.
    embeddings : mapping of str to ndarray of shape (m, d)
        Where they lie after each phase, by its name.
    rounds : sequence of mapping
        Figures of each round, by name.
    """

    rows: NDArray[np.integer[Any]]
    embeddings: Mapping[str, NDArray[np.floating[Any]]]
    rounds: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class ReportData:
    """One clustering, described well enough to draw it.

    Parameters
    ----------
    title : str
        Heading of the page, such as the name of the input.
    ids : sequence of str, length n
        Name of each row: a file name, a line number, a key.
    labels : ndarray of int, shape (n,)
        Cluster of each row, 0 to k - 1.
    embedding : ndarray of float, shape (n, m)
        Spectral embedding; the map and the choice of typical rows come from it.
    eigenvalues : ndarray of float, shape (e,), optional
        Smallest eigenvalues of the Laplacian, ascending.
    kind : str
        What one row is, in the plural, for sentences: "images", "texts", "rows".
    pictures : array of shape (n, h, w) or (n, h, w, 3), or lazily decoded rows, optional
        ``pictures[i]`` is the picture of row i, uint8, or float in [0, 1]. Only the rows that are
        shown are ever read.
    texts : sequence of str, length n, optional
        Text of each row; only the beginning is shown.
    known : sequence of str, length n, optional
        Known class of each row, shown beside it.
    metrics : mapping of str to float
        Figures of merit, by the name under which they are shown.
    confusion : ndarray of int, shape (classes, clusters), optional
        Rows counted by known class and by cluster, both in the order to be shown.
    class_names, cluster_names : sequence of str
        Names of the rows and of the columns of `confusion`.
    timings : mapping of str to float
        Seconds by stage.
    parameters : mapping of str to object
        What the run was asked for.
    notes : sequence of str
        Warnings worth reading.
    how : str
        What was run, and why, in a sentence.
    confidence : ndarray of float, shape (n,), optional
        How sure each row's cluster is; doubtful rows are those of the lowest (else the farthest
        from the centre of their cluster).
    words : sequence of sequence of str
        The words that tell each cluster from the others, by its number.
    affinity : csr matrix, shape (n, n), optional
        Weights of the links between rows.
    links : str
        What these links are.
    history : sequence of mapping
        Rows of a training: a ``stage``, a ``step``, and any figures (``loss``, ...) by name.
    galleries : sequence of Gallery
        Further pictures.
    phases : Phases, optional
        The same rows after each phase of a training.
    agreement : sequence of (str, float)
        Parts of the method by name, and how well the clusters of each alone agree with the result
        (NMI).
    """

    title: str
    ids: Sequence[str]
    labels: NDArray[np.integer[Any]]
    embedding: NDArray[np.floating[Any]]
    eigenvalues: NDArray[np.floating[Any]] | None = None
    kind: str = "rows"
    pictures: Any | None = None
    texts: Sequence[str] | None = None
    known: Sequence[str] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    confusion: NDArray[np.integer[Any]] | None = None
    class_names: Sequence[str] = ()
    cluster_names: Sequence[str] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()
    how: str = ""
    confidence: NDArray[np.floating[Any]] | None = None
    words: Sequence[Sequence[str]] = ()
    affinity: Any | None = None
    links: str = "The affinity matrix"
    history: Sequence[Mapping[str, Any]] = ()
    galleries: Sequence[Gallery] = ()
    agreement: Sequence[tuple[str, float]] = ()
    phases: Phases | None = None

    def __post_init__(self) -> None:
        """Check that everything speaks of the same rows.

        Raises
        ------
        InputError
            If there are no rows, or the lengths differ.
        """
        n = len(self.labels)
        if n == 0:
            raise InputError("A report needs at least one row; got none.")
        described = {
            "ids": self.ids,
            "embedding": self.embedding,
            "pictures": self.pictures,
            "texts": self.texts,
            "known": self.known,
            "confidence": self.confidence,
            "affinity": self.affinity,
        }
        for name, value in described.items():
            length = n if value is None else _length(value)
            if length != n:
                raise InputError(
                    f"Every part of a report describes the same rows: labels has {n}, "
                    f"{name} has {length}."
                )
        if self.confusion is not None and self.confusion.shape != (
            len(self.class_names),
            len(self.cluster_names),
        ):
            raise InputError(
                f"confusion has shape {self.confusion.shape}; class_names and cluster_names "
                f"name {len(self.class_names)} x {len(self.cluster_names)}."
            )


def _length(value: Any) -> int:
    """Number of rows; sparse matrices have a shape but no length."""
    return int(value.shape[0]) if hasattr(value, "shape") else len(value)
