"""Weights drawn from a seed, whatever else draws at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LOCK = threading.Lock()


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Let layers that are built within draw their weights from a seed.

    torch's layers draw from the global generator only. It is left as it was; of several threads
    that build networks one waits for the other, so that each draws its own.

    Parameters
    ----------
    seed : int
    """
    with _LOCK, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
