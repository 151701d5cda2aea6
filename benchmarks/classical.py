"""Two published peers of SA-Net that no package has: SC-LS and SEC, by their papers' formulas."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, eigsh, svds
from sklearn.cluster import KMeans

from fiedler import KNN
from fiedler.graph import NeighborIndex, SearchOptions
from fiedler.partition.rotations import discretize

# Of Chen & Cai's experiments.
_LANDMARKS, _NEAREST = 1000, 5


def landmark_spectral(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """SC-LS: Chen & Cai (2011), "Large scale spectral clustering with landmark-based ...".

    Each row is a mean of its nearest landmarks, Gaussian weights summing to 1: ``Z``,
    sparse. The affinity is ``Z D^-1 Z^T``, ``D`` the sums of the columns, so that the left
    singular vectors of ``Z D^-1/2`` are its eigenvectors; the trivial one is left out, rows are
    scaled to unit length. Landmarks are centres of five rounds of k-means.
    """
    n, count = len(rows), min(_LANDMARKS, len(rows) // 2)
    found = KMeans(count, init="random", n_init=1, max_iter=5, random_state=seed).fit(rows)
    centers = np.ascontiguousarray(found.cluster_centers_, dtype=np.float32)
    indices, distances = NeighborIndex(centers, _NEAREST).query(rows, _NEAREST)
    weights = np.exp(-(distances**2) / (2.0 * distances.mean() ** 2))
    weights /= weights.sum(axis=1, keepdims=True)
    pointers = np.arange(0, weights.size + 1, _NEAREST)
    z = sp.csr_matrix((weights.ravel(), indices.ravel(), pointers), shape=(n, count))
    sums = np.maximum(np.asarray(z.sum(axis=0)).ravel(), 1e-12)
    left, values, _ = svds(
        sp.csr_matrix(z @ sp.diags(sums**-0.5)), k + 1, rng=np.random.default_rng(seed)
    )
    places = left[:, np.argsort(-values)[1:]]
    places /= np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-12)
    return KMeans(k, n_init=10, random_state=seed).fit_predict(places)


def spectral_embedded(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """SEC: Nie et al. (2011), "Spectral embedded clustering: a framework ...", IEEE TNN 22(11).

    ``min_F tr(F^T L F) + mu (|X W + 1 b^T - F|^2 + gamma |W|^2)``, ``F^T F = I``: the smallest
    eigenvectors of ``L + mu (H - X (X^T X + gamma I)^-1 X^T)`` with centred ``X`` and centring
    ``H``, discretised as in the paper. There ``mu`` and ``gamma`` are searched for with
    labels; here ``mu`` is 1 and ``gamma`` the mean variance. ``L`` is of a self-tuned kNN graph.
    """
    n = len(rows)
    affinity = KNN(10, "self-tuning").fit(rows, SearchOptions(seed=seed)).matrix
    roots = 1.0 / np.sqrt(np.maximum(np.asarray(affinity.sum(axis=1)).ravel(), 1e-12))
    walk = sp.csr_matrix(sp.diags(roots) @ affinity @ sp.diags(roots))
    centred = (rows - rows.mean(axis=0)).astype(np.float64)
    scatter = centred.T @ centred
    ridge = np.trace(scatter) / len(scatter)
    factor = scipy.linalg.cho_factor(scatter + ridge * np.eye(len(scatter)))

    def product(v: np.ndarray) -> np.ndarray:
        v = v.ravel()
        fitted = centred @ scipy.linalg.cho_solve(factor, centred.T @ v)
        return np.asarray(walk @ v + fitted + v.mean())

    # largest of 2 I - (the matrix): the same vectors
    operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
    rng = np.random.default_rng(seed)
    values, vectors = eigsh(operator, k, which="LA", v0=rng.normal(size=n), tol=1e-5)
    return discretize(vectors[:, np.argsort(-values)], k, rng=rng).labels
