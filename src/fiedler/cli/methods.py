"""The methods that the command line knows: one table, from which everything else follows.

A further estimator needs one entry in `METHODS`; options, the report and the exports read what they
need from the estimator itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.exceptions import InputError, NotEnoughMemoryError

if TYPE_CHECKING:
    from fiedler.models.plan import CostEstimate
    from fiedler.progress import ProgressCallback

# How many clusters to reckon with while the number is still to be chosen: every method's default
# of max_clusters.
MOST_CLUSTERS = 20
# Parameters that belong to the command line itself.
_OWN = ("progress", "checkpoint")
AUTO = "auto"


@dataclass(frozen=True)
class Job:
    """What is known of a task before a method is chosen for it.

    Parameters
    ----------
    row_name : str
        What one row is, in the plural: "images", "texts", "rows".
    shape : tuple of int
        Shape of the rows.
    encoded : bool
        Whether the rows come out of an encoder.
    """

    row_name: str
    shape: tuple[int, ...]
    encoded: bool = False


@dataclass(frozen=True)
class MethodSpec:
    """One estimator, as the command line offers it.

    Parameters
    ----------
    estimator : str
        ``"module:Class"``, imported when it is used.
    summary : str
        What it does, for the help.
    """

    estimator: str
    summary: str

    def load(self) -> Any:
        """The class of the estimator."""
        from fiedler.persistence.parameters import resolve

        return resolve(self.estimator)


def _why_spectral(job: Job) -> str:
    n, what = job.shape[0], job.row_name
    if job.encoded:
        return f"the encoder has already made features of the {what}, whose neighbours tell groups"
    if what == "texts":
        return "neighbours among tf-idf rows share words, and nothing needs to be trained"
    if what == "images":
        return (
            f"{n:,} images are compared by the directions of their edges, in seconds; photographs "
            "of things need an --encoder, and --method spectralnet trains a network"
        )
    return f"{n:,} rows of numbers are compared as they are, and nothing needs to be trained"


METHODS: dict[str, MethodSpec] = {
    "spectral": MethodSpec("fiedler.models:SpectralClustering", "neighbour graph, eigenvectors"),
    "spectralnet": MethodSpec(
        "fiedler.models:SpectralNet", "a network into the eigenspace of the neighbour graph"
    ),
    "sanet": MethodSpec(
        "fiedler.models:SANet",
        "layers of spectral analysis of image patches (--set layers=faces, objects)",
    ),
    "dscdan": MethodSpec(
        "fiedler.models:DSCDAN",
        "an autoencoder and a network into the eigenspace, trained together",
    ),
}


@dataclass(frozen=True)
class Settings:
    """What the user asked of the method.

    Parameters
    ----------
    clusters : int, optional
        Number of clusters; chosen from the data if None.
    method : str
        A name in `METHODS`, or ``"auto"``.
    seed : int
    parameters : mapping of str to object
        Parameters of the estimator, by its own names; what is absent stays at its default.
    """

    clusters: int | None = None
    method: str = AUTO
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fixed_clusters(self) -> int | None:
        """The clusters wanted, where that is a number."""
        return self.clusters or _positive(self.parameters.get("n_clusters"))

    @property
    def most_clusters(self) -> int:
        """The clusters wanted, or the most that may be chosen."""
        most = _positive(self.parameters.get("max_clusters"))
        return self.fixed_clusters or most or MOST_CLUSTERS


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def choose_method(settings: Settings, job: Job) -> tuple[str, str]:
    """Name of the method to run, and why: what the user asked for, or spectral clustering.

    By itself no network is trained: minutes, where neighbours tell as much in seconds.
    """
    if settings.method != AUTO:
        return settings.method, "asked for"
    return "spectral", _why_spectral(job)


def check_parameters(settings: Settings, method: str) -> set[str]:
    """Refuse parameters that the method does not have, or that are not the user's to set.

    Returns
    -------
    set of str
        The names that the method has.

    Raises
    ------
    InputError
        The message lists what may be set.
    """
    known = set(METHODS[method].load()().get_params(deep=False))
    for name in settings.parameters:
        if name not in known or name in _OWN:
            what = "lets you set no" if name in known else "has no"
            raise InputError(
                f"the method {method} {what} parameter {name!r}; it has "
                f"{', '.join(sorted(known.difference(_OWN)))}."
            )
    return known


def build(
    settings: Settings, method: str, progress: ProgressCallback, checkpoint: Path | None = None
) -> Any:
    """Make the estimator, unfitted.

    Parameters
    ----------
    settings : Settings
    method : str
        A name in `METHODS`.
    progress : callable
    checkpoint : Path, optional
        Where a long fit may keep its checkpoints; for estimators with a parameter of this name.

    Raises
    ------
    InputError
        If the estimator has no such parameter; the message lists those that it has.
    """
    known = check_parameters(settings, method)
    given: dict[str, Any] = {
        "n_clusters": "auto" if settings.clusters is None else settings.clusters,
        "random_state": settings.seed,
        "progress": progress,
        **({} if checkpoint is None else {"checkpoint": str(checkpoint)}),
    }
    made = {name: value for name, value in given.items() if name in known}
    return METHODS[method].load()(**{**made, **settings.parameters})


# Sides of images as they are usually written.
_SIZES = re.compile(r"\(?\s*\d+(\s*[,xX]\s*\d+)+\s*,?\s*\)?")


def read_parameters(assignments: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` assignments; a value is JSON where it can be, else a string.

    Whole numbers side by side, as in ``image_shape=28x28`` or ``(28, 28)``, are a list.

    >>> read_parameters(["recall=0.99", "assign=kmeans"])
    {'recall': 0.99, 'assign': 'kmeans'}

    Raises
    ------
    InputError
        If one has no ``=`` or no name.
    """
    read: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"{assignment!r} sets no parameter; write name=value.")
        sizes = _SIZES.fullmatch(text.strip())
        try:
            read[name] = [int(n) for n in re.findall(r"\d+", text)] if sizes else json.loads(text)
        except ValueError:
            read[name] = text
    return read


