"""Images brought upright, before their neighbours are looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fiedler.data.upright as upright_module
from fiedler import SpectralClustering, open_rows
from fiedler.data import SourceRecipe
from fiedler.data.upright import upright, upright_rows
from fiedler.evaluation import accuracy
from fiedler.exceptions import InputError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 1), (6, 7, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_flat_rows_in_any_blocks(
    shape: tuple[int, ...], kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = (RNG.random((11, *shape)) * 255).astype(kind)
    if kind is np.uint8:
        as_floats = images.astype(np.float64).reshape(11, -1)
        same = upright_rows(images.reshape(11, -1), shape)
        np.testing.assert_array_equal(upright_rows(as_floats, shape), same)
    rows = images.reshape(11, -1)
    darkest = rows.min(axis=1, keepdims=True).astype(np.float32)
    above = rows.astype(np.float32) - darkest
    wanted = upright(above.reshape(11, *(*shape, 1)[:3])).reshape(11, -1) + darkest
    for size in (1, 4 * rows.shape[1], 10**6):
        monkeypatch.setattr(upright_module, "_BLOCK_PIXELS", size)
        found = upright_rows(rows, shape)
        assert (found.shape, found.dtype) == (rows.shape, rows.dtype)
        if kind is np.uint8:
            np.testing.assert_array_equal(found, np.rint(wanted).astype(np.uint8))
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


def test_rows_of_a_memory_map_stay_as_they_are(tmp_path: Path) -> None:
    rows = RNG.integers(0, 255, (5, 12), dtype=np.uint8)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    np.testing.assert_array_equal(upright_rows(mapped, (3, 4)), upright_rows(rows, (3, 4)))
    np.testing.assert_array_equal(mapped, rows)


def test_a_large_offset_costs_no_digits() -> None:
    rows = RNG.random((7, 30))
    far = upright_rows(rows + 1e9, (5, 6))
    np.testing.assert_allclose(far - 1e9, upright_rows(rows, (5, 6)), atol=1e-5)


def test_slants_of_one_figure_come_together() -> None:
    """A bar sheared by different amounts: alike once upright, unlike before."""
    images = np.zeros((5, 15, 31), dtype=np.uint8)
    for image, slant in zip(images, (-0.8, -0.4, 0.0, 0.4, 0.8), strict=True):
        for row in range(2, 13):
            middle = 15 + round(slant * (row - 7))
            image[row, middle - 2 : middle + 3] = 200
    rows = images.reshape(5, -1)

    def spread(rows: np.ndarray) -> float:
        return float(np.linalg.norm(rows - rows.mean(axis=0), axis=1).max())

    assert spread(upright_rows(rows, (15, 31))) < 0.3 * spread(rows)


def test_slanted_handwriting_is_told_apart(data_dir: Path) -> None:
    """Measured .955; the rows as they are have .82."""
    with np.load(data_dir / "usps11k.npz") as archive:
        source, truth = open_rows(archive["X"], upright=True), archive["y"]
    labels = SpectralClustering(10, random_state=0).fit_predict(source.rows)
    assert accuracy(truth, labels) >= 0.88


@pytest.mark.parametrize("colour", [False, True])
def test_a_folder_is_opened_upright_and_new_images_follow(tmp_path: Path, colour: bool) -> None:
    images = RNG.integers(0, 255, (6, 9, 8, 3) if colour else (6, 9, 8), dtype=np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    source = open_rows(tmp_path, upright=True)
    wanted = upright_rows(images, images.shape[1:])
    np.testing.assert_array_equal(source.rows, wanted)
    np.testing.assert_array_equal(source.pictures[:], images)
    assert source.description.endswith("brought upright")
    recipe = SourceRecipe.from_state(*source.recipe.to_state())
    np.testing.assert_array_equal(open_rows(images, recipe=recipe).rows, wanted)
    with pytest.raises(InputError, match="upright cannot be given here: the recipe"):
        open_rows(images, recipe=recipe, upright=True)
    plain = SourceRecipe.from_state(*open_rows(images).recipe.to_state())
    np.testing.assert_array_equal(open_rows(images, recipe=plain).rows, images)


@pytest.mark.parametrize("rows", [np.eye(4), ["a text", "another text"]])
def test_only_images_stand_upright(rows: Any) -> None:
    with pytest.raises(InputError, match="upright=True is for the pixels of images; this is"):
        open_rows(rows, upright=True)
