"""Encoder and mirrored decoder of the dual autoencoder, built from the shape of a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fiedler.data.checks import check_flag, check_whole, check_widths
from fiedler.exceptions import InputError
from fiedler.networks.build import FromImages, ToImages
from fiedler.networks.draws import drawn_from
from fiedler.networks.norm import BatchNorm
from fiedler.networks.short_repr import ShortRepr

_SLOPE = 0.2


@dataclass(frozen=True, repr=False)
class ConvCoder(ShortRepr):
    """Convolutions, then the code; the decoder mirrors them by transposed convolutions.

    LeakyReLU(0.2) after each (Yang et al. 2019, section 4.2: channels 16, 16, 32, 32, two of them
    of stride 2; for USPS 16, 32).

    Parameters
    ----------
    channels : tuple of int
        Of each convolution.
    strides : tuple of int
        Of each convolution.
    kernel : int or tuple of int
        Height and width of the kernels, odd; of each convolution, or of all.
    width : int or None
        Units of a dense layer between the convolutions and the code, if any.
    batch_norm : bool
        Batch normalisation in the encoder.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    strides: tuple[int, ...] = (2, 2, 2)
    kernel: int | tuple[int, ...] = 3
    width: int | None = 512
    batch_norm: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be mirrored."""
        check_widths("channels", self.channels)
        check_widths("strides", self.strides)
        if isinstance(self.kernel, (tuple, list)):
            check_widths("kernel", self.kernel)
        else:
            check_whole("kernel", self.kernel)
        if self.width is not None:
            check_whole("width", self.width)
        check_flag("batch_norm", self.batch_norm)
        counts = {len(self.channels), len(self.strides), len(self.kernels)}
        if len(counts) > 1 or not self.channels or any(size % 2 == 0 for size in self.kernels):
            raise InputError(
                "ConvCoder needs one stride for each of its channels, and odd kernels, got "
                f"channels={self.channels}, strides={self.strides}, kernel={self.kernel}."
            )

    @property
    def kernels(self) -> tuple[int, ...]:
        """The kernel of each convolution."""
        if isinstance(self.kernel, (tuple, list)):
            return tuple(self.kernel)
        return (self.kernel,) * len(self.channels)


@dataclass(frozen=True, repr=False)
class DenseCoder(ShortRepr):
    """Dense layers with LeakyReLU(0.2), then the code; mirrored. For vectors.

    Parameters
    ----------
    widths : tuple of int
        Units of the hidden layers.
    batch_norm : bool
        Batch normalisation in the encoder.
    """

    widths: tuple[int, ...] = (1024, 512)
    batch_norm: bool = True

    def __post_init__(self) -> None:
        """Refuse what are no widths."""
        check_widths("widths", self.widths)
        check_flag("batch_norm", self.batch_norm)


class Encoder(nn.Module):
    """Rows to ``(C, mu, log sigma^2)``.

    Parameters
    ----------
    trunk : nn.Module
        Rows (m, d) to the feature map C (m, c, h, w).
    hidden : nn.Module
        C to the vector that the code is read from.
    n_hidden, n_codes : int
    """

    def __init__(self, trunk: nn.Module, hidden: nn.Module, n_hidden: int, n_codes: int) -> None:
        super().__init__()
        self.trunk, self.hidden = trunk, hidden
        self.mean = nn.Linear(n_hidden, n_codes)
        self.log_variance = nn.Linear(n_hidden, n_codes)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the feature map (m, c, h, w), ``mu`` and ``log sigma^2``, each (m, n_codes)."""
        features = self.trunk(rows)
        hidden = self.hidden(features)
        return features, self.mean(hidden), self.log_variance(hidden)

    def codes(self, rows: Tensor) -> Tensor:
        """Return ``mu`` only."""
        found: Tensor = self.mean(self.hidden(self.trunk(rows)))
        return found


@dataclass(frozen=True)
class Coder:
    """An encoder, its mirror, and the channels and places of the feature map between them."""

    encoder: Encoder
    decoder: nn.Module
    n_features: int
    n_places: int


