"""What the layers of SA-Net share: sizes, and checks of numbers."""

from __future__ import annotations

from typing import Any

from fiedler.data.checks import is_whole
from fiedler.exceptions import InputError

Size = int | tuple[int, int]


def pair(size: Size) -> tuple[int, int]:
    """Return height and width of a size given by one number or two."""
    return size if isinstance(size, tuple) else (size, size)


def keep_counts(layer: Any, *names: str, optional: tuple[str, ...] = ()) -> None:
    """Turn attributes of a frozen layer, positive integers, into plain ints.

    Those of ``optional`` may be None.

    Raises
    ------
    InputError
        If one is something else.
    """
    for name in (*names, *optional):
        value = getattr(layer, name)
        if value is None and name in optional:
            continue
        if not is_whole(value):
            raise InputError(
                f"{type(layer).__name__} {name} must be a positive integer, got {value!r}."
            )
        object.__setattr__(layer, name, int(value))


def keep_sizes(layer: Any, *names: str, optional: tuple[str, ...] = ()) -> None:
    """Turn attributes of a frozen layer, sizes, into an int or a pair of ints.

    Those of ``optional`` may be None.

    Raises
    ------
    InputError
        If one is neither a positive integer nor two of them.
    """
    for name in (*names, *optional):
        value = getattr(layer, name)
        if value is None and name in optional:
            continue
        sides = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value,)
        if not all(map(is_whole, sides)):
            raise InputError(
                f"{type(layer).__name__} {name} must be a positive integer or a pair "
                f"(height, width) of them, got {value!r}."
            )
        plain = tuple(int(side) for side in sides)
        object.__setattr__(layer, name, plain if len(plain) == 2 else plain[0])
