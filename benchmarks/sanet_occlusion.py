"""Faces behind a block: patches that vote, and whole images by the same features.

    python benchmarks/sanet_occlusion.py [--seeds 5] [--sets yaleb] [--methods patches] [--again]

20 % of the pixels of every face are hidden by a block of an unrelated image at a random place; a
seed is one draw of places. ``whole`` is the "faces" preset with one patch as large as the image.
"""

from __future__ import annotations

from common import ResumableTable, arguments, mean_sd
from sanet_common import IMAGE_SETS, NOTES, occluded, timed_scores

from fiedler import Orientation, SANet, VotingLayer

FACES = ["yaleb", "cmu_pie", "ar"]
PUBLISHED = {"yaleb": 0.621, "cmu_pie": 0.569}


def main() -> None:
    """Make every row that is not there yet."""
    variants = ["patches", "whole"]
    chosen = arguments(__doc__, {"--methods": variants, "--sets": FACES})
    table = ResumableTable(
        "sanet_occlusion", ("data", "method"), again=chosen.again, seeds=chosen.seeds, notes=NOTES
    )
    for name in chosen.sets:
        X, y = IMAGE_SETS[name][0]()
        k = int(y.max()) + 1
        whole = [Orientation(), VotingLayer(X.shape[1:3], shifts=0)]
        for method in chosen.methods:
            if not table.lacks(data=name, method=method, seeds=len(chosen.seeds)):
                continue
            layers = "faces" if method == "patches" else whole
            runs = []
            for seed in chosen.seeds:
                hidden = occluded(X, seed)
                model = SANet(k, layers=layers, assign="kmeans", random_state=seed)
                runs.append(timed_scores(lambda m=model, h=hidden: m.fit_predict(h), y))
            scores = {score: mean_sd([run[score] for run in runs]) for score in runs[0]}
            row = {"data": name, "n": len(y), "method": method, **scores}
            table.put(row | {"paper acc": PUBLISHED.get(name), "seeds": len(runs)})


if __name__ == "__main__":
    main()
