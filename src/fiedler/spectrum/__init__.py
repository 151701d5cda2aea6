"""Laplacians to eigenpairs: exact and approximate solvers behind one dispatcher."""

from fiedler.spectrum.gap import eigengap_k
from fiedler.spectrum.signs import fix_signs
from fiedler.spectrum.solve import (
    Block,
    Dense,
    Eigenpairs,
    Lanczos,
    MiniBatch,
    Nystrom,
    Solver,
    resolve_solver,
    smallest_eigenpairs,
)

__all__ = [
    "Block",
    "Dense",
    "Eigenpairs",
    "Lanczos",
    "MiniBatch",
    "Nystrom",
    "Solver",
    "eigengap_k",
    "fix_signs",
    "resolve_solver",
    "smallest_eigenpairs",
]
