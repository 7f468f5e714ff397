"""Small ELF files made by hand: a header, program headers, a dynamic section and its strings, and nothing that could run."""

from __future__ import annotations

import struct
from pathlib import Path

X86_64, AARCH64 = 62, 183
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 1, 5, 15, 29
# the file is mapped here, so that addresses are not offsets
BASE = 0x400000
_HEADERS = 64


def segment(kind: int, offset: int, size: int) -> bytes:
    """One program header."""
    return struct.pack("<IIQQQQQQ", kind, 4, offset, BASE + offset, 0, size, size, 8)


def elf_file(
    *,
    interpreter: str = "",
    needed: tuple[str, ...] = (),
    rpath: str = "",
    runpath: str = "",
    machine: int = X86_64,
    kind: bytes = b"\x02\x01",
) -> bytes:
    """The bytes of an ELF file that asks for these."""
    strings = b"\0"
    entries = b""
    for tag, text in [*((DT_NEEDED, name) for name in needed), (DT_RPATH, rpath), (DT_RUNPATH, runpath)]:
        if text:
            entries += struct.pack("<qQ", tag, len(strings))
            strings += text.encode() + b"\0"
    count = 1 + bool(interpreter) + bool(entries)
    at = _HEADERS + 56 * count
    parts = [interpreter.encode() + b"\0" if interpreter else b"", strings]
    places = [at, at + len(parts[0])]
    dynamic_at = places[1] + len(strings)
    if entries:
        parts.append(entries + struct.pack("<qQ", DT_STRTAB, BASE + places[1]) + bytes(16))
    whole = dynamic_at + (len(parts[2]) if entries else 0)
    headers = segment(PT_LOAD, 0, whole)
    headers += segment(PT_INTERP, places[0], len(parts[0])) if interpreter else b""
    headers += segment(PT_DYNAMIC, dynamic_at, len(parts[2])) if entries else b""
    return header(count, kind, machine) + headers + b"".join(parts)


def header(segments: int, kind: bytes = b"\x02\x01", machine: int = X86_64, segment_bytes: int = 56, at: int = _HEADERS) -> bytes:
    """The first 64 bytes."""
    ident = b"\x7fELF" + kind + b"\x01" + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, at, 0, 0, 64, segment_bytes, segments, 0, 0, 0)


def put(path: Path, content: bytes) -> str:
    """Write it, with its folders; the path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)
