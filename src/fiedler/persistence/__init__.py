"""Saving estimators: one file of tensors and JSON, whose opening executes nothing.

Estimators are found by name at run time, in a fixed list, so nothing here imports one.
"""

from __future__ import annotations

import os
from typing import Any

from fiedler.exceptions import ModelFileError
from fiedler.persistence.container import load_state, save_state
from fiedler.persistence.parameters import decode_params, encode_params, resolve

__all__ = ["decode_params", "encode_params", "load", "load_state", "save", "save_state"]

# Only what is listed here can come out of a file.
_ESTIMATORS = {
    "SANet": "fiedler.models:SANet",
    "DSCDAN": "fiedler.models:DSCDAN",
    "SpectralClustering": "fiedler.models:SpectralClustering",
    "SpectralEmbedding": "fiedler.models:SpectralEmbedding",
    "SpectralNet": "fiedler.models:SpectralNet",
}
# Refuses a device that is not there; by name too.
_DEVICE = "fiedler.models.rows:resolve_device"


def save(estimator: Any, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a fitted estimator, which `load` reads back to the same predictions.

    Parameters
    ----------
    estimator : object with ``_to_state() -> (params, arrays)``
        A fitted estimator of this package.
    path : path-like
        The file to write; its folder must exist.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If a parameter cannot be kept in a file, for instance a function.
    OutputError
        If the file exists or cannot be written; nothing is left behind.
    """
    params, arrays = estimator._to_state()
    save_state(path, type(estimator).__name__, params, arrays, overwrite=overwrite)


def load(path: str | os.PathLike[str], *, device: str | None = None) -> Any:
    """Read an estimator that `save` wrote. Safe for files from anyone: nothing is executed.

    Parameters
    ----------
    path : path-like
        A model file.
    device : str, optional
        Where it shall run, in place of the ``device`` it was made with. That one is kept where it
        is available, else the model goes to the CPU with a warning.

    Returns
    -------
    estimator
        Fitted, of the class that was saved.

    Raises
    ------
    InputError
        If the `device` asked for is not available.
    ModelFileError
        If it is no model file, truncated, altered, or of another format version.
    """
    kind, params, arrays = load_state(path)
    if kind not in _ESTIMATORS:
        raise ModelFileError(
            f"{path} holds a {kind!r}; this version of fiedler can load {sorted(_ESTIMATORS)}"
        )
    if device is not None:
        resolve(_DEVICE)(device)
        params["params"] = {**params.get("params", {}), "device": device}
    try:
        return resolve(_ESTIMATORS[kind])._from_state(params, arrays)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path} does not hold what a {kind} needs ({type(error).__name__}: {error}); "
            "it was altered or written by a faulty program: save the model again"
        ) from error
