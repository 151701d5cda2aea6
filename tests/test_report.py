from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from browser import Browser, find_browser, run_browser
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fiedler.exceptions import InputError, OutputError
from fiedler.report import (
    Gallery,
    Phases,
    ReportData,
    describe,
    figures,
    layout,
    sections,
    write_report,
)
from fiedler.report.map_figure import cluster_map
from fiedler.report.palette import COLOURS, MARKS, colour_of, mark_of
from fiedler.report.phases import phase_sections
from fiedler.report.pictures import SpriteSheets, as_image, mean_picture, sprite_sheets

HOSTILE_NAME = '<img src=x onerror="window.hit=1">.png'
HOSTILE_TEXT = "</script><script>window.hit=2</script><b>bold</b> &amp; @{row}{safe} {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    binary = find_browser()
    if binary is None:
        message = "no chromium with chromedriver; install both to test the report as it is seen"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with run_browser(binary) as opened:
        yield opened


def blobs(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and an embedding in which each cluster is a cone about an axis."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    return labels, np.eye(k)[labels] + 0.1 * rng.normal(size=(n, k))


def data(n: int = 60, k: int = 3, **changes: Any) -> ReportData:
    labels, embedding = blobs(n, k)
    made = ReportData(
        title="A test",
        ids=[f"row {i}" for i in range(n)],
        labels=labels,
        embedding=embedding,
        eigenvalues=np.linspace(0, 0.4, k + 3),
        timings={"neighbors": 1.5, "eigenvectors": 0.5},
        parameters={"n_clusters": k, "affinity": "knn"},
    )
    return replace(made, **changes)


def complete(n: int = 60, k: int = 3) -> ReportData:
    """Everything that a page can show."""
    rng = np.random.default_rng(1)
    return data(
        n,
        k,
        kind="images",
        pictures=rng.integers(0, 256, (n, 20, 28, 3), dtype=np.uint8),
        texts=[f"text number {i}" for i in range(n)],
        known=[f"class {i % 2}" for i in range(n)],
        metrics={"accuracy": 0.75, "NMI": 0.5},
        confusion=np.arange(2 * k).reshape(2, k),
        class_names=["class 0", "class 1"],
        cluster_names=[str(i) for i in range(k)],
        notes=["The graph falls into 2 parts."],
        how="SpectralClustering: it suits.",
        confidence=rng.random(n),
        words=[[f"word{i}", "other"] for i in range(k)],
        affinity=sp.random_array((n, n), density=0.2, rng=rng, format="csr"),
        history=[
            {"stage": "siamese", "step": i, "loss": 1 / (i + 1), "distance": 2.0} for i in range(5)
        ]
        + [{"stage": "spectral", "step": i, "loss": -0.1 * i} for i in range(4)],
        galleries=[
            Gallery("Patterns", "Centres of patches.", rng.normal(size=(6, 5, 5)), list("abcdef"))
        ],
        agreement=[("Procedure(16)", 0.9123)],
        phases=Phases(
            rows=np.arange(0, n, 2),
            embeddings={"pretraining": rng.normal(size=(-(-n // 2), 4)), "joint 1": np.eye(n)[::2]},
            rounds=[{"round": 1, "clusters": k, "changed": 0.25}],
        ),
    )


def written(tmp_path: Path, report: ReportData) -> str:
    write_report(tmp_path / "report.html", report)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def markup_of(page: str) -> str:
    """The page without its scripts and styles."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


# What the page says


def test_page_says_the_figures(tmp_path: Path) -> None:
    report = complete()
    page = markup_of(written(tmp_path, report))
    sizes = np.bincount(report.labels)
    assert f"60 images fall into 3 clusters, the largest of {sizes.max()}" in page
    assert "found in 2.0 s; against the known classes: accuracy 0.750, NMI 0.500." in page
    for cluster, size in enumerate(sizes):
        assert re.search(rf"</span>{cluster}</th>\s*<td>{size}</td>", page)
    assert "The graph falls into 2 parts." in page
    assert '<th scope="row">Procedure(16)</th><td>0.912</td>' in page
    assert page.count("data:image/png;base64,") == 3 * 13 + 6
    for i, value in enumerate(np.linspace(0, 0.4, 6)):
        assert re.search(rf'<th scope="row">{i + 1}</th><td>{value:.6f}</td>', page)
    assert re.search(r"neighbors</th><td>1.50</td>\s*<td>75%</td>", page)


def test_every_chart_has_a_description_and_every_picture_a_name(tmp_path: Path) -> None:
    page = markup_of(written(tmp_path, complete()))
    charts = re.findall(r'<div class="chart[^>]*>', page)
    assert len(charts) == 10
    assert all(re.search(r'role="img" aria-label="[^"]{20,}"', chart) for chart in charts)
    assert all(
        re.search(r'alt="(row \d+|mean picture of cluster \d|[a-f])"', tag)
        for tag in re.findall(r"<img [^>]*>", page)
    )


def test_parts_without_data_are_left_out(tmp_path: Path) -> None:
    report = data(eigenvalues=None, timings={}, parameters={})
    page = markup_of(written(tmp_path, report))
    assert re.findall(r'data-figure="(\w+)"', page) == ["map", "sizes"]
    assert "known class" not in page
    assert "How it was made" not in page
    assert "row 1" in page


def test_texts_are_shown_by_their_beginning(tmp_path: Path) -> None:
    texts = [f"number {i} " + "long " * 1000 for i in range(60)]
    page = written(tmp_path, data(texts=texts, kind="texts"))
    assert re.search(r"number \d+ long long", markup_of(page))
    assert "long " * 100 not in page


def test_the_same_data_give_the_same_words(tmp_path: Path) -> None:
    assert markup_of(written(tmp_path, complete())) == markup_of(written(tmp_path, complete()))


@pytest.mark.parametrize(
    ("n", "k"), [(1, 1), (2, 1), (2, 2), (30, 1), (13, 13), (400, 120)], ids=str
)
def test_any_number_of_rows_and_clusters(n: int, k: int, tmp_path: Path) -> None:
    page = markup_of(written(tmp_path, data(n, k, timings={})))
    plural = "s" if k > 1 else ""
    assert f"{n:,} rows fall into {k} cluster{plural}" in page
    assert page.count("<article ") == min(k, 100)
    assert ("20 smaller ones are not" in page) == (k == 120)


def test_equal_rows_are_drawn(tmp_path: Path) -> None:
    assert written(tmp_path, data(embedding=np.ones((60, 2))))


def test_names_that_are_no_text_are_written(tmp_path: Path) -> None:
    assert "a?.png" in markup_of(written(tmp_path, data(ids=["a\udcff.png"] * 60)))


# What it refuses


@pytest.mark.parametrize("part", ["ids", "embedding", "known", "texts", "pictures"])
def test_parts_of_different_length_are_refused(part: str) -> None:
    value: Any = np.zeros((5, 4, 4)) if part in ("embedding", "pictures") else ["x"] * 5
    with pytest.raises(InputError, match=rf"labels has 60, {part} has 5"):
        data(**{part: value})


def test_no_rows_and_unnamed_confusion_are_refused() -> None:
    with pytest.raises(InputError, match="at least one row"):
        ReportData("empty", [], np.zeros(0, dtype=int), np.zeros((0, 2)))
    with pytest.raises(InputError, match="confusion has shape"):
        data(confusion=np.ones((2, 3), dtype=int))


def test_an_unwritable_place_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(tmp_path / "absent" / "report.html", data())
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError):
        write_report(tmp_path / "taken", data())
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


# Size


def test_seventy_thousand_pictures_stay_below_fifteen_megabytes(tmp_path: Path) -> None:
    n = 70_000
    labels, embedding = blobs(n, 10)
    # Noise is the worst that a compressor can meet.
    pictures = np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    report = ReportData(
        "Many",
        [f"folder/with/a/longish/name/{i:06d}.png" for i in range(n)],
        labels,
        embedding,
        pictures=pictures,
        known=[f"class {label}" for label in labels],
        texts=["some words of a text " * 20] * n,
    )
    page = written(tmp_path, report)
    assert (tmp_path / "report.html").stat().st_size < 15e6
    assert "All 70,000 rows" in page


class Lazy(Sequence[np.ndarray]):
    """Pictures that are decoded when read, and count how often."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.reads = 0

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: Any) -> Any:
        self.reads += 1
        return np.full((8, 8), i % 256, dtype=np.uint8)


def test_of_lazy_pictures_only_the_shown_are_read(tmp_path: Path) -> None:
    pictures = Lazy(6_000)
    written(tmp_path, data(6_000, 3, pictures=pictures))
    assert 4_000 + 3 * 12 < pictures.reads <= 4_000 + 3 * 12 + 3 * 400


# Kernels


@given(st.integers(1, 60), st.integers(1, 8), st.integers(8, 40), st.integers(0, 5))
def test_sample_rows_keeps_every_cluster(n: int, k: int, limit: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    rows = layout.sample_rows(labels, limit, rng)
    assert len(rows) == min(n, limit)
    assert np.all(np.diff(rows) > 0)
    assert set(labels[rows]) == set(labels)


@pytest.mark.parametrize("n", [400, layout.ANCHORS + 500])
def test_lay_out_keeps_clusters_together_and_repeats(n: int) -> None:
    labels, embedding = blobs(n, 5)
    places = layout.lay_out(embedding, np.random.default_rng(3))
    again = layout.lay_out(embedding, np.random.default_rng(3))
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()
    np.testing.assert_array_equal(places, again)
    some = np.random.default_rng(0).choice(n, 300, replace=False)
    distances = np.linalg.norm(places[some, None] - places[None], axis=2)
    distances[np.arange(300), some] = np.inf
    assert np.mean(labels[distances.argmin(axis=1)] == labels[some]) > 0.97


def test_unit_rows_leave_zero_rows() -> None:
    scaled = layout.unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0, 0]])


@given(st.integers(1, 30), st.integers(0, 12), st.integers(0, 12))
def test_examples_are_the_nearest_and_the_farthest(n: int, near: int, far: int) -> None:
    labels, embedding = blobs(n + 2, 2, seed=n)
    distances = layout.distance_to_centre(embedding, labels)
    members = np.flatnonzero(labels == 0)
    typical, doubtful = layout.pick_examples(distances, distances, members, near, far)
    assert len(typical) == min(near, len(members))
    assert len(doubtful) == min(far, len(members) - len(typical))
    assert not set(typical) & set(doubtful)
    rest = np.setdiff1d(members, typical)
    if len(typical) and len(rest):
        assert distances[typical].max() <= distances[rest].min()
    if len(doubtful):
        assert distances[doubtful[0]] == distances[members].max()


def test_distance_to_centre_by_hand() -> None:
    embedding = np.array([[1.0, 0], [2.0, 0], [0, 1], [1, 0]])
    distances = layout.distance_to_centre(embedding, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(distances, [0, 0, np.sqrt(0.5), np.sqrt(0.5)])


def test_distances_between_centres_by_hand() -> None:
    embedding = np.array([[1.0, 0], [2.0, 0], [0, 1], [0, 3]])
    distances = layout.distances_between_centres(embedding, np.array([0, 0, 2, 2]))
    root = np.sqrt(2)
    np.testing.assert_allclose(distances[[0, 2]][:, [0, 2]], [[0, root], [root, 0]])
    assert np.isinf(distances[1]).all()


def test_doubtful_are_those_of_the_least_confidence() -> None:
    distances, confidence = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.9, 0.8, 0.1, 0.5])
    typical, doubtful = layout.pick_examples(distances, -confidence, np.arange(4), 2, 2)
    assert (typical.tolist(), doubtful.tolist()) == ([0, 1], [2, 3])


@given(st.integers(2, 40), st.integers(1, 50), st.integers(0, 5))
def test_sorted_matrix_is_the_mean_of_the_sorted_rows(n: int, cells: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    matrix = sp.random_array((n, n), density=0.3, rng=rng, format="csr")
    found = figures.sorted_matrix(matrix, labels, cells)
    order = np.argsort(labels, kind="stable")
    dense = matrix.toarray()[order][:, order]
    side = min(n, cells)
    cell = np.arange(n) * side // n
    for i in range(side):
        for j in range(side):
            expected = dense[np.ix_(cell == i, cell == j)].mean()
            assert found[i, j] == pytest.approx(expected)


def test_mean_picture_is_the_mean_of_evenly_chosen_rows() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (1_000, 4, 5), dtype=np.uint8)
    few, many = np.arange(10), np.arange(1_000)
    np.testing.assert_allclose(mean_picture(pictures, few), pictures[:10].mean(axis=0) / 255)
    np.testing.assert_allclose(mean_picture(pictures, many), pictures[::3].mean(axis=0) / 255)


@pytest.mark.parametrize(
    ("picture", "mode", "expected"),
    [
        (np.full((2, 3), 7, np.uint8), "L", 7),
        (np.full((2, 3, 1), 7, np.uint8), "L", 7),
        (np.full((2, 3, 3), 7, np.uint8), "RGB", (7, 7, 7)),
        (np.full((2, 3, 4), 7, np.uint8), "RGB", (7, 7, 7)),
        (np.full((2, 3, 5), 7, np.uint8), "L", 7),
        (np.full((2, 3), 0.5), "L", 128),
        (np.array([[-2.0, 2.0, 0.0]] * 2), "L", 0),
        (np.array([[np.nan, 1.0, 1.0]] * 2), "L", 0),
    ],
    ids=["grey", "one channel", "colour", "alpha", "five channels", "unit", "stretched", "nan"],
)
def test_as_image(picture: np.ndarray, mode: str, expected: Any) -> None:
    image = as_image(picture)
    assert (image.mode, image.size) == (mode, (3, 2))
    assert image.getpixel((0, 0)) == expected


def test_thumbnails_lie_where_the_map_looks_for_them() -> None:
    grey = (np.arange(2_100) * 37 % 256).astype(np.uint8)
    sheets = sprite_sheets((np.full((16, 16), value) for value in grey), len(grey))
    images = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
        for uri in sheets.uris
    ]
    assert (len(images), sheets.side) == (3, 16)
    parts = SpriteSheets.place(np.arange(len(grey)), sheets.side)
    for value, sheet, left, top in zip(grey, *parts, strict=True):
        cell = images[sheet][top : top + 16, left : left + 16]
        assert abs(float(cell[4:12, 4:12].mean()) - value) < 8


