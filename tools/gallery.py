"""Run the examples, and keep what they print and a picture of the page that each writes.

    python tools/gallery.py [name ...]

Writes ``docs/gallery/NAME.txt`` and ``docs/gallery/NAME.png``, which ``docs/gallery.md`` shows, so
that building the site runs no example. Needs chromium with chromedriver.
"""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))
from browser import Browser, find_browser, run_browser  # noqa: E402

# Which part of each page is shown: the element to begin with, and so many pixels from there.
SHOWN = {
    "digits": ("#h-map", 860),
    "number_of_clusters": ("body", 340),
    "spectralnet_digits": ("#h-training", 400),
    "texts": ("#h-examples", 560),
    "compare_runs": ("body", 580),
}
WIDTH, MARGIN = 900, 12
# Pages of this package say when they are drawn; those of Bokeh alone are asked.
DRAWN = """
const told = document.documentElement.dataset.ready;
if (document.getElementById("figures")) return told;
return window.Bokeh && Bokeh.documents.length && Bokeh.documents.every((one) => one.is_idle);
"""


def picture(browser: Browser, page: Path, name: str) -> Image.Image:
    """The part of a page that is shown of it."""
    first, height = SHOWN[name]
    browser.open(page, width=WIDTH, ready=DRAWN)
    top = browser.script(f"return document.querySelector('{first}').getBoundingClientRect().top")
    y = max(0, top - MARGIN)
    clip = {"x": 0, "y": y, "width": WIDTH, "height": height, "scale": 1}
    shot = browser.cdp(
        "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
    )
    return Image.open(io.BytesIO(base64.b64decode(shot["data"])))


def main() -> None:
    """Run the examples that are named, or all."""
    binary = find_browser()
    if binary is None:
        sys.exit("no chromium with chromedriver: install both.")
    target = ROOT / "docs" / "gallery"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, run_browser(binary) as browser:
        for name in sys.argv[1:] or SHOWN:
            page = Path(scratch) / f"{name}.html"
            command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), str(page)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env=os.environ
            )
            (target / f"{name}.txt").write_text(done.stdout, encoding="utf-8")
            shown = picture(browser, page, name).convert("RGB")
            shown.save(target / f"{name}.png", optimize=True)
            print(f"{name}\n{done.stdout}", flush=True)


if __name__ == "__main__":
    main()
