"""Cost of SA-Net over the number of images and of procedures; new images at the end.

    python benchmarks/sanet_cost.py [--methods images procedures new] [--rows 600] [--again]

MNIST, the default preset. ``images``: 2,500 to 70,000 images. ``procedures``: the first layer
alone, fitted and applied to all images, with one to eight procedures on one shared search (kNN 9
and others up to 25). ``new``: fitted on the 60,000 training images, applied to the 10,000 of the
test set, never seen before. Each row has a process of its own (``fit_sanet.py``), so that its peak
of memory is its own.
"""

from __future__ import annotations

from pathlib import Path

from common import ResumableTable, arguments
from runs import in_own_process, table_name

NOTES = [
    "CPU seconds of the fit, one thread; images per second of these; peak memory of a process of "
    "its own, the images included."
]
SIZES = (2_500, 5_000, 10_000, 20_000, 40_000, 70_000)
PROCEDURES = (1, 2, 4, 8)


def main() -> None:
    """Make every row that is not there yet."""
    parts = ["procedures", "images", "new"]
    chosen = arguments(__doc__, {"--methods": parts, "--sets": ["mnist"]}, options={"--rows": 0})
    key = ("data", "part", "images", "procedures")
    name = table_name("sanet_cost", chosen.rows)
    table = ResumableTable(name, key, again=chosen.again, notes=NOTES)
    few = chosen.rows

    def put(
        part: str, images: int, procedures: int, seconds: float, more: dict[str, float]
    ) -> None:
        table.put(
            {"data": "mnist", "part": part, "images": images, "procedures": procedures}
            | {"cpu seconds": seconds, "images per second": images / seconds}
            | {"peak GB": more["peak GB"], "acc": more.get("acc")}
        )

    jobs = [("procedures", few or 10_000, count) for count in PROCEDURES]
    jobs += [("images", size, 2) for size in ((few,) if few else SIZES)]
    jobs += [("new", few or 60_000, 2)]
    for part, images, procedures in jobs:
        shown = "new: fitted" if part == "new" else part
        row = {"data": "mnist", "part": shown, "images": images, "procedures": procedures}
        if part not in chosen.methods or not table.lacks(**row):
            continue
        script = Path(__file__).with_name("fit_sanet.py")
        found = in_own_process(script, part, images, procedures, threads=1)
        assert found is not None  # there is no limit
        put(shown, images, procedures, found["cpu seconds"], found)
        if part == "new":
            more = {"peak GB": found["peak GB"], "acc": found["new acc"]}
            put("new: applied", found["new images"], 2, found["new cpu seconds"], more)


if __name__ == "__main__":
    main()
