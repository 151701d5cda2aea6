"""The terms of the dual autoencoder's loss (Yang et al., CVPR 2019), each under its equation.

Each is a mean over the rows of a batch, of a sum over pixels or code dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def noisy(codes: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Return ``psi(z) = z * (1 + sigma * e)``, ``e`` standard normal: multiplicative noise.

    Parameters
    ----------
    codes : Tensor of shape (m, d)
    sigma : float
    generator : torch.Generator
        On the CPU.
    """
    return codes * (1.0 + sigma * torch.randn(codes.shape, generator=generator).to(codes))


def sampled(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    """Return ``z = mu + sigma * e``, ``e`` standard normal (Kingma & Welling 2014)."""
    noise = torch.randn(mean.shape, generator=generator).to(mean)
    return mean + (0.5 * log_variance).exp() * noise


def reconstruction_loss(images: Tensor, decoded: Tensor) -> Tensor:
    """Return ``|x - dec(z)|^2``, the second term of ``L_r``; of rows (m, d)."""
    return (images - decoded).square().sum(dim=1).mean()


def relative_loss(decoded: Tensor, decoded_noisy: Tensor) -> Tensor:
    """Return ``|dec(psi(z)) - dec(z)|^2``, the first term of ``L_r``: two decodings agree."""
    return (decoded_noisy - decoded).square().sum(dim=1).mean()


def information_loss(joint: Tensor, product: Tensor) -> Tensor:
    """Return ``-(E[log s(T(x, z))] + E[log(1 - s(T(x, z')))])``, s the logistic function.

    Its minimum over T is ``2 log 2`` less twice the Jensen-Shannon divergence between the joint
    distribution of x and z and the product of theirs. With scores of each place (m, h, w) it is
    the local term, the mean over the places.

    Parameters
    ----------
    joint : Tensor
        Scores of rows with their own codes.
    product : Tensor
        Scores of rows with the codes of others.
    """
    return F.softplus(-joint).mean() + F.softplus(product).mean()


def prior_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return ``KL(N(mu, sigma^2) || N(0, I))``; of (m, d)."""
    return cluster_prior_loss(mean, log_variance, torch.zeros_like(mean))


def cluster_prior_loss(mean: Tensor, log_variance: Tensor, centers: Tensor) -> Tensor:
    """Return ``KL(N(mu, sigma^2) || N(mu_y, I))``, one Gaussian for each cluster.

    ``1/2 sum (sigma^2 + (mu - mu_y)^2 - 1 - log sigma^2)``.

    Parameters
    ----------
    mean, log_variance : Tensor of shape (m, d)
    centers : Tensor of shape (m, d)
        ``mu_y`` of each row's cluster.
    """
    apart = (mean - centers).square()
    return 0.5 * (log_variance.exp() + apart - 1.0 - log_variance).sum(dim=1).mean()
