"""A fitted network as plain values and arrays, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler import persistence
from fiedler.graph import SearchOptions
from fiedler.models.rows import resolve_device
from fiedler.models.sanet.network import network_arrays, restore_network
from fiedler.models.sanet.readout import Readout

if TYPE_CHECKING:
    from fiedler.models.sanet.estimator import SANet


def to_state(model: SANet) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return parameters (JSON) and arrays that restore the fitted estimator."""
    kept = model._common_state() | {
        "layers": persistence.encode_params({"layers": list(model.layers_)}),
        "image_shape": list(model.image_shape_),
        "scale": model._scale,
        "most": model._most,
        "assignment": model.assignment_,
    }
    arrays = network_arrays(model._stack) | {"digests": model._digests}
    arrays |= {f"readout.{name}": a for name, a in model._readout.to_arrays().items()}
    return kept, arrays


def restore_state(model: SANet, kept: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Give an estimator made from the common state what else :func:`to_state` took."""
    model.layers_ = tuple(persistence.decode_params(kept["layers"])["layers"])
    height, width, channels = (int(side) for side in kept["image_shape"])
    model.image_shape_ = (height, width, channels)
    model._scale, model._most = float(kept["scale"]), int(kept["most"])
    model._options = SearchOptions(
        recall=model.recall, seed=model._seed, device=resolve_device(model.device)
    )
    model._stack = restore_network(
        model.layers_, model.image_shape_, model._most, arrays, model._options
    )
    model._digests, model._index = arrays["digests"], None
    read = {
        name.removeprefix("readout."): array
        for name, array in arrays.items()
        if name.startswith("readout.")
    }
    model._keep_readout(Readout(kept["assignment"], **read))
