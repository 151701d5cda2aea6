"""The words that tell a cluster of texts from the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP_WORDS = 8


def top_words(
    rows: Any,
    labels: NDArray[np.integer[Any]],
    vocabulary: Sequence[str],
    count: int = TOP_WORDS,
) -> list[list[str]]:
    """Name each cluster by the terms whose mean weight in it exceeds that elsewhere the most.

    Parameters
    ----------
    rows : csr matrix or ndarray, shape (n, terms)
        Weights of terms in texts, such as tf-idf.
    labels : ndarray of int, shape (n,)
    vocabulary : sequence of str, length terms
    count : int
        Words of a cluster, at most; only such as are heavier in it than elsewhere.

    Returns
    -------
    list of list of str
        By number of cluster; empty for a cluster without rows.
    """
    import scipy.sparse as sp

    n, k = len(labels), int(np.max(labels)) + 1
    sizes = np.bincount(labels, minlength=k).astype(np.float64)
    member = sp.csr_matrix((np.ones(n), (labels, np.arange(n))), shape=(k, n))
    sums = member @ rows
    sums = np.asarray(sums.toarray() if sp.issparse(sums) else sums, dtype=np.float64)
    inside = sums / np.maximum(sizes, 1)[:, None]
    outside = (sums.sum(axis=0) - sums) / np.maximum(n - sizes, 1)[:, None]
    surplus = inside - outside
    best = np.argsort(-surplus, axis=1, kind="stable")[:, :count]
    return [
        [str(vocabulary[j]) for j in best[cluster] if surplus[cluster, j] > 0]
        for cluster in range(k)
    ]
