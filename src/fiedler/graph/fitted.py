"""What every affinity gives when it is fitted, and what every affinity needs for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from fiedler.exceptions import InputError
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
        )


@dataclass(frozen=True)
class FittedAffinity:
    """An affinity of n rows and its extension to new ones.

    Attributes
    ----------
    matrix : scipy.sparse.csr_matrix, ndarray or KernelOperator of shape (n, n)
        Symmetric, not negative.
    cross : callable
        ``cross(new_rows) -> csr_matrix or ndarray of shape (m, n)``: the affinity of new rows to
        the fitted ones.
    nearest : callable
        ``nearest(new_rows) -> (indices, distances)`` of the single nearest fitted row, each of
        shape (m,).
    state : dict of str to ndarray
        What the data decided (scales, radius), to restore the affinity without refitting.
    neighbors : NeighborGraph or None
        The neighbours it was made from.
    """

    matrix: sp.csr_matrix | np.ndarray | AffinityMatrix
    cross: Callable[[Any], sp.csr_matrix | np.ndarray]
    nearest: Callable[[Any], tuple[np.ndarray, np.ndarray]] | None
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


def nearest_with(index: NeighborIndex) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
    """Return the function that finds the single nearest fitted row of each new one."""

    def nearest(new: Any) -> tuple[np.ndarray, np.ndarray]:
        indices, distances = index.query(new, 1)
        return indices[:, 0], distances[:, 0]

    return nearest


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise InputError, naming the parameter and its choices, for any other value."""
    if value not in allowed:
        raise InputError(f"{name} must be one of {list(allowed)}, got {value!r}.")
