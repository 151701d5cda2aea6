"""Compressed files whose bytes are not what was written: an error that names the file."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fiedler.data import load_dataset, open_rows
from fiedler.exceptions import InputError


def spoil_gzip(path: Path, text: str) -> None:
    """Write a .gz whose compressed bytes are no deflate stream, behind a sound header."""
    data = bytearray(gzip.compress(text.encode()))
    data[10:20] = b"\xff" * 10
    path.write_bytes(data)


def spoil_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz in whose array X bytes are turned, header and end of the file being sound."""
    np.savez_compressed(path, **arrays)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("X.npy")
    data = bytearray(path.read_bytes())
    start = member.header_offset + 30 + len(member.filename)
    data[start + 100 : start + 140] = b"\xff" * 40
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("texts.jsonl.gz", "".join(json.dumps({"text": f"word {i}"}) + "\n" for i in range(50))),
        ("table.csv.gz", "".join(f"{i},{i * i}\n" for i in range(200))),
    ],
)
def test_gzipped_files(name: str, text: str, tmp_path: Path) -> None:
    spoil_gzip(tmp_path / name, text)
    with pytest.raises(InputError, match=rf"{name} cannot be read"):
        open_rows(tmp_path / name)


def test_npz(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 5))
    spoil_npz(tmp_path / "rows.npz", X=rows)
    with pytest.raises(InputError, match=r"rows\.npz cannot be read .* truncated or damaged"):
        open_rows(tmp_path / "rows.npz")


def test_a_stored_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIEDLER_DATA", str(tmp_path))
    pixels = np.random.default_rng(0).integers(0, 255, (40, 5, 5), dtype=np.uint8)
    spoil_npz(tmp_path / "ar.npz", X=pixels, y=np.arange(40))
    with pytest.raises(InputError, match="is not the set 'ar', or is damaged"):
        load_dataset("ar")
