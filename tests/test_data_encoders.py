"""Encoders: every kind of them, kept rows, and what a recipe may and may not do."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import encoder_functions
import numpy as np
import pytest
import torch
from lite0 import import_timm, weights_file
from PIL import Image

from fiedler.data import EncoderSpec, SourceRecipe, load_dataset, open_rows
from fiedler.data.encoders import as_feature_rows, load_encoder
from fiedler.data.weights import fit_weights, read_weights
from fiedler.exceptions import InputError, UnreadableImagesError

COLOURS = "encoder_functions:colours"


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, and counters at zero."""
    monkeypatch.setenv("FIEDLER_CACHE", str(tmp_path / "cache"))
    encoder_functions.calls.clear()
    encoder_functions.stop_after[0] = 10**9


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eighty nested images of mixed sizes, grey and colour."""
    rng = np.random.default_rng(0)
    for i in range(80):
        folder = tmp_path / "photos" / f"class{i % 3}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        shape = (8 + i % 5, 9 + i % 7) + ((3,) if i % 2 else ())
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{i:03d}.png")
    return tmp_path / "photos"


class TinyNetwork(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 5, 3, stride=2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


# A folder of mixed images


def test_a_folder_of_mixed_images_becomes_rows(photos: Path) -> None:
    seen: list[tuple[str, float, float]] = []
    source = open_rows(photos, encoder=COLOURS, progress=lambda *report: seen.append(report))
    assert source.shape == (80, 3)
    assert source.rows.dtype == np.float32
    assert source.ids == sorted(source.ids)
    assert source.recipe.encoder is not None
    assert source.recipe.encoder.size == (12, 10)
    assert seen[-1] == ("encoding", 80, 80)
    with Image.open(photos / str(source.ids[7])) as image:
        pixels = np.asarray(image.convert("RGB").resize((10, 12), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(source.rows[7], pixels.mean(axis=(0, 1)), atol=1e-3)
    assert source.pictures is not None
    assert source.pictures.shape == (80, 10, 10, 3)


def test_rows_are_encoded_once_and_again_where_a_file_changed(photos: Path) -> None:
    first = open_rows(photos, encoder=COLOURS)
    assert sum(encoder_functions.calls) == 80
    again = open_rows(photos, encoder=COLOURS)
    assert sum(encoder_functions.calls) == 80
    np.testing.assert_array_equal(first.rows, again.rows)
    np.testing.assert_array_equal(first.pictures, again.pictures)
    changed = photos / str(first.ids[5])
    os.utime(changed, (1, 1))
    open_rows(photos, encoder=COLOURS)
    assert sum(encoder_functions.calls) == 160
    open_rows(photos, encoder=COLOURS, image_size=(6, 6))
    assert sum(encoder_functions.calls) == 240


def test_an_interrupted_encoding_goes_on_where_it_stopped(photos: Path, tmp_path: Path) -> None:
    encoder_functions.stop_after[0] = 64
    with pytest.raises(KeyboardInterrupt):
        open_rows(photos, encoder=COLOURS)
    assert encoder_functions.calls == [32, 32]
    # as where a kill cuts off a batch that is being written
    (rows,) = (tmp_path / "cache").rglob("rows.f32")
    with open(rows, "ab") as file:
        file.write(b"half a row")
    encoder_functions.stop_after[0] = 10**9
    source = open_rows(photos, encoder=COLOURS)
    assert encoder_functions.calls == [32, 32, 16]
    os.environ["FIEDLER_CACHE"] = str(tmp_path / "other")
    whole = open_rows(photos, encoder=COLOURS)
    np.testing.assert_array_equal(source.rows, whole.rows)
    np.testing.assert_array_equal(source.pictures, whole.pictures)


def test_a_cache_that_cannot_be_written_costs_only_the_keeping(
    photos: Path, tmp_path: Path
) -> None:
    kept = open_rows(photos, encoder=COLOURS)
    (tmp_path / "file").touch()
    os.environ["FIEDLER_CACHE"] = str(tmp_path / "file")
    with pytest.warns(UserWarning, match="FIEDLER_CACHE"):
        source = open_rows(photos, encoder=COLOURS)
    np.testing.assert_array_equal(source.rows, kept.rows)
    np.testing.assert_array_equal(source.pictures, kept.pictures)


@pytest.mark.parametrize("broken", [[3], list(range(40)), [79]], ids=str)
def test_unreadable_images_are_all_named_or_left_out(photos: Path, broken: list[int]) -> None:
    whole = open_rows(photos, encoder=COLOURS)
    names = [str(whole.ids[i]) for i in broken]
    for name in names:
        (photos / name).write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for _ in range(2):  # the second time the rows come from the cache
        with pytest.raises(UnreadableImagesError) as caught:
            open_rows(photos, encoder=COLOURS)
        assert len(caught.value.failures) == len(broken)
    with pytest.warns(UserWarning, match=names[0]):
        source = open_rows(photos, encoder=COLOURS, skip_unreadable=True)
    good = np.setdiff1d(np.arange(80), broken)
    assert source.ids == [whole.ids[i] for i in good]
    np.testing.assert_array_equal(source.rows, whole.rows[good])
    np.testing.assert_array_equal(source.pictures, whole.pictures[good])


def test_arrays_and_texts_are_encoded_too() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (40, 12, 10, 3), dtype=np.uint8)
    source = open_rows(pictures, encoder=COLOURS)
    np.testing.assert_allclose(source.rows, pictures.mean(axis=(1, 2)), rtol=1e-5)
    assert source.pictures is pictures
    grey = open_rows(pictures[..., 0], encoder=COLOURS)
    assert grey.shape == (40, 3)
    texts = open_rows(["a", "bab", "cc"], encoder="encoder_functions:lengths")
    np.testing.assert_array_equal(texts.rows, [[1, 1], [3, 1], [2, 0]])
    assert texts.kind == "text"


# Networks


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One network as TorchScript, as ONNX of any batch, and as ONNX of batches of 3."""
    pytest.importorskip("onnxscript")
    tmp_path = tmp_path_factory.mktemp("networks")
    network, example = TinyNetwork().eval(), torch.zeros(3, 3, 16, 16)
    paths = {name: tmp_path / f"{name}.{name[:4]}" for name in ("onnx", "onnx3")}
    paths["script"] = tmp_path / "script.pt"
    torch.jit.save(torch.jit.trace(network, example), paths["script"])
    free = {0: torch.export.Dim("batch")}
    for name, shapes in (("onnx", (free,)), ("onnx3", None)):
        torch.onnx.export(
            network, (example,), paths[name], dynamic_shapes=shapes, dynamo=True, verbose=False
        )
    return paths


