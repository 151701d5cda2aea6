"""Comparing runs: two ways to the clusters of the same digits, and where they disagree.

    python examples/compare_runs.py [compared.html]

The same from the command line, with the names of the rows that moved:

    fiedler cluster dataset:digits -k 10 -o merged/
    fiedler cluster dataset:digits -k 10 --assign kmeans -o kmeans/
    fiedler compare merged/ kmeans/ --output moved.csv
"""

from __future__ import annotations

import sys

import numpy as np
from bokeh.plotting import save
from bokeh.resources import INLINE
from sklearn.datasets import load_digits

from fiedler import SpectralClustering
from fiedler.evaluation import ari, match_labels, nmi
from fiedler.report import plots


def main() -> None:
    """Fit both, count how many rows agree, and draw clusters against clusters."""
    X = load_digits().data
    merged = SpectralClustering(10, random_state=0).fit(X).labels_
    kmeans = SpectralClustering(10, assign="kmeans", random_state=0).fit(X).labels_
    matched = match_labels(merged, kmeans)
    print(f"{np.mean(matched == merged):.1%} of {len(X):,} rows agree")
    print(f"NMI {nmi(merged, kmeans):.3f}, ARI {ari(merged, kmeans):.3f}")
    figure = plots.plot_confusion([f"merged {label}" for label in merged], kmeans)
    figure.xaxis.axis_label, figure.yaxis.axis_label = "by k-means", "by merging"
    target = sys.argv[1] if len(sys.argv) > 1 else "compared.html"
    save(figure, target, resources=INLINE, title="Two runs")


if __name__ == "__main__":
    main()
