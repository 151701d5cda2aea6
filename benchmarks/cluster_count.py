"""How many clusters each rule finds, beside the number of classes.

    python benchmarks/cluster_count.py [--seeds 5] [--sets usps digits] [--again]

``n_clusters`` of ``fiedler.SpectralClustering`` is "eigengap", "modularity" or "auto", with
``max_clusters=20``; all else is at its defaults. The graph of a set is made once.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

from common import SETS, ResumableTable, arguments, load

import fiedler
from fiedler.exceptions import DisconnectedGraphWarning
from fiedler.graph import SearchOptions, resolve_affinity

RULES = ("eigengap", "modularity", "auto")
MAX_CLUSTERS = 20
NOTES = [
    f"max_clusters is {MAX_CLUSTERS}: yaleb, cmu_pie and ar have more classes than that.",
    "The commonest answer over the seeds; where seeds differ, in how many of them, and the range.",
]


def chosen_k(matrix: Any, rule: str, seeds: list[int]) -> tuple[str, int]:
    """The numbers that a rule chooses over the seeds, in short, and the graph's components."""
    found = []
    for seed in seeds:
        # the assignment comes after the choice and has no say in it: the quickest
        model = fiedler.SpectralClustering(
            rule, affinity="precomputed", assign="cluster_qr", max_clusters=MAX_CLUSTERS,
            random_state=seed,
        ).fit(matrix)  # fmt: skip
        found.append(model.n_clusters_)
    (commonest, times), *others = Counter(found).most_common()
    text = f"{commonest}"
    if others:
        text += f" ({times} of {len(seeds)}; {min(found)} to {max(found)})"
    return text, model.n_connected_components_


def row_of(name: str, seeds: list[int]) -> dict[str, Any]:
    """One set's row of the table."""
    X, y = load(name)
    matrix = resolve_affinity("knn").fit(X, SearchOptions()).matrix
    answers: dict[str, str] = {}
    for rule in RULES:
        # the eigengap does not depend on a seed but for rounding
        answers[rule], components = chosen_k(matrix, rule, seeds[:1] if rule == RULES[0] else seeds)
    size = {"n": len(y), "components": components, "classes": int(y.max()) + 1}
    return {"data": name, **size, **answers, "seeds": len(seeds)}


def main() -> None:
    """Make every row that is not there yet."""
    chosen = arguments(__doc__)
    warnings.simplefilter("ignore", DisconnectedGraphWarning)
    table = ResumableTable(
        "cluster_count", ("data",), again=chosen.again, seeds=chosen.seeds, notes=NOTES
    )
    for name in (name for name in SETS if name in chosen.sets):
        if table.lacks(data=name, seeds=len(chosen.seeds)):
            table.put(row_of(name, chosen.seeds))


if __name__ == "__main__":
    main()
