"""Benchmark sets by name: from a folder, else the cache, else their canonical source."""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from fiedler.data.catalogue import CATALOGUE, DatasetSpec
from fiedler.data.download import cache_folder, fetch
from fiedler.data.images import decode_image
from fiedler.data.text import TextVectorizer, read_jsonl
from fiedler.exceptions import InputError, OutputError
from fiedler.progress import ProgressCallback, silent

DATASETS: tuple[str, ...] = tuple(CATALOGUE)

_SPLITS = ("train", "test")


@dataclass(frozen=True)
class Dataset:
    """A benchmark set.

    Attributes
    ----------
    X : ndarray or csr matrix
        Images uint8 of shape (n, h, w) or (n, h, w, 3); tf-idf of texts float32, csr (n, terms).
    y : ndarray of int64, shape (n,)
        Classes, from 0.
    target_names : list of str
        Name of each class.
    name : str
    description : str
        What it is, and who made it.
    feature_names : list of str, optional
        The terms of tf-idf columns.
    texts : sequence of str, optional
        The texts of tf-idf rows, read from disk when first used.
    """

    X: Any
    y: np.ndarray
    target_names: list[str]
    name: str
    description: str
    feature_names: list[str] | None = None
    texts: Sequence[str] | None = None


class StoredTexts(Sequence[str]):
    """Texts of a ``.jsonl.gz`` file, read when the first one is asked for."""

    def __init__(self, path: Path, chosen: np.ndarray) -> None:
        self._path = path
        self._chosen = chosen

    @cached_property
    def _texts(self) -> list[str]:
        texts, _ = read_jsonl(self._path)
        return [texts[i] for i in self._chosen]

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._texts[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return int(self._chosen.size)


def load_dataset(
    name: str,
    *,
    split: Literal["train", "test"] | None = None,
    download: bool = True,
    progress: ProgressCallback = silent,
) -> Dataset:
    """Load a benchmark set.

    It is looked for as an ``.npz`` file in the folder that the environment variable
    ``FIEDLER_DATA`` names, then in the cache (``FIEDLER_CACHE``, else the user's cache folder);
    else it is downloaded from its canonical source, verified by checksum, and cached.

    Parameters
    ----------
    name : str
        ``"digits"`` comes with scikit-learn. ``"mnist"``, ``"fashion_mnist"``, ``"usps"``,
        ``"coil20"``, ``"cifar10"``, ``"20newsgroups"`` and ``"reuters_r8"`` can be downloaded.
        ``"usps11k"``, ``"yaleb"``, ``"cmu_pie"`` and ``"ar"`` are to be got by hand (the error
        says where).
    split : {"train", "test"}, optional
        One half of a set that is published in two; by default all of it, train first.
    download : bool
        Whether to download what is not there.
    progress : callable
        Called as ``progress("downloading <file>", bytes, total)``.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        Unknown name, a set without that split, a set that is absent, or a failed download.
    OutputError
        The cache cannot be written.
    """
    spec = CATALOGUE.get(name)
    if spec is None:
        raise InputError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
    if split not in (None, *_SPLITS):
        raise InputError(f"split must be 'train', 'test' or None; got {split!r}")
    if name == "digits":
        return _digits(spec, split)
    path = _find(spec)
    if path is None:
        path = _download(spec, download, progress)
    return _load(path, spec, split)


def _find(spec: DatasetSpec) -> Path | None:
    folders = [cache_folder()]
    if os.environ.get("FIEDLER_DATA"):
        folders.insert(0, Path(os.environ["FIEDLER_DATA"]).expanduser())
    for folder in folders:
        for file in spec.stored_as:
            if (folder / file).is_file():
                return folder / file
    return None


def _download(spec: DatasetSpec, allowed: bool, progress: ProgressCallback) -> Path:
    cache = cache_folder()
    places = (
        f"the folder named by the environment variable FIEDLER_DATA (now "
        f"{os.environ.get('FIEDLER_DATA') or 'not set'}) or {cache}"
    )
    if spec.convert is None:
        raise InputError(
            f"{spec.name} cannot be downloaded freely. {spec.by_hand} Then save it as "
            f"{spec.stored_as[0]} (np.savez with X, uint8 images, and y, integer classes from 0) "
            f"in {places}."
        )
    if not allowed:
        raise InputError(
            f"{spec.name} is not on this machine: no {' or '.join(spec.stored_as)} in {places}. "
            "Pass download=True to download it."
        )
    target = cache / spec.stored_as[0]
    try:
        paths = [fetch(file, cache / "raw", progress) for file in spec.files]
        _store(spec.convert(paths), target)
    except OSError as error:
        raise OutputError(
            f"{spec.name} cannot be stored in the cache {cache} ({error}). Make room there, or "
            "set FIEDLER_CACHE to a folder that can be written."
        ) from error
    return target


def _store(arrays: dict[str, Any], target: Path) -> None:
    """Write a converted set; of texts, their tf-idf and beside it the texts themselves."""
    texts = arrays.pop("texts", None)
    if texts is not None:
        vectorizer = TextVectorizer()
        arrays["X"] = vectorizer.fit_transform(texts).toarray()
        arrays["vocab"] = np.array(vectorizer.vocabulary_)
        # The texts first: the .npz is what says that the set is complete.
        _write_texts(texts, _texts_path(target))
    with _replacing(target) as part, open(part, "wb") as out:
        np.savez_compressed(out, **arrays)


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path that becomes ``target`` if nothing fails, else is removed."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _texts_path(path: Path) -> Path:
    return path.with_name(path.name.replace("_tfidf2000.npz", "_text.jsonl.gz"))


def _write_texts(texts: Sequence[str], target: Path) -> None:
    with _replacing(target) as part, gzip.open(part, "wt", encoding="utf-8") as out:
        for text in texts:
            out.write(json.dumps({"text": text}) + "\n")


def _load(path: Path, spec: DatasetSpec, split: str | None) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as archive:
            y = archive["y"]
            chosen = _rows_of(archive, spec.name, split, y.size)
            if "jpeg" in archive:
                X: Any = _decode_all(archive["jpeg"], archive["offsets"], chosen)
            else:
                X = archive["X"] if split is None else archive["X"][chosen]
            names = archive.get("classes")
            vocabulary = archive.get("vocab")
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not the set {spec.name!r}, or is damaged ({error!r}). An .npz with X and "
            "y is needed; delete the file to have it downloaded again."
        ) from error
    texts = None
    if vocabulary is not None:
        from scipy.sparse import csr_matrix

        X = csr_matrix(X)
        texts = StoredTexts(_texts_path(path), chosen) if _texts_path(path).is_file() else None
    return Dataset(
        X,
        y[chosen].astype(np.int64),
        _target_names(spec, names, y),
        spec.name,
        spec.description,
        None if vocabulary is None else [str(term) for term in vocabulary],
        texts,
    )


def _rows_of(archive: Any, name: str, split: str | None, n: int) -> np.ndarray:
    if split is None:
        return np.arange(n)
    if "split" not in archive:
        raise InputError(f"{name} is published in one piece: leave split out")
    return np.flatnonzero(archive["split"] == _SPLITS.index(split))


def _decode_all(data: np.ndarray, offsets: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Decode JPEG images laid end to end in one array: uint8, shape (n, 32, 32, 3)."""

    def decode(i: int) -> np.ndarray:
        return decode_image(
            io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes()), (32, 32), "RGB"
        )

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return np.stack(list(pool.map(decode, chosen)))


def _target_names(spec: DatasetSpec, stored: np.ndarray | None, y: np.ndarray) -> list[str]:
    if stored is not None:
        return [str(name) for name in stored]
    return list(spec.target_names or map(str, range(int(y.max()) + 1)))


def _digits(spec: DatasetSpec, split: str | None) -> Dataset:
    if split is not None:
        raise InputError("digits is published in one piece: leave split out")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # Published as sixteenths; as bytes they are images like those of the other sets.
    X = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    y = bunch.target.astype(np.int64)
    return Dataset(X, y, _target_names(spec, None, y), spec.name, spec.description)
