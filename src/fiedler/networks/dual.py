"""The dual autoencoder with its critics and its spectral network, as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fiedler.networks.build import DenseMap, Standardize, build_map, inverse_of
from fiedler.networks.coder import ConvCoder, DenseCoder, build_coder
from fiedler.networks.discriminators import GlobalCritic, LocalCritic
from fiedler.networks.draws import drawn_from


class UnitRange(nn.Module):
    """What the decoder shall give back: images between 0 and 1, or standardised vectors.

    Parameters
    ----------
    n_features : int
    images : bool
    """

    shift: Tensor
    factor: Tensor

    def __init__(self, n_features: int, images: bool) -> None:
        super().__init__()
        self.images = images
        self.register_buffer("shift", torch.zeros(n_features))
        self.register_buffer("factor", torch.ones(()))

    def measure(self, sample: Tensor) -> None:
        """Take the range of a sample of rows (m, d); one factor serves all features."""
        wide = sample.cpu().double()
        low = wide.min() if self.images else wide.mean(dim=0)
        span = float((wide.max() - low) if self.images else (wide - low).square().mean().sqrt())
        self.shift = (torch.zeros(wide.shape[1]) + low).to(self.shift)
        self.factor.fill_(inverse_of(span))

    def forward(self, rows: Tensor) -> Tensor:
        """Scale rows (m, d)."""
        return (rows - self.shift) * self.factor

    def undo(self, decoded: Tensor) -> Tensor:
        """Give decoded rows the scale of the rows."""
        return decoded / self.factor + self.shift


class DualNetwork(nn.Module):
    """Encoder, decoder, critics and spectral network.

    Called, it maps rows to spectral outputs, or to codes where there is no spectral network.

    Parameters
    ----------
    coder : ConvCoder or DenseCoder
    row_shape : tuple of int
    n_codes : int
        Numbers in a code (120 in the paper).
    spectral : DenseMap or None
        The network from codes to outputs.
    n_outputs : int
    n_centers : int
        Gaussians of the joint phase's prior.
    critic_width : int
    whole_map : bool
        Whether the global critic sees the whole feature map, or its mean over the places.
    seed : int
    """

    def __init__(
        self,
        coder: ConvCoder | DenseCoder,
        row_shape: tuple[int, ...],
        *,
        n_codes: int,
        spectral: DenseMap | None,
        n_outputs: int,
        n_centers: int,
        critic_width: int,
        whole_map: bool,
        seed: int,
    ) -> None:
        super().__init__()
        built = build_coder(coder, row_shape, n_codes, seed=seed)
        n_features = 1
        for side in row_shape:
            n_features *= side
        self.standardize = Standardize(n_features)
        self.target = UnitRange(n_features, images=isinstance(coder, ConvCoder))
        self.encoder, self.decoder = built.encoder, built.decoder
        with drawn_from(seed + 1):
            self.global_critic = GlobalCritic(
                built.n_features, n_codes, critic_width, built.n_places if whole_map else None
            )
            self.local_critic = LocalCritic(built.n_features, n_codes, critic_width)
        self.centers = nn.Parameter(torch.zeros(n_centers, n_codes))
        self.spectral: nn.Module | None = None
        if spectral is not None:
            self.spectral = build_map(spectral, (n_codes,), n_outputs, seed=seed + 2)

    def measure(self, sample: Tensor) -> None:
        """Set the scales of input and target by a sample of rows (m, d)."""
        self.standardize.measure(sample)
        self.target.measure(sample)

    def encode(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return feature map, ``mu`` and ``log sigma^2`` of rows (m, d)."""
        found: tuple[Tensor, Tensor, Tensor] = self.encoder(self.standardize(rows))
        return found

    def codes(self, rows: Tensor) -> Tensor:
        """Return ``mu`` of rows (m, d), shape (m, n_codes)."""
        return self.encoder.codes(self.standardize(rows))

    def hidden(self, rows: Tensor) -> Tensor:
        """Return the spectral network's last hidden layer, or the codes where there is none."""
        codes = self.codes(rows)
        if self.spectral is None:
            return codes
        assert isinstance(self.spectral, nn.Sequential)
        last = max(i for i, part in enumerate(self.spectral) if isinstance(part, nn.Linear))
        found: Tensor = self.spectral[:last](codes)
        return found

    def forward(self, rows: Tensor) -> Tensor:
        """Return the spectral outputs of rows (m, d), not yet orthonormal; or the codes."""
        codes = self.codes(rows)
        return codes if self.spectral is None else self.spectral(codes)


class CodesOf(nn.Module):
    """The codes of a dual network as a module of its own, for :func:`training.outputs_of`."""

    def __init__(self, network: DualNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor) -> Tensor:
        """Return ``mu``."""
        return self.network.codes(rows)


class HiddenOf(nn.Module):
    """The last hidden layer of a dual network's spectral network, as a module."""

    def __init__(self, network: DualNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor) -> Tensor:
        """Return the hidden layer."""
        return self.network.hidden(rows)


class DecodedOf(nn.Module):
    """Codes of a dual network to rows, in the rows' scale, as a module."""

    def __init__(self, network: DualNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, codes: Tensor) -> Tensor:
        """Return decoded rows (m, d)."""
        return self.network.target.undo(self.network.decoder(codes))
