"""From one graph and its eigenvectors to labels: accuracy of every assignment, and the rule.

    python benchmarks/assignment.py [--seeds 5] [--sets usps digits] [--again]

Each set has a row for the graphs of 10, 7 and 5 neighbours each. Graph and eigenvectors are made
once; the seeds are those of the assignments. Beside the accuracies stand the two quantities by
which ``assign="auto"`` decides, without a label, whether to merge: by how much the merged partition
has more modularity than k-means on the plain eigenvectors, and how many times as much it cuts.
(k-means is started apart from the rule's own here, so that they may differ a little.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import SETS, ResumableTable, arguments, graph_and_pairs, load, mean_sd

from fiedler.evaluation import accuracy
from fiedler.partition import assign_labels, modularity, normalized_cut
from fiedler.partition.assign import ASSIGNMENTS
from fiedler.partition.centers import kmeans

NEIGHBORS = (10, 7, 5)
NOTES = [
    "acc_*: accuracy of each assignment, mean ± sd over the seeds.",
    "modularity_*, cut_*: modularity and normalised cut of k-means on the plain eigenvectors and "
    "of the merged partition; cut_ratio is the second cut over the first.",
    "auto_merges: seeds in which the rule took the merged partition. better: what the labels "
    "say, where the two differ by more than .005. auto_loses: accuracy of the better one less "
    "that of auto.",
]


def row_of(name: str, neighbors: int, seeds: list[int]) -> dict[str, Any]:
    """One row of the table."""
    X, y = load(name)
    k = int(y.max()) + 1
    matrix, pairs = graph_and_pairs(X, k, neighbors)
    found: dict[str, list[float]] = {}
    merges = 0
    for seed in seeds:
        parts = {
            method: assign_labels(
                pairs.vectors, k, method=method, affinity=matrix, pairs=pairs, random_state=seed
            )
            for method in ASSIGNMENTS
        }
        merges += parts["auto"].method == "merge"
        for method, part in parts.items():
            found.setdefault(f"acc_{method}", []).append(accuracy(y, part.labels))
        plain, _ = kmeans(pairs.vectors[:, :k], k, n_init=4, rng=np.random.default_rng(seed))
        for column, score in (("modularity", modularity), ("cut", normalized_cut)):
            for labels, kind in ((plain, "kmeans"), (parts["merge"].labels, "merge")):
                found.setdefault(f"{column}_{kind}", []).append(score(matrix, labels))
    return {
        "data": name, "n": len(y), "k": k,
        "neighbors": neighbors, "components": pairs.n_connected_components,
        **{column: mean_sd(values) for column, values in found.items()},
        **verdict(found), "auto_merges": f"{merges} of {len(seeds)}", "seeds": len(seeds),
    }  # fmt: skip


def verdict(found: dict[str, list[float]]) -> dict[str, Any]:
    """What the rule looks at, which assignment the labels prefer, and what auto loses to it."""
    mean = {column: float(np.mean(values)) for column, values in found.items()}
    difference = mean["acc_merge"] - mean["acc_kmeans"]
    best = max(mean["acc_merge"], mean["acc_kmeans"])
    return {
        "modularity_gain": mean["modularity_merge"] - mean["modularity_kmeans"],
        "cut_ratio": mean["cut_merge"] / mean["cut_kmeans"] if mean["cut_kmeans"] > 0 else None,
        "better": "alike" if abs(difference) <= 0.005 else ("merge", "kmeans")[difference < 0],
        "auto_loses": best - mean["acc_auto"],
    }


def main() -> None:
    """Make every row that is not there yet."""
    chosen = arguments(__doc__)
    table = ResumableTable(
        "assignment", ("data", "neighbors"), again=chosen.again, seeds=chosen.seeds, notes=NOTES
    )
    for name in (name for name in SETS if name in chosen.sets):
        for neighbors in NEIGHBORS:
            if table.lacks(data=name, neighbors=neighbors, seeds=len(chosen.seeds)):
                table.put(row_of(name, neighbors, chosen.seeds))


if __name__ == "__main__":
    main()
