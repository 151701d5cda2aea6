"""How the spectral map sees the graph: pairs along its edges, all of it, or random batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from fiedler.exceptions import InputError
from fiedler.networks.augment import RandomAffine, random_views, warp
from fiedler.networks.build import as_images, from_images
from fiedler.networks.losses import known_pair_loss, pair_loss, spectral_loss
from fiedler.networks.orthonormal import Orthonormalization, orthonormal_weights
from fiedler.training.loop import Task
from fiedler.training.precision import Precision, autocast
from fiedler.training.processes import gather, own_part
from fiedler.training.reader import RowReader

# Keeps a batch with few distinct rows factorisable; a thousandth of a percent of the scale.
_RIDGE = 1e-5


@dataclass(frozen=True)
class Forward:
    """How a task computes outputs: the network, its rows, the precision, the output layer.

    Parameters
    ----------
    module : nn.Module
        From rows (m, d) to outputs (m, k), not yet orthonormal.
    reader : RowReader
    precision : Precision
    orthonormalization : {"cholesky", "qr"}
    """

    module: nn.Module
    reader: RowReader
    precision: Precision = "auto"
    orthonormalization: Orthonormalization = "cholesky"

    def outputs(self, rows: Tensor, total: int) -> Tensor:
        """Return this process's rows through the network, gathered to all ``total`` rows."""
        with autocast(self.reader.device, self.precision):
            part = self.module(rows)
        return gather(part.float(), total)

    def take(self, indices: np.ndarray) -> Tensor:
        """Return this process's part of the rows of a batch."""
        return self.reader.take(indices[own_part(len(indices))])

    def weights(self, outputs: Tensor) -> Tensor:
        """Return the orthonormal layer's weights for a batch."""
        ridge = _RIDGE if self.orthonormalization == "cholesky" else 0.0
        return orthonormal_weights(outputs, self.orthonormalization, ridge=ridge)


class PairTask(Task):
    """Pairs along the edges of the whole graph, orthonormal over the batch that they make.

    An edge is drawn in proportion to its weight, so the loss estimates the whole graph's, and the
    rows of a batch hold their true neighbours however many rows there are. With views, a part of
    the pairs are two views of one row, and the others too are seen through random views.

    Parameters
    ----------
    forward : Forward
    graph : csr_matrix of shape (n, n)
        Symmetric affinity.
    batch_size : int
        Rows of a batch: half as many pairs.
    normalized : bool
        Orthonormal in the measure of the degrees (random-walk Laplacian), else in that of the rows
        (unnormalised Laplacian).
    known : ndarray of shape (n,), int64, or None
        Cluster of each row, -1 where unknown: all pairs of one in a batch count, with half of the
        weight of their rows.
    views : RandomAffine or None
        Random views of images.
    image_shape : tuple of int or None
        Needed with views.
    same_row : float
        Share of pairs that are two views of one row.
    """

    def __init__(
        self,
        forward: Forward,
        graph: sp.csr_matrix,
        batch_size: int,
        *,
        normalized: bool = True,
        known: np.ndarray | None = None,
        views: RandomAffine | None = None,
        image_shape: tuple[int, ...] | None = None,
        same_row: float = 0.5,
    ) -> None:
        self.module, self._forward = forward.module, forward
        _require_edges(graph)
        upper = sp.triu(graph, k=1, format="coo")
        self._left, self._right = upper.row, upper.col
        self._steps_to(upper.data)
        self._factors = None if normalized else _inverse_root_degrees(graph)
        self._pairs, self._views, self._shape = batch_size // 2, views, image_shape
        self._known = known
        self._same_row = same_row if views is not None else 0.0
        self.steps_per_epoch = max(1, graph.shape[0] // batch_size)

    def _steps_to(self, weights: np.ndarray) -> None:
        """Prepare drawing edges in proportion to their weights (None: all weigh the same)."""
        even = bool(np.ptp(weights) <= 1e-9 * weights.max())
        self._cumulated = None if even else np.cumsum(weights, dtype=np.float64)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return row numbers (2 m,): the left ends of m pairs, then the right ends."""
        if self._cumulated is None:
            edges = rng.integers(len(self._left), size=self._pairs)
        else:
            at = rng.random(self._pairs) * self._cumulated[-1]
            edges = np.searchsorted(self._cumulated, at, side="right")
        turned = rng.random(self._pairs) < 0.5
        left = np.where(turned, self._right[edges], self._left[edges])
        right = np.where(turned, self._left[edges], self._right[edges])
        alone = rng.random(self._pairs) < self._same_row
        return np.concatenate([left, np.where(alone, left, right)])

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        """Return the mean squared distance of the pairs' orthonormal outputs."""
        indices = self.draw(rng)
        rows = self._seen(self._forward.take(indices), len(indices), rng)
        outputs = self._forward.outputs(rows, len(indices))
        measured = outputs
        if self._factors is not None:
            factors = torch.from_numpy(self._factors[indices]).to(outputs)
            measured = outputs * (factors / factors.square().mean().sqrt())[:, None]
        weights = self._forward.weights(measured)
        ends = outputs.to(weights.dtype) @ weights
        left, right = ends[: self._pairs], ends[self._pairs :]
        if self._known is None:
            return pair_loss(left, right)
        labels = torch.from_numpy(self._known[indices]).to(ends.device)
        return known_pair_loss(left, right, labels)

    def _seen(self, rows: Tensor, total: int, rng: np.random.Generator) -> Tensor:
        """Return rows through random views."""
        if self._views is None:
            return rows
        assert self._shape is not None
        generator = torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))
        views = random_views(total, self._views, generator)[own_part(total)]
        return from_images(warp(as_images(rows, self._shape), views))


