"""Rows to neighbours, affinities and Laplacians."""

from fiedler.graph.affinity import (
    KNN,
    Affinity,
    Epsilon,
    FittedAffinity,
    FromCallable,
    Gaussian,
    Precomputed,
    SearchOptions,
    check_affinity,
    resolve_affinity,
    symmetrized,
)
from fiedler.graph.laplacian import Laplacian, build_laplacian
from fiedler.graph.neighbors import NeighborGraph, NeighborIndex, nearest_neighbors

__all__ = [
    "KNN",
    "Affinity",
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
    "nearest_neighbors",
    "resolve_affinity",
    "symmetrized",
]
