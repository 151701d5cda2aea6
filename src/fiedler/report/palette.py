"""Colours and marks that stay apart for colour-blind readers, on light and on dark ground."""

from __future__ import annotations

# The ten colours of Petroff (2021, "Accessible color sequences for data visualization"), chosen
# there by simulating the common colour vision deficiencies.
COLOURS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
# After ten clusters the colours come again, with another mark.
MARKS = ("circle", "triangle", "square", "diamond", "inverted_triangle", "hex", "star", "plus")


def colour_of(cluster: int) -> str:
    """Colour of a cluster."""
    return COLOURS[cluster % len(COLOURS)]


def mark_of(cluster: int) -> str:
    """Mark of a cluster on the map."""
    return MARKS[cluster // len(COLOURS) % len(MARKS)]
