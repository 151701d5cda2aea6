"""``SANet`` as a whole: pictures in, clusters out, new pictures, resumed fits, real data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_sanet_layers import stripes

import fiedler
from fiedler import (
    KNN,
    Binarization,
    BlockHistogram,
    Coding,
    Epsilon,
    ImageFolder,
    Pooling,
    Procedure,
    SANet,
    SpectralLayer,
    VotingLayer,
)
from fiedler.evaluation import accuracy
from fiedler.exceptions import (
    CollapsedOutputsWarning,
    FlatImagesWarning,
    InputError,
    NotEnoughMemoryError,
    OutlierWarning,
    OutputError,
)
from fiedler.models.sanet import memory, network
from fiedler.models.sanet.inspection import procedure_maps, visual_patterns
from fiedler.models.sanet.presets import PRESETS
from fiedler.models.sanet.spectral import FittedSpectral
from fiedler.report import describe
from fiedler.report.network import procedure_agreement

LAYERS = [
    SpectralLayer(
        5, 2, [Procedure(6, KNN(7)), Procedure(4, KNN(9))], padding="same", landmarks=200
    ),
    Pooling(2, 1, "average"),
    SpectralLayer(3, procedures=[Procedure(4)], graph="position", n_pca=10),
]
IMAGES, TRUE = stripes(90, 0), np.arange(90) % 3
NEW = stripes(30, 1)


@pytest.fixture(scope="module")
def model() -> SANet:
    return SANet(3, layers=LAYERS, random_state=0).fit(IMAGES)


@parametrize_with_checks([SANet()])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_kinds_are_found_and_new_images_join_them(model: SANet) -> None:
    assert accuracy(TRUE, model.labels_) == 1.0
    assert model.image_shape_ == (8, 8, 1)
    assert model.n_features_in_ == 64
    match = model.labels_[:3]
    np.testing.assert_array_equal(model.predict(NEW), match[np.arange(30) % 3])
    labels, confidence = model.predict_with_confidence(NEW)
    assert ((confidence > 0.3) & (confidence <= 1)).all()
    assert model.predict(NEW[:1]) == labels[:1]
    assert SANet(layers=LAYERS, random_state=0).fit(IMAGES).n_clusters_ in (3, 4, 5)


def test_every_form_of_the_same_images(model: SANet, tmp_path: Path) -> None:
    grey = np.clip(60 * IMAGES + 128, 0, 255).astype(np.uint8)
    for i, image in enumerate(grey):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    flat = SANet(3, layers=LAYERS, image_shape=(8, -1), random_state=0).fit(grey.reshape(90, -1))
    for rows in (grey, grey[..., None], grey.astype(np.float64) / 255, ImageFolder(tmp_path)):
        found = SANet(3, layers=LAYERS, random_state=0).fit(rows)
        assert found.image_shape_ == (8, 8, 1)
        np.testing.assert_array_equal(found.labels_, flat.labels_)
        np.testing.assert_allclose(found.embedding_, flat.embedding_, atol=1e-4)
    colour = np.stack([grey, grey // 2, 255 - grey], axis=3)
    found = SANet(3, layers=LAYERS, random_state=0).fit(colour)
    assert found.image_shape_ == (8, 8, 3)
    assert accuracy(TRUE, found.labels_) > 0.9


def test_shapes_that_do_not_fit_are_refused() -> None:
    flat = IMAGES.reshape(90, -1)
    with pytest.raises(InputError, match=r"image_shape=\(7, 9\) does not fit rows of 64 numbers"):
        SANet(image_shape=(7, 9)).fit(flat)
    with pytest.raises(InputError, match="an image has height, width"):
        SANet(image_shape=(64,)).fit(flat)
    with pytest.raises(InputError, match="n_clusters must be an integer, 'auto', 'eigengap'"):
        SANet("silhouette").fit(flat)


@pytest.mark.parametrize(
    ("layers", "side", "message"),
    [
        ([SpectralLayer(9)], 8, r"layer 1 \(SpectralLayer\): a patch of 9 x 9 does not fit into"),
        ([*LAYERS, Pooling(5)], 8, r"layer 4 \(Pooling\): a patch of 5 x 5 does not fit"),
        ([SpectralLayer(3), VotingLayer(7)], 8, r"layer 2 \(VotingLayer\): a patch of 7 x 7"),
        ([LAYERS[0], BlockHistogram()], 8, r"layer 2 \(BlockHistogram\): .* put a Coding layer"),
        ("digits-paper", 8, r"layer 2 \(SpectralLayer\): a patch of 4 x 4 .* larger images"),
        ("faces-paper", 16, r"layer 2 \(SpectralLayer\): a patch of 4 x 4"),
    ],
)
def test_layers_that_do_not_fit_are_named_before_any_is_fitted(
    layers: Any, side: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(network, "fit_spectral")
    with pytest.raises(InputError, match=message):
        SANet(3, layers=layers).fit(stripes(30, 0, side))


def test_a_fit_that_memory_does_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(network, "fit_spectral")
    monkeypatch.setattr(memory, "available_memory", lambda: 10**8)
    told = r"30 images of 8 x 8 x 1 needs about .* GB of memory for layer 1 .* Nothing was started"
    with pytest.raises(NotEnoughMemoryError, match=told):
        SANet(3, layers=LAYERS).fit(stripes(30, 0))


def test_presets_for_images_need_a_height_and_a_width() -> None:
    flat = IMAGES.reshape(90, -1)
    for preset in PRESETS:
        if preset != "default":
            with pytest.raises(InputError, match=r"rows of 64 numbers .* image_shape=\(8, 8\)"):
                SANet(3, layers=preset).fit(flat)
    with pytest.raises(InputError, match=r"image_shape=\(5, 5, 3\)"):
        SANet(3, layers="faces").fit(np.random.default_rng(0).random((9, 75)))
    pixels = np.clip(60 * flat + 128, 0, 255).astype(np.uint8)
    with pytest.warns(FlatImagesWarning, match=r"set image_shape=\(8, 8\)"):
        SANet(3).fit(pixels)


@pytest.mark.parametrize("rule", ["eigengap", "modularity"])
def test_the_number_of_clusters_by_a_rule(rule: str) -> None:
    assert SANet(rule, layers=LAYERS, random_state=0).fit(IMAGES).n_clusters_ in (3, 4, 5)


def test_maps_of_each_layer(model: SANet) -> None:
    shapes = [model.layer_maps(NEW[:4], number).shape for number in (1, 2, 3)]
    assert shapes == [(4, 4, 4, 10), (4, 3, 3, 10), (4, 1, 1, 4)]
    with pytest.raises(InputError, match="layer must be between 1 and 3"):
        model.layer_maps(NEW, 4)


def test_the_papers_last_layers() -> None:
    layers = [*LAYERS[:2], Binarization(), Coding(4)]
    model = SANet(3, layers=layers, assign="kmeans", random_state=0).fit(IMAGES)
    assert model.assignment_ == "kmeans"
    assert model.embedding_.shape == (90, 3 * 3 * 3)
    assert set(np.unique(np.abs(model.embedding_))) <= set(range(16))
    assert accuracy(TRUE, model.labels_) > 0.9


def test_faces_are_tolerant_to_shifts() -> None:
    rng = np.random.default_rng(0)
    big = stripes(60, 2, 20)
    moved = [
        image[r : r + 18, c : c + 18]
        for image, (r, c) in zip(big, rng.integers(0, 3, size=(60, 2)), strict=True)
    ]
    model = SANet(3, layers="faces", random_state=0).fit(np.stack(moved))
    assert isinstance(model.layers_[1], VotingLayer)
    assert accuracy(np.arange(60) % 3, model.labels_) > 0.9


def test_an_image_votes_the_same_in_any_company() -> None:
    """Equal images, whose similarities tie, and products of one row or of many."""
    images = stripes(60, 2, 14)
    model = SANet(3, layers="faces", random_state=0).fit(np.repeat(images, 4, axis=0))
    new = stripes(70, 3, 14)
    together = model.transform(new)
    for i in (0, 1, 30, 69):
        np.testing.assert_array_equal(model.transform(new[i : i + 1])[0], together[i])
    np.testing.assert_array_equal(model.transform(new[::-1])[::-1], together)


class Stop:
    """Raises KeyboardInterrupt when a stage of this name is reported."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def __call__(self, stage: str, done: float, total: float) -> None:
        if stage == self.stage:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stage", ["layer 1: graphs", "layer 3: graphs", "clusters"])
