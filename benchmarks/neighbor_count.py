"""How many neighbours: accuracy of the default assignment on graphs of 5 to 20.

    python benchmarks/neighbor_count.py [--seeds 5] [--sets usps digits] [--again]

Graph and eigenvectors are made once for each number of neighbours; the seeds are those of the
assignment. The table also tells into how many components each graph falls.
"""

from __future__ import annotations

from typing import Any

from common import SETS, ResumableTable, arguments, graph_and_pairs, load, mean_sd

from fiedler.evaluation import accuracy
from fiedler.partition import assign_labels

NEIGHBORS = (5, 7, 10, 15, 20)
NOTES = [
    "acc_q: accuracy of assign='auto' on the graph of q neighbours, mean ± sd over the seeds, told "
    "the true number of classes.",
    "components_q: connected components of that graph.",
]


def row_of(name: str, seeds: list[int]) -> dict[str, Any]:
    """One set's row of the table."""
    X, y = load(name)
    k = int(y.max()) + 1
    scores: dict[str, Any] = {}
    components: dict[str, int] = {}
    for q in NEIGHBORS:
        matrix, pairs = graph_and_pairs(X, k, q)
        components[f"components_{q}"] = pairs.n_connected_components
        parts = (
            assign_labels(pairs.vectors, k, affinity=matrix, pairs=pairs, random_state=seed)
            for seed in seeds
        )
        scores[f"acc_{q}"] = mean_sd([accuracy(y, part.labels) for part in parts])
    return {"data": name, "n": len(y), "k": k, **scores, **components, "seeds": len(seeds)}


def main() -> None:
    """Make every row that is not there yet."""
    chosen = arguments(__doc__)
    table = ResumableTable(
        "neighbor_count", ("data",), again=chosen.again, seeds=chosen.seeds, notes=NOTES
    )
    for name in (name for name in SETS if name in chosen.sets):
        if table.lacks(data=name, seeds=len(chosen.seeds)):
            table.put(row_of(name, chosen.seeds))


if __name__ == "__main__":
    main()
