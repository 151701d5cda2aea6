"""The benchmark sets: what each is, who made it, and where its files are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiedler.data import formats
from fiedler.data.download import RemoteFile


@dataclass(frozen=True)
class DatasetSpec:
    """One benchmark set.

    Parameters
    ----------
    name, description : str
    stored_as : tuple of str
        Names of the ``.npz`` file that holds it; the first is the one written after a download.
    files : tuple of RemoteFile
        What to download.
    convert : callable, optional
        Makes the arrays of the ``.npz`` file from the downloaded files; None where the set
        cannot be downloaded freely.
    by_hand : str
        Where to ask for a set that cannot be downloaded.
    target_names : tuple of str
        Names of the classes, where the files do not hold them.
    """

    name: str
    description: str
    stored_as: tuple[str, ...]
    files: tuple[RemoteFile, ...] = ()
    convert: Callable[[Sequence[Path]], dict[str, Any]] | None = None
    by_hand: str = ""
    target_names: tuple[str, ...] = ()


_MNIST_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_MNIST_MD5 = (
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "d53e105ee54ea40749a09fcbcd1e9432",
    "9fb629c4189551a2d022fa330f9573f3",
    "ec29112dd5afa0611ce80d1b7f02629c",
)
_FASHION_MD5 = (
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)


def _four(
    prefix: str, bases: tuple[str, ...], checksums: tuple[str, ...]
) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(f"{prefix}-{name}", tuple(base + name for base in bases), f"md5:{md5}")
        for name, md5 in zip(_MNIST_NAMES, checksums, strict=True)
    )


_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"

_SPECS = (
    DatasetSpec(
        "digits",
        "1,797 handwritten digits, 8 x 8, of the UCI repository (Alpaydin and Kaynak, 1998); "
        "they come with scikit-learn.",
        (),
    ),
    DatasetSpec(
        "mnist",
        "70,000 handwritten digits, 28 x 28, 60,000 of them for training (LeCun, Cortes and "
        "Burges, 1998).",
        ("mnist.npz",),
        _four(
            "mnist",
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            _MNIST_MD5,
        ),
        formats.convert_mnist,
    ),
    DatasetSpec(
        "fashion_mnist",
        "70,000 pictures of clothes, 28 x 28, 60,000 of them for training (Xiao, Rasul and "
        "Vollgraf, 2017).",
        ("fashion_mnist.npz",),
        _four(
            "fashion",
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            _FASHION_MD5,
        ),
        formats.convert_mnist,
        target_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
    DatasetSpec(
        "usps",
        "9,298 digits of US mail, 16 x 16, 7,291 of them for training (Hull, 1994).",
        ("usps.npz",),
        (
            RemoteFile("usps.bz2", (_LIBSVM + "usps.bz2",), "md5:ec16c51db3855ca6c91edd34d0e9b197"),
            RemoteFile(
                "usps.t.bz2", (_LIBSVM + "usps.t.bz2",), "md5:8ea070ee2aca1ac39742fdd1ef5ed118"
            ),
        ),
        formats.convert_usps,
    ),
    DatasetSpec(
        "usps11k",
        "11,000 digits of US mail, 16 x 16, 1,100 of each.",
        ("usps11k.npz",),
        by_hand="It is usps_all.mat on the page of Sam Roweis, https://cs.nyu.edu/~roweis/data.html.",
    ),
    DatasetSpec(
        "reuters_r8",
        "7,674 articles of Reuters-21578 with one of eight topics, split as by Apte (Lewis, 1997).",
        ("reuters_r8_tfidf2000.npz",),
        (
            RemoteFile(
                "reuters21578.tar.gz",
                (
                    "https://kdd.ics.uci.edu/databases/reuters21578/reuters21578.tar.gz",
                    "https://archive.ics.uci.edu/ml/machine-learning-databases/"
                    "reuters21578-mld/reuters21578.tar.gz",
                ),
                "sha256:3bae43c9b14e387f76a61b6d82bf98a4fb5d3ef99ef7e7075ff2ccbcf59f9d30",
            ),
        ),
        formats.convert_reuters_r8,
    ),
    DatasetSpec(
        "20newsgroups",
        "18,846 messages of 20 newsgroups, 11,314 of them (the earlier) for training (Lang, 1995).",
        ("20newsgroups_tfidf2000.npz",),
        (
            RemoteFile(
                "20news-bydate.tar.gz",
                (
                    "https://ndownloader.figshare.com/files/5975967",
                    "https://people.csail.mit.edu/jrennie/20Newsgroups/20news-bydate.tar.gz",
                ),
                "sha256:8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610",
            ),
        ),
        formats.convert_20newsgroups,
    ),
    DatasetSpec(
        "cifar10",
        "60,000 colour photographs of ten kinds of things, 32 x 32, 50,000 of them for training "
        "(Krizhevsky, 2009).",
        ("cifar10.npz", "cifar10_jpeg.npz"),
        (
            RemoteFile(
                "cifar-10-binary.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                "md5:c32a1d4ab5d03f1284b67883e8d87530",
            ),
        ),
        formats.convert_cifar10,
    ),
    DatasetSpec(
        "coil20",
        "1,440 pictures of 20 objects on a turntable, 32 x 32 (Nene, Nayar and Murase, 1996).",
        ("coil20.npz",),
        (
            RemoteFile(
                "coil-20-proc.zip",
                (
                    "https://www.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-20/"
                    "coil-20-proc.zip",
                    "https://cave.cs.columbia.edu/old/databases/SLAM_coil-20_coil-100/coil-20/"
                    "coil-20-proc.zip",
                ),
                "md5:464dec76a6abfcd00e8de6cf1e7d0acc",
            ),
        ),
        formats.convert_coil20,
    ),
    DatasetSpec(
        "yaleb",
        "2,414 faces of 38 people under varied light, 32 x 32: the Extended Yale Face Database B "
        "(Georghiades, Belhumeur and Kriegman, 2001). For research only.",
        ("yaleb.npz",),
        by_hand="It is for research only: ask for the cropped images of the Extended Yale Face "
        "Database B at the University of California, San Diego (vision.ucsd.edu), and resize "
        "them to 32 x 32.",
    ),
    DatasetSpec(
        "cmu_pie",
        "2,856 faces of 68 people, 32 x 32: from the CMU Pose, Illumination and Expression "
        "database (Sim, Baker and Bsat, 2002). For research only.",
        ("cmu_pie.npz",),
        by_hand="It is for research only: ask the Robotics Institute of Carnegie Mellon "
        "University for the PIE database (ri.cmu.edu), and crop the faces to 32 x 32.",
    ),
    DatasetSpec(
        "ar",
        "1,680 unoccluded faces of 120 people, 50 x 40: from the AR database (Martinez and "
        "Benavente, 1998). For research only.",
        ("ar.npz",),
        by_hand="It is for research only: ask for the AR Face Database at Ohio State University "
        "(www2.ece.ohio-state.edu/~aleix/ARdatabase.html), and crop the faces to 50 x 40.",
    ),
)

CATALOGUE: dict[str, DatasetSpec] = {spec.name: spec for spec in _SPECS}
