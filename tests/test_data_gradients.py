"""Images described by the orientations of their gradients."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.ndimage import gaussian_filter

import fiedler.data.gradients as module
from fiedler import SpectralClustering, gradient_histograms, load_dataset, open_rows
from fiedler.data import SourceRecipe
from fiedler.data.gradients import count_gradient_features
from fiedler.evaluation import accuracy
from fiedler.exceptions import InputError

RNG = np.random.default_rng(0)


def brute_force(image: np.ndarray) -> np.ndarray:
    """The definition, pixel by pixel."""
    height, width, channels = image.shape
    values = (image - image.min()) / (image.max() - image.min())
    cell = max(1.6, min(height, width) / 10)
    counts = [max(1, round(side / cell)) for side in (height, width)]
    smooth = [gaussian_filter(values[..., c], cell / 6) for c in range(channels)]
    found = np.zeros((8, *counts))
    for y in range(height):
        for x in range(width):
            slopes = []
            for plane in smooth:
                up, down = max(y - 1, 0), min(y + 1, height - 1)
                left, right = max(x - 1, 0), min(x + 1, width - 1)
                dy = (plane[down, x] - plane[up, x]) / (down - up)
                dx = (plane[y, right] - plane[y, left]) / (right - left)
                slopes.append((math.hypot(dx, dy), math.atan2(dy, dx)))
            size, angle = max(slopes)
            place = angle % (2 * math.pi) * 8 / (2 * math.pi)
            low = int(place)
            for row in range(counts[0]):
                for column in range(counts[1]):
                    far_y = y - ((row + 0.5) * height / counts[0] - 0.5)
                    far_x = x - ((column + 0.5) * width / counts[1] - 0.5)
                    near = math.exp(-0.5 * (far_y**2 + far_x**2) / (cell * 2 / 3) ** 2)
                    found[low % 8, row, column] += (1 - (place - low)) * size * near
                    found[(low + 1) % 8, row, column] += (place - low) * size * near
    rows = np.sqrt(found.ravel())
    return np.asarray(rows / np.linalg.norm(rows))


@pytest.mark.parametrize("shape", [(7, 9, 1), (24, 13, 1), (9, 8, 3), (2, 2, 1)])
def test_the_definition(shape: tuple[int, ...]) -> None:
    images = RNG.random((3, *shape))
    found = gradient_histograms(images)
    assert found.dtype == np.float32
    assert found.shape == (3, count_gradient_features(shape))
    for image, row in zip(images, found, strict=True):
        np.testing.assert_allclose(row, brute_force(image), atol=2e-4)


def test_flat_rows_in_any_blocks_and_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = RNG.integers(0, 255, (11, 10, 12), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    wanted = gradient_histograms(images)
    monkeypatch.setattr(module, "BLOCK_PIXELS", 250)
    told: list[tuple[str, int, int]] = []
    blocks = gradient_histograms(images, progress=lambda *step: told.append(step))
    np.testing.assert_allclose(blocks, wanted, atol=1e-6)
    assert told == [("gradients", min(i, 11), 11) for i in range(2, 13, 2)]
    flat = np.load(tmp_path / "images.npy", mmap_mode="r").reshape(11, -1)
    np.testing.assert_allclose(gradient_histograms(flat, (10, 12)), wanted, atol=1e-6)
    np.testing.assert_allclose(gradient_histograms(images[..., None]), wanted, atol=1e-6)


@given(
    hnp.arrays(np.uint8, (2, 6, 7), elements=st.integers(0, 255)),
    st.floats(1e-3, 1e3),
    st.floats(-1e3, 1e3),
)
def test_unit_rows_whatever_the_brightness(images: Any, scale: float, offset: float) -> None:
    found = gradient_histograms(images)
    flat = images.reshape(2, -1)
    norms = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(
        norms, (flat.min(axis=1) < flat.max(axis=1)).astype(float), atol=1e-5
    )
    other = gradient_histograms(images * scale + offset)
    np.testing.assert_allclose(other, found, atol=5e-3)


def test_a_quarter_turn_turns_orientations_and_cells() -> None:
    images = RNG.random((4, 20, 20))
    plain = gradient_histograms(images).reshape(4, 8, 10, 10)
    turned = gradient_histograms(np.rot90(images, axes=(1, 2)).copy()).reshape(4, 8, 10, 10)
    wanted = np.rot90(np.roll(plain, -2, axis=1), axes=(2, 3))
    np.testing.assert_allclose(turned, wanted, atol=1e-4)


def test_extreme_brightness_costs_nothing() -> None:
    images = RNG.random((3, 8, 8))
    for changed in (images * 1e300, images * 1e-300, images + 1e9):
        np.testing.assert_allclose(
            gradient_histograms(changed), gradient_histograms(images), atol=1e-3
        )
    np.testing.assert_array_equal(gradient_histograms(np.full((2, 8, 8), 7.0)), 0)


@pytest.mark.parametrize(
    ("shape", "image_shape"), [((5, 9), None), ((5, 9), (2, 4)), ((5, 1, 9), None)]
)
def test_what_is_no_image_is_refused(shape: tuple[int, ...], image_shape: Any) -> None:
    with pytest.raises(InputError, match="gradients need images of at least 2 x 2 pixels"):
        gradient_histograms(np.zeros(shape), image_shape)


@pytest.mark.parametrize("upright", [False, True])
def test_a_folder_is_described_and_new_images_follow(tmp_path: Path, upright: bool) -> None:
    images = RNG.integers(0, 255, (6, 9, 8), dtype=np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    source = open_rows(tmp_path, gradients=True, upright=upright)
    compared = open_rows(images, upright=True).rows if upright else images
    np.testing.assert_array_equal(source.rows, gradient_histograms(compared))
    np.testing.assert_array_equal(source.pictures[:], images)
    assert source.description.endswith("by their gradients")
    recipe = SourceRecipe.from_state(*source.recipe.to_state())
    np.testing.assert_array_equal(open_rows(images, recipe=recipe).rows, source.rows)
    with pytest.raises(InputError, match="gradients cannot be given here: the recipe"):
        open_rows(images, recipe=recipe, gradients=True)


@pytest.mark.parametrize("rows", [np.eye(4), ["a text", "another text"]])
def test_only_images_have_gradients(rows: Any) -> None:
    with pytest.raises(InputError, match="gradients=True is for the pixels of images; this is"):
        open_rows(rows, gradients=True)


@pytest.mark.parametrize(("name", "least"), [("coil20", 0.93), ("usps", 0.96)])
def test_spectral_clustering_of_gradients(stored_sets: Path, name: str, least: float) -> None:
    """Measured .965 and .981; pixels have .88 and .94."""
    data = load_dataset(name)
    rows = gradient_histograms(data.X)
    labels = SpectralClustering(len(np.unique(data.y)), random_state=0).fit_predict(rows)
    assert accuracy(data.y, labels) >= least
