"""predict of 10,000 held-out MNIST rows against a joint fit on all 70,000: agreement and speed."""

from __future__ import annotations

import argparse
import time

import numpy as np
from common import ResumableTable

import fiedler
from fiedler.evaluation import accuracy, nmi


def main() -> None:
    """Fit 60,000 and 70,000 rows with each seed and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--again", action="store_true", help="also what is there already")
    given = parser.parse_args()
    table = ResumableTable(
        "out_of_sample", ("seed",), again=given.again, seeds=given.seeds, notes=[str(__doc__)]
    )
    data = fiedler.load_dataset("mnist")
    X, y = data.X.reshape(70_000, -1), data.y
    for seed in (seed for seed in given.seeds if table.lacks(seed=seed)):
        joint = fiedler.SpectralClustering(10, random_state=seed).fit(X)
        model = fiedler.SpectralClustering(10, random_state=seed).fit(X[:60_000])
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            predicted = model.predict(X[60_000:])
            seconds.append(time.perf_counter() - start)
        table.put(
            {
                "seed": seed,
                "agreement": round(accuracy(joint.labels_[60_000:], predicted), 4),
                "rows a second": round(10_000 / float(np.median(seconds))),
                "acc unseen": round(accuracy(y[60_000:], predicted), 4),
                "acc fitted 60,000": round(accuracy(y[:60_000], model.labels_), 4),
                "acc joint 70,000": round(accuracy(y, joint.labels_), 4),
                "nmi unseen": round(nmi(y[60_000:], predicted), 4),
            }
        )


if __name__ == "__main__":
    main()
