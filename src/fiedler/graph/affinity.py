"""Affinities: what makes two rows similar. Small frozen objects, each with a name.

Every affinity is fitted to rows once, which gives its matrix and a way to relate new rows to the
fitted ones (:class:`fiedler.graph.FittedAffinity`), so that nothing is refitted at ``predict``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fiedler.data.checks import check_choice
from fiedler.exceptions import InputError
from fiedler.graph.epsilon import Epsilon
from fiedler.graph.fitted import Affinity
from fiedler.graph.gaussian import Gaussian
from fiedler.graph.given import FromCallable, Precomputed
from fiedler.graph.knn import KNN

_NAMED: dict[str, Affinity] = {
    "knn": KNN(),
    "self-tuning": KNN(weights="self-tuning"),
    "epsilon": Epsilon(),
    "gaussian": Gaussian(),
    "precomputed": Precomputed(),
}


def resolve_affinity(affinity: str | Affinity | Callable[[Any, Any], Any]) -> Affinity:
    """Return the affinity object for a name, an object or a function.

    Raises
    ------
    InputError
        If the name is unknown, or a class is given.
    """
    if isinstance(affinity, type):
        raise InputError(
            f"affinity must be an object such as {affinity.__name__}(), got the class itself."
        )
    if isinstance(affinity, str):
        check_choice("affinity", affinity, tuple(_NAMED))
        return _NAMED[affinity]
    if hasattr(affinity, "fit") and hasattr(affinity, "restore"):
        return affinity
    if callable(affinity):
        return FromCallable(affinity)
    raise InputError(
        f"affinity must be one of {sorted(_NAMED)}, an object such as KNN(15), or a function "
        f"f(A, B); got {affinity!r}."
    )
