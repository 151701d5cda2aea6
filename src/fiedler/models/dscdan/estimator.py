"""``DSCDAN``: a dual autoencoder and a spectral network, trained together."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.validation import check_is_fitted

from fiedler.exceptions import CollapsedOutputsError, CollapsedOutputsWarning, warn_user
from fiedler.models.counts import check_cluster_count, warn_disconnected
from fiedler.models.dscdan import rounds
from fiedler.models.dscdan.inspection import decoded_twice
from fiedler.models.dscdan.recipe import DSCDANRecipe, check_codes, settle
from fiedler.models.dscdan.state import restore_parts, restore_shown, state_of
from fiedler.models.fitting import Fit, Source, fit_graph, image_comparison
from fiedler.models.network import NetworkClustering, refuse_diverged
from fiedler.models.readout import choose_clusters
from fiedler.models.rows import check_rows, resolve_device
from fiedler.models.self_training import Clusters, clusters_of_graph
from fiedler.networks.dual import CodesOf, DecodedOf, DualNetwork
from fiedler.partition import Partition
from fiedler.partition.centers import kmeans
from fiedler.training import RowReader, outputs_of
from fiedler.training.checkpoint import load_module, module_arrays
from fiedler.training.dual import DualTask
from fiedler.training.processes import is_first, join_processes, own_device

# What is kept of each phase to be looked at.
_PHASE_ROWS, _EXAMPLES = 2000, 64
_CODES_STARTS = 10
# What a user turns where the graph falls apart.
_KNOBS = "n_neighbors, as in recipe=DSCDANRecipe(graph=KNN(20)), or n_clusters"


class DSCDAN(NetworkClustering):
    """Deep spectral clustering by a dual autoencoder network.

    Yang, Deng, Zheng, Yan & Liu (2019), "Deep Spectral Clustering using Dual Autoencoder Network",
    CVPR. An autoencoder whose codes tell much of their rows and bear noise; on its codes a network
    into the eigenspace of a graph; both trained together. ``recipe="paper"`` is the published
    procedure; the default trains along the edges of the rows' graph, shows images through random
    views, and reads known clusters out as they were learned.

    Parameters
    ----------
    n_clusters : int or {"auto", "eigengap", "modularity"}, default="auto"
        Clusters wanted, or the rule that chooses their number up to ``max_clusters``: as for
        :class:`SpectralClustering`. Without a graph of all rows ``"auto"`` is ``"eigengap"``, and
        ``"modularity"`` is refused.
    recipe : {"default", "paper"} or DSCDANRecipe, default="default"
        The parts: autoencoder, its loss, spectral network, graph, rounds of the joint phase.
    n_components : int or None, default=None
        Outputs of the spectral network. None takes the number of clusters and a few more. A rule
        for ``n_clusters`` finds no more clusters than there are outputs.
    image_shape : tuple of int or None, default=None
        (h, w) or (h, w, channels) of the images that flat rows are. Rows that come as images tell
        it themselves. Images of at least 4 x 4 pixels get convolutions and random views.
    assign : {"auto", "kmeans", "cluster_qr", "discretize", "merge"}, default="auto"
        From eigenvectors to labels; as for :class:`SpectralNet`.
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
    embedding_ : ndarray of shape (n, n_components), float64
        Approximate eigenvectors by rising eigenvalue; the codes where these are clustered
        (``spectral=None`` without a graph).
    eigenvalues_ : ndarray of shape (n_components,) or None
        Rayleigh quotients of the columns, as for :class:`SpectralNet`; None of codes.
    history_ : list of dict
        Training: stage, step, loss (mean of ten steps), learning_rate, seconds; and the weighted
        terms that the loss of the last step is the sum of: spectral, reconstruction, relative,
        global_information, local_information, prior.
    rounds_ : list of dict
        Of each round of the joint phase: round, known (share of the rows that were taken as known),
        clusters, changed (share of rows, against the round before, at first the graph's partition
        or the codes), dimensions (columns of the embedding), score (modularity on the graphs of
        rows and embeddings; without a graph of the rows, as in ``"paper"``, nothing judges: the
        number of the round), kept (whether its networks are kept: the last of the largest score or
        tied with it). A round that collapsed ends the phase: its row says why (collapsed), and has
        no clusters.
    phases_ : dict of str to ndarray of shape (at most 2000, d), float32
        Codes after pretraining and embedding after each round, of the rows ``phase_rows_``.
    examples_ : dict of str to ndarray of shape (at most 64, d)
        ``"rows"``, and what the decoder makes of them: ``"decoded"``, and ``"decoded_noisy"`` from
        codes with noise, drawn for each row.
    n_connected_components_, component_sizes_
        Of the graph of the rows, as for :class:`SpectralNet`.
    row_shape_, n_features_in_, timings_, assignment_
        Shape of a row, numbers in it, seconds of each stage, the assignment used.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fiedler import DSCDAN
    >>> images = load_digits().images
    >>> model = DSCDAN(n_clusters=10, random_state=0).fit(images[:1500])  # doctest: +SKIP
    >>> model.predict(images[1500:]).shape  # doctest: +SKIP
    (297,)
    """

    _network: DualNetwork
    phases_: dict[str, np.ndarray]
    examples_: dict[str, np.ndarray]
    rounds_: list[dict[str, Any]]
    _batches = "rounds"

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

    def fit(self, X: Any, y: Any = None) -> DSCDAN:
        """Train the autoencoder, then all networks together, and cluster.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, h, w) or (n, h, w, c)
            Rows: numpy, torch, memory map, scipy sparse, image folder.
        y : ignored

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
            If the pretraining or the first round diverged. Where a later one does, a
            CollapsedOutputsWarning tells, and the best round before it is kept.
        """
        with self._all_or_nothing():
            rows = check_rows(self, X, reset=True)
            self.row_shape_ = self._row_shape(X, int(self.n_features_in_))
            recipe = self.recipe
            if not isinstance(recipe, DSCDANRecipe):
                recipe = DSCDANRecipe.named(recipe)
            most = check_cluster_count(self.n_clusters, self.max_clusters, rows)
            self._check_readout(most, graph=recipe.graph is not None)
            outputs = max(most, self.n_components or 0)
            recipe = settle(recipe, self.row_shape_, int(rows.shape[0]), outputs)
            check_codes(recipe, self.n_clusters, self.assign, self.n_components)
            self._fit(rows, recipe, most)
            if self.component_sizes_ is not None:
                warn_disconnected(self.component_sizes_, self.n_clusters_, _KNOBS)
        return self

    def codes(self, X: Any) -> np.ndarray:
        """Return the autoencoder's codes ``mu`` of rows, shape (m, n_codes), float32."""
        check_is_fitted(self)
        rows = check_rows(self, X, reset=False)
        return outputs_of(CodesOf(self._network), self._reader(rows))

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return what the decoder makes of the rows' codes, shape (m, d).

        float32, but float64 where the fitted rows lie so far from zero that float32 would round
        them away.
        """
        check_is_fitted(self)
        rows = check_rows(self, X, reset=False)
        both = torch.nn.Sequential(CodesOf(self._network), DecodedOf(self._network))
        return self._put_back(outputs_of(both, self._reader(rows)))

    def _fit(self, rows: Any, recipe: DSCDANRecipe, most: int) -> None:
        n = int(rows.shape[0])
        self._most = most
        n_outputs = self._wanted(most, recipe, n)
        self._device = own_device(torch.device(resolve_device(self.device)))
        join_processes(self._device)
        self.phases_, self.rounds_ = {}, []
        fit = self._begin(rows, recipe, n_outputs)
        reader = self._reader(rows)
        network = self._network
        rng = np.random.default_rng(fit.seed)
        network.measure(reader.sample(rng))
        self.phase_rows_ = np.sort(rng.choice(n, min(n, _PHASE_ROWS), replace=False))
        if recipe.pretraining is not None:
            with self._timed("pretraining"):
                settings = recipe.pretraining
                task = DualTask(
                    network, reader, recipe.loss, settings.batch_size, settings.precision
                )
                fit.train(task, settings, "pretraining")
            self.phases_["pretraining"] = self._phase(reader, CodesOf(network))
            refuse_diverged(self.phases_["pretraining"], "codes after the pretraining")
        graph = None
        if recipe.graph is not None:
            with self._timed("graph"):
                compare = image_comparison(
                    self.row_shape_, upright=recipe.upright, gradients=recipe.gradients
                )
                graph = fit_graph(fit, recipe.graph, rows, compare=compare)
        self._keep_components(graph)
        if recipe.spectral is None and graph is None:
            self._cluster_codes(reader)
        elif recipe.spectral is None:
            self._warn_of_collapse(self._read_out(reader, recipe, graph))
        else:
            self._fit_rounds(fit, recipe, reader, graph)
        self.examples_ = self._examples(reader, recipe)
        self.history_ = fit.history
        if fit.checkpoint is not None and is_first():
            fit.checkpoint.remove()

    def _build(self, n_outputs: int) -> DualNetwork:
        recipe = self._fitted_recipe
        return DualNetwork(
            recipe.coder,
            self.row_shape_,
            n_codes=recipe.n_codes,
            spectral=recipe.spectral,
            n_outputs=n_outputs,
            n_centers=self._most,
            critic_width=recipe.critic_width,
            whole_map=recipe.whole_map,
            seed=self._seed,
        )

    def _fit_rounds(
        self, fit: Fit, recipe: DSCDANRecipe, reader: RowReader, graph: sp.csr_matrix | None
    ) -> None:
        """Train the joint phase round by round until clusters settle; keep the best round."""
        network = self._network
        clusters = None
        if graph is not None and recipe.rounds[0].known:
            with self._timed("self-training"):
                clusters = clusters_of_graph(
                    graph, self._most, self.n_clusters, seed=fit.seed, progress=fit.progress
                )
        if clusters is None:
            clusters = rounds.clusters_of_codes(network, reader, self._most, fit.seed)
        snapshots: list[rounds.Snapshot] = []
        for number in range(1, len(recipe.rounds) + 1):
            try:
                told = self._fit_round(fit, recipe, reader, graph, clusters, number)
            except CollapsedOutputsError as error:
                if not snapshots:
                    raise
                self._tell_of_collapse(number, error)
                break
            changed = rounds.changed_share(clusters.labels, self.labels_)
            known = rounds.known_share(recipe.rounds[number - 1], clusters)
            self.rounds_.append(
                {
                    "round": number,
                    "known": round(known, 6),
                    "clusters": self.n_clusters_,
                    "changed": round(changed, 6),
                    "dimensions": self.embedding_.shape[1],
                }
            )
            self.phases_[f"joint {number}"] = self.embedding_[self.phase_rows_].astype(np.float32)
            clusters = Clusters(self.labels_, self.confidence_)
            snapshots.append(self._snapshot(told))
            if changed <= recipe.settled:
                break
        with self._timed("choice"):
            self._keep_best(snapshots, rounds.score_snapshots(snapshots, graph, fit))

    def _fit_round(
        self,
        fit: Fit,
        recipe: DSCDANRecipe,
        reader: RowReader,
        graph: sp.csr_matrix | None,
        clusters: Clusters,
        number: int,
    ) -> str | None:
        """Train all networks for one round, and read the clusters off them."""
        network, spec = self._network, recipe.rounds[number - 1]
        with self._timed(f"joint {number}"):
            source = rounds.source_of(fit, spec, network, reader, graph, clusters)
            rounds.place_centers(network, reader, clusters.labels)
            task = rounds.joint_task(
                recipe, spec, network, reader, source, self.row_shape_, clusters
            )
            fit.train(task, spec.training, f"joint {number}")
        with self._timed(f"assignment {number}"):
            size = spec.training.batch_size
            return self._read_out(reader, recipe, graph, source, size, own=number > 1)

    def _tell_of_collapse(self, number: int, error: CollapsedOutputsError) -> None:
        """Record and tell that a round came to nothing, so that those before it stand."""
        self.rounds_.append({"round": number, "collapsed": str(error)})
        warn_user(
            f"round {number} of the joint phase collapsed and is left out, with those after it; "
            f"the best round before it is kept. {error}",
            CollapsedOutputsWarning,
        )

    def _read_out(
        self,
        reader: RowReader,
        recipe: DSCDANRecipe,
        graph: sp.csr_matrix | None,
        source: Source | None = None,
        batch_size: int = 0,
        *,
        own: bool = False,
    ) -> str | None:
        """Rotate the outputs to ordered eigenvectors, choose k, keep centres.

        Returns what to warn of if this is what is kept. ``own``: what the source knows is of an
        earlier round.
        """
        outputs = self._finite_outputs(reader)
        rotation = rounds.rotate(outputs, recipe, graph, source, batch_size, self._seed)
        k = self._most
        if isinstance(self.n_clusters, str):
            embedding = outputs @ rotation.weights
            k = choose_clusters(embedding, rotation.values, graph, k, self.n_clusters, self._seed)
        kept = self._wanted(k, recipe, len(outputs))
        self._rotation = np.ascontiguousarray(rotation.weights[:, :kept])
        self.embedding_ = self._embed(reader)
        self.eigenvalues_ = rotation.values[:kept]
        told = self._too_few_dimensions(k, kept)
        self._keep_partition(self._assign(k, graph, source, own=own))
        return told

    def _cluster_codes(self, reader: RowReader) -> None:
        """Cluster the codes by k-means, as they are: the paper's ablations."""
        codes = self._finite_outputs(reader)
        rng = np.random.default_rng(self._seed)
        labels, centers = kmeans(codes, self._most, n_init=_CODES_STARTS, rng=rng)
        self._rotation = np.eye(codes.shape[1])
        self.embedding_, self.eigenvalues_ = self._embed(reader), None
        owners = np.arange(len(centers))
        self._keep_partition(Partition(labels, centers, owners, "kmeans", unit_rows=False))

    def _wanted(self, k: int, recipe: DSCDANRecipe, n: int) -> int:
        sizes = [spec.training.batch_size for spec in recipe.rounds]
        smallest = min(sizes) if recipe.spectral is not None else n
        return self._n_outputs(k, n, extra=recipe.extra_outputs, batch_size=smallest)

    def _snapshot(self, told: str | None) -> rounds.Snapshot:
        return rounds.Snapshot(
            module_arrays(self._network, ""),
            self._rotation,
            self.eigenvalues_,
            self.embedding_,
            self._partition,
            told,
        )

    def _keep_best(self, snapshots: list[rounds.Snapshot], scores: list[float]) -> None:
        """Take up the best round."""
        best = rounds.best_round(scores)
        for i, row in enumerate(self.rounds_):
            # a round that collapsed, the last, has no snapshot
            row |= {"score": scores[i] if i < len(scores) else None, "kept": i == best}
        chosen = snapshots[best]
        load_module(self._network, chosen.weights, "")
        self._rotation, self.eigenvalues_ = chosen.rotation, chosen.eigenvalues
        self.embedding_ = chosen.embedding
        self._keep_partition(chosen.partition)
        self._warn_of_collapse(chosen.told)

    def _phase(self, reader: RowReader, module: torch.nn.Module) -> np.ndarray:
        return outputs_of(module, self._reader(reader.rows[self.phase_rows_]))

    def _examples(self, reader: RowReader, recipe: DSCDANRecipe) -> dict[str, np.ndarray]:
        shown = self.phase_rows_[:: max(1, len(self.phase_rows_) // _EXAMPLES)][:_EXAMPLES]
        some = self._reader(reader.rows[shown])
        examples = decoded_twice(self._network, some, recipe.loss.noise, self._seed)
        return {name: self._put_back(array) for name, array in examples.items()}

    def _put_back(self, rows: np.ndarray) -> np.ndarray:
        """Return rows (m, d) where the caller's lie: the reader took them to about zero."""
        return rows if self._offset is None else rows + self._offset

    def _to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        kept, arrays = super()._to_state()
        more_kept, more_arrays = state_of(self)
        return kept | more_kept, arrays | more_arrays

    def _restore_parts(self, kept: dict[str, Any]) -> None:
        restore_parts(self, kept)

    @classmethod
    def _from_state(cls, kept: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
        estimator = super()._from_state(kept, arrays)
        restore_shown(estimator, kept, arrays)
        return estimator
