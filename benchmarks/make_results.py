"""Write ``benchmarks/RESULTS.md``: every table of ``benchmarks/results``, with what made it.

    python benchmarks/make_results.py

A file is a JSON object with ``rows``, a list of flat objects (a cell is a text, a number, or a mean
and sd), and what is known of ``command``, ``date``, ``versions``, ``machine``, ``threads``,
``seeds`` and ``notes``. The columns are the keys of the rows, in order.
"""

from __future__ import annotations

import json
from typing import Any

from common import RESULTS, cell_text

HEAD = """# Results of the benchmarks

Made by `python benchmarks/make_results.py` from the files in `benchmarks/results`; do not edit.
What they mean is told in [EXPERIMENTS.md](EXPERIMENTS.md).
"""


def provenance(table: dict[str, Any]) -> str:
    """One line: command, date, machine, threads, seeds, versions."""
    parts = [f"`{table['command']}`"] if "command" in table else []
    parts += [str(table[name]) for name in ("date", "machine") if table.get(name)]
    if "threads" in table:
        parts.append(f"threads: {table['threads']}")
    if table.get("seeds") is not None:
        parts.append("seeds: " + ", ".join(map(str, as_list(table["seeds"]))))
    parts += [f"{name} {version}" for name, version in table.get("versions", {}).items()]
    return "; ".join(parts)


def markdown(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of a table whose columns are the keys of the rows in order of first appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    numeric = [all(not isinstance(row.get(c), (str, bool)) for row in rows) for c in columns]
    lines = [columns, ["--:" if right else "---" for right in numeric]]
    lines += [[cell_text(row.get(c)).replace("|", "\\|") for c in columns] for row in rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def as_list(value: Any) -> list[Any]:
    """A list of what is a list or a single thing."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def section(name: str, table: dict[str, Any]) -> str:
    """One table under its heading."""
    lines = [f"## {name.replace('_', ' ').capitalize()}", "", provenance(table), ""]
    notes = as_list(table.get("notes") or [])
    lines += [f"- {note}" for note in notes] + ([""] if notes else [])
    return "\n".join(lines + markdown(table["rows"])) + "\n"


def main() -> None:
    """Write all sections, by name of file."""
    sections = [HEAD]
    for path in sorted(RESULTS.glob("*.json")):
        table = json.loads(path.read_text())
        if isinstance(table, dict) and table.get("rows"):
            sections.append(section(path.stem, table))
        else:
            print(f"{path.name} has no rows: left out")
    output = RESULTS.parent / "RESULTS.md"
    output.write_text("\n".join(sections))
    print(f"{len(sections) - 1} tables in {output.relative_to(RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
