"""The report of 70,000 files of MNIST: seconds to write it, its size, seconds to open it.

    python benchmarks/report_page.py

The files are clustered by ``fiedler cluster FOLDER --clusters 10 --labels-from folder``; the page
is opened in headless Chromium (Debian's chromium and chromium-driver) at the width of a desktop
and of a phone. Seconds of processor time stand beside those of the clock, as the machine had other
work.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import ROOT, arguments, record
from PIL import Image

import fiedler

sys.path.append(str(ROOT / "tests"))
from browser import find_browser, run_browser

NOTES = [
    "write s: everything after the clustering: labels, model, record and the report.",
    "open s: from asking for the page until all its figures are drawn.",
]


def write_folder(root: Path, n: int) -> None:
    """The first n digits of MNIST as PNG files, a subfolder a class."""
    found = fiedler.load_dataset("mnist")
    for label in range(10):
        (root / str(label)).mkdir(parents=True)
    for i, (pixels, label) in enumerate(zip(found.X[:n], found.y[:n], strict=True)):
        Image.fromarray(np.asarray(pixels)).save(root / str(label) / f"{i:05d}.png")


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """One row for each number of files."""
    arguments(__doc__)
    binary = find_browser()
    rows = []
    for n in (10_000, 70_000):
        with tempfile.TemporaryDirectory() as scratch:
            folder, run = Path(scratch) / "digits", Path(scratch) / "run"
            write_folder(folder, n)
            code = "from fiedler.cli import main; main()"
            command = ["cluster", str(folder), "-k", "10", "--labels-from", "folder", "--json"]
            before = cpu_seconds()
            done = subprocess.run(
                [sys.executable, "-c", code, *command, "-o", str(run)],
                capture_output=True,
                text=True,
                check=True,
            )
            told = json.loads(done.stdout)
            page = run / "report.html"
            row = {
                "files": n,
                "acc": told["metrics"]["acc"],
                "cluster s": sum(v for k, v in told["timings"].items() if k != "writing"),
                "write s": told["timings"]["writing"],
                "all, cpu s": cpu_seconds() - before,
                "page MB": page.stat().st_size / 1e6,
            }
            if binary is not None:
                with run_browser(binary) as browser:
                    for name, width in (("desktop", 1200), ("phone", 390)):
                        start = time.perf_counter()
                        browser.open(page, width=width)
                        row[f"open s, {name}"] = time.perf_counter() - start
            rows.append(row)
            print(json.dumps(row), flush=True)
    record("report_page", rows, notes=NOTES)


if __name__ == "__main__":
    main()
