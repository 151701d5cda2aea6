"""``SpectralEmbedding``: one spectral analysis procedure."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from fiedler.models.base import KNOBS, SpectralBase
from fiedler.models.counts import check_count, warn_disconnected
from fiedler.models.rows import require_distinct


class SpectralEmbedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, SpectralBase):  # type: ignore[misc]
    """Coordinates of rows in the eigenvectors of a graph Laplacian, also for new rows.

    One "spectral analysis procedure": affinity, Laplacian, solver, number of eigenvectors.
    Belkin & Niyogi (2003), "Laplacian eigenmaps for dimensionality reduction".

    Parameters
    ----------
    n_components : int, default=2
        Eigenvectors wanted.
    affinity : str, affinity object or callable, default="knn"
        ``"knn"``, ``"self-tuning"``, ``"epsilon"``, ``"gaussian"``, ``"precomputed"``, an object
        such as ``KNN(15, weights="gaussian")``, or a function ``f(A, B)``.
    laplacian : {"sym", "rw", "unnormalized"}, default="sym"
        Which Laplacian.
    solver : str or solver object, default="auto"
        ``"auto"``, ``"dense"``, ``"lanczos"``, ``"block"``, ``"nystrom"``, ``"minibatch"``, or an
        object such as ``Block(tol=1e-6)``.
    keep_trivial : bool, default=False
        Whether the first eigenvector (of eigenvalue zero, constant up to degrees) is kept.
    recall : float, default=0.98
        Share of true neighbours that the search must find; 1 searches exactly.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        Where neighbours and kernels are computed.
    random_state : int, RandomState or None, default=None
        Seed; an int makes results reproducible.
    progress : callable or None, default=None
        Called as ``progress(stage, done, total)``.

    Attributes
    ----------
    embedding_ : ndarray of shape (n, n_components)
        Eigenvectors by rising eigenvalue; each column's entry of largest absolute value is
        positive.
    eigenvalues_ : ndarray
        Of the Laplacian, from the trivial one on.
    eigen_residuals_ : ndarray
        ``|L u - lambda u|`` of each.
    n_connected_components_ : int
        Components of the graph.
    component_sizes_ : ndarray
        Rows of each component, falling.
    n_features_in_ : int
        Features of a row.
    timings_ : dict of str to float
        Seconds spent in each stage.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fiedler import SpectralEmbedding
    >>> X = load_digits().data
    >>> model = SpectralEmbedding(n_components=2, random_state=0).fit(X[:1500])
    >>> model.transform(X[1500:]).shape
    (297, 2)
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        affinity: Any = "knn",
        laplacian: str = "sym",
        solver: Any = "auto",
        keep_trivial: bool = False,
        recall: float = 0.98,
        device: str = "auto",
        random_state: Any = None,
        progress: Any = None,
    ) -> None:
        self.n_components = n_components
        self.affinity = affinity
        self.laplacian = laplacian
        self.solver = solver
        self.keep_trivial = keep_trivial
        self.recall = recall
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any = None) -> SpectralEmbedding:
        """Build the graph of the rows and compute its eigenvectors.

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
        with self._all_or_nothing():
            rows = self._fit_rows(X)
            dropped = int(not self.keep_trivial)
            limit = ", the number of rows" + " less the trivial eigenvector" * dropped
            most = rows.shape[0] - dropped
            k = check_count("n_components", self.n_components, 1, most, limit) + dropped
            if not self._given:
                require_distinct(rows, 2, "an embedding")
            self._fit_eigenvectors(self._fit_graph(rows), k)
            warn_disconnected(self.component_sizes_, k, KNOBS)
            self.embedding_ = self.eigenvectors_[:, dropped:]
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit and return ``embedding_``, shape (n, n_components)."""
        return self.fit(X).embedding_

    def transform(self, X: Any) -> np.ndarray:
        """Give new rows their coordinates, by those of their neighbours.

        A row that equals a fitted one gets its coordinates (not where the affinity is given or a
        function: there it is extended to as if it were new, which is exact for ``"sym"`` and
        ``"rw"``). Nothing is refitted, and a row's result does not depend on the others.

        Parameters
        ----------
        X : array-like of shape (m, d)
            New rows; (m, n) affinities to the fitted rows for ``affinity="precomputed"``.

        Returns
        -------
        ndarray of shape (m, n_components), float64
        """
        coordinates, _ = self._new_eigenvectors(X)
        return coordinates[:, int(not self.keep_trivial) :]

    @classmethod
    def _from_state(cls, kept: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
        estimator = super()._from_state(kept, arrays)
        estimator.embedding_ = estimator.eigenvectors_[:, int(not estimator.keep_trivial) :]
        return estimator
