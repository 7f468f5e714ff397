"""Tables that commands return: a sequence of the things themselves, printed as Docker prints them.

It must not know what the rows are.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Generic, TypeVar, overload

from labcontainers.frames import data_frame
from labcontainers.markup import TABLE

Item = TypeVar("Item")
Columns = Mapping[str, Callable[[Item], str]]


class Listing(Sequence[Item], Generic[Item]):
    """Items with columns to print; `listing[0]` is the thing itself.

    `values` are the columns of to_pandas(), with values that can be reckoned with; without it those are the printed texts.
    """

    def __init__(self, items: Sequence[Item], columns: Columns[Item], values: Mapping[str, Callable[[Item], Any]] | None = None) -> None:
        self.items = list(items)
        self._values = values or columns
        self._columns = columns
        self.rows = [{name: column(item) for name, column in columns.items()} for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self.items[index]

    def __repr__(self) -> str:
        return "\n".join(align([list(self._columns), *(list(row.values()) for row in self.rows)]))

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left;padding:2px 14px 2px 0;white-space:pre"'
        head = "".join(f"<th {cell}>{html.escape(name)}</th>" for name in self._columns)
        body = "".join("<tr>" + "".join(f"<td {cell}>{html.escape(value)}</td>" for value in row.values()) + "</tr>" for row in self.rows)
        return f"{TABLE}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame: times are datetime64 in UTC, sizes are bytes. Raises Unsupported without pandas."""
        return data_frame([{name: value(item) for name, value in self._values.items()} for item in self.items], list(self._values))


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines in which the cells of a column stand below each other, at least 10 characters apart, as Docker's do."""
    widths = [max(10, max(map(len, cells)) + 3) for cells in zip_longest(*rows, fillvalue="")]
    return ["".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]


class Text(str):
    """A text that prints as it is, without quotes, in a notebook and in a terminal."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
