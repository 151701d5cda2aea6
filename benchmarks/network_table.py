"""What the tables of networks share: a process for each fit, set by set, seed after seed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import arguments
from runs import Finish, RunsTable, in_own_process, table_name

HERE = Path(__file__).resolve().parent

Run = dict[str, Any]
OneRun = Callable[[str, str, int, argparse.Namespace], Run]


def network_arguments(
    doc: str, sets: list[str], methods: list[str], *, seeds: int = 5
) -> argparse.Namespace:
    """Read what to fit, and how many threads, rows and steps."""
    options = {"--seeds": seeds, "--threads": 2, "--rows": 0, "--steps": 0}
    return arguments(doc, {"--sets": sets, "--methods": methods}, options=options)


def fit(
    name: str, method: str, seed: int, rows: int, steps: int, *, threads: int
) -> dict[str, Any]:
    """What fit_network.py says of one run; ``name`` is a set or a file."""
    given = (name, method, "--seed", seed, "--rows", rows, "--steps", steps)
    found = in_own_process(HERE / "fit_network.py", *given, threads=threads)
    assert found is not None  # no limit was given
    return found


def fit_chosen(name: str, method: str, seed: int, chosen: argparse.Namespace) -> Run:
    """:func:`fit` with the chosen rows, steps and threads."""
    return fit(name, method, seed, chosen.rows, chosen.steps, threads=chosen.threads)


def make_table(
    table: str,
    chosen: argparse.Namespace,
    *,
    notes: list[str],
    finish: Finish,
    one_run: OneRun = fit_chosen,
    wanted: Callable[[str, str], bool] = lambda name, method: True,
) -> None:
    """Make every run that is not there yet: of all sets and methods, seed after seed.

    Parameters
    ----------
    table : str
        Its name, that of the script.
    chosen : Namespace
        Of :func:`network_arguments`.
    notes : list of str
    finish : callable
        As for :class:`RunsTable`.
    one_run : callable
        What a set, a method, a seed and ``chosen`` give.
    wanted : callable
        Whether a method is run on a set.
    """
    torch.set_num_threads(chosen.threads)  # what the table says
    made = RunsTable(
        table_name(table, chosen.rows, chosen.steps),
        ("data", "method"),
        again=chosen.again,
        finish=finish,
        seeds=chosen.seeds,
        notes=notes,
    )
    for seed in chosen.seeds:
        for name in chosen.sets:
            for method in filter(lambda method, name=name: wanted(name, method), chosen.methods):
                run = {"data": name, "method": method, "seed": seed}
                if made.lacks(**run):
                    made.put(run | one_run(name, method, seed, chosen))
