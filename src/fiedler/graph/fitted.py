"""What every affinity gives when it is fitted, and what every affinity needs for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from fiedler.graph.blocks import Metric
from fiedler.graph.kernel import AffinityMatrix
from fiedler.graph.neighbors import NeighborGraph, NeighborIndex, SearchMethod
from fiedler.progress import ProgressCallback, silent


@dataclass(frozen=True)
class SearchOptions:
    """How neighbours are searched: see :class:`fiedler.graph.NeighborIndex`."""

    method: SearchMethod = "auto"
    recall: float = 0.98
    seed: int = 0
    device: str = "cpu"
    progress: ProgressCallback = silent

    def index(self, rows: Any, n_neighbors: int, metric: Metric) -> NeighborIndex:
        """Prepare rows for search with these options."""
        return NeighborIndex(
            rows,
            n_neighbors,
            metric=metric,
            method=self.method,
            recall=self.recall,
            random_state=self.seed,
            device=self.device,
            check=False,
        )


@dataclass(frozen=True)
class CrossAffinity:
    """The affinity of m new rows to n fitted ones.

    Attributes
    ----------
    weights : csr_matrix or ndarray of shape (m, n)
    twins : ndarray of shape (m,), int64
        The first fitted row that a new row equals, -1 where there is none or none is known.
    """

    weights: sp.csr_matrix | np.ndarray
    twins: np.ndarray


@dataclass(frozen=True)
class FittedAffinity:
    """An affinity of n rows and its extension to new ones.

    Attributes
    ----------
    matrix : scipy.sparse.csr_matrix, ndarray or KernelOperator of shape (n, n)
        Symmetric, not negative.
    cross : callable
        ``cross(new_rows) -> CrossAffinity``: the affinity of new rows to the fitted ones.
    state : dict of str to ndarray
        What the data decided (scales, radius), to restore the affinity without refitting.
    neighbors : NeighborGraph or None
        The neighbours it was made from.
    """

    matrix: sp.csr_matrix | np.ndarray | AffinityMatrix
    cross: Callable[[Any], CrossAffinity]
    state: dict[str, np.ndarray]
    neighbors: NeighborGraph | None = None


class Affinity(Protocol):
    """What the dispatcher accepts beside names."""

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Fit to rows of shape (n, ...)."""

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Rebuild a fitted affinity from its rows and ``state``; its ``matrix`` is left empty."""


def find_twins(indices: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Return the lowest fitted row at distance zero of each new row, or -1: (m, k) to (m,)."""
    equal = distances == 0
    none = np.iinfo(np.int64).max
    lowest = np.where(equal, indices, none).min(axis=1)
    return np.where(equal.any(axis=1), lowest, -1)
