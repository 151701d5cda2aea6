"""One fit of the package ``spectralnet``, in a process of its own, in ``.venv-peers``.

    python fit_spectralnet.py SET.npz LABELS.npy --clusters 10 [--epochs 0]

Reads images (n, h, w), uint8, as pixels from 0 to 1, writes labels, prints seconds, peak memory and
version as JSON. Nothing here may import fiedler: that environment does not have it. The settings
are the package's defaults, with its autoencoder and its Siamese network;
``fit_network.package_recipe`` is their twin.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import spectralnet
import torch


def forget_weights() -> None:
    """Delete the weights that the package keeps in its own folder, and would silently use again."""
    home = Path(spectralnet.__file__).resolve().parent
    shutil.rmtree(home / "_trainers" / "weights", ignore_errors=True)


def peak_mb() -> float:
    """Peak resident memory of this process so far, in MB, as ``common.peak_mb`` measures it."""
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found:
            return int(found.group(1)) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    """Fit, predict, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=0, help="of each network; 0: the defaults")
    given = parser.parse_args()
    images = np.load(given.data)["X"]
    rows = torch.from_numpy(images.reshape(len(images), -1)).float().div_(255)
    forget_weights()
    torch.manual_seed(given.seed)
    np.random.seed(given.seed)  # noqa: NPY002 (the package draws its pairs from the global one)
    names = ("ae_epochs", "siamese_epochs", "spectral_epochs")
    epochs = dict.fromkeys(names, given.epochs) if given.epochs else {}
    before = peak_mb()
    start = time.perf_counter()
    model = spectralnet.SpectralNet(
        n_clusters=given.clusters,
        should_use_ae=True,
        should_use_siamese=True,
        spectral_hiddens=[1024, 1024, 512, given.clusters],
        **epochs,
    )
    model.fit(rows)
    labels = model.predict(rows)
    seconds = time.perf_counter() - start
    forget_weights()
    np.save(given.labels, labels)
    result = {
        "seconds": seconds,
        "peak_mb": peak_mb(),
        "before_mb": before,
        "version": version("spectralnet"),
    }
    print()  # its progress bars end without one
    print(json.dumps(result))


if __name__ == "__main__":
    main()
