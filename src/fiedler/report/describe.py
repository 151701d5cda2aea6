"""From a fitted estimator to what a report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fiedler.exceptions import InputError
from fiedler.report.data import Gallery, ReportData
from fiedler.report.phases import fitted_phases, reconstruction_gallery
from fiedler.report.words import top_words

# Of methods that form no affinity matrix, this many nearest rows in the embedding are shown.
_LINKED = 10

METRIC_NAMES = {
    "acc": "accuracy",
    "nmi": "NMI",
    "ari": "ARI",
    "pairwise_f": "pairwise F",
    "purity": "purity",
}


def describe(
    model: Any,
    *,
    title: str = "Clusters",
    ids: Sequence[Any] | None = None,
    kind: str = "rows",
    pictures: Any | None = None,
    texts: Sequence[str] | None = None,
    terms: tuple[Any, Sequence[str]] | None = None,
    known: Sequence[Any] | None = None,
    rows: Any | None = None,
    how: str = "",
    timings: Mapping[str, float] | None = None,
    parameters: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> ReportData:
    """Gather what a report shows of a fitted clustering.

    Parameters
    ----------
    model : estimator
        With ``labels_`` and ``embedding_``. Shown too, where it has them: ``eigenvalues_``,
        ``confidence_``, ``affinity_matrix_`` (else the nearest rows in the embedding),
        ``history_`` (rows with ``stage``, ``step`` and figures), ``phases_`` and ``examples_`` (as
        :class:`fiedler.DSCDAN` has them), and ``galleries()``, which gives mappings with
        ``title``, ``text``, ``pictures`` and ``captions``.
    title : str
        Heading of the page.
    ids : sequence, length n, optional
        Name of each row; its number by default.
    kind : str
        What one row is, in the plural.
    pictures, texts
        As :class:`ReportData` takes them.
    terms : (csr matrix of shape (n, t), sequence of t str), optional
        Weights of the words of the texts; computed from ``texts`` by default.
    known : sequence, length n, optional
        Known class of each row: metrics and the confusion matrix are shown.
    rows : array-like of shape (n, ...), optional
        The fitted rows, for what an estimator can only draw from them: the maps of a
        :class:`fiedler.SANet`'s layers and the agreement of its procedures.
    how : str
        What was run, and why.
    timings, parameters : mapping, optional
        By default the estimator's own.
    notes : sequence of str
        Warnings worth reading.

    Returns
    -------
    ReportData

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fiedler import SpectralClustering
    >>> from fiedler.report import describe, write_report
    >>> digits = load_digits()
    >>> model = SpectralClustering(10, random_state=0).fit(digits.data)
    >>> data = describe(model, pictures=digits.images, known=digits.target)
    >>> write_report("digits.html", data)  # doctest: +SKIP
    """
    basis = fitted_parts(model, ids)
    if basis["affinity"] is None:
        basis |= _links(basis["embedding"])
    labels = basis["labels"]
    own = model.get_params(deep=False) if hasattr(model, "get_params") else {}
    galleries, agreement = _of_layers(model, rows, basis["ids"])
    return ReportData(
        title=title,
        **basis,
        kind=kind,
        pictures=pictures,
        texts=texts,
        known=None if known is None else [str(value) for value in known],
        timings=getattr(model, "timings_", {}) if timings is None else timings,
        parameters=_shown(own) if parameters is None else parameters,
        notes=notes,
        how=how or f"{type(model).__name__}.",
        words=_words(labels, texts, terms),
        galleries=[
            *(Gallery(**gallery) for gallery in _galleries(model)),
            *reconstruction_gallery(model),
            *galleries,
        ],
        agreement=agreement,
        phases=fitted_phases(model),
        **_against(known, labels),
    )


def fitted_parts(model: Any, ids: Sequence[Any] | None = None) -> dict[str, Any]:
    """Return those parts of a :class:`ReportData` that the estimator holds ready.

    Parameters
    ----------
    model : estimator
        As for :func:`describe`.
    ids : sequence, length n, optional
        Name of each row; its number by default.

    Raises
    ------
    InputError
        If it is not a fitted clustering.
    """
    if not hasattr(model, "labels_") or not hasattr(model, "embedding_"):
        raise InputError(
            f"{type(model).__name__} has no labels_ and embedding_: fit a clustering first."
        )
    labels = np.asarray(model.labels_)
    return {
        "ids": [str(row) for row in (range(len(labels)) if ids is None else ids)],
        "labels": labels,
        "embedding": np.asarray(model.embedding_),
        "eigenvalues": _optional_array(model, "eigenvalues_"),
        "confidence": _optional_array(model, "confidence_"),
        "affinity": getattr(model, "affinity_matrix_", None),
        "history": list(getattr(model, "history_", ())),
    }


def _links(embedding: np.ndarray) -> dict[str, Any]:
    """The nearest rows in the embedding, in place of an affinity matrix."""
    if len(embedding) < 3:
        return {}
    from fiedler.graph import KNN, SearchOptions
    from fiedler.report.layout import unit_rows

    n_neighbors = min(_LINKED, len(embedding) - 1)
    rows = unit_rows(embedding).astype(np.float32)
    affinity = KNN(n_neighbors).fit(rows, SearchOptions(recall=0.9)).matrix
    return {
        "affinity": affinity,
        "links": f"The graph of each row's {n_neighbors} nearest rows in the embedding",
    }


def _against(known: Sequence[Any] | None, labels: np.ndarray) -> dict[str, Any]:
    """Metrics and confusion, where classes are known."""
    if known is None:
        return {}
    from fiedler.evaluation import confusion_matrix, score_all

    names, codes = np.unique([str(value) for value in known], return_inverse=True)
    scores, confusion = score_all(codes, labels), confusion_matrix(codes, labels)
    return {
        "metrics": {METRIC_NAMES.get(name, name): value for name, value in scores.items()},
        "confusion": confusion.table,
        "class_names": [str(names[code]) for code in confusion.classes],
        "cluster_names": [str(name) for name in confusion.clusters],
    }


def _words(
    labels: np.ndarray,
    texts: Sequence[str] | None,
    terms: tuple[Any, Sequence[str]] | None,
) -> list[list[str]]:
    if texts is None:
        return []
    if terms is None:
        from fiedler.data import TextVectorizer

        vectorizer = TextVectorizer()
        try:
            rows = vectorizer.fit_transform(texts)
        except InputError:
            # Texts without words (numbers, codes) are clustered all the same; they have no names.
            return []
        terms = (rows, vectorizer.vocabulary_)
    return top_words(terms[0], labels, terms[1])


def _optional_array(model: Any, name: str) -> np.ndarray | None:
    value = getattr(model, name, None)
    return None if value is None else np.asarray(value)


def _galleries(model: Any) -> Sequence[Mapping[str, Any]]:
    return list(model.galleries()) if hasattr(model, "galleries") else ()


def _of_layers(
    model: Any, rows: Any | None, ids: Sequence[str]
) -> tuple[list[Gallery], list[tuple[str, float]]]:
    """Maps and agreement, where there are layers and rows to draw them from."""
    if rows is None or not hasattr(model, "layer_maps"):
        return [], []
    from fiedler.report.network import network_galleries, procedure_agreement

    return network_galleries(model, rows, ids), procedure_agreement(model, rows)


def _shown(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name != "progress"}
