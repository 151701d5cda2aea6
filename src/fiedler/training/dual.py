"""The tasks of the dual autoencoder: pretraining, and the joint phase with the spectral network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fiedler.data.checks import check_weight
from fiedler.exceptions import InputError
from fiedler.networks.dual import DualNetwork
from fiedler.networks.dual_losses import (
    cluster_prior_loss,
    information_loss,
    noisy,
    prior_loss,
    reconstruction_loss,
    relative_loss,
    sampled,
)
from fiedler.networks.short_repr import ShortRepr
from fiedler.training.loop import Task
from fiedler.training.precision import Precision, autocast
from fiedler.training.processes import gather, own_part
from fiedler.training.reader import RowReader


@dataclass(frozen=True, repr=False)
class DualLoss(ShortRepr):
    """Weights of the dual autoencoder's terms; a term of weight 0 is not computed.

    ``L = reconstruction |x - dec(z)|^2 + relative |dec(psi(z)) - dec(z)|^2
    + global_information I_g + local_information I_l + prior KL`` (Yang et al. 2019, equations 1 to
    8; the ablations of their table 4 are weights of 0).

    Parameters
    ----------
    reconstruction : float
        Delta: of the squared error, summed over pixels.
    relative : float
        Of the squared difference between the two decodings ("RS").
    noise : float
        Sigma of the multiplicative noise on the code.
    global_information, local_information : float
        Beta: of the two estimates of mutual information ("MI").
    prior : float
        Gamma: of the divergence of the code's distribution from its prior. 0: codes are not random.
    """

    reconstruction: float = 0.5
    relative: float = 1.0
    noise: float = 0.5
    global_information: float = 1.0
    local_information: float = 1.0
    prior: float = 0.01

    def __post_init__(self) -> None:
        """Refuse what is no weight."""
        for name in self.__dataclass_fields__:
            check_weight(name, getattr(self, name))
        if not self.reconstruction > 0:
            raise InputError("reconstruction must be above 0: the decoder learns by it.")


class DualTask(Task):
    """The dual autoencoder's loss on random rows.

    Parameters
    ----------
    network : DualNetwork
    reader : RowReader
    weights : DualLoss
    batch_size : int
    precision : {"auto", "bfloat16", "float32"}
    clusters : ndarray of shape (n,), int64, or None
        Cluster of each row: its prior is the Gaussian about ``network.centers`` of that cluster.
        None: one Gaussian about zero.
    """

    def __init__(
        self,
        network: DualNetwork,
        reader: RowReader,
        weights: DualLoss,
        batch_size: int,
        precision: Precision = "auto",
        clusters: np.ndarray | None = None,
    ) -> None:
        self.module: DualNetwork = network
        self._reader, self._weights, self._precision = reader, weights, precision
        self._size = min(batch_size, len(reader))
        self._clusters = clusters
        self.steps_per_epoch = max(1, len(reader) // self._size)

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        """Return the sum of the terms that have a weight."""
        indices = rng.integers(len(self._reader), size=self._size)
        generator = torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))
        part, total = own_part(len(indices)), len(indices)
        rows, w, network = self._reader.take(indices[part]), self._weights, self.module
        with autocast(self._reader.device, self._precision):
            features, mean, log_variance = network.encode(rows)
            codes = mean.float()
            if w.prior:
                codes = sampled(codes, log_variance.float(), self._noise(codes, generator, total))
            decoded = network.decoder(codes)
        decoded = gather(decoded.float(), total)
        target = gather(network.target(rows), total)
        terms = {"reconstruction": w.reconstruction * reconstruction_loss(target, decoded)}
        if w.relative:
            with autocast(self._reader.device, self._precision):
                again = network.decoder(noisy(codes, w.noise, self._noise(codes, generator, total)))
            terms["relative"] = w.relative * relative_loss(decoded, gather(again.float(), total))
        terms |= self._information(features, codes, total)
        if w.prior:
            spread = gather(mean.float(), total), gather(log_variance.float(), total)
            terms["prior"] = w.prior * self._prior(*spread, indices)
        self.terms = {name: term.detach() for name, term in terms.items()}
        return torch.stack(list(terms.values())).sum()

    @staticmethod
    def _noise(codes: Tensor, generator: torch.Generator, total: int) -> Tensor:
        """Return what the standard normal numbers of the whole batch are for these codes."""
        drawn = torch.randn((total, codes.shape[1]), generator=generator)
        return drawn[own_part(total)].to(codes)

    def _information(self, features: Tensor, codes: Tensor, total: int) -> dict[str, Tensor]:
        """Return the weighted information terms; the codes of others are those one row on."""
        terms: dict[str, Tensor] = {}
        others = gather(codes, total, summed=True).roll(1, dims=0)[own_part(total)]
        critics: tuple[tuple[str, nn.Module], ...] = (
            ("global_information", self.module.global_critic),
            ("local_information", self.module.local_critic),
        )
        for name, critic in critics:
            weight = getattr(self._weights, name)
            if weight:
                with autocast(self._reader.device, self._precision):
                    joint, product = critic(features, codes), critic(features, others)
                scores = gather(joint.float(), total), gather(product.float(), total)
                terms[name] = weight * information_loss(*scores)
        return terms

    def _prior(self, mean: Tensor, log_variance: Tensor, indices: np.ndarray) -> Tensor:
        if self._clusters is None:
            return prior_loss(mean, log_variance)
        own = self._clusters[indices[own_part(len(indices))]]
        centers = self.module.centers[torch.from_numpy(own).to(mean.device)]
        # gathered, so that each process finds its own part of the centres' gradient alone
        return cluster_prior_loss(mean, log_variance, gather(centers, len(indices)))


class JointTask(Task):
    """The spectral loss and the dual autoencoder's, added.

    Parameters
    ----------
    spectral : Task
        Of the same module: pairs along a graph, or batches.
    dual : DualTask
    weight : float
        Of the autoencoder's loss; 0 leaves it out.
    """

    def __init__(self, spectral: Task, dual: DualTask, weight: float) -> None:
        self.module = spectral.module
        self._spectral, self._dual, self._weight = spectral, dual, weight
        self.steps_per_epoch = spectral.steps_per_epoch

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        """Return the sum."""
        own, loss = rng.spawn(2)[1], self._spectral.loss(step, rng)
        self.terms = {"spectral": loss.detach()}
        if not self._weight:
            return loss
        dual = self._dual.loss(step, own)
        self.terms |= {name: self._weight * term for name, term in self._dual.terms.items()}
        return loss + self._weight * dual