def test_clusters_are_told_apart_by_colour_or_mark() -> None:
    kinds = {(colour_of(i), mark_of(i)) for i in range(len(COLOURS) * len(MARKS))}
    assert len(kinds) == len(COLOURS) * len(MARKS)


def test_figures_are_bokeh_figures() -> None:
    from bokeh.plotting import figure

    drawn = [
        figures.size_chart(np.array([3, 4, 50])),
        figures.size_chart(np.arange(1, 100)),
        cluster_map(np.eye(3, 2), np.arange(3), {"row": ["a", "b", "c"]}),
        figures.eigenvalue_chart(np.linspace(0, 1, 60), 60),
        figures.confusion_chart(np.eye(50, dtype=int), ["a" * 40] * 50, ["b"] * 50),
    ]
    assert all(isinstance(plot, figure) for plot in drawn)


# As it is seen in a browser


def test_page_draws_everything_and_asks_for_nothing(browser: Browser, tmp_path: Path) -> None:
    written(tmp_path, complete())
    browser.open(tmp_path / "report.html")
    assert browser.script("return document.documentElement.dataset.ready") == "yes"
    assert browser.script("return Bokeh.documents.length") == 10
    assert browser.messages() == []
    schemes = {address.partition(":")[0] for address in browser.requests()}
    assert schemes <= {"file", "data"}
    pictures = "return [...document.images].filter((image) => image.naturalWidth > 0).length"
    browser.script("for (const image of document.images) image.loading = 'eager'")
    browser.wait_for(pictures.replace("length", "length === document.images.length"))


