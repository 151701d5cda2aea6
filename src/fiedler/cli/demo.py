"""`fiedler demo`: real handwritten digits, clustered, with a report to look at."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from fiedler.cli.cluster import Request, cluster
from fiedler.cli.inputs import Opening
from fiedler.cli.methods import Settings
from fiedler.cli.run_folder import REPORT
from fiedler.cli.terminal import Terminal
from fiedler.exceptions import InputError


def demo(output: Path, terminal: Terminal, *, open_report: bool) -> None:
    """Cluster the digits on this machine; an earlier demo at `output` is replaced.

    Parameters
    ----------
    output : Path
        The run folder.
    terminal : Terminal
    open_report : bool
        Whether to show the report in a browser.
    """
    name = "dataset:mnist/test" if _has_mnist() else "dataset:digits"
    settings = Settings(clusters=10, method="spectral")  # seconds, where a network takes a minute
    cluster(Request(name, settings, Opening()), output, terminal, overwrite=True)
    if open_report:
        webbrowser.open((output / REPORT).resolve().as_uri())


def _has_mnist() -> bool:
    """Whether the larger set lies on this machine; the demo downloads nothing."""
    from fiedler.data import load_dataset

    try:
        load_dataset("mnist", split="test", download=False)
    except InputError:
        return False
    return True
