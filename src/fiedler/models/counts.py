"""Checks of the counts that estimators take and find: clusters, eigenvectors, components."""

from __future__ import annotations

from typing import Any

import numpy as np

from fiedler.exceptions import DisconnectedGraphWarning, InputError, warn_user
from fiedler.models.rows import count_distinct, require_distinct

COUNT_RULES = ("auto", "eigengap", "modularity")


def check_count(name: str, value: Any, low: int, high: int, limit: str = "") -> int:
    """Return an integer parameter after checking its bounds.

    Parameters
    ----------
    name : str
    value : object
    low, high : int
        Bounds, both allowed.
    limit : str
        What the upper bound is, for the message.

    Raises
    ------
    InputError
        If it is not an integer from ``low`` to ``high``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputError(f"{name} must be an integer, got {value!r}.")
    if not low <= value <= high:
        raise InputError(f"{name} must be between {low} and {high}{limit}; got {value}.")
    return int(value)


def check_cluster_count(
    n_clusters: Any, max_clusters: Any, rows: Any, *, given: bool = False
) -> int:
    """Return the number of clusters wanted, or the most that a rule may choose.

    Parameters
    ----------
    n_clusters : int or {"auto", "eigengap", "modularity"}
    max_clusters : int
    rows : array-like of shape (n, ...)
    given : bool
        Whether the rows are an affinity, whose distinct rows mean nothing.

    Raises
    ------
    InputError
        If there are fewer rows, or distinct rows, than clusters.
    """
    n = int(rows.shape[0])
    if isinstance(n_clusters, (int, np.integer)) and not isinstance(n_clusters, bool):
        k = check_count("n_clusters", n_clusters, 1, n, ", the number of rows")
        if k > 1 and not given:
            require_distinct(rows, k, f"n_clusters={k}")
        return k
    if not isinstance(n_clusters, str) or n_clusters not in COUNT_RULES:
        raise InputError(
            "n_clusters must be an integer, 'auto', 'eigengap' or 'modularity', got "
            f"{n_clusters!r}."
        )
    most = min(check_count("max_clusters", max_clusters, 1, 10**6), n)
    if given:
        return most
    require_distinct(rows, 2, "a clustering")
    return count_distinct(rows, most)


def warn_disconnected(sizes: np.ndarray, n_allowed: int, knobs: str) -> None:
    """Warn where a graph has more components than clusters or eigenvectors to hold them.

    Parameters
    ----------
    sizes : ndarray of int
        Rows of each connected component, largest first.
    n_allowed : int
        Clusters or eigenvectors.
    knobs : str
        What the user can raise, for the message.
    """
    if len(sizes) <= n_allowed:
        return
    shown = ", ".join(map(str, sizes[:8])) + (", ..." if len(sizes) > 8 else "")
    warn_user(
        f"the graph has {len(sizes)} connected components (of {shown} rows), more than the "
        f"{n_allowed} that are told apart, so components are put together without an edge to "
        f"go by. Raise {knobs}.",
        DisconnectedGraphWarning,
    )
