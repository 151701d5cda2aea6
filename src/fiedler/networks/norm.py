"""Batch normalisation over the whole batch, also where several processes hold a part each."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def several_processes() -> bool:
    """Tell whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class _Sum(torch.autograd.Function):
    """The sum over all processes, each of which feels what the sum does in every one."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        total = part.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        total: Tensor = gradients[0].clone()
        dist.all_reduce(total)
        return total


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation (Ioffe & Szegedy 2015) of (m, c) or (m, c, h, w).

    Alone it is torch's. Among several processes mean and variance are those of all their rows, on
    the CPU too, so that one process and several train the same.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 4):
            raise ValueError(f"expected 2 or 4 dimensions, got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel."""
        if not (self.training and several_processes()):
            return super().forward(input)
        wide = input.float()
        dims, shape = [0, *range(2, input.dim())], [1, -1] + [1] * (input.dim() - 2)
        count = torch.tensor([wide.numel() / wide.shape[1]], device=wide.device)
        total: Tensor = _Sum.apply(torch.cat([wide.sum(dims), count]))  # type: ignore[no-untyped-call]
        n = total[-1].detach()
        mean = total[:-1] / n
        # a second message: squares about zero would lose a small variance beside a large mean
        centered = wide - mean.view(shape)
        squares: Tensor = _Sum.apply(centered.square().sum(dims))  # type: ignore[no-untyped-call]
        variance = squares / n
        self._follow(mean.detach(), squares.detach() / (n - 1.0))
        scale = (variance + self.eps).rsqrt() * self.weight
        normal: Tensor = centered * scale.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics as torch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)
