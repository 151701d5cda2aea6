"""The file formats in which benchmark sets are published, read into arrays.

Each ``convert_*`` takes the downloaded files, in the order of the set's specification, and
returns the arrays of an ``.npz`` file: ``X``, ``y`` (int64 from 0), and ``split`` (0 train, 1
test) and ``classes`` where the set has them. Text sets return ``texts`` (a list) in place of X.
"""

from __future__ import annotations

import gzip
import html
import io
import re
import struct
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fiedler.data.images import decode_image
from fiedler.exceptions import InputError

Arrays = dict[str, Any]

R8 = ("acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade")


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped IDX file of bytes (the format of MNIST): uint8, any number of dimensions."""
    with gzip.open(path, "rb") as file:
        data = file.read()
    zero, kind, ndim = struct.unpack_from(">HBB", data)
    if zero != 0 or kind != 8:
        raise InputError(f"{path} is not an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{ndim}I", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def convert_mnist(paths: Sequence[Path]) -> Arrays:
    """MNIST and Fashion-MNIST: train images and labels, then test images and labels."""
    train, train_y, test, test_y = (read_idx(path) for path in paths)
    return {
        "X": np.concatenate([train, test]),
        "y": np.concatenate([train_y, test_y]).astype(np.int64),
        "split": _split(len(train), len(test)),
    }


def convert_usps(paths: Sequence[Path]) -> Arrays:
    """USPS in the format of LIBSVM: pixels in [-1, 1], labels 1 to 10 for the digits 0 to 9."""
    from sklearn.datasets import load_svmlight_files

    train, train_y, test, test_y = load_svmlight_files(list(map(str, paths)), n_features=256)
    pixels = np.concatenate([train.toarray(), test.toarray()])
    return {
        "X": np.rint((pixels + 1) * 127.5).astype(np.uint8).reshape(-1, 16, 16),
        "y": np.concatenate([train_y, test_y]).astype(np.int64) - 1,
        "split": _split(len(train_y), len(test_y)),
    }


def convert_coil20(paths: Sequence[Path]) -> Arrays:
    """COIL-20, processed: 128 x 128 pictures ``obj<object>__<angle>.png``, resized to 32 x 32."""
    images, labels = [], []
    with zipfile.ZipFile(paths[0]) as archive:
        found = {}
        for name in archive.namelist():
            match = re.search(r"obj(\d+)__(\d+)\.png$", name)
            if match:
                found[int(match[1]), int(match[2])] = name
        for (thing, _), name in sorted(found.items()):
            images.append(decode_image(io.BytesIO(archive.read(name)), (32, 32), "L"))
            labels.append(thing - 1)
    return {"X": np.stack(images), "y": np.array(labels, dtype=np.int64)}


def convert_cifar10(paths: Sequence[Path]) -> Arrays:
    """CIFAR-10, binary version: records of a label and 3 x 32 x 32 bytes; no pickle is read."""
    records, counts = [], []
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    with tarfile.open(paths[0], "r:gz") as archive:
        for name in names:
            member = archive.extractfile(f"cifar-10-batches-bin/{name}")
            data = member.read() if member else b""
            records.append(np.frombuffer(data, np.uint8).reshape(-1, 1 + 3 * 32 * 32))
            counts.append(len(records[-1]))
        member = archive.extractfile("cifar-10-batches-bin/batches.meta.txt")
        classes = member.read().decode().split() if member else []
    table = np.concatenate(records)
    pixels = table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return {
        "X": np.ascontiguousarray(pixels),
        "y": table[:, 0].astype(np.int64),
        "split": _split(sum(counts[:5]), counts[5]),
        "classes": np.array(classes),
    }


def convert_20newsgroups(paths: Sequence[Path]) -> Arrays:
    """20 newsgroups, sorted by date: a folder a group; the header of each message is left out."""
    rows: list[tuple[int, str, str]] = []
    with tarfile.open(paths[0], "r:gz") as archive:
        for member in archive:
            match = re.fullmatch(r"20news-bydate-(train|test)/([^/]+)/\d+", member.name)
            file = archive.extractfile(member) if match else None
            if match and file:
                message = file.read().decode("latin-1").replace("\r\n", "\n")
                rows.append((int(match[1] == "test"), match[2], message.partition("\n\n")[2]))
    rows.sort(key=lambda row: row[:2])
    classes = sorted({group for _, group, _ in rows})
    return {
        "texts": [text for _, _, text in rows],
        "y": np.array([classes.index(group) for _, group, _ in rows], dtype=np.int64),
        "split": np.array([test for test, _, _ in rows], dtype=np.uint8),
        "classes": np.array(classes),
    }


def convert_reuters_r8(paths: Sequence[Path]) -> Arrays:
    """Reuters-21578, ModApte split, the articles whose one topic is among eight (R8)."""
    rows: list[tuple[int, int, str]] = []
    with tarfile.open(paths[0], "r:gz") as archive:
        for member in sorted(archive, key=lambda member: member.name):
            file = archive.extractfile(member) if member.name.endswith(".sgm") else None
            if file:
                rows += _r8_articles(file.read().decode("latin-1"))
    rows.sort(key=lambda row: row[0])
    return {
        "texts": [text for _, _, text in rows],
        "y": np.array([label for _, label, _ in rows], dtype=np.int64),
        "split": np.array([test for test, _, _ in rows], dtype=np.uint8),
        "classes": np.array(R8),
    }


def _r8_articles(sgml: str) -> list[tuple[int, int, str]]:
    """Return (test, label, text) of the articles of R8 in one SGML file."""
    rows = []
    for head, article in re.findall(r"<REUTERS([^>]*)>(.*?)</REUTERS>", sgml, re.DOTALL):
        split = re.search(r'LEWISSPLIT="(TRAIN|TEST)"', head)
        listed = re.search(r"<TOPICS>(.*?)</TOPICS>", article, re.DOTALL)
        topics = re.findall(r"<D>(.*?)</D>", listed[1]) if listed else []
        if not split or 'TOPICS="YES"' not in head or len(topics) != 1 or topics[0] not in R8:
            continue
        text = re.search(r"<TEXT[^>]*>(.*?)</TEXT>", article, re.DOTALL)
        words = html.unescape(re.sub(r"<[^>]+>", " ", text[1])) if text else ""
        rows.append((int(split[1] == "TEST"), R8.index(topics[0]), " ".join(words.split())))
    return rows


def _split(train: int, test: int) -> np.ndarray:
    return np.repeat(np.array([0, 1], dtype=np.uint8), [train, test])
