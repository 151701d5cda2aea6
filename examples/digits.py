"""Clusters in five minutes: 1,797 handwritten digits, their groups, and a page to look at.

    python examples/digits.py [digits.html]

The digits come with scikit-learn. Known classes are used for nothing but the figures at the end.
"""

from __future__ import annotations

import sys

from sklearn.datasets import load_digits

from fiedler import SpectralClustering
from fiedler.evaluation import accuracy, nmi
from fiedler.report import describe, write_report


def main() -> None:
    """Fit, score, and write the report."""
    digits = load_digits()
    model = SpectralClustering(10, random_state=0).fit(digits.data)
    print(f"accuracy {accuracy(digits.target, model.labels_):.3f}")
    print(f"NMI {nmi(digits.target, model.labels_):.3f}")
    data = describe(
        model,
        title="Handwritten digits",
        kind="images",
        pictures=digits.images / 16,
        known=digits.target,
        how="SpectralClustering on the pixels.",
    )
    write_report(sys.argv[1] if len(sys.argv) > 1 else "digits.html", data)


if __name__ == "__main__":
    main()
