"""The layers of SA-Net as values: small frozen objects that say what is to be computed.

Wang & Jiang (2020), "Spectral Analysis Network for Deep Representation Learning and Image
Clustering", sections III.A to III.D. They may be stacked in any order and to any depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fiedler.exceptions import InputError
from fiedler.graph.fitted import check_choice
from fiedler.models.sanet.plain_layers import PLAIN_TYPES, PlainLayer
from fiedler.models.sanet.values import Size, check_positive, check_size
from fiedler.networks.short_repr import ShortRepr

Padding = Literal["valid", "same", "flush"]


@dataclass(frozen=True, repr=False)
class Procedure(ShortRepr):
    """One spectral analysis procedure: affinity, Laplacian, solver, number of eigenvectors.

    The same four choices as of :class:`fiedler.SpectralEmbedding`, as a value that layers hold.

    Parameters
    ----------
    n_components : int or None
        Eigenvectors, the trivial one included. None takes three for each cluster.
    affinity : str or affinity object
        As in :class:`fiedler.SpectralEmbedding`. More neighbours than there are patches are cut.
    laplacian : {"sym", "rw", "unnormalized"}
    solver : str or solver object
    diffusion : float
        Each eigenvector is weighted by ``(1 - value)^diffusion`` (diffusion time; Coifman & Lafon
        2006), so that their number is not critical. 0: no weights, as in the paper.
    normalize : bool
        Whether each row of the eigenvector block is scaled to unit length. The paper does not.
    """

    n_components: int | None = None
    affinity: Any = "knn"
    laplacian: Literal["sym", "rw", "unnormalized"] = "sym"
    solver: Any = "auto"
    diffusion: float = 0.0
    normalize: bool = True

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises
        ------
        InputError
            If one is out of range.
        """
        if self.n_components is not None:
            check_positive("Procedure n_components", self.n_components)
        if self.diffusion < 0:
            raise InputError(f"Procedure diffusion must be 0 or more, got {self.diffusion!r}.")


@dataclass(frozen=True, repr=False)
class SpectralLayer(ShortRepr):
    """Spectral analysis layer: patches of all images, procedures in parallel, maps put back.

    Parameters
    ----------
    patch : int, (int, int) or None
        Height and width of a patch; None: the whole map, one patch an image.
    stride : int or (int, int)
    procedures : sequence of Procedure
        Run in parallel on one shared neighbour search; their maps are concatenated.
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
        by those of their neighbours. None: all of them.
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
        object.__setattr__(self, "procedures", tuple(self.procedures))
        if not self.procedures or not all(isinstance(p, Procedure) for p in self.procedures):
            raise InputError(
                "a SpectralLayer needs one or more Procedure objects, as in "
                f"procedures=[Procedure(64, KNN(9))]; got {self.procedures!r}."
            )
        check_choice("padding", self.padding, ("valid", "same", "flush"))
        check_choice("graph", self.graph, ("shared", "position"))
        check_choice("landmark_choice", self.landmark_choice, ("uniform", "greedy"))
        if self.patch is not None:
            check_size("patch", self.patch)
        check_size("stride", self.stride)
        for name in ("n_pca", "landmarks", "n_extension"):
            if getattr(self, name) is not None:
                check_positive(f"SpectralLayer {name}", getattr(self, name))
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
        check_size("patch", self.patch)
        check_size("stride", self.stride)
        check_positive("VotingLayer n_neighbors", self.n_neighbors)
        check_positive("VotingLayer n_kept", self.n_kept)
        if self.shifts < 0:
            raise InputError(f"VotingLayer shifts must be 0 or more, got {self.shifts!r}.")


Layer = SpectralLayer | VotingLayer | PlainLayer
LAYER_TYPES = (SpectralLayer, VotingLayer, *PLAIN_TYPES)
