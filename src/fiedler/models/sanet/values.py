"""What the layers of SA-Net share: sizes, and checks of numbers."""

from __future__ import annotations

from typing import Any

from fiedler.exceptions import InputError

Size = int | tuple[int, int]


def pair(size: Size) -> tuple[int, int]:
    """Return height and width of a size given by one number or two."""
    return (int(size), int(size)) if not isinstance(size, tuple) else (int(size[0]), int(size[1]))


def check_positive(name: str, value: Any) -> None:
    """Raise :class:`InputError` unless a value is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} must be a positive integer, got {value!r}.")


def check_size(name: str, value: Any) -> None:
    """Raise :class:`InputError` unless a value is a positive integer or a pair of them."""
    sides = value if isinstance(value, tuple) and len(value) == 2 else (value,)
    for side in sides:
        if isinstance(side, bool) or not isinstance(side, int) or side < 1:
            raise InputError(
                f"{name} must be a positive integer or a pair (height, width) of them, "
                f"got {value!r}."
            )