def build_coder(
    spec: ConvCoder | DenseCoder, row_shape: Sequence[int], n_codes: int, *, seed: int
) -> Coder:
    """Build encoder and decoder, with weights drawn from the seed.

    Parameters
    ----------
    spec : ConvCoder or DenseCoder
    row_shape : sequence of int
        (d,), (h, w) or (h, w, c). Any size; images are given back in theirs.
    n_codes : int
    seed : int
        The global generator of torch is left as it was.

    Returns
    -------
    Coder
        A ConvCoder's decoder gives images between 0 and 1 (sigmoid), a DenseCoder's vectors without
        bounds.

    Raises
    ------
    InputError
        If a ConvCoder is asked for rows that are no images.
    """
    shape = tuple(int(size) for size in row_shape)
    with drawn_from(seed):
        if isinstance(spec, DenseCoder):
            return _dense_coder(spec, math.prod(shape), n_codes)
        if len(shape) < 2:
            raise InputError(
                f"a ConvCoder needs images, got rows of shape {shape}; give rows of shape (h, w) "
                "or (h, w, channels), set image_shape=(h, w), or use coder=DenseCoder()."
            )
        return _conv_coder(spec, shape, n_codes)


def _dense_coder(spec: DenseCoder, n_rows: int, n_codes: int) -> Coder:
    trunk: list[nn.Module] = []
    n_inputs = n_rows
    for width in spec.widths:
        trunk += _activated(nn.Linear(n_inputs, width), width, spec.batch_norm)
        n_inputs = width
    trunk.append(nn.Unflatten(1, (n_inputs, 1, 1)))
    encoder = Encoder(nn.Sequential(*trunk), nn.Flatten(), n_inputs, n_codes)
    mirror: list[nn.Module] = []
    width = n_codes
    for wider in reversed(spec.widths):
        mirror += _activated(nn.Linear(width, wider), wider, False)
        width = wider
    mirror.append(nn.Linear(width, n_rows))
    return Coder(encoder, nn.Sequential(*mirror), n_inputs, 1)


def _conv_coder(spec: ConvCoder, shape: tuple[int, ...], n_codes: int) -> Coder:
    trunk: list[nn.Module] = [ToImages(shape)]
    mirror: list[nn.Module] = []
    n_inputs, size = math.prod(shape[2:]), (shape[0], shape[1])
    layers = zip(spec.channels, spec.strides, spec.kernels, strict=True)
    for i, (channels, stride, kernel) in enumerate(layers):
        pad = kernel // 2
        down = nn.Conv2d(n_inputs, channels, kernel, stride=stride, padding=pad)
        trunk += _activated(down, channels, spec.batch_norm)
        smaller = ((size[0] - 1) // stride + 1, (size[1] - 1) // stride + 1)
        # what the stride cut off, so that the image comes back in its size
        extra = ((size[0] - 1) % stride, (size[1] - 1) % stride)
        up = _Up(channels, n_inputs, kernel, stride=stride, padding=pad, output_padding=extra)
        last: list[nn.Module] = [up, nn.Sigmoid()]
        mirror = _activated(up, n_inputs, False) + mirror if i else last
        n_inputs, size = channels, smaller
    flat = n_inputs * math.prod(size)
    n_hidden = spec.width or flat
    hidden: list[nn.Module] = [FromImages()]
    back: list[nn.Module] = _activated(nn.Linear(n_codes, n_hidden), n_hidden, False)
    if spec.width:
        hidden += _activated(nn.Linear(flat, spec.width), spec.width, spec.batch_norm)
        back += _activated(nn.Linear(spec.width, flat), flat, False)
    encoder = Encoder(nn.Sequential(*trunk), nn.Sequential(*hidden), n_hidden, n_codes)
    images = nn.Sequential(*back, ToImages((*size, n_inputs)), *mirror, FromImages())
    for module in (encoder, images):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Coder(encoder, images, n_inputs, math.prod(size))


class _Up(nn.ConvTranspose2d):
    """A transposed convolution that adds its bias by itself.

    Within its product the bias makes it seven times as slow in bfloat16 (oneDNN 3, few places).
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the maps (m, c, h, w)."""
        assert self.bias is not None
        assert not isinstance(self.padding, str)  # none of the names that convolutions take
        found = F.conv_transpose2d(
            input, self.weight, None, self.stride, self.padding, self.output_padding
        )
        return found + self.bias.to(found.dtype)[:, None, None]


def _activated(layer: nn.Module, width: int, batch_norm: bool) -> list[nn.Module]:
    norm: list[nn.Module] = [BatchNorm(width)] if batch_norm else []
    return [layer, *norm, nn.LeakyReLU(_SLOPE, inplace=True)]
