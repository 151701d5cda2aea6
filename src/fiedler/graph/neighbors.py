"""One neighbour search for everything: ``NeighborGraph`` and the index that makes it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from fiedler.data.arrays import as_rows
from fiedler.data.values import refuse_unusable
from fiedler.exceptions import InputError
from fiedler.graph.blocks import Metric, RowBlocks
from fiedler.graph.calibration import probes_for, true_neighbors
from fiedler.graph.cell_directions import choose_scan
from fiedler.graph.cell_search import search_cells
from fiedler.graph.cells import CellIndex, build_cells
from fiedler.graph.exact_search import exact_search
from fiedler.progress import ProgressCallback, silent

SearchMethod = Literal["auto", "exact", "cells"]
_logger = logging.getLogger(__name__)
# Below this many multiply-adds an exact search takes about a tenth of a second on two cores.
_EXACT_PRODUCTS = 1.5e10
_EXACT_PRODUCTS_GPU = 2e13


@dataclass(frozen=True)
class NeighborGraph:
    """The k nearest neighbours of every row, nearest first, the row itself left out.

    Attributes
    ----------
    indices : ndarray of shape (n, k), int64
    distances : ndarray of shape (n, k), float32
        In the units of the rows (for the cosine metric: between unit vectors).
    recall : float
        Share of true neighbours found, 1.0 for an exact search, else measured on a sample.
    """

    indices: np.ndarray
    distances: np.ndarray
    recall: float = 1.0

    @property
    def n_neighbors(self) -> int:
        """Neighbours per row."""
        return int(self.indices.shape[1])

    def cut(self, k: int) -> NeighborGraph:
        """Return the graph of the ``k`` nearest neighbours (views: nothing is computed)."""
        if not 1 <= k <= self.n_neighbors:
            raise InputError(f"cannot cut {self.n_neighbors} neighbours to k = {k}.")
        return NeighborGraph(self.indices[:, :k], self.distances[:, :k], self.recall)


def _is_share(value: Any) -> bool:
    """Tell whether this is a number above 0 and at most 1."""
    return isinstance(value, (int, float, np.number)) and bool(0.0 < value <= 1.0)


class NeighborIndex:
    """Rows prepared for neighbour search, for the rows themselves and for new ones.

    Parameters
    ----------
    rows : array-like of shape (n, ...)
        Searched rows: numpy, torch, memory map, scipy sparse, image folder.
    n_neighbors : int
        Neighbours for which the recall is calibrated.
    metric : {"euclidean", "cosine"}
    method : {"auto", "exact", "cells"}
        ``"exact"``: blocked matrix products, every pair. ``"cells"``: an inverted file scanned by
        matrix products. ``"auto"``: exact while that takes a fraction of a second.
    recall : float in (0, 1]
        Share of true neighbours that ``"cells"`` must find.
    random_state : int or numpy Generator
        Seed of the coarse cells.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"mps"``.
    check : bool
        Whether to look for rows that cannot be searched (NaN, infinity, no numbers), here and among
        queries; False where that was done already.

    Raises
    ------
    InputError
        If the rows are unusable, ``n_neighbors`` is not between 1 and ``n - 1``, or an option is
        unknown.
    """

    def __init__(
        self,
        rows: Any,
        n_neighbors: int,
        *,
        metric: Metric = "euclidean",
        method: SearchMethod = "auto",
        recall: float = 0.98,
        random_state: int | np.random.Generator = 0,
        device: str = "cpu",
        check: bool = True,
    ) -> None:
        if method not in ("auto", "exact", "cells"):
            raise InputError(f"method must be 'auto', 'exact' or 'cells', got {method!r}.")
        if not _is_share(recall):
            raise InputError(f"recall must be in (0, 1], got {recall!r}.")
        self._check = check
        self.blocks = RowBlocks(self._checked(rows), metric)
        n, d = self.blocks.shape
        if not 1 <= n_neighbors <= n - 1:
            raise InputError(
                f"n_neighbors must be between 1 and the number of rows less one, {n - 1}; "
                f"got {n_neighbors}."
            )
        self.device = torch.device(device)
        self.n_neighbors = n_neighbors
        self.cells: CellIndex | None = None
        self.recall = 1.0
        budget = _EXACT_PRODUCTS_GPU if self.device.type == "cuda" else _EXACT_PRODUCTS
        if method == "cells" or (method == "auto" and recall < 1 and float(n) * n * d > budget):
            self._build_cells(recall, np.random.default_rng(random_state))

    def _checked(self, rows: Any) -> Any:
        """Return rows that can be searched, refusing others."""
        if not self._check:
            return rows
        rows = as_rows(rows, "X")
        refuse_unusable(rows)
        return rows

    def _build_cells(self, recall: float, rng: np.random.Generator) -> None:
        """Group the rows into cells and measure how many of them a search must probe."""
        self._truth = true_neighbors(self.blocks, self.n_neighbors, rng, self.device)
        scan = choose_scan(self.blocks, self._truth, recall, rng)
        self.cells = build_cells(self.blocks, rng, self.device, scan.directions, scan.dtype)
        self._n_probes = probes_for(self.cells, self.blocks, self._truth, scan.found, recall)

    def graph(self, progress: ProgressCallback = silent) -> NeighborGraph:
        """Find the neighbours of the rows themselves."""
        if self.cells is None:
            indices, distances = exact_search(
                self.blocks,
                self.blocks,
                self.n_neighbors,
                own=np.arange(len(self.blocks)),
                device=self.device,
                progress=progress,
            )
            return NeighborGraph(indices, distances)
        cells = self.cells
        found, distances = search_cells(
            cells, None, self.n_neighbors, self._n_probes, progress=progress
        )
        order = cells.order.numpy()
        indices = np.empty_like(found)
        indices[order] = order[found]
        sorted_back = np.empty_like(distances)
        sorted_back[order] = distances
        self.recall = self._truth.recall_of(sorted_back)
        _logger.info(
            "%d of %d cells probed in %d of %d dimensions, recall %.4f",
            self._n_probes,
            len(cells.sizes),
            cells.centroids.shape[1],
            self.blocks.shape[1],
            self.recall,
        )
        return NeighborGraph(indices, sorted_back, self.recall)

    def query(
        self, rows: Any, k: int, progress: ProgressCallback = silent
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest indexed rows of new rows.

        Returns
        -------
        indices : ndarray of shape (m, k), int64
        distances : ndarray of shape (m, k), float32
        """
        queries = RowBlocks(self._checked(rows), self.blocks.metric, self.blocks.shift)
        if queries.shape[1] != self.blocks.shape[1]:
            raise InputError(
                f"new rows have {queries.shape[1]} features, the index {self.blocks.shape[1]}."
            )
        if self.cells is None:
            return exact_search(
                self.blocks, queries, k, own=None, device=self.device, progress=progress
            )
        found, distances = search_cells(self.cells, queries, k, self._n_probes, progress=progress)
        return self.cells.order.numpy()[found], distances


def nearest_neighbors(
    rows: Any,
    n_neighbors: int,
    *,
    metric: Metric = "euclidean",
    method: SearchMethod = "auto",
    recall: float = 0.98,
    random_state: int = 0,
    device: str = "cpu",
    check: bool = True,
    progress: ProgressCallback = silent,
) -> NeighborGraph:
    """Find the nearest neighbours of every row among the others.

    Parameters
    ----------
    rows, n_neighbors, metric, method, recall, random_state, device, check
        As for :class:`NeighborIndex`.
    progress : callable
        Called as ``progress("neighbors", done, n)``.

    Returns
    -------
    NeighborGraph
        Indices and distances of shape (n, n_neighbors).

    Raises
    ------
    InputError
        As for :class:`NeighborIndex`.
    """
    index = NeighborIndex(
        rows,
        n_neighbors,
        metric=metric,
        method=method,
        recall=recall,
        random_state=random_state,
        device=device,
        check=check,
    )
    return index.graph(progress)
