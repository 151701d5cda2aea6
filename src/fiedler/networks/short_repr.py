"""A representation that shows only what differs from the defaults."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any


class ShortRepr:
    """Base of dataclasses with many fields: ``Training(steps=100)``, not all that it could say."""

    def __repr__(self) -> str:
        """Show the call that makes an equal object."""
        own: Any = self
        shown = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(own)
            if field.default is MISSING or getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"
