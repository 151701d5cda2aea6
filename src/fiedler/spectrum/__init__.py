"""Laplacians to eigenpairs: exact and approximate solvers behind one dispatcher."""

from fiedler.spectrum.gap import eigengap_k
from fiedler.spectrum.signs import fix_signs
from fiedler.spectrum.solve import Eigenpairs, resolve_solver, smallest_eigenpairs
from fiedler.spectrum.solvers import Block, Dense, Lanczos, MiniBatch, Nystrom, Solver

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
