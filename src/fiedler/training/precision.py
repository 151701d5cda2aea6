"""In which precision the products of a training step are done."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from fiedler.data.checks import check_choice
from fiedler.graph.precision import scan_dtype

Precision = Literal["auto", "bfloat16", "float32"]
PRECISIONS = ("auto", "bfloat16", "float32")


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context for forward passes: bfloat16 where that is faster, else nothing.

    bfloat16 has float32's range, so gradients need no scaling. Losses, orthonormalisation and
    updates stay in float32 and float64.
    """
    check_choice("precision", precision, PRECISIONS)
    wanted = scan_dtype(device) if precision == "auto" else getattr(torch, precision)
    if wanted is torch.float32:
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
