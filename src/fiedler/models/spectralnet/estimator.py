"""``SpectralNet``: a network that maps rows straight into the eigenspace of their graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from fiedler import persistence
from fiedler.exceptions import SmallNetworkWarning, warn_user
from fiedler.graph import KNN, given_graph
from fiedler.graph.known_labels import check_known_labels
from fiedler.models.counts import check_cluster_count, warn_disconnected
from fiedler.models.fitting import Fit, Source, fit_graph, image_comparison
from fiedler.models.identity import digest, digest_rows
from fiedler.models.network import NetworkClustering
from fiedler.models.readout import choose_clusters, rotate_by_batches
from fiedler.models.rows import check_rows, resolve_device
from fiedler.models.self_training import clusters_of_graph, unless_contradicted, with_known
from fiedler.models.spectralnet import stages
from fiedler.models.spectralnet.recipe import SpectralNetRecipe, settle
from fiedler.networks.build import Standardize
from fiedler.networks.capacity import vc_capacity, vc_needed
from fiedler.spectrum.ritz import RitzRotation, rayleigh_ritz
from fiedler.training import RowReader
from fiedler.training.processes import is_first, join_processes, own_device
from fiedler.training.spectral import Forward

# What a user turns where the graph falls apart.
_KNOBS = "n_neighbors, as in recipe=SpectralNetRecipe(affinity=KNN(20)), or n_clusters"
_KNOBS_OF_A_GRAPH = "the number of its edges, or n_clusters"


@dataclass(frozen=True)
class _Space:
    """Where the graph lives: its reader of rows, and the affinity as matrix or batch function."""

    graph: sp.csr_matrix | None
    function: Callable[[np.ndarray], Tensor] | None

    @property
    def source(self) -> Source:
        source = self.function if self.graph is None else self.graph
        assert source is not None
        return source


class SpectralNet(NetworkClustering):
    """Deep spectral clustering by a map into the eigenspace, trained by mini-batches.

    Shaham, Stanton, Li, Nadler, Basri & Kluger (2018), "SpectralNet: Spectral Clustering using
    Deep Neural Networks", ICLR. ``recipe="paper"`` is the published procedure; the default draws
    its batches along the edges of one neighbour graph; images are shown through random views, and
    the partition of their graph by its own eigenvectors is learned from.

    Parameters
    ----------
    n_clusters : int or {"auto", "eigengap", "modularity"}, default="auto"
        Clusters wanted, or the rule that chooses their number up to ``max_clusters``: as for
        :class:`SpectralClustering`. Without a graph of all rows ``"auto"`` is ``"eigengap"``, and
        ``"modularity"`` is refused.
    recipe : {"default", "paper"} or SpectralNetRecipe, default="default"
        The parts: codes, Siamese affinity, graph, network, loss, training.
    n_components : int or None, default=None
        Outputs of the network, 2 or more for 2 clusters or more (1 is warned of). None takes the
        number of clusters and a few more. A rule for ``n_clusters`` finds no more clusters
        than there are outputs.
    image_shape : tuple of int or None, default=None
        (h, w) or (h, w, channels) of the images that flat rows are. Rows that come as images tell
        it themselves. Images get convolutions and random views.
    assign : {"auto", "kmeans", "cluster_qr", "discretize", "merge"}, default="auto"
        From eigenvectors to labels; see :func:`fiedler.partition.assign_labels`. ``"auto"``: where
        the clusters of nine tenths of the rows and more were taken as known, rows on borders left
        out, these as they were learned (:func:`fiedler.partition.known_partition`), if they are as
        many as are to be read out, none is lost, and more than two rows in a thousand were learned
        otherwise than they were told; else one partition rebuilt from several read-outs where
        there is a graph of all rows (:func:`fiedler.partition.rebuilt_partition`), else
        ``"kmeans"``.
    max_clusters : int, default=20
        Most clusters that a rule may choose.
    recall : float, default=0.98
        Of the neighbour search.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
    checkpoint : path-like or None, default=None
        A file to which the training is written every half minute and at Ctrl-C, and from which
        ``fit`` with the same rows and parameters goes on, to the same result. It is deleted when
        the fit ends. Needs a ``random_state``.
    random_state : int, RandomState, Generator or None
    progress : callable or None
        Called as ``progress(stage, done, total)``.

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int64
        What ``predict`` gives the fitted rows.
    confidence_ : ndarray of shape (n,)
        How much nearer a row is to its own cluster's centre than to another's, 0 to 1.
    n_clusters_ : int
        Clusters found. Fewer than asked for where a centre is nearest to no row.
    embedding_ : ndarray of shape (n, n_components), float64
        Approximate eigenvectors by rising eigenvalue, of mean square one. ``normalized``, of the
        random-walk Laplacian, in the measure of the degrees; else of the unnormalised one, in that
        of the rows: both begin with a nearly constant column. With the affinity of batches and
        ``normalized``, of the symmetric Laplacian, in the measure of the rows: the first column is
        about the root of the degrees.
    eigenvalues_ : ndarray of shape (n_components,)
        Rayleigh quotients of the columns, those of the unnormalised Laplacian divided by the mean
        degree; with the affinity of batches their mean over random batches.
    history_ : list of dict
        Training: stage, step, loss, learning_rate, seconds.
    capacity_ : float
        Order of the network's VC dimension; see :func:`fiedler.networks.vc_capacity`.
    n_connected_components_ : int or None
        Of the graph of all rows; None where the affinity is that of batches.
    component_sizes_ : ndarray or None
        Their numbers of rows, largest first.
    row_shape_, n_features_in_, timings_, assignment_
        Shape of a row, numbers in it, seconds of each stage, the assignment used.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fiedler import SpectralNet
    >>> images = load_digits().images
    >>> net = SpectralNet(n_clusters=10, random_state=0).fit(images[:1500])  # doctest: +SKIP
    >>> net.predict(images[1500:]).shape  # doctest: +SKIP
    (297,)
    """

    _batches = "training"

    def __init__(
        self,
        n_clusters: Any = "auto",
        *,
        recipe: Any = "default",
        n_components: int | None = None,
        image_shape: tuple[int, ...] | None = None,
        assign: str = "auto",
        max_clusters: int = 20,
        recall: float = 0.98,
        device: str = "auto",
        checkpoint: Any = None,
        random_state: Any = None,
        progress: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.recipe = recipe
        self.n_components = n_components
        self.image_shape = image_shape
        self.assign = assign
        self.max_clusters = max_clusters
        self.recall = recall
        self.device = device
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.progress = progress

    def fit(
        self, X: Any, y: Any = None, *, graph: Any = None, known_labels: Any = None
    ) -> SpectralNet:
        """Train the networks, rotate the outputs to eigenvectors, cluster.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, h, w) or (n, h, w, c)
            Rows: numpy, torch, memory map, scipy sparse, image folder.
        y : ignored
        graph : csr_matrix or ndarray of shape (n, n), NeighborGraph, or None
            The affinity of the rows, or their neighbours, where they are known already: takes the
            place of the recipe's. Self-training (``known``) works on a copy.
        known_labels : array-like of shape (n,), int, or None
            Semi-supervised: known labels of some rows, -1 for the others. They enter the affinity:
            rows of one label are tied together, edges between different ones are cut. The clusters
            found carry numbers of their own.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If the rows or a parameter are unusable.
        OutputError
            If the folder of the checkpoint does not exist.
        CollapsedOutputsError
            If the training diverged.
        """
        with self._all_or_nothing():
            rows = check_rows(self, X, reset=True)
            self.row_shape_ = self._row_shape(X, int(self.n_features_in_))
            recipe = self.recipe
            if not isinstance(recipe, SpectralNetRecipe):
                recipe = SpectralNetRecipe.named(recipe)
            if graph is not None:
                recipe = replace(recipe, affinity=KNN(), siamese=None, alternate=False)
            most = check_cluster_count(self.n_clusters, self.max_clusters, rows)
            self._check_readout(most, graph=recipe.uses_graph)
            outputs = max(most, self.n_components or 0)
            recipe = settle(recipe, self.row_shape_, int(rows.shape[0]), outputs)
            labels = None
            if known_labels is not None:
                labels = check_known_labels(known_labels, int(rows.shape[0]))
            given = None if graph is None else given_graph(graph, int(rows.shape[0]))
            self._fit(rows, recipe, most, labels, given)
            if self.component_sizes_ is not None:
                knobs = _KNOBS if given is None else _KNOBS_OF_A_GRAPH
                warn_disconnected(self.component_sizes_, self.n_clusters_, knobs)
        return self

    def _fit(
        self,
        rows: Any,
        recipe: SpectralNetRecipe,
        most: int,
        labels: np.ndarray | None,
        given: sp.csr_matrix | None,
    ) -> None:
        n_outputs = self._wanted(most, recipe, int(rows.shape[0]))
        self._device = own_device(torch.device(resolve_device(self.device)))
        join_processes(self._device)
        fit = self._start(rows, recipe, n_outputs, labels, given)
        reader = self._reader(rows)
        space, inner = self._train_front(fit, recipe, reader, labels, given)
        self._keep_components(space.graph)
        source = self._trained_on(space, recipe.known, labels, most, fit)
        with self._timed("training"):
            forward = Forward(
                self._network[1] if recipe.codes else self._network,  # type: ignore[index]
                inner,
                recipe.training.precision,
                recipe.orthonormalization,
            )
            stages.train_map(fit, recipe, forward, source, self.row_shape_)
        with self._timed("assignment"):
            self._read_out(reader, recipe, space, source, most)
        self.history_ = fit.history
        if fit.checkpoint is not None and is_first():
            fit.checkpoint.remove()

    def _start(
        self,
        rows: Any,
        recipe: SpectralNetRecipe,
        n_outputs: int,
        labels: np.ndarray | None,
        given: sp.csr_matrix | None,
    ) -> Fit:
        """Build the network, warn if it is small."""
        fit = self._begin(
            rows,
            recipe,
            n_outputs,
            known_labels=None if labels is None else digest(labels),
            graph=None if given is None else digest_rows(given),
        )
        self.capacity_ = vc_capacity(self._network)
        if self.capacity_ < vc_needed(rows.shape[0]):
            warn_user(
                f"the network's capacity, about {self.capacity_:.3g}, is below n / 10 = "
                f"{vc_needed(rows.shape[0]):.3g}: it cannot express every spectral map of so many "
                "rows. Use wider layers, as in recipe=SpectralNetRecipe(network=DenseMap()).",
                SmallNetworkWarning,
            )
        return fit

    def _build(self, n_outputs: int) -> torch.nn.Module:
        return stages.build_network(self._fitted_recipe, self.row_shape_, n_outputs, self._seed)

    def _train_front(
        self,
        fit: Fit,
        recipe: SpectralNetRecipe,
        reader: RowReader,
        labels: np.ndarray | None,
        given: sp.csr_matrix | None,
    ) -> tuple[_Space, RowReader]:
        """Standardise, train codes and Siamese network, and find the affinity.

        Returns
        -------
        space : _Space
            Of the affinity.
        inner : RowReader
            The rows that the map is trained on: codes, or the rows.
        """
        front: Any = self._network[0]  # type: ignore[index]
        standardize = front[0]
        assert isinstance(standardize, Standardize)
        sample = reader.sample(np.random.default_rng(fit.seed))
        standardize.measure(sample)
        inner = reader
        if recipe.codes is not None:
            with self._timed("autoencoder"):
                inner = stages.train_codes(fit, recipe.codes, front, reader)
        space = inner
        if recipe.siamese is not None:
            with self._timed("siamese"):
                space = stages.train_siamese(fit, recipe.siamese, inner)
        if not recipe.uses_graph:
            return _Space(None, stages.batch_function(recipe.affinity, space, labels)), inner
        with self._timed("graph"):
            compare = image_comparison(
                self.row_shape_, upright=recipe.upright, gradients=recipe.gradients
            )
            graph = fit_graph(fit, recipe.affinity, space.rows, labels, given, compare)
        return _Space(graph, None), inner

    def _trained_on(
        self, space: _Space, known: float, labels: np.ndarray | None, most: int, fit: Fit
    ) -> Source:
        """Return the affinity, its surest rows taken as known where that is asked for."""
        if not known or space.graph is None:
            return space.source
        with self._timed("self-training"):
            clusters = clusters_of_graph(
                space.graph, most, self.n_clusters, seed=fit.seed, progress=fit.progress
            )
            if clusters is None:
                return space.graph
            if labels is not None:
                clusters = unless_contradicted(clusters, labels)
            return with_known(space.graph, clusters, known, fit.seed)

    def _read_out(
        self, reader: RowReader, recipe: SpectralNetRecipe, space: _Space, source: Source, most: int
    ) -> None:
        """Rotate the outputs to ordered eigenvectors, choose k, keep centres."""
        outputs = self._finite_outputs(reader)
        rotation = self._rotate(outputs, recipe, space)
        # the first column is the trivial eigenvector, whose value is about zero
        embedding = outputs @ rotation.weights
        k = most
        if isinstance(self.n_clusters, str):
            k = choose_clusters(
                embedding, rotation.values, space.graph, most, self.n_clusters, self._seed
            )
        kept = self._wanted(k, recipe, len(outputs))
        self._rotation = np.ascontiguousarray(rotation.weights[:, :kept])
        self.embedding_ = self._embed(reader)
        self.eigenvalues_ = rotation.values[:kept]
        self._warn_of_collapse(self._too_few_dimensions(k, kept))
        partition = self._assign(k, space.graph, source)
        self._keep_partition(partition)

    def _rotate(
        self, outputs: np.ndarray, recipe: SpectralNetRecipe, space: _Space
    ) -> RitzRotation:
        if space.graph is not None:
            return rayleigh_ritz(outputs, space.graph, normalized=recipe.normalized)
        assert space.function is not None
        return rotate_by_batches(
            outputs,
            space.function,
            recipe.training.batch_size,
            normalized=recipe.normalized,
            seed=self._seed,
        )

    def _wanted(self, k: int, recipe: SpectralNetRecipe, n: int) -> int:
        batch_size = recipe.training.batch_size
        return self._n_outputs(k, n, extra=recipe.extra_outputs, batch_size=batch_size)

    def _to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        kept, arrays = super()._to_state()
        kept["fitted_recipe"] = persistence.encode_params(
            {"codes": self._fitted_recipe.codes, "network": self._fitted_recipe.network}
        )
        kept["capacity"] = self.capacity_
        return kept, arrays

    def _restore_parts(self, kept: dict[str, Any]) -> None:
        parts = persistence.decode_params(kept["fitted_recipe"])
        self._fitted_recipe = SpectralNetRecipe(**parts)
        self.capacity_ = kept["capacity"]
