"""The output layer whose weights are computed, not learned: orthonormal columns."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fiedler.exceptions import CollapsedOutputsError, InputError

Orthonormalization = Literal["cholesky", "qr"]
ORTHONORMALIZATIONS: tuple[Orthonormalization, ...] = ("cholesky", "qr")
# A direction whose share of the outputs' scale is smaller than this is rounding, not signal.
_RANK_TOLERANCE = 1e-6


def orthonormal_weights(
    outputs: Tensor, method: Orthonormalization = "cholesky", *, ridge: float = 0.0
) -> Tensor:
    """Return the weights that make outputs orthonormal: ``(Y W)^T (Y W) = n I``.

    SpectralNet (Shaham et al. 2018), section 3.1, "orthonormality": with the Cholesky
    factorisation ``Y^T Y = L L^T`` they are ``sqrt(n) L^-T``. Gradients flow through.

    Parameters
    ----------
    outputs : Tensor of shape (n, k), floating
        Computed on in float64 (float32 where the device has no float64).
    method : {"cholesky", "qr"}
        ``"qr"`` never squares the condition number, at about twice the cost. Both give the same
        weights up to rounding.
    ridge : float
        Added to the diagonal of ``Y^T Y / n``, in units of its mean (``"cholesky"`` only): keeps a
        batch of few distinct rows factorisable, and the outputs a little short of orthonormal.

    Returns
    -------
    Tensor of shape (k, k), upper triangular, float64 (float32 on MPS)

    Raises
    ------
    InputError
        If there are fewer rows than columns, or the method is unknown.
    CollapsedOutputsError
        If the columns are linearly dependent and there is no ridge to bridge it.
    """
    n, k = outputs.shape
    if n < k:
        raise InputError(
            f"{k} orthonormal outputs need a batch of at least {k} rows, got {n}; raise the batch "
            "size or ask for fewer outputs."
        )
    wide = outputs.float() if outputs.device.type == "mps" else outputs.double()
    if method == "qr":
        return _by_qr(wide)
    if method != "cholesky":
        raise InputError(f"orthonormalization must be 'cholesky' or 'qr', got {method!r}.")
    gram = wide.T @ wide / n
    if ridge:
        gram = gram + ridge * gram.diagonal().mean() * torch.eye(k, dtype=gram.dtype).to(gram)
    factor, info = torch.linalg.cholesky_ex(gram)
    diagonal = factor.detach().diagonal()
    floor = _RANK_TOLERANCE * gram.detach().diagonal().sqrt()
    if int(info) or not bool((diagonal > floor).all()):
        raise _collapsed(wide)
    identity = torch.eye(k, dtype=gram.dtype, device=gram.device)
    weights: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False).T
    return weights


def _by_qr(outputs: Tensor) -> Tensor:
    n, k = outputs.shape
    factor = torch.linalg.qr(outputs).R / n**0.5
    diagonal = factor.detach().diagonal().abs()
    floor = _RANK_TOLERANCE * (outputs.detach().square().mean(0)).sqrt()
    if not bool((diagonal > floor).all()):
        raise _collapsed(outputs)
    signed = factor * factor.detach().diagonal().sign()[:, None]
    identity = torch.eye(k, dtype=outputs.dtype, device=outputs.device)
    weights: Tensor = torch.linalg.solve_triangular(signed, identity, upper=True)
    return weights


def effective_rank(outputs: Tensor) -> int:
    """Count the directions of outputs (n, k) that are not rounding."""
    wide = outputs.detach().cpu().double()
    if not bool(torch.isfinite(wide).all()):
        return 0
    scale = wide.square().mean(0).sqrt()
    values = torch.linalg.svdvals(wide / scale.where(scale > 0, 1.0))
    return int((values > _RANK_TOLERANCE * values[0]).sum()) if float(values[0]) > 0 else 0


def _collapsed(outputs: Tensor) -> CollapsedOutputsError:
    k = outputs.shape[1]
    return CollapsedOutputsError(
        f"the network's {k} outputs span only {effective_rank(outputs)} dimensions, so they cannot "
        "be made orthonormal. The rows may have fewer distinct values than outputs (ask for fewer "
        "clusters or components), the network may have died (lower the learning rate), or the "
        "batch may be too small (raise the batch size)."
    )


class OrthonormalLayer(nn.Module):
    """Linear layer without bias whose weights are set from outputs and kept as a buffer.

    Parameters
    ----------
    n_in, n_out : int
        Columns taken and given. ``n_out < n_in`` after a rotation that keeps the first.
    """

    weight: Tensor

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(n_in, n_out))

    def set_weight(self, weight: Tensor) -> None:
        """Keep weights of shape (n_in, n_out), in float32."""
        self.weight = weight.detach().to(self.weight)

    def forward(self, outputs: Tensor) -> Tensor:
        """Map (n, n_in) to (n, n_out)."""
        return outputs @ self.weight
