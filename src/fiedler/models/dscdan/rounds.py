"""The rounds of the joint phase: their graph, their training, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from fiedler.graph import KNN
from fiedler.graph.known_labels import UNKNOWN, KnownGraph
from fiedler.models.dscdan.recipe import DSCDANRecipe, LearnedGraph, Round, joint_rows
from fiedler.models.fitting import Fit, Source, fit_graph, map_task
from fiedler.models.readout import rotate_by_batches
from fiedler.models.self_training import Clusters, surest, with_known
from fiedler.models.spectralnet.recipe import BatchAffinity
from fiedler.networks import batch_affinity
from fiedler.networks.dual import CodesOf, DualNetwork, HiddenOf
from fiedler.partition import Partition, modularity
from fiedler.partition.centers import kmeans
from fiedler.partition.consensus import embedding_graph
from fiedler.partition.rebuild import mixed_affinity
from fiedler.partition.stability import TIE
from fiedler.spectrum.ritz import RitzRotation, rayleigh_ritz
from fiedler.training import RowReader, outputs_of
from fiedler.training.dual import DualTask, JointTask
from fiedler.training.spectral import Forward


@dataclass(frozen=True)
class Snapshot:
    """The state after a round.

    Attributes
    ----------
    weights : dict of str to ndarray
        Of the whole network.
    rotation : ndarray of shape (n_outputs, n_components)
    eigenvalues : ndarray of shape (n_components,) or None
    embedding : ndarray of shape (n, n_components)
    partition : Partition
    told : str or None
        What to warn of where this round is kept.
    """

    weights: dict[str, np.ndarray]
    rotation: np.ndarray
    eigenvalues: np.ndarray | None
    embedding: np.ndarray
    partition: Partition
    told: str | None


def clusters_of_codes(network: DualNetwork, reader: RowReader, k: int, seed: int) -> Clusters:
    """Return the clusters of k-means on the codes; of none of them is anything sure."""
    codes = outputs_of(CodesOf(network), reader)
    labels, _ = kmeans(codes, k, n_init=4, rng=np.random.default_rng(seed))
    return Clusters(labels, np.zeros(len(labels)))


def place_centers(network: DualNetwork, reader: RowReader, labels: np.ndarray) -> None:
    """Put the prior's Gaussians about the mean codes of the clusters."""
    codes = outputs_of(CodesOf(network), reader).astype(np.float64)
    member = sp.csr_matrix((np.ones(len(labels)), labels, np.arange(len(labels) + 1)))
    means = (member.T @ codes) / np.maximum(np.bincount(labels), 1)[:, None]
    with torch.no_grad():
        network.centers[: len(means)] = torch.from_numpy(means).to(network.centers)


def known_share(spec: Round, clusters: Clusters) -> float:
    """Return the share of the rows that a round takes as known."""
    return float((surest(clusters, spec.known) != UNKNOWN).mean()) if spec.known else 0.0


def source_of(
    fit: Fit,
    spec: Round,
    network: DualNetwork,
    reader: RowReader,
    graph: sp.csr_matrix | None,
    clusters: Clusters,
) -> Source:
    """Return the graph of a round, or its function from row numbers to their affinity."""
    if isinstance(spec.graph, BatchAffinity):
        return code_affinity(spec.graph, network, reader)
    found = graph
    if isinstance(spec.graph, LearnedGraph):
        found = learned_graph(fit, spec.graph, network, reader)
    assert found is not None
    if not spec.known:
        return found
    return with_known(found, clusters, spec.known, fit.seed)


def learned_graph(
    fit: Fit, spec: LearnedGraph, network: DualNetwork, reader: RowReader
) -> sp.csr_matrix:
    """Return the neighbour graph of the codes, or of the last hidden layer by direction."""
    neighbors = min(spec.n_neighbors, len(reader) - 1)
    if spec.space == "codes":
        return fit_graph(fit, KNN(neighbors), outputs_of(CodesOf(network), reader), None)
    hidden = outputs_of(HiddenOf(network), reader)
    return fit_graph(fit, KNN(neighbors, metric="cosine"), hidden, None)


def code_affinity(spec: BatchAffinity, network: DualNetwork, reader: RowReader) -> Source:
    """Return the function from row numbers to the affinity of their present codes."""

    @torch.no_grad()
    def compute(indices: np.ndarray) -> Tensor:
        trained = network.training
        network.eval()
        codes = network.codes(reader.take(indices))
        network.train(trained)
        return batch_affinity(
            codes, spec.n_neighbors, scale_neighbor=spec.scale_neighbor, scale=spec.scale
        )

    return compute


def joint_task(
    recipe: DSCDANRecipe,
    spec: Round,
    network: DualNetwork,
    reader: RowReader,
    source: Source,
    row_shape: tuple[int, ...],
    clusters: Clusters,
) -> JointTask:
    """Return the task of one round: the spectral loss on its graph, and the autoencoder's."""
    precision = spec.training.precision
    spectral = map_task(
        Forward(network, reader, precision, recipe.orthonormalization),
        source,
        spec.training.batch_size,
        normalized=recipe.normalized,
        alternate=recipe.alternate,
        views=recipe.views,
        image_shape=row_shape,
    )
    labels = clusters.labels if recipe.cluster_prior else None
    rows = joint_rows(recipe, spec.training)
    dual = DualTask(network, reader, recipe.loss, rows, precision, labels)
    return JointTask(spectral, dual, recipe.joint_weight)


def rotate(
    outputs: np.ndarray,
    recipe: DSCDANRecipe,
    graph: sp.csr_matrix | None,
    source: Source | None,
    batch_size: int,
    seed: int,
) -> RitzRotation:
    """Return the rotation of outputs (n, m) to ordered eigenvectors of the rows' graph.

    Without one it is that of the round's: of its batches, or of its own graph.
    """
    if graph is None and callable(source):
        return rotate_by_batches(
            outputs, source, batch_size, normalized=recipe.normalized, seed=seed
        )
    if graph is None:
        graph = source.matrix if isinstance(source, KnownGraph) else source
    return rayleigh_ritz(outputs, graph, normalized=recipe.normalized)


def changed_share(before: np.ndarray, after: np.ndarray) -> float:
    """Return the share of rows whose cluster changed, clusters matched as well as can be."""
    table = np.zeros((int(before.max()) + 1, int(after.max()) + 1))
    np.add.at(table, (before, after), 1.0)
    rows, columns = linear_sum_assignment(-table)
    return float(1.0 - table[rows, columns].sum() / len(before))


def score_snapshots(
    snapshots: Sequence[Snapshot], graph: sp.csr_matrix | None, fit: Fit
) -> list[float]:
    """Return what each round's clusters are worth, without labels.

    It is their modularity on an equal mix of the rows' graph and the mean of all embeddings'
    graphs: over-training and merged classes show as a fall. Without a graph of the rows the last
    is the best.
    """
    if graph is None:
        return [float(i) for i in range(len(snapshots))]
    embeddings = [embedding_graph(s.embedding, fit.options) for s in snapshots]
    mixed = mixed_affinity([graph, mixed_affinity(embeddings)])
    return [modularity(mixed, s.partition.labels) for s in snapshots]


def best_round(scores: Sequence[float]) -> int:
    """Return the last round whose score is the largest or tied with it.

    A round that over-trains or merges classes falls by far more than a tie; one that only moves
    rows at borders changes the score by chance, and has learned from the round before.
    """
    return max(i for i, score in enumerate(scores) if score >= max(scores) - TIE)
