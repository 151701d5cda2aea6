"""Random views of images: two views of one image are a pair that shall stay together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fiedler.data.checks import is_positive
from fiedler.exceptions import InputError
from fiedler.networks.short_repr import ShortRepr


@dataclass(frozen=True, repr=False)
class RandomAffine(ShortRepr):
    """How far a random view may differ from its image: each amount is the largest, either way.

    Parameters
    ----------
    rotation : float
        Degrees.
    scale : float
        Relative change of the size along each axis.
    shift : float
        Share of the width and height.
    shear : float
        Tangent of the angle.
    flip : bool
        Whether half of the views are mirrored. Wrong for digits and letters.
    """

    rotation: float = 15.0
    scale: float = 0.2
    shift: float = 0.08
    shear: float = 0.3
    flip: bool = False

    def __post_init__(self) -> None:
        """Refuse what no view can be made by."""
        for name in ("rotation", "scale", "shift", "shear"):
            amount = getattr(self, name)
            if not is_positive(amount) and amount != 0:
                raise InputError(f"{name} must be a number not below zero, got {amount!r}.")
        if self.scale >= 1:
            raise InputError(f"scale must be below 1, which is no size at all, got {self.scale!r}.")
        if not isinstance(self.flip, bool):
            raise InputError(f"flip must be True or False, got {self.flip!r}.")


def random_views(m: int, amounts: RandomAffine, generator: torch.Generator) -> Tensor:
    """Draw the affine maps of m views, shape (m, 2, 3), in coordinates from -1 to 1.

    Parameters
    ----------
    m : int
    amounts : RandomAffine
    generator : torch.Generator
        On the CPU, so that every device gets the same views.
    """
    draws = torch.rand(m, 6, generator=generator) * 2.0 - 1.0
    angle = draws[:, 0] * math.radians(amounts.rotation)
    wide, high = 1.0 + draws[:, 1] * amounts.scale, 1.0 + draws[:, 2] * amounts.scale
    shear = draws[:, 3] * amounts.shear
    # from -1 to 1 a share of the width is twice as much
    right, down = draws[:, 4] * 2.0 * amounts.shift, draws[:, 5] * 2.0 * amounts.shift
    cos, sin = angle.cos(), angle.sin()
    if amounts.flip:
        wide = wide * (torch.rand(m, generator=generator) < 0.5).float().mul(2.0).sub(1.0)
    first = torch.stack([cos * wide, shear - sin * high, right], dim=1)
    second = torch.stack([sin * wide, cos * high, down], dim=1)
    return torch.stack([first, second], dim=1)


def warp(images: Tensor, views: Tensor) -> Tensor:
    """Show each image through its view: bilinear interpolation, its darkest outside.

    Parameters
    ----------
    images : Tensor of shape (m, channels, height, width), floating
    views : Tensor of shape (m, 2, 3)
        Of :func:`random_views`.
    """
    grid = _grid(views.to(images), *images.shape[2:])
    # so that a constant added to an image costs nothing at its borders
    darkest = images.amin(dim=(1, 2, 3), keepdim=True)
    return F.grid_sample(images - darkest, grid, align_corners=False) + darkest


def _grid(views: Tensor, height: int, width: int) -> Tensor:
    """Return ``F.affine_grid`` (m, height, width, 2), by sums instead of products: much faster."""
    across, down = (
        (torch.arange(size, device=views.device, dtype=views.dtype) * 2.0 + 1.0) / size - 1.0
        for size in (width, height)
    )
    columns = views[:, :, 0, None] * across
    rows = views[:, :, 1, None] * down + views[:, :, 2, None]
    return (columns[:, :, None, :] + rows[:, :, :, None]).permute(0, 2, 3, 1)
