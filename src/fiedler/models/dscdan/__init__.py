"""DSC-DAN (Yang et al., CVPR 2019): recipe, rounds of the joint phase, estimator."""

from __future__ import annotations

from fiedler.models.dscdan.estimator import DSCDAN
from fiedler.models.dscdan.recipe import DSCDANRecipe, LearnedGraph, Round

__all__ = ["DSCDAN", "DSCDANRecipe", "LearnedGraph", "Round"]
