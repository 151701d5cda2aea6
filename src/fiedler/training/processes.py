"""Training in several processes, each with a part of every batch, as if it were one.

Every process draws the same batch, computes its part, gathers the outputs of all, and so sees the
whole loss; gradients are summed. The result is that of one process up to rounding.
"""

from __future__ import annotations

import atexit
import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from fiedler.exceptions import InputError
from fiedler.networks.norm import several_processes


def join_processes(device: torch.device) -> None:
    """Join the processes that ``torchrun`` started, unless the caller or an earlier fit has.

    They stay joined until Python ends: a group made anew under the same address may wait for ever,
    since it finds there what the earlier one has left.
    """
    started = int(os.environ.get("WORLD_SIZE", "1")) > 1 and dist.is_available()
    if started and not dist.is_initialized():
        # This module keeps the group that is there when it is first imported (as torch's compiler
        # and optimisers do) as defaults of its functions: the group's threads then outlive Python.
        importlib.import_module("torch.distributed.nn")
        if device.type == "cuda":
            torch.cuda.set_device(device)  # messages of objects travel by the current GPU
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """Return this process's own GPU of the machine where ``torchrun`` started several.

    Raises
    ------
    InputError
        If there are fewer GPUs than processes.
    """
    started = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not started or str(device) != "cuda":
        return device
    number, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= gpus:
        raise InputError(
            f"torchrun started process {number + 1} on a machine with {gpus} GPUs, and each needs "
            f"one of its own: start {gpus} (--nproc-per-node={gpus}) or set device='cpu'."
        )
    return torch.device("cuda", number)


def is_first() -> bool:
    """Tell whether this process is the one that writes files."""
    return not several_processes() or dist.get_rank() == 0


def own_part(m: int) -> slice:
    """Return this process's share of a batch of m rows."""
    if not several_processes():
        return slice(0, m)
    world, rank = dist.get_world_size(), dist.get_rank()
    return slice(m * rank // world, m * (rank + 1) // world)


class _Gather(torch.autograd.Function):
    """All processes' rows in order; each gets the gradient of its own."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, total: int, summed: bool) -> Tensor:
        world = dist.get_world_size()
        ctx.part, ctx.summed = own_part(total), summed
        longest = -(-total // world)
        padded = part.new_zeros((longest, *part.shape[1:]))
        padded[: len(part)] = part
        gathered = [torch.empty_like(padded) for _ in range(world)]
        dist.all_gather(gathered, padded)
        sizes = [total * (r + 1) // world - total * r // world for r in range(world)]
        return torch.cat([rows[:size] for rows, size in zip(gathered, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        if not ctx.summed:
            return gradients[0][ctx.part].contiguous(), None, None
        whole = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole[ctx.part], None, None


def gather(part: Tensor, total: int, *, summed: bool = False) -> Tensor:
    """Return the rows of the whole batch of ``total`` from each process's part.

    Parameters
    ----------
    part : Tensor of shape (m, ...)
    total : int
    summed : bool
        How a part gets its gradient. False: each process computes the whole loss from the rows, so
        its own slice of the gradient is complete. True: each computes its own part of the loss,
        with others' rows among them, so what all find is summed.
    """
    if not several_processes():
        return part
    whole: Tensor = _Gather.apply(part, total, summed)  # type: ignore[no-untyped-call]
    return whole


def sum_gradients(module: nn.Module) -> None:
    """Add up the gradients of all processes, in one message."""
    if not several_processes():
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def from_first(compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Give every process the arrays that the first one computes, alone.

    Parameters
    ----------
    compute : callable
        Called in the first process only: none waits for memory or time of a second computation,
        and none works on other numbers by rounding.
    """
    if not several_processes():
        return compute()
    box: list[Any] = [compute() if is_first() else None]
    dist.broadcast_object_list(box, src=0)
    return dict(box[0])
