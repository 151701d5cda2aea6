"""What a SpectralNet is made of: one frozen description, and its two named versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from fiedler.data.checks import check_whole
from fiedler.data.gradients import has_enough_pixels
from fiedler.exceptions import InputError
from fiedler.graph import KNN, Epsilon, Gaussian, resolve_affinity
from fiedler.networks import ConvMap, DenseMap, RandomAffine
from fiedler.networks.batch_affinity import Scale
from fiedler.networks.orthonormal import ORTHONORMALIZATIONS, Orthonormalization
from fiedler.networks.short_repr import ShortRepr
from fiedler.training import Training
from fiedler.training.codes import Autoencoder, Siamese

RecipeName = Literal["default", "paper"]
_GRAPH = KNN()
# Names of affinities that a batch, or a graph of few edges, can serve.
_AFFINITIES = ("knn", "self-tuning", "epsilon", "gaussian")


def check_part(name: str, value: object, kinds: tuple[type, ...], *words: str) -> None:
    """Refuse a part of a recipe that is of no allowed kind, nor one of the words."""
    if isinstance(value, kinds) or value in words:
        return
    allowed = [*(repr(word) for word in words), *(kind.__name__ for kind in kinds)]
    raise InputError(f"{name} must be {' or '.join(allowed)}, got {value!r}.")


def are_images(row_shape: tuple[int, ...]) -> bool:
    """Tell whether rows are images that convolutions can be made for."""
    return len(row_shape) > 1 and min(row_shape[:2]) >= LEAST_SIDE


Recipe = TypeVar("Recipe")


def find_named(recipes: Mapping[str, Recipe], name: object, kind: str) -> Recipe:
    """Return the recipe of a name, or tell which names there are."""
    if not isinstance(name, str) or name not in recipes:
        raise InputError(f"recipe must be one of {sorted(recipes)} or a {kind}, got {name!r}.")
    return recipes[name]


@dataclass(frozen=True, repr=False)
class BatchAffinity(ShortRepr):
    """The affinity among the random rows of each batch, as published.

    Parameters
    ----------
    n_neighbors : int or None
        Neighbours within the batch that each row keeps; None keeps all (a full Gaussian affinity).
    scale_neighbor : int
        Neighbour whose distance is the Gaussian's scale.
    scale : {"global", "local"}
        The median of those distances, or each row's own.
    """

    n_neighbors: int | None = 3
    scale_neighbor: int = 2
    scale: Scale = "global"

    def __post_init__(self) -> None:
        """Refuse what is no affinity."""
        if self.scale not in ("global", "local"):
            raise InputError(f"scale must be 'global' or 'local', got {self.scale!r}.")
        check_whole("scale_neighbor", self.scale_neighbor)
        if self.n_neighbors is not None:
            check_whole("n_neighbors", self.n_neighbors)


@dataclass(frozen=True, repr=False)
class SpectralNetRecipe(ShortRepr):
    """The parts of a SpectralNet. Its defaults are the recipe ``"default"``.

    Parameters
    ----------
    codes : Autoencoder or None
        Train an autoencoder first, and work on its codes.
    siamese : Siamese or None
        Learn the distances of the affinity by a Siamese network.
    affinity : KNN, Epsilon, Gaussian, BatchAffinity, callable or name
        A sparse graph of all rows, along whose edges the batches are drawn; or the affinity within
        batches of random rows: :class:`BatchAffinity`, or a function ``f(A, B)`` of two blocks of
        rows that returns their affinity, shape ``(len(A), len(B))``. A Gaussian is taken within
        batches too. Names are ``"knn"``, ``"self-tuning"``, ``"epsilon"`` and ``"gaussian"``.
    network : DenseMap, ConvMap or "auto"
        The map. ``"auto"``: convolutional for images, dense for vectors, small for few rows of
        few clusters.
    views : RandomAffine, None or "auto"
        Random views of images that shall stay together: beyond the paper. ``"auto"``: for images
        where the affinity is a graph and there are no codes.
    upright : bool or "auto"
        Look for the neighbours of images among these sheared upright too: beyond the paper.
        ``"auto"``: where views shear them as well.
    gradients : bool or "auto"
        Compare images by their histograms of gradient orientation
        (:func:`fiedler.gradient_histograms`) instead of their pixels; beyond the paper. The graph
        is then the mean of that of the images as they are and, with ``upright``, that of the
        upright ones; of pixels it is that of the upright ones alone. ``"auto"``: for a :class:`KNN`
        of images of at least 10 x 10 pixels; the radius of an :class:`Epsilon` stays one of pixels.
    normalized : bool
        The normalised Laplacian's loss.
    orthonormalization : {"cholesky", "qr"}
        How the last layer's weights are computed.
    alternate : bool
        The published training: one batch sets the last layer, another is mapped by it. The gradient
        flows through both, as in the authors' program.
    known : float or "auto"
        Self-training, beyond the paper: this share of the rows, those surest of their cluster in
        the graph's own eigenvectors, are taken as known (as ``known_labels`` are), but for those on
        borders and those whose given label is not their cluster's. Not where that partition cuts
        the graph much more than k-means does. ``"auto"``: 1 for images seen through views, else 0.
    extra_outputs : int
        Outputs beyond the number of clusters. A few keep a seed from splitting one class and
        joining two.
    training : Training or "auto"
        Of the map. ``"auto"``: for images, where ``known`` is not 0, 1,500 steps of 256 rows, 12
        for each cluster where that is more; up to 20,000 images, then more steps, 3,000 from 40,000
        on. With ``known=0`` 1,500 of 1,024 rows, three tenths of their number where that is less,
        but at least 400. For vectors 600.
    """

    codes: Autoencoder | None = None
    siamese: Siamese | None = None
    affinity: Any = _GRAPH
    network: Any = "auto"
    views: Any = "auto"
    upright: Any = "auto"
    gradients: Any = "auto"
    normalized: bool = True
    orthonormalization: Orthonormalization = "cholesky"
    alternate: bool = False
    known: Any = "auto"
    extra_outputs: int = 4
    training: Any = "auto"

    def __post_init__(self) -> None:
        """Refuse what no part can use."""
        check_part("codes", self.codes, (Autoencoder, type(None)))
        check_part("siamese", self.siamese, (Siamese, type(None)))
        check_part("network", self.network, (DenseMap, ConvMap), "auto")
        check_part("views", self.views, (RandomAffine, type(None)), "auto")
        check_part("training", self.training, (Training,), "auto")
        check_part("known", self.known, (float, int), "auto")
        check_part("normalized", self.normalized, (bool,))
        check_part("alternate", self.alternate, (bool,))
        check_part("upright", self.upright, (bool,), "auto")
        check_part("gradients", self.gradients, (bool,), "auto")
        object.__setattr__(self, "affinity", _resolved(self.affinity))
        known = isinstance(self.affinity, (KNN, Epsilon, BatchAffinity))
        if not known and (not callable(self.affinity) or isinstance(self.affinity, type)):
            raise InputError(
                f"affinity must be one of {list(_AFFINITIES)}, KNN(...), Epsilon(...), Gaussian() "
                "with a sigma that is measured, BatchAffinity(...) or a function f(A, B), got "
                f"{self.affinity!r}. A known graph is given to fit, as graph=W."
            )
        if self.orthonormalization not in ORTHONORMALIZATIONS:
            raise InputError(
                f"orthonormalization must be one of {list(ORTHONORMALIZATIONS)}, got "
                f"{self.orthonormalization!r}."
            )
        if self.alternate and self.uses_graph:
            raise InputError(
                "alternate=True needs batches of random rows, as affinity=BatchAffinity() makes; "
                f"got affinity={self.affinity!r}."
            )
        if self.known != "auto" and not 0 <= self.known <= 1:
            raise InputError(f"known must be a share between 0 and 1, got {self.known!r}.")
        if self.known not in ("auto", 0) and not self.uses_graph:
            raise InputError(
                f"known={self.known} needs the edges of a graph (affinity=KNN()); got "
                f"affinity={self.affinity!r}."
            )
        check_whole("extra_outputs", self.extra_outputs, 0)

    @classmethod
    def named(cls, name: str) -> SpectralNetRecipe:
        """Return the recipe ``"default"`` or ``"paper"``, to use or to vary by ``replace``.

        Raises
        ------
        InputError
            If there is no recipe of this name.
        """
        return find_named(_NAMED, name, cls.__name__)

    @property
    def uses_graph(self) -> bool:
        """Whether batches follow the edges of a graph of all rows."""
        return isinstance(self.affinity, (KNN, Epsilon))


def _resolved(affinity: Any) -> Any:
    """Return the object of a name; a Gaussian of measured scale becomes that within batches."""
    if isinstance(affinity, str) and affinity in _AFFINITIES:
        affinity = resolve_affinity(affinity)
    if isinstance(affinity, Gaussian) and isinstance(affinity.sigma, str):
        scale: Scale = "local" if affinity.sigma == "self-tuning" else "global"
        return BatchAffinity(None, affinity.scale_neighbor, scale)
    return affinity


_PAPER = SpectralNetRecipe(
    codes=Autoencoder(),
    siamese=Siamese(),
    affinity=BatchAffinity(n_neighbors=3, scale_neighbor=2),
    network=DenseMap((1024, 1024, 512), batch_norm=False, head="tanh"),
    views=None,
    upright=False,
    gradients=False,
    normalized=False,
    alternate=True,
    known=0.0,
    extra_outputs=0,
    training=Training(steps=5000, batch_size=1024, learning_rate=1e-3, patience=20),
)
_NAMED = {"default": SpectralNetRecipe(), "paper": _PAPER}
# So few rows need no wide layers, and all of them fit into a batch.
FEW_ROWS = 2000
# Images smaller than this have no room for strided convolutions.
LEAST_SIDE = 4
_SMALL_WIDTH = 64
# All pairs of known clusters count, so that batches may be small, steps many and large. Of each
# cluster a batch shall hold some rows.
_KNOWN_ROWS, _ROWS_OF_EACH, _KNOWN_RATE = 256, 12, 3e-3


def settle(
    recipe: SpectralNetRecipe, row_shape: tuple[int, ...], n_rows: int, n_clusters: int = 2
) -> SpectralNetRecipe:
    """Replace each "auto" by what it stands for with such rows and at most so many clusters.

    ``n_clusters`` is the number of outputs, where that is larger.
    """
    images = recipe.codes is None and are_images(row_shape)
    few = n_rows <= FEW_ROWS and not images
    network, views, training = recipe.network, recipe.views, recipe.training
    if network == "auto":
        network = ConvMap() if images else _small_map(n_clusters) if few else DenseMap()
    if views == "auto":
        views = RandomAffine() if images and recipe.uses_graph else None
    if views is not None and not (images and recipe.uses_graph):
        raise InputError(
            "random views need images, no codes, and the edges of a graph (affinity=KNN()); rows "
            f"have shape {row_shape}, affinity is {recipe.affinity!r}. Set image_shape, or "
            "views=None."
        )
    # what a Siamese network makes of images has no pixels to compare
    pixels = images and recipe.uses_graph and recipe.siamese is None
    affinity = recipe.affinity if pixels else None
    needed = "affinity=KNN(), no codes, no Siamese network"
    upright, gradients = settle_comparison(
        recipe.upright, recipe.gradients, views, affinity, row_shape, needed
    )
    known = recipe.known
    if known == "auto":
        known = 1.0 if views is not None else 0.0
    if training == "auto":
        if few:
            training = Training(steps=400, batch_size=FEW_ROWS, learning_rate=1e-2)
        else:
            training = (
                map_training(n_rows, n_clusters, known=known > 0) if images else Training(steps=600)
            )
    return replace(
        recipe,
        network=network,
        views=views,
        known=known,
        upright=upright,
        gradients=gradients,
        training=training,
    )


def map_training(n_rows: int, n_clusters: int, *, known: bool) -> Training:
    """Return how a map of so many images is trained, with known clusters or without.

    More images have more to tell. Without known clusters, in large batches, the steps that
    thousands of them need would show each of a few hundreds of times.
    """
    if known:
        steps = min(3000, max(1500, 3 * n_rows // 40))
        size = max(_KNOWN_ROWS, _ROWS_OF_EACH * n_clusters)
        return Training(steps=steps, batch_size=size, learning_rate=_KNOWN_RATE)
    return Training(steps=min(1500, max(400, 3 * n_rows // 10)))


def _small_map(n_clusters: int) -> DenseMap:
    """Return the map for few rows: its last layer must hold more dimensions than clusters."""
    return DenseMap((_SMALL_WIDTH, max(_SMALL_WIDTH, 2 * n_clusters)), batch_norm=False)


def settle_comparison(
    upright: Any,
    gradients: Any,
    views: RandomAffine | None,
    affinity: KNN | Epsilon | None,
    row_shape: tuple[int, ...],
    needed: str,
) -> tuple[bool, bool]:
    """Return whether images are brought upright, and compared by their gradients.

    ``affinity`` is the graph of images, None for other rows or without one; ``needed`` says in a
    recipe's words what gives it one.
    """
    for name, wanted in (("upright", upright), ("gradients", gradients)):
        if wanted is True and affinity is None:
            raise InputError(
                f"{name}=True needs images and a graph of them ({needed}); rows have shape "
                f"{row_shape}. Set image_shape, or {name}=False."
            )
    if upright == "auto":
        upright = affinity is not None and views is not None and views.shear > 0
    if gradients == "auto":
        gradients = isinstance(affinity, KNN) and has_enough_pixels(row_shape)
    return upright, gradients
