"""`image.layers[i].files`: the files of a layer as a sequence, found by path, chosen by patterns, shown as a tree.

It must not know where the rows come from (images.file_table) nor widgets.
"""

from __future__ import annotations

import html
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, overload

from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.frames import data_frame
from labcontainers.images.file_table import FileTable, LayerFile
from labcontainers.markup import NO_FORMULAS
from labcontainers.units import format_bytes

MARKS = {"added": "A", "modified": "C", "removed": "D", "unchanged": " "}
COLOURS = {"added": "#2e7d32", "modified": "#b26a00", "removed": "#c62828", "unchanged": "inherit"}
# What a text or a table shows before it says how many more there are.
_SHOWN = 40
_TREE = 200


def shown_path(path: str) -> str:
    """A path for a reader: what cannot be printed is written as an escape, so that no name moves the cursor or begins a line."""
    if path.isprintable():
        return path
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in path)


def _escape(letter: str) -> str:
    number = ord(letter)
    if 0xDC80 <= number <= 0xDCFF:
        # a byte that is no UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


@lru_cache(32)
def _pattern(text: str) -> re.Pattern[str]:
    """A glob as a regular expression: `*` and `?` stay in one part of the path, `**` does not; raises InvalidArgument."""
    if not text:
        raise InvalidArgument("glob: an empty pattern", "write such as *.py, or /etc/**")
    whole = text if text.startswith("/") else f"/**/{text}"
    result, place = "", 0
    while place < len(whole):
        if whole.startswith("/**/", place):
            result, place = result + "/(?:.*/)?", place + 4
        elif whole.startswith("**", place):
            result, place = result + ".*", place + 2
        elif whole[place] in "*?":
            result, place = result + ("[^/]*" if whole[place] == "*" else "[^/]"), place + 1
        else:
            one_of = re.match(r"\[([!^]?)(\]?[^\]/]+)\]", whole[place:])
            taken = one_of[0] if one_of else whole[place]
            result += _one_of(one_of[2], bool(one_of[1])) if one_of else re.escape(taken)
            place += len(taken)
    try:
        return re.compile(result, re.DOTALL)
    except re.error as error:
        raise InvalidArgument(f"glob: not a pattern: {text!r}", f"{error.msg}; write such as [a-z]*") from None


def _one_of(letters: str, negated: bool) -> str:
    """A class of characters; within it all but the minus of a range is taken as it is, and a slash is never meant."""
    inner = re.sub(r"([\\\]\[^&|~])", r"\\\1", letters)
    return f"[^/{inner}]" if negated else f"[{inner}]"