def point_at_first_mark(browser: Browser) -> str:
    """Move the pointer to a mark of the map; return what the tooltip says."""
    place = browser.script(
        """
        window.scrollTo(0, 0);
        const plot = Bokeh.documents[0].roots()[0];
        const view = Object.values(Bokeh.index).find((view) => view.model === plot);
        const marks = plot.renderers.find((renderer) => renderer.name === "marks");
        const { x, y } = marks.data_source.data;
        const box = view.canvas_view.el.getBoundingClientRect();
        window.lastPointer = {
          x: box.x + view.frame.x_scale.compute(x[0]), y: box.y + view.frame.y_scale.compute(y[0]),
        };
        return [box.x + view.frame.x_scale.compute(x[0]), box.y + view.frame.y_scale.compute(y[0])];
        """
    )
    for step in (-2, -1, 0):
        position = {"x": place[0] + step, "y": place[1]}
        browser.cdp("Input.dispatchMouseEvent", type="mouseMoved", **position)
    words: str = browser.wait_for(
        """
        const find = (root) => {
          for (const element of root.querySelectorAll("*")) {
            if (!element.shadowRoot) continue;
            if (String(element.className).includes("Tooltip")) {
              const shown = element.shadowRoot.querySelector("b");
              if (shown) return shown.parentNode.parentNode.innerText;
            }
            const inside = find(element.shadowRoot);
            if (inside) return inside;
          }
        };
        return find(document);
        """
    )
    return words


