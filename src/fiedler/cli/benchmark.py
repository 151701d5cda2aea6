"""`fiedler benchmark`: methods side by side on one's own input with known classes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fiedler.cli.inputs import Opening, by_gradients, open_input, wants_gradients
from fiedler.cli.methods import METHODS, Settings, build
from fiedler.cli.run_folder import to_json
from fiedler.cli.terminal import Terminal
from fiedler.exceptions import InputError
from fiedler.progress import silent

KMEANS = "kmeans"
CHOICES = (*METHODS, KMEANS)
_SCORES = ("acc", "nmi", "ari", "pairwise_f")


def benchmark(
    name: str,
    opening: Opening,
    clusters: int | None,
    methods: Sequence[str],
    seeds: int,
    terminal: Terminal,
) -> None:
    """Run methods on an input with known classes, and print a table of how they did.

    Parameters
    ----------
    name : str
        Path or ``dataset:NAME``.
    opening : Opening
        How to open it.
    clusters : int, optional
        By default the number of known classes.
    methods : sequence of str
        Of `CHOICES`.
    seeds : int
        So many runs of each, with the seeds from 0.
    terminal : Terminal

    Raises
    ------
    InputError
        If no classes are known.
    """
    with terminal.progress() as progress:
        opened = open_input(name, opening, progress)
        if opened.known is None:
            raise InputError(
                f"the classes of {name} are not known, so nothing can be scored: pass "
                "--labels-from folder where subfolders are classes, --labels-from NAME for a "
                "column or field, or an .npz with labels 'y'."
            )
        truth = opened.known.codes
        k = clusters or len(opened.known.names)
        rows = []
        for i, method in enumerate(methods):
            progress("methods", i, len(methods))
            own = opened
            if wants_gradients(opening, method, None, opened.source.shape):
                own = by_gradients(opened, progress)
            rows.append(_measure(method, _maker(method, k), own.source.rows, truth, seeds))
        progress("methods", len(methods), len(methods))
    if terminal.json:
        told = {"input": name, "shape": opened.source.shape, "clusters": k, "seeds": seeds}
        terminal.result(to_json({**told, "rows": rows}))
        return
    terminal.say(f"{len(truth):,} {opened.row_name}, {k} clusters, {seeds} seeds, mean ± sd:")
    for line in _table(rows):
        terminal.say(line)


def _maker(method: str, k: int) -> Callable[[int], Any]:
    """From a seed to an unfitted estimator."""
    if method == KMEANS:
        from sklearn.cluster import KMeans

        return lambda seed: KMeans(k, n_init=10, random_state=seed)
    return lambda seed: build(Settings(k, method, seed), method, silent)


def _measure(
    method: str, make: Callable[[int], Any], rows: Any, truth: np.ndarray, seeds: int
) -> dict[str, Any]:
    """Scores and cost of one method over the seeds."""
    from fiedler.evaluation import score_all

    flat = rows
    if method == KMEANS and len(rows.shape) > 2:
        flat = np.asarray(rows[:], dtype=np.float32).reshape(rows.shape[0], -1)
    figures: dict[str, list[float]] = {name: [] for name in (*_SCORES, "seconds", "cpu_seconds")}
    for seed in range(seeds):
        model = make(seed)  # imports what the method needs, which is none of its time
        wall, cpu = time.perf_counter(), time.process_time()
        labels = model.fit(flat).labels_
        figures["seconds"].append(time.perf_counter() - wall)
        figures["cpu_seconds"].append(time.process_time() - cpu)
        scores = score_all(truth, labels)
        for name in _SCORES:
            figures[name].append(scores[name])
    return {
        "method": method,
        **{name: {"mean": np.mean(v), "sd": np.std(v)} for name, v in figures.items()},
    }


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    names = {"acc": "ACC", "nmi": "NMI", "ari": "ARI", "pairwise_f": "F"}
    lines = [f"{'method':<12}" + "".join(f"{name:>15}" for name in (*names.values(), "seconds"))]
    for row in rows:
        cells = [f"{row[name]['mean']:.3f} ± {row[name]['sd']:.3f}" for name in names]
        seconds = f"{row['seconds']['mean']:.1f}"
        lines.append(f"{row['method']:<12}" + "".join(f"{cell:>15}" for cell in (*cells, seconds)))
    return lines
