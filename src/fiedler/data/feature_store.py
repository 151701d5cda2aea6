"""Feature rows on disk, appended as they are made, so that no row is ever encoded twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fiedler.data.download import cache_folder
from fiedler.exceptions import warn_user

_ROWS, _PICTURES, _STATE = "rows.f32", "pictures.u8", "state.json"


class FeatureStore:
    """Rows (and small pictures) of one encoder on one input, kept in the cache folder.

    Rows are appended to plain files; what is there is told by their length, so that a killed
    process loses at most the batch that it was at. Where the cache cannot be written, the rows
    are kept in memory only, with a warning.

    Parameters
    ----------
    key : str
        Fingerprint of the encoder and of the input together.
    picture_shape : tuple of int, optional
        Shape of one small picture, uint8; None keeps no pictures.
    """

    def __init__(self, key: str, picture_shape: tuple[int, ...] | None) -> None:
        self.picture_shape = picture_shape
        self._folder: Path | None = cache_folder() / "features" / key
        self._rows: list[np.ndarray] = []
        self._pictures: list[np.ndarray] = []
        self._width = 0
        self.done = 0
        self._recover()

    def append(self, rows: np.ndarray, pictures: np.ndarray | None) -> None:
        """Add a batch: rows (b, d) float32; pictures (b, ...) uint8 where they are kept."""
        self._width = rows.shape[1]
        if self._folder is not None:
            try:
                self._write(self._folder, rows, pictures)
            except OSError as error:
                self._leave_disk(error)
        if self._folder is None:
            self._rows.append(rows)
            if pictures is not None:
                self._pictures.append(pictures)
        self.done += len(rows)

    def rows(self) -> np.ndarray:
        """All rows, float32, shape (done, d); memory-mapped where they are on disk."""
        if self._folder is None:
            return np.concatenate(self._rows)
        return np.memmap(self._folder / _ROWS, np.float32, "r", shape=(self.done, self._width))

    def pictures(self) -> np.ndarray | None:
        """All small pictures, uint8, shape (done, ...)."""
        if self.picture_shape is None:
            return None
        if self._folder is None:
            return np.concatenate(self._pictures)
        shape = (self.done, *self.picture_shape)
        return np.memmap(self._folder / _PICTURES, np.uint8, "r", shape=shape)

    def _write(self, folder: Path, rows: np.ndarray, pictures: np.ndarray | None) -> None:
        if self.done == 0:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _STATE).write_text(json.dumps({"width": self._width}))
        for name, batch in ((_ROWS, rows), (_PICTURES, pictures)):
            if batch is not None:
                row_bytes = batch[0].nbytes
                with open(folder / name, "r+b" if self.done else "wb") as file:
                    # A batch that was cut off by a kill is written again from its start.
                    file.seek(self.done * row_bytes)
                    file.write(np.ascontiguousarray(batch).tobytes())

    def _recover(self) -> None:
        """Find the rows that an earlier run has left."""
        folder = self._folder
        if folder is None or not (folder / _STATE).is_file():
            return
        try:
            self._width = int(json.loads((folder / _STATE).read_text())["width"])
            whole = [(folder / _ROWS).stat().st_size // (4 * self._width)]
            if self.picture_shape is not None:
                size = int(np.prod(self.picture_shape))
                whole.append((folder / _PICTURES).stat().st_size // size)
            self.done = min(whole)
        except (OSError, ValueError, KeyError):
            # Cut off before its first batch was whole: it starts again.
            self.done = 0

    def _leave_disk(self, error: OSError) -> None:
        warn_user(
            f"the encoded rows cannot be kept in {self._folder} ({error.strerror or error}); they "
            "are kept in memory, and will have to be computed again. Make room there, or set "
            "FIEDLER_CACHE to another folder.",
            UserWarning,
        )
        if self.done:
            self._rows = [np.array(self.rows())]
            kept: Any = self.pictures()
            self._pictures = [] if kept is None else [np.array(kept)]
        self._folder = None
