"""SA-Net: layers of spectral analysis, their presets, and the estimator."""

from fiedler.models.sanet.estimator import SANet
from fiedler.models.sanet.layers import Procedure, SpectralLayer, VotingLayer
from fiedler.models.sanet.plain_layers import (
    Binarization,
    BlockHistogram,
    Coding,
    LocalContrast,
    Normalization,
    Orientation,
    Pooling,
    Upright,
)

__all__ = [
    "Binarization",
    "BlockHistogram",
    "Coding",
    "LocalContrast",
    "Normalization",
    "Orientation",
    "Pooling",
    "Procedure",
    "SANet",
    "SpectralLayer",
    "Upright",
    "VotingLayer",
]
