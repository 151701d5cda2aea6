"""The terms of the dual autoencoder's loss (Yang et al., CVPR 2019), each under its equation.

``L_r = relative + delta * reconstruction``, ``L_e = beta * (global + local information) + gamma *
prior``; the weights are those of :class:`fiedler.training.DualLoss`, the spectral network's ``L_c``
is :func:`fiedler.networks.losses.spectral_loss`. Each is a mean over the rows of a batch, of a sum
over pixels or code dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def noisy(codes: Tensor, sigma: float, noise: Tensor) -> Tensor:
    """Return ``psi(z) = z * (1 + sigma * e)``, ``e`` standard normal: the noisy code of ``L_r``.

    Parameters
    ----------
    codes : Tensor of shape (m, d)
    sigma : float
    noise : Tensor of shape (m, d)
        ``e``.
    """
    return codes * (1.0 + sigma * noise)


def sampled(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Return ``z = mu + sigma * e`` of ``p(z|x)``, e standard normal (Kingma & Welling 2014)."""
    return mean + (0.5 * log_variance).exp() * noise


def reconstruction_loss(images: Tensor, decoded: Tensor) -> Tensor:
    """Return ``|x - dec(z)|^2``, the second term of ``L_r``; of rows (m, d)."""
    return (images - decoded).square().sum(dim=1).mean()


def relative_loss(decoded: Tensor, decoded_noisy: Tensor) -> Tensor:
    """Return ``|dec(psi(z)) - dec(z)|^2``, the first term of ``L_r``: two decodings agree."""
    return (decoded_noisy - decoded).square().sum(dim=1).mean()


def information_loss(joint: Tensor, product: Tensor) -> Tensor:
    """Return ``-(E[log s(T(x, z))] + E[log(1 - s(T(x, z')))])``, s the logistic function.

    The global term of ``L_e`` with the critic ``T``; with scores ``T2(C_uv, z)`` of each place,
    shape (m, h, w), the local one, ``1/(h w) sum_uv`` of it. The minimum over T is ``2 log 2`` less
    twice the Jensen-Shannon divergence between the joint distribution of x and z and the product
    of theirs.

    Parameters
    ----------
    joint : Tensor
        Scores of rows with their own codes.
    product : Tensor
        Scores of rows with the codes of others.
    """
    return F.softplus(-joint).mean() + F.softplus(product).mean()


def prior_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return ``KL(p(z|x) || N(0, I))``, the prior's term of ``L_e`` in pretraining; of (m, d)."""
    return cluster_prior_loss(mean, log_variance, torch.zeros_like(mean))


def cluster_prior_loss(mean: Tensor, log_variance: Tensor, centers: Tensor) -> Tensor:
    """Return ``KL(p(z|x) || N(mu_y, I))``, the prior's term in the joint phase.

    One Gaussian for each cluster y, ``p(z|x) = N(mu, sigma^2)``:
    ``1/2 sum (sigma^2 + (mu - mu_y)^2 - 1 - log sigma^2)``.

    Parameters
    ----------
    mean, log_variance : Tensor of shape (m, d)
    centers : Tensor of shape (m, d)
        ``mu_y`` of each row's cluster.
    """
    apart = (mean - centers).square()
    return 0.5 * (log_variance.exp() + apart - 1.0 - log_variance).sum(dim=1).mean()