def test_a_stopped_fit_goes_on(
    model: SANet, tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        SANet(3, layers=LAYERS, random_state=0, checkpoint=folder, progress=Stop(stage)).fit(IMAGES)
    finished = len(list(folder.glob("layer-*")))
    assert finished == {"layer 1: graphs": 0, "layer 3: graphs": 1, "clusters": 2}[stage]
    fits = []
    fit = network.fit_spectral
    monkeypatch.setattr(
        network, "fit_spectral", lambda *args, **kwargs: fits.append(1) or fit(*args, **kwargs)
    )
    resumed = SANet(3, layers=LAYERS, random_state=0, checkpoint=folder).fit(IMAGES)
    assert len(fits) == 2 - finished
    np.testing.assert_array_equal(resumed.labels_, model.labels_)
    np.testing.assert_array_equal(resumed.embedding_, model.embedding_)
    np.testing.assert_array_equal(resumed.transform(NEW), model.transform(NEW))
    # other images are another fit
    other = SANet(3, layers=LAYERS, random_state=0, checkpoint=folder).fit(stripes(90, 7))
    assert not np.array_equal(other.embedding_, model.embedding_)


def test_material_for_a_report(model: SANet) -> None:
    patterns = visual_patterns(model, 8)
    assert patterns.shape == (8, 5, 5, 1)
    assert [m.shape for m in procedure_maps(model, IMAGES, 1)] == [(90, 96), (90, 64)]
    assert [m.shape for m in procedure_maps(model, IMAGES, 3)] == [(90, 4)]
    data = describe(model, rows=IMAGES, ids=[f"image {i}" for i in range(90)])
    assert [gallery.title for gallery in data.galleries] == [
        "Visual patterns",
        "Layer 1: SpectralLayer",
        "Layer 2: Pooling",
    ]
    assert [picture.shape for picture in data.galleries[0].pictures] == [(5, 5)] * 40
    # six images, each before nine of its ten maps
    shown = data.galleries[1]
    assert [picture.shape for picture in shown.pictures] == [(8, 8), *[(4, 4)] * 9] * 6
    assert shown.captions[0] == "image 0"
    assert shown.captions[-10:-7] == ["image 89", "map 1", "map 2"]
    assert all(picture.dtype == np.uint8 for picture in shown.pictures)
    # the last layer has one procedure
    assert [name.split(":")[0] for name, _ in data.agreement] == ["layer 1", "layer 1"]
    assert [gallery.title for gallery in describe(model).galleries] == ["Visual patterns"]


def test_which_procedures_agree() -> None:
    model = SANet(3, layers=LAYERS[:2], assign="kmeans", random_state=0).fit(IMAGES)
    ((first, alone), (second, also)) = procedure_agreement(model, IMAGES)
    assert first.startswith("layer 1: Procedure(n_components=6, affinity=KNN(n_neighbors=7")
    assert second.startswith("layer 1: Procedure(n_components=4")
    assert min(alone, also) > 0.5
    two = [*LAYERS[:2], replace(LAYERS[2], procedures=[Procedure(4), Procedure(3)])]
    agreement = procedure_agreement(SANet(3, layers=two, random_state=0).fit(IMAGES), IMAGES)
    assert [name[:8] for name, _ in agreement] == ["layer 1:"] * 2 + ["layer 3:"] * 2


def test_whom_images_vote_for_is_shown() -> None:
    model = SANet(3, layers="faces", random_state=0).fit(stripes(40, 0))
    (votes,) = (g for g in describe(model).galleries if g.title == "Votes")
    assert votes.group == 5
    assert len(votes.pictures) == len(votes.captions) == 5 * model.n_clusters_
    for start in range(0, len(votes.captions), 5):  # the surest image's like are of its cluster
        assert len({caption.split(", ")[1] for caption in votes.captions[start : start + 5]}) == 1


def test_a_broken_pixel_is_told_and_does_not_make_all_patches_flat() -> None:
    broken = 0.5 + IMAGES / 8
    broken[0, 0, 0] = -9999.0
    layers = [SpectralLayer(5, 2, [Procedure(6, KNN(7))])]
    with pytest.warns(OutlierWarning, match="times as large as"):
        model = SANet(3, layers=layers, random_state=0).fit(broken)
    assert accuracy(TRUE[1:], model.labels_[1:]) > 0.95


def test_far_from_zero_patches_keep_their_differences() -> None:
    layers = [SpectralLayer(5, 2, [Procedure(6, KNN(7))])]
    model = SANet(3, layers=layers, random_state=0).fit(IMAGES / 100 + 300)
    assert accuracy(TRUE, model.labels_) > 0.95


def test_images_of_next_to_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="single precision holds no differences"):
        SANet(3, layers=LAYERS).fit(IMAGES.astype(np.float64) * 1e-60)


