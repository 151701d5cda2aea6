"""How many clusters the spectrum shows: the eigengap."""

from __future__ import annotations

import numpy as np

from fiedler.exceptions import InputError


def eigengap_k(eigenvalues: np.ndarray, *, k_min: int = 1, k_max: int | None = None) -> int:
    """Return the k with the largest gap between the k-th and the next eigenvalue.

    Von Luxburg (2007), section 8.3. Ties (gaps equal up to rounding) go to the smallest k; a
    graph of c components has at least c clusters.

    Parameters
    ----------
    eigenvalues : array-like of shape (m,)
        Smallest eigenvalues of a Laplacian, ascending, zeros included.
    k_min, k_max : int
        Bounds of the answer; ``k_max`` defaults to ``m - 1``, the last k whose gap is known.

    Raises
    ------
    InputError
        If fewer than two eigenvalues are given or the bounds leave nothing to choose.
    """
    values = np.asarray(eigenvalues, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise InputError(f"an eigengap needs at least two eigenvalues, got shape {values.shape}.")
    k_max = len(values) - 1 if k_max is None else min(k_max, len(values) - 1)
    n_zero = int((values <= 1e-10 * max(values[-1], 1e-300)).sum())
    k_min = min(max(k_min, n_zero, 1), k_max)
    gaps = np.diff(values)[k_min - 1 : k_max]
    if len(gaps) == 0:
        raise InputError(f"no k between k_min = {k_min} and k_max = {k_max}.")
    return k_min + int(np.argmax(gaps >= gaps.max() * (1.0 - 1e-9)))
