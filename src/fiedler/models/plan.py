"""What a clustering will cost, before it starts: memory and time."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fiedler.memory import available_memory

if TYPE_CHECKING:
    from fiedler.models.sanet.geometry import Passage


@dataclass(frozen=True)
class CostEstimate:
    """An estimate to decide by, not a promise.

    Attributes
    ----------
    seconds : float
        Wall-clock time on this number of cores.
    peak_bytes : int
        Largest resident memory of the process.
    available_bytes : int
        Memory free now.
    detail : dict of str to float
        Seconds of each stage.
    """

    seconds: float
    peak_bytes: int
    available_bytes: int
    detail: dict[str, float] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether the peak stays below what is free."""
        return self.peak_bytes <= self.available_bytes


# Constants fitted to benchmarks/scaling.py on two cores of an AVX-512 machine; elsewhere the time
# may differ by some factor, the memory hardly. The base is the libraries and their work space.
_BASE_BYTES = 600e6
_PRODUCTS_PER_SECOND_CORE = 1.0e11
_EDGE_COLUMNS_PER_SECOND_CORE = 1.5e8
_NEIGHBORS = 7
_EIGH_PRODUCTS_PER_SECOND_CORE = 8.0e9
# An optimiser's step on a small network takes at least this long on any processor.
_SECONDS_PER_STEP = 5.0e-3
# Of a network's training steps with bfloat16, one core: of dense layers, and of convolutions with
# what goes with them (views, normalisation).
_DENSE_OPERATIONS_PER_SECOND = 3.0e11
_CONV_OPERATIONS_PER_SECOND = 7.0e10
_SECONDS_PER_SHEARED_PIXEL = 1.6e-7
# Gradients: one core's work for a pixel, and the work space of the pixels described at once.
_SECONDS_PER_DESCRIBED_PIXEL = 7e-8
_BYTES_PER_DESCRIBED_PIXEL = 60.0
# Activations and weights; DSCDAN has a decoder too.
_TRAINING_BYTES = {"spectralnet": 100e6, "dscdan": 350e6}
# The same for SANet, from single runs of its presets, one core: patches that get the places of
# landmarks, windows with a graph of their own, pairs of a dense affinity, comparisons of patches.
_SANET_BASE_BYTES = 600e6
_SANET_BASE_SECONDS = 8.0
_SANET_SECONDS_PER_PATCH = 1.3e-5
# whitened patches have no few directions to compare them in
_SANET_SECONDS_PER_WHITE_PATCH = 4.5e-5
_SANET_SECONDS_PER_WINDOW = 1.7e-4
_SANET_SECONDS_PER_PAIR = 6e-7
_SANET_SECONDS_PER_PIXEL = 4e-9
_SANET_PRODUCTS_PER_SECOND = 8e10


