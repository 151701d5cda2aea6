"""The losses of SpectralNet, each under its equation."""

from __future__ import annotations

import torch
from torch import Tensor


def spectral_loss(outputs: Tensor, affinity: Tensor, *, normalized: bool = False) -> Tensor:
    """Return ``1/m^2 sum_ij W_ij |y_i - y_j|^2`` (SpectralNet, the batch loss of section 3.1).

    Computed as ``2/m^2 (sum_i d_i |y_i|^2 - sum_ij W_ij y_i . y_j)``: two matrix products.

    Parameters
    ----------
    outputs : Tensor of shape (m, k)
        ``y``, orthonormal columns.
    affinity : Tensor of shape (m, m)
        ``W``, symmetric, not negative.
    normalized : bool
        Divide ``y_i`` by ``sqrt(d_i)`` first, with ``d_i = sum_j W_ij`` (same section), so that the
        normalised Laplacian's eigenvectors minimise it.

    Returns
    -------
    Tensor, scalar
    """
    m = len(outputs)
    affinity = affinity.to(outputs.dtype)
    degrees = affinity.sum(dim=1)
    if normalized:
        outputs = outputs / degrees.where(degrees > 0, 1.0).sqrt()[:, None]
    own = (degrees[:, None] * outputs.square()).sum()
    return 2.0 * (own - (outputs * (affinity @ outputs)).sum()) / m**2


def pair_loss(left: Tensor, right: Tensor) -> Tensor:
    """Return the mean of ``|y_i - y_j|^2`` over given pairs, the edges of a graph.

    With edges drawn in proportion to their weight it estimates :func:`spectral_loss` over the whole
    graph, up to a factor; and each row then occurs in proportion to its degree, so that
    orthonormality over the batch is ``Y^T D Y = I``: the constraint of the random-walk Laplacian.

    Parameters
    ----------
    left, right : Tensor of shape (m, k)
    """
    return (left - right).square().sum(dim=1).mean()


def known_pair_loss(left: Tensor, right: Tensor, labels: Tensor) -> Tensor:
    """Return :func:`pair_loss`, half of it over all pairs of one cluster in the batch.

    Rows of one cluster are tied to each other. A batch holds many more such pairs than were drawn,
    and their mean costs one product: over the other rows of its cluster, ``n`` with itself, of mean
    ``c`` and mean square ``v`` about it, the mean of ``|y_i - y_j|^2`` is
    ``(|y_i - c|^2 + v) n / (n - 1)``. So much less is left to the draw that a batch can be small.

    Parameters
    ----------
    left, right : Tensor of shape (m, k)
        The ends of the pairs that were drawn.
    labels : Tensor of shape (2 m,), int64
        Cluster of each left, then of each right end, from 0 without large gaps; -1 where unknown.
        Such rows, and those without another of their cluster, count by their pair alone.
    """
    outputs = torch.cat([left, right])
    clusters = torch.arange(int(labels.max()) + 1, device=labels.device)
    member = (labels[:, None] == clusters).to(outputs.dtype)
    count = member.sum(dim=0)
    own = member / count.clamp_min(1.0)
    squared = (outputs - member @ (own.T @ outputs)).square().sum(dim=1)
    others = (member @ count - 1.0).clamp_min(1.0)
    together = (squared + member @ (own.T @ squared)) * (others + 1.0) / others
    drawn = (left - right).square().sum(dim=1).repeat(2)
    return torch.where(member @ count > 1.0, (drawn + together) / 2.0, drawn).mean()


def contrastive_loss(
    left: Tensor, right: Tensor, positive: Tensor, *, margin: float = 1.0
) -> Tensor:
    """Return the Siamese loss (Hadsell et al. 2006; SpectralNet, section 3.2).

    ``|a - b|^2`` for positive pairs, ``max(margin - |a - b|, 0)^2`` for negative ones, their mean.

    Parameters
    ----------
    left, right : Tensor of shape (m, d)
    positive : Tensor of shape (m,), bool
    margin : float
        Distance that negative pairs shall have at least.
    """
    squared = (left - right).square().sum(dim=1)
    # the root has no gradient at zero
    distance = squared.clamp_min(1e-12).sqrt()
    apart = (margin - distance).clamp_min(0.0).square()
    return torch.where(positive, squared, apart).mean()
