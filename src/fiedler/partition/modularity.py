"""Modularity of partitions, and merging many small groups into few by it."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def group_affinity(
    affinity: sp.csr_matrix | np.ndarray, labels: np.ndarray, n_groups: int
) -> np.ndarray:
    """Return the affinity between groups, (g, g), scaled to sum to 1.

    Parameters
    ----------
    affinity : csr_matrix or ndarray of shape (n, n)
        Symmetric, not negative.
    labels : ndarray of shape (n,), int
        Group of each row, 0 to ``n_groups - 1``.
    n_groups : int
        Number of groups, empty ones allowed.
    """
    n = affinity.shape[0]
    member = sp.csr_matrix((np.ones(n), labels, np.arange(n + 1)), shape=(n, n_groups))
    product = member.T @ (affinity @ member)
    between = np.asarray(product.toarray() if sp.issparse(product) else product, dtype=np.float64)
    total = between.sum()
    return between / total if total > 0 else between


def modularity(affinity: sp.csr_matrix | np.ndarray, labels: np.ndarray) -> float:
    """Return Newman's modularity, ``sum_a (e_aa - d_a^2)``, of a partition.

    Newman, "Modularity and community structure in networks" (2006), equation 1, for weighted
    graphs. Between -1/2 and 1; 0 for one group.
    """
    _, groups = np.unique(labels, return_inverse=True)
    between = group_affinity(affinity, groups, int(groups.max()) + 1)
    return float(np.trace(between) - (between.sum(axis=1) ** 2).sum())


def normalized_cut(affinity: sp.csr_matrix | np.ndarray, labels: np.ndarray) -> float:
    """Return the normalised cut, ``sum_a cut(a) / vol(a)``: Shi & Malik (2000), equation 2."""
    _, groups = np.unique(labels, return_inverse=True)
    between = group_affinity(affinity, groups, int(groups.max()) + 1)
    volume = between.sum(axis=1)
    cut = volume - np.diag(between)
    return float((cut / np.where(volume > 0, volume, 1.0)).sum())


def merge_groups(between: np.ndarray, n_left: int) -> tuple[np.ndarray, np.ndarray]:
    """Merge the pair with the largest gain in modularity until ``n_left`` groups are left.

    Parameters
    ----------
    between : ndarray of shape (g, g)
        Affinity between groups, scaled to sum to 1 (:func:`group_affinity`).
    n_left : int
        Groups wanted, ``1 <= n_left <= g``.

    Returns
    -------
    labels : ndarray of shape (g,), int
        Merged group of each group, numbered from 0 in order of first appearance.
    trace : ndarray of shape (g - n_left + 1,)
        Modularity before the first and after each merge.
    """
    size = len(between)
    shared = between.copy()
    degree = between.sum(axis=1)
    owner = np.arange(size)
    alive = np.ones(size, dtype=bool)
    gain = 2.0 * (shared - np.outer(degree, degree))
    gain[np.tril_indices(size)] = -np.inf
    history = [float(np.trace(shared) - (degree**2).sum())]
    for _ in range(size - n_left):
        keep, drop = divmod(int(gain.argmax()), size)
        history.append(history[-1] + float(gain[keep, drop]))
        shared[keep] += shared[drop]
        shared[:, keep] += shared[:, drop]
        degree[keep] += degree[drop]
        owner[owner == drop] = keep
        alive[drop] = False
        others = np.flatnonzero(alive & (np.arange(size) != keep))
        fresh = 2.0 * (shared[keep, others] - degree[keep] * degree[others])
        gain[np.minimum(keep, others), np.maximum(keep, others)] = fresh
        gain[drop], gain[:, drop] = -np.inf, -np.inf
    first_seen, labels = np.unique(owner, return_inverse=True)
    order = np.argsort(np.argsort([int(np.argmax(owner == g)) for g in first_seen]))
    return order[labels], np.array(history)


def move_gains(affinity: sp.csr_matrix, labels: np.ndarray) -> np.ndarray:
    """Return how much modularity each row would bring to each cluster, (n, k).

    Moving row i alone from its cluster to c changes modularity by ``gains[i, c] - gains[i, own]``.

    Parameters
    ----------
    affinity : csr_matrix of shape (n, n)
        Symmetric, not negative.
    labels : ndarray of shape (n,), int
        From 0.
    """
    n, count = len(labels), int(labels.max()) + 1
    degree = np.asarray(affinity.sum(axis=1)).ravel()
    total = degree.sum()
    member = sp.csr_matrix((np.ones(n), labels, np.arange(n + 1)), shape=(n, count))
    shared = np.asarray((affinity @ member).toarray(), dtype=np.float64)
    others = np.tile(np.bincount(labels, weights=degree, minlength=count), (n, 1))
    own = np.arange(n), labels
    shared[own] -= affinity.diagonal()
    others[own] -= degree
    return np.asarray(2.0 * (shared - degree[:, None] * others / total) / total)


def move_rows(affinity: sp.csr_matrix, labels: np.ndarray, *, max_passes: int = 10) -> np.ndarray:
    """Move rows to the clusters to which they bring most, while modularity grows.

    All rows of a pass move at once; a pass that lowers modularity or empties a cluster is not made.
    """
    best = modularity(affinity, labels)
    for _ in range(max_passes):
        moved = move_gains(affinity, labels).argmax(axis=1)
        found = modularity(affinity, moved)
        if found <= best or len(np.unique(moved)) < len(np.unique(labels)):
            break
        labels, best = moved, found
    return labels
