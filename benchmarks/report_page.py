"""The report of 70,000 files of MNIST: seconds to write it, its size, seconds to open it.

    python benchmarks/report_page.py

The files are clustered by ``fiedler cluster FOLDER -k 10 --method spectral --labels-from folder``;
the page is opened in headless Chromium (Debian's chromium and chromium-driver) at the width of a
desktop and of a phone. Seconds of processor time stand beside those of the clock, as the machine
had other work.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, arguments, record
from PIL import Image

import fiedler

sys.path.append(str(ROOT / "tests"))
from browser import find_browser, run_browser

NOTES = [
    "write s: everything after the clustering: labels, model, record and the report.",
    "report again: `fiedler report` from the start of Python: model loaded, all files read anew.",
    "open s: from asking for the page until all its figures are drawn.",
    "isolate s: from the press on a cluster's number until the map is drawn anew.",
]
ISOLATE = """
const start = performance.now();
document.querySelector('#isolate button[data-cluster="3"]').click();
Bokeh.index.roots.forEach((view) => view.paint && view.paint());
return performance.now() - start;
"""


def write_folder(root: Path, n: int) -> None:
    """The first n digits of MNIST as PNG files, a subfolder a class."""
    found = fiedler.load_dataset("mnist")
    for label in range(10):
        (root / str(label)).mkdir(parents=True)
    for i, (pixels, label) in enumerate(zip(found.X[:n], found.y[:n], strict=True)):
        Image.fromarray(np.asarray(pixels)).save(root / str(label) / f"{i:05d}.png")


def fiedler_command(*words: str) -> tuple[dict[str, Any], float]:
    """Run the command line; give what it tells as JSON, and the processor seconds it took."""
    code = "from fiedler.cli import main; main()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--json"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), used


def opening(page: Path, binary: str) -> dict[str, float]:
    """Seconds to open the page, and to draw the whole map again when a cluster is isolated."""
    found = {}
    for name, width in (("desktop", 1200), ("phone", 390)):
        with run_browser(binary) as browser:
            start = time.perf_counter()
            browser.open(page, width=width)
            found[f"open s, {name}"] = time.perf_counter() - start
            found[f"page's cpu s, {name}"] = browser.cpu_seconds()
            if width > 600:
                found["isolate s"] = browser.script(ISOLATE) / 1000
    return found


def measure(n: int, binary: str | None) -> dict[str, Any]:
    """Cluster the first n digits, write the page, and open it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, run = Path(scratch) / "digits", Path(scratch) / "run"
        write_folder(folder, n)
        told, used = fiedler_command(
            "cluster", str(folder), "-k", "10", "--method", "spectral", "--labels-from", "folder",
            "-o", str(run),
        )  # fmt: skip
        _, again = fiedler_command("report", str(run))
        page = run / "report.html"
        return {
            "files": n,
            "acc": told["metrics"]["acc"],
            "cluster s": sum(v for k, v in told["timings"].items() if k != "writing"),
            "write s": told["timings"]["writing"],
            "all, cpu s": used,
            "report again, cpu s": again,
            "page MB": page.stat().st_size / 1e6,
            **({} if binary is None else opening(page, binary)),
        }


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
