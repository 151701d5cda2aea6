"""Rows as the estimators take them: far from zero, as images, lazy, in torch's types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from brief import brief_dual
from sklearn.base import clone
from sklearn.datasets import make_blobs

from fiedler import (
    DSCDAN,
    DenseMap,
    SANet,
    SpectralClustering,
    SpectralEmbedding,
    SpectralLayer,
    SpectralNet,
    SpectralNetRecipe,
    Training,
    load,
    open_rows,
)
from fiedler.data.values import as_float
from fiedler.evaluation import accuracy
from fiedler.exceptions import InputError
from fiedler.graph import nearest_neighbors
from fiedler.graph.blocks import RowBlocks
from fiedler.training import far_offset

BLOBS, CLASSES = make_blobs(150, 5, centers=3, cluster_std=2, random_state=0)
WHOLE = np.round(10 * BLOBS)
# where float32 holds every 16th, and every 128th integer
FAR = [2**27, 1_600_000_000, -(2**40)]


class Lazy:
    """Rows that are read when they are asked for, in ascending order only, as of an HDF5 file."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.shape, self.dtype, self.ndim = rows.shape, rows.dtype, rows.ndim

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, selection: Any) -> np.ndarray:
        if not isinstance(selection, (slice, int)):
            assert (np.diff(selection) > 0).all(), "indices must be ascending"
        return self._rows[selection]


BRIEF = SpectralNetRecipe(
    network=DenseMap((32,)), views=None, training=Training(steps=40, batch_size=150)
)
BRIEF_DUAL = brief_dual(Training(steps=30, batch_size=50))


# Far from zero


@pytest.mark.parametrize("offset", FAR)
@pytest.mark.parametrize("affinity", ["knn", "gaussian", "epsilon"])
def test_integers_far_from_zero_are_told_apart(offset: int, affinity: str) -> None:
    rows = WHOLE.astype(np.int64) + offset
    near = SpectralClustering(3, affinity=affinity, random_state=0).fit(WHOLE)
    found = SpectralClustering(3, affinity=affinity, random_state=0).fit(rows)
    assert accuracy(near.labels_, found.labels_) == 1.0
    np.testing.assert_array_equal(found.predict(rows), found.labels_)
    np.testing.assert_array_equal(found.predict(rows.astype(float)), found.labels_)


@pytest.mark.parametrize(
    ("rows", "dtype"),
    [
        (np.zeros((2, 2), np.uint8), np.uint8),
        (np.zeros((2, 2), np.float64), np.float64),
        (np.zeros((2, 2), np.float16), np.float32),
        (np.full((2, 2), 65535, np.uint16), np.float32),
        (np.zeros((2, 2), bool), np.float32),
        (np.full((2, 2), 2**24), np.float32),
        (np.full((2, 2), -(2**24) - 1), np.float64),
        (sp.csr_matrix([[0, 2**24 + 1]]), np.float64),
        (sp.csr_matrix([[0, 3]]), np.float32),
        (np.full((2, 2), 2**63, np.uint64), np.float64),
    ],
)
def test_float64_only_for_integers_that_need_it(rows: Any, dtype: Any) -> None:
    assert as_float(rows).dtype == dtype


@pytest.mark.parametrize("first", [np.float32, np.float64])
def test_equal_rows_are_equal_in_either_precision(first: Any) -> None:
    """A new row that equals a fitted one is known by its distance of exactly zero."""
    rows = np.random.default_rng(0).normal(3, 1, (300, 4)).astype(np.float32)
    fitted = RowBlocks(rows.astype(first))
    for other in (np.float32, np.float64):
        new = RowBlocks(rows.astype(other), shift=fitted.shift)
        np.testing.assert_array_equal(new.take(slice(None)), fitted.take(slice(None)))


@pytest.mark.parametrize(
    "model",
    [SpectralNet(3, recipe=BRIEF, random_state=0), DSCDAN(3, recipe=BRIEF_DUAL, random_state=0)],
    ids=["SpectralNet", "DSCDAN"],
)
def test_networks_see_rows_far_from_zero(model: Any, tmp_path: Path) -> None:
    rows = BLOBS + 1.6e9
    model.fit(rows)
    assert accuracy(CLASSES, model.labels_) > 0.9
    np.testing.assert_array_equal(model.predict(rows), model.labels_)
    model.save(tmp_path / "far.fiedler")
    loaded = load(tmp_path / "far.fiedler")
    np.testing.assert_array_equal(loaded.transform(rows), model.embedding_)
    module, example = loaded.export_module()
    assert example.dtype == torch.float64
    found = module(torch.from_numpy(rows))["embedding"].detach().numpy()
    np.testing.assert_allclose(found, model.embedding_, atol=1e-4)
    if isinstance(model, DSCDAN):
        decoded = model.reconstruct(rows)
        assert np.abs(decoded - rows).mean() < np.abs(BLOBS).mean()
        assert np.abs(model.examples_["rows"] - 1.6e9).max() < 100


