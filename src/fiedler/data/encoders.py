"""Encoders: pictures or texts to feature rows, by a trained network or a function of the user's.

A network is a ``timm`` model by name, a TorchScript file, or an ONNX file; anything else that can
make rows is a Python function ``module:function``. `load_encoder` is the one way to each of them.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fiedler.data.weights import fit_weights, read_weights
from fiedler.exceptions import InputError

# Mean and standard deviation of each colour that networks were trained with, for pixels in [0, 1].
NORMALIZATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
DEFAULT_SIZE = (224, 224)
_TORCHSCRIPT = (".pt", ".pth", ".ts", ".torchscript", ".jit")
_HUB_PREFIXES = ("timm:", "hf-hub:", "hf_hub:")

Run = Callable[[Any], Any]


@dataclass(frozen=True)
class EncoderSpec:
    """Which encoder, as the user named it; a recipe keeps it.

    Parameters
    ----------
    name : str
        A ``timm`` model (``"resnet50"``, ``"hf-hub:owner/model"``), the path of a TorchScript
        (``.pt``, ``.ts``, ...) or ``.onnx`` file, or ``"module:function"``.
    weights : str, optional
        Local file of weights (``.safetensors``, ``.pth``, ...) for a ``timm`` model; by default
        they come from its hub.
    size : (int, int), optional
        Height and width of the pictures; by default what the network says, else 224 x 224.
    normalize : {"auto", "imagenet", "half", "unit"}
        How pixels in [0, 1] are shifted and scaled: as for ImageNet, to [-1, 1], or not at all.
        ``"auto"``: what a timm model says; ``"imagenet"`` for files.
    fingerprint : str
        Tells whether two encoders compute the same; filled in by `load_encoder`.
    """

    name: str
    weights: str | None = None
    size: tuple[int, int] | None = None
    normalize: str = "auto"
    fingerprint: str = field(default="", compare=False)

    @property
    def kind(self) -> str:
        """``"timm"``, ``"torchscript"``, ``"onnx"`` or ``"function"``."""
        lower = self.name.lower()
        if lower.endswith(".onnx"):
            return "onnx"
        if lower.endswith(_TORCHSCRIPT):
            return "torchscript"
        if ":" in self.name and not lower.startswith(_HUB_PREFIXES):
            return "function"
        return "timm"

    def to_state(self) -> dict[str, Any]:
        """The specification as plain JSON values."""
        return {
            "name": self.name,
            "weights": self.weights,
            "size": None if self.size is None else list(self.size),
            "normalize": self.normalize,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> EncoderSpec:
        """Undo `to_state`."""
        size = state["size"]
        return cls(
            str(state["name"]),
            None if state["weights"] is None else str(state["weights"]),
            None if size is None else (int(size[0]), int(size[1])),
            str(state["normalize"]),
            str(state["fingerprint"]),
        )


@dataclass(frozen=True)
class Encoder:
    """A loaded encoder.

    Parameters
    ----------
    spec : EncoderSpec
        With size and fingerprint filled in.
    run : callable
        From uint8 pictures (b, height, width, 3), or a list of b texts, to anything that
        `as_feature_rows` understands.
    """

    spec: EncoderSpec
    run: Run

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures that it takes."""
        return self.spec.size or DEFAULT_SIZE

    def encode(self, batch: Any) -> np.ndarray:
        """Turn a batch into rows: float32, shape (b, d).

        Raises
        ------
        InputError
            If the result is not one row of finite numbers for each picture or text.
        """
        return as_feature_rows(self.run(batch), len(batch), self.spec.name)