class WholeTask(Task):
    """All rows at every step, with their whole graph: exact, for few rows.

    Parameters
    ----------
    forward : Forward
    graph : csr_matrix of shape (n, n)
        Symmetric affinity.
    normalized : bool
        As in :class:`PairTask`.
    """

    def __init__(self, forward: Forward, graph: sp.csr_matrix, *, normalized: bool = True) -> None:
        self.module, self._forward = forward.module, forward
        _require_edges(graph)
        device = forward.reader.device
        self._affinity = torch.from_numpy(graph.toarray().astype(np.float32)).to(device)
        degrees = self._affinity.sum(dim=1)
        self._factors = (degrees / degrees.mean()).sqrt()[:, None] if normalized else None
        self.steps_per_epoch = 1
        self._indices = np.arange(len(forward.reader))

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        """Return the spectral loss of all rows, in units of the mean degree."""
        outputs = self._forward.outputs(self._forward.take(self._indices), len(self._indices))
        weights = self._forward.weights(
            outputs if self._factors is None else outputs * self._factors
        )
        ends = outputs.to(weights.dtype) @ weights
        return _in_degrees(spectral_loss(ends, self._affinity), self._affinity)


BatchAffinityFunction = Callable[[np.ndarray], Tensor]


class BatchTask(Task):
    """Batches of random rows with the affinity among them, as published.

    Parameters
    ----------
    forward : Forward
    affinity : callable
        From row numbers (m,) to their affinity, Tensor of shape (m, m).
    batch_size : int
    normalized : bool
        The loss of the normalised Laplacian.
    alternate : bool
        Train as published: one batch sets the orthonormal layer, another is mapped by it.
        Otherwise one batch does both. The gradient flows through the factorisation either way, as
        in the authors' program: without, the outputs shrink towards one vector.
    """

    def __init__(
        self,
        forward: Forward,
        affinity: BatchAffinityFunction,
        batch_size: int,
        *,
        normalized: bool = True,
        alternate: bool = False,
    ) -> None:
        self.module, self._forward, self._affinity = forward.module, forward, affinity
        n = len(forward.reader)
        self._size = min(batch_size, n)
        self._normalized, self._alternate = normalized, alternate
        self.steps_per_epoch = max(1, math.ceil(n / self._size))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return distinct random row numbers; all of them where they fit."""
        n = len(self._forward.reader)
        if self._size == n:
            return np.arange(n)
        return np.sort(rng.choice(n, self._size, replace=False))

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        """Return the spectral loss of a batch's orthonormal outputs."""
        weights = None
        if self._alternate:
            weights = self._forward.weights(self._outputs(self.draw(rng)))
        indices = self.draw(rng)
        outputs = self._outputs(indices)
        if weights is None:
            weights = self._forward.weights(outputs)
        affinity = self._affinity(indices).to(outputs.device)
        if step == 0 and not affinity.any():
            raise InputError(
                f"no two of {len(indices)} rows have an affinity above zero: there is nothing to "
                "train on. Check the affinity function, or give fewer different known_labels."
            )
        ends = outputs.to(weights.dtype) @ weights
        loss = spectral_loss(ends, affinity, normalized=self._normalized)
        # normalised it has no units of degree to be freed of
        return loss * len(indices) if self._normalized else _in_degrees(loss, affinity)

    def _outputs(self, indices: np.ndarray) -> Tensor:
        return self._forward.outputs(self._forward.take(indices), len(indices))


def _require_edges(graph: sp.csr_matrix) -> None:
    """Refuse a graph that ties no two rows together."""
    if graph.nnz == 0 or graph.sum() <= graph.diagonal().sum():
        raise InputError(
            "the graph has no edges to train on; raise n_neighbors (or the scale of Epsilon), or "
            "give fewer different known_labels."
        )


def _in_degrees(loss: Tensor, affinity: Tensor) -> Tensor:
    """Return a loss in units of the mean degree: the learning rate means the same for any graph."""
    return loss * (len(affinity) ** 2 / affinity.sum().clamp_min(1e-12)).to(loss.dtype)


def _inverse_root_degrees(graph: sp.csr_matrix) -> np.ndarray:
    degrees = np.asarray(graph.sum(axis=1), dtype=np.float64).ravel()
    return np.asarray(1.0 / np.sqrt(np.where(degrees > 0, degrees, 1.0)))
