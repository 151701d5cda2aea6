"""Agreement of a clustering with known classes.

Every figure depends only on how many rows each class and each cluster share, so it does not change
when clusters are renamed. Numbers of classes and clusters may differ. Labels may be integers,
strings, booleans or finite floats, of a different kind on either side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array

from fiedler.evaluation._labels import encode_labels
from fiedler.exceptions import InputError


class ConfusionMatrix(NamedTuple):
    """How many rows each class and each cluster share, matched pairs on the diagonal.

    Attributes
    ----------
    table : ndarray of int64 of shape (n_classes, n_clusters)
        ``table[i, j]`` rows are of class ``classes[i]`` and in cluster ``clusters[j]``.
    classes : ndarray of shape (n_classes,)
        Matched classes in ascending order, then those that no cluster is matched to.
    clusters : ndarray of shape (n_clusters,)
        Each class's cluster in the order of ``classes``, then the unmatched ones.
    """

    table: NDArray[np.int64]
    classes: NDArray[Any]
    clusters: NDArray[Any]


class _Pair(NamedTuple):
    """Two labellings of the same rows, encoded."""

    classes: NDArray[Any]
    class_of: NDArray[np.int64]
    clusters: NDArray[Any]
    cluster_of: NDArray[np.int64]

    def counts(self) -> csr_array:
        """Rows shared by each class and cluster, sparse, of shape (n_classes, n_clusters)."""
        ones = np.ones(len(self.class_of), dtype=np.int64)
        shape = (len(self.classes), len(self.clusters))
        return coo_array((ones, (self.class_of, self.cluster_of)), shape=shape).tocsr()


def _encode_pair(y_true: ArrayLike, y_pred: ArrayLike) -> _Pair:
    classes, class_of = encode_labels(y_true, "y_true")
    clusters, cluster_of = encode_labels(y_pred, "y_pred")
    if len(class_of) != len(cluster_of):
        raise InputError(
            f"y_true has {len(class_of)} labels and y_pred {len(cluster_of)}; "
            "give both for the same rows in the same order"
        )
    return _Pair(classes, class_of, clusters, cluster_of)


def _match(
    table: NDArray[np.int64],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One-to-one pairs (row, column), rows ascending, that share the most (Kuhn 1955)."""
    rows, columns = linear_sum_assignment(table, maximize=True)
    return rows, columns


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of rows whose cluster is matched to their class, in the best one-to-one matching.

    ``ACC = max over m of (1/n) sum_i 1[y_i = m(c_i)]``, m one-to-one, found exactly by the
    Hungarian method (Kuhn 1955). Surplus clusters or classes stay unmatched and count as wrong.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Class and cluster of each row.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    InputError
        If the lengths differ, or either is empty, not one-dimensional or has missing labels.
    """
    pair = _encode_pair(y_true, y_pred)
    table = pair.counts().toarray()
    return float(table[_match(table)].sum() / len(pair.class_of))


def nmi(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mutual information over the arithmetic mean of the two entropies (symmetric, 0 to 1).

    Two labellings that both put all rows together score 1. Parameters and errors as for
    `accuracy`.
    """
    from sklearn.metrics import normalized_mutual_info_score

    pair = _encode_pair(y_true, y_pred)
    value = normalized_mutual_info_score(
        pair.class_of, pair.cluster_of, average_method="arithmetic"
    )
    return float(np.clip(value, 0.0, 1.0))  # rounding leaves it just outside now and then


def ari(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Rand index adjusted for chance (Hubert & Arabie 1985): 0 by chance, 1 for equality.

    Symmetric; at least -0.5. Parameters and errors as for `accuracy`.
    """
    from sklearn.metrics import adjusted_rand_score

    pair = _encode_pair(y_true, y_pred)
    return float(adjusted_rand_score(pair.class_of, pair.cluster_of))


def pairwise_f(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """F-measure over pairs of rows: harmonic mean of pair precision and pair recall.

    A pair is found if its rows share a cluster, and right if they share a class. Where neither
    labelling puts any two rows together they agree on every pair, and the value is 1.
    Symmetric; parameters and errors as for `accuracy`.
    """
    counts = _encode_pair(y_true, y_pred).counts()
    found_or_right = _pairs(counts.sum(axis=0)) + _pairs(counts.sum(axis=1))
    if found_or_right == 0:
        return 1.0
    return 2 * _pairs(counts.data) / found_or_right


def _pairs(sizes: NDArray[np.int64]) -> int:
    """Pairs of rows within groups of these sizes; an exact integer up to 3e9 rows."""
    return int((sizes * (sizes - 1) // 2).sum())


def purity(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of rows that are of their cluster's commonest class (1 if every row is alone).

    Grows with the number of clusters, so compare it at equal numbers only. Parameters and errors
    as for `accuracy`.
    """
    pair = _encode_pair(y_true, y_pred)
    return float(pair.counts().max(axis=0).sum() / len(pair.class_of))


def match_labels(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """Rename the clusters after the classes that they match.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Class and cluster of each row; ``y_true`` may be another clustering of the same rows.

    Returns
    -------
    ndarray of shape (n,)
        ``y_pred`` under the names of ``y_true``, so that ``(result == y_true).mean()`` is the
        `accuracy`. Where there are more clusters than classes, the surplus ones get the integers
        above every class, or, if classes are no integers, the names ``"cluster <id>"``.

    Raises
    ------
    InputError
        As for `accuracy`.
    """
    pair = _encode_pair(y_true, y_pred)
    matched, columns = _match(pair.counts().toarray())
    surplus = np.setdiff1d(np.arange(len(pair.clusters)), columns)
    if pair.classes.dtype.kind in "iu":
        names = np.empty(len(pair.clusters), dtype=np.int64)
        names[surplus] = int(pair.classes.max()) + 1 + np.arange(len(surplus))
    elif len(surplus) == 0:
        names = np.empty(len(pair.clusters), dtype=pair.classes.dtype)
    else:
        names = np.empty(len(pair.clusters), dtype=object)
        names[surplus] = [f"cluster {cluster}" for cluster in pair.clusters[surplus]]
    names[columns] = pair.classes[matched]
    return np.asarray(names[pair.cluster_of])


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike) -> ConfusionMatrix:
    """Count the rows that each class and each cluster share, matched pairs on the diagonal.

    The sum of the diagonal over n is the `accuracy`. Parameters and errors as for `accuracy`.
    """
    pair = _encode_pair(y_true, y_pred)
    table = pair.counts().toarray()
    rows, columns = _match(table)
    row_order = np.concatenate([rows, np.setdiff1d(np.arange(table.shape[0]), rows)])
    column_order = np.concatenate([columns, np.setdiff1d(np.arange(table.shape[1]), columns)])
    return ConfusionMatrix(
        table[np.ix_(row_order, column_order)],
        pair.classes[row_order],
        pair.clusters[column_order],
    )


def score_all(y_true: ArrayLike, y_pred: ArrayLike) -> dict[str, float]:
    """Give every figure of this module by name: acc, nmi, ari, pairwise_f, purity."""
    return {
        "acc": accuracy(y_true, y_pred),
        "nmi": nmi(y_true, y_pred),
        "ari": ari(y_true, y_pred),
        "pairwise_f": pairwise_f(y_true, y_pred),
        "purity": purity(y_true, y_pred),
    }
