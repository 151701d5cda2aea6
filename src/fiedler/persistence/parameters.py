"""Parameters of estimators as JSON and back; what comes out of a file is on a fixed list."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from fiedler.exceptions import InputError

MAX_DEPTH = 32

# Found by name at run time, so that files of other models can be read without these modules.
PARAMETER_CLASSES = {
    "Autoencoder": "fiedler.training.codes:Autoencoder",
    "BatchAffinity": "fiedler.models.spectralnet:BatchAffinity",
    "Binarization": "fiedler.models.sanet:Binarization",
    "Block": "fiedler.spectrum:Block",
    "BlockHistogram": "fiedler.models.sanet:BlockHistogram",
    "Coding": "fiedler.models.sanet:Coding",
    "ConvCoder": "fiedler.networks:ConvCoder",
    "ConvMap": "fiedler.networks:ConvMap",
    "DSCDANRecipe": "fiedler.models.dscdan:DSCDANRecipe",
    "Dense": "fiedler.spectrum:Dense",
    "DenseCoder": "fiedler.networks:DenseCoder",
    "DenseMap": "fiedler.networks:DenseMap",
    "DualLoss": "fiedler.training.dual:DualLoss",
    "Epsilon": "fiedler.graph:Epsilon",
    "Gaussian": "fiedler.graph:Gaussian",
    "KNN": "fiedler.graph:KNN",
    "Lanczos": "fiedler.spectrum:Lanczos",
    "LocalContrast": "fiedler.models.sanet:LocalContrast",
    "LearnedGraph": "fiedler.models.dscdan:LearnedGraph",
    "MiniBatch": "fiedler.spectrum:MiniBatch",
    "Normalization": "fiedler.models.sanet:Normalization",
    "Nystrom": "fiedler.spectrum:Nystrom",
    "Orientation": "fiedler.models.sanet:Orientation",
    "Pooling": "fiedler.models.sanet:Pooling",
    "Precomputed": "fiedler.graph:Precomputed",
    "Procedure": "fiedler.models.sanet:Procedure",
    "RandomAffine": "fiedler.networks:RandomAffine",
    "Round": "fiedler.models.dscdan:Round",
    "Siamese": "fiedler.training.codes:Siamese",
    "SpectralLayer": "fiedler.models.sanet:SpectralLayer",
    "SpectralNetRecipe": "fiedler.models.spectralnet:SpectralNetRecipe",
    "Training": "fiedler.training:Training",
    "Upright": "fiedler.models.sanet:Upright",
    "VotingLayer": "fiedler.models.sanet:VotingLayer",
}
_TAG = "__fiedler__"


def encode_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as plain JSON values; what JSON lacks is put into tagged objects.

    Parameters
    ----------
    params : mapping of str to value
        None, bool, int, float (infinite and NaN too), str, numpy scalars, the affinities and
        solvers in `PARAMETER_CLASSES`, and lists, tuples and dicts (with str keys) of these.

    Returns
    -------
    dict
        `decode_params` gives back the same values.

    Raises
    ------
    InputError
        Naming the parameter that cannot be stored and what to use instead.
    """
    return {_checked_key(name, "params"): _encode(value, name, 0) for name, value in params.items()}


def decode_params(encoded: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `encode_params`; only listed classes are ever built, anything else is an InputError."""
    return {name: _decode(value) for name, value in encoded.items()}


def _encode(value: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise InputError(f"parameter {where[:60]} is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: "float", "value": str(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        items = [_encode(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
        return items if type(value) is list else {_TAG: "tuple", "items": items}
    if type(value) is dict:
        coded = {
            _checked_key(key, where): _encode(item, f"{where}[{key!r}]", depth + 1)
            for key, item in value.items()
        }
        return {_TAG: "dict", "items": coded} if _TAG in coded else coded
    name = type(value).__name__
    if name in PARAMETER_CLASSES and type(value) is resolve(PARAMETER_CLASSES[name]):
        kept = {
            field.name: _encode(getattr(value, field.name), f"{where}.{field.name}", depth + 1)
            for field in fields(value)
            if field.init
        }
        return {_TAG: name, **kept}
    raise _unstorable(value, where)


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = value.get(_TAG)
    if tag is None:
        return decode_params(value)
    if tag == "float" and value.get("value") in ("inf", "-inf", "nan"):
        return float(value["value"])
    if tag == "tuple" and isinstance(value.get("items"), list):
        return tuple(_decode(value["items"]))
    if tag == "dict" and isinstance(value.get("items"), dict):
        return decode_params(value["items"])
    if isinstance(tag, str) and tag in PARAMETER_CLASSES:
        kept = {name: item for name, item in value.items() if name != _TAG}
        return resolve(PARAMETER_CLASSES[tag])(**decode_params(kept))
    raise InputError(f"unknown kind of parameter {tag!r}")


def _unstorable(value: Any, where: str) -> InputError:
    """Say why a parameter cannot be stored, and what to use instead."""
    if callable(value):
        reason = (
            "a function; a file that holds code could not be opened safely. Use a named or "
            "precomputed affinity, or keep the fitted object in memory"
        )
    elif isinstance(value, (np.random.RandomState, np.random.Generator)):
        reason = f"a {type(value).__name__}; set it to an integer before saving"
    elif isinstance(value, np.ndarray):
        reason = f"an array of shape {value.shape}; store it among the arrays, or use a list"
    else:
        reason = (
            f"of type {type(value).__module__}.{type(value).__qualname__}; a model file keeps "
            "None, numbers, strings, lists, tuples, dicts and "
            f"{', '.join(sorted(PARAMETER_CLASSES))}"
        )
    return InputError(f"parameter {where!r} cannot be saved: it is {reason}")


def _checked_key(key: Any, where: str) -> str:
    if type(key) is not str:
        raise InputError(f"{where} has the key {key!r}; keys must be strings to be saved")
    return key


def resolve(address: str) -> Any:
    """The class at ``module:Class``, imported now."""
    module, name = address.split(":")
    return getattr(importlib.import_module(module), name)