def test_hover_shows_the_row_and_its_picture(browser: Browser, tmp_path: Path) -> None:
    report = complete()
    written(tmp_path, report)
    browser.open(tmp_path / "report.html")
    words = point_at_first_mark(browser)
    assert f"cluster {report.labels[0]}" in words
    assert "row row 0" in words
    assert "known class class 0" in words
    assert "text text number 0" in words
    assert any(address.startswith("data:image/webp") for address in browser.requests())


def test_hostile_names_and_texts_run_nothing(browser: Browser, tmp_path: Path) -> None:
    report = replace(
        complete(),
        title=HOSTILE_NAME,
        ids=[HOSTILE_NAME] * 60,
        texts=[HOSTILE_TEXT] * 60,
        known=[HOSTILE_TEXT] * 60,
        metrics={HOSTILE_TEXT: 1.0},
        class_names=[HOSTILE_TEXT, HOSTILE_NAME],
        cluster_names=[HOSTILE_TEXT] * 3,
        timings={HOSTILE_TEXT: 1.0},
        parameters={HOSTILE_NAME: HOSTILE_TEXT},
        notes=[HOSTILE_TEXT],
        kind=HOSTILE_TEXT,
    )
    harmless = len(re.findall("<script", written(tmp_path, complete())))
    for shown in (report, replace(report, pictures=None)):
        written(tmp_path, shown)
        browser.open(tmp_path / "report.html")
        assert browser.script("return document.documentElement.dataset.ready") == "yes"
        words = point_at_first_mark(browser)
        assert HOSTILE_NAME in words
        assert "</script><script>window.hit=2</script><b>bold</b> &amp; @{row}{safe}" in words
        assert browser.script("return window.hit") is None
        assert browser.script("return document.querySelector('h1').textContent") == HOSTILE_NAME
        assert browser.script("return document.scripts.length") == harmless
        assert browser.script("return document.querySelectorAll('img[onerror]').length") == 0
        assert browser.messages() == []


