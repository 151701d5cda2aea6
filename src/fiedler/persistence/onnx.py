"""Networks as ONNX files, checked against the runtime that will read them.

The hook: an estimator that has a network offers ``export_module()``, which returns a
``torch.nn.Module`` in evaluation mode, on the processor, and an example batch (float32, first axis
the rows, at least two of them). The module takes such a batch and gives one tensor, or a dict of
tensors by name (say ``embedding`` and ``probabilities``), whose first axis is the rows.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fiedler.exceptions import InputError, OutputError

# Two programs that round differently may differ by this much, relative to the largest output.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class OnnxCheck:
    """What was compared.

    Attributes
    ----------
    rows, outputs : int
        Rows of the example, and tensors that the network gives.
    largest_difference : float
        Between torch and onnxruntime, relative to the largest value.
    """

    rows: int
    outputs: int
    largest_difference: float


def export_onnx(estimator: Any, path: str | os.PathLike[str]) -> OnnxCheck:
    """Write an estimator's network to an ONNX file for batches of any size, and check it.

    Parameters
    ----------
    estimator : object with ``export_module() -> (module, example)``
        A fitted estimator that has a network.
    path : path-like
        Replaced if it exists; nothing is left behind where the check fails.

    Returns
    -------
    OnnxCheck

    Raises
    ------
    InputError
        The estimator has no network, or a library is missing.
    OutputError
        onnxruntime computes something else than torch.
    """
    if not hasattr(estimator, "export_module"):
        raise InputError(
            f"{type(estimator).__name__} has no network: a new row gets its place from its "
            "neighbours among the fitted rows, which ONNX cannot hold. Keep its own file, "
            "model.fiedler, which fiedler.load reads."
        )
    for name in ("onnx", "onnxscript", "onnxruntime"):
        _require(name)
    module, example = estimator.export_module()
    target = Path(path)
    part = target.with_name(f".{target.name}.part{os.getpid()}")
    try:
        names = _write(module, example, part)
        check = _compare(module, example, names, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return check


def _require(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"an ONNX file needs the library {name} ({error}): pip install 'fiedler[onnx]'."
        ) from error


def _write(module: Any, example: Any, part: Path) -> list[str]:
    """Export with a free number of rows; return the names of the outputs."""
    import torch

    with torch.inference_mode():
        outputs = module(example)
    names = list(outputs) if isinstance(outputs, dict) else ["output"]
    torch.onnx.export(
        module,
        (example,),
        part,
        input_names=["rows"],
        output_names=names,
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return names


def _compare(module: Any, example: Any, names: list[str], part: Path) -> OnnxCheck:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(part), providers=["CPUExecutionProvider"])
    largest = 0.0
    # Also one row by itself: the exported batch must not be bound to the example's size.
    for rows in (example, example[:1]):
        with torch.inference_mode():
            expected = module(rows)
        expected = list(expected.values()) if isinstance(expected, dict) else [expected]
        try:
            given = session.run(names, {"rows": rows.numpy()})
        except Exception as error:  # the runtime's own, of many classes
            raise OutputError(
                f"onnxruntime cannot run the exported network on {len(rows)} rows; nothing was "
                f"written. It says: {error}"
            ) from error
        for want, got in zip(expected, given, strict=True):
            reference = want.numpy()
            scale = max(float(np.abs(reference).max()), 1e-12)
            largest = max(largest, float(np.abs(got - reference).max()) / scale)
    if not largest <= TOLERANCE:
        raise OutputError(
            f"onnxruntime computes something else than torch (relative difference {largest:.1e}); "
            "nothing was written."
        )
    return OnnxCheck(len(example), len(names), largest)
