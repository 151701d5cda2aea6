"""The command `fiedler` and what all its commands share; each is in `commands`."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from typing import Annotated, Any

import typer

import fiedler
from fiedler.cli.commands import making, runs
from fiedler.cli.outcome import ExitCode

app = typer.Typer(
    name="fiedler",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done, 1 fault of the program, 2 wrong usage, 3 bad input, 4 not enough "
        "memory, 5 output cannot be written, 130 interrupted. FIEDLER_DEBUG=1 shows tracebacks."
    ),
)
for _command in (*making.COMMANDS, *runs.COMMANDS):
    app.command()(_command)


def run() -> None:
    """Run the command line and leave with its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _send_again
    try:
        app(prog_name="fiedler")
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def _terminate(number: int, frame: Any) -> None:
    """End on SIGTERM in good order, so that no half-written folder stays."""
    sys.exit(128 + number)


def _send_again(lost: Any) -> None:
    """Send a signal again that was lost: it came where Python cannot raise, as in an import."""
    numbers = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}
    if lost.exc_type not in numbers:
        sys.__unraisablehook__(lost)
        return
    # not at once: this very call would lose it as well
    soon = threading.Timer(0.1, _interrupt_main, [numbers[lost.exc_type]])
    soon.daemon = True
    soon.start()


def _interrupt_main(number: signal.Signals) -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)  # also ends a wait for a file
    else:
        _thread.interrupt_main(number)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fiedler {fiedler.__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Deep spectral clustering: images, texts or vectors in; clusters and a report out.

    For example:

    - `fiedler demo --open` shows what comes out

    - `fiedler cluster photos/ --size 64x64 --output run/` clusters a folder

    - `fiedler predict run/ new_photos/` puts new files into the clusters
    """
