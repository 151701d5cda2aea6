"""Long tables: each run in a process of its own, and kept, so that a table can be continued."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import cell_text, kept, machines, mean_sd, record

Rows = list[dict[str, Any]]
Finish = Callable[[Rows, Rows], Rows]


def as_they_are(rows: Rows, _runs: Rows) -> Rows:
    """Rows in the order in which they were made."""
    return rows


class RunsTable:
    """A table of means over seeds that keeps every run, and is written after each.

    Runs that it holds already are not made again, so a long table can be cut and continued; runs
    of other versions of the software are dropped. The runs lie in the file beside the rows.

    Parameters
    ----------
    name : str
        Of the script, without ``.py``.
    key : sequence of str
        The columns that name a row; with ``seed`` they name a run.
    again : bool
        Make runs again even where they are there.
    finish : callable, optional
        Gets all rows and runs, and returns the rows with the columns that compare them.
    **extra
        As for :func:`record`.
    """

    def __init__(
        self,
        name: str,
        key: Sequence[str],
        *,
        again: bool,
        finish: Finish = as_they_are,
        **extra: Any,
    ) -> None:
        self._name, self._key, self._again = name, tuple(key), again
        self._finish, self._extra = finish, extra
        self._extra["machine"] = machines(name)
        self._runs = {self._key_of(run): run for run in kept(name, "runs")}

    def lacks(self, **wanted: Any) -> bool:
        """Tell whether there is no run with these values, the key columns and seed among them."""
        run = self._runs.get(self._key_of(wanted))
        return self._again or run is None or any(run.get(name) != wanted[name] for name in wanted)

    def put(self, run: dict[str, Any]) -> None:
        """Add or replace a run, print it, and write the table."""
        self._runs[self._key_of(run)] = run
        runs = list(self._runs.values())
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for each in runs:
            groups.setdefault(self._key_of(each)[:-1], []).append(each)
        rows = self._finish([_summary(group) for group in groups.values()], runs)
        made = self._extra | {"seeds": sorted({each["seed"] for each in runs})}
        record(self._name, rows, runs=runs, **made)
        print("  ".join(f"{name} {cell_text(value)}" for name, value in run.items()), flush=True)

    def _key_of(self, run: dict[str, Any]) -> tuple[Any, ...]:
        return *(run[name] for name in self._key), run["seed"]


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of runs that differ in their seed: means of the floats, the rest as in the first.

    Lists, such as the warnings of a run, are kept with the runs only.
    """
    row: dict[str, Any] = {}
    for name, value in runs[0].items():
        later = any(name not in run for run in runs)  # a column of later runs only
        if name == "seed" or later or isinstance(value, list):
            continue
        several = isinstance(value, float) and len(runs) > 1
        row[name] = mean_sd([run[name] for run in runs]) if several else value
    return row | {"seeds": len(runs)}


def in_own_process(
    script: Path,
    *given: object,
    python: str = sys.executable,
    threads: int | None = None,
    limit: float | None = None,
) -> dict[str, Any] | None:
    """Run a script that prints one line of JSON; each gets a fresh process and its own peak memory.

    Parameters
    ----------
    script : Path
    *given
        Its arguments.
    python : str
        Interpreter.
    threads : int or None
        None leaves the number of threads to the libraries.
    limit : float or None
        Seconds after which it is ended.

    Returns
    -------
    dict or None
        What the last line says, ``process seconds``, imports included, and ``process cpu
        seconds``, of all its threads, which other work on the machine hardly changes. None after
        the limit.
    """
    # settings for old numerical libraries that some machines carry would slow numpy's products
    skipped = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    env = {name: value for name, value in os.environ.items() if name not in skipped}
    if threads is not None:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        env |= dict.fromkeys(names, str(threads))
    command = [python, str(script), *map(str, given)]
    start, cpu = time.perf_counter(), _children_cpu()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=env)
    except subprocess.TimeoutExpired:
        return None
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    sys.stderr.write(done.stderr)  # warnings
    return {
        **json.loads(done.stdout.splitlines()[-1]),
        "process seconds": seconds,
        "process cpu seconds": _children_cpu() - cpu,
    }


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """Peak resident memory of this process so far, in MB; pages of mapped files count."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux counts what the starting process had into ru_maxrss
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found:
            return int(found.group(1)) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def table_name(name: str, *cuts: int) -> str:
    """Name of a table; with any cut (fewer rows, fewer steps) it is a trial's, kept apart."""
    return f"trials/{name}" if any(cuts) else name
