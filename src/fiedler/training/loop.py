"""The training loop, the same for every network.

Nothing random is carried from step to step: each step's generator is seeded by (seed, stage, step),
so a resumed training, and each of several processes, draws what an uninterrupted one draws.
"""

from __future__ import annotations

import logging
import math
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fiedler.data.checks import check_choice, is_positive, is_whole
from fiedler.exceptions import CollapsedOutputsError, InputError
from fiedler.networks.short_repr import ShortRepr
from fiedler.progress import ProgressCallback, silent
from fiedler.training.adam import Adam
from fiedler.training.checkpoint import Checkpoint, load_module, module_arrays
from fiedler.training.precision import PRECISIONS, Precision
from fiedler.training.processes import is_first, sum_gradients

_logger = logging.getLogger(__name__)
_LOG_EVERY = 10


@dataclass(frozen=True, repr=False)
class Training(ShortRepr):
    """How long and how fast to train.

    Parameters
    ----------
    steps : int
        Gradient steps at most.
    batch_size : int
        Rows of a step.
    learning_rate : float
        Of Adam (Kingma & Ba 2015), at the start.
    patience : int or None
        None: the rate falls to zero along a half cosine over ``steps``. Else it is multiplied by
        ``drop`` after so many epochs without a lower mean loss, and training ends when it has
        fallen below ``min_learning_rate``.
    drop, min_learning_rate : float
        See ``patience``.
    precision : {"auto", "bfloat16", "float32"}
        Of the forward and backward products; ``"auto"`` takes bfloat16 where the processor has it.
    """

    steps: int = 1000
    batch_size: int = 1024
    learning_rate: float = 1e-3
    patience: int | None = None
    drop: float = 0.1
    min_learning_rate: float = 1e-7
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        whole = is_whole(self.steps) and is_whole(self.batch_size, 2)
        if not whole or not is_positive(self.learning_rate):
            raise InputError(
                "Training needs steps >= 1, batch_size >= 2 and learning_rate > 0, got "
                f"{self.steps!r}, {self.batch_size!r} and {self.learning_rate!r}."
            )
        if not is_positive(self.drop) or self.drop >= 1:
            raise InputError(f"drop must be between 0 and 1, got {self.drop!r}.")
        if self.patience is not None and not is_whole(self.patience):
            raise InputError(f"patience must be None or at least 1, got {self.patience!r}.")
        least = self.min_learning_rate
        if not is_positive(least) or (self.patience and least > self.learning_rate):
            raise InputError(
                "min_learning_rate must be above zero and not above learning_rate, got "
                f"{least!r} and {self.learning_rate!r}."
            )
        check_choice("precision", self.precision, PRECISIONS)


class Task(ABC):
    """What is trained: a module, and its loss at each step.

    Attributes
    ----------
    module : nn.Module
        Its parameters are learned.
    steps_per_epoch : int
        Steps that see about every row once; the unit of patience.
    terms : mapping of str to Tensor
        The parts that the last loss is the sum of, for the history; empty where it has none.
    """

    module: nn.Module
    steps_per_epoch: int
    terms: Mapping[str, Tensor] = MappingProxyType({})

    @abstractmethod
    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        """Return the loss of one step, all randomness drawn from ``rng``."""


@dataclass
class _Rate:
    """The learning rate as training goes on."""

    settings: Training
    epoch_steps: int
    value: float = 0.0
    best: float = math.inf
    waited: int = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        self.value = self.settings.learning_rate

    def at(self, step: int) -> float:
        if self.settings.patience is None:
            turn = math.cos(math.pi * step / self.settings.steps)
            return self.settings.learning_rate * 0.5 * (1.0 + turn)
        return self.value

    def observe(self, step: int, loss: float) -> bool:
        """Take in a step's loss; tell whether training shall go on."""
        patience = self.settings.patience
        if patience is None:
            return True
        self.total += loss
        if (step + 1) % self.epoch_steps:
            return True
        mean, self.total = self.total / self.epoch_steps, 0.0
        self.waited = 0 if mean < self.best else self.waited + 1
        self.best = min(self.best, mean)
        if self.waited >= patience:
            self.value, self.waited = self.value * self.settings.drop, 0
        return not self.ended

    @property
    def ended(self) -> bool:
        """Whether the rate has fallen below the least one."""
        return self.settings.patience is not None and self.value < self.settings.min_learning_rate

    def numbers(self) -> list[float]:
        return [self.value, self.best, float(self.waited), self.total]

    def set_numbers(self, numbers: list[float]) -> None:
        self.value, self.best, self.total = numbers[0], numbers[1], numbers[3]
        self.waited = int(numbers[2])


