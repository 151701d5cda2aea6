"""``SANet``: images to clusters by layers of spectral analysis, without gradients."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fiedler.data.gradients import gradient_histograms, has_enough_pixels
from fiedler.graph import SearchOptions
from fiedler.models.counts import check_cluster_count, check_count
from fiedler.models.estimator import SavedEstimator
from fiedler.models.rows import check_rows, resolve_device, resolve_progress, seed_from
from fiedler.models.sanet.inputs import resolve_shape, warn_of_flat_images
from fiedler.models.sanet.inspection import pattern_galleries, vote_galleries
from fiedler.models.sanet.network import (
    Checkpoints,
    FittedLayer,
    apply_network,
    fit_network,
    prepared_images,
)
from fiedler.models.sanet.presets import Recipe, recipe_for
from fiedler.models.sanet.readout import (
    Readout,
    apply_readout,
    as_first_twins,
    read_kmeans,
    read_rebuilt,
)
from fiedler.models.sanet.sources import (
    MapSource,
    all_digests,
    image_source,
    largest_absolute,
)
from fiedler.models.sanet.state import restore_state, to_state
from fiedler.persistence import encode_params
from fiedler.progress import silent


def _judged(rows: Any, shape: tuple[int, ...], prepared: MapSource | None) -> Any:
    """Return what partitions are judged by: the gradients of images, or rows of tiny ones."""
    if prepared is not None:
        rows, shape = prepared.rows.reshape(len(prepared), -1), prepared.shape
    return gradient_histograms(rows, shape) if has_enough_pixels(shape) else rows


class SANet(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    SavedEstimator,
):
    """SA-Net: spectral analysis of patches as the layers of a deep network, no gradients.

    Wang & Jiang (2020), "Spectral Analysis Network for Deep Representation Learning and Image
    Clustering". The presets ``"default"``, ``"faces"``, ``"objects"`` and ``"natural"`` differ
    from the paper where its text does not give its figures (``benchmarks/EXPERIMENTS.md``); those
    named ``"...-paper"`` are the text.

    Parameters
    ----------
    n_clusters : int or {"auto", "eigengap", "modularity"}, default="auto"
        Clusters wanted, or the rule that chooses up to ``max_clusters`` of them on the graph of
        the images; ``"auto"``: its components where they are clusters, else the modularity.
    layers : str or sequence of layers, default="default"
        ``"default"`` (digits, clothes, symbols), ``"faces"``, ``"objects"`` (the same things seen
        from many sides), ``"natural"`` (colour photographs), the paper's ``"digits-paper"``,
        ``"faces-paper"``, ``"natural-paper-2"``, ``"-3"``, ``"-5"``, ``"fashion-paper"``, or a
        list such as ``[SpectralLayer(11, 5), Pooling(3)]``.
    assign : {"auto", "kmeans", "rebuild"}, default="auto"
        ``"kmeans"`` on the last layer's maps, as in the paper. ``"rebuild"``: one partition from
        many candidates, judged without labels (:func:`fiedler.rebuild_partition`). ``"auto"``:
        what the preset says; ``"rebuild"`` for given layers.
    image_shape : tuple of int or None, default=None
        Height, width and, for colour, channels of an image; one may be -1, as for numpy's reshape.
        None takes the shape of the rows of X; plain vectors are then one patch each, which only
        ``"default"`` and given layers take. Rows of pixels need it, as in
        ``image_shape=(28, 28)``.
    max_clusters : int, default=20
        Most clusters that a rule may choose.
    recall : float, default=0.98
        Share of true neighbours that searches must find.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        Where neighbours and kernels are computed.
    checkpoint : path-like or None, default=None
        Folder in which finished layers are kept; a fit that was stopped and is started again with
        the same data and parameters goes on from there to the same result.
    random_state : int, RandomState or None, default=None
        Seed; an int makes results reproducible.
    progress : callable or None, default=None
        Called as ``progress(stage, done, total)``.

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int64
        Cluster of each fitted image.
    n_clusters_ : int
    confidence_ : ndarray of shape (n,)
        0 to 1: the share of like-labelled neighbours, or the margin between centres.
    embedding_ : ndarray of shape (n, e)
        The last layer's maps (``"kmeans"``), or eigenvectors of the graph of the images
        (``"rebuild"``); each column's entry of largest absolute value is positive.
    eigenvalues_ : ndarray
        Of the graph of the images, or of the last spectral layer, ascending.
    layers_ : tuple of layer objects
        The layers that a preset's name stood for.
    image_shape_ : tuple of int
        Height, width, channels.
    eigen_residuals_ : ndarray
        Of the eigenvectors of the graph of the images; empty where there is none (``"kmeans"``).
    n_connected_components_ : int or None
        Of that graph; None where there is none.
    assignment_ : str
        ``"kmeans"`` or ``"rebuild"``.
    n_features_in_ : int
        Numbers in an image.
    timings_ : dict of str to float
        Seconds spent in each stage.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fiedler import SANet
    >>> images = load_digits().images
    >>> model = SANet(n_clusters=10, random_state=0).fit(images[:1000])
    >>> model.predict(images[1000:1001]).shape
    (1,)
    """

    def __init__(
        self,
        n_clusters: Any = "auto",
        *,
        layers: Any = "default",
        assign: str = "auto",
        image_shape: tuple[int, ...] | None = None,
        max_clusters: int = 20,
        recall: float = 0.98,
        device: str = "auto",
        checkpoint: Any = None,
        random_state: Any = None,
        progress: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.layers = layers
        self.assign = assign
        self.image_shape = image_shape
        self.max_clusters = max_clusters
        self.recall = recall
        self.device = device
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.progress = progress

    def __sklearn_tags__(self) -> Any:
        """Declare sparse input."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any = None) -> SANet:
        """Fit the layers one after the other, then cluster their output.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, d), or ImageFolder
            Images, or rows of pixels with ``image_shape``, or plain vectors. Read block by block.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        InputError
            If the images or a parameter are unusable, or a patch does not fit into its map.
        NotEnoughMemoryError
            If the layers need more memory than there is; before anything is fitted.
        """
        with self._all_or_nothing():
            rows = check_rows(self, X, reset=True)
            given = np.shape(X) if isinstance(X, (list, tuple)) else tuple(getattr(X, "shape", ()))
            self.image_shape_ = resolve_shape(self.image_shape, given, self.n_features_in_)
            if self._image_shape is None and min(self.image_shape_[:2]) > 1:
                self._image_shape = self.image_shape_  # flat rows that are images all the same
            recipe = recipe_for(self.layers, self.assign, self.image_shape_)
            self.layers_ = recipe.layers
            if self.layers == "default" and self.image_shape_[:2] == (1, 1):
                warn_of_flat_images(rows)
            most = check_cluster_count(self.n_clusters, self.max_clusters, rows)
            self._seed = seed_from(self.random_state)
            self._options = SearchOptions(
                recall=self.recall, seed=self._seed, device=resolve_device(self.device)
            )
            self.timings_ = {}
            self._index: Any = None
            self._fit(rows, recipe, most)
        return self

    def _fit(self, rows: Any, recipe: Recipe, most: int) -> None:
        progress = resolve_progress(self.progress)
        with self._timed("reading"):
            self._scale = largest_absolute(rows)
            images = image_source(rows, self.image_shape_, self._scale)
            self._digests = all_digests(rows)
        checkpoints = Checkpoints(self.checkpoint, self._fingerprint(most))
        with self._timed("layers"):
            self._most = most
            self._stack, output = fit_network(
                images, recipe.layers, most, self._options, checkpoints, progress
            )
        features = output.rows.reshape(len(output), -1)
        with self._timed("clusters"):
            rebuilt = recipe.assign == "rebuild"
            k = most
            if isinstance(self.n_clusters, str) or rebuilt:
                prepared = prepared_images(images, recipe.layers)
                judged = _judged(rows, self.image_shape_, prepared)
                tell = progress if rebuilt else silent
                wanted = self.n_clusters if isinstance(self.n_clusters, str) else most
                readout = read_rebuilt(features, judged, wanted, most, self._options, tell)
                k = readout.n_clusters
            if not rebuilt:
                readout = read_kmeans(features, k, self._seed)
        self._keep_readout(as_first_twins(readout, self._digests))

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit and return ``labels_``, shape (n,)."""
        return self.fit(X).labels_

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit and return ``embedding_``, shape (n, e)."""
        return self.fit(X).embedding_

    def transform(self, X: Any) -> np.ndarray:
        """Give new images their embedding, layer by layer; nothing is refitted.

        A fitted image gets what it got; an image's result does not depend on the others, but for
        rounding.

        Parameters
        ----------
        X : array-like
            Images, in any of the forms that :meth:`fit` takes.

        Returns
        -------
        ndarray of shape (m, e), float64
        """
        return self._apply(X)[0]

    def predict(self, X: Any) -> np.ndarray:
        """Give new images the cluster of their neighbours, or of the nearest centre, (m,) int64."""
        return self._apply(X)[1]

    def predict_with_confidence(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return labels as :meth:`predict` does, and how sure they are, each of shape (m,)."""
        return self._apply(X)[1:]

    @property
    def fitted_layers(self) -> tuple[FittedLayer, ...]:
        """The layers with what was fitted, in their order."""
        check_is_fitted(self)
        return tuple(self._stack)

    def layer_maps(self, X: Any, layer: int) -> np.ndarray:
        """Return the maps of images after a layer, (m, h, w, c), float32.

        Parameters
        ----------
        X : array-like
            Images, as for :meth:`transform`. All maps are held in memory.
        layer : int
            Number of the layer, from 1.
        """
        check_is_fitted(self)
        last = check_count("layer", layer, 1, len(self._stack), ", the number of layers")
        source = self._source(check_rows(self, X, reset=False))
        return np.concatenate(
            [apply_network(self._stack[:last], maps) for _, maps in source.blocks()]
        )

    def galleries(self) -> list[dict[str, Any]]:
        """Return what a report can show without the images.

        That are the visual patterns of the first spectral layer, and of a voting layer whom some
        images vote for.

        Returns
        -------
        list of dict
            With ``title``, ``text``, ``pictures`` and ``captions``, as
            :class:`fiedler.report.Gallery` takes them; empty where no layer cuts patches.
        """
        check_is_fitted(self)
        return [*pattern_galleries(self), *vote_galleries(self)]

    def _apply(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        check_is_fitted(self)
        rows = check_rows(self, X, reset=False)
        known = self._known(rows)
        m = len(known)
        embedding = np.empty((m, self.embedding_.shape[1]))
        labels, confidence = np.empty(m, dtype=np.int64), np.empty(m)
        fitted = known >= 0
        embedding[fitted] = self.embedding_[known[fitted]]
        labels[fitted] = self.labels_[known[fitted]]
        confidence[fitted] = self.confidence_[known[fitted]]
        new = np.flatnonzero(~fitted)
        if len(new) and self._index is None:
            self._index = self._readout.index(self._options)
        source = self._source(rows)
        size = source.block_size()
        for start in range(0, len(new), size):
            part = new[start : start + size]
            maps = apply_network(self._stack, source.read(part))
            features = maps.reshape(len(part), -1)
            embedding[part], labels[part], confidence[part] = apply_readout(
                self._readout, self._index, features
            )
        return embedding, labels, confidence

    def _source(self, rows: Any) -> MapSource:
        """Return rows as images, in blocks small enough for all layers."""
        source = image_source(rows, self.image_shape_, self._scale)
        needs = [step.fitted.bytes_per_image for step in self._stack if step.fitted is not None]
        needs += [4 * int(np.prod(step.out_shape)) for step in self._stack]
        return MapSource(source.rows, source.shape, source.steps, max(needs))

    def _known(self, rows: Any) -> np.ndarray:
        """Return which fitted image each row is, the first of equal ones, or -1."""
        new = all_digests(rows)
        order = np.argsort(self._digests[:, 0], kind="stable")
        place = np.searchsorted(self._digests[order, 0], new[:, 0])
        candidate = order[np.minimum(place, len(order) - 1)]
        same = (self._digests[candidate] == new).all(axis=1)
        return np.where(same, candidate, -1)

    def _fingerprint(self, most: int) -> str:
        """Return what says that a checkpoint is of this very fit."""
        if self.checkpoint is not None:
            # of a function nobody can tell whether it is still the same
            encode_params({"layers": list(self.layers_)})
        about = repr((self.layers_, self.image_shape_, most, self._seed, self.recall))
        return blake2b(about.encode() + self._digests.tobytes(), digest_size=16).hexdigest()

    def _keep_readout(self, readout: Readout) -> None:
        self._readout = readout
        self.labels_ = readout.labels
        self.n_clusters_ = readout.n_clusters
        self.confidence_ = readout.confidence
        self.embedding_ = readout.embedding
        self.assignment_ = readout.method
        channels = [step.fitted.channels for step in self._stack if step.fitted is not None]
        values = readout.eigenvalues
        if not values.size:
            values = np.sort(channels[-1].values) if channels else np.zeros(1)
        self.eigenvalues_ = values
        self.eigen_residuals_ = readout.residuals
        sizes = readout.component_sizes
        self.n_connected_components_ = len(sizes) if len(sizes) else None

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def _to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return parameters (JSON) and arrays that restore the fitted estimator."""
        return to_state(self)

    @classmethod
    def _from_state(cls, kept: dict[str, Any], arrays: dict[str, np.ndarray]) -> SANet:
        """Restore what :meth:`_to_state` gave."""
        model: SANet = cls._from_common(kept)
        restore_state(model, kept, arrays)
        return model

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the search index, which is rebuilt when it is needed (for pickle, joblib)."""
        state = dict(super().__getstate__())
        if "_index" in state:
            state["_index"] = None
        return state
