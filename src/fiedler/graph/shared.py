"""One neighbour search for several affinities of the same rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fiedler.graph.blocks import Metric
from fiedler.graph.fitted import SearchOptions
from fiedler.graph.neighbors import NeighborGraph, NeighborIndex
from fiedler.progress import ProgressCallback, silent


class CutIndex(NeighborIndex):
    """A search index whose own graph was found already and is cut to fewer neighbours."""

    def __init__(self, index: NeighborIndex, graph: NeighborGraph, n_neighbors: int) -> None:
        self.__dict__.update(index.__dict__)
        self.n_neighbors = n_neighbors
        self._graph = graph

    def graph(self, progress: ProgressCallback = silent) -> NeighborGraph:
        """Return the neighbours found before."""
        return self._graph.cut(self.n_neighbors)


@dataclass(frozen=True)
class SharedSearch(SearchOptions):
    """Search options that search the same rows once, for every affinity that is fitted to them.

    Attributes
    ----------
    most_neighbors : int
        Neighbours to search at the first time, at least: the most that an affinity will ask for.
    """

    most_neighbors: int = 1
    _found: dict[Metric, tuple[Any, NeighborIndex, NeighborGraph]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def index(self, rows: Any, n_neighbors: int, metric: Metric) -> NeighborIndex:
        """Return the index of the rows, searched at the first call for these rows."""
        found = self._found.get(metric)
        if found is None or not _same(found[0], rows) or found[2].n_neighbors < n_neighbors:
            most = min(self.most_neighbors, int(rows.shape[0]) - 1)
            index = super().index(rows, max(n_neighbors, most), metric)
            found = (rows, index, index.graph(self.progress))
            self._found[metric] = found
        return CutIndex(found[1], found[2], n_neighbors)


def _same(first: Any, second: Any) -> bool:
    """Tell whether two arrays hold the same rows: affinities may each cut them out again."""
    if first is second:
        return True
    arrays = isinstance(first, np.ndarray) and isinstance(second, np.ndarray)
    return arrays and first.shape == second.shape and bool((first == second).all())
