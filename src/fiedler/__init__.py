"""Deep spectral clustering: rows in; clusters, a generalising embedding and a report out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fiedler.data import ImageFolder, gradient_histograms, load_dataset, open_rows
    from fiedler.graph import KNN, Epsilon, Gaussian, NeighborGraph, nearest_neighbors
    from fiedler.models import (
        DSCDAN,
        BatchAffinity,
        DSCDANRecipe,
        LearnedGraph,
        Round,
        SANet,
        SpectralClustering,
        SpectralEmbedding,
        SpectralNet,
        SpectralNetRecipe,
    )
    from fiedler.models.sanet import (
        Binarization,
        BlockHistogram,
        Coding,
        LocalContrast,
        Normalization,
        Orientation,
        Pooling,
        Procedure,
        SpectralLayer,
        Upright,
        VotingLayer,
    )
    from fiedler.networks import ConvCoder, ConvMap, DenseCoder, DenseMap, RandomAffine
    from fiedler.partition import rebuild_partition
    from fiedler.persistence import load
    from fiedler.training import Autoencoder, DualLoss, Siamese, Training

# Heavy imports (torch, scikit-learn) happen at first use of a name, not at `import fiedler`.
_HOMES = {
    "ImageFolder": "data",
    "gradient_histograms": "data",
    "load_dataset": "data",
    "open_rows": "data",
    "Epsilon": "graph",
    "Gaussian": "graph",
    "KNN": "graph",
    "NeighborGraph": "graph",
    "nearest_neighbors": "graph",
    "BatchAffinity": "models",
    "SANet": "models",
    "DSCDAN": "models",
    "DSCDANRecipe": "models",
    "LearnedGraph": "models",
    "Round": "models",
    "SpectralClustering": "models",
    "SpectralEmbedding": "models",
    "SpectralNet": "models",
    "SpectralNetRecipe": "models",
    "Binarization": "models.sanet",
    "BlockHistogram": "models.sanet",
    "Coding": "models.sanet",
    "LocalContrast": "models.sanet",
    "Normalization": "models.sanet",
    "Orientation": "models.sanet",
    "Pooling": "models.sanet",
    "Procedure": "models.sanet",
    "SpectralLayer": "models.sanet",
    "Upright": "models.sanet",
    "VotingLayer": "models.sanet",
    "ConvCoder": "networks",
    "DenseCoder": "networks",
    "ConvMap": "networks",
    "DenseMap": "networks",
    "RandomAffine": "networks",
    "rebuild_partition": "partition",
    "load": "persistence",
    "Autoencoder": "training",
    "DualLoss": "training",
    "Siamese": "training",
    "Training": "training",
}

__all__ = [
    "DSCDAN",
    "KNN",
    "Autoencoder",
    "BatchAffinity",
    "Binarization",
    "BlockHistogram",
    "Coding",
    "ConvCoder",
    "ConvMap",
    "DSCDANRecipe",
    "DenseCoder",
    "DenseMap",
    "DualLoss",
    "Epsilon",
    "Gaussian",
    "ImageFolder",
    "LearnedGraph",
    "LocalContrast",
    "NeighborGraph",
    "Normalization",
    "Orientation",
    "Pooling",
    "Procedure",
    "RandomAffine",
    "Round",
    "SANet",
    "Siamese",
    "SpectralClustering",
    "SpectralEmbedding",
    "SpectralLayer",
    "SpectralNet",
    "SpectralNetRecipe",
    "Training",
    "Upright",
    "VotingLayer",
    "__version__",
    "gradient_histograms",
    "load",
    "load_dataset",
    "nearest_neighbors",
    "open_rows",
    "rebuild_partition",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fiedler' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fiedler.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
