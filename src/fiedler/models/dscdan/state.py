"""What a fitted DSCDAN keeps beyond what all networks do, as plain values and arrays, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler import persistence
from fiedler.models.dscdan.recipe import DSCDANRecipe

if TYPE_CHECKING:
    from fiedler.models.dscdan.estimator import DSCDAN

# What of a recipe the network is built from.
_BUILT_FROM = ("coder", "n_codes", "critic_width", "whole_map", "spectral")
_EXAMPLES = ("rows", "decoded", "decoded_noisy")


def state_of(model: DSCDAN) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return parameters (JSON) and arrays that restore the autoencoder and what is shown of it."""
    parts = {name: getattr(model._fitted_recipe, name) for name in _BUILT_FROM}
    kept = {
        "fitted_recipe": persistence.encode_params(parts),
        "most": model._most,
        "rounds": model.rounds_,
        "phases": list(model.phases_),
    }
    arrays = {"phase_rows_": model.phase_rows_}
    arrays |= {f"phase.{i}": array for i, array in enumerate(model.phases_.values())}
    arrays |= {f"example.{name}": model.examples_[name] for name in _EXAMPLES}
    return kept, arrays


def restore_parts(model: DSCDAN, kept: dict[str, Any]) -> None:
    """Give a model what its network is built from, and what happened in its rounds."""
    parts = persistence.decode_params(kept["fitted_recipe"])
    model._fitted_recipe = DSCDANRecipe(**parts)
    model._most, model.rounds_ = int(kept["most"]), kept["rounds"]


def restore_shown(model: DSCDAN, kept: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Give a model the phases and examples that :func:`state_of` took."""
    model.phase_rows_ = arrays["phase_rows_"]
    model.phases_ = {name: arrays[f"phase.{i}"] for i, name in enumerate(kept["phases"])}
    model.examples_ = {name: arrays[f"example.{name}"] for name in _EXAMPLES}
