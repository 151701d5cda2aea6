"""How good a clustering is: against known classes, or by itself where there are none."""

from __future__ import annotations

from fiedler.evaluation.metrics import (
    ConfusionMatrix,
    accuracy,
    ari,
    confusion_matrix,
    match_labels,
    nmi,
    pairwise_f,
    purity,
    score_all,
)
from fiedler.evaluation.unsupervised import calinski_harabasz, eigengap, silhouette

__all__ = [
    "ConfusionMatrix",
    "accuracy",
    "ari",
    "calinski_harabasz",
    "confusion_matrix",
    "eigengap",
    "match_labels",
    "nmi",
    "pairwise_f",
    "purity",
    "score_all",
    "silhouette",
]
