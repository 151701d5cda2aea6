"""`fiedler info` and `fiedler plan`: what a run or a model is, and what a run will cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fiedler.cli.inputs import Opening, wants_gradients
from fiedler.cli.methods import (
    Settings,
    check_parameters,
    describe_cost,
    estimate,
    features_of,
    human_bytes,
    human_seconds,
)
from fiedler.cli.outcome import reading
from fiedler.cli.run_folder import read_record, to_json
from fiedler.cli.terminal import Terminal
from fiedler.exceptions import InputError


def info(path: Path, terminal: Terminal) -> None:
    """Describe a run folder or a model file."""
    if not path.exists():
        raise InputError(f"there is no run folder or model file {path}.")
    with reading(str(path)):
        described = read_record(path) if path.is_dir() else _describe_model(path)
    if terminal.json:
        terminal.result(to_json(described))
        return
    for line in _lines(described):
        terminal.say(line)


def plan(shape: tuple[int, ...], settings: Settings, terminal: Terminal) -> None:
    """Say what a run on rows, or images, of this shape will cost on this machine."""
    images, method = len(shape) > 2, settings.method
    check_parameters(settings, method)
    if settings.fixed_clusters and settings.most_clusters > shape[0]:
        raise InputError(
            f"{shape[0]} rows make no {settings.most_clusters} clusters; ask for fewer by -k."
        )
    by_gradients = wants_gradients(Opening(), method, settings.parameters.get("affinity"), shape)
    cost = estimate(shape, settings, method, images=images, gradients=by_gradients)
    described = {
        "rows": shape[0],
        "features": features_of(shape),
        "clusters": settings.most_clusters,
        "method": method,
        **describe_cost(cost),
    }
    if terminal.json:
        terminal.result(to_json(described))
        return
    verdict = "it fits" if described["fits"] else "it does not fit: `cluster` would refuse"
    row = (
        f"images of {' x '.join(map(str, shape[1:]))}"
        if images
        else f"rows of {shape[1]:,} numbers"
    )
    up_to = "" if settings.fixed_clusters else "up to "
    terminal.say(f"{shape[0]:,} {row} into {up_to}{described['clusters']} clusters ({method}):")
    terminal.say(f"  time    about {human_seconds(cost.seconds)}")
    terminal.say(
        f"  memory  about {human_bytes(cost.peak_bytes)} at the peak; "
        f"{human_bytes(cost.available_bytes)} are free: {verdict}"
    )


def _describe_model(path: Path) -> dict[str, Any]:
    from fiedler.persistence import load_state

    kind, params, arrays = load_state(path)
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "method": kind,
        "parameters": params.get("params", params),
        "arrays": {
            name: f"{array.dtype} {' x '.join(map(str, array.shape)) or 'scalar'}"
            for name, array in arrays.items()
        },
    }


def _lines(described: Mapping[str, Any], indent: str = "") -> list[str]:
    """One line a fact, nested facts indented."""
    lines: list[str] = []
    for name, value in described.items():
        label = f"{indent}{name.replace('_', ' ')}"
        if isinstance(value, Mapping) and value:
            lines += [f"{label}:", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{label}: {_value(value)}")
    return lines


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None or value in ({}, "", []):
        return "none"
    if isinstance(value, list):
        shown = " ".join(_value(item) for item in value[:12])
        return shown + (f" ... ({len(value)} in all)" if len(value) > 12 else "")
    return str(value)