def test_equal_images_are_of_one_cluster_and_fewer_clusters_are_told() -> None:
    flat = np.zeros((40, 12, 12))
    flat[20:] = 1
    model = SANet(2, layers="faces", random_state=0).fit(flat)
    np.testing.assert_array_equal(model.predict(flat), model.labels_)
    assert len(np.unique(model.labels_[:20])) == len(np.unique(model.labels_[20:])) == 1
    even = np.arange(30.0)[:, None, None] * np.ones((30, 8, 8))
    with pytest.warns(CollapsedOutputsWarning, match="1 clusters instead of 5"):
        SANet(5, layers=[SpectralLayer(4, 2)], assign="kmeans", random_state=0).fit(even)


def test_a_checkpoint_is_not_trusted_with_functions(tmp_path: Path) -> None:
    def similar(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=2))

    layers = [SpectralLayer(8, procedures=[Procedure(4, similar)])]
    with pytest.raises(InputError, match="layers"):
        SANet(3, layers=layers, checkpoint=tmp_path, random_state=0).fit(IMAGES)


def test_a_checkpoint_that_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path, error in ((5, InputError), (file, OutputError)):
        with pytest.raises(error, match="checkpoint"):
            SANet(3, layers=LAYERS, checkpoint=path, random_state=0).fit(IMAGES)


