"""Encoding an input: batches are read by threads while the encoder works, and kept on disk."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fiedler.data.encoders import Encoder
from fiedler.data.feature_store import FeatureStore
from fiedler.data.folder import THREADS, attempt, relative_names
from fiedler.data.images import decode_image
from fiedler.exceptions import InputError
from fiedler.progress import ProgressCallback, silent

BATCH = 32
# Small pictures of the encoded images, for the report, together take at most this.
PICTURE_BYTES = 256 * 2**20
LARGEST_PICTURE = 64
_AHEAD = 2  # batches that are read while one is encoded
_BLOCK = 1 << 20

Read = Callable[[int], Any]


@dataclass(frozen=True)
class Encoded:
    """Rows of an encoder.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, d)
        NaN where an input could not be read.
    pictures : ndarray of uint8, shape (n, side, side, 3), optional
    failures : dict of int to str
        Why an input could not be read, by its number.
    """

    rows: np.ndarray
    pictures: np.ndarray | None
    failures: dict[int, str]


def encode_files(
    root: Path,
    files: Sequence[Path],
    encoder: Encoder,
    max_pixels: int,
    progress: ProgressCallback = silent,
) -> Encoded:
    """Encode image files, each decoded once, at the size that the encoder takes.

    Parameters
    ----------
    root : Path
        Folder of the files, or the one file; where it lies makes no difference to what is kept.
    files : sequence of Path
    encoder : Encoder
    max_pixels : int
        A file with more pixels counts as unreadable.
    progress : callable
        Called as ``progress("encoding", done, total)``.
    """

    def read(i: int) -> Any:
        with files[i].open("rb") as file:
            return decode_image(file, encoder.size, "RGB", max_pixels)

    mark = hashlib.blake2b()
    for name, path in zip(relative_names(root, files), files, strict=True):
        stamp = path.stat()
        line = f"{name} {stamp.st_size} {stamp.st_mtime_ns}\n"
        mark.update(line.encode("utf-8", "surrogateescape"))
    side = min(LARGEST_PICTURE, *encoder.size, math.isqrt(PICTURE_BYTES // (3 * len(files))))
    return _encode(read, len(files), encoder, mark, max(side, 1), progress)


def encode_array(
    pictures: Any, encoder: Encoder, progress: ProgressCallback = silent
) -> np.ndarray:
    """Encode pictures in an array: uint8, shape (n, h, w) or (n, h, w, 3)."""
    height, width = encoder.size

    def read(i: int) -> Any:
        image = Image.fromarray(np.ascontiguousarray(pictures[i])).convert("RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(image)

    mark = hashlib.blake2b(repr((pictures.shape, str(pictures.dtype))).encode())
    step = max(1, _BLOCK // max(1, int(np.prod(pictures.shape[1:]))))
    for start in range(0, len(pictures), step):
        mark.update(np.ascontiguousarray(pictures[start : start + step]).tobytes())
    return _encode(read, len(pictures), encoder, mark, 0, progress).rows


def encode_texts(
    texts: Sequence[str], encoder: Encoder, progress: ProgressCallback = silent
) -> np.ndarray:
    """Encode texts by a function that takes a list of them."""
    if encoder.spec.kind != "function":
        raise InputError(
            f"the encoder {encoder.spec.name} takes pictures, but these are texts. Texts are "
            "encoded by a Python function, module:function, that takes a list of them."
        )
    mark = hashlib.blake2b()
    for text in texts:
        mark.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return _encode(texts.__getitem__, len(texts), encoder, mark, None, progress).rows


def _encode(
    read: Read,
    n: int,
    encoder: Encoder,
    mark: Any,
    side: int | None,
    progress: ProgressCallback,
) -> Encoded:
    """Encode what ``read`` gives, from where an earlier run on the same things has stopped.

    ``side`` is that of the small pictures to keep; 0 keeps none of the pictures, None says that
    these are texts.
    """
    mark.update(f"{encoder.spec.fingerprint} {side}".encode())
    shape = (side, side, 3) if side else None
    store = FeatureStore(mark.hexdigest()[:32], shape)
    failures: dict[int, str] = {}
    progress("encoding", store.done, n)
    for numbers, items in _batches(read, store.done, n):
        # A string in the place of a picture says why there is none.
        good = [i for i, item in enumerate(items) if side is None or not isinstance(item, str)]
        for i in set(range(len(items))) - set(good):
            failures[numbers[i]] = items[i]
        rows, kept = _encode_batch(encoder, items, good, side)
        store.append(rows, kept)
        progress("encoding", store.done, n)
    rows = store.rows()
    # What an earlier run could not read either is told again.
    for i in np.flatnonzero(np.isnan(rows[:, 0])).tolist():
        if i not in failures:
            again = attempt(read, i)
            failures[i] = again if isinstance(again, str) else "it was unreadable before"
    return Encoded(rows, store.pictures(), failures)


def _batches(read: Read, start: int, n: int) -> Iterator[tuple[range, list[Any]]]:
    """Read ahead by threads; give each batch with the numbers of its items."""
    waiting: deque[tuple[range, list[Future[Any]]]] = deque()
    pool = ThreadPoolExecutor(THREADS)
    try:
        for first in range(start, n, BATCH):
            numbers = range(first, min(first + BATCH, n))
            waiting.append((numbers, [pool.submit(attempt, read, i) for i in numbers]))
            if len(waiting) > _AHEAD:
                done, futures = waiting.popleft()
                yield done, [future.result() for future in futures]
        while waiting:
            done, futures = waiting.popleft()
            yield done, [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _encode_batch(
    encoder: Encoder, items: list[Any], good: list[int], side: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Encode the readable items; the others become rows of NaN."""
    readable: Any = [items[i] for i in good]
    if side is not None:
        # A blank picture tells the width of a row where none of the batch can be read.
        readable = np.stack(readable or [np.zeros((*encoder.size, 3), np.uint8)])
    some = encoder.encode(readable)[: len(good)]
    rows = np.full((len(items), some.shape[1]), np.nan, dtype=np.float32)
    rows[good] = some
    if not side:
        return rows, None
    kept = np.zeros((len(items), side, side, 3), dtype=np.uint8)
    for i in good:
        small = Image.fromarray(items[i]).resize((side, side), Image.Resampling.BOX)
        kept[i] = np.asarray(small)
    return rows, kept
