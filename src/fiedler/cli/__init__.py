"""The command `fiedler`. Only `main` is imported with it; the rest when a command runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the exit codes are those of `fiedler.cli.outcome.ExitCode`."""
    from fiedler.cli.app import run

    run()
