"""The estimators."""

from fiedler.models.clustering import SpectralClustering
from fiedler.models.embedding import SpectralEmbedding

__all__ = ["SpectralClustering", "SpectralEmbedding"]
