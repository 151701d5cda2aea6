"""Figures that need no classes: how compact and separate clusters are, how clear the gap is.

They reward round clusters in the space of the rows that they are given, so judge a spectral
clustering on its embedding rather than on raw pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiedler.evaluation._labels import encode_labels
from fiedler.exceptions import InputError

_BLOCK_ROWS = 8192


def silhouette(
    X: Any,
    labels: ArrayLike,
    *,
    metric: str = "euclidean",
    max_rows: int = 5000,
    random_state: int = 0,
) -> float:
    """Mean silhouette (Rousseeuw 1987): -1 for wrong, 0 for overlapping, 1 for separate clusters.

    Parameters
    ----------
    X : rows of shape (n, ...)
        Anything with ``shape`` and row indexing; only the rows that are used are read.
    labels : array-like of shape (n,)
        Cluster of each row; 2 to n - 1 different ones.
    metric : str
        A distance that scikit-learn knows.
    max_rows : int
        Above this many rows, that many are drawn, each cluster in proportion to its size: the cost
        is quadratic in the rows that are used.
    random_state : int
        Seed of that draw; the same seed gives the same value.

    Returns
    -------
    float
        Between -1 and 1.

    Raises
    ------
    InputError
        If lengths differ, X holds NaN or infinity, or the number of clusters is out of range.
    """
    from sklearn.metrics import silhouette_score

    codes = _check_clusters(X, labels)
    n = len(codes)
    if max_rows < 3:
        raise InputError(f"max_rows={max_rows}; a silhouette needs at least 3 rows")
    kept = np.arange(n)
    if n > max_rows:
        shuffled = np.random.default_rng(random_state).permutation(n)
        by_cluster = shuffled[np.argsort(codes[shuffled], kind="stable")]
        # Even steps through the clusters, first and last included: at least two clusters remain.
        kept = np.sort(by_cluster[np.linspace(0, n - 1, max_rows).astype(np.intp)])
    if len(np.unique(codes[kept])) >= len(kept):
        raise InputError(
            f"max_rows={max_rows} leaves every one of the {len(kept)} drawn rows alone in its "
            f"cluster; raise max_rows well above the {codes.max() + 1} clusters"
        )
    return float(silhouette_score(_read(X, kept), codes[kept], metric=metric))


def calinski_harabasz(X: Any, labels: ArrayLike) -> float:
    """Variance between clusters over variance within (Calinski & Harabasz 1974); more is better.

    ``[trace(B) / (k - 1)] / [trace(W) / (n - k)]``, in float64, X read twice in blocks of rows.

    Parameters
    ----------
    X : rows of shape (n, ...)
        Anything with ``shape`` and row slicing.
    labels : array-like of shape (n,)
        Cluster of each row; 2 to n - 1 different ones.

    Returns
    -------
    float
        At least 0; infinite if all rows of each cluster are equal, 0 if all rows are equal.

    Raises
    ------
    InputError
        As for `silhouette`.
    """
    codes = _check_clusters(X, labels)
    n, k = len(codes), int(codes.max()) + 1
    sizes = np.bincount(codes)
    sums = sum(_cluster_sums(block, codes[rows], k) for rows, block in _blocks(X))
    centres = np.asarray(sums) / sizes[:, None]
    mean = sizes @ centres / n
    between = float(sizes @ ((centres - mean) ** 2).sum(axis=1))
    within = sum(float(((block - centres[codes[rows]]) ** 2).sum()) for rows, block in _blocks(X))
    if within == 0.0:
        return float("inf") if between > 0.0 else 0.0
    return (between / (k - 1)) / (within / (n - k))


def eigengap(eigenvalues: ArrayLike) -> NDArray[np.float64]:
    """Gaps between successive eigenvalues of a Laplacian (von Luxburg 2007, section 8.3).

    Parameters
    ----------
    eigenvalues : array-like of shape (m,)
        Smallest eigenvalues in ascending order, m >= 2.

    Returns
    -------
    ndarray of float64 of shape (m - 1,)
        Entry ``k - 1`` is the gap that follows k eigenvalues: large if there are k clear clusters.

    Raises
    ------
    InputError
        If there are fewer than two, or they are not finite or not in ascending order.
    """
    values = np.asarray(eigenvalues, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise InputError(
            f"eigenvalues has shape {values.shape}; give at least 2 in an array of shape (m,)"
        )
    if not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        raise InputError(f"eigenvalue {bad} is {values[bad]}; all must be finite")
    gaps = np.diff(values)
    # A solver's eigenvalues may be out of order by its rounding, but by no more.
    if gaps.min() < -1e-6 * max(1.0, float(np.abs(values).max())):
        raise InputError(
            f"eigenvalues are not in ascending order (from position {int(gaps.argmin())} to the "
            "next they fall); sort them, or give those of the Laplacian rather than of the affinity"
        )
    return np.maximum(gaps, 0.0)


def _check_clusters(X: Any, labels: ArrayLike) -> NDArray[np.int64]:
    """Codes of the labels, if they fit the rows and there are 2 to n - 1 clusters."""
    ids, codes = encode_labels(labels, "labels")
    if len(codes) != X.shape[0]:
        raise InputError(f"X has {X.shape[0]} rows and labels {len(codes)}; give one label per row")
    if not 2 <= len(ids) < len(codes):
        raise InputError(
            f"labels name {len(ids)} clusters of {len(codes)} rows; this figure is defined for 2 "
            f"to n - 1 clusters only"
        )
    return codes


def _blocks(X: Any) -> Any:
    """Successive (slice, float64 rows) of X."""
    for start in range(0, X.shape[0], _BLOCK_ROWS):
        rows = slice(start, min(start + _BLOCK_ROWS, X.shape[0]))
        yield rows, _read(X, rows)


def _read(X: Any, rows: Any) -> NDArray[np.float64]:
    """The chosen rows, dense and flat, in float64; NaN and infinity are refused."""
    chosen = X[rows]
    dense = chosen.toarray() if hasattr(chosen, "toarray") else chosen
    block = np.asarray(dense, dtype=np.float64)
    block = block.reshape(len(block), -1)
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        first = int(np.arange(X.shape[0])[rows][np.argmin(finite)])
        raise InputError(
            f"X holds NaN or infinity, first in row {first}; remove or fill these values"
        )
    return block


def _cluster_sums(block: NDArray[np.float64], codes: NDArray[np.int64], k: int) -> NDArray[Any]:
    """Sum of a block's rows per cluster, of shape (k, d)."""
    from scipy.sparse import csr_array

    starts = np.arange(len(codes) + 1)
    member = csr_array((np.ones(len(codes)), codes, starts), shape=(len(codes), k))
    return np.asarray(member.T @ block)
