"""The one way in which long computations report progress: a callback, silent by default."""

from __future__ import annotations

from typing import Protocol


class ProgressCallback(Protocol):
    """Called as ``callback(stage, done, total)``; may raise ``KeyboardInterrupt`` to stop."""

    def __call__(self, stage: str, done: float, total: float) -> None:
        """Report that ``done`` of ``total`` units of ``stage`` are finished."""


def silent(stage: str, done: float, total: float) -> None:
    """Ignore the report (the default)."""