def load_encoder(spec: EncoderSpec) -> Encoder:
    """Load the encoder that `spec` names, with its size and fingerprint filled in.

    Raises
    ------
    InputError
        It is absent, needs a library that is not installed, or its weights do not fit; or the
        fingerprint that `spec` holds is another.
    """
    if spec.normalize not in ("auto", *NORMALIZATIONS):
        raise InputError(
            f"normalize must be 'auto' or one of {list(NORMALIZATIONS)}, got {spec.normalize!r}."
        )
    if spec.weights is not None and spec.kind != "timm":
        raise InputError(
            f"the encoder {spec.name} brings its own weights; weights= is for timm models."
        )
    encoder = _LOADERS[spec.kind](spec)
    if spec.fingerprint and spec.fingerprint != encoder.spec.fingerprint:
        raise InputError(
            f"the encoder {spec.name} computes something else than when it was first used (its "
            "file, weights or code differ), so its rows cannot be compared with those. Put the "
            "earlier file back, or cluster again."
        )
    return encoder


def as_feature_rows(output: Any, count: int, name: str) -> np.ndarray:
    """Bring a network's output to rows: maps and tokens are averaged, tuples give their first.

    Returns
    -------
    ndarray of float32, shape (count, d)
    """
    while isinstance(output, (tuple, list)) and output and hasattr(output[0], "shape"):
        if len(output) == count and getattr(output[0], "ndim", 0) == 1:
            break
        output = output[0]
    if hasattr(output, "detach"):
        output = output.detach().float().cpu().numpy()
    rows = np.asarray(output, dtype=np.float32)
    if rows.ndim == 4:
        rows = rows.mean(axis=(2, 3))
    elif rows.ndim == 3:
        rows = rows.mean(axis=1)
    if rows.ndim != 2 or len(rows) != count:
        raise InputError(
            f"the encoder {name} gave an array of shape {rows.shape} for {count} inputs; needed "
            f"is one row for each: ({count}, d), or maps ({count}, d, h, w)."
        )
    if not np.isfinite(rows).all():
        raise InputError(f"the encoder {name} gave NaN or infinity; check its weights and scale.")
    return rows


def _timm(spec: EncoderSpec) -> Encoder:
    import torch

    timm = _import("timm", "a timm model", "pip install 'fiedler[encoders]'")
    name = spec.name.removeprefix("timm:")
    if spec.weights is not None and not Path(spec.weights).is_file():
        raise InputError(f"there is no file of weights {spec.weights}.")
    try:
        network = timm.create_model(name, pretrained=spec.weights is None)
    except Exception as error:
        # timm, its hub client and the network raise nearly anything.
        close = ", ".join(timm.list_models(f"*{name}*")[:5])
        raise InputError(
            f"the timm model {name!r} cannot be made ({type(error).__name__}: {error}). "
            f"{f'There are: {close}. ' if close else ''}Without a connection to its hub, give a "
            "local file of its weights with weights=."
        ) from error
    if spec.weights is not None:
        fit_weights(network, read_weights(Path(spec.weights)), spec.weights)
    network.reset_classifier(0)
    known = network.pretrained_cfg
    scale = NORMALIZATIONS.get(spec.normalize, (known["mean"], known["std"]))
    size = spec.size or tuple(known["input_size"][1:])
    digest = _digest(name, *(_state_bytes(network.state_dict())), repr((size, scale)))
    filled = replace(spec, size=size, fingerprint=digest)
    return Encoder(filled, _torch_run(network.eval(), scale, torch.device(_device())))


def _torchscript(spec: EncoderSpec) -> Encoder:
    import torch

    path = _existing(spec.name)
    device = _device()
    try:
        network = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} is not a TorchScript file ({str(error).splitlines()[0]}). Write one with "
            "torch.jit.save(torch.jit.trace(network, example), path); weights alone are not enough."
        ) from error
    scale = _file_scale(spec)
    filled = _filled(spec, path, spec.size or DEFAULT_SIZE)
    return Encoder(filled, _torch_run(network.eval(), scale, torch.device(device)))


