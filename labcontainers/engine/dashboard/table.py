"""A table of values as a dashboard gives it: to print, to show in a page, and to take along as CSV or DataFrame.

It must not know what the rows are.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from labcontainers.markup import TABLE

_SHOWN = 20
_CELL = 'style="text-align:left;padding:2px 14px 2px 0;white-space:pre"'
# A cell that begins so is a formula to spreadsheets (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Table(Sequence[tuple[Any, ...]]):
    """Rows of values under `columns`; of a long one the last rows are shown. None is what is not known."""

    def __init__(self, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], empty: str = "nothing") -> None:
        self.columns = tuple(columns)
        self.rows = list(rows)
        self._empty = empty

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def to_pandas(self) -> Any:
        """A pandas DataFrame, in which what is not known is NaN; raises ImportError without pandas."""
        import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]  # it may be there or not

        return pandas.DataFrame(self.rows, columns=list(self.columns))

    def to_csv(self, path: Path | str | None = None) -> str:
        """The table as CSV (RFC 4180) with a heading; it is written to `path` too, if there is one. Raises OSError."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.columns)
        writer.writerows([_cell(value) for value in row] for row in self.rows)
        if path is not None:
            Path(path).write_text(text.getvalue(), encoding="utf-8", newline="")
        return text.getvalue()

    def _shown(self) -> tuple[str, list[list[str]]]:
        """What is left out, and the texts of the last rows."""
        left = len(self.rows) - _SHOWN
        note = f"… {left:,} rows before" if left > 0 else "" if self.rows else self._empty
        return note, [[_text(value) for value in row] for row in self.rows[-_SHOWN:]]

    def __repr__(self) -> str:
        note, rows = self._shown()
        lines = [list(self.columns), *rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        texts = ("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
        head, *body = texts
        return "\n".join([head, *([note] if note else []), *body])

    def _repr_html_(self) -> str:
        note, rows = self._shown()
        head = "".join(f"<th {_CELL}>{html.escape(name)}</th>" for name in self.columns)
        body = f'<tr><td {_CELL} colspan="{len(self.columns)}"><i>{html.escape(note)}</i></td></tr>' if note else ""
        for row in rows:
            body += "<tr>" + "".join(f"<td {_CELL}>{html.escape(text)}</td>" for text in row) + "</tr>"
        return f"{TABLE}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def known(values: Iterable[float]) -> tuple[float | None, ...]:
    """The values, None in the place of NaN."""
    return tuple(value if value == value else None for value in values)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
