"""Rows that have no direction, which a search by angle would make everybody's neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from fiedler.graph.blocks import Metric, RowBlocks, block_size
from fiedler.graph.fitted import SearchOptions
from fiedler.graph.neighbors import NeighborGraph, NeighborIndex
from fiedler.progress import ProgressCallback, silent

_SAMPLE_ROWS = 256
_SAME_LENGTH = 1e-3


@dataclass(frozen=True)
class DirectedIndex:
    """A neighbour index in which rows of zeros are neighbours of each other only.

    A row of zeros has the same distance to every unit vector, less than most of these have to each
    other. Among normalised rows it would be a neighbour of nearly all, and hold clusters together
    that have nothing in common.

    Attributes
    ----------
    index : NeighborIndex
        Of the rows that have a direction, or of all where lengths mean something.
    directed : ndarray of int64
        These rows.
    zeros : ndarray of int64
        The others.
    by_angle : bool
        Whether rows are compared by direction, so that new rows of zeros have no neighbours beside
        ``zeros``.
    """

    index: NeighborIndex
    directed: np.ndarray
    zeros: np.ndarray
    by_angle: bool

    def graph(self, progress: ProgressCallback = silent) -> NeighborGraph:
        """Find the neighbours of the rows; a single row of zeros is its own."""
        found = self.index.graph(progress)
        if len(self.zeros) == 0:
            return found
        k, m = found.n_neighbors, len(self.zeros)
        indices = np.empty((len(self.directed) + m, k), dtype=np.int64)
        distances = np.zeros(indices.shape, dtype=np.float32)
        indices[self.directed] = self.directed[found.indices]
        distances[self.directed] = found.distances
        steps = 1 + np.arange(k) % max(m - 1, 1)
        indices[self.zeros] = self.zeros[(np.arange(m)[:, None] + steps) % m]
        return NeighborGraph(indices, distances, found.recall)

    def query(self, rows: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest rows of new ones; at distance infinity where there is none."""
        indices, distances = self.index.query(rows, k)
        indices = self.directed[indices]
        if self.by_angle:
            empty = _lengths(rows) == 0
            indices[empty] = np.resize(self.zeros, k) if len(self.zeros) else 0
            distances[empty] = 0.0 if len(self.zeros) else np.inf
        return indices, distances


def directed_index(rows: Any, k: int, metric: Metric, options: SearchOptions) -> DirectedIndex:
    """Prepare rows for a search of k neighbours that leaves rows of zeros to themselves.

    Rows are compared by direction where the metric is the cosine, or all rows but those of zeros
    have the same length (normalised texts), so that Euclidean distance goes by the angle.
    """
    n = int(rows.shape[0])
    zeros = np.empty(0, dtype=np.int64)
    by_angle = metric == "cosine" or _same(_lengths(rows[:_SAMPLE_ROWS]))  # mostly settled by these
    if by_angle:
        lengths = _lengths(rows)
        by_angle = metric == "cosine" or _same(lengths)
        zeros = np.flatnonzero(lengths == 0) if by_angle else zeros
    if not 0 < len(zeros) <= n - 2:
        return DirectedIndex(options.index(rows, k, metric), np.arange(n), zeros[:0], by_angle)
    directed = np.setdiff1d(np.arange(n), zeros)
    index = options.index(rows[directed], min(k, len(directed) - 1), metric)
    return DirectedIndex(index, directed, zeros, by_angle)


def _same(lengths: np.ndarray) -> bool:
    """Tell whether all lengths but zeros are equal, as those of normalised rows are."""
    positive = lengths[lengths > 0]
    return len(positive) > 0 and bool(np.ptp(positive) <= _SAME_LENGTH * positive.max())


def _lengths(rows: Any) -> np.ndarray:
    """Return the Euclidean length of each row, 0 of rows of zeros only: shape (n,)."""
    if sp.issparse(rows):
        return np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1), dtype=np.float64)).ravel()
    d = int(np.prod(rows.shape[1:], dtype=np.int64))
    raw = RowBlocks(rows, shift=torch.zeros(d, dtype=torch.float64))
    blocks = raw.blocks(block_size(d, 4 << 20))
    parts = [torch.linalg.vector_norm(block, dim=1).numpy() for _, block in blocks]
    return np.concatenate(parts) if parts else np.empty(0)
