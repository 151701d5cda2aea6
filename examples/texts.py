"""Texts: the descriptions of scipy's functions, grouped by their words.

    python examples/texts.py [texts.html]

Texts of any kind go the same way, from the command line too: fiedler cluster texts.jsonl -o run/
"""

from __future__ import annotations

import importlib
import inspect
import sys

from fiedler import SpectralClustering, open_rows
from fiedler.evaluation import nmi
from fiedler.report import describe, write_report

MODULES = ("fft", "interpolate", "linalg", "ndimage", "optimize", "signal", "spatial", "stats")


def descriptions() -> dict[str, str]:
    """Docstring of each public function and class of some modules, by its name."""
    found = {}
    for module in MODULES:
        room = importlib.import_module(f"scipy.{module}")
        for name in room.__all__:
            text = inspect.getdoc(getattr(room, name)) or ""
            if len(text) > 300:
                found[f"{module}.{name}"] = text
    return found


def main() -> None:
    """Cluster the texts, and name each cluster by its words."""
    texts = descriptions()
    source = open_rows(list(texts.values()))
    model = SpectralClustering(8, random_state=0).fit(source.rows)
    modules = [name.partition(".")[0] for name in texts]
    data = describe(
        model,
        title="What scipy describes",
        kind="texts",
        ids=list(texts),
        texts=list(texts.values()),
        terms=(source.rows, source.recipe.vectorizer.vocabulary_),
        known=modules,
        how="SpectralClustering on the tf-idf of their words.",
    )
    for number, words in enumerate(data.words):
        print(f"cluster {number}: {', '.join(words[:6])}")
    print(f"against the modules: NMI {nmi(modules, model.labels_):.3f}")
    write_report(sys.argv[1] if len(sys.argv) > 1 else "texts.html", data)


if __name__ == "__main__":
    main()
