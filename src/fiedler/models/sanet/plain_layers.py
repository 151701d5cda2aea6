"""The layers of SA-Net that have nothing to fit, as values; :mod:`maps` computes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fiedler.data.checks import check_choice, check_flag, is_positive
from fiedler.exceptions import InputError
from fiedler.models.counts import check_count
from fiedler.models.sanet.values import Size, keep_sizes
from fiedler.networks.short_repr import ShortRepr

# Surroundings wider than any image only cost.
_WIDEST = 1000


@dataclass(frozen=True, repr=False)
class Pooling(ShortRepr):
    """Pooling inside each map.

    Parameters
    ----------
    size : int or (int, int)
        Window.
    stride : int, (int, int) or None
        None takes the size, so that windows do not overlap.
    kind : {"max", "average"}
        ``"max"``: the value with the largest absolute value, sign kept (the paper's).
        ``"average"``: the mean of what lies inside the map.
    padding : {"valid", "same"}
        ``"same"``: zeros around, ``ceil(m / stride)`` windows.
    """

    size: Size = 2
    stride: Size | None = None
    kind: Literal["max", "average"] = "max"
    padding: Literal["valid", "same"] = "valid"

    def __post_init__(self) -> None:
        """Check names and numbers.

        Raises
        ------
        InputError
            If one is not allowed.
        """
        keep_sizes(self, "size", optional=("stride",))
        check_choice("kind", self.kind, ("max", "average"))
        check_choice("padding", self.padding, ("valid", "same"))


@dataclass(frozen=True, repr=False)
class Normalization(ShortRepr):
    """Each position's vector of all map values scaled to unit length; zero vectors stay zero."""


@dataclass(frozen=True, repr=False)
class Binarization(ShortRepr):
    """1 where a map is positive, else 0."""


@dataclass(frozen=True, repr=False)
class Coding(ShortRepr):
    """Binary maps, ordered by eigenvalue, as integers: the smallest eigenvalue weighs most.

    ``C(u, v) = sum_j 2^(L - j) B_j(u, v)`` for each group of L maps (section III.D).

    Parameters
    ----------
    bits : int
        L.
    """

    bits: int = 8

    def __post_init__(self) -> None:
        """Check the number of bits: float32 holds integers below 2^24.

        Raises
        ------
        InputError
            If it is out of range.
        """
        object.__setattr__(self, "bits", check_count("Coding bits", self.bits, 1, 24))


@dataclass(frozen=True, repr=False)
class BlockHistogram(ShortRepr):
    """Histograms of codes in windows, as PCANet has them (Chan et al. 2015); after Coding.

    Parameters
    ----------
    size : int or (int, int)
        Window.
    stride : int, (int, int) or None
        None takes the size.
    """

    size: Size = 7
    stride: Size | None = None

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises
        ------
        InputError
            If one is not positive.
        """
        keep_sizes(self, "size", optional=("stride",))


@dataclass(frozen=True, repr=False)
class LocalContrast(ShortRepr):
    """Local contrast normalisation of images: a pixel less its surroundings, by their spread.

    Parameters
    ----------
    sigma : float
        Width of the Gaussian surroundings, in pixels.
    root : bool
        Whether the square root of the pixels is taken first (light adds up by multiplying).
    """

    sigma: float = 3.0
    root: bool = False

    def __post_init__(self) -> None:
        """Check the width.

        Raises
        ------
        InputError
            If it is not positive.
        """
        if not is_positive(self.sigma) or self.sigma > _WIDEST:
            raise InputError(
                f"LocalContrast needs a positive sigma of at most {_WIDEST} pixels, got "
                f"{self.sigma!r}."
            )
        check_flag("LocalContrast root", self.root)


@dataclass(frozen=True, repr=False)
class Orientation(ShortRepr):
    """Gradient orientation of images: ``g / (|g| + floor)`` by central differences, two channels.

    Parameters
    ----------
    floor : float
        Gradients well below this (images are scaled to [-1, 1]) count as flat.
    """

    floor: float = 1e-3

    def __post_init__(self) -> None:
        """Check the floor.

        Raises
        ------
        InputError
            If it is not positive.
        """
        if not is_positive(self.floor):
            raise InputError(f"Orientation needs a positive floor, got {self.floor!r}.")


@dataclass(frozen=True, repr=False)
class Upright(ShortRepr):
    """Images sheared along their rows until what they show stands upright.

    As the deslanted digits of LeCun et al. (1998), section III.A: each row is moved by
    ``a (y - my)`` pixels, ``a = m11 / m02`` with the central second moments of the brightness. What
    leaves the picture is lost.

    Parameters
    ----------
    limit : float
        Largest shear, in columns a row.
    """

    limit: float = 1.0

    def __post_init__(self) -> None:
        """Check the limit.

        Raises
        ------
        InputError
            If it is not positive.
        """
        if not is_positive(self.limit):
            raise InputError(f"Upright needs a positive limit, got {self.limit!r}.")


PlainLayer = (
    Pooling
    | Normalization
    | Binarization
    | Coding
    | BlockHistogram
    | LocalContrast
    | Orientation
    | Upright
)
PLAIN_TYPES = (
    Pooling,
    Normalization,
    Binarization,
    Coding,
    BlockHistogram,
    LocalContrast,
    Orientation,
    Upright,
)