def estimate(
    shape: tuple[int, ...],
    settings: Settings,
    method: str,
    *,
    images: bool = False,
    gradients: bool = False,
) -> CostEstimate:
    """What a run on rows of this shape, or on the gradients of images, costs on this machine."""
    from fiedler.models.plan import estimate_cost, with_gradients

    if gradients:
        from fiedler.data.gradients import count_gradient_features

        described = (shape[0], count_gradient_features(shape[1:]))
        return with_gradients(estimate(described, settings, method), shape)
    given = settings.parameters.get("image_shape")
    return estimate_cost(
        shape[0],
        features_of(shape),
        settings.most_clusters,
        method=method,
        image_shape=tuple(given) if isinstance(given, list) else shape[1:] if images else None,
        parameters=settings.parameters,
    )


def features_of(shape: tuple[int, ...]) -> int:
    """Numbers in one row."""
    return int(np.prod(shape[1:], dtype=np.int64))


def refuse_if_too_large(cost: CostEstimate, shape: tuple[int, ...]) -> None:
    """Refuse to start what the machine has no memory for.

    Raises
    ------
    NotEnoughMemoryError
        With the estimate, and what helps.
    """
    if cost.peak_bytes <= cost.available_bytes:
        return
    raise NotEnoughMemoryError(
        f"clustering {shape[0]:,} rows of {features_of(shape):,} numbers needs about "
        f"{human_bytes(cost.peak_bytes)} of memory; {human_bytes(cost.available_bytes)} are free. "
        "Nothing was started. Use fewer rows, smaller images or the default --solver, free some "
        "memory, or pass --force to try all the same."
    )


def describe_cost(cost: CostEstimate) -> dict[str, Any]:
    """The estimate as plain values."""
    return {
        "seconds": cost.seconds,
        "peak_bytes": cost.peak_bytes,
        "available_bytes": cost.available_bytes,
        "fits": cost.peak_bytes <= cost.available_bytes,
        "detail": dict(cost.detail),
    }


def plain_parameters(estimator: Any) -> Mapping[str, Any]:
    """The estimator's parameters, for people and for the record."""
    return {k: v for k, v in estimator.get_params(deep=False).items() if k not in _OWN}


def human_bytes(size: float) -> str:
    """A number of bytes as people say it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if size >= 100 or unit == "bytes" else f"{size:.1f} {unit}"


def human_seconds(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
