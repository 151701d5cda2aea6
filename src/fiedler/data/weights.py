"""Weights of a network from a local file; nothing in the file is executed."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fiedler.exceptions import InputError

# Under which names training programs put the weights beside other things.
_NESTS = ("state_dict", "model", "state_dict_ema", "model_state_dict")
_SHOWN = 3


def read_weights(path: Path) -> dict[str, Any]:
    """Read tensors by name from a ``.safetensors`` file or one written by ``torch.save``.

    Raises
    ------
    InputError
        The file is damaged or holds anything but tensors.
    """
    import torch

    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path} cannot be read as weights ({str(error).splitlines()[0]}). Allowed: a "
            ".safetensors file, or a dictionary of tensors written by torch.save."
        ) from error
    except Exception as error:
        # safetensors has an error of its own that derives from Exception only.
        raise InputError(f"{path} cannot be read as weights ({error}).") from error
    for name in _NESTS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(hasattr(v, "shape") for v in found.values()):
        raise InputError(f"{path} does not hold tensors by name, so it is no file of weights.")
    return {str(key).removeprefix("module."): value for key, value in found.items()}


def fit_weights(network: Any, weights: Mapping[str, Any], name: str) -> None:
    """Load weights into a network: by name, or in order where every shape agrees.

    Other implementations of one architecture name their layers differently but list them in the
    same order; such files fit in order, and only if no shape differs.

    Parameters
    ----------
    network : torch.nn.Module
    weights : mapping of str to tensor
    name : str
        What to call them in messages.

    Raises
    ------
    InputError
        If they fit neither way.
    """
    own = network.state_dict()
    if set(own) == set(weights) and all(own[k].shape == v.shape for k, v in weights.items()):
        network.load_state_dict(weights)
        return
    in_order = list(zip(own.items(), weights.items(), strict=False))
    if len(own) == len(weights) and all(a.shape == b.shape for (_, a), (_, b) in in_order):
        network.load_state_dict({key: value for (key, _), (_, value) in in_order})
        return
    wrong = [
        f"{key} {tuple(a.shape)} for {other} {tuple(b.shape)}"
        for (key, a), (other, b) in in_order
        if a.shape != b.shape
    ]
    raise InputError(
        f"the weights of {name} do not fit {type(network).__name__}: it has {len(own)} tensors, "
        f"the file {len(weights)}"
        + (f"; the first that differ: {', '.join(wrong[:_SHOWN])}." if wrong else ".")
        + " Name the architecture that the weights belong to."
    )
