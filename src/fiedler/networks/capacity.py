"""Whether a network is large enough to express a spectral map at all."""

from __future__ import annotations

import math

from torch import nn


def vc_capacity(module: nn.Module) -> float:
    """Return ``W l log2(W)``, the order of the VC dimension of a ReLU network.

    With ``W`` learned weights in ``l`` layers the VC dimension is of that order at most (Bartlett,
    Harvey, Liaw & Mehrabian 2019, theorem 7). The class of spectral maps of n points has a VC
    dimension of n / 10 at least (SpectralNet, theorem 4.1), so a network whose figure is below
    that cannot express every one of them.

    Parameters
    ----------
    module : nn.Module
        Linear and convolutional layers are counted.
    """
    layers = [m for m in module.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    weights = sum(p.numel() for layer in layers for p in layer.parameters())
    return len(layers) * weights * math.log2(max(weights, 2))


def vc_needed(n_rows: int) -> float:
    """Return the lower bound n / 10 on the VC dimension of spectral maps of n points."""
    return n_rows / 10.0
