"""What all tests share: where the data sets lie, and settings that make runs repeatable.

Environment variables
---------------------
FIEDLER_DATA
    Folder of the benchmark sets; by default ``shared/data`` beside the repository.
FIEDLER_REQUIRE_DATA
    If set (``.ci/run`` does), a test that needs the sets fails where they are absent,
    instead of being skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# torch and OpenBLAS take their number of threads from OMP_NUM_THREADS when they are first loaded.
# `make unit` sets it to 1, since each of its workers has one core; tests never change it.

settings.register_profile(
    "repeatable",
    deadline=None,
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")

REPO_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the benchmark sets; the test is skipped (or fails) where there is none."""
    folder = Path(os.environ.get("FIEDLER_DATA") or REPO_ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        message = f"no data sets in {folder}; set FIEDLER_DATA to the folder that holds them"
        if os.environ.get("FIEDLER_REQUIRE_DATA"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture
def stored_sets(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, where ``load_dataset`` looks first for the length of the test."""
    monkeypatch.setenv("FIEDLER_DATA", str(data_dir))
    return data_dir
