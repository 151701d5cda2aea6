"""What is said of each cluster: size, words, mean picture, examples, neighbours."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiedler.report import layout
from fiedler.report.palette import colour_of
from fiedler.report.pictures import example_side, mean_picture, png_uri, thumbnail

if TYPE_CHECKING:
    from fiedler.report.data import ReportData

Ints = NDArray[np.integer[Any]]

SHOWN_CLUSTERS = 100
TYPICAL, DOUBTFUL = 8, 4
TYPICAL_LINES, DOUBTFUL_LINES = 4, 2
NEAREST = 3
SNIPPET = 180


def describe_clusters(data: ReportData, counts: Ints) -> list[dict[str, Any]]:
    """Facts of each cluster, in the order of their numbers."""
    described = []
    for cluster, size in enumerate(counts):
        common, share = None, 0.0
        if data.known is not None and size:
            members = np.flatnonzero(data.labels == cluster).tolist()
            common, times = Counter(str(data.known[i]) for i in members).most_common(1)[0]
            share = times / int(size)
        described.append(
            {
                "number": cluster,
                "size": int(size),
                "share": int(size) / int(counts.sum()),
                "colour": colour_of(cluster),
                "common": common,
                "common_share": share,
                "words": list(data.words[cluster]) if cluster < len(data.words) else [],
            }
        )
    return described


def make_cards(data: ReportData, clusters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cards of the largest clusters, in the order of their numbers."""
    shown = sorted((c for c in clusters if c["size"]), key=lambda c: -c["size"])[:SHOWN_CLUSTERS]
    distances = layout.distance_to_centre(data.embedding, data.labels)
    doubt = distances if data.confidence is None else -np.asarray(data.confidence)
    between = layout.distances_between_centres(data.embedding, data.labels)
    side = example_side(len(shown) * (TYPICAL + DOUBTFUL + 1))
    pictured = data.pictures is not None
    near, far = (TYPICAL, DOUBTFUL) if pictured else (TYPICAL_LINES, DOUBTFUL_LINES)
    cards = []
    for cluster in sorted(shown, key=lambda c: int(c["number"])):
        members = np.flatnonzero(data.labels == cluster["number"])
        typical, doubtful = layout.pick_examples(distances, doubt, members, near, far)
        groups = [
            {"name": name, "rows": [_example(data, int(i), side) for i in rows]}
            for name, rows in (("Typical", typical), ("Doubtful", doubtful))
        ]
        mean = None
        if pictured:
            mean = png_uri(thumbnail(mean_picture(data.pictures, members), side))
        nearest = _nearest(int(cluster["number"]), between, clusters)
        cards.append({**cluster, "groups": groups, "mean": mean, "nearest": nearest})
    return cards


def _nearest(
    own: int, between: NDArray[np.float64], clusters: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Number and distance of the clusters whose centres are nearest to that of `own`."""
    distances = between[own]
    others = [i for i in np.argsort(distances, kind="stable").tolist() if i != own]
    return [
        {"number": i, "distance": float(distances[i]), "colour": clusters[i]["colour"]}
        for i in others[:NEAREST]
        if np.isfinite(distances[i])
    ]


def _example(data: ReportData, row: int, side: int) -> dict[str, Any]:
    picture = None
    if data.pictures is not None:
        picture = png_uri(thumbnail(data.pictures[row], side))
    return {
        "id": str(data.ids[row]),
        "known": None if data.known is None else str(data.known[row]),
        "text": None if data.texts is None else snippet(data.texts[row], SNIPPET),
        "picture": picture,
    }


def snippet(text: str, limit: int) -> str:
    """The beginning of a text on one line."""
    words = " ".join(str(text[: 4 * limit]).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
