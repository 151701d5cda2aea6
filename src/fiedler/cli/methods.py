"""The methods that the command line knows, and what they will cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.exceptions import NotEnoughMemoryError

if TYPE_CHECKING:
    from fiedler.models.plan import CostEstimate
    from fiedler.progress import ProgressCallback

# How many clusters to reckon with while the number is still to be chosen.
EXPECTED_CLUSTERS = 10


class Method(str, Enum):
    """Estimators by the name that the command line gives them."""

    SPECTRAL = "spectral"
    SANET = "sanet"


class AffinityName(str, Enum):
    """Affinities by name."""

    KNN = "knn"
    EPSILON = "epsilon"
    GAUSSIAN = "gaussian"


class LaplacianName(str, Enum):
    """Laplacians by name."""

    SYM = "sym"
    RW = "rw"
    UNNORMALIZED = "unnormalized"


class ModeName(str, Enum):
    """Grey or colour."""

    L = "L"
    RGB = "RGB"


class LabelSource(str, Enum):
    """Where known classes can come from."""

    FOLDER = "folder"


@dataclass(frozen=True)
class Settings:
    """What the user asked of the method.

    Parameters
    ----------
    clusters : int, optional
        Number of clusters; chosen from the data if None.
    method, affinity, laplacian, solver, assign : str
        Names, as the estimator takes them.
    neighbors : int, optional
        Neighbours of each row in the graph.
    components : int, optional
        Number of eigenvectors.
    layers : str
        Preset of a network (``sanet``).
    seed : int
    """

    clusters: int | None = None
    method: Method = Method.SPECTRAL
    affinity: AffinityName = AffinityName.KNN
    neighbors: int | None = None
    laplacian: LaplacianName = LaplacianName.SYM
    solver: str = "auto"
    components: int | None = None
    assign: str = "auto"
    layers: str = "default"
    seed: int = 0


def build(settings: Settings, progress: ProgressCallback) -> Any:
    """Make the estimator, unfitted."""
    from fiedler import KNN, SANet, SpectralClustering

    if settings.method is Method.SANET:
        return SANet(
            n_clusters="auto" if settings.clusters is None else settings.clusters,
            layers=settings.layers,
            assign=settings.assign,
            random_state=settings.seed,
            progress=progress,
        )
    affinity: Any = settings.affinity.value
    if settings.neighbors is not None:
        affinity = KNN(n_neighbors=settings.neighbors)
    return SpectralClustering(
        n_clusters="auto" if settings.clusters is None else settings.clusters,
        affinity=affinity,
        laplacian=settings.laplacian.value,
        solver=settings.solver,
        n_components=settings.components,
        assign=settings.assign,
        random_state=settings.seed,
        progress=progress,
    )


def estimate(n_rows: int, n_features: int, clusters: int | None, method: Method) -> CostEstimate:
    """What a run will cost on this machine."""
    from fiedler.models.plan import estimate_cost

    return estimate_cost(n_rows, n_features, clusters or EXPECTED_CLUSTERS, method=method.value)


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
        "Nothing was started. Use fewer rows or smaller images, free some memory, or pass --force "
        "to try all the same."
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
    return {k: v for k, v in estimator.get_params(deep=False).items() if k != "progress"}


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