def test_ordinary_rows_are_read_as_they_are() -> None:
    """Pixels and measurements are standardised by the network, bit for bit as ever."""
    for rows in (BLOBS, 100 + BLOBS, np.full((20, 3), 0.1), (BLOBS + 1e6).astype(np.float32)):
        assert far_offset(rows) is None


# Images

PICTURES = np.random.default_rng(0).integers(0, 255, (60, 6, 6)).astype(np.uint8)
MODELS = {
    "SpectralEmbedding": SpectralEmbedding(random_state=0),
    "SpectralClustering": SpectralClustering(2, random_state=0),
    "SpectralNet": SpectralNet(2, recipe=BRIEF, random_state=0),
    "DSCDAN": DSCDAN(2, recipe=BRIEF_DUAL, random_state=0),
    "SANet": SANet(2, layers=[SpectralLayer(3, 3)], assign="kmeans", random_state=0),
}


@pytest.mark.parametrize("name", MODELS)
def test_images_of_another_shape_are_no_such_images(name: str, tmp_path: Path) -> None:
    model = clone(MODELS[name]).fit(PICTURES)
    model.save(tmp_path / "model.fiedler")
    message = r"images of shape \(4, 9\), but .* was fitted to images of shape \(6, 6\); resize"
    turned = PICTURES.reshape(60, 4, 9)
    for fitted in (model, load(tmp_path / "model.fiedler")):
        for other in (turned, torch.from_numpy(turned), turned.tolist(), Lazy(turned)):
            with pytest.raises(InputError, match=message):
                fitted.transform(other)
        wanted = fitted.transform(PICTURES)
        for same in (PICTURES[..., None], PICTURES.reshape(60, 36)):
            np.testing.assert_array_equal(fitted.transform(same), wanted)


@pytest.mark.parametrize("name", ["SpectralNet", "DSCDAN", "SANet"])
def test_flat_rows_with_an_image_shape_are_images(name: str) -> None:
    flat = PICTURES.reshape(60, 36)
    model = clone(MODELS[name]).set_params(image_shape=(6, 6)).fit(flat)
    with pytest.raises(InputError, match=r"images of shape \(4, 9\), but .* shape \(6, 6"):
        model.transform(PICTURES.reshape(60, 4, 9))


@pytest.mark.parametrize("name", ["SpectralNet", "DSCDAN", "SANet"])
def test_an_image_shape_that_is_an_array_is_kept_in_a_file(name: str, tmp_path: Path) -> None:
    flat = PICTURES.reshape(60, 36)
    model = clone(MODELS[name]).set_params(image_shape=np.array([6, 6])).fit(flat)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.image_shape == (6, 6)
    np.testing.assert_array_equal(loaded.transform(flat), model.transform(flat))


@pytest.mark.parametrize("name", ["SpectralNet", "DSCDAN", "SANet"])
def test_channels_that_come_first_are_not_taken_for_height(name: str) -> None:
    for channels in (1, 3):
        rows = np.zeros((20, channels, 8, 8), np.float32)
        for given in (rows, torch.from_numpy(rows)):
            with pytest.raises(InputError, match=r"come first pass np.moveaxis\(X, 1, -1\); if"):
                clone(MODELS[name]).fit(given)


# Lazy rows and torch's types


@pytest.mark.parametrize("method", ["exact", "cells"])
def test_rows_of_a_file_are_read_in_order(method: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(900, 4, 5)).astype(np.float32)
    options = {"method": method, "random_state": 0}
    found, wanted = (nearest_neighbors(form, 5, **options) for form in (Lazy(rows), rows))
    np.testing.assert_array_equal(found.indices, wanted.indices)


def test_lazy_rows_with_holes_are_named() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3, 2))
    holed = rows.copy()
    holed[7, 1, 1], holed[31, 0, 0] = np.nan, np.inf
    message = r"NaN or infinity in 2 rows, first \[7, 31\]"
    with pytest.raises(InputError, match=message):
        SpectralClustering(2).fit(Lazy(holed))
    with pytest.raises(InputError, match=message):
        SpectralClustering(2, random_state=0).fit(Lazy(rows)).predict(Lazy(holed))
    with pytest.raises(InputError, match="X holds complex128, images must be real numbers"):
        SpectralClustering(2).fit(Lazy(rows.astype(complex)))


def test_bfloat16_tensors_are_rows() -> None:
    narrow = torch.from_numpy(BLOBS).to(torch.bfloat16)
    found = SpectralClustering(3, random_state=0).fit(narrow)
    same = SpectralClustering(3, random_state=0).fit(narrow.float())
    np.testing.assert_array_equal(found.labels_, same.labels_)
    assert open_rows(narrow).rows.dtype == np.float32


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("form", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr])
def test_sparse_tensors_are_refused_with_advice(form: Any) -> None:
    for take in (open_rows, SpectralClustering(2).fit):
        with pytest.raises(
            InputError, match=r"sparse torch tensor .*X.to_dense\(\), or make a sci"
        ):
            take(form(torch.eye(8)))
