"""Checks of options, for the objects of every room above."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from fiedler.exceptions import InputError


def is_whole(value: Any, low: int = 1) -> bool:
    """Tell whether a value is an integer, of Python or numpy, that is not too small."""
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= low


def is_positive(value: Any) -> bool:
    """Tell whether a value is a real, finite number above zero."""
    return _is_finite(value) and float(value) > 0


def _is_finite(value: Any) -> bool:
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and math.isfinite(float(value))


def check_whole(name: str, value: Any, low: int = 1) -> None:
    """Raise InputError, naming the option, unless a value is an integer of at least ``low``."""
    if not is_whole(value, low):
        raise InputError(f"{name} must be an integer of at least {low}, got {value!r}.")


def check_weight(name: str, value: Any) -> None:
    """Raise InputError, naming the option, unless a value is a finite number, zero or more."""
    if not _is_finite(value) or float(value) < 0:
        raise InputError(f"{name} must be a finite number of at least 0, got {value!r}.")


def check_flag(name: str, value: Any) -> None:
    """Raise InputError, naming the option, unless a value is True or False."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, got {value!r}.")


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise InputError, naming the parameter and its choices, for any other value."""
    if value not in allowed:
        raise InputError(f"{name} must be one of {list(allowed)}, got {value!r}.")


def check_widths(name: str, value: Any) -> None:
    """Raise InputError unless a value is a tuple of positive integers, such as ``(64,)``."""
    if not isinstance(value, (tuple, list)) or not all(is_whole(width) for width in value):
        raise InputError(
            f"{name} must be a tuple of positive integers, such as (64,) or (512, 256), got "
            f"{value!r}."
        )