def test_torchscript_and_onnx_compute_what_the_network_does(networks: dict[str, Path]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = TinyNetwork()((pixels - 0.5) / 0.5).mean(dim=(2, 3)).numpy()
    for path in networks.values():
        spec = EncoderSpec(str(path), size=(16, 16), normalize="half")
        rows = load_encoder(spec).encode(pictures)
        np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-5)
    assert load_encoder(EncoderSpec(str(networks["onnx"]))).size == (16, 16)
    other = load_encoder(EncoderSpec(str(networks["script"]), normalize="unit", size=(16, 16)))
    assert np.abs(other.encode(pictures) - expected).max() > 0.1


def test_shipped_weights_fit_the_timm_model_in_order() -> None:
    timm, path = import_timm(), weights_file()
    spec = EncoderSpec("tf_efficientnet_lite0", weights=str(path))
    encoder = load_encoder(spec)
    assert encoder.size == (224, 224)
    network = timm.create_model("tf_efficientnet_lite0")
    weights = read_weights(path)
    assert set(weights) != set(network.state_dict())
    pairs = zip(network.state_dict().values(), weights.values(), strict=True)
    assert all(a.shape == b.shape for a, b in pairs)
    fit_weights(network, weights, "shipped")
    for own, given in zip(network.state_dict().values(), weights.values(), strict=True):
        assert torch.equal(own, given)
    with pytest.raises(InputError, match=r"do not fit .* the file 296"):
        load_encoder(replace(spec, name="resnet18"))


def test_shipped_weights_see_what_is_in_photographs(stored_sets: Path) -> None:
    import_timm()
    spec = EncoderSpec("tf_efficientnet_lite0", weights=str(weights_file()), size=(128, 128))
    found = load_dataset("cifar10", split="test")
    chosen = np.random.default_rng(0).permutation(len(found.y))[:96]
    rows = np.array(open_rows(found.X[chosen], encoder=spec).rows)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    likeness = rows @ rows.T - 2 * np.eye(len(rows))
    agreement = np.mean(found.y[chosen][likeness.argmax(axis=1)] == found.y[chosen])
    assert agreement > 0.4


# A recipe


