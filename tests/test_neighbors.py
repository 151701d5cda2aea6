"""Neighbour search against brute force in float64, and the recall that cells claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from fiedler.exceptions import InputError
from fiedler.graph import (
    NeighborGraph,
    NeighborIndex,
    cell_directions,
    cell_scan,
    cell_search,
    exact_search,
    nearest_neighbors,
)
from fiedler.graph import cells as cells_module
from fiedler.graph.blocks import RowBlocks, block_size
from fiedler.graph.calibration import true_neighbors
from fiedler.graph.cell_directions import choose_scan
from fiedler.graph.precision import cpu_multiplies_bfloat16


def all_distances(rows: Any, queries: Any, metric: str = "euclidean") -> np.ndarray:
    """Brute force in float64."""
    flat = [np.asarray(x, dtype=np.float64).reshape(len(x), -1) for x in (queries, rows)]
    if metric == "cosine":  # the search gives the distance between unit vectors
        flat = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in flat]
    return cdist(*flat)


def check_exact(
    indices: np.ndarray, distances: np.ndarray, true: np.ndarray, *, own: bool, tol: float = 1e-5
) -> None:
    """Each found row has the distance claimed, and no nearer one was left out."""
    true = true.copy()
    if own:
        np.fill_diagonal(true, np.inf)
    k = indices.shape[1]
    scale = true[np.isfinite(true)].max() + 1e-30
    assert indices.dtype == np.int64
    assert distances.dtype == np.float32
    assert all(len(set(row)) == k for row in indices.tolist())
    found = np.take_along_axis(true, indices, axis=1)
    np.testing.assert_allclose(distances, found, rtol=1e-5, atol=tol * scale)
    np.testing.assert_allclose(found, np.sort(true, axis=1)[:, :k], rtol=1e-5, atol=tol * scale)
    assert (np.diff(distances, axis=1) >= 0).all()


def recall_of(indices: np.ndarray, true: np.ndarray, *, own: bool) -> float:
    true = true.copy()
    if own:
        np.fill_diagonal(true, np.inf)
    kth = np.partition(true, indices.shape[1] - 1, axis=1)[:, indices.shape[1] - 1]
    found = np.take_along_axis(true, indices, axis=1)
    return float((found <= kth[:, None] * (1 + 1e-6) + 1e-9).mean())


@pytest.fixture(scope="module")
def many_digits() -> np.ndarray:
    """Digits, replicated with noise: 4,000 rows in groups."""
    digits = load_digits().data
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(digits), 4000)
    return (digits[chosen] + rng.normal(0, 1.5, (4000, 64))).astype(np.float32)


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(2, 30), st.integers(1, 6)),
        # squares of smaller numbers vanish in float32
        elements=st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-9),
    ),
    st.data(),
)
def test_exact_search_equals_brute_force(rows: np.ndarray, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(rows) - 1))
    graph = nearest_neighbors(rows, k)
    assert graph.recall == 1.0
    assert graph.n_neighbors == k
    check_exact(graph.indices, graph.distances, all_distances(rows, rows), own=True)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize(
    "storage", ["float32", "float64", "int", "csr", "coo", "torch", "bfloat16"]
)
def test_every_storage_gives_the_same_neighbors(metric: Any, storage: str) -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 60, (150, 12)) * (rng.random((150, 12)) < 0.7)
    rows[:, 0] += 1  # no zero rows, which have no cosine
    stored: Any = {
        "float32": lambda: rows.astype(np.float32),
        "float64": lambda: rows.astype(np.float64),
        "int": lambda: rows,
        "csr": lambda: sp.csr_matrix(rows.astype(float)),
        "coo": lambda: sp.coo_array(rows.astype(np.float32)),
        "torch": lambda: torch.from_numpy(rows),
        "bfloat16": lambda: torch.from_numpy(rows).to(torch.bfloat16),  # exact for such integers
    }[storage]()
    graph = nearest_neighbors(stored, 9, metric=metric)
    check_exact(graph.indices, graph.distances, all_distances(rows, rows, metric), own=True)


@pytest.mark.parametrize("method", ["exact", "cells"])
def test_images_and_memory_maps(method: Any, tmp_path: Path) -> None:
    images = (load_digits().images[:900] * 15).astype(np.uint8)
    path = tmp_path / "images.npy"
    np.save(path, images)
    mapped = np.load(path, mmap_mode="r")
    for rows in (images, mapped, torch.from_numpy(images)):
        graph = nearest_neighbors(rows, 5, method=method, recall=1.0)
        check_exact(graph.indices, graph.distances, all_distances(images, images), own=True)


def test_ties_go_to_the_lower_index() -> None:
    rows = np.array([[0.0], [1.0], [-1.0], [3.0], [1.0], [2.0]])  # of mean 1: no rounding
    graph = nearest_neighbors(rows, 5)
    assert graph.indices[0].tolist() == [1, 2, 4, 5, 3]
    assert graph.indices[3].tolist() == [5, 1, 4, 0, 2]


@pytest.mark.parametrize("method", ["exact", "cells"])
def test_duplicates_are_at_distance_zero_exactly(method: Any) -> None:
    rows = np.random.default_rng(2).normal(5, 3, (300, 40))
    rows = np.vstack([rows, rows, rows])
    graph = nearest_neighbors(rows, 3, method=method, recall=1.0)
    assert (graph.distances[:, :2] == 0).all()
    assert (graph.distances[:, 2] > 0).all()
    copies = np.sort(np.arange(900)[:, None] % 300 + [0, 300, 600], axis=1)
    others = copies[copies != np.arange(900)[:, None]].reshape(900, 2)
    assert (np.sort(graph.indices[:, :2], axis=1) == others).all()


def test_more_duplicates_than_candidates() -> None:
    rows = np.repeat(np.arange(3.0), 40)[:, None]
    graph = nearest_neighbors(rows, 7)
    assert (graph.distances == 0).all()
    check_exact(graph.indices, graph.distances, all_distances(rows, rows), own=True)


def test_all_rows_equal() -> None:
    graph = nearest_neighbors(np.full((20, 3), 7.25), 19)
    assert (graph.distances == 0).all()
    assert (np.sort(graph.indices, axis=1)[:, 0] == (np.arange(20) == 0)).all()


def test_a_large_offset_costs_no_digits() -> None:
    rows = np.random.default_rng(3).normal(size=(200, 3))
    graph = nearest_neighbors(rows + 1.7e9, 5)
    check_exact(graph.indices, graph.distances, all_distances(rows, rows), own=True, tol=1e-6)
    cells = nearest_neighbors(rows + 1.7e9, 5, method="cells", recall=1.0)
    check_exact(cells.indices, cells.distances, all_distances(rows, rows), own=True, tol=1e-6)


def test_blocks_smaller_than_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(4).normal(size=(331, 7))
    queries = np.random.default_rng(5).normal(size=(50, 7))
    monkeypatch.setattr(exact_search, "block_size", lambda *_: 23)
    index = NeighborIndex(rows, 12)
    graph = index.graph()
    check_exact(graph.indices, graph.distances, all_distances(rows, rows), own=True)
    found, distances = index.query(queries, 12)
    check_exact(found, distances, all_distances(rows, queries), own=False)
    assert block_size(10**9) == 16
    assert block_size(100, 4000) == 16
    assert block_size(100, 40000) == 100


def test_cells_in_small_blocks_of_queries(
    many_digits: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nearest_neighbors(many_digits, 6, method="cells", recall=0.95)
    monkeypatch.setattr(cell_search, "_QUERY_BLOCK", 777)
    parts = nearest_neighbors(many_digits, 6, method="cells", recall=0.95)
    assert (whole.indices == parts.indices).mean() > 0.999  # products of other shapes round anew
    assert parts.recall == pytest.approx(whole.recall, abs=0.01)


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_cells_find_the_share_asked_for(
    many_digits: np.ndarray, recall: float, metric: Any
) -> None:
    graph = nearest_neighbors(many_digits, 10, metric=metric, method="cells", recall=recall)
    true = all_distances(many_digits, many_digits, metric)
    measured = recall_of(graph.indices, true, own=True)
    assert measured >= recall - 0.02
    assert graph.recall == pytest.approx(measured, abs=0.02)
    assert (graph.indices != np.arange(4000)[:, None]).all()
    found = np.take_along_axis(true, graph.indices, axis=1)
    np.testing.assert_allclose(graph.distances, found, rtol=1e-3, atol=1e-3)


def test_cells_of_new_rows(many_digits: np.ndarray) -> None:
    index = NeighborIndex(many_digits[:3200], 8, method="cells", recall=0.95)
    new = many_digits[3200:]
    found, distances = index.query(new, 8)
    true = all_distances(many_digits[:3200], new)
    assert recall_of(found, true, own=False) >= 0.92
    np.testing.assert_allclose(distances, np.take_along_axis(true, found, 1), rtol=1e-3)
    same, zero = index.query(many_digits[:50], 1)
    assert same[:, 0].tolist() == list(range(50))
    assert (zero == 0).all()


def test_a_row_is_found_alike_alone_and_in_company(many_digits: np.ndarray) -> None:
    index = NeighborIndex(many_digits[:3200], 8, method="cells", recall=0.95)
    together, _ = index.query(many_digits[3200:3240], 8)
    alone = np.vstack([index.query(row[None], 8)[0] for row in many_digits[3200:3240]])
    assert (together == alone).mean() > 0.99


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n_probes", [1, 2, 7, 20])
def test_a_scan_keeps_the_best_of_the_probed_cells(
    dtype: torch.dtype, n_probes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against all distances to the rows of the probed cells, some of which hold few rows."""
    monkeypatch.setattr(cells_module, "scan_dtype", lambda _: dtype)
    monkeypatch.setattr(cells_module, "ROWS_PER_CELL", 30)
    rng = np.random.default_rng(7)
    rows = RowBlocks(rng.integers(-8, 8, size=(900, 6)).astype(np.float32) / 4)  # exact in bfloat16
    rows.shift.zero_()
    index = cells_module.build_cells(rows, rng, torch.device("cpu"))
    queries = torch.from_numpy(rng.integers(-8, 8, size=(70, 6)).astype(np.float32) / 4)
    found = cell_scan.scan_cells(index, queries, 12, n_probes)
    probes = cells_module.nearest_cells(queries, index.centroids, n_probes)
    cell_of = torch.arange(len(index.sizes)).repeat_interleave(torch.tensor(index.sizes))
    squared = torch.cdist(queries, index.stored.take(slice(None))) ** 2
    squared[~(cell_of[None, :, None] == probes[:, None, :]).any(2)] = torch.inf
    best = squared.sort(dim=1).values[:, :12]
    got = torch.where(found < 0, torch.inf, squared.gather(1, found.clamp(min=0)))
    assert torch.equal(got.isinf(), best.isinf())
    torch.testing.assert_close(got.sort(dim=1).values, best, rtol=0, atol=0.13)
    assert all(len(set(row[row >= 0].tolist())) == (row >= 0).sum() for row in found)


