"""The two networks that SpectralNet may train first: the autoencoder and the Siamese net."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fiedler.data.checks import check_whole, check_widths, is_positive
from fiedler.exceptions import InputError
from fiedler.networks.losses import contrastive_loss
from fiedler.networks.short_repr import ShortRepr
from fiedler.training.loop import Task, Training
from fiedler.training.precision import Precision, autocast
from fiedler.training.processes import gather, own_part
from fiedler.training.reader import RowReader

_CODE_TRAINING = Training(steps=6000, batch_size=256)
_PAIR_TRAINING = Training(steps=6000, batch_size=128)


@dataclass(frozen=True, repr=False)
class Autoencoder(ShortRepr):
    """A dense autoencoder whose codes replace the rows (SpectralNet, section 4).

    Parameters
    ----------
    widths : tuple of int
        Hidden units of the encoder; the decoder mirrors them.
    n_codes : int
        Numbers in a code.
    training : Training
    """

    widths: tuple[int, ...] = (512, 512, 2048)
    n_codes: int = 10
    training: Training = _CODE_TRAINING

    def __post_init__(self) -> None:
        """Refuse what no coder can be built of."""
        check_widths("widths", self.widths)
        check_whole("n_codes", self.n_codes)


@dataclass(frozen=True, repr=False)
class Siamese(ShortRepr):
    """A network trained so that distances between its outputs tell neighbours from others.

    SpectralNet, section 3.2, after Hadsell, Chopra & LeCun (2006).

    Parameters
    ----------
    widths : tuple of int
        Hidden units.
    n_outputs : int
    n_neighbors : int
        Each row and its so many nearest neighbours are positive pairs; as many random pairs are
        negative.
    margin : float
        Distance that negative pairs shall have.
    training : Training
        ``batch_size`` counts pairs.
    """

    widths: tuple[int, ...] = (1024, 1024, 512)
    n_outputs: int = 10
    n_neighbors: int = 2
    margin: float = 1.0
    training: Training = _PAIR_TRAINING

    def __post_init__(self) -> None:
        """Refuse what no network can be built of."""
        check_widths("widths", self.widths)
        check_whole("n_outputs", self.n_outputs)
        check_whole("n_neighbors", self.n_neighbors)
        if not is_positive(self.margin):
            raise InputError(f"margin must be a number above zero, got {self.margin!r}.")


class AutoencoderTask(Task):
    """Mean squared error of reconstructed rows.

    Parameters
    ----------
    standardize, encoder, decoder : nn.Module
        The error is measured on standardised rows.
    reader : RowReader
    settings : Training
    """

    def __init__(
        self,
        standardize: nn.Module,
        encoder: nn.Module,
        decoder: nn.Module,
        reader: RowReader,
        settings: Training,
    ) -> None:
        self.module = nn.Sequential(encoder, decoder)
        self._standardize = standardize
        self._reader, self._precision = reader, settings.precision
        self._size = min(settings.batch_size, len(reader))
        self.steps_per_epoch = max(1, len(reader) // self._size)

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        """Return the error on random rows."""
        indices = rng.integers(len(self._reader), size=self._size)
        part = own_part(len(indices))
        rows = self._standardize(self._reader.take(indices[part]))
        with autocast(self._reader.device, self._precision):
            got = self.module(rows)
        errors = (got.float() - rows).square().mean(dim=1)
        # whole in every process: the plateau schedule must decide the same in each
        return gather(errors, len(indices)).mean()


class SiameseTask(Task):
    """The contrastive loss on neighbours and random pairs, drawn as index arrays.

    Each anchor meets two of its neighbours and two neighbours of another anchor, a random row but
    for its being somebody's neighbour: three rows through the network for four pairs.

    Parameters
    ----------
    module : nn.Module
    reader : RowReader
    neighbors : ndarray of shape (n, k), int64
        The positive partners of each row.
    spec : Siamese
    """

    def __init__(
        self, module: nn.Module, reader: RowReader, neighbors: np.ndarray, spec: Siamese
    ) -> None:
        self.module, self._reader, self._neighbors, self._spec = module, reader, neighbors, spec
        self._precision: Precision = spec.training.precision
        self._anchors = max(2, spec.training.batch_size // 4)
        self.steps_per_epoch = max(1, neighbors.size // (2 * self._anchors))

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a batch's rows, (3 a,), its pairs, (4 a, 2), and which are positive, (4 a,).

        Pairs are places among the rows. A negative pair may be a row and itself
        (where there are few rows): it has no gradient.
        """
        n, k = self._neighbors.shape
        a = self._anchors
        anchors = rng.integers(n, size=a)
        chosen = rng.integers(k, size=a)
        # two neighbours, not the same one twice unless there is but one
        other = (chosen + rng.integers(1, max(k, 2), size=a)) % k
        near = self._neighbors[anchors[:, None], np.stack([chosen, other], axis=1)]
        places = a + np.arange(2 * a).reshape(a, 2)
        right = np.concatenate([places, np.roll(places, -int(rng.integers(1, a)), axis=0)], axis=1)
        left = np.repeat(np.arange(a), 4)
        pairs = np.stack([left, right.ravel()], axis=1)
        return (
            np.concatenate([anchors, near.ravel()]),
            pairs,
            np.tile([True, True, False, False], a),
        )

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        """Return the contrastive loss of a batch of pairs."""
        indices, pairs, positive = self.draw(rng)
        rows = self._reader.take(indices[own_part(len(indices))])
        with autocast(self._reader.device, self._precision):
            part = self.module(rows).float()
        ends = gather(part, len(indices))
        left, right = torch.from_numpy(pairs).to(ends.device).unbind(1)
        return contrastive_loss(
            ends[left],
            ends[right],
            torch.from_numpy(positive).to(ends.device),
            margin=self._spec.margin,
        )
