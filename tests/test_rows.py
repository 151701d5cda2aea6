"""Rows as the estimators take them: far from zero, as images, lazy, in torch's types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import make_blobs

from fiedler import SpectralClustering
from fiedler.data.values import as_float
from fiedler.evaluation import accuracy
from fiedler.graph.blocks import RowBlocks

BLOBS, CLASSES = make_blobs(150, 5, centers=3, cluster_std=2, random_state=0)
WHOLE = np.round(10 * BLOBS)
# where float32 holds every 16th, and every 128th integer
FAR = [2**27, 1_600_000_000, -(2**40)]


# Far from zero


@pytest.mark.parametrize("offset", FAR)
@pytest.mark.parametrize("affinity", ["knn", "gaussian", "epsilon"])
def test_integers_far_from_zero_are_told_apart(offset: int, affinity: str) -> None:
    rows = WHOLE.astype(np.int64) + offset
    near = SpectralClustering(3, affinity=affinity, random_state=0).fit(WHOLE)
    found = SpectralClustering(3, affinity=affinity, random_state=0).fit(rows)
    assert accuracy(near.labels_, found.labels_) == 1.0
    np.testing.assert_array_equal(found.predict(rows), found.labels_)
    np.testing.assert_array_equal(found.predict(rows.astype(float)), found.labels_)


@pytest.mark.parametrize(
    ("rows", "dtype"),
    [
        (np.zeros((2, 2), np.uint8), np.uint8),
        (np.zeros((2, 2), np.float64), np.float64),
        (np.zeros((2, 2), np.float16), np.float32),
        (np.full((2, 2), 65535, np.uint16), np.float32),
        (np.zeros((2, 2), bool), np.float32),
        (np.full((2, 2), 2**24), np.float32),
        (np.full((2, 2), -(2**24) - 1), np.float64),
        (sp.csr_matrix([[0, 2**24 + 1]]), np.float64),
        (sp.csr_matrix([[0, 3]]), np.float32),
        (np.full((2, 2), 2**63, np.uint64), np.float64),
    ],
)
def test_float64_only_for_integers_that_need_it(rows: Any, dtype: Any) -> None:
    assert as_float(rows).dtype == dtype


@pytest.mark.parametrize("first", [np.float32, np.float64])
def test_equal_rows_are_equal_in_either_precision(first: Any) -> None:
    """A new row that equals a fitted one is known by its distance of exactly zero."""
    rows = np.random.default_rng(0).normal(3, 1, (300, 4)).astype(np.float32)
    fitted = RowBlocks(rows.astype(first))
    for other in (np.float32, np.float64):
        new = RowBlocks(rows.astype(other), shift=fitted.shift)
        np.testing.assert_array_equal(new.take(slice(None)), fitted.take(slice(None)))