def test_a_script_that_slipped_in_would_be_stopped(browser: Browser, tmp_path: Path) -> None:
    page = written(tmp_path, data())
    holed = page.replace("</h1>", "</h1><script>window.hit = 3</script>" + HOSTILE_NAME, 1)
    (tmp_path / "holed.html").write_text(holed, encoding="utf-8")
    browser.open(tmp_path / "holed.html")
    assert browser.script("return window.hit") is None
    assert any("Content Security Policy" in message for message in browser.messages())


@pytest.mark.parametrize("width", [320, 390])
def test_phone_width_needs_no_sideways_scrolling(
    width: int, browser: Browser, tmp_path: Path
) -> None:
    report = replace(complete(), ids=["an_unbreakable_name_" * 12] * 60)
    for shown in (report, replace(report, pictures=None)):
        written(tmp_path, shown)
        browser.open(tmp_path / "report.html", width=width)
        assert browser.script("return document.documentElement.scrollWidth") <= width
        # A swipe over a figure scrolls the page: no tool takes hold of it unasked.
        tools = "return Bokeh.documents[0].roots()[0].toolbar.gestures"
        gestures = (
            browser.script(tools + ".pan.active ?? null"),
            browser.script(tools + ".scroll.active ?? null"),
        )
        assert gestures == (None, None)


