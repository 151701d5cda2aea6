"""What a report is made from: plain arrays and strings, whoever made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiedler.exceptions import InputError
from fiedler.report.network import Gallery


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
    galleries : sequence of Gallery
        Pictures of what a network has learned.
    agreement : sequence of (str, float)
        Procedures by name, and how well each alone agrees with the result.
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
    galleries: Sequence[Gallery] = ()
    agreement: Sequence[tuple[str, float]] = ()

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
        }
        for name, value in described.items():
            if value is not None and len(value) != n:
                raise InputError(
                    f"Every part of a report describes the same rows: labels has {n}, "
                    f"{name} has {len(value)}."
                )
        if self.confusion is not None and self.confusion.shape != (
            len(self.class_names),
            len(self.cluster_names),
        ):
            raise InputError(
                f"confusion has shape {self.confusion.shape}; class_names and cluster_names "
                f"name {len(self.class_names)} x {len(self.cluster_names)}."
            )
