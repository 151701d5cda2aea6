"""Rows to neighbours, affinities and Laplacians."""

from fiedler.graph.affinity import resolve_affinity
from fiedler.graph.epsilon import Epsilon
from fiedler.graph.fitted import Affinity, CrossAffinity, FittedAffinity, SearchOptions
from fiedler.graph.gaussian import Gaussian
from fiedler.graph.given import FromCallable, Precomputed, check_affinity, given_graph
from fiedler.graph.knn import KNN, symmetrized
from fiedler.graph.laplacian import Laplacian, build_laplacian
from fiedler.graph.neighbors import NeighborGraph, NeighborIndex, nearest_neighbors

__all__ = [
    "KNN",
    "Affinity",
    "CrossAffinity",
    "Epsilon",
    "FittedAffinity",
    "FromCallable",
    "Gaussian",
    "Laplacian",
    "NeighborGraph",
    "NeighborIndex",
    "Precomputed",
    "SearchOptions",
    "build_laplacian",
    "check_affinity",
    "given_graph",
    "nearest_neighbors",
    "resolve_affinity",
    "symmetrized",
]
