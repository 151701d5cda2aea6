"""Stacks of layers by name: the paper's, and those that work.

The paper's (``"...-paper"``) follow its text but in two places, without which they cannot be run:
each graph is fitted to 4,000 distinct patches, not to all, since dense affinities hold the square
of their number; and Nystrom takes ten columns an eigenvector (500 at least), not ``log N``, which
are fewer than the eigenvectors wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fiedler.data.checks import check_choice
from fiedler.exceptions import InputError
from fiedler.graph import KNN, Epsilon, Gaussian
from fiedler.models.sanet.inputs import refuse_vectors
from fiedler.models.sanet.layers import Layer, Procedure, SpectralLayer, VotingLayer
from fiedler.models.sanet.network import check_layers
from fiedler.models.sanet.plain_layers import (
    Binarization,
    Coding,
    Normalization,
    Orientation,
    Pooling,
    Upright,
)
from fiedler.spectrum import Nystrom

Shape = tuple[int, int, int]
# Pixels of the shorter side to which "default" brings large images: those of MNIST.
_SIDE = 28


@dataclass(frozen=True)
class Recipe:
    """A stack of layers and how its output becomes clusters.

    Parameters
    ----------
    layers : tuple of layer objects
    assign : {"kmeans", "rebuild"}
    """

    layers: tuple[Layer, ...]
    assign: str


def default(shape: Shape) -> Recipe:
    """Two layers on upright images: dense patches, averaged; then windows, one graph a position.

    Sizes follow the images: those above 41 pixels are averaged down to some 28 of the shorter
    side, a patch is a third of that (7 pixels at least), positions are two pixels apart, and
    pooling leaves some six positions a side. Too small images, and vectors, are one patch.
    """
    side = min(shape[:2])
    if side < 12:
        # nothing to cut: the rows as they are
        return Recipe((_whole(),), "rebuild")
    shrink = (side + _SIDE // 2) // _SIDE
    smaller: tuple[Layer, ...] = (Pooling(shrink, kind="average"),) if shrink > 1 else ()
    side //= max(shrink, 1)
    patch = max(7, 2 * round((side / 3 - 1) / 2) + 1)
    wide = side >= 24
    first = SpectralLayer(
        patch,
        stride=2,
        padding="same",
        procedures=(Procedure(64, KNN(9)), Procedure(64, KNN(17))),
        landmarks=30_000,
    )
    second = SpectralLayer(
        4,
        procedures=(
            Procedure(None, KNN(9, weights="self-tuning"), diffusion=64.0),
            Procedure(None, KNN(17, weights="self-tuning"), diffusion=64.0),
        ),
        center=False,
        n_pca=128,
        graph="position",
    )
    pooling = Pooling(4 if wide else 3, 2 if wide else 1, "average")
    return Recipe((*smaller, Upright(), first, pooling, Normalization(), second), "rebuild")


def faces(shape: Shape) -> Recipe:
    """Gradient orientations; patches vote for images, tolerant to small shifts."""
    return Recipe((Orientation(), VotingLayer(min(6, *shape[:2]))), "kmeans")


def objects(shape: Shape) -> Recipe:
    """The layers of faces, for things seen from many sides; their partition is rebuilt.

    Views of a turning thing form a ring, which k-means cuts and merging by modularity does not.
    """
    return Recipe(faces(shape).layers, "rebuild")


def natural(shape: Shape) -> Recipe:
    """Whitened colour patches, averaged in a four by four grid; then the images' graph."""
    side = min(shape[:2])
    first = SpectralLayer(
        min(8, side),
        stride=2,
        procedures=(Procedure(128, KNN(9)),),
        contrast=10.0 / 255.0**2,
        whiten=0.1,
        unit=True,
        landmarks=30_000,
    )
    cells = (side - min(8, side)) // 2 + 1
    step = max(1, cells // 4)
    window = min(cells, cells - 3 * step if cells > 3 else cells)
    last = _whole(n_pca=100)
    return Recipe((first, Pooling(window, step, "average"), Normalization(), last), "rebuild")


def _whole(n_pca: int | None = None) -> SpectralLayer:
    """Return a spectral layer over whole maps."""
    procedure = Procedure(None, KNN(10, weights="self-tuning"))
    return SpectralLayer(None, procedures=(procedure,), center=False, n_pca=n_pca)


def sparse_procedures(n_components: int) -> tuple[Procedure, ...]:
    """The paper's sparse affinities for digits: two neighbour graphs, three balls."""
    affinities = (KNN(9), KNN(17), Epsilon(0.5), Epsilon(1.0), Epsilon(2.0))
    return tuple(
        Procedure(n_components, affinity, solver="lanczos", normalize=False)
        for affinity in affinities
    )


def dense_procedures(n_components: int, solver: object) -> tuple[Procedure, ...]:
    """The paper's dense affinities for digits: self-tuning, and two fixed widths."""
    affinities = (Gaussian("self-tuning"), Gaussian(0.1), Gaussian(0.01))
    return tuple(
        Procedure(n_components, affinity, solver=solver, normalize=False) for affinity in affinities
    )


def _second_paper(solver: object) -> tuple[Procedure, ...]:
    """The paper's second layer for digits and faces."""
    sparse = tuple(
        Procedure(16, affinity, solver="lanczos", normalize=False) for affinity in (KNN(9), KNN(17))
    )
    dense = tuple(
        Procedure(16, affinity, solver=solver, normalize=False)
        for affinity in (Gaussian("self-tuning"), Gaussian(0.1))
    )
    return sparse + dense


# What the paper fits to all patches is fitted to this many: its dense affinities hold the square
# of their number.
_PAPER_LANDMARKS = 4000


def digits_paper(shape: Shape, landmarks: int | None = _PAPER_LANDMARKS) -> Recipe:
    """SA-Net-2 for digits as the paper states it: 6 x 6 maps, then 3 x 3, 72 numbers an image."""
    return _two_layers(11, 5, "minibatch", landmarks)


def faces_paper(shape: Shape, landmarks: int | None = _PAPER_LANDMARKS) -> Recipe:
    """SA-Net-2 for faces as the paper states it; dense affinities by Nystrom."""
    return _two_layers(15, 7, Nystrom(), landmarks)


def _two_layers(patch: int, stride: int, solver: object, landmarks: int | None) -> Recipe:
    first = SpectralLayer(
        patch,
        stride,
        sparse_procedures(64) + dense_procedures(64, solver),
        padding="same",
        landmarks=landmarks,
    )
    second = SpectralLayer(4, 1, _second_paper(solver), landmarks=landmarks)
    return Recipe((first, second, _KEEPING, Binarization(), Coding(8)), "kmeans")


# Pooling that leaves the size of the maps, as the paper's numbers of outputs demand.
_KEEPING = Pooling(2, 1, padding="same")


def natural_paper(depth: int) -> Callable[[Shape], Recipe]:
    """SA-Net-2, -3 or -5 for natural images as the paper states it: 128 numbers an image."""

    def recipe(shape: Shape, landmarks: int | None = _PAPER_LANDMARKS) -> Recipe:
        sparse = (KNN(9), KNN(17), KNN(21), Epsilon(0.5), Epsilon(1.0), Epsilon(2.0))
        affinities = (*sparse, Gaussian("self-tuning"), Gaussian(0.1))
        first = SpectralLayer(
            11, 2, _both_laplacians(affinities, 16), padding="same", landmarks=landmarks
        )
        later = _both_laplacians((KNN(9), KNN(17), KNN(21), Gaussian("self-tuning")), 8)
        layers: list[Layer] = [first]
        for number in range(2, depth + 1):
            patch, stride = (5, 2) if number == 2 else (3, 1)
            layers.append(SpectralLayer(patch, stride, later, padding="same", landmarks=landmarks))
            layers.append(Pooling(2) if number == depth else _KEEPING)
        return Recipe((*layers, Binarization(), Coding(8)), "kmeans")

    return recipe


def fashion_paper(shape: Shape, landmarks: int | None = _PAPER_LANDMARKS) -> Recipe:
    """SA-Net-3 for pictures of clothes as the paper states it: 32 x 32 patches of large pictures.

    Images of less than 64 pixels, as Fashion-MNIST's, which the paper did not use, are cut as the
    paper cuts its images of 32 x 32 for SA-Net-3.
    """
    patch, stride = (32, 16) if min(shape[:2]) >= 64 else (11, 2)
    first = SpectralLayer(
        patch,
        stride,
        sparse_procedures(64) + dense_procedures(64, "minibatch"),
        padding="same",
        landmarks=landmarks,
    )
    later = _both_laplacians((KNN(5), KNN(9), KNN(17), KNN(21)), 16)
    second = SpectralLayer(5, 2, later, padding="same", landmarks=landmarks)
    third = SpectralLayer(3, 1, later, padding="same", landmarks=landmarks)
    layers = (first, second, _KEEPING, third, Pooling(2), Binarization(), Coding(8))
    return Recipe(layers, "kmeans")


def _both_laplacians(affinities: tuple[object, ...], n_components: int) -> tuple[Procedure, ...]:
    return tuple(
        Procedure(
            n_components,
            affinity,
            laplacian,
            "minibatch" if isinstance(affinity, Gaussian) else "lanczos",
            normalize=False,
        )
        for laplacian in ("sym", "rw")
        for affinity in affinities
    )


PRESETS: dict[str, Callable[[Shape], Recipe]] = {
    "default": default,
    "faces": faces,
    "objects": objects,
    "natural": natural,
    "digits-paper": digits_paper,
    "faces-paper": faces_paper,
    "natural-paper-2": natural_paper(2),
    "natural-paper-3": natural_paper(3),
    "natural-paper-5": natural_paper(5),
    "fashion-paper": fashion_paper,
}


def recipe_for(layers: object, assign: str, shape: Shape) -> Recipe:
    """Return the layers and the assignment that parameters stand for.

    Parameters
    ----------
    layers : str or sequence of layer objects
        A preset's name, or the layers themselves.
    assign : {"auto", "kmeans", "rebuild"}
        ``"auto"``: the preset's, ``"rebuild"`` for given layers.
    shape : (h, w, c)
        Of the images.

    Raises
    ------
    InputError
        If a name is unknown, or a preset cuts patches where the rows have no shape.
    """
    check_choice("assign", assign, ("auto", "kmeans", "rebuild"))
    if isinstance(layers, str):
        check_choice("layers", layers, tuple(PRESETS))
        if layers != "default" and shape[:2] == (1, 1):
            refuse_vectors(layers, shape[2])
        recipe = PRESETS[layers](shape)
    elif isinstance(layers, (list, tuple)):
        recipe = Recipe(check_layers(layers), "rebuild")
    else:
        raise InputError(
            f"layers must be one of {list(PRESETS)} or a list of layers, got {layers!r}."
        )
    return recipe if assign == "auto" else Recipe(recipe.layers, assign)
