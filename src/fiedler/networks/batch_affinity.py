"""The affinity among the rows of one batch, as a few tensor operations."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Scale = Literal["global", "local"]


def squared_distances(rows: Tensor) -> Tensor:
    """Return ``|x_i - x_j|^2`` of rows (m, d), shape (m, m), exactly zero on the diagonal."""
    centered = rows - rows.mean(dim=0)
    norms = centered.square().sum(dim=1)
    squared = norms[:, None] + norms - 2.0 * centered @ centered.T
    return squared.clamp_min_(0.0).fill_diagonal_(0.0)


@torch.no_grad()
def batch_affinity(
    rows: Tensor, n_neighbors: int | None, *, scale_neighbor: int, scale: Scale = "global"
) -> Tensor:
    """Return the Gaussian affinity of each row of a batch to its neighbours in the batch.

    ``W_ij = exp(-|x_i - x_j|^2 / (2 sigma^2))`` where ``j`` is among the nearest of ``i``, else 0,
    then ``(W + W^T) / 2`` (SpectralNet, section 3.2).

    Parameters
    ----------
    rows : Tensor of shape (m, d), float32
    n_neighbors : int or None
        Neighbours kept, the row itself not counted. None keeps all: a full Gaussian affinity.
    scale_neighbor : int
        Neighbour whose distance is the scale.
    scale : {"global", "local"}
        ``sigma`` is the median of those distances, or each row's own, where
        ``2 sigma^2`` becomes ``sigma_i sigma_j`` (Zelnik-Manor & Perona 2004).

    Returns
    -------
    Tensor of shape (m, m), float32
        Symmetric, not negative, zero on the diagonal. Fewer neighbours where the batch has fewer
        rows.
    """
    m = len(rows)
    squared = squared_distances(rows.float()).fill_diagonal_(torch.inf)
    most = min(max(n_neighbors or 1, scale_neighbor), m - 1)
    nearest, columns = squared.topk(most, largest=False)
    kth = nearest[:, min(scale_neighbor, most) - 1].sqrt()
    weights = torch.exp(-squared / _two_sigma_squared(kth, scale))
    if n_neighbors is not None and n_neighbors < m - 1:
        kept = torch.zeros_like(weights).scatter_(1, columns[:, :n_neighbors], 1.0)
        weights = weights * kept
    return (weights + weights.T) / 2.0


def _two_sigma_squared(kth: Tensor, scale: Scale) -> Tensor:
    """Return the divisor of the squared distances, positive where rows coincide too."""
    positive = kth[kth > 0]
    typical = positive.median() if len(positive) else torch.ones((), device=kth.device)
    if scale == "global":
        return 2.0 * typical.square()
    own = kth.where(kth > 0, typical)
    return own[:, None] * own
