"""What every estimator has: a file to be kept in, timings, and a fit that is whole or nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fiedler import persistence
from fiedler.exceptions import warn_user
from fiedler.models.rows import device_is_here

# What a fit does on this machine only, and no file keeps.
_NOT_KEPT = ("progress", "checkpoint")


class SavedEstimator(BaseEstimator):  # type: ignore[misc]
    """Saving, timing, and taking back a fit that failed."""

    random_state: Any
    n_features_in_: int
    _image_shape: tuple[int, ...] | None
    timings_: dict[str, float]
    _seed: int

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the fitted estimator to one file of tensors and JSON.

        Parameters
        ----------
        path : path-like
            The file to write.
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        InputError
            If a parameter cannot be kept in a file (a function).
        OutputError
            If the file exists or cannot be written; nothing is left behind.
        """
        check_is_fitted(self)
        persistence.save(self, path, overwrite=overwrite)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.timings_[stage] = time.perf_counter() - start

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave the estimator as it was where a fit fails or is interrupted."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _common_state(self) -> dict[str, Any]:
        """Return what every estimator's file holds, as JSON values."""
        params = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in _NOT_KEPT
        }
        if not isinstance(self.random_state, (int, np.integer, type(None))):
            params["random_state"] = self._seed
        if isinstance(params.get("image_shape"), np.ndarray):
            params["image_shape"] = tuple(params["image_shape"].tolist())
        names = getattr(self, "feature_names_in_", None)
        return {
            "params": persistence.encode_params(params),
            "seed": self._seed,
            "n_features_in": int(self.n_features_in_),
            "feature_names_in": None if names is None else [str(name) for name in names],
            "fitted_images": None if self._image_shape is None else list(self._image_shape),
            "timings": self.timings_,
        }

    @classmethod
    def _from_common(cls, kept: dict[str, Any]) -> Any:
        """Make an estimator from what :meth:`_common_state` gave.

        Where its device is not on this machine, it goes to the CPU, with a warning.
        """
        estimator = cls(**persistence.decode_params(kept["params"]))
        if not device_is_here(estimator.device):
            warn_user(
                f"the model was made for device={estimator.device!r}, which is not available here; "
                "it runs on the CPU.",
                UserWarning,
            )
            estimator.set_params(device="cpu")
        estimator.n_features_in_ = kept["n_features_in"]
        if kept["feature_names_in"] is not None:
            estimator.feature_names_in_ = np.array(kept["feature_names_in"], dtype=object)
        shape = kept.get("fitted_images")
        estimator._image_shape = None if shape is None else tuple(shape)
        estimator.timings_ = kept["timings"]
        estimator._seed = int(kept["seed"])
        return estimator
