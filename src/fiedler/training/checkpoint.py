"""What a training needs to go on where it was stopped, in one file of tensors and JSON."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fiedler import persistence
from fiedler.exceptions import InputError, ModelFileError, OutputError

_KIND = "checkpoint"


@dataclass
class Checkpoint:
    """A file that holds the state of each stage, replaced whole.

    Parameters
    ----------
    path : path-like
        The file. Its folder must exist.
    identity : dict
        What the training is of (parameters, seed, shape of the rows, a sample of them), as JSON
        values; a file of another training is refused.
    every : float
        Seconds between two writings.
    """

    path: str | os.PathLike[str]
    identity: dict[str, Any]
    every: float = 30.0
    _meta: dict[str, Any] = field(default_factory=dict)
    _arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the file where there is one.

        Raises
        ------
        InputError
            If the file is of another training.
        OutputError
            If its folder does not exist: found now, not when the first half minute is lost.
        """
        if not isinstance(self.path, (str, os.PathLike)):
            raise InputError(f"checkpoint must be None or the path of a file, got {self.path!r}.")
        self._identity = json.dumps(self.identity, sort_keys=True)
        if not Path(self.path).parent.is_dir():
            raise OutputError(
                f"the folder of checkpoint {self.path} does not exist; create it first."
            )
        if not Path(self.path).exists():
            return
        try:
            kind, meta, self._arrays = persistence.load_state(self.path)
        except ModelFileError as error:
            raise InputError(
                f"{self.path} is no checkpoint, or not a whole one; delete it or name another file "
                f"to start anew. ({error})"
            ) from error
        if kind != _KIND or meta.pop("identity", None) != self._identity:
            raise InputError(
                f"{self.path} is a checkpoint of other rows, parameters or another random_state; "
                "delete it or name another file to start anew."
            )
        self._meta = meta

    def write(self, stage: str, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Replace the state of one stage; those of the others stay."""
        self._meta[stage] = meta
        others = {k: v for k, v in self._arrays.items() if not k.startswith(f"{stage}/")}
        self._arrays = others | {f"{stage}/{name}": array for name, array in arrays.items()}
        kept = {"identity": self._identity, **self._meta}
        persistence.save_state(self.path, _KIND, kept, self._arrays, overwrite=True)

    def read(self, stage: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Return what was written last of a stage, None where it has not begun."""
        if stage not in self._meta:
            return None
        start = f"{stage}/"
        arrays = {k[len(start) :]: v for k, v in self._arrays.items() if k.startswith(start)}
        return self._meta[stage], arrays

    def remove(self) -> None:
        """Delete the file: the training has ended."""
        Path(self.path).unlink(missing_ok=True)


def module_arrays(module: nn.Module, prefix: str) -> dict[str, np.ndarray]:
    """Return a module's state as arrays by prefixed name."""
    state = module.state_dict()
    return {f"{prefix}{name}": _array(tensor) for name, tensor in state.items()}


def load_module(module: nn.Module, arrays: dict[str, np.ndarray], prefix: str) -> None:
    """Put back what :func:`module_arrays` gave."""
    state = module.state_dict()
    for name, tensor in state.items():
        state[name] = torch.from_numpy(np.array(arrays[f"{prefix}{name}"])).to(tensor)
    module.load_state_dict(state)


def _array(tensor: torch.Tensor) -> np.ndarray:
    # a copy: a later stage may go on training the same module
    return tensor.detach().cpu().contiguous().numpy().copy()
