"""The estimators, imported at first use: the cost estimate beside them must stay light."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiedler.models.clustering import SpectralClustering
    from fiedler.models.dscdan import DSCDAN, DSCDANRecipe, LearnedGraph, Round
    from fiedler.models.embedding import SpectralEmbedding
    from fiedler.models.sanet import SANet
    from fiedler.models.spectralnet import BatchAffinity, SpectralNet, SpectralNetRecipe

__all__ = [
    "DSCDAN",
    "BatchAffinity",
    "DSCDANRecipe",
    "LearnedGraph",
    "Round",
    "SANet",
    "SpectralClustering",
    "SpectralEmbedding",
    "SpectralNet",
    "SpectralNetRecipe",
]

_HOMES = {
    "BatchAffinity": "spectralnet",
    "SANet": "sanet",
    "DSCDAN": "dscdan",
    "DSCDANRecipe": "dscdan",
    "LearnedGraph": "dscdan",
    "Round": "dscdan",
    "SpectralClustering": "clustering",
    "SpectralEmbedding": "embedding",
    "SpectralNet": "spectralnet",
    "SpectralNetRecipe": "spectralnet",
}


def __getattr__(name: str) -> Any:
    """Import an estimator at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fiedler.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fiedler.models.{_HOMES[name]}"), name)
