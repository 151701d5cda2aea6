"""Torch modules: maps, autoencoders, the orthonormal layer, batch affinities, losses."""

from __future__ import annotations

from fiedler.networks.augment import RandomAffine, random_views, warp
from fiedler.networks.batch_affinity import batch_affinity
from fiedler.networks.build import ConvMap, DenseMap, build_autoencoder, build_map
from fiedler.networks.capacity import vc_capacity
from fiedler.networks.coder import ConvCoder, DenseCoder
from fiedler.networks.losses import (
    contrastive_loss,
    known_pair_loss,
    pair_loss,
    spectral_loss,
)
from fiedler.networks.orthonormal import OrthonormalLayer, orthonormal_weights

__all__ = [
    "ConvCoder",
    "ConvMap",
    "DenseCoder",
    "DenseMap",
    "OrthonormalLayer",
    "RandomAffine",
    "batch_affinity",
    "build_autoencoder",
    "build_map",
    "contrastive_loss",
    "known_pair_loss",
    "orthonormal_weights",
    "pair_loss",
    "random_views",
    "spectral_loss",
    "vc_capacity",
    "warp",
]