def test_near_cells_are_stored_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "ROWS_PER_CELL", 20)
    rng = np.random.default_rng(8)
    centers = rng.normal(size=(4, 5)) * 50
    rows = (centers[rng.integers(4, size=4000)] + rng.normal(size=(4000, 5))).astype(np.float32)
    index = NeighborIndex(rows, 5, method="cells").cells
    assert index is not None
    group = np.linalg.norm(index.centroids.numpy()[:, None] + rows.mean(0) - centers, axis=2)
    changes = (np.diff(group.argmin(axis=1)) != 0).sum()
    assert changes < 20, "of 200 cells in no order some 150 would be followed by another group's"


@pytest.fixture(scope="module")
def wide_rows() -> np.ndarray:
    """Rows of 256 features near a random space of 16 dimensions."""
    rng = np.random.default_rng(10)
    inner = rng.normal(size=(4000, 16)) @ rng.normal(size=(16, 256))
    return (inner + rng.normal(0, 0.3, inner.shape)).astype(np.float32)


def as_bytes(rows: np.ndarray) -> np.ndarray:
    return np.clip(rows * 8 + 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("storage", ["float32", "uint8", "csr"])
def test_wide_rows_are_scanned_in_few_directions(
    wide_rows: np.ndarray, metric: Any, storage: str
) -> None:
    rows = as_bytes(wide_rows) if storage == "uint8" else wide_rows
    searched = sp.csr_matrix(rows[:3600]) if storage == "csr" else rows[:3600]
    index = NeighborIndex(searched, 8, metric=metric, method="cells", recall=0.95)
    assert index.cells is not None
    assert index.cells.centroids.shape[1] == index.cells.scanned.shape[1] == 64
    graph = index.graph()
    true = all_distances(rows[:3600], rows[:3600], metric)
    measured = recall_of(graph.indices, true, own=True)
    assert measured >= 0.93
    assert graph.recall == pytest.approx(measured, abs=0.02)
    assert (graph.indices != np.arange(3600)[:, None]).all()
    found = np.take_along_axis(true, graph.indices, axis=1)
    np.testing.assert_allclose(graph.distances, found, rtol=1e-3)  # those of the whole rows
    new, distances = index.query(rows[3600:], 8)
    true = all_distances(rows[:3600], rows[3600:], metric)
    assert recall_of(new, true, own=False) >= 0.92
    np.testing.assert_allclose(distances, np.take_along_axis(true, new, 1), rtol=1e-3)


def test_no_directions_where_none_hold_the_neighbors(wide_rows: np.ndarray) -> None:
    noise = np.random.default_rng(11).normal(size=(3000, 256)).astype(np.float32)

    def width(rows: np.ndarray, **options: Any) -> int:
        index = NeighborIndex(rows, 8, method="cells", **options)
        assert index.cells is not None
        assert (index.cells.directions is None) == (index.cells.centroids.shape[1] == 256)
        return int(index.cells.centroids.shape[1])

    assert width(noise, recall=0.95) == 256
    assert width(wide_rows, recall=0.95) == 64
    assert width(wide_rows, recall=1.0) == 256
    assert width(wide_rows[:200], recall=0.95) == 256  # too few rows to know directions by


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_directions_find_is_told_by_all_rows(
    wide_rows: np.ndarray, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the rank of each neighbour among all rows, in float64."""
    monkeypatch.setattr(cell_directions, "scan_dtype", lambda _: dtype)
    noisy = wide_rows + np.random.default_rng(12).normal(0, 3, wide_rows.shape).astype(np.float32)
    rows, rng = RowBlocks(noisy), np.random.default_rng(0)
    truth = true_neighbors(rows, 8, rng, torch.device("cpu"))
    scan = choose_scan(rows, truth, 0.5, rng)
    directions, found = scan.directions, scan.found
    assert directions is not None
    assert scan.dtype == dtype
    torch.testing.assert_close(directions.T @ directions, torch.eye(64), rtol=0, atol=1e-4)
    whole = rows.take(slice(None)).double()
    narrow = whole @ directions.double()
    score = (whole * whole).sum(1) - 2 * narrow[truth.sample] @ narrow.T
    score[np.arange(len(truth.sample)), truth.sample] = torch.inf
    rank = score.argsort(1).argsort(1).numpy()
    kept = np.take_along_axis(rank, truth.neighbors[:, :8], 1) < 8 + exact_search.MARGIN
    assert 0.5 < kept.mean() < 1
    assert found.mean() == pytest.approx(kept.mean(), abs=0.05)
    assert (found | ~kept).mean() > 0.98, "what is found among all is found among the nearest"


@pytest.mark.parametrize(("apart", "dtype"), [(1, torch.bfloat16), (30, torch.float32)])
def test_bfloat16_only_where_it_tells_neighbors_apart(
    apart: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (cells_module, cell_directions):
        monkeypatch.setattr(module, "scan_dtype", lambda _: torch.bfloat16)
    monkeypatch.setattr(cells_module, "ROWS_PER_CELL", 50)
    rng = np.random.default_rng(14)
    groups = rng.normal(size=(10, 20)) * apart
    rows = (groups[rng.integers(10, size=4000)] + rng.normal(size=(4000, 20))).astype(np.float32)
    index = NeighborIndex(rows, 8, method="cells", recall=0.95)
    assert index.cells is not None
    assert index.cells.scanned.dtype == dtype
    assert recall_of(index.graph().indices, all_distances(rows, rows), own=True) > 0.93


def test_full_recall_scans_every_cell(many_digits: np.ndarray) -> None:
    rows = many_digits[:2500]
    graph = nearest_neighbors(rows, 10, method="cells", recall=1.0)
    assert recall_of(graph.indices, all_distances(rows, rows), own=True) > 0.999
    assert graph.recall > 0.999


def test_cells_of_mnist(data_dir: Path) -> None:
    with np.load(data_dir / "mnist.npz") as archive:
        images = next(archive[name] for name in archive.files if archive[name].ndim > 1)[:4000]
    graph = nearest_neighbors(images, 10, method="cells", recall=0.95)
    flat = images.reshape(4000, -1).astype(np.float32)
    norms = (flat * flat).sum(1)  # exact: sums of squares of bytes, below 2^24 each
    squared = norms[:, None] + norms - 2 * (flat @ flat.T)
    true = np.sqrt(np.maximum(squared, 0))
    assert recall_of(graph.indices, true, own=True) >= 0.93


def test_the_recall_of_many_duplicates_is_told_by_distance() -> None:
    rows = np.repeat(np.random.default_rng(12).normal(size=(60, 5)), 30, axis=0)
    graph = nearest_neighbors(rows, 10, method="cells", recall=0.9)
    assert graph.recall == 1.0
    assert (graph.distances == 0).all()


def test_too_few_rows_in_the_probed_cells() -> None:
    """Twenty lonely rows form a cell with fewer rows than neighbours asked for."""
    rng = np.random.default_rng(6)
    rows = np.vstack([rng.normal(0, 1, (1200, 4)), rng.normal(200, 0.1, (20, 4))])
    graph = nearest_neighbors(rows, 60, method="cells", recall=0.5)
    true = all_distances(rows, rows)
    check_exact(
        graph.indices[1200:], graph.distances[1200:], true[1200:, :] + own_at(1200, true), own=False
    )
    index = NeighborIndex(rows, 60, method="cells", recall=0.5)
    found, distances = index.query(rows[1200:], 60)
    check_exact(found, distances, true[1200:], own=False)


def own_at(start: int, true: np.ndarray) -> np.ndarray:
    penalty = np.zeros_like(true[start:])
    penalty[np.arange(len(penalty)), start + np.arange(len(penalty))] = 1e9
    return penalty


def test_fewer_rows_than_one_cell() -> None:
    rows = np.random.default_rng(7).normal(size=(30, 3))
    graph = nearest_neighbors(rows, 29, method="cells")
    check_exact(graph.indices, graph.distances, all_distances(rows, rows), own=True)


def test_equal_seeds_equal_neighbors(many_digits: np.ndarray) -> None:
    rows = many_digits[:3000]
    first, second = (
        nearest_neighbors(rows, 7, method="cells", recall=0.9, random_state=3) for _ in range(2)
    )
    assert (first.indices == second.indices).all()
    assert (first.distances == second.distances).all()
    assert first.recall == second.recall


def test_sparse_rows_in_cells(many_digits: np.ndarray) -> None:
    rows = np.where(many_digits[:2000] > 8, many_digits[:2000], 0)
    graph = nearest_neighbors(sp.csr_matrix(rows), 5, method="cells", recall=0.95)
    assert recall_of(graph.indices, all_distances(rows, rows), own=True) >= 0.93


def test_auto_is_exact_for_few_rows_and_cells_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(8).normal(size=(900, 8))
    assert NeighborIndex(rows, 5).cells is None
    monkeypatch.setattr("fiedler.graph.neighbors._EXACT_PRODUCTS", 1e6)
    assert NeighborIndex(rows, 5).cells is not None
    assert NeighborIndex(rows, 5, recall=1.0).cells is None
    assert NeighborIndex(rows, 5, method="exact").cells is None


@pytest.mark.parametrize("method", ["exact", "cells"])
def test_progress_ends_at_the_last_row(method: Any, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[str, float, float]] = []
    rows = np.random.default_rng(9).normal(size=(500, 4))
    nearest_neighbors(rows, 3, method=method, progress=lambda *call: calls.append(call))
    assert calls[-1] == ("neighbors", 500, 500)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    assert capsys.readouterr() == ("", "")


def test_cut_keeps_the_nearest() -> None:
    rows = np.random.default_rng(10).normal(size=(60, 4))
    graph = nearest_neighbors(rows, 9)
    small, direct = graph.cut(4), nearest_neighbors(rows, 4)
    assert isinstance(small, NeighborGraph)
    assert (small.indices == direct.indices).all()
    np.testing.assert_allclose(small.distances, direct.distances, rtol=1e-6)
    assert np.shares_memory(small.indices, graph.indices)
    assert graph.cut(9).n_neighbors == 9
    for k in (0, 10):
        with pytest.raises(InputError, match=f"cannot cut 9 neighbours to k = {k}"):
            graph.cut(k)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_neighbors": 0}, "between 1 and the number of rows less one, 11; got 0"),
        ({"n_neighbors": 12}, "between 1 and the number of rows less one, 11; got 12"),
        ({"method": "annoy"}, "must be 'auto', 'exact' or 'cells', got 'annoy'"),
        ({"metric": "hamming"}, "must be 'euclidean' or 'cosine', got 'hamming'"),
        ({"recall": 0.0}, r"recall must be in \(0, 1\], got 0.0"),
        ({"recall": 1.1}, r"recall must be in \(0, 1\], got 1.1"),
    ],
)
def test_bad_options_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        nearest_neighbors(np.zeros((12, 2)), **{"n_neighbors": 3, **arguments})


def test_new_rows_of_other_width_are_refused() -> None:
    index = NeighborIndex(np.zeros((12, 2)), 3)
    with pytest.raises(InputError, match="new rows have 3 features, the index 2"):
        index.query(np.zeros((4, 3)), 3)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_row_blocks_keep_the_shift(metric: Any) -> None:
    rows = np.random.default_rng(11).normal(40, 1, (10, 3)).astype(np.float32)
    blocks = RowBlocks(rows, metric)
    selected = blocks.select(np.array([3, 4]))
    assert torch.equal(selected.take(slice(None)), blocks.take(slice(3, 5)))
    np.testing.assert_allclose(blocks.take(slice(None)).mean(0).numpy(), 0.0, atol=1e-4)
    joined = torch.cat([block for _, block in blocks.blocks(4)])
    assert torch.equal(joined, blocks.take(slice(None)))


@pytest.mark.parametrize(
    ("tiles", "products", "vendor", "faster"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "GenuineIntel", False),  # measured: 0.6 of float32's speed
        (False, True, "AuthenticAMD", True),
        (False, False, "AuthenticAMD", False),
    ],
)
def test_bfloat16_only_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiles: bool,
    products: bool,
    vendor: str,
    faster: bool,
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    monkeypatch.setattr("fiedler.graph.precision._CPUINFO", info)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: products, raising=False)
    assert cpu_multiplies_bfloat16.__wrapped__() is faster


def test_rows_that_cannot_be_searched_are_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 4))
    index = NeighborIndex(rows, 3)
    holed = rows.copy()
    holed[3, 1] = np.nan
    for search in (lambda X: nearest_neighbors(X, 3), lambda X: index.query(X, 3)):
        with pytest.raises(InputError, match=r"NaN or infinity in 1 rows, first \[3\]"):
            search(holed)
        with pytest.raises(InputError, match=r"X has shape \(4,\); rows and columns"):
            search(rows[0])
        with pytest.raises(InputError, match="X has dtype <U1; integers, floats or booleans"):
            search([["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]])
    wanted = nearest_neighbors(rows, 3).indices
    for form in (rows.tolist(), pd.DataFrame(rows), torch.from_numpy(rows), sp.csc_matrix(rows)):
        np.testing.assert_array_equal(nearest_neighbors(form, 3).indices, wanted)
        np.testing.assert_array_equal(index.query(form, 4)[0][:, 1:], wanted)
