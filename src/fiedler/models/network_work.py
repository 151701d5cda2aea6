"""How much a network's training computes, read off its recipe: for the estimate of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fiedler.models.dscdan.recipe import DSCDANRecipe, joint_rows
from fiedler.models.dscdan.recipe import settle as settle_dual
from fiedler.models.spectralnet.recipe import SpectralNetRecipe, are_images, settle
from fiedler.networks import ConvMap
from fiedler.networks.coder import ConvCoder
from fiedler.training import Training

# Weights are read and written at every step: fewer rows than this take no less time.
_LEAST_ROWS = 300


@dataclass
class Work:
    """Gradient steps, products of one forward pass over all of their rows, and what they are of.

    Attributes
    ----------
    steps, products : float
    convolved : bool
        Whether rows are seen as images.
    compared : tuple of int or None
        Shape of the rows whose neighbours are looked for; None without a graph of all rows.
    """

    steps: float = 0.0
    products: float = 0.0
    convolved: bool = False
    compared: tuple[int, ...] | None = None

    def add(self, training: Training, n_rows: int, products: float) -> None:
        """Count a stage: so many products for each row of a batch."""
        self.steps += training.steps
        rows = max(min(training.batch_size, n_rows), _LEAST_ROWS)
        self.products += training.steps * rows * products


def network_work(
    method: str, recipe: Any, row_shape: tuple[int, ...], n_rows: int, n_clusters: int
) -> Work:
    """Count what a recipe computes at most (it may end earlier where it has a patience).

    Parameters
    ----------
    method : {"spectralnet", "dscdan"}
    recipe : str or recipe of that method
    row_shape : tuple of int
        (d,), (h, w) or (h, w, channels).
    n_rows, n_clusters : int

    Raises
    ------
    InputError
        If the recipe is unknown, or cannot be used with such rows.
    """
    if method == "dscdan":
        dual = recipe if isinstance(recipe, DSCDANRecipe) else DSCDANRecipe.named(recipe)
        return _dual_work(settle_dual(dual, row_shape, n_rows, n_clusters), row_shape, n_rows)
    chosen = recipe if isinstance(recipe, SpectralNetRecipe) else SpectralNetRecipe.named(recipe)
    return _map_work(settle(chosen, row_shape, n_rows, n_clusters), row_shape, n_rows)


def _map_work(recipe: SpectralNetRecipe, row_shape: tuple[int, ...], n_rows: int) -> Work:
    inner = row_shape
    work = Work(
        convolved=isinstance(recipe.network, ConvMap),
        compared=_compared(recipe.uses_graph, row_shape),
    )
    if recipe.codes is not None:
        codes = recipe.codes
        layers = (math.prod(row_shape), *codes.widths, codes.n_codes)
        work.add(codes.training, n_rows, 2.0 * _dense(layers))  # there and back
        inner = (codes.n_codes,)
    if recipe.siamese is not None:
        pairs = recipe.siamese
        layers = (math.prod(inner), *pairs.widths, pairs.n_outputs)
        work.add(pairs.training, n_rows, 0.75 * _dense(layers))  # three rows for four pairs
    again = 2.0 if recipe.alternate else 1.0  # another batch sets the last layer
    work.add(recipe.training, n_rows, again * _products(recipe.network, inner))
    return work


def _compared(graph: bool, row_shape: tuple[int, ...]) -> tuple[int, ...] | None:
    shape = row_shape if are_images(row_shape) else (math.prod(row_shape),)
    return shape if graph else None


def _dual_work(recipe: DSCDANRecipe, row_shape: tuple[int, ...], n_rows: int) -> Work:
    coder = _products(recipe.coder, row_shape)
    work = Work(
        convolved=isinstance(recipe.coder, ConvCoder),
        compared=_compared(recipe.graph is not None, row_shape),
    )
    if recipe.pretraining is not None:
        work.add(recipe.pretraining, n_rows, 2.0 * coder)
    if recipe.spectral is None:
        return work
    joint = coder + _dense((recipe.n_codes, *recipe.spectral.widths))
    for spec in recipe.rounds:
        # a part of the batch is decoded too, and judged by critics
        decoded = min(1.0, joint_rows(recipe, spec.training) / spec.training.batch_size)
        work.add(spec.training, n_rows, joint + 2.0 * decoded * coder)
    return work


def _products(network: Any, row_shape: tuple[int, ...]) -> float:
    """Multiplications for one row."""
    if isinstance(network, ConvMap):
        return _convolutions(row_shape, network.channels, (2,) * 9, (3,) * 9, network.width)
    if isinstance(network, ConvCoder):
        return _convolutions(
            row_shape, network.channels, network.strides, network.kernels, network.width
        )
    widths: Sequence[int] = network.widths
    return _dense((math.prod(row_shape), *widths))


def _dense(layers: Sequence[int]) -> float:
    return float(sum(a * b for a, b in pairwise(layers)))


def _convolutions(
    row_shape: tuple[int, ...],
    channels: Sequence[int],
    strides: Sequence[int],
    kernels: Sequence[int],
    width: int | None,
) -> float:
    area, before, products = float(row_shape[0] * row_shape[1]), math.prod(row_shape[2:]), 0.0
    for after, stride, kernel in zip(channels, strides, kernels, strict=False):
        area /= stride**2
        products += area * kernel**2 * before * after
        before = after
    return products + area * before * (width or 0)
