"""Adam, by torch's own step, without the weight of ``torch.optim.Optimizer``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma & Ba 2015) with torch's usual constants.

    The step is torch's. Constructing its ``Optimizer`` would import its compiler: more than a
    second and 65 MB, which a fit of a few thousand rows feels.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self._fused = self._parameters[0].device.type in ("cpu", "cuda")
        # of each parameter that has had a gradient: first and second moment, steps
        self._state: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the parameters that have a gradient."""
        gradients = {i: p.grad for i, p in enumerate(self._parameters) if p.grad is not None}
        if not gradients:
            return
        for i in gradients:
            if i not in self._state:
                self._state[i] = self._fresh(self._parameters[i])
        means, squares, steps = zip(*(self._state[i] for i in gradients), strict=True)
        adam(
            [self._parameters[i] for i in gradients],
            list(gradients.values()),
            list(means),
            list(squares),
            [],
            list(steps),
            fused=self._fused,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the state as arrays by prefixed name: copies."""
        return {
            f"{prefix}{i}.{name}": tensor.cpu().contiguous().numpy().copy()
            for i, tensors in self._state.items()
            for name, tensor in zip(_NAMES, tensors, strict=True)
        }

    def load(self, arrays: dict[str, np.ndarray], prefix: str) -> None:
        """Put back what :meth:`arrays` gave."""
        self._state = {}
        for i, parameter in enumerate(self._parameters):
            if f"{prefix}{i}.{_NAMES[0]}" not in arrays:
                continue
            # copied in: the fused step walks through memory in the parameter's order
            self._state[i] = self._fresh(parameter)
            for name, tensor in zip(_NAMES, self._state[i], strict=True):
                tensor.copy_(torch.from_numpy(np.array(arrays[f"{prefix}{i}.{name}"])))

    def _fresh(self, parameter: nn.Parameter) -> tuple[Tensor, Tensor, Tensor]:
        like = parameter.detach()
        device = like.device if self._fused else "cpu"
        steps = torch.zeros((), dtype=torch.float32, device=device)
        return torch.zeros_like(like), torch.zeros_like(like), steps


_NAMES = ("mean", "square", "steps")
