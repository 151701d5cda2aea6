"""SpectralNet (Shaham et al., ICLR 2018): recipe, stages of the fit, estimator."""

from __future__ import annotations

from fiedler.models.spectralnet.estimator import SpectralNet
from fiedler.models.spectralnet.recipe import BatchAffinity, SpectralNetRecipe

__all__ = ["BatchAffinity", "SpectralNet", "SpectralNetRecipe"]