def train(
    task: Task,
    settings: Training,
    *,
    stage: str,
    seed: int,
    progress: ProgressCallback = silent,
    checkpoint: Checkpoint | None = None,
) -> list[dict[str, Any]]:
    """Train a task's module in place.

    Parameters
    ----------
    task : Task
    settings : Training
    stage : str
        Name for progress, history and the checkpoint.
    seed : int
    progress : callable
        Called as ``progress(stage, step, steps)``.
    checkpoint : Checkpoint, optional
        Where to go on from, and to write to. A stage that it has finished is only loaded.

    Returns
    -------
    list of dict
        The history, one row every ten steps: stage, step, loss (mean of those steps),
        learning_rate, seconds; and the terms of the last of those steps, where the loss has any.

    Raises
    ------
    CollapsedOutputsError
        If the loss is not finite any more.
    """
    loop = _Loop(task, settings, stage, seed, progress, checkpoint)
    try:
        loop.run()
    except KeyboardInterrupt:
        loop.write_if_whole()
        raise
    task.module.eval()
    return loop.history


class _Loop:
    def __init__(
        self,
        task: Task,
        settings: Training,
        stage: str,
        seed: int,
        progress: ProgressCallback,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.task, self.settings, self.stage, self.progress = task, settings, stage, progress
        self.seeds = (seed, zlib.crc32(stage.encode()))
        self.checkpoint = checkpoint
        self.optimizer = Adam(task.module.parameters())
        self.rate = _Rate(settings, max(1, task.steps_per_epoch))
        self.history: list[dict[str, Any]] = []
        # losses since the last row of the history: of this run, and of the run gone on from
        self.losses: list[Tensor] = []
        self.earlier: list[float] = []
        self._whole = True  # no step is under way
        self.step = 0
        self.seconds = 0.0

    def run(self) -> None:
        ended = self._resume()
        self.task.module.train()
        started, written = time.perf_counter() - self.seconds, time.perf_counter()
        while self.step < self.settings.steps and not ended:
            self._whole = False
            self.losses.append(self._one_step())
            self.step += 1
            self.seconds = time.perf_counter() - started
            if self.step % _LOG_EVERY == 0 or self.step == self.settings.steps:
                ended = self._log()
            self._whole = True
            if self._is_due(written):
                self._write(False)
                written = time.perf_counter()
            self.progress(self.stage, self.step, self.settings.steps)
        self.progress(self.stage, self.settings.steps, self.settings.steps)
        if self.checkpoint is not None and is_first():
            self._write(True)

    def write_if_whole(self) -> None:
        """Write the checkpoint, unless a step was torn: then the one before stands."""
        if self._whole and self.checkpoint is not None and is_first():
            self._write(False)

    def _one_step(self) -> Tensor:
        rng = np.random.default_rng((*self.seeds, self.step))
        self.optimizer.zero_grad()
        loss = self.task.loss(self.step, rng)
        loss.backward()  # type: ignore[no-untyped-call]
        sum_gradients(self.task.module)
        self.optimizer.step(self.rate.at(self.step))
        return loss.detach()

    def _log(self) -> bool:
        """Add a row to the history; tell whether training has ended."""
        values = self._values()
        self.losses, self.earlier = [], []
        if not all(map(math.isfinite, values)):
            raise CollapsedOutputsError(
                f"the loss of {self.stage} became {values[-1]} within 10 steps of step "
                f"{self.step}; lower the learning rate, or scale the rows to about unit variance."
            )
        first, learning_rate = self.step - len(values), self.rate.at(self.step - 1)
        alive = [self.rate.observe(first + i, value) for i, value in enumerate(values)]
        row = {
            "stage": self.stage,
            "step": self.step,
            "loss": sum(values) / len(values),
            "learning_rate": learning_rate,
            "seconds": round(self.seconds, 3),
            **{name: float(term) for name, term in self.task.terms.items()},
        }
        self.history.append(row)
        _logger.debug("%s", row)
        return not all(alive)

    def _values(self) -> list[float]:
        """Return the losses since the last row of the history; waits for the device."""
        return self.earlier + (torch.stack(self.losses).tolist() if self.losses else [])

    def _is_due(self, written: float) -> bool:
        if self.checkpoint is None or not is_first():
            return False
        return time.perf_counter() - written >= self.checkpoint.every

    def _write(self, finished: bool) -> None:
        assert self.checkpoint is not None
        meta = {
            "step": self.step,
            "seconds": self.seconds,
            "finished": finished,
            "rate": self.rate.numbers(),
            "history": self.history,
            "losses": self._values(),
        }
        arrays = module_arrays(self.task.module, "module.")
        if not finished:
            arrays |= self.optimizer.arrays("optimizer.")
        self.checkpoint.write(self.stage, meta, arrays)

    def _resume(self) -> bool:
        """Go on from the checkpoint; tell whether this stage has ended already."""
        found = None if self.checkpoint is None else self.checkpoint.read(self.stage)
        if found is None:
            return False
        meta, arrays = found
        load_module(self.task.module, arrays, "module.")
        self.step, self.seconds = int(meta["step"]), float(meta["seconds"])
        self.rate.set_numbers(meta["rate"])
        self.history = list(meta["history"])
        self.earlier = list(meta["losses"])
        if not meta["finished"]:
            self.optimizer.load(arrays, "optimizer.")
        # interrupted just after the rate had fallen too low, it had ended without saying so
        return bool(meta["finished"]) or self.rate.ended