class Files(Sequence[LayerFile]):
    """Files in the order of their paths, directories before what they hold. Indexed by number or by path.

    Immutable; what it shows of itself is bounded, and says how many more there are.
    """

    def __init__(self, table: FileTable, chosen: Sequence[int] | None = None, title: str = "") -> None:
        """`chosen` are rows of the table, all of them when it is None."""
        self.table = table
        self._chosen: Sequence[int] = range(len(table)) if chosen is None else chosen
        self.title = title

    @property
    def rows(self) -> Sequence[int]:
        """Which rows of the table these are."""
        return self._chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, key: int | str) -> LayerFile: ...
    @overload
    def __getitem__(self, key: slice) -> Files: ...
    def __getitem__(self, key: int | str | slice) -> LayerFile | Files:
        """By number; a slice; or by path, which raises NotFound when there is none."""
        if isinstance(key, slice):
            return Files(self.table, self._chosen[key], self.title)
        if isinstance(key, int):
            return self.table.file(self._chosen[key])
        found = self.get(key)
        if found is None:
            where = self.title or "this layer"
            raise NotFound(f"no such file in {where}: {shown_path(key)}", "files.glob('*name*') finds by a part of the name")
        return found

    def get(self, path: str) -> LayerFile | None:
        """The file of this path, with or without the slash before it, or None."""
        index = self.table.find(path)
        return self.table.file(index) if index >= 0 and index in self._chosen else None

    def __contains__(self, key: object) -> bool:
        if isinstance(key, LayerFile):
            return self.get(key.path) == key
        return isinstance(key, str) and self.get(key) is not None

    def __iter__(self) -> Iterator[LayerFile]:
        return map(self.table.file, self._chosen)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Files) and len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    # --- choosing

    def glob(self, pattern: str) -> Files:
        """Those whose path matches: `*.py` anywhere, `/etc/*.conf` in one directory, `/usr/**` at any depth."""
        matches = _pattern(pattern).fullmatch
        return self._where(lambda index: matches(self.table.path(index)) is not None)

    def changed(self, *changes: str) -> Files:
        """Those of these changes: "added", "modified", "removed", "unchanged"; without any, all but the unchanged."""
        for change in changes:
            if change not in MARKS:
                raise InvalidArgument(f"changed: no such change: {change!r}", f"changes are {', '.join(MARKS)}")
        wanted = changes or tuple(change for change in MARKS if change != "unchanged")
        return self._where(lambda index: self.table.change(index) in wanted)

    def below(self, folder: str) -> Files:
        """All that a directory holds, at any depth; raises NotFound."""
        place = self.table.find(folder)
        if place < 0 and folder.strip("/"):
            raise NotFound(f"no such directory in {self.title or 'this layer'}: {shown_path(folder)}", "files.tree() shows what there is")
        within = self.table.within(place)
        if self._chosen == range(len(self.table)):
            return Files(self.table, within, self.title)
        return self._where(lambda index: index in within)

    def _where(self, wanted: Callable[[int], bool]) -> Files:
        # four bytes for each of what may be a million
        return Files(self.table, array("I", filter(wanted, self._chosen)), self.title)

    # --- as other values

    @property
    def size_bytes(self) -> int:
        """The content of all of them, without what was removed."""
        if isinstance(self._chosen, range) and len(self._chosen) == len(self.table):
            return self.table.size_bytes(-1)
        return sum(file.size_bytes for file in self if file.change != "removed")

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values, one object for each file."""
        return [file.to_json() for file in self]

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row for each file; raises Unsupported without pandas."""
        return data_frame(self.to_json())

    # --- as text

    def tree(self, depth: int | None = None, most: int | None = _TREE) -> str:
        """Indented names, with A (added), C (changed) or D (removed) in front; at most `most` lines, None for all of them."""
        lines: list[str] = []
        above: list[str] = []
        left_out = 0
        for place, file in enumerate(self):
            parts = file.path.strip("/").split("/")
            if depth is not None and len(parts) > depth:
                continue
            common = 0
            while common < min(len(above), len(parts) - 1) and above[common] == parts[common]:
                common += 1
            if most is not None and len(lines) >= most:
                if depth is None:
                    left_out = len(self) - place
                    break
                left_out += 1
                continue
            lines += [f"  {'  ' * level}{shown_path(parts[level])}/" for level in range(common, len(parts) - 1)]
            lines.append(f"{MARKS[file.change]} {'  ' * (len(parts) - 1)}{_label(file, parts[-1])}")
            above = parts
        if left_out:
            lines.append(f"… {left_out:,} more: files.tree(most=None) shows all")
        return "\n".join(lines)

    def __repr__(self) -> str:
        rows = [
            f"{MARKS[file.change]} {file.permissions} {file.uid:>5} {file.gid:>5} {_size(file):>8}  {_label(file, file.path)}"
            for file in self[:_SHOWN]
        ]
        more = [f"… {len(self) - _SHOWN:,} more: iterate, or choose with glob(), below() and changed()"] if len(self) > _SHOWN else []
        return "\n".join([self._headline(), *rows, *more])

    def _headline(self) -> str:
        return f"{len(self):,} {'file' if len(self) == 1 else 'files'}{f' of {self.title}' if self.title else ''}"

    def _repr_html_(self) -> str:
        left, right = 'style="text-align:left;padding:1px 12px 1px 0"', 'style="text-align:right;padding:1px 12px 1px 0"'
        rows = "".join(
            f'<tr><td style="color:{COLOURS[file.change]};padding:1px 8px 1px 0" title="{file.change}">{MARKS[file.change]}</td>'
            f"<td {left}>{file.permissions}</td><td {right}>{file.uid}:{file.gid}</td><td {right}>{_size(file)}</td>"
            f'<td style="text-align:left;color:{COLOURS[file.change]}">{html.escape(_label(file, file.path))}</td></tr>'
            for file in self[:_SHOWN]
        )
        more = f"<div style='opacity:.7'>… {len(self) - _SHOWN:,} more: choose with glob(), below() and changed()</div>"
        table = f'<table {NO_FORMULAS} style="font-family:monospace;font-size:90%;margin:0">{rows}</table>'
        return f"<b>{html.escape(self._headline())}</b>{table}{more if len(self) > _SHOWN else ''}"


def _size(file: LayerFile) -> str:
    return "" if file.kind not in ("file",) and not file.size_bytes else format_bytes(file.size_bytes)


def _label(file: LayerFile, name: str) -> str:
    """A name with a slash after a directory, and with what it leads to."""
    if file.kind == "directory":
        return shown_path(name) + "/"
    if file.link:
        return f"{shown_path(name)} {'->' if file.kind == 'symlink' else '=>'} {shown_path(file.link)}"
    return f"{shown_path(name)} ({file.kind} {file.device})" if file.device else shown_path(name)
