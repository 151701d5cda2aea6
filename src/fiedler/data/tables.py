"""Rows held in tables: ``.csv``, ``.tsv``, ``.parquet`` and data frames, read with pyarrow."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fiedler.data.values import needs_float64
from fiedler.exceptions import InputError, warn_user

_SHOWN = 5
# Distances between rows are those of the widest columns alone where others vary so much less.
_WIDE = 30.0


def read_table(path: Path, text: str | None = None) -> Any:
    """Read a ``.csv``, ``.tsv`` (both also ``.gz``) or ``.parquet`` file.

    The first line of a text table names its columns, unless all its cells are numbers: then it
    is data, and the columns are called ``f0``, ``f1``, ... The delimiter is the tab in a
    ``.tsv``, else the comma, or the semicolon where the first line has no comma.

    Parameters
    ----------
    path : Path
    text : str, optional
        A column of a text table to read as it is written (``007`` stays ``007``).

    Returns
    -------
    table : pyarrow.Table

    Raises
    ------
    InputError
        The file is empty, or not such a table.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        if path.suffix.lower() == ".parquet":
            # Not as a data set: a folder called "label=3" must not add a column.
            return parquet.ParquetFile(path).read()
        first = _first_line(path)
        delimiter = _delimiter(path, first)
        cells = first.split(delimiter)
        headerless = all(_is_number(cell) for cell in cells)
        # a name may have blanks around it, which belong to the list and not to the name
        as_written = {text, *(cell for cell in cells if cell.strip() == text)} if text else ()
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(autogenerate_column_names=headerless),
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(as_written, "string")),
        )
        return table.rename_columns([name.strip() for name in table.column_names])
    except (pa.ArrowException, OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read as a table ({error}). Allowed: UTF-8 text with the same "
            "number of cells in every line, or a parquet file."
        ) from error


def from_frame(frame: Any) -> Any:
    """Make a pandas (``to_numpy``) or other (``to_arrow``) data frame a pyarrow table.

    NaN in a pandas frame becomes a missing cell.
    """
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "to_arrow"):
        return frame.to_arrow()
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError) as error:
        raise InputError(
            f"the data frame has a column of mixed or unknown types ({error}). Convert it to "
            "numbers, or to text and name it with column=."
        ) from error


def numeric_rows(
    table: Any, columns: Sequence[str] | None, name: str, wide: bool | None = None
) -> np.ndarray:
    """Take the columns of a table as features.

    Parameters
    ----------
    table : pyarrow.Table
    columns : sequence of str, optional
        The columns to take, in this order; all of them by default.
    name : str
        What to call the table in messages.
    wide : bool, optional
        Whether in float64; by default only where a column needs it.

    Returns
    -------
    rows : ndarray of float32 or float64, shape (n, number of columns)

    Raises
    ------
    InputError
        A column is absent, not numeric, or has missing cells (named with their rows, counted
        from 1 without the header); the table is empty.
    """
    chosen = list(table.column_names) if columns is None else list(columns)
    _check_names(table, chosen, name)
    if len(set(chosen)) < len(chosen):
        raise InputError(f"{_listed(chosen)}: name each column once, or it counts twice.")
    if table.num_rows == 0 or not chosen:
        raise InputError(f"{name} is empty: {table.num_rows} rows, {len(chosen)} columns.")
    _refuse_text(table, chosen, name)
    _refuse_missing(table, chosen, name)
    if wide is None:
        wide = any(needs_float64(_cells(table, column)[:, None]) for column in chosen)
    rows = np.empty((table.num_rows, len(chosen)), dtype=np.float64 if wide else np.float32)
    for j, column in enumerate(chosen):
        rows[:, j] = _cells(table, column)
    return rows


def _cells(table: Any, column: str) -> np.ndarray:
    cells: np.ndarray = table.column(column).cast("float64", safe=False).to_numpy()
    return cells


