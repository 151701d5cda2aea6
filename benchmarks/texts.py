"""Raw texts by one command: accuracy beside k-means on the same rows, and words of each cluster.

    python benchmarks/texts.py [--seeds 5]

20 newsgroups (18,846 messages) and Reuters R8 (7,674 articles) are written to a ``.jsonl`` file
and clustered by ``fiedler cluster FILE --clusters K --output RUN``. The words are those that the
command prints. k-means sees the same tf-idf rows, and as many seeds. Labels only score.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import arguments, mean_sd, record
from sklearn.cluster import KMeans

import fiedler
from fiedler.evaluation import accuracy, ari, nmi

SCORES = {"acc": accuracy, "nmi": nmi, "ari": ari}
TEXTS = {"reuters_r8": 8, "20newsgroups": 20}
NOTES = [
    "Rows: tf-idf of the 2,000 most frequent words without English stop words, unit length.",
    "Texts without any of these words would be left out, as by the command; here none was. The "
    "newsgroups are with the headers of their messages where the local copy holds them.",
    "Words: by mean weight in the cluster less mean weight elsewhere, of the run with seed 0.",
    "k-means: the best of 3 starts for each seed.",
    "cpu s: processor time of one clustering, without reading.",
]


def by_command(name: str, k: int, texts: list[str], scratch: Path) -> dict[str, Any]:
    """The record of the one command."""
    path = scratch / f"{name}.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    code = "from fiedler.cli import main; main()"
    command = ["cluster", str(path), "--clusters", str(k), "-o", str(scratch / name), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
    )
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def main() -> None:
    """One row for each set and method; the table is written after each."""
    chosen = arguments(__doc__)
    rows, words = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, k in TEXTS.items():
            found = fiedler.load_dataset(name)
            assert found.texts is not None
            texts = list(found.texts)
            words[name] = by_command(name, k, texts, Path(scratch))["words"]
            print("\n".join(words[name]), flush=True)
            X = fiedler.open_rows(texts).rows
            filled = X.getnnz(axis=1) > 0
            X, y = X[filled], found.y[filled]
            methods = {
                "fiedler": lambda seed, k=k: fiedler.SpectralClustering(k, random_state=seed),
                "k-means": lambda seed, k=k: KMeans(k, n_init=3, random_state=seed),
            }
            for method, make in methods.items():
                start = time.process_time()
                partitions = [make(seed).fit_predict(X) for seed in chosen.seeds]
                seconds = (time.process_time() - start) / len(chosen.seeds)
                scores = {
                    score: mean_sd([f(y, np.asarray(labels)) for labels in partitions])
                    for score, f in SCORES.items()
                }
                row = {"data": name, "n": len(y), "k": k, "method": method}
                rows.append({**row, **scores, "cpu s": seconds})
                print(json.dumps(rows[-1]), flush=True)
                record("texts", rows, seeds=chosen.seeds, notes=NOTES, words=words)


if __name__ == "__main__":
    main()
