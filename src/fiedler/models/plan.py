"""What a clustering will cost, before it starts: memory and time."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fiedler.models.sanet.geometry import Passage


@dataclass(frozen=True)
class CostEstimate:
    """An estimate to decide by, not a promise.

    Attributes
    ----------
    seconds : float
        Wall-clock time on this number of cores.
    peak_bytes : int
        Largest resident memory of the process.
    available_bytes : int
        Memory free now.
    detail : dict of str to float
        Seconds of each stage.
    """

    seconds: float
    peak_bytes: int
    available_bytes: int
    detail: dict[str, float] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether the peak stays below what is free."""
        return self.peak_bytes <= self.available_bytes


# Constants fitted to benchmarks/scaling.py on two cores of an AVX-512 machine; elsewhere the time
# may differ by some factor, the memory hardly. The base is the libraries and their work space.
_BASE_BYTES = 600e6
_PRODUCTS_PER_SECOND_CORE = 1.0e11
_EDGE_COLUMNS_PER_SECOND_CORE = 1.5e8
_NEIGHBORS = 7
# The same for SANet, from single runs of its presets, one core: patches that get the places of
# landmarks, windows with a graph of their own, pairs of a dense affinity, comparisons of patches.
_SANET_BASE_BYTES = 600e6
_SANET_BASE_SECONDS = 8.0
_SANET_SECONDS_PER_PATCH = 1.3e-5
_SANET_SECONDS_PER_WINDOW = 1.7e-4
_SANET_SECONDS_PER_PAIR = 6e-7
_SANET_SECONDS_PER_PIXEL = 4e-9
_SANET_PRODUCTS_PER_SECOND = 8e10


def estimate_cost(
    n_rows: int,
    n_features: int,
    n_clusters: int = 10,
    *,
    method: str = "spectral",
    image_shape: tuple[int, ...] | None = None,
    layers: str = "default",
) -> CostEstimate:
    """Estimate memory and time of an estimator with default options.

    Parameters
    ----------
    n_rows, n_features, n_clusters : int
        Size of the job; for ``n_clusters="auto"`` pass its ``max_clusters``, 20.
    method : {"spectral", "spectralnet", "sanet", "dscdan"}
        The estimator.
    image_shape : tuple of int or None
        (h, w) or (h, w, channels) where the rows are images: SpectralNet convolves them, SANet cuts
        them into patches.
    layers : str
        SANet's preset.

    Returns
    -------
    CostEstimate

    Raises
    ------
    InputError
        If the images are too small for the preset.
    """
    n, d = float(n_rows), float(n_features)
    if method == "spectral":
        return _estimate_spectral(n, d, n_clusters)
    if method in ("spectralnet", "dscdan"):
        # the dual autoencoder has fewer steps, each with decodings and critics, and two read-outs
        again = 1.0 if method == "spectralnet" else 1.3
        return _estimate_network(n, d, n_clusters, image_shape, again)
    if method == "sanet":
        return _estimate_sanet(n, d, n_clusters, image_shape, layers)
    raise ValueError(
        f"method must be 'spectral', 'spectralnet', 'sanet' or 'dscdan', got {method!r}."
    )


def _estimate_spectral(n: float, d: float, n_clusters: int) -> CostEstimate:
    cores = os.cpu_count() or 1
    vectors = min(3.0 * n_clusters, n_clusters + 100.0, n) + 1.0
    width = vectors * 1.5
    search, search_bytes = _search_cost(n, d)
    edges = n * _NEIGHBORS * 1.6
    products = 130.0 * max(1.0, (n / 70_000) ** 0.1)
    eigen = products * width * edges / (_EDGE_COLUMNS_PER_SECOND_CORE * cores) + n * width**2 / 1e9
    labels = min(n, 1e5) * vectors * 6.0 * n_clusters * 30 / 2e10 + n * vectors * 6e-9 * n_clusters
    # rows (float32), graph, block of vectors
    eigen_bytes = n * d * 6.0 + edges * 32.0 + n * width * 4.0 * 4.0 + n * vectors * 8.0 * 3.0
    return _estimate(
        {"graph": search, "eigenvectors": eigen, "assignment": labels},
        max(search_bytes, eigen_bytes),
    )


def _estimate_network(
    n: float, d: float, n_clusters: int, image_shape: tuple[int, ...] | None, again: float
) -> CostEstimate:
    """Estimate SpectralNet: one search, so many steps of the same size, the read-out.

    Training and read-out are ``again`` times as much in what is built on it.
    """
    from fiedler.graph.precision import cpu_multiplies_bfloat16

    cores = os.cpu_count() or 1
    search, search_bytes = _search_cost(n, d)
    if image_shape is None:
        steps, products = 600, d * 1024.0 + 1024.0**2 + 1024.0 * 512.0
        rate = 3.0e11
    else:
        area, channels = image_shape[0] * image_shape[1], math.prod(image_shape[2:])
        steps, products = 1500, area * (72.0 * channels + 1152.0 + 1152.0 + 1024.0)
        rate = 1.2e11
    # forward and twice as much backward, two operations a product
    flops = 6.0 * products * 1024.0 * steps
    training = again * flops / (rate * cores * (1.0 if cpu_multiplies_bfloat16() else 0.4))
    assignment = again * 1.6e-5 * n * n_clusters / cores
    outputs = n * (n_clusters + 4.0) * 8.0 * 4.0
    return _estimate(
        {"graph": search, "training": training, "assignment": assignment},
        100e6 + max(search_bytes, n * d + n * _NEIGHBORS * 60.0 + outputs),
    )


