"""Figures 5, 8, 9 and 10 of SA-Net, of the preset that works and of the paper's text beside it.

    python benchmarks/sanet_figures.py [--sets mnist_test] [--rows 4000]

Writes to ``benchmarks/results/figures/``: visual patterns of the first layer (Fig. 5), the images
nearest to and farthest from the centre of each cluster (Fig. 9), and a report page with the
confusion matrix (Fig. 10), for each set and for both presets; and accuracy over the number of
procedures (Fig. 8), from the table that ``sanet_procedures.py`` makes.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from bokeh.embed import file_html
from bokeh.palettes import Category10
from bokeh.plotting import figure
from common import RESULTS, arguments, kept
from PIL import Image
from sanet_common import BESIDE, IMAGE_SETS, some

from fiedler import SANet
from fiedler.evaluation import confusion_matrix
from fiedler.models.sanet.inspection import visual_patterns
from fiedler.report import ReportData, write_report
from fiedler.report.layout import distance_to_centre

FOLDER = RESULTS / "figures"
SHOWN = 10


def sheet(pictures: np.ndarray, columns: int, scale: int = 3) -> Image.Image:
    """Pictures (n, h, w) or (n, h, w, c), each stretched, on one sheet."""
    pictures = np.asarray(pictures, dtype=np.float64).reshape(*pictures.shape[:3], -1)
    low = pictures.min(axis=(1, 2, 3), keepdims=True)
    high = pictures.max(axis=(1, 2, 3), keepdims=True)
    grey = np.uint8(255 * (pictures - low) / np.maximum(high - low, 1e-12))
    grey = np.pad(grey, ((0, -len(grey) % columns), (1, 1), (1, 1), (0, 0)), constant_values=255)
    _, h, w, c = grey.shape
    joined = grey.reshape(-1, columns, h, w, c).transpose(0, 2, 1, 3, 4).reshape(-1, columns * w, c)
    image = Image.fromarray(joined[..., 0] if c == 1 else joined)
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def accuracy_over_procedures(rows: list[dict[str, Any]]) -> str:
    """A page with Figure 8: the first layer's procedures with four in the second, and the reverse.

    ``rows`` are those of ``sanet_procedures.py``.
    """
    plot = figure(x_axis_label="procedures", y_axis_label="accuracy", width=640, height=420)
    methods = list(dict.fromkeys((row["method"], row["n"]) for row in rows))
    for (method, n), colour in zip(methods, Category10[10], strict=False):
        for moved, fixed, most, dash in (
            ("first", "second", 4, "solid"),
            ("second", "first", 8, "dashed"),
        ):
            own = [row for row in rows if (row["method"], row["n"]) == (method, n)]
            line = sorted((r[moved], r["acc"]["mean"]) for r in own if r[fixed] == most)
            label = f"{method}, {n:,} images, {moved} layer"
            drawn = {"color": colour, "line_dash": dash, "legend_label": label}
            plot.line(*zip(*line, strict=True), **drawn)
            plot.scatter(*zip(*line, strict=True), color=colour, size=7)
    plot.legend.location = "bottom_right"
    return file_html(plot, title="Accuracy over procedures")


def main() -> None:
    """Draw the figures of every chosen set."""
    chosen = arguments(__doc__, {"--sets": list(IMAGE_SETS)}, options={"--rows": 0})
    warnings.simplefilter("ignore")
    FOLDER.mkdir(parents=True, exist_ok=True)
    if rows := kept("sanet_procedures", "rows"):
        (FOLDER / "accuracy-over-procedures.html").write_text(accuracy_over_procedures(rows))
    else:
        print("Figure 8 needs the table of sanet_procedures.py", flush=True)
    for name in chosen.sets:
        get, preset = IMAGE_SETS[name]
        X, y = some(*get(), chosen.rows)
        for layers in (preset, *BESIDE[preset].values()):
            model = SANet(int(y.max()) + 1, layers=layers, random_state=0).fit(X)
            stem = f"{name}-{layers}"
            if any(type(layer).__name__ == "SpectralLayer" for layer in model.layers_):
                sheet(visual_patterns(model, 40), 10).save(FOLDER / f"{stem}-patterns.png")
            distances = distance_to_centre(model.embedding_, model.labels_)
            rows = []
            for cluster in range(model.n_clusters_):
                members = np.flatnonzero(model.labels_ == cluster)
                members = members[np.argsort(distances[members])]
                rows += [X[np.resize(members[:SHOWN], SHOWN)], X[np.resize(members[::-1], SHOWN)]]
            sheet(np.concatenate(rows), 2 * SHOWN).save(FOLDER / f"{stem}-near-and-far.png")
            table = confusion_matrix(y, model.labels_)
            data = ReportData(
                title=stem,
                ids=[str(i) for i in range(len(y))],
                labels=model.labels_,
                embedding=model.embedding_,
                pictures=X,
                known=[str(c) for c in y],
                confusion=table.table,
                class_names=[str(c) for c in table.classes],
                cluster_names=[str(c) for c in table.clusters],
                timings=model.timings_,
            )
            write_report(FOLDER / f"{stem}.html", data)
            print(stem, flush=True)


if __name__ == "__main__":
    main()
