"""Folders of images: any size, any mode, broken ones."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from fiedler.data import ImageFolder, SourceRecipe, open_rows
from fiedler.data.images import SUFFIXES, flatten
from fiedler.exceptions import InputError, UnreadableImagesError


def pixels(seed=0, shape=(6, 8, 3)):
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Seven colour images in two subfolders and the root, out of order."""
    names = [
        "dog/2.png",
        "cat/b.png",
        "cat/a.PNG",
        "dog/1.bmp",
        "z.png",
        "a.tiff",
        "dog/x/deep.png",
    ]
    for i, name in enumerate(names):
        save(tmp_path / name, pixels(i))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_bytes(b"not an image")
    (tmp_path / ".thumbs").mkdir()
    (tmp_path / ".thumbs" / "x.png").write_bytes(b"not an image")
    order = sorted(range(7), key=lambda i: names[i])
    return tmp_path, [names[i] for i in order], np.stack([pixels(i) for i in order])


@pytest.mark.parametrize("keep_bytes", [0, 2**20])
def test_rows_are_the_pixels(folder, keep_bytes):
    root, names, X = folder
    images = ImageFolder(root, keep_bytes=keep_bytes)
    assert images.ids == names
    assert images.shape == X.shape
    assert images.ndim == 4
    assert len(images) == 7
    assert images.dtype == np.uint8
    assert images.paths[0] == root / names[0]
    np.testing.assert_array_equal(np.asarray(images), X)
    mask = np.arange(7) % 2 == 0
    for key in (0, -1, np.int64(3), slice(2, 5), slice(None, None, -2), [4, 1, 1], mask):
        got = images[key]
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, X[key])
    assert images[[]].shape == (0, *X.shape[1:])
    np.testing.assert_array_equal(images[np.array([[0, 1], [2, 3]])], X[[[0, 1], [2, 3]]])
    np.testing.assert_array_equal(np.stack(list(images)), X)


def test_bad_indices(folder):
    images = ImageFolder(folder[0])
    for key in (7, -8, [0, 7], (0, 1), None, ..., 1.5, np.ones(3, bool)):
        with pytest.raises((IndexError, TypeError)):
            images[key]


def test_what_is_returned_is_the_callers_own(folder):
    images = ImageFolder(folder[0])
    for key in (0, slice(0, 2), [0]):
        images[key][...] = 0
    np.testing.assert_array_equal(images[:], folder[2])


def test_folder_labels(folder):
    labels = ImageFolder(folder[0]).folder_labels
    assert labels.tolist() == ["", "cat", "cat", "dog", "dog", "dog/x", ""]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "bmp", "gif", "tif", "webp", "ppm"])
def test_formats(tmp_path, suffix):
    array = np.full((6, 8, 3), (200, 100, 50), np.uint8)
    save(tmp_path / f"x.{suffix}", array)
    image = ImageFolder(tmp_path, mode="RGB")[0]
    assert np.abs(image.astype(int) - array).max() <= 4
    assert f".{suffix}" in SUFFIXES


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16"]