def column_scale(rows: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each column (1 where it is constant), float64, (2, d)."""
    deviations = rows.std(axis=0, dtype=np.float64)
    return np.stack([rows.mean(axis=0, dtype=np.float64), np.where(deviations > 0, deviations, 1)])


def scaled(rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Rows by such a scale: each column less its mean, divided by its deviation; float32."""
    return np.asarray((rows - scale[0]) / scale[1], dtype=np.float32)


def warn_of_spread(rows: np.ndarray, names: Sequence[str], name: str) -> None:
    """Warn where some columns vary so much more than others that these hardly count."""
    spread = rows.std(axis=0, dtype=np.float64)
    filled = np.flatnonzero(spread > 0)
    if len(filled) < 2:
        return
    widest, narrowest = filled[spread[filled].argmax()], filled[spread[filled].argmin()]
    if spread[widest] < _WIDE * spread[narrowest]:
        return
    warn_user(
        f"{name}: column {names[widest]!r} varies {spread[widest] / spread[narrowest]:,.0f} times "
        f"as much as {names[narrowest]!r}, so that distances between rows are mostly its own. Pass "
        "standardize=True to give all columns the same weight.",
        UserWarning,
    )


def text_column(table: Any, column: str, name: str) -> list[str]:
    """Take one column of a table as texts."""
    _check_names(table, [column], name)
    _refuse_missing(table, [column], name)
    if table.num_rows == 0:
        raise InputError(f"{name} is empty: it has no rows.")
    texts: list[str] = table.column(column).cast("string").to_pylist()
    return texts


def _first_line(path: Path) -> str:
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as file:
        line: str = file.readline()
    return line.rstrip("\r\n")


def _delimiter(path: Path, first: str) -> str:
    if ".tsv" in (suffix.lower() for suffix in path.suffixes):
        return "\t"
    return ";" if ";" in first and "," not in first else ","


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


def _check_names(table: Any, wanted: list[str], name: str) -> None:
    present = list(table.column_names)
    twice = sorted({column for column in wanted if present.count(column) > 1})
    if twice:
        raise InputError(f"{name} has several columns called {_listed(twice)}. Rename them.")
    absent = [column for column in wanted if column not in present]
    if absent:
        raise InputError(
            f"{name} has no column {_listed(absent)}; its columns are {_listed(present)}."
        )


def _refuse_text(table: Any, chosen: list[str], name: str) -> None:
    from pyarrow import types

    def numeric(kind: Any) -> bool:
        return bool(
            types.is_integer(kind)
            or types.is_floating(kind)
            or types.is_boolean(kind)
            or types.is_decimal(kind)
        )

    bad = [column for column in chosen if not numeric(table.schema.field(column).type)]
    if not bad:
        return
    others = [column for column in chosen if column not in bad]
    examples = ", ".join(
        f"{column!r} ({table.schema.field(column).type}{_odd_cell(table, column)})"
        for column in bad[:_SHOWN]
    )
    raise InputError(
        f"{name}: {len(bad)} of {len(chosen)} columns are not numeric: {examples}"
        f"{', ...' if len(bad) > _SHOWN else ''}. Name a text column to cluster by its words "
        f"(column={bad[0]!r}), or "
        + (
            f"list the numeric columns to use (column={others!r})."
            if others
            else "make the columns numbers."
        )
    )


def _odd_cell(table: Any, column: str) -> str:
    """Show the first cell that is not a number, of a column that is text because of it."""
    for i, cell in enumerate(table.column(column).to_pylist()):
        if cell is not None and not _is_number(str(cell)):
            shown = str(cell)
            return f", row {i + 1}: {shown[:30]!r}"
    return ""


def _refuse_missing(table: Any, chosen: list[str], name: str) -> None:
    places: list[str] = []
    total = 0
    for column in chosen:
        cells = table.column(column)
        if cells.null_count == 0:
            continue
        total += cells.null_count
        where = np.flatnonzero(cells.is_null().to_numpy())[: _SHOWN - len(places)]
        places += [f"row {i + 1} of column {column!r}" for i in where]
    if total:
        raise InputError(
            f"{name}: {total} cells are missing: {', '.join(places)}"
            f"{', ...' if total > len(places) else ''} (rows counted from 1, without the "
            "header). Fill them in or drop those rows or columns."
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:20]))
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 20 else shown
