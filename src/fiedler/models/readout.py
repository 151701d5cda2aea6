"""From trained outputs to ordered eigenvectors and clusters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from fiedler.partition import components_k, modularity_k
from fiedler.spectrum import eigengap_k
from fiedler.spectrum.ritz import RitzRotation, ritz_rotation, with_fixed_signs

# So many batches estimate the small matrices of Rayleigh-Ritz to about a percent.
_BATCHES = 40


def rotate_by_batches(
    outputs: np.ndarray,
    affinity: Callable[[np.ndarray], Tensor],
    batch_size: int,
    *,
    normalized: bool,
    seed: int,
) -> RitzRotation:
    """Rotate outputs to ordered eigenvectors by the mean of ``Y^T L Y`` over random batches.

    Parameters
    ----------
    outputs : ndarray of shape (n, m), float64
    affinity : callable
        From row numbers (b,) to their affinity (b, b).
    batch_size : int
    normalized : bool
        Divide each output by the root of its degree in the batch first, as the loss does: the
        Ritz vectors are those of the symmetric normalised Laplacian.
    seed : int

    Returns
    -------
    RitzRotation
        Its vectors have mean square one over the rows. Values without ``normalized`` are in units
        of the mean degree.
    """
    n, m = outputs.shape
    size, rng = min(batch_size, n), np.random.default_rng(seed)
    form = np.zeros((m, m))
    for _ in range(1 if size == n else _BATCHES):
        indices = np.arange(n) if size == n else np.sort(rng.choice(n, size, replace=False))
        weights = affinity(indices).double().cpu().numpy()
        degrees = weights.sum(axis=1)
        part = outputs[indices]
        if normalized:
            part = part / np.sqrt(np.where(degrees > 0, degrees, 1.0))[:, None]
        scale = 1.0 if normalized else max(degrees.mean(), 1e-300)
        energy = part.T @ (part * degrees[:, None]) - part.T @ (weights @ part)
        form += energy / (size * scale)
    form /= 1 if size == n else _BATCHES
    rotation = ritz_rotation(outputs.T @ outputs / n, form)
    return with_fixed_signs(rotation, outputs)


def choose_clusters(
    embedding: np.ndarray,
    values: np.ndarray,
    graph: sp.csr_matrix | None,
    most: int,
    rule: str,
    seed: int,
) -> int:
    """Return the number of clusters by the rule that is asked for.

    Parameters
    ----------
    embedding : ndarray of shape (n, m)
        Ordered eigenvectors.
    values : ndarray of shape (m,)
        Their eigenvalues.
    graph : csr_matrix of shape (n, n) or None
        Without one ``"auto"`` is the eigengap, and ``"modularity"`` was refused before.
    most : int
    rule : {"auto", "eigengap", "modularity"}
    seed : int
    """
    if graph is None:
        return eigengap_k(values, k_max=most) if len(values) > 1 else 1
    n_components, labels = connected_components(graph, directed=False)
    if rule == "eigengap":
        apart = min(int(n_components), most)
        # the gap after the last eigenvalue is not known
        return eigengap_k(values, k_min=apart, k_max=most) if len(values) > apart else apart
    by_components = components_k(np.bincount(labels)) if rule == "auto" else None
    if by_components is not None and by_components <= most:
        return by_components
    most = min(most, len(values))
    return modularity_k(embedding, graph, k_max=most, random_state=seed)