def _torch_run(network: Any, scale: Any, device: Any) -> Run:
    import torch

    mean, deviation = (torch.tensor(v, device=device).reshape(1, 3, 1, 1) for v in scale)
    network = network.to(device)

    def run(pictures: np.ndarray) -> Any:
        # (b, h, w, 3) seen as (b, 3, h, w) is torch's channels-last order, the fast one.
        pixels = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return network(pixels.float().div_(255.0).sub_(mean).div_(deviation))

    return run


def _onnx(spec: EncoderSpec) -> Encoder:
    runtime = _import("onnxruntime", "an ONNX file", "pip install 'fiedler[onnx]'")
    path = _existing(spec.name)
    try:
        session = runtime.InferenceSession(str(path), providers=runtime.get_available_providers())
    except Exception as error:
        # onnxruntime's own errors share no base class.
        raise InputError(f"{path} cannot be opened as an ONNX model ({error}).") from error
    wanted = session.get_inputs()[0]
    fixed = [side for side in wanted.shape[2:] if isinstance(side, int)]
    size = spec.size or ((fixed[0], fixed[1]) if len(fixed) == 2 else DEFAULT_SIZE)
    mean, deviation = (np.asarray(v, np.float32).reshape(3, 1, 1) for v in _file_scale(spec))

    def run(pictures: np.ndarray) -> Any:
        pixels = pictures.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
        batch = np.ascontiguousarray((pixels - mean) / deviation)
        if isinstance(wanted.shape[0], int) and wanted.shape[0] != len(batch):
            # Exported for one size of batch only: feed it one picture (or so many) at a time.
            return _in_fixed_batches(session, wanted, batch)
        return session.run(None, {wanted.name: batch})[0]

    return Encoder(_filled(spec, path, size), run)


def _in_fixed_batches(session: Any, wanted: Any, batch: np.ndarray) -> np.ndarray:
    step = wanted.shape[0]
    parts = []
    for start in range(0, len(batch), step):
        part = batch[start : start + step]
        padded = np.concatenate([part, np.repeat(part[-1:], step - len(part), axis=0)])
        parts.append(session.run(None, {wanted.name: padded})[0][: len(part)])
    return np.concatenate(parts)


def _function(spec: EncoderSpec) -> Encoder:
    module_name, _, attribute = spec.name.partition(":")
    # As `python -m` does: a script beside the user is found.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the encoder {spec.name} cannot be imported ({error}). Write module:function, with "
            "the module installed or in the folder where you are."
        ) from error
    if not callable(found):
        raise InputError(f"the encoder {spec.name} is {type(found).__name__}, not a function.")
    origin = getattr(sys.modules[module_name], "__file__", None)
    code = Path(origin).read_bytes() if origin else b""
    size = spec.size or getattr(found, "input_size", None) or DEFAULT_SIZE
    digest = _digest(spec.name, code, repr(size))
    return Encoder(replace(spec, size=tuple(size), fingerprint=digest), found)


_LOADERS = {"timm": _timm, "torchscript": _torchscript, "onnx": _onnx, "function": _function}


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {path} to encode by.")
    return path


def _filled(spec: EncoderSpec, path: Path, size: tuple[int, int]) -> EncoderSpec:
    digest = _digest(spec.kind, path.read_bytes(), repr((size, _file_scale(spec))))
    return replace(spec, size=size, fingerprint=digest)


def _file_scale(spec: EncoderSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return NORMALIZATIONS["imagenet" if spec.normalize == "auto" else spec.normalize]


def _state_bytes(state: dict[str, Any]) -> list[bytes]:
    return [value.detach().cpu().contiguous().numpy().tobytes() for value in state.values()]


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _import(name: str, what: str, remedy: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"{what} needs the library {name}, which cannot be imported ({error}): {remedy}."
        ) from error
    except RuntimeError as error:
        # torchvision, which timm imports, refuses a torch that it was not built for.
        raise InputError(
            f"the library {name} does not work here ({error}); torch and torchvision must be of "
            "matching releases: pip install --upgrade torch torchvision."
        ) from error
