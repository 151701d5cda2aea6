"""A folder of image files as rows that are decoded when they are read."""

from __future__ import annotations

import operator
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from fiedler.data.checks import is_whole
from fiedler.data.images import MAX_PIXELS, SUFFIXES, Header, Mode, decode_image, read_header
from fiedler.exceptions import InputError, UnreadableImagesError, warn_user
from fiedler.progress import ProgressCallback, silent

T = TypeVar("T")

_SHOWN = 10
THREADS = min(8, os.cpu_count() or 1)


class ImageFolder:
    """The images of a folder and its subfolders, in sorted order, as rows of pixels.

    Indexing decodes: ``X[i]`` is one image, ``X[a:b]`` and ``X[indices]`` are stacks of them, all
    uint8. Every file is read once, and decoded whole, at construction, so that *all* unreadable
    files are named at once, before anything long has begun. If the decoded rows fit in
    ``keep_bytes`` they are kept in memory from then on; otherwise they are decoded again, by
    several threads, whenever they are read.

    Parameters
    ----------
    root : str or Path
        A folder, or one image file. Hidden files and links to folders are passed over.
    size : (int, int), optional
        Height and width to resize every image to (proportions are not kept). By default the size
        that all the images have.
    mode : {"L", "RGB"}, optional
        Grey or colour. By default grey if all the images are grey.
    skip_unreadable : bool
        Leave unreadable files out, with a warning, instead of raising an error.
    max_pixels : int
        A file with more pixels counts as unreadable (a small file can claim a huge image). A
        limit above ``2 * PIL.Image.MAX_IMAGE_PIXELS`` needs that raised too.
    keep_bytes : int
        Decoded rows of at most this size are kept in memory.
    admit : callable, optional
        Called as ``admit(shape)`` when the headers are read, before anything is decoded; an error
        that it raises is passed on.
    progress : callable
        Called as ``progress("reading images", done, total)``.

    Attributes
    ----------
    paths : tuple of Path
        The file of each row.
    failures : dict of str to str
        The files left out, and why.
    shape : tuple of int
        ``(n, height, width)``, or ``(n, height, width, 3)`` for RGB.

    Raises
    ------
    InputError
        The folder is absent or holds no images, or they differ in size and no ``size`` is given.
    UnreadableImagesError
        Files cannot be decoded; all are in its ``failures``.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        root: str | Path,
        size: tuple[int, int] | None = None,
        mode: Mode | None = None,
        skip_unreadable: bool = False,
        *,
        max_pixels: int = MAX_PIXELS,
        keep_bytes: int = 256 * 2**20,
        admit: Callable[[tuple[int, ...]], None] | None = None,
        progress: ProgressCallback = silent,
    ) -> None:
        self.root = Path(root)
        self.max_pixels = max_pixels
        self.failures: dict[str, str] = {}
        self._kept: np.ndarray | None = None
        _check_options(size, mode)
        with warnings.catch_warnings():
            # The pixel limit is an error here, with the file's name; the warning would lack it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            self.paths, headers = self._read_headers(find_images(self.root))
            if headers:
                self.size = _common_size(headers) if size is None else (int(size[0]), int(size[1]))
                self.mode: Mode = mode or ("L" if all(h.grey for h in headers) else "RGB")
                if admit is not None:
                    admit(self.shape)
                self._verify(keep_bytes, progress)
        self._refuse_failures(skip_unreadable)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, height, width, and 3 for colour."""
        return (len(self.paths), *self.size, *((3,) if self.mode == "RGB" else ()))

    @property
    def ndim(self) -> int:
        """Number of dimensions: 3 (grey) or 4 (colour)."""
        return len(self.shape)

    @property
    def in_memory(self) -> bool:
        """Whether the decoded rows are kept, so that reading them costs nothing."""
        return self._kept is not None

    @property
    def ids(self) -> list[str]:
        """Path of each row below the root, with forward slashes."""
        return relative_names(self.root, self.paths)

    @property
    def folder_labels(self) -> np.ndarray:
        """Subfolder of each row below the root (``""`` for the root itself), as strings."""
        return np.array([name.rpartition("/")[0] for name in self.ids], dtype=str)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.root)!r}, shape={self.shape})"

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, slice):
            return self._rows(np.arange(len(self))[key])
        if isinstance(key, tuple) or key is None or key is Ellipsis:
            raise IndexError("an ImageFolder is indexed by rows only: X[i], X[a:b] or X[indices]")
        index = np.asarray(key)
        if index.ndim == 0:
            one: np.ndarray = self._rows(np.arange(len(self))[operator.index(key)][None])[0]
            return one
        if index.size == 0:
            index = index.astype(np.intp)
        # numpy checks the bounds, and the length of a mask.
        return self._rows(np.arange(len(self))[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an ImageFolder is decoded into a new array: copy=False cannot be")
        rows: np.ndarray = self[:].astype(dtype or self.dtype, copy=False)
        return rows

    def _rows(self, indices: np.ndarray) -> np.ndarray:
        if self._kept is not None:
            kept: np.ndarray = self._kept[indices]
            return kept
        rows = np.empty((indices.size, *self.shape[1:]), dtype=np.uint8)
        chosen = [self.paths[i] for i in indices.ravel()]
        failures = self._decode_into(rows, chosen, silent)
        if failures:
            raise UnreadableImagesError(failure_message(self.root, failures), failures)
        return rows.reshape(*indices.shape, *self.shape[1:])

    def _read_headers(self, files: Sequence[Path]) -> tuple[tuple[Path, ...], list[Header]]:
        read = _in_threads(lambda path: attempt(read_header, path, self.max_pixels), files)
        self.failures |= {
            str(f): got for f, got in zip(files, read, strict=True) if isinstance(got, str)
        }
        good = [(f, got) for f, got in zip(files, read, strict=True) if isinstance(got, Header)]
        return tuple(f for f, _ in good), [header for _, header in good]

    def _verify(self, keep_bytes: int, progress: ProgressCallback) -> None:
        """Decode every file once; keep the rows if they are small enough."""
        keep = int(np.prod(self.shape, dtype=np.int64)) <= keep_bytes
        rows = np.empty(self.shape, dtype=np.uint8) if keep else None
        failures = self._decode_into(rows, self.paths, progress)
        if failures:
            self.failures = dict(sorted((self.failures | failures).items()))
            good = [i for i, path in enumerate(self.paths) if str(path) not in failures]
            self.paths = tuple(self.paths[i] for i in good)
            rows = None if rows is None else rows[good]
        self._kept = rows

    def _decode(self, path: Path) -> np.ndarray:
        with path.open("rb") as file:
            return decode_image(file, self.size, self.mode, self.max_pixels)

    def _decode_into(
        self, rows: np.ndarray | None, files: Sequence[Path], progress: ProgressCallback
    ) -> dict[str, str]:
        """Decode files into ``rows`` (or nowhere); return the failures."""
        failures: dict[str, str] = {}

        def decode(item: tuple[int, Path]) -> None:
            i, path = item
            got = attempt(self._decode, path)
            if isinstance(got, str):
                failures[str(path)] = got
            elif rows is not None:
                rows[i] = got

        block = 64 * THREADS
        items = list(enumerate(files))
        for start in range(0, len(items), block):
            _in_threads(decode, items[start : start + block])
            progress("reading images", min(start + block, len(items)), len(items))
        return failures

    def _refuse_failures(self, skip_unreadable: bool) -> None:
        if not self.failures:
            return
        message = failure_message(self.root, self.failures)
        if not skip_unreadable or not self.paths:
            raise UnreadableImagesError(message, self.failures)
        warn_user(f"Left out: {message}", UserWarning)


def relative_names(root: Path, paths: Sequence[Path]) -> list[str]:
    """Path of each file below the root (or its name, if the root is a file), with slashes."""
    base = root.parent if root.is_file() else root
    return [path.relative_to(base).as_posix() for path in paths]


def find_images(root: Path) -> list[Path]:
    """List the images of a folder, or the one image that ``root`` is; there must be some."""
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    files = find_files(root, SUFFIXES)
    if not files:
        raise InputError(
            f"the folder {root} holds no images: no file in it or in its subfolders ends in "
            f"{' '.join(sorted(SUFFIXES))}."
        )
    return files


def find_files(root: Path, suffixes: frozenset[str]) -> list[Path]:
    """List the files below ``root`` with one of the suffixes, sorted; hidden ones left out."""
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes
        ]
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _check_options(size: tuple[int, int] | None, mode: str | None) -> None:
    sides = size if isinstance(size, (tuple, list)) else ()
    if size is not None and (len(sides) != 2 or not all(map(is_whole, sides))):
        raise InputError(f"size must be (height, width), both at least 1; got {size!r}")
    if mode not in (None, "L", "RGB"):
        raise InputError(f"mode must be 'L' (grey) or 'RGB' (colour); got {mode!r}")


def _common_size(headers: Sequence[Header]) -> tuple[int, int]:
    sizes = Counter((header.height, header.width) for header in headers)
    if len(sizes) == 1:
        return next(iter(sizes))
    seen = ", ".join(f"{h} x {w} ({count})" for (h, w), count in sizes.most_common(_SHOWN))
    raise InputError(
        f"the images have {len(sizes)} different sizes (height x width, number of files): {seen}"
        f"{', ...' if len(sizes) > _SHOWN else ''}. Pass size=(height, width) to resize them all."
    )


def attempt(function: Callable[..., T], *arguments: Any) -> T | str:
    """Call a decoder; return its result, or the reason why it failed."""
    try:
        return function(*arguments)
    except MemoryError:
        raise
    except UnidentifiedImageError:
        return "not a known kind of image"
    except Exception as error:
        # Broken files make Pillow's decoders raise nearly anything; each is reported by name.
        return str(error) or type(error).__name__


def _in_threads(function: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
    if len(items) < 4:
        return [function(item) for item in items]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))


def failure_message(root: Path, failures: dict[str, str]) -> str:
    """Say which files cannot be read, and what to do."""
    shown = "; ".join(f"{path} ({why})" for path, why in list(failures.items())[:_SHOWN])
    more = len(failures) - _SHOWN
    return (
        f"{len(failures)} image files in {root} cannot be read: {shown}"
        f"{f'; and {more} more' if more > 0 else ''}. Repair or remove them, or pass "
        "skip_unreadable=True to leave them out."
    )