def test_dark_scheme_has_dark_ground_and_light_ink(browser: Browser, tmp_path: Path) -> None:
    written(tmp_path, complete())
    seen = {}
    for dark in (False, True):
        browser.open(tmp_path / "report.html", dark=dark)
        seen[dark] = browser.script(
            """
            const plot = Bokeh.documents[1].roots()[0];
            return [
              getComputedStyle(document.body).backgroundColor,
              getComputedStyle(document.body).color,
              plot.below[0].major_label_text_color,
              plot.background_fill_color,
            ];
            """
        )
    assert seen[False] == ["rgb(255, 255, 255)", "rgb(28, 32, 36)", "#596068", None]
    assert seen[True] == ["rgb(20, 23, 27)", "rgb(232, 234, 237)", "#a6adb5", None]


def click(browser: Browser, selector: str) -> None:
    """Press an element of the page, found by its selector."""
    browser.script(f"document.querySelector({selector!r}).click()")


# How many marks of each cluster the map shows; Bokeh applies filters after the script returns.
SHOWN = """
    const plot = Bokeh.documents[0].roots()[0];
    const marks = plot.renderers.find((renderer) => renderer.name === "marks");
    const own = marks.data_source.data.cluster;
    const counts = {};
    for (const i of marks.view.indices) counts[own[i]] = (counts[own[i]] ?? 0) + 1;
    return counts;
"""


