"""What the estimators with a network share: rows in blocks through it, labels, confidence, file."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from fiedler.data.checks import check_choice, check_whole, is_whole
from fiedler.exceptions import CollapsedOutputsError, CollapsedOutputsWarning, InputError, warn_user
from fiedler.graph import SearchOptions
from fiedler.graph.known_labels import UNKNOWN, KnownGraph
from fiedler.graph.laplacian import ordered_components
from fiedler.models.counts import check_count
from fiedler.models.estimator import SavedEstimator
from fiedler.models.exported import ExportedNetwork
from fiedler.models.fitting import Fit, Source
from fiedler.models.identity import digest_rows, recipe_text
from fiedler.models.rows import (
    check_rows,
    refuse_channels_first,
    resolve_device,
    resolve_progress,
    seed_from,
    without_channel,
)
from fiedler.partition import (
    Partition,
    assign_labels,
    known_partition,
    nearest_center,
    rebuilt_partition,
)
from fiedler.partition.assign import ASSIGNMENTS, Assignment
from fiedler.partition.consensus import BY_HEART
from fiedler.training import Checkpoint, RowReader, far_offset, outputs_of
from fiedler.training.checkpoint import load_module, module_arrays
from fiedler.training.processes import from_first

# Read-outs that need a dimension for each cluster.
_NEED_ALL = ("cluster_qr", "discretize")
# Fewer rows of a batch than this for each output leave its orthonormality to chance.
_ROWS_PER_OUTPUT = 4
# Of so large a share of the rows clusters must be known to be read out as they were learned.
_NEARLY_ALL = 0.9


def refuse_diverged(outputs: np.ndarray, what: str) -> None:
    """Raise CollapsedOutputsError where a network gives NaN or infinity."""
    if not np.isfinite(outputs).all():
        raise CollapsedOutputsError(
            f"the {what} are not finite: the training diverged. Lower the learning rate, or scale "
            "the rows to about unit variance."
        )


class NetworkClustering(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    SavedEstimator,
):
    """Clusters by a network: what is fitted is the network, the rotation and the centres.

    No row is kept, so ``predict`` costs one forward pass and a file holds no data.
    """

    n_clusters: Any
    max_clusters: Any
    image_shape: Any
    n_components: Any
    assign: str
    recall: float
    device: str
    checkpoint: Any
    progress: Any
    embedding_: np.ndarray
    labels_: np.ndarray
    eigenvalues_: np.ndarray | None
    component_sizes_: np.ndarray | None
    history_: list[dict[str, Any]]
    _network: nn.Module
    _fitted_recipe: Any
    _rotation: np.ndarray
    _partition: Partition
    _device: torch.device
    _offset: np.ndarray | None
    _batches: str  # where the recipe has the batch size

    def __sklearn_tags__(self) -> Any:
        """Declare sparse input."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def n_connected_components_(self) -> int | None:
        """Connected components of the graph of all rows, if there is one."""
        check_is_fitted(self)
        return None if self.component_sizes_ is None else len(self.component_sizes_)

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def fit_predict(self, X: Any, y: Any = None, **kwargs: Any) -> np.ndarray:
        """Fit and return ``labels_``, shape (n,)."""
        return np.asarray(self.fit(X, **kwargs).labels_)

    def fit_transform(self, X: Any, y: Any = None, **kwargs: Any) -> np.ndarray:
        """Fit and return ``embedding_``, shape (n, n_components)."""
        return np.asarray(self.fit(X, **kwargs).embedding_)

    def transform(self, X: Any) -> np.ndarray:
        """Map rows to their coordinates in the eigenspace, shape (m, n_components), float64.

        One forward pass; nothing is refitted, and a row's result does not depend on the others.
        """
        check_is_fitted(self)
        rows = check_rows(self, X, reset=False)
        return self._embed(self._reader(rows))

    def predict(self, X: Any) -> np.ndarray:
        """Give rows the cluster of the stored centre nearest to their coordinates.

        Parameters
        ----------
        X : array-like of shape (m, d), (m, h, w) or (m, h, w, c)

        Returns
        -------
        ndarray of shape (m,), int64
        """
        return self.predict_with_confidence(X)[0]

    def predict_with_confidence(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return labels as :meth:`predict` does, and how sure they are, each of shape (m,).

        The confidence is ``1 - a / b`` with the distances to the nearest centre of the own and of
        any other cluster: 0 on a border, 1 on a centre.
        """
        return nearest_center(self.transform(X), self._partition)

    def export_module(self) -> tuple[nn.Module, torch.Tensor]:
        """Return the network as one module for other runtimes, and an example batch.

        Returns
        -------
        module : nn.Module
            On the CPU, from rows (m, d), float32 (float64 where the fitted rows lie so far from
            zero that float32 would round them away), to a dict: ``"embedding"``, as ``transform``
            gives it, and ``"distances"`` (m, n_clusters) to the nearest centre of each cluster,
            whose smallest tells the label.
        example : Tensor of shape (2, d)
        """
        check_is_fitted(self)
        network = copy.deepcopy(self._network)
        module = ExportedNetwork(network, self._rotation, self._partition, self._offset)
        wanted = torch.float32 if self._offset is None else torch.float64
        return module.cpu().eval(), torch.zeros(2, int(self.n_features_in_), dtype=wanted)

    def _build(self, n_outputs: int) -> nn.Module:
        """Build the network, untrained."""
        raise NotImplementedError

    def _restore_parts(self, kept: dict[str, Any]) -> None:
        """Take from a file's JSON what :meth:`_build` needs."""
        raise NotImplementedError

    def _row_shape(self, X: Any, n_features: int) -> tuple[int, ...]:
        """Return the shape of one row: that of X, or ``image_shape``."""
        whole = np.shape(X) if isinstance(X, (list, tuple)) else getattr(X, "shape", ())
        shape = tuple(int(size) for size in whole[1:])
        if len(shape) > 3:
            raise InputError(
                "rows must be vectors (n, d) or images (n, h, w) or (n, h, w, channels), got shape "
                f"{tuple(whole)}; reshape them."
            )
        if self.image_shape is None:
            refuse_channels_first(shape)
            return shape if len(shape) > 1 else (n_features,)
        given = self.image_shape
        if isinstance(given, np.ndarray):
            given = tuple(given.tolist())
        sizes = isinstance(given, (tuple, list)) and all(is_whole(size) for size in given)
        if not sizes or len(given) not in (2, 3) or math.prod(given) != n_features:
            raise InputError(
                f"image_shape must be (h, w) or (h, w, channels) of {n_features} numbers, got "
                f"{self.image_shape!r}."
            )
        given = tuple(int(size) for size in given)
        if len(shape) > 1 and without_channel(shape) != without_channel(given):
            raise InputError(f"image_shape is {given}, but the images have shape {shape}.")
        self._image_shape = given
        return given

    def _n_outputs(self, k: int, n: int, *, extra: int, batch_size: int) -> int:
        """Return the number of outputs for k clusters of n rows."""
        size = min(batch_size, n)
        if isinstance(self.n_clusters, str):
            extra = max(extra, 1)  # the gap after the last cluster's eigenvalue
        if self.n_components is not None:
            wanted = check_count("n_components", self.n_components, 1, n, ", the number of rows")
        else:
            wanted = min(k + extra, max(k, n // _ROWS_PER_OUTPUT))
        needed = min(n, _ROWS_PER_OUTPUT * wanted)
        if size < needed:
            raise InputError(
                f"{wanted} outputs need batches of at least {needed} rows to be made orthonormal, "
                f"got batch_size={size}. Raise it (in the recipe's {self._batches}), or lower "
                "n_clusters, max_clusters or n_components."
            )
        return wanted

    def _keep_components(self, graph: sp.csr_matrix | None) -> None:
        """Keep the sizes of the connected components of the graph of all rows, if there is one."""
        self.component_sizes_ = None if graph is None else np.bincount(ordered_components(graph))

    def _check_readout(self, most: int, *, graph: bool) -> None:
        """Refuse, before anything is trained, what cannot be read off the trained outputs.

        Parameters
        ----------
        most : int
            Clusters wanted, or the most that a rule may choose.
        graph : bool
            Whether there will be a graph of all rows.
        """
        check_choice("assign", self.assign, ASSIGNMENTS)
        if self.n_components is not None:
            check_whole("n_components", self.n_components, 0)
        for name, value in (("n_clusters", "modularity"), ("assign", "merge")):
            if getattr(self, name) == value and not graph:
                raise InputError(
                    f"{name}={value!r} needs a graph of all rows, but the recipe has none: it is "
                    f"trained on batches. Give the recipe a KNN(), or use {name}='auto'."
                )
        if self.n_components == 1 and most > 1:
            warn_user(
                "n_components=1 keeps the first eigenvector alone, which is the same for all rows "
                f"that hang together: there will be one cluster. {most} need 2 or more.",
                CollapsedOutputsWarning,
            )
        # a rule chooses no more clusters than there are outputs
        wanted = 0 if isinstance(self.n_clusters, str) else most
        few = self.n_components is not None and self.n_components < wanted
        if few and self.assign in _NEED_ALL:
            raise InputError(
                f"assign={self.assign!r} needs one output for each of {wanted} clusters, got "
                f"n_components={self.n_components}; raise it or use assign='kmeans'."
            )

    def _too_few_dimensions(self, k: int, wanted: int) -> str | None:
        """Return what to warn of where outputs hold fewer dimensions than clusters to tell apart.

        Raises
        ------
        CollapsedOutputsError
            If no clusters can be read off them.
        """
        rank = self.embedding_.shape[1]
        if rank >= min(k, wanted):
            return None
        what = (
            f"the trained outputs span {rank} dimensions, too few for {k} clusters: training "
            "collapsed, or the network's last hidden layer has too few units. Lower the learning "
            "rate, raise the batch size, widen that layer, or ask for fewer clusters."
        )
        if rank < 2 or (rank < k and self.assign in _NEED_ALL):
            raise CollapsedOutputsError(what)
        return what

    @staticmethod
    def _warn_of_collapse(told: str | None) -> None:
        if told:
            warn_user(told, CollapsedOutputsWarning)

    def _assign(
        self,
        k: int,
        graph: sp.csr_matrix | None,
        source: Source | None = None,
        *,
        own: bool = False,
    ) -> Partition:
        """Return the clusters that were learned, if k were known, or read k off the embedding.

        ``own`` says that the known ones were the network's own before.
        """
        if self.assign == "auto" and isinstance(source, KnownGraph):
            learned = self._learned(k, source.labels, own)
            if learned is not None:
                return learned
        if self.assign == "auto" and graph is not None:
            device = str(self._device)
            options = SearchOptions(recall=self.recall, seed=self._seed, device=device)
            return rebuilt_partition(self.embedding_, k, graph, options=options)
        return assign_labels(
            self.embedding_,
            k,
            method=cast(Assignment, self.assign),
            affinity=graph,
            random_state=self._seed,
        )

    def _learned(self, k: int, known: np.ndarray, own: bool = False) -> Partition | None:
        """Return the known clusters as they were learned.

        None where few rows are known, a cluster is lost, or what is not the network's own was
        learned by heart: then it does not tell what the network makes of the rows.
        """
        rows = known != UNKNOWN
        if rows.mean() < _NEARLY_ALL or not np.array_equal(np.unique(known[rows]), np.arange(k)):
            return None
        found = known_partition(self.embedding_, known)
        by_heart = not own and (found.labels == known)[rows].mean() >= BY_HEART
        return found if len(np.unique(found.labels)) == k and not by_heart else None

    def _begin(self, rows: Any, recipe: Any, n_outputs: int, **more: Any) -> Fit:
        """Build the network and what the stages of a fit share.

        Parameters
        ----------
        rows, recipe, n_outputs
            What is fitted, how, and into how many outputs.
        **more
            What else a checkpoint must agree with, as JSON values.
        """
        self.timings_ = {}
        # without a random_state each process would draw another seed
        drawn = from_first(lambda: {"seed": np.array(seed_from(self.random_state))})
        self._seed = int(drawn["seed"])
        self._fitted_recipe = recipe
        self._offset = far_offset(rows)
        self._network = self._build(n_outputs).to(self._device)
        progress = resolve_progress(self.progress)
        checkpoint = None
        if self.checkpoint is not None:
            if self.random_state is None:
                raise InputError(
                    "a checkpoint is gone on from with the same random_state, but it is None; "
                    "pass a number, such as random_state=0."
                )
            identity = self._identity(rows, recipe, n_outputs) | more
            checkpoint = Checkpoint(self.checkpoint, identity)
        options = SearchOptions(
            recall=self.recall, seed=self._seed, device=str(self._device), progress=progress
        )
        return Fit(self._seed, self._device, options, progress, checkpoint, [])

    def _finite_outputs(self, reader: RowReader) -> np.ndarray:
        """Return the network's outputs of all rows, float64, refusing what diverged."""
        outputs = outputs_of(self._network, reader).astype(np.float64)
        refuse_diverged(outputs, "trained network's outputs")
        return outputs

    def _identity(self, rows: Any, recipe: Any, n_outputs: int) -> dict[str, Any]:
        """Return what a checkpoint must agree with to be gone on from."""
        return {
            "recipe": recipe_text(recipe),
            "seed": self._seed,
            "shape": [int(rows.shape[0]), *self.row_shape_],
            "outputs": n_outputs,
            "clusters": [str(self.n_clusters), str(self.max_clusters), self.assign],
            "recall": self.recall,
            "rows": digest_rows(rows),
        }

    def _reader(self, rows: Any) -> RowReader:
        return RowReader(rows, self._device, self._offset)

    def _embed(self, reader: RowReader) -> np.ndarray:
        return outputs_of(self._network, reader, self._rotation)

    def _keep_partition(self, partition: Partition) -> None:
        """Keep centres; labels are those that ``predict`` gives the fitted rows."""
        labels, confidence = nearest_center(self.embedding_, partition)
        used = np.unique(labels)
        if len(used) < partition.n_clusters:  # a centre that is nearest to no row
            kept = np.isin(partition.center_labels, used)
            compact = np.searchsorted(used, partition.center_labels[kept])
            partition = replace(partition, centers=partition.centers[kept], center_labels=compact)
            labels, confidence = nearest_center(self.embedding_, partition)
        self._partition = replace(partition, labels=labels)
        self.labels_, self.confidence_ = labels, confidence
        self.n_clusters_ = partition.n_clusters
        self.assignment_ = partition.method

    def _to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        kept = self._common_state() | {
            "row_shape": list(self.row_shape_),
            "n_outputs": int(self._rotation.shape[0]),
            "assignment": self.assignment_,
            "unit_rows": self._partition.unit_rows,
            "history": self.history_,
        }
        arrays = {
            "embedding_": self.embedding_,
            "labels_": self.labels_,
            "rotation": self._rotation,
            "centers": self._partition.centers,
            "center_labels": self._partition.center_labels,
        }
        optional = {"eigenvalues_": self.eigenvalues_, "component_sizes_": self.component_sizes_}
        arrays |= {name: array for name, array in optional.items() if array is not None}
        if self._offset is not None:
            arrays["offset"] = self._offset
        return kept, arrays | module_arrays(self._network, "network.")

    @classmethod
    def _from_state(cls, kept: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
        estimator = cls._from_common(kept)
        estimator.row_shape_ = tuple(kept["row_shape"])
        estimator.history_ = kept["history"]
        estimator._device = torch.device(resolve_device(estimator.device))
        estimator._restore_parts(kept)
        estimator._network = estimator._build(kept["n_outputs"]).to(estimator._device).eval()
        load_module(estimator._network, arrays, "network.")
        estimator._rotation = arrays["rotation"]
        estimator._offset = arrays.get("offset")
        estimator.embedding_ = arrays["embedding_"]
        estimator.eigenvalues_ = arrays.get("eigenvalues_")
        estimator.component_sizes_ = arrays.get("component_sizes_")
        parts = (arrays["labels_"], arrays["centers"], arrays["center_labels"])
        estimator._keep_partition(Partition(*parts, kept["assignment"], kept["unit_rows"]))
        return estimator
