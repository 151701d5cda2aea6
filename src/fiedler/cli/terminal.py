"""What is said, and where: results on stdout; progress, warnings and errors on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from fiedler.cli.wording import in_options

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from fiedler.progress import ProgressCallback


class Terminal:
    """The two streams of a command.

    Parameters
    ----------
    quiet : bool
        Say nothing but errors.
    json : bool
        Give the result as one JSON object on stdout, in place of sentences.
    """

    def __init__(self, *, quiet: bool = False, json: bool = False) -> None:
        self.quiet = quiet
        self.json = json
        self.warnings: list[str] = []
        self._held: list[str] | None = None
        self._bars: Progress | None = None

    def say(self, text: str) -> None:
        """Print a sentence of the result, for people."""
        if not self.quiet and not self.json:
            _print(text, sys.stdout)

    def note(self, text: str) -> None:
        """Tell what is going on, while it goes on."""
        if self.quiet:
            return
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            _print(text, sys.stderr)

    def result(self, text: str) -> None:
        """Print what was asked for, as JSON."""
        _print(text, sys.stdout)

    def table(self, text: str) -> None:
        """Print a table that was asked for, as UTF-8; names of files keep their bytes."""
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()

    def error(self, message: str) -> None:
        """Print the one message of a failure."""
        _print(f"error: {message}", sys.stderr)

    def trace(self, text: str) -> None:
        """Print a traceback."""
        _print(text, sys.stderr)

    def warn(self, message: str) -> None:
        """Print a warning (after the progress bars, if any), and keep it for the record."""
        self.warnings.append(message)
        if self._held is not None:
            self._held.append(message)
        elif not self.quiet:
            _print(f"warning: {message}", sys.stderr)

    def note_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Take a Python warning; stands in for `warnings.showwarning`."""
        self.warn(in_options(str(message)))

    @contextmanager
    def progress(self) -> Iterator[ProgressCallback]:
        """Show the progress of what runs inside: bars on a terminal, else a line a stage."""
        from fiedler.progress import silent

        self._held = []
        try:
            if self.quiet:
                yield silent
            elif sys.stderr.isatty():
                with _bars() as self._bars:
                    yield _BarReporter(self._bars)
            else:
                yield _LineReporter()
        finally:
            held, self._held, self._bars = self._held, None, None
            for message in held if not self.quiet else ():
                _print(f"warning: {message}", sys.stderr)


class _BarReporter:
    """One bar a stage, with the time that remains."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: float, total: float) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total or None)
        self._bars.update(self._tasks[stage], completed=done, total=total or None)


class _LineReporter:
    """A line for each stage that is finished, for log files."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._finished: set[str] = set()

    def __call__(self, stage: str, done: float, total: float) -> None:
        start = self._started.setdefault(stage, time.perf_counter())
        if done >= total and stage not in self._finished:
            self._finished.add(stage)
            _print(f"{stage}: done in {time.perf_counter() - start:.1f} s", sys.stderr)


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        # Stages may bear the names of files: no markup in them.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left", style="dim"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _print(text: str, stream: TextIO) -> None:
    # Names of files may hold bytes that are no text in this encoding.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