def estimate_cost(
    n_rows: int,
    n_features: int,
    n_clusters: int = 10,
    *,
    method: str = "spectral",
    image_shape: tuple[int, ...] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> CostEstimate:
    """Estimate memory and time of an estimator.

    Parameters
    ----------
    n_rows, n_features, n_clusters : int
        Size of the job; for ``n_clusters="auto"`` pass its ``max_clusters``, 20.
    method : {"spectral", "spectralnet", "sanet", "dscdan"}
        The estimator.
    image_shape : tuple of int or None
        (h, w) or (h, w, channels) where the rows are images: SpectralNet convolves them, SANet cuts
        them into patches.
    parameters : mapping of str to object, or None
        Parameters of the estimator; those left out count at their defaults. Of the spectral
        methods affinity, solver and ``n_components`` matter, of the networks the recipe, of SANet
        the preset (``layers``).

    Returns
    -------
    CostEstimate

    Raises
    ------
    InputError
        If the images are too small for the preset.
    """
    n, d, given = float(n_rows), float(n_features), dict(parameters or {})
    if method == "spectral":
        return _estimate_spectral(n, d, n_clusters, given)
    if method in ("spectralnet", "dscdan"):
        return _estimate_network(n, d, n_clusters, image_shape, method, given)
    if method == "sanet":
        layers = str(given.get("layers", "default"))
        return _estimate_sanet(n, d, n_clusters, image_shape, layers)
    raise ValueError(
        f"method must be 'spectral', 'spectralnet', 'sanet' or 'dscdan', got {method!r}."
    )


def _estimate_spectral(
    n: float, d: float, n_clusters: int, given: Mapping[str, Any]
) -> CostEstimate:
    from fiedler.graph import resolve_affinity
    from fiedler.partition.assign import vectors_wanted

    cores = os.cpu_count() or 1
    affinity = resolve_affinity(given.get("affinity", "knn"))
    neighbors = getattr(affinity, "n_neighbors", None) or _NEIGHBORS
    asked = given.get("n_components")
    wanted = asked if isinstance(asked, int) else vectors_wanted(n_clusters, int(n))
    vectors = min(max(float(wanted), 1.0), n) + 1.0
    width = vectors * 1.5
    search, search_bytes = _search_cost(n, d, neighbors)
    edges = n * neighbors * 1.6
    # one product of the affinity with a block of vectors, and what the affinity takes
    product = width * edges / (_EDGE_COLUMNS_PER_SECOND_CORE * cores)
    graph_bytes = n * d * 6.0 + edges * 32.0
    if _is_full(affinity):
        formed = _is_formed(affinity, n)
        again = 0.0 if formed else d + 100.0  # an operator's entries, computed each time
        product = n * n * (again + width) / (_PRODUCTS_PER_SECOND_CORE / 10.0 * cores)
        graph_bytes = n * d * 12.0 + 64e6 + (32.0 * n * n if formed else 0.0)
    eigen, eigen_bytes = _eigen_cost(n, vectors, n_clusters, product, affinity, given)
    labels = min(n, 1e5) * vectors * 6.0 * n_clusters * 30 / 2e10 + n * vectors * 6e-9 * n_clusters
    return _estimate(
        {"graph": search, "eigenvectors": eigen, "assignment": labels},
        max(search_bytes, graph_bytes + eigen_bytes + n * vectors * 8.0 * 3.0),
    )


def _eigen_cost(
    n: float,
    vectors: float,
    n_clusters: int,
    product: float,
    affinity: Any,
    given: Mapping[str, Any],
) -> tuple[float, float]:
    """Return seconds and bytes of the eigenvectors, one product taking so long."""
    from fiedler.spectrum.solvers import dense_bytes

    cores = os.cpu_count() or 1
    solver = _solver_name(n, vectors, affinity, given)
    if solver == "dense":
        seconds = n**3 / (_EIGH_PRODUCTS_PER_SECOND_CORE * cores)
        return seconds, dense_bytes(int(n))
    if solver in ("nystrom", "minibatch"):  # some columns of the affinity, formed
        columns = min(n, max(500.0, 10.0 * vectors) if solver == "nystrom" else math.sqrt(n))
        return product * columns / 100.0 + n * columns**2 / 1e10, n * columns * 8.0 * 3.0
    width = vectors * 1.5
    products = 130.0 * max(1.0, (n / 70_000) ** 0.1)
    seconds = products * product + n * width**2 / 1e9
    # ARPACK multiplies one vector at a time, and asks for machine precision
    return seconds * (3.0 if solver == "lanczos" else 1.0), n * width * 4.0 * 4.0


def _is_full(affinity: Any) -> bool:
    """Whether an affinity links all pairs."""
    from fiedler.graph import KNN, Epsilon

    return not isinstance(affinity, (KNN, Epsilon))


def _is_formed(affinity: Any, n: float) -> bool:
    """Whether a full affinity is held as a matrix."""
    from fiedler.graph import Gaussian

    return not isinstance(affinity, Gaussian) or affinity.forms(int(n))


def _solver_name(n: float, vectors: float, affinity: Any, given: Mapping[str, Any]) -> str:
    """Name the solver that is run."""
    from fiedler.spectrum.solve import auto_solver

    solver = given.get("solver", "auto")
    if solver == "auto":
        full, kind = _is_full(affinity), given.get("laplacian", "sym")
        formed = not full or _is_formed(affinity, n)
        solver = auto_solver(int(n), int(vectors), kind, formed=formed, full=full and formed)
    return solver if isinstance(solver, str) else type(solver).__name__.lower()


def _estimate_network(
    n: float,
    d: float,
    n_clusters: int,
    image_shape: tuple[int, ...] | None,
    method: str,
    given: Mapping[str, Any],
) -> CostEstimate:
    """Estimate SpectralNet or DSCDAN: the graph, the steps of the recipe, the read-out."""
    from fiedler.graph.precision import cpu_multiplies_bfloat16
    from fiedler.models.network_work import network_work

    cores = os.cpu_count() or 1
    row_shape = (int(d),) if image_shape is None else tuple(image_shape)
    work = network_work(method, given.get("recipe", "default"), row_shape, int(n), n_clusters)
    search, search_bytes = 0.0, 0.0
    if work.compared is not None:
        search, search_bytes = _comparison_cost(n, d, work.compared)
    # forward and twice as much backward, two operations a product
    speed = _CONV_OPERATIONS_PER_SECOND if work.convolved else _DENSE_OPERATIONS_PER_SECOND
    rate = speed * cores
    training = 6.0 * work.products / (rate * (1.0 if cpu_multiplies_bfloat16() else 0.4))
    again = 1.0 if method == "spectralnet" else 1.3  # two read-outs
    assignment = again * 1.6e-5 * n * n_clusters / cores
    rest = n * d + n * _NEIGHBORS * 60.0 + n * (n_clusters + 4.0) * 8.0 * 4.0
    return _estimate(
        {
            "graph": search,
            "training": training + work.steps * _SECONDS_PER_STEP,
            "assignment": assignment,
        },
        _TRAINING_BYTES[method] + max(search_bytes, rest),
    )


def _comparison_cost(n: float, d: float, row_shape: tuple[int, ...]) -> tuple[float, float]:
    """Estimate the graphs of a network: images are compared as they are and upright.

    Returns
    -------
    seconds, bytes : float
        At the peak, a copy of the images and their descriptions included.
    """
    from fiedler.data.gradients import count_gradient_features, has_enough_pixels

    cores = os.cpu_count() or 1
    if len(row_shape) == 1:
        return _search_cost(n, d)
    upright = _SECONDS_PER_SHEARED_PIXEL * n * d / cores
    if not has_enough_pixels(row_shape):
        search, search_bytes = _search_cost(n, d)
        return upright + search, search_bytes + n * d
    features = count_gradient_features(row_shape)
    search, search_bytes = _search_cost(n, features)
    described = _SECONDS_PER_DESCRIBED_PIXEL * n * d  # on one core
    return upright + 2.0 * (described + search), search_bytes + n * (d + 4.0 * features)


def with_gradients(cost: CostEstimate, shape: tuple[int, ...]) -> CostEstimate:
    """Add to an estimate what it costs to describe images of this shape by their gradients."""
    from fiedler.data.gradients import BLOCK_PIXELS

    n, pixels = float(shape[0]), float(math.prod(shape[1:]))
    seconds = _SECONDS_PER_DESCRIBED_PIXEL * n * pixels
    work = _BYTES_PER_DESCRIBED_PIXEL * max(pixels, min(n * pixels, BLOCK_PIXELS))
    return replace(
        cost,
        seconds=cost.seconds + seconds,
        peak_bytes=max(cost.peak_bytes, int(_BASE_BYTES + work)),
        detail={"gradients": seconds, **cost.detail},
    )


def _estimate_sanet(
    n: float, d: float, n_clusters: int, image_shape: tuple[int, ...] | None, layers: str
) -> CostEstimate:
    """Estimate a preset of SANet, layer by layer."""
    from fiedler.models.sanet.geometry import passages
    from fiedler.models.sanet.inputs import resolve_shape
    from fiedler.models.sanet.memory import memory_needed
    from fiedler.models.sanet.presets import recipe_for

    shape = resolve_shape(image_shape, (), int(d))
    stack = passages(recipe_for(layers, "auto", shape).layers, shape, n_clusters)
    pixels = _SANET_SECONDS_PER_PIXEL * n * d
    whole = sum(_estimate_spectral(n, d, n_clusters, {}).detail.values())
    seconds = sum(_seconds_of_layer(passage, n, n_clusters) for passage in stack)
    return _estimate(
        {"layers": _SANET_BASE_SECONDS + pixels + seconds, "clusters": 2.0 * whole},
        _SANET_BASE_BYTES + max(memory_needed(stack, int(n), n_clusters).values()) + 4.0 * n * d,
    )


def _seconds_of_layer(passage: Passage, n: float, n_clusters: int) -> float:
    """Estimate the time that a layer of SANet takes to be fitted and applied."""
    from fiedler.graph import Gaussian
    from fiedler.models.sanet.layers import SpectralLayer, VotingLayer
    from fiedler.models.sanet.spectral import layer_grid, n_landmarks

    layer = passage.layer
    if not isinstance(layer, SpectralLayer | VotingLayer):
        return 0.0
    grid = layer_grid(layer, passage.before)
    numbers = float(grid.height * grid.width * passage.before[2])
    patches = n * float(grid.n_positions)
    if isinstance(layer, VotingLayer):
        compared = n * patches * (1 + 2 * layer.shifts) ** 2
        return compared * numbers / _SANET_PRODUCTS_PER_SECOND
    landmarks = n_landmarks(layer, int(n), grid)
    if landmarks is None and grid.n_positions == 1:
        return sum(_estimate_spectral(n, numbers, n_clusters, {}).detail.values())
    if landmarks is None:
        growing: float = max(1.0, n / 10_000) ** 0.2
        return patches * _SANET_SECONDS_PER_WINDOW * growing
    points = min(float(landmarks), patches)
    dense = sum(isinstance(procedure.affinity, Gaussian) for procedure in layer.procedures)
    fitted = dense * points**2 * _SANET_SECONDS_PER_PAIR
    each = _SANET_SECONDS_PER_WHITE_PATCH if layer.whiten else _SANET_SECONDS_PER_PATCH
    return fitted + patches * each * (numbers + 100.0) / 181.0


def _search_cost(n: float, d: float, neighbors: int = _NEIGHBORS) -> tuple[float, float]:
    """Return seconds and bytes of the neighbour search."""
    # Each row is compared with about 10 cells of 400 rows, at least a tenth of which is overhead.
    scanned = min(n, 4500.0 * max(1.0, (n / 70_000) ** 0.15))
    seconds = n * scanned * (d + 100.0) / (_PRODUCTS_PER_SECOND_CORE * (os.cpu_count() or 1))
    # rows in order of cells (float32), their scan copy (2 bytes), graph
    return seconds, n * d * 6.0 + n * neighbors * 60.0


def _estimate(detail: dict[str, float], peak_bytes: float) -> CostEstimate:
    return CostEstimate(
        seconds=0.3 + sum(detail.values()),
        peak_bytes=int(_BASE_BYTES + peak_bytes),
        available_bytes=available_memory(),
        detail=detail,
    )