@pytest.mark.parametrize("wanted", ["L", "RGB"])
@pytest.mark.parametrize("mode", MODES)
def test_modes_of_one_grey_picture(tmp_path, mode, wanted):
    """A picture of black and white halves is that in every mode in which it can be stored."""
    grey = np.zeros((6, 8), np.uint8)
    grey[:, 4:] = 255
    picture = Image.fromarray(grey)
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "I":
        picture = Image.fromarray(grey.astype(np.int32) * 257)
    elif mode == "F":
        picture = Image.fromarray(grey.astype(np.float32) / 255)
    elif mode == "LAB":
        channels = [Image.fromarray(grey), *[Image.new("L", (8, 6), 128)] * 2]
        picture = Image.merge("LAB", channels)
    else:
        picture = picture.convert("RGB").convert(mode)
    suffix = "tiff" if mode in ("CMYK", "YCbCr", "LAB", "I", "F", "I;16") else "png"
    picture.save(tmp_path / f"x.{suffix}")
    expected = grey if wanted == "L" else np.stack([grey] * 3, axis=-1)
    got = ImageFolder(tmp_path, mode=wanted)[0]
    assert np.abs(got.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("wanted", ["L", "RGB"])
@pytest.mark.parametrize("mode", ["PA", "HSV", "La", "RGBa"])
def test_modes_that_are_rarely_stored(mode, wanted):
    through = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(mode, "RGB")
    picture = Image.new("RGB", (3, 2), (90, 90, 90)).convert(through).convert(mode)
    assert np.abs(np.asarray(flatten(picture, wanted)).astype(int) - 90).max() <= 1


def test_mode_is_grey_only_if_all_are(tmp_path):
    save(tmp_path / "a.png", pixels(0, (6, 8)))
    save(tmp_path / "b.tiff", pixels(1, (6, 8)).astype(np.uint16))
    assert ImageFolder(tmp_path).shape == (2, 6, 8)
    save(tmp_path / "c.png", pixels(2))
    assert ImageFolder(tmp_path).shape == (3, 6, 8, 3)
    assert ImageFolder(tmp_path, mode="L").shape == (3, 6, 8)


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:, 2:, 3] = 255
    expected = np.full((4, 4), 255)
    expected[:, 2:] = 0
    save(tmp_path / "rgba.png", rgba)
    Image.fromarray(rgba).convert("LA").save(tmp_path / "la.png")
    palette = Image.fromarray(np.repeat([[0, 0, 1, 1]], 4, axis=0).astype(np.uint8), mode=None)
    palette = palette.convert("P")
    palette.putpalette([9, 9, 9, 0, 0, 0])
    palette.save(tmp_path / "p.png", transparency=0)
    Image.fromarray(rgba).convert("RGBA").save(tmp_path / "g.gif")
    for image in ImageFolder(tmp_path, mode="L"):
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_exif_orientation(tmp_path, orientation, suffix):
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8] = 255
    turn = {  # how a camera held in each way stores the upright scene
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    picture = Image.fromarray(np.ascontiguousarray(turn(upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"x.{suffix}", exif=exif)
    images = ImageFolder(tmp_path, mode="L")
    assert images.shape == (1, 16, 32)
    assert np.abs(images[0].astype(int) - upright).max() < 60


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("L", (5, 4), grey) for grey in (40, 200)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert (ImageFolder(tmp_path, mode="L")[0] == 40).all()


def test_mixed_sizes_need_a_size(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", pixels(i))
    save(tmp_path / "tall.png", pixels(0, (9, 5, 3)))
    message = r"2 different sizes .*6 x 8 \(3\), 9 x 5 \(1\)\. Pass size=\(height, width\)"
    with pytest.raises(InputError, match=message):
        ImageFolder(tmp_path)
    images = ImageFolder(tmp_path, size=(4, 5))
    assert images.shape == (4, 4, 5, 3)
    assert open_rows(tmp_path, image_size=(4, 5), image_mode="L").shape == (4, 4, 5)


def test_resizing_averages(tmp_path):
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    save(tmp_path / "board.png", board)
    assert np.abs(ImageFolder(tmp_path, size=(8, 8))[0].astype(int) - 127).max() <= 2
    save(tmp_path / "board.png", np.full((64, 64), 77, np.uint8))
    assert (ImageFolder(tmp_path, size=(100, 90))[0] == 77).all()


def test_large_jpeg_shrinks_to_its_average(tmp_path):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    save(tmp_path / "x.jpg", np.tile(ramp, (512, 1)), quality=95)
    small = ImageFolder(tmp_path, size=(16, 16))[0].astype(float)
    expected = ramp.reshape(16, 32).mean(axis=1)
    assert np.abs(small - expected).max() < 4


def png_of(width, height):
    """A tiny PNG whose header claims any size."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def broken(kind):
    buffer = io.BytesIO()
    Image.fromarray(pixels(0, (40, 40, 3))).save(buffer, "JPEG" if "jpeg" in kind else "PNG")
    data = buffer.getvalue()
    return {
        "empty": b"",
        "text": b"this is not an image at all",
        "truncated png": data[: len(data) // 2],
        "truncated jpeg": data[: len(data) // 2],
        "corrupt png": data[:60] + bytes(40) + data[100:],
        "headless jpeg": data[100:],
        "bomb": png_of(12_000, 12_000),
        "large bomb": png_of(60_000, 60_000),
    }[kind]


BROKEN = [
    "empty",
    "text",
    "truncated png",
    "truncated jpeg",
    "corrupt png",
    "headless jpeg",
    "bomb",
    "large bomb",
]


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("keep_bytes", [0, 2**20])
def test_a_broken_file_is_named_or_skipped(folder, kind, keep_bytes):
    root, names, X = folder
    bad = root / "cat" / ("bad.jpg" if "jpeg" in kind else "bad.png")
    bad.write_bytes(broken(kind))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableImagesError, match=r"^1 image files .*skip_unreadable") as got:
            ImageFolder(root, size=(6, 8))
    assert list(got.value.failures) == [str(bad)]
    assert str(bad) in str(got.value)
    with pytest.warns(UserWarning, match=r"^Left out: 1 image files"):
        images = ImageFolder(root, (6, 8), skip_unreadable=True, keep_bytes=keep_bytes)
    assert list(images.failures) == [str(bad)]
    assert images.ids == names
    np.testing.assert_array_equal(images[:], X)


def test_all_broken_files_are_named_at_once(tmp_path):
    save(tmp_path / "good.png", pixels(0, (40, 40, 3)))
    for i in range(15):
        (tmp_path / f"bad{i:02}.png").write_bytes(broken(BROKEN[i % 3]))
    with pytest.raises(UnreadableImagesError, match=r"^15 image files .*; and 5 more") as got:
        ImageFolder(tmp_path)
    assert sorted(got.value.failures) == [str(tmp_path / f"bad{i:02}.png") for i in range(15)]
    assert str(tmp_path / "bad09.png") in str(got.value)
    assert str(tmp_path / "bad10.png") not in str(got.value)


def test_nothing_readable_is_an_error_even_when_skipping(tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(UnreadableImagesError):
        ImageFolder(tmp_path, skip_unreadable=True)
    (tmp_path / "x.png").write_bytes(broken("truncated png"))
    with pytest.raises(UnreadableImagesError):
        ImageFolder(tmp_path, skip_unreadable=True)


def test_pixel_limit_is_settable(folder):
    ImageFolder(folder[0], max_pixels=48)
    with pytest.raises(UnreadableImagesError, match=r"8 x 6 pixels are more than the limit of 47"):
        ImageFolder(folder[0], max_pixels=47)


def test_a_file_that_changes_later_is_named(folder):
    images = ImageFolder(folder[0], keep_bytes=0)
    images.paths[2].unlink()
    assert images[:2].shape[0] == 2
    with pytest.raises(UnreadableImagesError, match="1 image files") as got:
        images[:]
    assert list(got.value.failures) == [str(images.paths[2])]


def test_folders_without_images(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(InputError, match=r"holds no images.*\.png"):
        ImageFolder(tmp_path)
    with pytest.raises(InputError, match=r"neither images \(.*\.png.*\) nor texts"):
        open_rows(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        ImageFolder(tmp_path / "absent")


@pytest.mark.parametrize("options", [{"size": (0, 3)}, {"size": (3,)}, {"mode": "CMYK"}])
def test_bad_options(folder, options):
    with pytest.raises(InputError, match=f"{next(iter(options))} must be"):
        ImageFolder(folder[0], **options)


def test_open_rows_and_its_recipe(folder, tmp_path_factory):
    root, names, _ = folder
    source = open_rows(root, image_size=(3, 4), image_mode="L")
    assert source.kind == "images"
    assert list(source.ids) == names
    assert source.rows.shape == (7, 3, 4)
    recipe = SourceRecipe.from_state(*source.recipe.to_state())
    assert recipe.row_shape == (3, 4)
    other = tmp_path_factory.mktemp("other")
    save(other / "new.png", pixels(9, (30, 10, 3)))
    assert open_rows(other, recipe=recipe).shape == (1, 3, 4)
    one = open_rows(root / names[0], recipe=recipe)
    assert list(one.ids) == [names[0]]
    np.testing.assert_array_equal(one.rows[0], source.rows[0])
    assert open_rows(np.zeros((2, 3, 4), np.uint8), recipe=recipe).kind == "images"
    folder_again = ImageFolder(root, (3, 4), "L")
    assert open_rows(folder_again, recipe=recipe).rows is folder_again
    with pytest.raises(InputError, match=r"shape \(6, 8, 3\), but \(3, 4\) is needed"):
        open_rows(ImageFolder(root), recipe=recipe)
    with pytest.raises(InputError, match="image_size cannot be given here"):
        open_rows(root, recipe=recipe, image_size=(3, 4))
    with pytest.raises(InputError, match="column cannot be given here"):
        open_rows(root, column="a")


def test_failures_reach_the_source(folder):
    (folder[0] / "bad.png").write_bytes(b"")
    with pytest.raises(UnreadableImagesError):
        open_rows(folder[0])
    with pytest.warns(UserWarning, match="Left out"):
        source = open_rows(folder[0], skip_unreadable=True)
    assert list(source.failures) == [str(folder[0] / "bad.png")]


def test_more_numerous_files_decide(tmp_path):
    save(tmp_path / "a.png", pixels())
    (tmp_path / "a.txt").write_text("some words")
    assert open_rows(tmp_path).kind == "images"
    (tmp_path / "b.txt").write_text("more words")
    assert open_rows(tmp_path).kind == "text"
    recipe = open_rows(tmp_path / "a.png").recipe
    assert open_rows(tmp_path, recipe=recipe).kind == "images"


def test_progress_and_silence(folder, capfd):
    seen = []
    ImageFolder(folder[0], progress=lambda *report: seen.append(report))
    assert seen[-1] == ("reading images", 7, 7)
    assert capfd.readouterr() == ("", "")


def test_a_list_of_image_names_is_no_list_of_texts():
    with pytest.raises(InputError, match=r"2 names of image files, such as 'a/0.png', not texts"):
        open_rows(["a/0.png", "b/1.JPG"])
    assert open_rows(["a cat", "see a/0.png", "a dog"]).kind == "text"
    with pytest.raises(InputError, match=r"size must be \(height, width\).*got 8"):
        ImageFolder("anywhere", 8)