def test_a_cluster_is_isolated_by_button_card_and_mark(browser: Browser, tmp_path: Path) -> None:
    report = complete()
    sizes = {str(i): int(size) for i, size in enumerate(np.bincount(report.labels))}
    written(tmp_path, report)
    browser.open(tmp_path / "report.html")
    assert browser.script(SHOWN) == sizes
    for selector, cluster in (('#isolate [data-cluster="2"]', "2"), ("#cluster-1 button", "1")):
        click(browser, selector)
        assert browser.script(SHOWN) == {cluster: sizes[cluster]}
        pressed = "return document.querySelector('[aria-pressed=true]').dataset.cluster"
        assert browser.script(pressed) == cluster
    click(browser, '#isolate [data-cluster=""]')
    assert browser.script(SHOWN) == sizes
    point_at_first_mark(browser)
    position = browser.script("return window.lastPointer")
    for kind in ("mousePressed", "mouseReleased"):
        browser.cdp("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **position)
    own = str(report.labels[0])
    browser.wait_for(f"return document.documentElement.dataset.isolated === {own!r}")
    assert browser.script(SHOWN) == {own: sizes[own]}
    assert "row 0" in browser.script("return document.getElementById('row').innerText")
    assert browser.messages() == []


def test_rows_are_found_by_name_with_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    report = complete()
    written(tmp_path, report)
    browser.open(tmp_path / "report.html")
    browser.script("document.getElementById('search').focus()")
    browser.cdp("Input.insertText", text="ROW 7")
    found = "return [...document.querySelectorAll('#found button')].map((b) => b.textContent)"
    assert browser.script(found) == [f"row 7 (cluster {report.labels[7]})"]
    for kind in ("keyDown", "keyUp"):
        browser.cdp("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13)
    told = browser.script("return document.getElementById('row').innerText")
    assert "row 7" in told
    assert "class 1" in told
    picture = "return document.querySelector('#row .picture').style.backgroundImage"
    assert "--sheet-0" in browser.script(picture)
    browser.script("const s = document.getElementById('search'); s.value = 'row'; ")
    browser.script("document.getElementById('search').dispatchEvent(new Event('input'))")
    assert len(browser.script(found)) == 30
    told = browser.script("return document.getElementById('found').lastChild.textContent")
    assert told == "and 30 more"


def test_seventy_thousand_rows_open_quickly(browser: Browser, tmp_path: Path) -> None:
    n = 70_000
    labels, embedding = blobs(n, 10)
    pictures = np.zeros((n, 28, 28), dtype=np.uint8)
    pictures[:, 4:24, 4:24] = (np.arange(n) % 256)[:, None, None]
    ids = [f"folder/{i:06d}.png" for i in range(n)]
    written(tmp_path, ReportData("Many", ids, labels, embedding, pictures=pictures))
    browser.open(tmp_path / "report.html")
    assert browser.script("return document.documentElement.dataset.ready") == "yes"
    assert sum(browser.script(SHOWN).values()) == n
    assert browser.messages() == []


def test_eigenvectors_are_told_in_words_and_numbers() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    embedding = np.eye(3)[labels] * [1.0, -2.0, 0.5]
    data = ReportData(
        title="t",
        ids=[str(i) for i in range(100)],
        labels=labels,
        embedding=embedding,
        eigenvalues=np.array([0.0, 0.1, 0.2]),
    )
    found = sections.eigenvectors(data)
    assert found is not None
    assert found["columns"] == [0, 1, 2]
    means = np.array([row for _, row in found["rows"]])
    # each column sets its own cluster apart, in units of its root mean square
    np.testing.assert_allclose(np.diag(means), [2**0.5, -((100 / 30) ** 0.5), 5**0.5])
    assert np.count_nonzero(means) == 3
    assert figures.eigenvector_chart(embedding, labels) is not None


# Of methods without a graph, and of trainings in phases


class Fitted:
    """What `describe` needs of an estimator, and no more."""

    def __init__(self, n: int = 60, k: int = 3) -> None:
        self.labels_, self.embedding_ = blobs(n, k)


class Dual(Fitted):
    """With what an autoencoder trained in phases keeps besides."""

    row_shape_ = (4, 5)
    phase_rows_ = np.arange(0, 60, 3)

    def __init__(self) -> None:
        super().__init__()
        rows = np.linspace(0.0, 2.0, 5 * 20, dtype=np.float32).reshape(5, 20)
        self.examples_ = {"rows": rows, "decoded": rows / 2, "decoded_noisy": rows + 9}
        noise = np.random.default_rng(0).normal(size=(20, 3))
        self.phases_ = {"pretraining": noise, "joint 1": self.embedding_[::3]}
        self.rounds_ = [
            {"round": 1, "changed": 0.125, "kept": True},
            {"round": 2, "collapsed": "the loss became nan", "kept": False},
        ]


def test_without_an_affinity_the_nearest_in_the_embedding_are_linked() -> None:
    described = describe(Fitted())
    assert described.affinity.shape == (60, 60)
    assert "each row's 10 nearest rows in the embedding" in described.links
    told = sections.affinity(described)
    assert told is not None
    assert told["text"].startswith(described.links)
    # the cones of `blobs` are apart: hardly a link leaves its cluster
    assert all(row["inside"] > 0.9 for row in told["rows"])
    assert describe(Fitted(2, 2)).affinity is None


def test_phases_and_reconstructions_are_shown(tmp_path: Path) -> None:
    described = describe(Dual())
    (gallery,) = described.galleries
    assert gallery.group == 3
    assert list(gallery.captions[:3]) == ["image 1", "decoded", "decoded from a noisy code"]
    assert gallery.pictures[0].shape == (4, 5)
    # all three on the scale of the images, what leaves it is cut
    np.testing.assert_allclose(gallery.pictures[12].ravel(), Dual().examples_["rows"][4] / 2)
    assert (np.asarray(gallery.pictures[14]) == 1.0).all()
    first, last = phase_sections(described)
    assert (first["title"], last["title"]) == ("pretraining", "joint 1")
    assert last["share"] == 1.0 > first["share"]
    page = markup_of(written(tmp_path, described))
    assert "After joint 1: 100.0% of these rows have their nearest in their own cluster." in page
    assert "<td>1</td><td>0.1250</td><td>True</td>" in page
    assert "<td>2</td><td>collapsed</td><td>False</td>" in page


def test_vectors_have_no_reconstructions_to_look_at() -> None:
    model = Dual()
    model.row_shape_ = (20,)
    assert describe(model).galleries == []


def test_the_rate_is_told_but_not_drawn() -> None:
    rows = [{"stage": "map", "step": i, "loss": 2.0 - i, "learning_rate": 1e-3} for i in range(2)]
    (part,) = sections.history(data(history=rows))
    drawn = [glyph.data_source.data["name"][0] for glyph in part["figure"].renderers]
    assert set(drawn) == {"loss"}
    assert "learning_rate from 0.001 to 0.001" in part["text"]