def test_a_recipe_encodes_new_images_in_the_same_way(photos: Path, tmp_path: Path) -> None:
    source = open_rows(photos, encoder=COLOURS)
    recipe = SourceRecipe.from_state(*source.recipe.to_state())
    assert recipe == source.recipe
    one = photos / str(source.ids[11])
    with pytest.raises(InputError, match=f"is code.*encoder='{COLOURS}'"):
        open_rows(one, recipe=recipe)
    new = open_rows(one, recipe=recipe, encoder=COLOURS)
    np.testing.assert_array_equal(new.rows[0], source.rows[11])
    assert recipe.encoder is not None
    altered = replace(recipe, encoder=replace(recipe.encoder, fingerprint="0"))
    with pytest.raises(InputError, match="computes something else"):
        open_rows(one, recipe=altered, encoder=COLOURS)
    plain = open_rows(photos, image_size=(4, 4)).recipe
    with pytest.raises(InputError, match="recipe has none"):
        open_rows(one, recipe=plain, encoder=COLOURS)


def test_a_recipe_opens_an_onnx_file_by_itself_wherever_it_moved(
    photos: Path, networks: dict[str, Path]
) -> None:
    recipe = open_rows(photos, encoder=str(networks["onnx"])).recipe
    new = open_rows(photos, recipe=recipe)
    assert new.shape == (80, 5)
    assert recipe.encoder is not None
    moved = replace(recipe, encoder=replace(recipe.encoder, name="elsewhere.onnx"))
    with pytest.raises(InputError, match="no file"):
        open_rows(photos, recipe=moved)
    again = open_rows(photos, recipe=moved, encoder=str(networks["onnx"]))
    np.testing.assert_array_equal(new.rows, again.rows)


# What is refused


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("encoder_functions:absent", "cannot be imported"),
        ("no_such_module:function", "cannot be imported"),
        ("encoder_functions:not_callable", "not a function"),
        ("encoder_functions:too_few", "one row for each"),
        ("encoder_functions:not_finite", "NaN or infinity"),
        ("absent.onnx", "no file"),
        ("absent.pt", "no file"),
    ],
)
def test_encoders_that_cannot_be_used(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_rows(np.zeros((4, 8, 8), np.uint8), encoder=name)


def test_files_that_are_no_networks_and_unknown_models(tmp_path: Path) -> None:
    for suffix in ("pt", "onnx"):
        path = tmp_path / f"no_network.{suffix}"
        path.write_text("hello")
        with pytest.raises(InputError, match=r"not a TorchScript file|cannot be opened"):
            load_encoder(EncoderSpec(str(path)))
    with pytest.raises(InputError, match="weights= is for timm"):
        load_encoder(EncoderSpec(str(path), weights="x"))
    with pytest.raises(InputError, match="normalize"):
        load_encoder(EncoderSpec("resnet18", normalize="never"))
    import_timm()
    with pytest.raises(InputError, match="cannot be made"):
        load_encoder(EncoderSpec("no_such_net_42", weights=str(path)))
    with pytest.raises(InputError, match="no file of weights"):
        load_encoder(EncoderSpec("resnet18", weights="absent.pth"))
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_encoder(EncoderSpec("resnet18", weights=str(path)))


def test_weights_are_found_where_programs_put_them(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    network = TinyNetwork()
    wrapped = {"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}
    torch.save(wrapped, tmp_path / "nested.pth")
    save_file(network.state_dict(), tmp_path / "flat.safetensors")
    for name in ("nested.pth", "flat.safetensors"):
        assert set(read_weights(tmp_path / name)) == set(network.state_dict())
    torch.save({"epoch": 3}, tmp_path / "no.pth")
    (tmp_path / "no.safetensors").write_text("hello")
    for name in ("no.pth", "no.safetensors"):
        with pytest.raises(InputError, match=r"cannot be read as weights|no file of weights"):
            read_weights(tmp_path / name)


def test_vectors_tables_and_texts_of_a_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes images"):
        open_rows(np.zeros((4, 3)), encoder=COLOURS)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(InputError, match="encoder cannot be given"):
        open_rows(tmp_path / "table.csv", encoder=COLOURS)


@pytest.mark.parametrize(
    "output",
    [
        torch.ones(4, 2, 3, 3),
        np.ones((4, 3, 2)),
        (torch.ones(4, 2), None),
        [np.ones((4, 2))],
        [np.ones(2)] * 4,
    ],
    ids=["maps", "tokens", "tuple", "list of one", "list of rows"],
)
def test_outputs_become_rows(output: Any) -> None:
    np.testing.assert_array_equal(as_feature_rows(output, 4, "it"), np.ones((4, 2)))
