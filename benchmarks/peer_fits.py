"""Fits of other packages, in their own environment (`make peers`), scored as ours are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT
from runs import in_own_process

from fiedler.evaluation import accuracy, nmi

PEERS = Path(__file__).resolve().parent / "peers"


def peer_fit(
    script: str, file: Path, y: np.ndarray, *given: object, seed: int, threads: int
) -> dict[str, Any]:
    """One fit of a package on a file's rows.

    Parameters
    ----------
    script : str
        Of the folder ``peers``: reads the file, writes labels, prints seconds, memory, version.
    file : Path
        SET.npz with X.
    y : ndarray of shape (n,)
        Classes, to score with.
    *given
        Further arguments of the script.
    seed, threads : int
    """
    python = ROOT / ".venv-peers" / "bin" / "python"
    if not python.is_file():
        raise SystemExit(f"{python} is not there: run `make peers` first")
    k, labels = len(np.unique(y)), file.with_name("labels.npy")
    found = in_own_process(
        PEERS / script,
        *(file, labels, *given, "--clusters", k, "--seed", seed),
        python=str(python),
        threads=threads,
    )
    assert found is not None  # no limit was given
    predicted = np.load(labels)
    return {"n": len(y), "k": k, "acc": accuracy(y, predicted), "nmi": nmi(y, predicted), **found}