def test_images_keep_their_shape() -> None:
    for wanted in ((4, 16), (8, 4, 2)):
        with pytest.raises(InputError, match=r"the images have shape \(8, 8\)"):
            SANet(3, layers=LAYERS, image_shape=wanted).fit(IMAGES)
    with pytest.raises(InputError, match="one image of shape"):
        SANet(3, layers=LAYERS, random_state=0).fit(IMAGES).predict(IMAGES[0])
    with pytest.raises(InputError, match=r"different sizes, such as \(3, 3\) and \(4, 4\)"):
        SANet(2).fit([np.zeros((3, 3)), np.ones((4, 4))])
    with pytest.raises(InputError, match="reshape them"):
        SANet(2).fit(np.ones((9, 2, 4, 4, 3)))


def test_a_procedure_that_cannot_be_is_named() -> None:
    apart = SpectralLayer(5, 2, [Procedure(4, Epsilon(1e-6), solver="minibatch")])
    with pytest.raises(InputError, match=r"layer 1 \(SpectralLayer\): of .* Procedure\(n_comp"):
        SANet(3, layers=[apart], random_state=0).fit(IMAGES)


def test_histograms_of_many_codes_are_read_out() -> None:
    layers = [SpectralLayer(3, procedures=[Procedure(13)]), Coding(13), BlockHistogram(3)]
    model = SANet(3, layers=layers, random_state=0).fit(IMAGES)
    assert int(np.prod(model.fitted_layers[-1].out_shape)) > 30_000
    np.testing.assert_array_equal(model.predict(IMAGES), model.labels_)


def test_landmarks_of_a_position_are_as_many_as_asked() -> None:
    images = np.repeat(stripes(30, 0), 10, axis=0)
    layer = SpectralLayer(
        8, procedures=[Procedure(3, KNN(5))], landmarks=25, graph="position", center=False
    )
    model = SANet(3, layers=[layer], random_state=0).fit(images)
    fitted = model.fitted_layers[0].fitted
    assert isinstance(fitted, FittedSpectral)
    np.testing.assert_array_equal(np.diff(fitted.starts), 25)


def test_without_patches_there_is_nothing_to_show() -> None:
    flat = IMAGES.reshape(90, -1)
    data = describe(SANet(3, random_state=0).fit(flat), rows=flat)
    assert (data.galleries, data.agreement) == ([], [])


def test_real_digits() -> None:
    images, known = fiedler.load_dataset("digits").X, fiedler.load_dataset("digits").y
    model = SANet(10, random_state=0).fit(images[:1400])
    assert accuracy(known[:1400], model.labels_) > 0.9
    assert accuracy(known[1400:], model.predict(images[1400:])) > 0.85


def test_real_faces(stored_sets: Path) -> None:
    faces = fiedler.load_dataset("yaleb")
    some = faces.y < 8
    model = SANet(8, layers="faces", random_state=0).fit(faces.X[some])
    assert accuracy(faces.y[some], model.labels_) > 0.95


def test_real_objects(stored_sets: Path) -> None:
    views = fiedler.load_dataset("coil20")
    some = views.y < 10
    fitted = np.arange(some.sum()) % 4 > 0
    X, known = views.X[some], views.y[some]
    model = SANet(10, layers="objects", random_state=0).fit(X[fitted])
    assert model.assignment_ == "rebuild"
    assert accuracy(known[fitted], model.labels_) > 0.8
    assert accuracy(known[~fitted], model.predict(X[~fitted])) > 0.8
