"""Benchmark sets: from the shared folder, from the cache, and by download of made files."""

from __future__ import annotations

import bz2
import functools
import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fiedler.data import DATASETS, load_dataset
from fiedler.data.catalogue import CATALOGUE
from fiedler.data.download import RemoteFile, cache_folder, fetch
from fiedler.exceptions import InputError, OutputError

SHARED = {  # shape, classes, size of the test half
    "mnist": ((70000, 28, 28), 10, 10000),
    "fashion_mnist": ((70000, 28, 28), 10, 10000),
    "usps": ((9298, 16, 16), 10, 2007),
    "usps11k": ((11000, 16, 16), 10, None),
    "reuters_r8": ((7674, 2000), 8, 2189),
    "20newsgroups": ((18846, 2000), 20, 7532),
    "coil20": ((1440, 32, 32), 20, None),
    "yaleb": ((2414, 32, 32), 38, None),
    "cmu_pie": ((2856, 32, 32), 68, None),
    "ar": ((1680, 50, 40), 120, None),
}


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """No data folder, and an empty cache; returns the cache."""
    monkeypatch.delenv("FIEDLER_DATA", raising=False)
    monkeypatch.setenv("FIEDLER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def serve(tmp_path, empty, monkeypatch):
    """Serve files of bytes over HTTP in place of the source of a set."""
    root = tmp_path / "served"
    root.mkdir()
    handler = functools.partial(QuietHandler, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def put(name, contents):
        spec = CATALOGUE[name]
        files = []
        for file, data in zip(spec.files, contents, strict=True):
            (root / file.name).write_bytes(data)
            url = f"http://127.0.0.1:{server.server_port}/{file.name}"
            files.append(RemoteFile(file.name, (url,), checksum(data)))
        monkeypatch.setitem(CATALOGUE, name, replace(spec, files=tuple(files)))
        return files

    yield put
    server.shutdown()
    server.server_close()
    thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def checksum(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def idx(array):
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes())


def tar_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def everything(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("name", SHARED)
def test_shared_sets(stored_sets, name):
    shape, classes, test = SHARED[name]
    whole = load_dataset(name, download=False)
    assert whole.X.shape == shape
    assert whole.X.dtype == (np.uint8 if len(shape) == 3 else np.float32)
    assert whole.y.dtype == np.int64
    assert np.unique(whole.y).tolist() == list(range(classes))
    assert len(whole.target_names) == classes
    assert whole.description
    if test is None:
        with pytest.raises(InputError, match="one piece"):
            load_dataset(name, split="test", download=False)
        return
    half = load_dataset(name, split="test", download=False)
    assert half.X.shape == (test, *shape[1:])
    assert load_dataset(name, split="train", download=False).X.shape[0] == shape[0] - test
    if name == "mnist":
        np.testing.assert_array_equal(half.X, whole.X[60000:])
        np.testing.assert_array_equal(half.y, whole.y[60000:])


def test_texts_are_read_lazily_and_fit_their_rows(stored_sets):
    test = load_dataset("reuters_r8", split="test", download=False)
    assert test.X.format == "csr"
    assert len(test.texts) == test.X.shape[0]
    assert "_texts" not in vars(test.texts)
    for i in (0, 17, -1):
        words = set(test.texts[i].split())
        assert {test.feature_names[j] for j in test.X[i].indices} <= words
    assert len(test.texts[:3]) == 3
    assert len(list(test.texts)) == len(test.texts)


def test_cifar10_is_decoded(stored_sets):
    test = load_dataset("cifar10", split="test", download=False)
    assert test.X.shape == (10000, 32, 32, 3)
    assert test.X.dtype == np.uint8
    assert test.target_names[0] == "airplane"
    assert np.bincount(test.y).tolist() == [1000] * 10


def test_digits_needs_nothing(empty):
    digits = load_dataset("digits", download=False)
    assert digits.X.shape == (1797, 8, 8)
    assert digits.X.dtype == np.uint8
    assert digits.X.max() == 255
    assert not empty.exists()
    with pytest.raises(InputError, match="one piece"):
        load_dataset("digits", split="train")


def test_mnist_download(serve, empty):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, size=(7, 28, 28), dtype=np.uint8)
    y = np.arange(7, dtype=np.uint8)
    serve("mnist", [idx(X[:5]), idx(y[:5]), idx(X[5:]), idx(y[5:])])
    seen = []
    mnist = load_dataset("mnist", progress=lambda *report: seen.append(report))
    np.testing.assert_array_equal(mnist.X, X)
    np.testing.assert_array_equal(mnist.y, y)
    np.testing.assert_array_equal(load_dataset("mnist", split="test").X, X[5:])
    assert seen[0][0] == "downloading mnist-train-images-idx3-ubyte.gz"
    assert seen[0][1] == seen[0][2] > 0
    assert not [name for name in everything(empty) if name.endswith(".part")]
    for raw in (empty / "raw").iterdir():
        raw.unlink()
    assert load_dataset("mnist", download=False).X.shape == (7, 28, 28)


def test_usps_download(serve):
    pixels = np.random.default_rng(0).integers(0, 256, size=(6, 256))
    labels = np.array([1, 10, 3, 4, 5, 6])

    def libsvm(rows):
        lines = [
            f"{labels[i]} "
            + " ".join(f"{j + 1}:{p / 127.5 - 1:.6f}" for j, p in enumerate(pixels[i]))
            for i in rows
        ]
        return bz2.compress("\n".join(lines).encode())

    serve("usps", [libsvm(range(4)), libsvm(range(4, 6))])
    usps = load_dataset("usps")
    np.testing.assert_array_equal(usps.X, pixels.reshape(6, 16, 16))
    np.testing.assert_array_equal(usps.y, labels - 1)
    assert load_dataset("usps", split="test").X.shape == (2, 16, 16)


def test_coil20_download(serve):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for thing in (10, 2, 1):
            for angle in (0, 1):
                png = io.BytesIO()
                Image.new("L", (128, 128), 10 * thing + angle).save(png, "PNG")
                archive.writestr(f"coil-20-proc/obj{thing}__{angle}.png", png.getvalue())
    serve("coil20", [buffer.getvalue()])
    coil = load_dataset("coil20")
    assert coil.X.shape == (6, 32, 32)
    assert coil.X[:, 5, 5].tolist() == [10, 11, 20, 21, 100, 101]
    assert coil.y.tolist() == [0, 0, 1, 1, 9, 9]


def test_cifar10_download(serve):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, size=(12, 32, 32, 3), dtype=np.uint8)
    y = np.arange(12, dtype=np.uint8) % 10
    records = np.hstack([y[:, None], X.transpose(0, 3, 1, 2).reshape(12, -1)])
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    files = {
        f"cifar-10-batches-bin/{name}": records[2 * i : 2 * i + 2].tobytes()
        for i, name in enumerate(names)
    }
    files["cifar-10-batches-bin/batches.meta.txt"] = "\n".join("abcdefghij").encode() + b"\n\n"
    serve("cifar10", [tar_of(files)])
    cifar = load_dataset("cifar10")
    np.testing.assert_array_equal(cifar.X, X)
    np.testing.assert_array_equal(cifar.y, y)
    assert cifar.target_names == list("abcdefghij")
    np.testing.assert_array_equal(load_dataset("cifar10", split="test").X, X[10:])


def test_20newsgroups_download(serve):
    files = {
        "20news-bydate-test/sci.space/3": b"Subject: s\n\nmoon orbit caf\xe9",
        "20news-bydate-train/sci.space/2": b"Subject: header\n\nrocket orbit",
        "20news-bydate-train/alt.atheism/1": b"Subject: s\r\n\r\nbelief argument\r\n\r\nmore",
        "20news-bydate-train/README": b"not a message",
    }
    serve("20newsgroups", [tar_of(files)])
    news = load_dataset("20newsgroups")
    assert news.target_names == ["alt.atheism", "sci.space"]
    assert news.y.tolist() == [0, 1, 1]
    assert list(news.texts) == ["belief argument\n\nmore", "rocket orbit", "moon orbit café"]
    assert "header" not in news.feature_names
    assert news.X.shape == (3, len(news.feature_names))
    assert load_dataset("20newsgroups", split="test").texts[0] == "moon orbit café"


def test_reuters_download(serve):
    def article(split, topics, body, flag="YES"):
        listed = "".join(f"<D>{topic}</D>" for topic in topics)
        return (
            f'<REUTERS TOPICS="{flag}" LEWISSPLIT="{split}">\n<TOPICS>{listed}</TOPICS>'
            f"<PLACES><D>usa</D></PLACES>\n<TEXT>&#2;\n<TITLE>T &lt;X></TITLE><BODY>{body}</BODY>"
            "</TEXT>\n</REUTERS>\n"
        )

    sgml = (
        article("TEST", ["ship"], "vessel at\nsea")
        + article("TRAIN", ["earn"], "profit up")
        + article("TRAIN", ["earn", "acq"], "two topics")
        + article("TRAIN", ["gold"], "other topic")
        + article("TRAIN", [], "no topic")
        + article("NOT-USED", ["earn"], "unused")
        + article("TRAIN", ["earn"], "bypassed", flag="NO")
    )
    serve("reuters_r8", [tar_of({"reut2-000.sgm": sgml.encode("latin-1"), "README.txt": b"x"})])
    reuters = load_dataset("reuters_r8")
    assert [reuters.target_names[i] for i in reuters.y] == ["earn", "ship"]
    assert reuters.texts[1].endswith("vessel at sea")
    assert "profit" in reuters.feature_names
    assert load_dataset("reuters_r8", split="test").X.shape[0] == 1


def test_wrong_checksum_leaves_nothing(serve, empty):
    (file,) = serve("coil20", [b"not the zip"])
    bad = replace(file, checksum="md5:" + "0" * 32)
    with pytest.raises(InputError, match=r"md5 checksum of http.* is \w+, not 0{32}"):
        fetch(bad, empty)
    assert everything(empty) == []


def test_damaged_raw_file_is_noticed(serve, empty):
    (file,) = serve("coil20", [b"the true bytes"])
    assert fetch(file, empty).read_bytes() == b"the true bytes"
    (empty / file.name).write_bytes(b"other bytes")
    with pytest.raises(InputError, match="delete it to download it again"):
        fetch(file, empty)


def test_second_source_is_tried(serve, empty):
    (file,) = serve("coil20", [b"bytes"])
    absent = file.urls[0] + ".absent"
    assert fetch(replace(file, urls=(absent, *file.urls)), empty).read_bytes() == b"bytes"
    (empty / file.name).unlink()
    with pytest.raises(InputError, match=r"could not be downloaded .*404.*put the file into"):
        fetch(replace(file, urls=(absent,)), empty)
    assert everything(empty) == []


def test_interrupted_download_leaves_nothing(serve, empty):
    (file,) = serve("coil20", [b"x" * 10_000])

    def interrupt(*report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(file, empty, interrupt)
    assert everything(empty) == []


def test_cache_that_cannot_be_written(empty, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FIEDLER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match="set FIEDLER_CACHE to a folder that can be written"):
        load_dataset("coil20")


def test_sets_that_are_not_there(empty):
    with pytest.raises(InputError, match=r"unknown data set 'minst'; known: digits, mnist"):
        load_dataset("minst")
    with pytest.raises(InputError, match="split must be"):
        load_dataset("mnist", split="valid")
    with pytest.raises(InputError, match=r"no mnist.npz in .*FIEDLER_DATA.*download=True"):
        load_dataset("mnist", download=False)
    for name in ("usps11k", "yaleb", "cmu_pie", "ar"):
        with pytest.raises(InputError, match=rf"cannot be downloaded.*{name}\.npz.*FIEDLER_DATA"):
            load_dataset(name)
    assert not empty.exists()


def test_data_folder_comes_before_the_cache(empty, tmp_path, monkeypatch):
    empty.mkdir()
    (tmp_path / "mine").mkdir()
    np.savez(empty / "ar.npz", X=np.zeros((2, 3, 3), np.uint8), y=[0, 1])
    assert load_dataset("ar").X.shape[0] == 2
    monkeypatch.setenv("FIEDLER_DATA", str(tmp_path / "mine"))
    assert load_dataset("ar").X.shape[0] == 2
    np.savez(tmp_path / "mine" / "ar.npz", X=np.zeros((3, 3, 3), np.uint8), y=[0, 1, 2])
    assert load_dataset("ar").X.shape[0] == 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"not an archive"])
def test_damaged_stored_set(empty, content):
    empty.mkdir()
    (empty / "mnist.npz").write_bytes(content)
    with pytest.raises(InputError, match="is not the set 'mnist', or is damaged"):
        load_dataset("mnist")


def test_stored_set_without_labels(empty):
    empty.mkdir()
    np.savez(empty / "mnist.npz", X=np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(InputError, match="is not the set 'mnist'"):
        load_dataset("mnist")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_cache_folder_of_each_platform(monkeypatch, tmp_path, platform):
    monkeypatch.delenv("FIEDLER_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setattr("sys.platform", platform)
    expected = {
        "linux": tmp_path / "xdg" / "fiedler",
        "darwin": tmp_path / "Library" / "Caches" / "fiedler",
        "win32": tmp_path / "local" / "fiedler" / "Cache",
    }[platform]
    assert cache_folder() == expected


def test_every_set_is_complete():
    assert set(DATASETS) == {*SHARED, "digits", "cifar10"}
    for spec in CATALOGUE.values():
        assert spec.description
        assert bool(spec.files) == (spec.convert is not None)
        assert spec.files or spec.by_hand or spec.name == "digits"
        for file in spec.files:
            algorithm, _, digest = file.checksum.partition(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
