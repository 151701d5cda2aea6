"""Batch normalisation over the whole batch, also where several processes hold a part each."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


def several_processes() -> bool:
    """Tell whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


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
        dims = [0, *range(2, input.dim())]
        count = torch.tensor([float(wide.numel() / wide.shape[1])], device=wide.device)
        sums = torch.cat([wide.sum(dims), wide.square().sum(dims), count])
        total: Tensor = all_reduce(sums)  # type: ignore[no-untyped-call]
        n, c = total[-1], wide.shape[1]
        mean = total[:c] / n
        variance = total[c : 2 * c] / n - mean.square()
        self._follow(mean.detach(), variance.detach() * n.detach() / (n.detach() - 1.0))
        shape = [1, c] + [1] * (input.dim() - 2)
        scale = (variance + self.eps).rsqrt() * self.weight
        shift = self.bias - mean * scale
        normal: Tensor = wide * scale.view(shape) + shift.view(shape)
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
