"""What a page shows of a network that is trained in phases, and of one that gives rows back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fiedler.report import figures, layout
from fiedler.report.data import Gallery, Phases

if TYPE_CHECKING:
    from fiedler.report.data import ReportData

# A map of so many rows is made in a second, and there is one for each phase.
_MAPPED_ROWS = 800
_SHOWN_IMAGES = 12
# What an estimator calls the versions of its examples, and what the page calls them.
_VERSIONS = {"rows": "image", "decoded": "decoded", "decoded_noisy": "decoded from a noisy code"}


def fitted_phases(model: Any) -> Phases | None:
    """Take from an estimator its rows after each phase, if it keeps them (``phases_``)."""
    if not getattr(model, "phases_", None):
        return None
    rows = np.asarray(model.phase_rows_)
    step = -(-len(rows) // _MAPPED_ROWS)
    return Phases(
        rows=rows[::step],
        embeddings={name: np.asarray(found)[::step] for name, found in model.phases_.items()},
        rounds=list(getattr(model, "rounds_", ())),
    )


def reconstruction_gallery(model: Any) -> list[Gallery]:
    """Some images as an estimator gives them back (``examples_``), beside their noisy twins.

    Empty where there are none, or the rows are no images.
    """
    examples = getattr(model, "examples_", None)
    shape = tuple(getattr(model, "row_shape_", ()))
    if not examples or len(shape) < 2:
        return []
    low, high = float(examples["rows"].min()), float(examples["rows"].max())
    pictures, captions = [], []
    chosen = range(min(_SHOWN_IMAGES, len(examples["rows"])))
    for i in chosen:
        for name, caption in _VERSIONS.items():
            picture = (examples[name][i].reshape(shape) - low) / max(high - low, 1e-12)
            pictures.append(np.clip(picture, 0.0, 1.0))
            captions.append(f"{caption} {i + 1}" if name == "rows" else caption)
    text = (
        f"{len(chosen)} images, each followed by what the decoder makes of its code, and of its "
        "code with noise: the less the two differ, the less noise does to a code."
    )
    return [Gallery("Reconstructions", text, pictures, captions, group=len(_VERSIONS))]


def phase_sections(data: ReportData) -> list[dict[str, Any]]:
    """A map of the same rows after each phase, and how many lie next to one of their cluster."""
    if data.phases is None:
        return []
    labels = np.asarray(data.labels)[data.phases.rows]
    names = [str(data.ids[row]) for row in data.phases.rows.tolist()]
    described = []
    for phase, embedding in data.phases.embeddings.items():
        places = layout.lay_out(embedding, np.random.default_rng(0))
        share = _beside_their_own(embedding, labels)
        text = f"After {phase}: {share:.1%} of these rows have their nearest in their own cluster."
        plot = figures.phase_chart(places, labels, names)
        described.append({"figure": plot, "title": phase, "text": text, "share": share})
    return described


def _beside_their_own(embedding: np.ndarray, labels: np.ndarray) -> float:
    """Share of the rows whose nearest other row is of the same cluster."""
    from sklearn.neighbors import NearestNeighbors

    if len(labels) < 2:
        return 1.0
    points = layout.unit_rows(embedding)
    nearest = NearestNeighbors(n_neighbors=1).fit(points).kneighbors(return_distance=False)
    return float(np.mean(labels[nearest[:, 0]] == labels))
