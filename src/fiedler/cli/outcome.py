"""How a command ends: exit codes, one clear message, the traceback only where asked for."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

import typer

from fiedler.cli.terminal import Terminal
from fiedler.cli.wording import in_options
from fiedler.exceptions import FiedlerError, InputError, NotEnoughMemoryError, OutputError

# Turns a refusal into the debugging of one.
DEBUG_VARIABLE = "FIEDLER_DEBUG"


class ExitCode(IntEnum):
    """What the shell is told."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    INPUT = 3
    MEMORY = 4
    OUTPUT = 5
    INTERRUPTED = 130


def code_of(error: BaseException) -> ExitCode:
    """The exit code of an error."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, (NotEnoughMemoryError, MemoryError)):
        return ExitCode.MEMORY
    if isinstance(error, OutputError):
        return ExitCode.OUTPUT
    if isinstance(error, FiedlerError):
        return ExitCode.INPUT
    return ExitCode.INTERNAL


@contextmanager
def ending(
    terminal: Terminal, log: Path | None = None, *, kept: str = "nothing was written"
) -> Iterator[None]:
    """Run the body of a command; end an error in one message and an exit code.

    Parameters
    ----------
    terminal : Terminal
        Where the message goes.
    log : Path, optional
        File for the traceback of an error that is a fault of the program; by default one in the
        cache folder.
    kept : str
        What to say of the results where the command is interrupted.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = terminal.note_warning
            yield
    except typer.Exit:
        raise
    except BrokenPipeError:
        # The reader of our output is gone; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.OUTPUT) from None
    except (Exception, KeyboardInterrupt) as error:
        code = code_of(error)
        message = _message(error, code, log or _default_log(), kept)
        terminal.error(message)
        if os.environ.get(DEBUG_VARIABLE):
            terminal.trace(traceback.format_exc())
        if terminal.json:
            kind = type(error).__name__
            terminal.result(
                json.dumps({"error": {"code": int(code), "kind": kind, "message": message}})
            )
        raise typer.Exit(code) from None


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Call a file that the system refuses to read bad input, not a fault of the program."""
    try:
        yield
    except FiedlerError:
        raise
    except OSError as error:
        raise InputError(
            f"{what} cannot be read: {error.strerror or error}. Check the path and that you may "
            "read it."
        ) from error


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Call whatever the system refuses to write an `OutputError` that names `target`."""
    try:
        yield
    except OSError as error:
        # A writer's own OutputError names the unfinished file; its cause has the reason.
        reason = getattr(error.__cause__ or error, "strerror", None) or error
        raise OutputError(
            f"{target} cannot be written: {reason}. Nothing was left behind. Free some space, or "
            "choose a folder that you may write to."
        ) from error


def _default_log() -> Path:
    from fiedler.data.download import cache_folder

    return cache_folder() / "error.log"


def _message(error: BaseException, code: ExitCode, log: Path, kept: str) -> str:
    if code is ExitCode.INTERRUPTED:
        return f"interrupted; {kept}."
    if code is ExitCode.MEMORY and not isinstance(error, FiedlerError):
        return "the machine ran out of memory; nothing was written. Use fewer or smaller rows."
    if code is not ExitCode.INTERNAL:
        return in_options(str(error)) or type(error).__name__
    text = f"internal error: {type(error).__name__}: {error}. This is a fault of fiedler. "
    if _write_log(log):
        return text + f"The traceback is in {log}."
    return text + f"Set {DEBUG_VARIABLE}=1 to see the traceback."


def _write_log(log: Path) -> bool:
    """Write the traceback of the error being handled; tell whether that was possible."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc(), encoding="utf-8", errors="replace")
    except OSError:
        # Half a traceback is worth nothing.
        log.unlink(missing_ok=True)
        return False
    return True
