"""Maps and autoencoders built from a small description and the shape of a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fiedler.data.checks import check_choice, check_whole, check_widths
from fiedler.exceptions import InputError
from fiedler.networks.draws import drawn_from
from fiedler.networks.norm import BatchNorm
from fiedler.networks.short_repr import ShortRepr

Head = Literal["linear", "tanh"]


@dataclass(frozen=True, repr=False)
class DenseMap(ShortRepr):
    """A multilayer perceptron with ReLU.

    Parameters
    ----------
    widths : tuple of int
        Units of the hidden layers (1024, 1024, 512 in SpectralNet).
    batch_norm : bool
        Batch normalisation before each ReLU.
    head : {"linear", "tanh"}
        The last layer's activation (tanh in SpectralNet).
    """

    widths: tuple[int, ...] = (1024, 1024, 512)
    batch_norm: bool = True
    head: Head = "linear"

    def __post_init__(self) -> None:
        """Refuse what is no map."""
        check_widths("widths", self.widths)
        check_choice("head", self.head, ("linear", "tanh"))
        if not isinstance(self.batch_norm, bool):
            raise InputError(f"batch_norm must be True or False, got {self.batch_norm!r}.")


@dataclass(frozen=True, repr=False)
class ConvMap(ShortRepr):
    """Strided 3 x 3 convolutions, then one dense layer, with ReLU and batch normalisation.

    Parameters
    ----------
    channels : tuple of int
        Of each convolution; each halves height and width.
    width : int
        Units of the dense layer.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    width: int = 512

    def __post_init__(self) -> None:
        """Refuse what are no widths."""
        check_widths("channels", self.channels)
        check_whole("width", self.width)


class Standardize(nn.Module):
    """Shift and scale of the input, measured on the fitted rows and kept with the network."""

    shift: Tensor
    factor: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(n_features))
        self.register_buffer("factor", torch.ones(()))

    def measure(self, sample: Tensor) -> None:
        """Set shift and scale so that a sample (m, d) has mean 0 and mean square 1.

        One factor serves all features, so that distances keep their proportions.
        """
        wide = sample.cpu().double()
        self.shift = wide.mean(dim=0).to(self.shift)
        spread = float((wide - wide.mean(dim=0)).square().mean().sqrt())
        self.factor.fill_(inverse_of(spread))

    def forward(self, rows: Tensor) -> Tensor:
        """Standardise rows (m, d)."""
        return (rows - self.shift) * self.factor


def inverse_of(spread: float) -> float:
    """Return the factor that makes a spread 1, or 1 where there is none.

    Raises
    ------
    InputError
        If float32 does not hold it.
    """
    if 0 < spread < float(torch.finfo(torch.float32).tiny):
        raise InputError(
            f"the rows vary by {spread:.1e}, less than float32 can tell from nothing; scale them "
            "(sklearn.preprocessing.StandardScaler)."
        )
    return 1.0 / spread if spread > 0 else 1.0


class ToImages(nn.Module):
    """Rows (m, d) as images (m, channels, height, width), in the memory order convolutions like."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.image_shape = image_shape

    def forward(self, rows: Tensor) -> Tensor:
        """Reshape."""
        return as_images(rows, self.image_shape).contiguous(memory_format=torch.channels_last)


class FromImages(nn.Module):
    """Images (m, channels, height, width) as rows (m, d), in the order that they lie in memory.

    ``nn.Flatten`` would copy them into another order, and its gradient would make every layer
    before it work in the order that convolutions do not like (a fifth of a training step).
    """

    def forward(self, images: Tensor) -> Tensor:
        """Reshape."""
        return from_images(images)


def as_images(rows: Tensor, image_shape: tuple[int, ...]) -> Tensor:
    """View rows (m, h w c) of images (h, w) or (h, w, c) as (m, c, h, w)."""
    height, width = image_shape[:2]
    # not len(rows): an exported network would take no other number of rows
    return rows.reshape(rows.shape[0], height, width, -1).permute(0, 3, 1, 2)


def from_images(images: Tensor) -> Tensor:
    """Undo :func:`as_images`."""
    return images.permute(0, 2, 3, 1).reshape(images.shape[0], -1)


def build_map(
    spec: DenseMap | ConvMap, row_shape: Sequence[int], n_outputs: int, *, seed: int
) -> nn.Module:
    """Build the network from rows to outputs, with weights drawn from the seed.

    Parameters
    ----------
    spec : DenseMap or ConvMap
    row_shape : sequence of int
        Shape of one row: (d,), (h, w) or (h, w, c). Rows come in flat, (m, d).
    n_outputs : int
    seed : int
        The global generator of torch is left as it was.

    Raises
    ------
    InputError
        If a ConvMap is asked for rows that are no images.
    """
    shape = tuple(int(size) for size in row_shape)
    with drawn_from(seed):
        if isinstance(spec, DenseMap):
            return _dense(spec, math.prod(shape), n_outputs)
        if not isinstance(spec, ConvMap):
            raise InputError(f"network must be a DenseMap or a ConvMap, got {spec!r}.")
        if len(shape) < 2:
            raise InputError(
                f"a ConvMap needs images, got rows of shape {shape}; give rows of shape (h, w) or "
                "(h, w, channels), set image_shape=(h, w), or use network=DenseMap()."
            )
        return _conv(spec, shape, n_outputs)


def build_autoencoder(
    n_features: int, widths: Sequence[int], n_codes: int, *, seed: int
) -> tuple[nn.Module, nn.Module]:
    """Return encoder and mirrored decoder, dense with ReLU (SpectralNet: 512-512-2048-10)."""
    with drawn_from(seed):
        spec = DenseMap(tuple(widths), batch_norm=False)
        mirrored = DenseMap(tuple(reversed(widths)), batch_norm=False)
        return _dense(spec, n_features, n_codes), _dense(mirrored, n_codes, n_features)


def _dense(spec: DenseMap, n_inputs: int, n_outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in spec.widths:
        layers.append(nn.Linear(n_inputs, width))
        if spec.batch_norm:
            layers.append(BatchNorm(width))
        layers.append(nn.ReLU(inplace=True))
        n_inputs = width
    layers.append(nn.Linear(n_inputs, n_outputs))
    if spec.head == "tanh":
        layers.append(nn.Tanh())
        if not spec.batch_norm:
            _keep_variance(layers)
    return nn.Sequential(*layers)


def _keep_variance(layers: list[nn.Module]) -> None:
    """Draw weights anew so that signals keep their variance through ReLUs (He et al. 2015).

    torch's own start shrinks it sixfold a layer. In the published network, which is deep and has
    no batch normalisation, the outputs then begin as almost one vector, and what is made
    orthonormal of them is rounding.
    """
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)


def _conv(spec: ConvMap, image_shape: tuple[int, ...], n_outputs: int) -> nn.Sequential:
    height, width = image_shape[:2]
    n_inputs = math.prod(image_shape[2:])
    layers: list[nn.Module] = [ToImages(image_shape)]
    for n_channels in spec.channels:
        convolution = nn.Conv2d(n_inputs, n_channels, 3, stride=2, padding=1)
        layers += [convolution, BatchNorm(n_channels), nn.ReLU(inplace=True)]
        n_inputs, height, width = n_channels, (height + 1) // 2, (width + 1) // 2
    layers += [FromImages(), nn.Linear(n_inputs * height * width, spec.width)]
    layers += [BatchNorm(spec.width), nn.ReLU(inplace=True), nn.Linear(spec.width, n_outputs)]
    network = nn.Sequential(*layers)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
