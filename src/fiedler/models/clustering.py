"""``SpectralClustering``: rows to clusters, with ``predict`` for new rows."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin

from fiedler.exceptions import InputError
from fiedler.graph import FittedAffinity
from fiedler.models.base import KNOBS, SpectralBase
from fiedler.models.counts import check_cluster_count, check_count, warn_disconnected
from fiedler.partition import (
    Partition,
    assign_labels,
    components_k,
    modularity_k,
    nearest_center,
)
from fiedler.partition.assign import ASSIGNMENTS, Assignment, vectors_wanted
from fiedler.spectrum import Eigenpairs, eigengap_k


class SpectralClustering(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    SpectralBase,
):
    """Spectral clustering that scales, chooses k, and predicts new rows without refitting.

    Ng, Jordan & Weiss (2001); von Luxburg (2007), "A tutorial on spectral clustering".

    Parameters
    ----------
    n_clusters : int or {"auto", "eigengap", "modularity"}, default="auto"
        Clusters wanted, or the rule that chooses their number up to ``max_clusters``: the largest
        gap between eigenvalues, or the fewest clusters whose modularity is within 0.01 of the
        largest. ``"auto"``: the connected components where they are of like size; else
        ``"modularity"``; ``"eigengap"`` where the affinity is a kernel too large to form.
    affinity, laplacian, solver
        As in :class:`SpectralEmbedding`.
    n_components : int or None, default=None
        Eigenvectors, the trivial one included; a rule for ``n_clusters`` finds no more clusters
        than these. None takes ``min(3 k, k + 100)``: k-means reads the first k, merging reads all.
    assign : {"auto", "kmeans", "cluster_qr", "discretize", "merge"}, default="auto"
        From eigenvectors to labels; see :func:`fiedler.partition.assign_labels`.
    max_clusters : int, default=20
        Most clusters that a rule may choose.
    recall, device, random_state, progress
        As in :class:`SpectralEmbedding`.

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int64
        Cluster of each fitted row, from 0.
    n_clusters_ : int
        Clusters found. Fewer than asked for where the eigenvectors have fewer distinct places, or
        ``"discretize"`` leaves a cluster without rows.
    confidence_ : ndarray of shape (n,)
        How much nearer a row is to its own cluster's centre than to another's, 0 to 1.
    embedding_ : ndarray of shape (n, n_components)
        Eigenvectors by rising eigenvalue.
    eigenvalues_ : ndarray of shape (n_components + 1,)
        Of the Laplacian (one more than there are eigenvectors, so that the last gap is known).
    assignment_ : str
        The assignment that was used.
    eigen_residuals_, n_connected_components_, component_sizes_, n_features_in_, timings_
        As in :class:`SpectralEmbedding`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fiedler import SpectralClustering
    >>> X = load_digits().data
    >>> model = SpectralClustering(n_clusters=10, random_state=0).fit(X[:1500])
    >>> model.predict(X[1500:]).shape
    (297,)
    """

    def __init__(
        self,
        n_clusters: Any = "auto",
        *,
        affinity: Any = "knn",
        laplacian: str = "sym",
        solver: Any = "auto",
        n_components: int | None = None,
        assign: str = "auto",
        max_clusters: int = 20,
        recall: float = 0.98,
        device: str = "auto",
        random_state: Any = None,
        progress: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.affinity = affinity
        self.laplacian = laplacian
        self.solver = solver
        self.n_components = n_components
        self.assign = assign
        self.max_clusters = max_clusters
        self.recall = recall
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any = None) -> SpectralClustering:
        """Cluster the rows.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, h, w) or (n, h, w, c)
            Rows; (n, n) for ``affinity="precomputed"``.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        InputError
            If the rows or a parameter are unusable.
        """
        if self.assign not in ASSIGNMENTS:
            raise InputError(f"assign must be one of {list(ASSIGNMENTS)}, got {self.assign!r}.")
        with self._all_or_nothing():
            rows = self._fit_rows(X)
            n = int(rows.shape[0])
            most = check_cluster_count(self.n_clusters, self.max_clusters, rows, given=self._given)
            n_vectors = self._n_vectors(most, n)
            affinity = self._fit_graph(rows)
            pairs = self._fit_eigenvectors(affinity, min(n_vectors + 1, n), leading=most)
            with self._timed("assignment"):
                k = self._assign(affinity, pairs, most)
            warn_disconnected(self.component_sizes_, k, KNOBS)
        return self

    def _assign(self, affinity: FittedAffinity, pairs: Eigenpairs, most: int) -> int:
        """Choose k where that is asked for, turn eigenvectors into labels, and return k."""
        formed = _formed(affinity)
        k = self._choose_k(formed, most) if isinstance(self.n_clusters, str) else most
        self._keep_vectors(k)
        partition = assign_labels(
            self.eigenvectors_,
            k,
            method=cast(Assignment, self.assign),
            affinity=formed,
            pairs=pairs if self.laplacian == "sym" else None,
            random_state=self._seed,
        )
        self._keep_partition(partition)
        return k

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit and return ``labels_``, shape (n,)."""
        return self.fit(X).labels_

    def transform(self, X: Any) -> np.ndarray:
        """Give new rows their eigenvector coordinates, shape (m, n_components).

        A row that equals a fitted one gets its coordinates (not where the affinity is given or a
        function); the others get them by their neighbours. Nothing is refitted, and a row's result
        does not depend on the others.
        """
        return self._new_eigenvectors(X)[0]

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit and return ``embedding_``, shape (n, n_components)."""
        return self.fit(X).embedding_

    def predict(self, X: Any) -> np.ndarray:
        """Give new rows the cluster of the centre nearest to their coordinates.

        A row that equals a fitted one gets its label, so ``predict`` of the fitted rows is
        ``labels_`` (of several equal fitted rows, the first one's). Where the affinity is given or
        a function, equal rows are not known as such; there the fitted rows get their labels back
        but for those on borders.

        Parameters
        ----------
        X : array-like of shape (m, d)
            New rows; (m, n) affinities to the fitted rows for ``affinity="precomputed"``.

        Returns
        -------
        ndarray of shape (m,), int64
        """
        return self.predict_with_confidence(X)[0]

    def predict_with_confidence(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return labels as :meth:`predict` does, and how sure they are, each of shape (m,).

        The confidence is ``1 - a / b`` with the distances to the nearest centre of the own and of
        any other cluster: 0 on a border, 1 on a centre.
        """
        coordinates, twins = self._new_eigenvectors(X)
        labels, confidence = nearest_center(coordinates, self._partition)
        known = twins >= 0
        labels[known] = self.labels_[twins[known]]
        confidence[known] = self.confidence_[twins[known]]
        return labels, confidence

    def _n_vectors(self, k: int, n: int) -> int:
        if self.n_components is not None:
            return check_count("n_components", self.n_components, 1, n, ", the number of rows")
        return vectors_wanted(k, n)

    def _choose_k(self, formed: sp.csr_matrix | np.ndarray | None, most: int) -> int:
        most = min(most, len(self.eigenvalues_) - 1)
        by_components = components_k(self.component_sizes_) if self.n_clusters == "auto" else None
        if by_components is not None and by_components <= most:
            return by_components
        if self.n_clusters == "modularity" and formed is None:
            raise InputError(
                "n_clusters='modularity' needs a formed affinity, which a full kernel of many "
                "rows is not; use 'eigengap' or affinity='knn'."
            )
        if self.n_clusters == "eigengap" or formed is None:
            components = min(self.n_connected_components_, most)
            return eigengap_k(self.eigenvalues_, k_min=components, k_max=most)
        return modularity_k(self.eigenvectors_, formed, k_max=most, random_state=self._seed)

    def _keep_vectors(self, k: int) -> None:
        """Keep as many eigenvectors as k clusters use, and one eigenvalue more."""
        kept = self._n_vectors(k, len(self.eigenvectors_))
        self.eigenvectors_ = np.ascontiguousarray(self.eigenvectors_[:, :kept])
        self.embedding_ = self.eigenvectors_
        self.eigenvalues_ = self.eigenvalues_[: kept + 1]
        self.eigen_residuals_ = self.eigen_residuals_[: kept + 1]

    def _keep_partition(self, partition: Partition) -> None:
        self._partition = partition
        self.labels_ = partition.labels
        self.n_clusters_ = partition.n_clusters
        self.assignment_ = partition.method
        self.confidence_ = nearest_center(self.eigenvectors_, partition)[1]

    def _to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        kept, arrays = super()._to_state()
        kept["assignment"] = self.assignment_
        arrays["labels_"] = self.labels_
        arrays["centers"] = self._partition.centers
        arrays["center_labels"] = self._partition.center_labels
        return kept, arrays

    @classmethod
    def _from_state(cls, kept: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
        estimator = super()._from_state(kept, arrays)
        estimator.embedding_ = estimator.eigenvectors_
        estimator._keep_partition(
            Partition(
                arrays["labels_"], arrays["centers"], arrays["center_labels"], kept["assignment"]
            )
        )
        return estimator


def _formed(affinity: FittedAffinity) -> sp.csr_matrix | np.ndarray | None:
    """Return the affinity where it is a matrix."""
    return affinity.matrix if isinstance(affinity.matrix, (sp.csr_matrix, np.ndarray)) else None
