"""What the benchmarks share: the sets by name, the table that is kept as JSON, the versions.

Sets come from ``fiedler.load_dataset`` (the folder in FIEDLER_DATA, the cache, else a download) and
from scikit-learn. Labels are returned beside the rows only to score with.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import scipy.sparse as sp
import sklearn
import torch
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

import fiedler
from fiedler.graph import KNN, SearchOptions
from fiedler.partition.assign import vectors_wanted
from fiedler.spectrum import Eigenpairs, smallest_eigenpairs

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

Rows = np.ndarray | sp.csr_matrix
Labelled = tuple[Rows, np.ndarray]


def versions() -> dict[str, str]:
    """Versions of everything that a figure may depend on."""
    return {
        "fiedler": fiedler.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "torch": torch.__version__,
    }


def machine() -> str:
    """Cores and model of the processor, and the GPU if there is one: "2 cores, AMD EPYC"."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"model name\s*: (.*)", cpuinfo.read_text())
        model = found.group(1).strip() if found else model
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores, {model}{gpu}"


def record(name: str, rows: list[dict[str, Any]], **extra: Any) -> Path:
    """Write a table to ``benchmarks/results/NAME.json``, whole or not at all.

    Parameters
    ----------
    name : str
        Of the script, without ``.py``; :func:`runs.table_name` gives those of trials.
    rows : list of dict
        One dict a row: texts, numbers, or ``{"mean": ..., "sd": ...}``; the same keys in the same
        order in each.
    **extra
        ``seeds``, ``notes`` (a list of sentences printed under the table), or anything else.
    """
    table = {
        "command": f"python benchmarks/{Path(name).name}.py",
        "date": datetime.date.today().isoformat(),
        "versions": versions(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        **extra,
        "rows": rows,
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(table, indent=1) + "\n")
    part.replace(path)
    return path


class ResumableTable:
    """A table that is written after every row; rows that it holds already are not made again.

    Rows of other versions of the software are dropped, so that a table never mixes them.

    Parameters
    ----------
    name : str
        Of the script, without ``.py``.
    key : sequence of str
        The columns that name a row.
    again : bool
        Make rows again even where they are there.
    **extra
        As for :func:`record`.
    """

    def __init__(self, name: str, key: Sequence[str], *, again: bool, **extra: Any) -> None:
        self._name, self._key, self._again, self._extra = name, tuple(key), again, extra
        self._extra["machine"] = machines(name)
        self._made = {self._key_of(row): row for row in kept(name, "rows")}

    def lacks(self, **wanted: Any) -> bool:
        """Tell whether no row has these values, the key columns among them."""
        row = self._made.get(self._key_of(wanted))
        return self._again or row is None or any(row[name] != wanted[name] for name in wanted)

    def put(self, row: dict[str, Any]) -> None:
        """Add or replace a row, print it, and write the table."""
        self._made[self._key_of(row)] = row
        order = {name: place for place, name in enumerate(SETS)}
        self._made = dict(
            sorted(self._made.items(), key=lambda item: order.get(item[1].get("data"), len(order)))
        )
        if "seeds" in self._extra:
            most = max(row.get("seeds", 1) for row in self.rows)
            self._extra["seeds"] = list(range(max(most, len(self._extra["seeds"]))))
        record(self._name, self.rows, **self._extra)
        print("  ".join(f"{name} {cell_text(value)}" for name, value in row.items()), flush=True)

    def note(self, *notes: str) -> None:
        """Print sentences about all rows, and write the table with them under it."""
        print(*notes, sep="\n")
        record(self._name, self.rows, **self._extra | {"notes": [*self._extra["notes"], *notes]})

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows so far."""
        return list(self._made.values())

    def _key_of(self, row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in self._key)


def kept(name: str, part: str) -> list[dict[str, Any]]:
    """What the file of a table holds, where the same software made it."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return []
    kept = json.loads(path.read_text())
    return list(kept.get(part, [])) if kept["versions"] == versions() else []


def machines(name: str) -> str:
    """The machines on which the rows of a table were and are made: seconds differ between them."""
    path = RESULTS / f"{name}.json"
    if not (kept(name, "rows") and path.is_file()):
        return machine()
    earlier = str(json.loads(path.read_text())["machine"]).split("; ")
    return "; ".join(dict.fromkeys([*earlier, machine()]))


def mean_sd(figures: Sequence[float]) -> dict[str, float]:
    """Mean and sample standard deviation (0 of one figure) as a cell of a table."""
    sd = np.std(figures, ddof=1) if len(figures) > 1 else 0.0
    return {"mean": float(np.mean(figures)), "sd": float(sd)}


def number_text(value: float) -> str:
    """Three decimals, or three digits where that would show nothing."""
    return f"{value:.3f}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.2e}"


def cell_text(value: Any) -> str:
    """Text of a cell: a text, a number, or mean ± sd."""
    if isinstance(value, dict) and set(value) == {"mean", "sd"}:
        digits = number_text(value["mean"])
        sd = f"{value['sd']:.0e}" if "e" in digits else f"{value['sd']:.3f}"
        return f"{digits} ± {sd}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_text(value)
    return "" if value is None else str(value)


def arguments(
    doc: str, choices: dict[str, list[str]] | None = None, *, options: dict[str, int] | None = None
) -> argparse.Namespace:
    """Read ``--seeds`` (becomes a list from 0), ``--sets``, ``--again`` and other choices.

    Parameters
    ----------
    doc : str
        The script's docstring, the first line of which is shown by ``--help``.
    choices : dict of str to list of str
        Other options, ``"--methods"`` for one, of which any number may be named; default all.
    options : dict of str to int
        Other options that are numbers, with their defaults; ``"--seeds"`` may be among them.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    helps = {
        "--seeds": "how many seeds, from 0",
        "--threads": "of each process",
        "--rows": "only so many rows of each set, to try the script (0: all)",
        "--epochs": "of each of the package's networks, to try the script (0: its defaults)",
        "--steps": "at most so many steps of each training, to try the script (0: all)",
    }
    for option, default in {"--seeds": 5, **(options or {})}.items():
        text = f"{helps[option]}; default {default}"
        parser.add_argument(option, type=int, default=default, help=text)
    parser.add_argument("--again", action="store_true", help="also what is there already")
    for option, names in {"--sets": list(SETS), **(choices or {})}.items():
        shown = option.removeprefix("--").removesuffix("s").upper()
        parser.add_argument(
            option, nargs="+", choices=names, default=names, metavar=shown, help=", ".join(names)
        )
    chosen = parser.parse_args()
    chosen.seeds = list(range(chosen.seeds))
    return chosen


def load(name: str) -> Labelled:
    """Rows (n, d), float32 or csr, and classes from 0 of one of ``SETS``."""
    X, y = SETS[name]()
    rows = X.astype(np.float32)
    classes = np.unique(y, return_inverse=True)[1]
    return (rows if sp.issparse(rows) else rows.reshape(len(rows), -1)), classes


def graph_and_pairs(X: Rows, k: int, neighbors: int) -> tuple[sp.csr_matrix, Eigenpairs]:
    """The graph of so many neighbours and the eigenpairs of k clusters.

    As many as ``fiedler.SpectralClustering`` reads k clusters from.
    """
    matrix = KNN(neighbors).fit(X, SearchOptions()).matrix
    return matrix, smallest_eigenpairs(matrix, vectors_wanted(k, X.shape[0]))


def _published(name: str, last: int | None = None) -> Callable[[], Labelled]:
    """One of the package's sets, whole or its last rows."""

    def get() -> Labelled:
        found = fiedler.load_dataset(name)
        start = 0 if last is None else len(found.y) - last
        return found.X[start:], found.y[start:]

    return get


def _cifar10_10k() -> Labelled:
    found = fiedler.load_dataset("cifar10")
    sample = np.random.default_rng(0).permutation(len(found.y))[:10_000]
    return found.X[sample], found.y[sample]


def _20newsgroups_filled() -> Labelled:
    """Without the 111 messages that hold no term: empty rows are everyone's neighbours."""
    found = fiedler.load_dataset("20newsgroups")
    filled = found.X.getnnz(axis=1) > 0
    return found.X[filled], found.y[filled]


def _standardised(get: Callable[..., Any], **options: Any) -> Callable[[], Labelled]:
    def standardised() -> Labelled:
        X, y = get(**options)
        return StandardScaler().fit_transform(X), y

    return standardised


def _anisotropic() -> Labelled:
    X, y = datasets.make_blobs(n_samples=500, random_state=170)
    return StandardScaler().fit_transform(X @ np.array([[0.6, -0.6], [-0.4, 0.8]])), y


_PLANE = {"n_samples": 500, "random_state": 30}  # as in scikit-learn's comparison of clusterings

SETS: dict[str, Callable[[], Labelled]] = {
    "mnist_test": _published("mnist", last=10_000),
    "fashion_test": _published("fashion_mnist", last=10_000),
    "usps": _published("usps"),
    "usps11k": _published("usps11k"),
    "coil20": _published("coil20"),
    "cifar10_10k": _cifar10_10k,
    "yaleb": _published("yaleb"),
    "cmu_pie": _published("cmu_pie"),
    "ar": _published("ar"),
    "reuters_r8": _published("reuters_r8"),
    "20newsgroups": _published("20newsgroups"),
    "20newsgroups_filled": _20newsgroups_filled,
    "digits": _published("digits"),
    "iris": _standardised(datasets.load_iris, return_X_y=True),
    "wine": _standardised(datasets.load_wine, return_X_y=True),
    "breast_cancer": _standardised(datasets.load_breast_cancer, return_X_y=True),
    "moons": _standardised(datasets.make_moons, noise=0.05, **_PLANE),
    "circles": _standardised(datasets.make_circles, factor=0.5, noise=0.05, **_PLANE),
    "blobs": _standardised(datasets.make_blobs, **_PLANE),
    "anisotropic": _anisotropic,
}
