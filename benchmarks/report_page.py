"""The report of 70,000 files of MNIST: seconds to write it, its size, seconds to open it.

    python benchmarks/report_page.py

What ``fiedler cluster FOLDER -k 10 --method spectral --labels-from folder`` does, stage by stage;
the page is opened in headless Chromium (Debian's chromium and chromium-driver) at the width of a
desktop and of a phone. Seconds of processor time stand beside those of the clock, as the machine
had other work.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, arguments, record
from PIL import Image

import fiedler
from fiedler.cli.inputs import Opening, open_input
from fiedler.cli.reporting import write_run_report
from fiedler.progress import silent

sys.path.append(str(ROOT / "tests"))
from browser import find_browser, run_browser

NOTES = [
    "report: from the fitted model to the written page.",
    "open: from asking for the page until all its figures are drawn; processor time of the page.",
    "isolate: from the press on a cluster's number until all points are drawn anew, no GPU.",
]
ISOLATE = """
document.querySelector('#isolate button[data-cluster="3"]').click();
Bokeh.index.roots.forEach((view) => view.paint && view.paint());
"""


def write_folder(root: Path, n: int) -> None:
    """The first n digits of MNIST as PNG files, a subfolder a class."""
    found = fiedler.load_dataset("mnist")
    for label in range(10):
        (root / str(label)).mkdir(parents=True)
    for i, (pixels, label) in enumerate(zip(found.X[:n], found.y[:n], strict=True)):
        Image.fromarray(np.asarray(pixels)).save(root / str(label) / f"{i:05d}.png")


def opening(page: Path, binary: str) -> dict[str, float]:
    """Seconds to open the page, and to draw the whole map again when a cluster is isolated."""
    found = {}
    for name, width in (("desktop", 1200), ("phone", 390)):
        with run_browser(binary) as browser:
            start = time.perf_counter()
            browser.open(page, width=width)
            found[f"open s, {name}"] = time.perf_counter() - start
            found[f"open cpu s, {name}"] = opened = browser.cpu_seconds()
            browser.script(ISOLATE)
            found[f"isolate cpu s, {name}"] = browser.cpu_seconds() - opened
    return found


class Clock:
    """Seconds of the clock and of the processor since it was last asked."""

    def __init__(self) -> None:
        self._last = self._now()

    def since(self, what: str) -> dict[str, float]:
        before, self._last = self._last, self._now()
        wall, cpu = (now - then for now, then in zip(self._last, before, strict=True))
        return {f"{what} s": wall, f"{what} cpu s": cpu}

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()


def measure(n: int, binary: str | None) -> dict[str, Any]:
    """Read and cluster the first n digits as the command does, write the page, and open it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, page = Path(scratch) / "digits", Path(scratch) / "report.html"
        write_folder(folder, n)
        clock = Clock()
        opened = open_input(str(folder), Opening(labels_from="folder"), silent)
        row = {"files": n, **clock.since("read")}
        model = fiedler.SpectralClustering(10, random_state=0).fit(opened.source.rows)
        row |= clock.since("cluster")
        write_run_report(page, opened, model, "spectral", model.timings_, [])
        row |= clock.since("report")
        row["page MB"] = page.stat().st_size / 1e6
        return row if binary is None else row | opening(page, binary)


def main() -> None:
    """One row for each number of files."""
    arguments(__doc__)
    binary = find_browser()
    rows = []
    for n in (10_000, 70_000):
        rows.append(measure(n, binary))
        print(json.dumps(rows[-1]), flush=True)
    record("report_page", rows, notes=NOTES)


if __name__ == "__main__":
    main()