def _estimate_sanet(
    n: float, d: float, n_clusters: int, image_shape: tuple[int, ...] | None, layers: str
) -> CostEstimate:
    """Estimate a preset of SANet, layer by layer."""
    from fiedler.models.sanet.geometry import passages
    from fiedler.models.sanet.inputs import resolve_shape
    from fiedler.models.sanet.memory import memory_needed
    from fiedler.models.sanet.presets import recipe_for

    shape = resolve_shape(image_shape, (), int(d))
    stack = passages(recipe_for(layers, "auto", shape).layers, shape, n_clusters)
    pixels = _SANET_SECONDS_PER_PIXEL * n * d
    whole = sum(_estimate_spectral(n, d, n_clusters).detail.values())
    seconds = sum(_seconds_of_layer(passage, n, n_clusters) for passage in stack)
    return _estimate(
        {"layers": _SANET_BASE_SECONDS + pixels + seconds, "clusters": 2.0 * whole},
        _SANET_BASE_BYTES + max(memory_needed(stack, int(n), n_clusters).values()) + 4.0 * n * d,
    )


def _seconds_of_layer(passage: Passage, n: float, n_clusters: int) -> float:
    """Estimate the time that a layer of SANet takes to be fitted and applied."""
    from fiedler.graph import Gaussian
    from fiedler.models.sanet.layers import SpectralLayer, VotingLayer
    from fiedler.models.sanet.spectral import layer_grid, n_landmarks

    layer = passage.layer
    if not isinstance(layer, SpectralLayer | VotingLayer):
        return 0.0
    grid = layer_grid(layer, passage.before)
    numbers = float(grid.height * grid.width * passage.before[2])
    patches = n * float(grid.n_positions)
    if isinstance(layer, VotingLayer):
        compared = n * patches * (1 + 2 * layer.shifts) ** 2
        return compared * numbers / _SANET_PRODUCTS_PER_SECOND
    landmarks = n_landmarks(layer, int(n), grid)
    if landmarks is None and grid.n_positions == 1:
        return sum(_estimate_spectral(n, numbers, n_clusters).detail.values())
    if landmarks is None:
        growing: float = max(1.0, n / 10_000) ** 0.2
        return patches * _SANET_SECONDS_PER_WINDOW * growing
    points = min(float(landmarks), patches)
    dense = sum(isinstance(procedure.affinity, Gaussian) for procedure in layer.procedures)
    fitted = dense * points**2 * _SANET_SECONDS_PER_PAIR
    return fitted + patches * _SANET_SECONDS_PER_PATCH * (numbers + 100.0) / 181.0


def _search_cost(n: float, d: float) -> tuple[float, float]:
    """Return seconds and bytes of the neighbour search."""
    # Each row is compared with about 10 cells of 400 rows, at least a tenth of which is overhead.
    scanned = min(n, 4500.0 * max(1.0, (n / 70_000) ** 0.15))
    seconds = n * scanned * (d + 100.0) / (_PRODUCTS_PER_SECOND_CORE * (os.cpu_count() or 1))
    # rows in order of cells (float32), their scan copy (2 bytes), graph
    return seconds, n * d * 6.0 + n * _NEIGHBORS * 60.0


def _estimate(detail: dict[str, float], peak_bytes: float) -> CostEstimate:
    return CostEstimate(
        seconds=0.3 + sum(detail.values()),
        peak_bytes=int(_BASE_BYTES + peak_bytes),
        available_bytes=available_memory(),
        detail=detail,
    )


def available_memory() -> int:
    """Return the bytes of memory that a new computation can use without swapping."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return min(int(line.split()[1]) * 1024, _container_limit())
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        # macOS has no cheap figure for free memory; half of the physical one is a cautious guess.
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 0.5)
    return _windows_available()


def _container_limit() -> int:
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists():
        text = limit.read_text().strip()
        if text.isdigit():
            return int(text)
    return 2**63 - 1


def _windows_available() -> int:
    import ctypes

    class MemoryStatus(ctypes.Structure):
        _fields_ = (
            ("dwLength", ctypes.c_ulong),
            ("dwMemoryLoad", ctypes.c_ulong),
            ("ullTotalPhys", ctypes.c_ulonglong),
            ("ullAvailPhys", ctypes.c_ulonglong),
            ("ullTotalPageFile", ctypes.c_ulonglong),
            ("ullAvailPageFile", ctypes.c_ulonglong),
            ("ullTotalVirtual", ctypes.c_ulonglong),
            ("ullAvailVirtual", ctypes.c_ulonglong),
            ("ullAvailExtendedVirtual", ctypes.c_ulonglong),
        )

    status = MemoryStatus()
    status.dwLength = ctypes.sizeof(MemoryStatus)
    windll = getattr(ctypes, "windll")  # noqa: B009 - the name exists on Windows only
    windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.ullAvailPhys)
