"""Which reduced precision this processor multiplies faster than float32."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache(maxsize=1)
def cpu_multiplies_bfloat16() -> bool:
    """Tell whether the CPU has bfloat16 dot products in hardware (AVX512-BF16 or AMX).

    Elsewhere bfloat16 is emulated and slower than float32. The answer comes from the processor's
    flags, not from a timing, so that the same machine always takes the same path.
    """
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)


def scan_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype in which candidate neighbours are scanned before exact re-ranking."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu" and cpu_multiplies_bfloat16():
        return torch.bfloat16
    return torch.float32
