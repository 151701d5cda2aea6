"""The layers of SA-Net as values: small frozen objects that say what is to be computed.

Wang & Jiang (2020), "Spectral Analysis Network for Deep Representation Learning and Image
Clustering", sections III.A to III.D. They may be stacked in any order and to any depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fiedler.data.checks import check_choice, check_flag, check_weight, check_whole, is_positive
from fiedler.exceptions import InputError
from fiedler.graph import Precomputed, resolve_affinity
from fiedler.models.embedding import SpectralEmbedding
from fiedler.models.sanet.plain_layers import PLAIN_TYPES, PlainLayer
from fiedler.models.sanet.values import Size, keep_counts, keep_sizes
from fiedler.networks.short_repr import ShortRepr
from fiedler.spectrum.solve import check_solver

Padding = Literal["valid", "same", "flush"]


@dataclass(frozen=True, repr=False)
class Procedure(ShortRepr):
    """One spectral analysis procedure: affinity, Laplacian, solver, number of eigenvectors.

    The same four choices as of :class:`fiedler.SpectralEmbedding`, as a value that layers hold.

    Parameters
    ----------
    n_components : int or None
        Eigenvectors. None takes three for each cluster, but no more than a hundred above their
        number, or that of ``max_clusters`` where a rule chooses it.
    affinity : str, affinity object or callable
        As in :class:`fiedler.SpectralEmbedding`, but not ``"precomputed"``: patches are cut while
        fitting. More neighbours than there are patches are cut.
    laplacian : {"sym", "rw", "unnormalized"}
    solver : str or solver object
    diffusion : float
        Each eigenvector is weighted by ``(1 - value)^diffusion`` (diffusion time; Coifman & Lafon
        2006), so that their number is not critical. 0: no weights, as in the paper. The
        eigenvalues of ``"unnormalized"`` have no bound: there it is
        ``exp(-diffusion * value / mean degree)``, the same where all degrees are equal.
    normalize : bool
        Whether each row of the eigenvector block is scaled to unit length. The paper does not.
    keep_trivial : bool
        Whether the first eigenvector (of eigenvalue zero, constant up to degrees) is among them.
    """

    n_components: int | None = None
    affinity: Any = "knn"
    laplacian: Literal["sym", "rw", "unnormalized"] = "sym"
    solver: Any = "auto"
    diffusion: float = 0.0
    normalize: bool = True
    keep_trivial: bool = True

    def __post_init__(self) -> None:
        """Check names and numbers.

        Raises
        ------
        InputError
            If one is not allowed.
        """
        keep_counts(self, optional=("n_components",))
        check_flag("Procedure keep_trivial", self.keep_trivial)
        if isinstance(resolve_affinity(self.affinity), Precomputed):
            raise InputError(
                "a Procedure cannot have affinity='precomputed': its patches are cut while "
                "fitting; use an affinity such as KNN(9), or a function f(A, B)."
            )
        _check_spectrum(self)

    @classmethod
    def of(cls, embedding: SpectralEmbedding) -> Procedure:
        """Return an unfitted :class:`fiedler.SpectralEmbedding` as a procedure.

        Raises
        ------
        InputError
            If it is fitted, or has parameters that the whole network decides.
        """
        if hasattr(embedding, "embedding_"):
            raise InputError(
                "a layer fits its procedures to its own patches; got a fitted SpectralEmbedding: "
                "pass sklearn.base.clone(embedding)."
            )
        given, usual = embedding.get_params(), SpectralEmbedding().get_params()
        for name in ("recall", "device", "random_state", "progress"):
            if given[name] != usual[name]:
                raise InputError(
                    f"{name}={given[name]!r} of a SpectralEmbedding in a layer cannot be honoured, "
                    f"its procedures share one search; give SANet({name}=...) instead."
                )
        own = ("n_components", "affinity", "laplacian", "solver", "keep_trivial")
        return cls(normalize=False, **{name: given[name] for name in own})


def _check_spectrum(own: Procedure | VotingLayer) -> None:
    """Check what procedures and voting layers have in common."""
    check_choice("laplacian", own.laplacian, ("sym", "rw", "unnormalized"))
    check_solver(own.solver)
    if own.laplacian == "unnormalized" and own.solver in ("nystrom", "minibatch"):
        raise InputError(
            f"solver={own.solver!r} needs a normalised Laplacian, 'sym' or 'rw', or another solver "
            "for 'unnormalized', such as 'lanczos'."
        )
    check_weight(f"{type(own).__name__} diffusion", own.diffusion)
    check_flag(f"{type(own).__name__} normalize", own.normalize)


@dataclass(frozen=True, repr=False)
class SpectralLayer(ShortRepr):
    """Spectral analysis layer: patches of all images, procedures in parallel, maps put back.

    Parameters
    ----------
    patch : int, (int, int) or None
        Height and width of a patch; None: the whole map, one patch an image.
    stride : int or (int, int)
    procedures : sequence of Procedure or SpectralEmbedding
        Run in parallel on one shared neighbour search; their maps are concatenated. An unfitted
        :class:`fiedler.SpectralEmbedding` stands for the procedure of the same parameters, rows
        not normalised.
    padding : {"valid", "same", "flush"}
        ``"same"``: zeros around, ``ceil(m / stride)`` positions (the paper's first layer);
        ``"flush"``: no zeros, one more position at the far edge where the stride misses it.
    center : bool
        Whether each patch's mean is taken from it (the paper does).
    contrast : float or None
        Each patch is divided by ``sqrt(variance + contrast)``; images are scaled to [-1, 1].
    whiten : float or None
        ZCA whitening of the patches, regularised by this share of their mean variance.
    unit : bool
        Whether each patch is scaled to unit length.
    n_pca : int or None
        Principal directions that patches are reduced to before the search.
    graph : {"shared", "position"}
        One graph of all patches, or one for each position.
    landmarks : int or None
        Distinct patches of each graph that procedures are fitted to; the others get their places
        by those of their neighbours. None: all of them, but of a graph of more than 200,000
        patches (equal ones counted) no more than so many.
    landmark_choice : {"uniform", "greedy"}
        ``"greedy"``: sparse greedy matrix approximation (Smola & Schoelkopf 2000) of a Gaussian
        affinity; up to 5,000 landmarks.
    n_extension : int
        Neighbours from which a patch that was not fitted gets its place.
    """

    patch: Size | None = 11
    stride: Size = 1
    procedures: Sequence[Procedure] = (Procedure(),)
    padding: Padding = "valid"
    center: bool = True
    contrast: float | None = None
    whiten: float | None = None
    unit: bool = False
    n_pca: int | None = None
    graph: Literal["shared", "position"] = "shared"
    landmarks: int | None = None
    landmark_choice: Literal["uniform", "greedy"] = "uniform"
    n_extension: int = 8

    def __post_init__(self) -> None:
        """Check names and numbers.

        Raises
        ------
        InputError
            If one is not allowed.
        """
        given = self.procedures
        listed = given if isinstance(given, (list, tuple)) else ()
        made = (Procedure.of(p) if isinstance(p, SpectralEmbedding) else p for p in listed)
        object.__setattr__(self, "procedures", tuple(made))
        if not self.procedures or not all(isinstance(p, Procedure) for p in self.procedures):
            raise InputError(
                "a SpectralLayer needs a list of one or more Procedure or SpectralEmbedding "
                f"objects, as in procedures=[Procedure(64, KNN(9))]; got {given!r}."
            )
        check_choice("padding", self.padding, ("valid", "same", "flush"))
        check_choice("graph", self.graph, ("shared", "position"))
        check_choice("landmark_choice", self.landmark_choice, ("uniform", "greedy"))
        keep_sizes(self, "stride", optional=("patch",))
        keep_counts(self, "n_extension", optional=("n_pca", "landmarks"))
        check_flag("SpectralLayer center", self.center)
        check_flag("SpectralLayer unit", self.unit)
        for name in ("contrast", "whiten"):
            value = getattr(self, name)
            if value is not None and not is_positive(value):
                raise InputError(
                    f"SpectralLayer {name} must be None or a positive number, got {value!r}."
                )
        if self.landmark_choice == "greedy" and not 0 < (self.landmarks or 0) <= 5000:
            raise InputError(
                "landmark_choice='greedy' needs landmarks between 1 and 5000 (its time grows with "
                f"their square), got {self.landmarks!r}; use 'uniform' for more."
            )


@dataclass(frozen=True, repr=False)
class VotingLayer(ShortRepr):
    """Spectral analysis of the images themselves, on the sum of the graphs of all positions.

    At each position every image votes for the images whose patches there are most similar
    (cosine; the best over small shifts of the other's patch). The votes of all positions, made
    symmetric and squared, are the affinity of the images: patches that are hidden in one image
    vote at random, and the visible ones outvote them. Votes are divided by the root of how many
    each of the two images gets. Time grows with the square of the number of images.

    Parameters
    ----------
    patch, stride, padding
        As in :class:`SpectralLayer`.
    n_neighbors : int
        Votes of an image at a position.
    shifts : int
        Pixels that the other image's patch may be moved by, in each direction.
    squared : bool
        Whether votes are followed for a second step, which joins the pieces that sparse graphs
        leave.
    n_kept : int
        Largest affinities kept of each image.
    n_components : int or None
        Eigenvectors; None takes a fifth more than clusters.
    laplacian, solver, diffusion, normalize
        As in :class:`Procedure`.
    """

    patch: Size = 6
    stride: Size = 4
    padding: Padding = "flush"
    n_neighbors: int = 5
    shifts: int = 2
    squared: bool = True
    n_kept: int = 7
    n_components: int | None = None
    laplacian: Literal["sym", "rw", "unnormalized"] = "sym"
    solver: Any = "auto"
    diffusion: float = 16.0
    normalize: bool = True

    def __post_init__(self) -> None:
        """Check names and numbers.

        Raises
        ------
        InputError
            If one is not allowed.
        """
        check_choice("padding", self.padding, ("valid", "same", "flush"))
        keep_sizes(self, "patch", "stride")
        keep_counts(self, "n_neighbors", "n_kept", optional=("n_components",))
        _check_spectrum(self)
        check_whole("VotingLayer shifts", self.shifts, 0)
        check_flag("VotingLayer squared", self.squared)


Layer = SpectralLayer | VotingLayer | PlainLayer
LAYER_TYPES = (SpectralLayer, VotingLayer, *PLAIN_TYPES)
