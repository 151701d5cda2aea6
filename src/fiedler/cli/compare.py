"""`fiedler compare`: how far two runs agree, and which rows moved."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiedler.cli.outcome import writing
from fiedler.cli.run_folder import check_new_file, read_labels, read_record, to_json
from fiedler.cli.terminal import Terminal
from fiedler.exceptions import InputError

# So many of the largest streams between clusters are told on the terminal.
_STREAMS = 10

Ints = NDArray[np.int64]


def compare(
    first: Path, second: Path, output: Path | None, terminal: Terminal, *, overwrite: bool = False
) -> None:
    """Match the clusters of two runs and say how far they agree.

    Parameters
    ----------
    first, second : Path
        Run folders; their rows are matched by id.
    output : Path, optional
        Table to write of the rows that moved.
    terminal : Terminal
    overwrite : bool
        Whether an existing table may be replaced.

    Raises
    ------
    InputError
        If the runs share no rows, or a run has an id twice.
    """
    if output is not None:
        check_new_file(output, overwrite)
    ids, a, b, alone = _shared(first, second)
    _warn_of_other_input(first, second, terminal)
    result = agreement(a, b)
    moved = [(ids[i], int(a[i]), int(b[i])) for i in np.flatnonzero(result["counterpart"][a] != b)]
    streams = _streams(moved)
    if output is not None:
        with writing(output), open(output, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerows([("id", "first", "second"), *moved])
    if terminal.json:
        told = {"rows": len(ids), "only_in_one": alone, **result}
        terminal.result(to_json({**told, "moved": moved, "streams": streams}))
        return
    for line in _sentences(result, len(ids), alone, len(moved), streams):
        terminal.say(line)
    if output is not None:
        terminal.say(f"Rows that moved: {output}")


def agreement(a: Ints, b: Ints) -> dict[str, Any]:
    """Figures of how far two partitions of the same rows agree.

    Parameters
    ----------
    a, b : ndarray of int64, shape (n,)

    Returns
    -------
    dict
        ``share`` of the rows in matched clusters (Hungarian matching), ``nmi``, ``ari``, and
        ``counterpart``: the matched cluster of b for each cluster of a, or -1.
    """
    from scipy.optimize import linear_sum_assignment

    from fiedler.evaluation import ari, nmi

    table = np.zeros((int(a.max()) + 1, int(b.max()) + 1), dtype=np.int64)
    np.add.at(table, (a, b), 1)
    rows, columns = linear_sum_assignment(-table)
    counterpart = np.full(len(table), -1, dtype=np.int64)
    counterpart[rows] = columns
    return {
        "share": float(table[rows, columns].sum() / len(a)),
        "nmi": nmi(a, b),
        "ari": ari(a, b),
        "counterpart": counterpart,
    }


def _shared(first: Path, second: Path) -> tuple[list[str], Ints, Ints, int]:
    """Ids that both runs hold, their clusters in each, and how many ids only one holds."""
    tables = []
    for run in (first, second):
        ids, labels = read_labels(run)
        table = dict(zip(ids, labels, strict=True))
        if len(table) < len(ids):
            raise InputError(f"{run} holds an id twice, so its rows cannot be matched by id.")
        tables.append(table)
    shared = [row for row in tables[0] if row in tables[1]]
    if not shared:
        raise InputError(
            f"{first} and {second} have no rows in common; compare runs of the same input."
        )
    a, b = (np.array([table[row] for row in shared], dtype=np.int64) for table in tables)
    return shared, a, b, len(tables[0]) + len(tables[1]) - 2 * len(shared)


def _warn_of_other_input(first: Path, second: Path, terminal: Terminal) -> None:
    """Warn where rows that only share a number might be taken for the same."""
    inputs = [read_record(run).get("request", {}).get("input") for run in (first, second)]
    if inputs[0] != inputs[1]:
        terminal.warn(
            f"{first} is a run on {inputs[0]} and {second} one on {inputs[1]}: rows of the same "
            "name (or number) are taken for the same."
        )


def _streams(moved: list[tuple[str, int, int]]) -> list[dict[str, int]]:
    """The clusters between which rows moved, most rows first."""
    if not moved:
        return []
    pairs, counts = np.unique([row[1:] for row in moved], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [
        {"from": int(pairs[i, 0]), "to": int(pairs[i, 1]), "rows": int(counts[i])} for i in order
    ]


def _sentences(
    result: dict[str, Any], n: int, alone: int, moved: int, streams: list[dict[str, int]]
) -> list[str]:
    lines = [
        f"{result['share']:.1%} of {n:,} rows agree (clusters matched one to one); "
        f"NMI {result['nmi']:.3f}, ARI {result['ari']:.3f}."
    ]
    if alone:
        lines.append(f"{alone:,} rows are in one run only and were left out.")
    pairs = ", ".join(f"{i} = {j}" for i, j in enumerate(result["counterpart"]) if j >= 0)
    lines.append(f"Matched clusters, first = second: {pairs}.")
    if moved:
        lines.append(f"{moved:,} rows moved (clusters by the numbers of the first run):")
        first_of = {int(j): str(i) for i, j in enumerate(result["counterpart"]) if j >= 0}
        lines += [
            f"  {stream['rows']:,} from {stream['from']} to "
            + first_of.get(stream["to"], f"{stream['to']} of the second, which matches none")
            for stream in streams[:_STREAMS]
        ]
        if len(streams) > _STREAMS:
            lines.append(f"  and between {len(streams) - _STREAMS} other pairs of clusters")
    return lines
