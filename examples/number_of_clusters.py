"""Choosing the number of clusters: what the eigenvalues say, and what modularity says.

    python examples/number_of_clusters.py [number.html]

Three sets whose number is known: seven blobs, two moons, ten digits. Both rules find the blobs. A
long thin moon has parts of its own for both; "auto" sees first that the graph falls into two
components. For the digits all say one too many: look at the chart, and at the cards of a report.
"""

from __future__ import annotations

import sys
import warnings

from bokeh.plotting import save
from bokeh.resources import INLINE
from sklearn.datasets import load_digits, make_blobs, make_moons

from fiedler import SpectralClustering
from fiedler.report import plots


def main() -> None:
    """Ask both rules about three sets, and draw the eigenvalues of the last."""
    sets = {
        "seven blobs": make_blobs(700, n_features=5, centers=7, random_state=3)[0],
        "two moons": make_moons(600, noise=0.05, random_state=0)[0],
        "ten digits": load_digits().data,
    }
    for name, X in sets.items():
        found = {}
        for rule in ("modularity", "eigengap", "auto"):
            with warnings.catch_warnings():
                # Which of them falls into several components is not the point here.
                warnings.simplefilter("ignore")
                model = SpectralClustering(rule, random_state=0).fit(X)
            found[rule] = model.n_clusters_
        print(f"{name}: " + ", ".join(f"{rule} {k}" for rule, k in found.items()))
    target = sys.argv[1] if len(sys.argv) > 1 else "number.html"
    figure = plots.plot_eigenvalues(SpectralClustering(10, random_state=0).fit(sets["ten digits"]))
    save(figure, target, resources=INLINE, title="Eigenvalues")


if __name__ == "__main__":
    main()
