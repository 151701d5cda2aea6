"""What a DSCDAN is made of: one frozen description, and its two named versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from fiedler.data.checks import check_choice, check_flag, check_weight, check_whole
from fiedler.exceptions import InputError
from fiedler.graph import KNN
from fiedler.models.spectralnet.recipe import (
    FEW_ROWS,
    LEAST_SIDE,
    BatchAffinity,
    are_images,
    check_part,
    find_named,
    map_training,
    settle_comparison,
)
from fiedler.networks import DenseMap, RandomAffine
from fiedler.networks.coder import ConvCoder, DenseCoder
from fiedler.networks.orthonormal import ORTHONORMALIZATIONS, Orthonormalization
from fiedler.networks.short_repr import ShortRepr
from fiedler.training import Training
from fiedler.training.dual import DualLoss

_GRAPH = KNN()
_LOSS = DualLoss()
_SPECTRAL = DenseMap((512,))


@dataclass(frozen=True, repr=False)
class LearnedGraph(ShortRepr):
    """The neighbour graph of what the network makes of the rows, as it is when a round begins.

    Parameters
    ----------
    space : {"codes", "hidden"}
        The codes, or the last hidden layer of the spectral network compared by direction.
    n_neighbors : int
    """

    space: Literal["codes", "hidden"] = "hidden"
    n_neighbors: int = 10

    def __post_init__(self) -> None:
        """Refuse what is no graph."""
        check_choice("space", self.space, ("codes", "hidden"))
        check_whole("n_neighbors", self.n_neighbors)


@dataclass(frozen=True, repr=False)
class Round(ShortRepr):
    """One round of the joint phase: a graph, held while the networks are trained.

    Parameters
    ----------
    graph : None, LearnedGraph or BatchAffinity
        None: the recipe's graph of the rows. :class:`LearnedGraph`: refreshed now.
        :class:`BatchAffinity`: among the codes of each random batch, as published.
    known : float or "auto"
        Self-training: this share of the rows, those surest of their cluster in the round before,
        are taken as known: edges between their clusters are cut, random ties within added. Before
        the first round these are the clusters of the rows' graph by its own eigenvectors, if they
        are to be trusted (they do not cut it much more than k-means does), else none. Rows on
        borders are never known. ``"auto"``: all rows of images with random views; of others, whose
        own graphs' partitions teach more wrong than right, none, and seven tenths with a learned
        graph. None where ``graph`` is a :class:`BatchAffinity`.
    training : Training or "auto"
        ``"auto"``: for images as SpectralNet's map is trained, a third as long with a learned
        graph; 600 steps of 1,024 rows for vectors, 360 with a learned graph, of up to 2,000 vectors
        400 and 100 steps of all.
    """

    graph: Any = None
    known: Any = "auto"
    training: Any = "auto"

    def __post_init__(self) -> None:
        """Refuse what no round can use."""
        check_part("graph", self.graph, (LearnedGraph, BatchAffinity, type(None)))
        check_part("training", self.training, (Training,), "auto")
        check_part("known", self.known, (float, int), "auto")
        if self.known != "auto" and (isinstance(self.known, bool) or not 0 <= self.known <= 1):
            raise InputError(f"known must be a share between 0 and 1, got {self.known!r}.")
        if self.known not in ("auto", 0) and isinstance(self.graph, BatchAffinity):
            raise InputError("self-training needs a graph of all rows, not a BatchAffinity.")


# The second round learns from the clusters as the first has corrected them, nothing new where that
# has changed next to none: then it is left out (``settled``).
_ROUNDS = (Round(), Round(LearnedGraph("hidden")))


@dataclass(frozen=True, repr=False)
class DSCDANRecipe(ShortRepr):
    """The parts of a DSCDAN. Its defaults are the recipe ``"default"``.

    The ablations of the paper's table 4: ``loss=DualLoss(relative=0, global_information=0,
    local_information=0, prior=0)`` is the plain autoencoder, the information and the prior of the
    codes together are "MI", ``relative`` is "RS", and ``spectral=None`` leaves out the spectral
    network, so that codes are clustered: all by ``replace(DSCDANRecipe.named("paper"), ...)``.

    Parameters
    ----------
    coder : ConvCoder, DenseCoder, "auto" or "paper"
        Encoder and mirrored decoder. ``"auto"``: convolutional for images. ``"paper"``: the
        published convolutions, 16-16-32-32, or 16-32 for images of at most 16 pixels (USPS).
    n_codes : int
        Numbers in a code.
    loss : DualLoss
        Weights of the autoencoder's terms.
    critic_width : int
        Hidden units of the two critics of mutual information.
    whole_map : bool
        Whether the global critic sees the whole feature map, as published, or its mean over the
        places.
    pretraining : Training, None or "auto"
        Of the autoencoder alone. ``"auto"``: 200 steps of 256 rows.
    spectral : DenseMap or None
        The spectral network, from codes to outputs. None: no joint phase; without a graph k-means
        clusters the codes, with one they are rotated to its eigenvectors first.
    graph : KNN or None
        Of the rows: it trains rounds without a graph of their own, orders the eigenvectors and
        judges the clusters. None, as published: batches order them, k-means reads them.
    rounds : tuple of Round
        The joint phase. By default one on the graph of the rows, then one on the learned graph.
    settled : float
        Rounds end when no larger share of the rows changes its cluster; the first is compared with
        the graph's partition, or with k-means on the codes where that is not known.
    views : RandomAffine, None or "auto"
        Random views of images that shall stay together: beyond the paper. ``"auto"``: for images.
    upright : bool or "auto"
        Look for the neighbours of images among these sheared upright too: beyond the paper.
        ``"auto"``: where views shear them as well.
    gradients : bool or "auto"
        Compare images by their histograms of gradient orientation
        (:func:`fiedler.gradient_histograms`) instead of their pixels; beyond the paper. The graph
        is then the mean of that of the images as they are and, with ``upright``, that of the
        upright ones; of pixels it is that of the upright ones alone. ``"auto"``: from 10 x 10
        pixels.
    joint_weight : float
        Of the autoencoder's loss in the joint phase.
    joint_batch : int or "auto"
        Rows of a joint step that the autoencoder's loss is computed on. ``"auto"``: an eighth of
        the step's, at most 128.
    cluster_prior : bool
        In the joint phase the codes' prior is one Gaussian for each cluster of the round before
        (before the first of the graph's partition, or of k-means on the codes), about a learned
        centre.
    normalized : bool
        The normalised Laplacian's loss.
    orthonormalization : {"cholesky", "qr"}
        How the last layer's weights are computed.
    alternate : bool
        Train the spectral network as SpectralNet was published: one batch sets the last layer,
        another is mapped by it. DSC-DAN takes its Cholesky layer from there, but trains all
        parts together, so the recipe ``"paper"`` does not.
    extra_outputs : int
        Outputs beyond the number of clusters.
    """

    coder: Any = "auto"
    n_codes: int = 120
    loss: DualLoss = _LOSS
    critic_width: int = 64
    whole_map: bool = False
    pretraining: Any = "auto"
    spectral: Any = _SPECTRAL
    graph: Any = _GRAPH
    rounds: tuple[Round, ...] = _ROUNDS
    settled: float = 0.002
    views: Any = "auto"
    upright: Any = "auto"
    gradients: Any = "auto"
    joint_weight: float = 0.1
    joint_batch: Any = "auto"
    cluster_prior: bool = True
    normalized: bool = True
    orthonormalization: Orthonormalization = "cholesky"
    alternate: bool = False
    extra_outputs: int = 4

    def __post_init__(self) -> None:
        """Refuse what no part can use."""
        check_part("coder", self.coder, (ConvCoder, DenseCoder), "auto", "paper")
        check_part("loss", self.loss, (DualLoss,))
        check_part("pretraining", self.pretraining, (Training, type(None)), "auto")
        check_part("spectral", self.spectral, (DenseMap, type(None)))
        check_part("graph", self.graph, (KNN, type(None)))
        check_part("views", self.views, (RandomAffine, type(None)), "auto")
        check_part("upright", self.upright, (bool,), "auto")
        check_part("gradients", self.gradients, (bool,), "auto")
        for name in ("whole_map", "cluster_prior", "normalized", "alternate"):
            check_flag(name, getattr(self, name))
        of_rounds = isinstance(self.rounds, (tuple, list)) and len(self.rounds) > 0
        if not of_rounds or not all(isinstance(r, Round) for r in self.rounds):
            raise InputError(
                f"rounds must be a tuple of one or more Round(...), got {self.rounds!r}; "
                "spectral=None leaves the joint phase out."
            )
        check_choice("orthonormalization", self.orthonormalization, ORTHONORMALIZATIONS)
        check_whole("n_codes", self.n_codes)
        check_whole("critic_width", self.critic_width)
        if self.joint_batch != "auto":
            check_whole("joint_batch", self.joint_batch, 2)
        check_whole("extra_outputs", self.extra_outputs, 0)
        check_weight("joint_weight", self.joint_weight)
        check_weight("settled", self.settled)
        _check_rounds(self)

    @classmethod
    def named(cls, name: str) -> DSCDANRecipe:
        """Return the recipe ``"default"`` or ``"paper"``, to use or to vary by ``replace``.

        Raises
        ------
        InputError
            If there is no recipe of this name.
        """
        return find_named(_NAMED, name, cls.__name__)


def _check_rounds(recipe: DSCDANRecipe) -> None:
    """Refuse rounds that the other parts of a recipe do not go with."""
    in_batches = [isinstance(spec.graph, BatchAffinity) for spec in recipe.rounds]
    if recipe.alternate and not all(in_batches):
        raise InputError(
            "alternate=True needs batches of random rows, as in rounds=(Round(BatchAffinity()),); "
            f"got rounds={recipe.rounds!r}."
        )
    if recipe.spectral is None:
        return  # there is no joint phase
    if isinstance(recipe.views, RandomAffine) and any(in_batches):
        raise InputError(
            "views are shown along the edges of a graph, not in batches of random rows; got "
            f"views={recipe.views!r} and rounds={recipe.rounds!r}."
        )
    if recipe.graph is not None:
        return
    if any(spec.graph is None for spec in recipe.rounds):
        raise InputError(
            "a Round() without a graph of its own trains on that of the rows, but graph=None."
        )
    if recipe.rounds[0].known not in ("auto", 0):
        raise InputError(
            "what the first round takes as known is read off the graph of the rows, but "
            f"graph=None; got known={recipe.rounds[0].known!r}."
        )


_PAPER_ROUND = Round(BatchAffinity(n_neighbors=3, scale_neighbor=3), training=Training(steps=500))
_PAPER = DSCDANRecipe(
    coder="paper",
    whole_map=True,
    pretraining=Training(steps=4000, batch_size=256),
    spectral=DenseMap((1024, 1024, 512), batch_norm=False),
    graph=None,
    rounds=(_PAPER_ROUND,) * 8,
    settled=0.01,
    views=None,
    upright=False,
    gradients=False,
    joint_weight=1.0,
    normalized=False,
    extra_outputs=0,
)
_PAPER_CODER = ConvCoder((16, 16, 32, 32), (1, 2, 1, 2), width=None, batch_norm=False)
# of USPS, 16 x 16
_PAPER_SMALL = ConvCoder((16, 32), (2, 2), width=None, batch_norm=False)
_SMALL_SIDE = 16
# The paper has no vectors; this is the mirror usual for them.
_PAPER_DENSE = DenseCoder((500, 500, 2000), batch_norm=False)
_NAMED = {"default": DSCDANRecipe(), "paper": _PAPER}
_SMALL_CODER = DenseCoder((64,), batch_norm=False)


def check_codes(
    recipe: DSCDANRecipe, n_clusters: int | str, assign: str, n_components: int | None
) -> None:
    """Refuse what asks for eigenvectors where a recipe clusters the codes."""
    if recipe.spectral is not None:
        return
    if n_components is not None and (recipe.graph is None or n_components > recipe.n_codes):
        raise InputError(
            f"spectral=None reads clusters off the {recipe.n_codes} codes, all of them where there "
            f"is no graph; got n_components={n_components}, leave it out."
        )
    if recipe.graph is not None:
        if not isinstance(n_clusters, str) and recipe.n_codes < n_clusters:
            raise InputError(
                f"spectral=None reads {n_clusters} clusters off as many eigenvectors made of the "
                f"codes, but there are n_codes={recipe.n_codes}: raise it."
            )
        return
    if isinstance(n_clusters, str) or assign not in ("auto", "kmeans"):
        raise InputError(
            "spectral=None without a graph clusters the codes by k-means: n_clusters must be a "
            f"number and assign 'auto' or 'kmeans', got {n_clusters!r} and {assign!r}. Give the "
            "recipe graph=KNN() for others."
        )


def settle(
    recipe: DSCDANRecipe, row_shape: tuple[int, ...], n_rows: int, n_clusters: int = 2
) -> DSCDANRecipe:
    """Replace each "auto" by what it stands for with such rows and at most so many clusters.

    ``n_clusters`` is the number of outputs, where that is larger.
    """
    images = are_images(row_shape)
    few = n_rows <= FEW_ROWS and not images
    coder, views, pretraining = recipe.coder, recipe.views, recipe.pretraining
    if coder == "auto":
        coder = ConvCoder() if images else _SMALL_CODER if few else DenseCoder()
    if coder == "paper":
        convolutions = _PAPER_SMALL if max(row_shape[:2]) <= _SMALL_SIDE else _PAPER_CODER
        coder = convolutions if images else _PAPER_DENSE
    if views == "auto":
        views = RandomAffine() if images and recipe.graph is not None else None
    if views is not None and not images:
        raise InputError(
            f"random views need images of at least {LEAST_SIDE} x {LEAST_SIDE} pixels; rows have "
            f"shape {row_shape}. Set image_shape if they are images, or views=None."
        )
    graph = recipe.graph if images else None
    upright, gradients = settle_comparison(
        recipe.upright, recipe.gradients, views, graph, row_shape, "graph=KNN()"
    )
    if pretraining == "auto":
        pretraining = Training(steps=200, batch_size=256)
    viewed = views is not None
    rounds = tuple(
        _settled_round(spec, n_rows, n_clusters, images=images, viewed=viewed)
        for spec in recipe.rounds
    )
    return replace(
        recipe,
        coder=coder,
        views=views,
        upright=upright,
        gradients=gradients,
        pretraining=pretraining,
        rounds=rounds,
    )


def joint_rows(recipe: DSCDANRecipe, training: Training) -> int:
    """Return on how many rows of a joint step the autoencoder's loss is computed."""
    if recipe.joint_batch == "auto":
        return min(128, max(2, training.batch_size // 8))
    return int(recipe.joint_batch)


def _settled_round(
    spec: Round, n_rows: int, n_clusters: int, *, images: bool, viewed: bool
) -> Round:
    learned = isinstance(spec.graph, LearnedGraph)
    if spec.known == "auto":
        known = 1.0 if viewed else 0.7 if learned else 0.0
        spec = replace(spec, known=0.0 if isinstance(spec.graph, BatchAffinity) else known)
    if spec.training != "auto":
        return spec
    if n_rows <= FEW_ROWS and not images:
        steps = 100 if learned else 400
        return replace(spec, training=Training(steps, FEW_ROWS, 1e-3 if learned else 1e-2))
    if not images:
        return replace(spec, training=Training(steps=360 if learned else 600))
    training = map_training(n_rows, n_clusters, known=spec.known > 0)
    return replace(spec, training=replace(training, steps=training.steps // (3 if learned else 1)))
