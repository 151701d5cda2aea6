"""Errors and warnings of the package: each is also the built-in kind a caller would expect."""

from __future__ import annotations

import sys
import warnings

# Frames of these packages stand between the caller and what warns.
_INNER = ("fiedler", "sklearn")


class FiedlerError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(FiedlerError, ValueError):
    """The data or a parameter is unusable; the message says what was got and what to do."""


class UnreadableImagesError(InputError):
    """Some image files could not be decoded.

    Parameters
    ----------
    failures : dict of str to str
        Path of each unreadable file and the reason.
    """

    def __init__(self, message: str, failures: dict[str, str]) -> None:
        super().__init__(message)
        self.failures = failures


class ModelFileError(InputError):
    """A model file is truncated, of another format or version, or not a model file."""


class NotEnoughMemoryError(FiedlerError, MemoryError):
    """The estimated peak memory exceeds what the machine has; nothing was started."""


class OutputError(FiedlerError, OSError):
    """Results cannot be written: the folder exists, is read-only, or the disk is full."""


class CollapsedOutputsError(FiedlerError, ArithmeticError):
    """A network's outputs became linearly dependent or not finite; the message says what to do."""


class CollapsedOutputsWarning(UserWarning):
    """A network's outputs span fewer dimensions than there are clusters; labels are still made."""


class FlatImagesWarning(UserWarning):
    """Rows look like pixels of images whose height and width were not given."""


class OutlierWarning(UserWarning):
    """A few numbers are so much larger than all others that scaling by them hides the rest."""


class SmallNetworkWarning(UserWarning):
    """The network is too small to express every spectral map of so many rows."""


class DisconnectedGraphWarning(UserWarning):
    """The neighbour graph falls into several connected components."""


class ConvergenceWarning(UserWarning):
    """An iterative solver stopped before its tolerance was met."""


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn with the line of the caller's own code that called this package, however deep."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _INNER:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
