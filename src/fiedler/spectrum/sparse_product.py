"""Sparse matrix times a block of vectors on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

# Below this many multiply-adds a product takes less than handing it to threads.
_SMALL = 2_000_000


def threaded_product(matrix: sp.csr_matrix) -> Callable[[np.ndarray], np.ndarray]:
    """Return ``V -> matrix @ V`` computed by row bands in threads.

    SciPy's product runs on one core but releases the interpreter lock, so bands of rows with equal
    numbers of entries scale over cores, on every platform and without copying the entries.
    """
    bands = _bands(matrix, os.cpu_count() or 1)
    # One pool for the life of the product: starting threads costs as much as a small product.
    pool = ThreadPoolExecutor(len(bands))

    def product(block: np.ndarray) -> np.ndarray:
        if len(bands) == 1 or matrix.nnz * block.shape[1] < _SMALL:
            return np.asarray(matrix @ block)
        result = np.empty((matrix.shape[0], block.shape[1]), dtype=block.dtype)

        def fill(start: int, band: sp.csr_matrix) -> None:
            result[start : start + band.shape[0]] = band @ block

        jobs = [pool.submit(fill, start, band) for start, band in bands[1:]]
        fill(*bands[0])
        for job in jobs:
            job.result()
        return result

    return product


def _bands(matrix: sp.csr_matrix, count: int) -> list[tuple[int, sp.csr_matrix]]:
    pointers = matrix.indptr
    cuts = np.searchsorted(pointers, np.linspace(0, matrix.nnz, count + 1))
    cuts[0], cuts[-1] = 0, matrix.shape[0]
    bands = []
    for start, stop in pairwise(cuts):
        if stop > start:
            entries = slice(pointers[start], pointers[stop])
            parts = (
                matrix.data[entries],
                matrix.indices[entries],
                pointers[start : stop + 1] - pointers[start],
            )
            bands.append((int(start), sp.csr_matrix(parts, shape=(stop - start, matrix.shape[1]))))
    return bands
