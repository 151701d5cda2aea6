"""The library's advice in the words of the command line: its parameters as our options."""

from __future__ import annotations

import re

# What the library's messages say to pass, and the option that does it.
_OPTIONS = (
    (r"skip_unreadable=True", "--skip-unreadable"),
    (r"standardize=True", "--standardize"),
    (r"\bupright=True", "--upright"),
    (r"\bgradients=True", "--gradients"),
    (r"overwrite=True", "--overwrite"),
    (r"(?:image_)?size=\(height, width\)", "--size HEIGHTxWIDTH"),
    (
        r"Raise n_neighbors, as in (recipe=\w+\(\w+=KNN\(\d+\)\)), or n_clusters",
        r"Raise --clusters or, in Python, the graph's neighbours: \1",
    ),
    (r"(?<!Recipe\()\baffinity=KNN\((\d+)\)", r"--neighbors \1"),
    (r"(solver|laplacian|assign)='([\w-]+)' or '([\w-]+)'", r"--\1 \2 or \3"),
    (r"(solver|laplacian|affinity|assign)='([\w-]+)'", r"--\1 \2"),
    (r"\b(n_clusters|device)='(\w+)'", r"--set \1=\2"),
    (r"(?i)\b(raise|lower|or) n_(clusters|neighbors|components)\b(?!=)", r"\1 --\2"),
    (r"n_(clusters|neighbors|components)=(\w+)", r"--\1 \2"),
    (r"\bcolumn='([^']*)'", r"--column '\1'"),
    (r"\bencoder='([^']*)'", r"--encoder '\1'"),
    (r"\bweights=(?=[\s,.;)]|$)", "--encoder-weights"),
    (r"\bcolumn=(?=[\s,.;)]|$)", "--column"),
)


def in_options(message: str) -> str:
    """Reword the advice in a message of the library.

    >>> in_options("Pass skip_unreadable=True, or solver='lanczos'.")
    'Pass --skip-unreadable, or --solver lanczos.'
    """
    message = re.sub(r"\bcolumn=(\[[^\]]*\])", _columns, message)
    for pattern, option in _OPTIONS:
        message = re.sub(pattern, option, message)
    return message


def _columns(found: re.Match[str]) -> str:
    names = re.findall(r"'([^']*)'", found[1])
    return f"--columns '{','.join(names)}'"
