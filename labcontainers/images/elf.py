"""What an ELF file needs to be loaded, read from its headers: interpreter, shared libraries, where it wants them to be looked for.

It must not execute or follow anything: a file may be hostile, and is then refused as if it were none. Source: elf(5).
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from typing import BinaryIO

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_LARGEST_HEADERS = 1 << 20
_MOST_SEGMENTS = 1024
_MOST_NAMES = 1024
_LONGEST_NAME = 4096


@dataclass(frozen=True, slots=True)
class Elf:
    """The part of an ELF file that loading it depends on; `interpreter` is "" for a static program or a library.

    `rpath` and `runpath` are the directories of DT_RPATH and DT_RUNPATH as they are written, with $ORIGIN.
    """

    path: str
    machine: int
    interpreter: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()

    @property
    def static(self) -> bool:
        """Whether it needs neither an interpreter nor a library."""
        return not self.interpreter and not self.needed


def read_elf(path: str) -> Elf | None:
    """The headers of the 64-bit little-endian ELF file at `path`; None for any other file, a broken one or none. Never blocks."""
    try:
        # A FIFO would hold an ordinary open() up.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            return _parse(path, file) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except (OSError, struct.error, ValueError):
        return None


def _parse(path: str, file: BinaryIO) -> Elf | None:
    header = _at(file, 0, 64)
    if header[:4] != b"\x7fELF" or header[4:6] != b"\x02\x01":
        return None
    (machine,) = struct.unpack_from("<H", header, 18)
    (offset,) = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    if count > _MOST_SEGMENTS:
        raise ValueError("too many segments")
    segments = [struct.unpack("<IIQQQQQQ", _at(file, offset + index * size, 56)) for index in range(count)]
    interpreter, dynamic = "", b""
    for kind, _, start, _, _, length, _, _ in segments:
        if kind == _PT_INTERP:
            interpreter = _text(_at(file, start, length))
            if not interpreter.startswith("/") or os.path.normpath(interpreter) != interpreter:
                raise ValueError("an interpreter that is no plain absolute path")
        elif kind == _PT_DYNAMIC:
            dynamic = _at(file, start, length)
    entries = list(struct.iter_unpack("<qQ", dynamic[: len(dynamic) // 16 * 16]))
    end = next((index for index, (tag, _) in enumerate(entries) if tag == 0), len(entries))
    texts = _texts(file, segments, entries[:end])
    return Elf(
        path, machine, interpreter, texts[_DT_NEEDED], *(_directories(texts[kind]) for kind in (_DT_RPATH, _DT_RUNPATH))
    )  # fmt: skip


def _texts(file: BinaryIO, segments: list[tuple[int, ...]], entries: list[tuple[int, int]]) -> dict[int, tuple[str, ...]]:
    """The texts of the dynamic section that matter here, by their tag; raises ValueError."""
    wanted = [(tag, value) for tag, value in entries if tag in (_DT_NEEDED, _DT_RPATH, _DT_RUNPATH)]
    found: dict[int, list[str]] = {_DT_NEEDED: [], _DT_RPATH: [], _DT_RUNPATH: []}
    if len(wanted) > _MOST_NAMES:
        raise ValueError("too many names")
    table = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    for tag, value in wanted:
        if table is None:
            raise ValueError("names without a string table")
        found[tag].append(_text(_at(file, _offset_of(segments, table) + value, _LONGEST_NAME)))
    return {tag: tuple(texts) for tag, texts in found.items()}


def _offset_of(segments: list[tuple[int, ...]], address: int) -> int:
    """Where in the file lies what will be at `address` of the memory; raises ValueError."""
    for kind, _, start, virtual, _, length, _, _ in segments:
        if kind == _PT_LOAD and virtual <= address < virtual + length:
            return start + address - virtual
    raise ValueError("an address outside of the file")


def _directories(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for text in texts for part in text.split(":") if part)


def _text(data: bytes) -> str:
    """The text before the first zero byte; raises ValueError when there is none."""
    return os.fsdecode(data[: data.index(b"\0")])


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    if length > _LARGEST_HEADERS or offset >= 1 << 62:
        raise ValueError("an ELF header that is too large")
    file.seek(offset)
    return file.read(length)
