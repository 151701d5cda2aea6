"""The Gaussian affinity of all pairs: formed for few rows, an operator for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from fiedler.data.checks import check_choice, check_whole, is_positive
from fiedler.exceptions import InputError
from fiedler.graph.blocks import RowBlocks
from fiedler.graph.fitted import (
    CrossAffinity,
    FittedAffinity,
    SearchOptions,
    find_twins,
)
from fiedler.graph.kernel import KernelOperator, median_sigma
from fiedler.graph.neighbors import NeighborGraph, NeighborIndex

# Up to this many rows a full affinity is formed: 4,000 squared in float64 is 128 MB.
_FORMED_ROWS = 4000


@dataclass(frozen=True)
class Gaussian:
    """Full Gaussian affinity of all pairs, formed only for few rows.

    Parameters
    ----------
    sigma : float or {"median", "self-tuning"}
        Width in the units of the rows; ``"median"``: the median distance to the
        ``scale_neighbor``-th neighbour; ``"self-tuning"``: ``exp(-d^2 / (s_i s_j))`` with each
        row's own distance (Zelnik-Manor & Perona 2004).
    scale_neighbor : int
        Neighbour whose distance is the scale.
    """

    sigma: float | Literal["median", "self-tuning"] = "median"
    scale_neighbor: int = 7

    def fit(self, rows: Any, options: SearchOptions) -> FittedAffinity:
        """Choose the scales from the data and set up the kernel."""
        check_whole("scale_neighbor", self.scale_neighbor)
        n = int(rows.shape[0])
        k = self.reach(n)
        index = options.index(rows, k, "euclidean")
        graph = index.graph(options.progress)
        scales = self._scales(graph.distances[:, k - 1].astype(float))
        kernel = self._kernel(index, scales, options.device)
        matrix = kernel.block(np.arange(n), np.arange(n)) if self.forms(n) else kernel
        if isinstance(matrix, np.ndarray):
            matrix = (matrix.astype(np.float64) + matrix.T) / 2
        return self._fitted(matrix, kernel, index, scales, k, graph)

    def forms(self, n: int) -> bool:
        """Tell whether the affinity of n rows is a matrix, or an operator."""
        return n <= _FORMED_ROWS

    def reach(self, n: int) -> int:
        """Return the neighbours that a fit to n rows searches."""
        return min(self.scale_neighbor, n - 1)

    def restore(
        self, rows: Any, state: dict[str, np.ndarray], options: SearchOptions
    ) -> FittedAffinity:
        """Rebuild the kernel; the scales come from ``state``."""
        k = self.reach(int(rows.shape[0]))
        index = options.index(rows, k, "euclidean")
        kernel = self._kernel(index, state["scales"], options.device)
        return self._fitted(sp.csr_matrix((0, 0)), kernel, index, state["scales"], k, None)

    def _scales(self, kth: np.ndarray) -> np.ndarray:
        """Return s with ``W_ij = exp(-d^2 / (s_i s_j))`` for every choice of sigma."""
        if isinstance(self.sigma, str):
            check_choice("sigma", self.sigma, ("median", "self-tuning"))
            sigma = median_sigma(kth)
            if self.sigma == "self-tuning":
                return np.where(kth > 0, kth, sigma)
        else:
            if not is_positive(self.sigma):
                raise InputError(f"Gaussian needs a positive sigma, got {self.sigma!r}.")
            sigma = float(self.sigma)
        return np.full(len(kth), np.sqrt(2.0) * sigma)

    def _kernel(self, index: NeighborIndex, scales: np.ndarray, device: str) -> KernelOperator:
        dense = index.blocks.take(slice(None)).numpy()
        return KernelOperator(dense, scales=scales, device=device)

    def _fitted(
        self,
        matrix: Any,
        kernel: KernelOperator,
        index: NeighborIndex,
        scales: np.ndarray,
        k: int,
        graph: NeighborGraph | None,
    ) -> FittedAffinity:
        def cross(new: Any) -> CrossAffinity:
            queries = RowBlocks(new, shift=index.blocks.shift)
            indices, distances = index.query(new, k)
            own = np.full(len(queries), scales[0])
            if self.sigma == "self-tuning":
                own = np.where(distances[:, -1] > 0, distances[:, -1], scales[indices[:, 0]])
            weights = kernel.cross(queries.take(slice(None)).numpy(), scales=own)
            return CrossAffinity(weights, find_twins(indices, distances))

        return FittedAffinity(matrix, cross, {"scales": scales}, graph)
