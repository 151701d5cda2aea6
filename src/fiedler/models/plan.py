"""What a clustering will cost, before it starts: memory and time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


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
# The same for SANet's default preset, from single runs on 10,000 images, one core.
_SANET_BASE_BYTES = 1.2e9
_SANET_BASE_SECONDS = 8.0
_SANET_SECONDS_PER_PATCH = 2.0e-5
_SANET_SECONDS_PER_IMAGE = 1.5e-3


def estimate_cost(
    n_rows: int, n_features: int, n_clusters: int = 10, *, method: str = "spectral"
) -> CostEstimate:
    """Estimate memory and time of an estimator with default options.

    Parameters
    ----------
    n_rows, n_features, n_clusters : int
        Size of the job; for ``n_clusters="auto"`` pass its ``max_clusters``, 20.
    method : {"spectral", "sanet"}
        ``SpectralClustering``, or ``SANet`` on images of so many numbers.

    Returns
    -------
    CostEstimate
    """
    if method == "sanet":
        return _sanet_cost(n_rows, n_features, n_clusters)
    if method != "spectral":
        raise ValueError(f"method must be 'spectral' or 'sanet', got {method!r}.")
    cores = os.cpu_count() or 1
    n, d = float(n_rows), float(n_features)
    vectors = min(3.0 * n_clusters, n_clusters + 100.0, n) + 1.0
    width = vectors * 1.5
    # Each row is compared with about 10 cells of 400 rows, at least a tenth of which is overhead.
    scanned = min(n, 4500.0 * max(1.0, (n / 70_000) ** 0.15))
    search = n * scanned * (d + 100.0) / (_PRODUCTS_PER_SECOND_CORE * cores)
    edges = n * _NEIGHBORS * 1.6
    products = 130.0 * max(1.0, (n / 70_000) ** 0.1)
    eigen = products * width * edges / (_EDGE_COLUMNS_PER_SECOND_CORE * cores) + n * width**2 / 1e9
    labels = min(n, 1e5) * vectors * 6.0 * n_clusters * 30 / 2e10 + n * vectors * 6e-9 * n_clusters
    # rows in order of cells (float32), their scan copy (2 bytes), graph, block of vectors
    search_bytes = n * d * 6.0 + n * _NEIGHBORS * 60.0
    eigen_bytes = n * d * 6.0 + edges * 32.0 + n * width * 4.0 * 4.0 + n * vectors * 8.0 * 3.0
    return CostEstimate(
        seconds=0.3 + search + eigen + labels,
        peak_bytes=int(_BASE_BYTES + max(search_bytes, eigen_bytes)),
        available_bytes=available_memory(),
        detail={"graph": search, "eigenvectors": eigen, "assignment": labels},
    )


def _sanet_cost(n_rows: int, n_features: int, n_clusters: int) -> CostEstimate:
    """Estimate the default preset: dense patches, some 36 pooled places, 9 windows an image."""
    n = float(n_rows)
    patches = n * n_features / 4.0
    kept = 36.0 * 128.0 * 4.0 + 9.0 * (128.0 + 6.0 * n_clusters) * 4.0 * 2.0
    first = _SANET_BASE_SECONDS + patches * _SANET_SECONDS_PER_PATCH
    second = n * _SANET_SECONDS_PER_IMAGE * max(1.0, n / 10_000) ** 0.2
    whole = estimate_cost(n_rows, n_features, n_clusters)
    return CostEstimate(
        seconds=first + second + 2.0 * whole.seconds,
        peak_bytes=int(_SANET_BASE_BYTES + n * (kept + n_features * 5.0) + n * 128.0 * 8.0),
        available_bytes=available_memory(),
        detail={"layers": first + second, "clusters": 2.0 * whole.seconds},
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
