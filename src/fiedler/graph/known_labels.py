"""Known labels of some rows, worked into an affinity (SpectralNet's semi-supervised setting)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from fiedler.exceptions import InputError

UNKNOWN = -1
# Partners that a row with a known label is tied to; more make the few labels outweigh the graph.
_PARTNERS = 5


@dataclass(frozen=True)
class KnownGraph:
    """A graph whose rows are in part of known label.

    Attributes
    ----------
    matrix : csr_matrix of shape (n, n)
        Symmetric affinity, the labels worked in (:func:`constrain_graph`).
    labels : ndarray of shape (n,), int64
        -1 where unknown.
    """

    matrix: sp.csr_matrix
    labels: np.ndarray


def check_known_labels(labels: object, n: int) -> np.ndarray:
    """Return labels as integers of shape (n,), -1 for unknown ones.

    Raises
    ------
    InputError
        If their shape or type is another, or one is below -1.
    """
    known = np.asarray(labels)
    if known.shape != (n,) or known.dtype.kind not in "iu":
        raise InputError(
            f"known_labels must be integers of shape ({n},), -1 where unknown; got shape "
            f"{known.shape} of {known.dtype}."
        )
    if known.size and known.min() < UNKNOWN:
        raise InputError(
            f"known_labels must not be below -1, which stands for unknown; got {known.min()}."
        )
    return known.astype(np.int64)


def constrain_graph(
    graph: sp.csr_matrix, labels: np.ndarray, rng: np.random.Generator
) -> sp.csr_matrix:
    """Cut the edges between different known labels, and tie rows of the same one.

    Parameters
    ----------
    graph : csr_matrix of shape (n, n)
        Symmetric affinity.
    labels : ndarray of shape (n,), int64
        -1 where unknown.
    rng : numpy Generator
        Each row of known label is tied to five random others of its label, by an edge of the mean
        weight.

    Returns
    -------
    csr_matrix of shape (n, n)
        Symmetric.
    """
    entries = graph.tocoo()
    ends = labels[entries.row], labels[entries.col]
    apart = (ends[0] != ends[1]) & (ends[0] != UNKNOWN) & (ends[1] != UNKNOWN)
    kept = ~apart
    shape = graph.shape
    cut = sp.csr_matrix((entries.data[kept], (entries.row[kept], entries.col[kept])), shape=shape)
    weight = float(graph.data.mean()) if graph.nnz else 1.0
    left, right = _partners(labels, rng)
    ties = sp.csr_matrix((np.full(len(left), weight), (left, right)), shape=shape)
    ties.data = np.minimum(ties.data, weight)
    return sp.csr_matrix(cut.maximum(ties).maximum(ties.T))


def constrain_batch(affinity: Tensor, labels: Tensor) -> Tensor:
    """Tie equal known labels as closely as any rows are, and different ones not at all, in a copy.

    Parameters
    ----------
    affinity : Tensor of shape (m, m)
        Not negative, zero on the diagonal. Its largest weight, or 1 where there is none, is that of
        equal labels.
    labels : Tensor of shape (m,), int64
        -1 where unknown; on the same device.
    """
    known = labels != UNKNOWN
    both = known[:, None] & known
    largest = affinity.max()
    closest = torch.where(largest > 0, largest, torch.ones_like(largest))
    equal = (labels[:, None] == labels) * closest
    return torch.where(both, equal, affinity).fill_diagonal_(0.0)


def _partners(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends of the ties, each row's partners drawn from its label's other rows."""
    left, right = [], []
    for label in np.unique(labels[labels != UNKNOWN]):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 2:
            continue
        own = np.repeat(np.arange(len(rows)), _PARTNERS)
        other = (own + rng.integers(1, len(rows), size=len(own))) % len(rows)
        left.append(rows[own])
        right.append(rows[other])
    empty = np.empty(0, dtype=np.int64)
    return np.concatenate([empty, *left]), np.concatenate([empty, *right])
