"""What both spectral estimators share: graph, eigenvectors, extension to new rows, state."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from fiedler.graph import (
    FittedAffinity,
    FromCallable,
    Gaussian,
    Precomputed,
    SearchOptions,
    resolve_affinity,
)
from fiedler.models.estimator import SavedEstimator
from fiedler.models.extension import extend_eigenvectors
from fiedler.models.rows import check_rows, resolve_device, resolve_progress, seed_from
from fiedler.spectrum import Eigenpairs, smallest_eigenpairs

_QUERY_ROWS = 16384
# A kernel relates each new row to all fitted ones, in float64.
_CROSS_BYTES = 64 << 20
# What a user turns where the graph falls apart.
KNOBS = "n_neighbors, as in affinity=KNN(20), or n_clusters or n_components"
_KEPT = ("eigenvectors_", "eigenvalues_", "eigen_residuals_", "component_sizes_", "degrees_")


class SpectralBase(SavedEstimator):
    """Graph, eigenvectors and their extension; the estimators add what they do with them."""

    affinity: Any
    laplacian: Any
    solver: Any
    recall: float
    device: str
    random_state: Any
    progress: Any
    embedding_: np.ndarray

    def __sklearn_tags__(self) -> Any:
        """Declare sparse input and, for a given affinity, pairwise input."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.pairwise = self.affinity == "precomputed"
        return tags

    @property
    def affinity_matrix_(self) -> sp.csr_matrix | np.ndarray:
        """Weights of the links between the fitted rows, shape (n, n).

        A file does not hold it: after loading it is computed again, the same.

        Raises
        ------
        AttributeError
            Where it is never formed (a full kernel of many rows), or was given and not kept.
        """
        check_is_fitted(self)
        matrix = self._affinity().matrix
        n = len(self.degrees_)
        if matrix.shape[0] != n and not self._given:
            matrix = resolve_affinity(self.affinity).fit(self._rows, self._options()).matrix
        if not isinstance(matrix, (sp.csr_matrix, np.ndarray)) or matrix.shape[0] != n:
            raise AttributeError("affinity_matrix_: the matrix is not formed, or was not kept")
        return matrix

    @property
    def _given(self) -> bool:
        """Whether the rows are an affinity."""
        return isinstance(resolve_affinity(self.affinity), Precomputed)

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def _fit_rows(self, X: Any) -> Any:
        """Validate the rows to fit, before anything is computed."""
        return check_rows(self, X, reset=True, square=self._given)

    def _fit_graph(self, rows: Any) -> FittedAffinity:
        """Fit the affinity to validated rows."""
        self.timings_: dict[str, float] = {}
        self._seed = seed_from(self.random_state)
        self._rows = np.empty((rows.shape[0], 0)) if self._given else rows
        with self._timed("graph"):
            fitted = resolve_affinity(self.affinity).fit(rows, self._options())
        self._affinity_state = fitted.state
        self._fitted_affinity = fitted
        return fitted

    def _fit_eigenvectors(
        self, affinity: FittedAffinity, k: int, leading: int | None = None
    ) -> Eigenpairs:
        """Compute k eigenpairs, of which the leading ones must be accurate, and keep them."""
        with self._timed("eigenvectors"):
            pairs = smallest_eigenpairs(
                affinity.matrix,
                k,
                leading=leading,
                laplacian=self.laplacian,
                solver=self.solver,
                random_state=self._seed,
                progress=resolve_progress(self.progress),
            )
        # in C order, as they come back from a file: products then round the same
        self.eigenvectors_ = np.ascontiguousarray(pairs.vectors)
        self.eigenvalues_ = pairs.values
        self.eigen_residuals_ = pairs.residuals
        self.n_connected_components_ = pairs.n_connected_components
        self.component_sizes_ = pairs.component_sizes
        self.degrees_ = pairs.degrees
        self.solver_ = pairs.solver
        return pairs

    def _options(self) -> SearchOptions:
        device = resolve_device(self.device)
        return SearchOptions(
            recall=self.recall,
            seed=self._seed,
            device=device,
            progress=resolve_progress(self.progress),
        )

    def _affinity(self) -> FittedAffinity:
        """Return the fitted affinity, rebuilt from rows and state after loading."""
        if self.__dict__.get("_fitted_affinity") is None:
            self._fitted_affinity = resolve_affinity(self.affinity).restore(
                self._rows, self._affinity_state, self._options()
            )
        return self._fitted_affinity

    def _new_eigenvectors(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Extend the eigenvectors to new rows, block by block.

        Returns
        -------
        coordinates : ndarray of shape (m, k)
        twins : ndarray of shape (m,), int64
            The fitted row that a new row equals, or -1; twins share its coordinates exactly.
        """
        check_is_fitted(self)
        fitted = self._affinity()
        rows = check_rows(self, X, reset=False, square=self._given)
        m = rows.shape[0]
        coordinates = np.empty((m, self.eigenvectors_.shape[1]))
        twins = np.full(m, -1, dtype=np.int64)
        size = self._query_rows()
        for start in range(0, m, size):
            part = slice(start, min(start + size, m))
            cross = fitted.cross(rows[part])
            coordinates[part] = extend_eigenvectors(
                cross.weights,
                self.eigenvectors_,
                self.eigenvalues_[: self.eigenvectors_.shape[1]],
                self.degrees_,
                self.laplacian,
            )
            twins[part] = cross.twins
        known = twins >= 0
        coordinates[known] = self.eigenvectors_[twins[known]]
        return coordinates, twins

    def _query_rows(self) -> int:
        """Return how many new rows are related to the fitted ones at a time."""
        if isinstance(resolve_affinity(self.affinity), (Gaussian, FromCallable)):
            return max(1, min(_QUERY_ROWS, _CROSS_BYTES // (8 * len(self.degrees_))))
        return _QUERY_ROWS

    def _to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return parameters (JSON) and arrays that restore the fitted estimator."""
        kept = self._common_state() | {
            "n_connected_components": int(self.n_connected_components_),
            "solver": self.solver_,
        }
        arrays = {name: np.asarray(getattr(self, name)) for name in _KEPT}
        arrays |= {f"affinity.{name}": value for name, value in self._affinity_state.items()}
        arrays |= _rows_to_arrays(self._rows)
        return kept, arrays

    @classmethod
    def _from_state(cls, kept: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
        """Restore what :meth:`_to_state` gave."""
        estimator = cls._from_common(kept)
        estimator.n_connected_components_ = kept["n_connected_components"]
        estimator.solver_ = kept["solver"]
        for name in _KEPT:
            setattr(estimator, name, arrays[name])
        estimator._affinity_state = {
            name.removeprefix("affinity."): value
            for name, value in arrays.items()
            if name.startswith("affinity.")
        }
        estimator._rows = _rows_from_arrays(arrays)
        return estimator

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the search index, which is rebuilt when it is needed (for pickle, joblib)."""
        state = dict(super().__getstate__())
        state.pop("_fitted_affinity", None)
        return state


def _rows_to_arrays(rows: Any) -> dict[str, np.ndarray]:
    if sp.issparse(rows):
        matrix = sp.csr_matrix(rows)
        return {
            "rows.data": matrix.data,
            "rows.indices": matrix.indices,
            "rows.indptr": matrix.indptr,
            "rows.shape": np.array(matrix.shape, dtype=np.int64),
        }
    dense = np.asarray(rows[:])
    return {"rows": dense.reshape(len(dense), -1)}


def _rows_from_arrays(arrays: dict[str, np.ndarray]) -> Any:
    if "rows" in arrays:
        return arrays["rows"]
    parts = (arrays["rows.data"], arrays["rows.indices"], arrays["rows.indptr"])
    return sp.csr_matrix(parts, shape=tuple(arrays["rows.shape"]))
