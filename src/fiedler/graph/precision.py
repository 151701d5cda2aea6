"""Which reduced precision this processor multiplies faster than float32."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path

import torch

_CPUINFO = Path("/proc/cpuinfo")


@lru_cache(maxsize=1)
def cpu_multiplies_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16 faster than float32.

    AMX tiles do on every processor that has them, AVX512-BF16 on AMD's. On Intel's without AMX (or
    where a virtual machine hides it) the AVX512-BF16 product was measured at 0.6 of float32's
    speed; elsewhere bfloat16 is emulated. The answer comes from the processor's flags, not from a
    timing, so that the same machine always takes the same path.
    """
    has = {
        name: bool(getattr(torch.cpu, f"_is_{name}_supported", bool)())
        for name in ("amx_tile", "avx512_bf16")
    }
    return has["amx_tile"] or (has["avx512_bf16"] and "AuthenticAMD" in _vendor())


def _vendor() -> str:
    """Return a text that names the processor's maker, where the system tells it."""
    if _CPUINFO.is_file():
        lines = _CPUINFO.read_text().splitlines()
        return next((line for line in lines if line.startswith("vendor_id")), "")
    return platform.processor()


def scan_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype in which candidate neighbours are scanned before exact re-ranking."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu" and cpu_multiplies_bfloat16():
        return torch.bfloat16
    return torch.float32
