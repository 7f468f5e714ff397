"""ELF headers: what is read of good files, and that bad ones are refused, whatever is wrong with them."""

from __future__ import annotations

import os
import random
import struct
import sys
from pathlib import Path

import pytest

from labcontainers.images.elf import Elf, read_elf
from tests.fakes.elf_file import AARCH64, BASE, DT_NEEDED, DT_STRTAB, PT_DYNAMIC, PT_INTERP, PT_LOAD, X86_64, elf_file, header, put, segment

LOADER = "/lib64/ld-linux-x86-64.so.2"
GOOD = elf_file(interpreter=LOADER, needed=("libz.so.1", "libc.so.6"), runpath="$ORIGIN/../lib:/opt/lib")


def dynamic(*entries: tuple[int, int], strings: bytes = b"\0name\0") -> bytes:
    """A file whose dynamic section has these entries, its strings at 64 + 2 × 56."""
    body = strings + b"".join(struct.pack("<qQ", *entry) for entry in entries)
    at = 64 + 112
    return header(2) + segment(PT_LOAD, 0, at + len(body)) + segment(PT_DYNAMIC, at + len(strings), 16 * len(entries)) + body


STRINGS_AT = BASE + 64 + 112
HOSTILE = {
    "empty": b"",
    "no ELF": b"#!/bin/sh\n",
    "magic alone": b"\x7fELF",
    "cut in the header": GOOD[:40],
    "cut in the program headers": GOOD[:100],
    "cut in the strings": GOOD[: len(GOOD) - 40],
    "32 bits": elf_file(needed=("libc.so.6",), kind=b"\x01\x01"),
    "big-endian": elf_file(needed=("libc.so.6",), kind=b"\x02\x02"),
    "65,535 segments": header(0xFFFF) + bytes(56),
    "segments at 2^63": header(1, at=1 << 63),
    "segments at 2^64 - 1": header(1, at=(1 << 64) - 1),
    "interpreter of 1 TB": header(1) + struct.pack("<IIQQQQQQ", PT_INTERP, 4, 64, 0, 0, 1 << 40, 0, 1),
    "interpreter at 2^63": header(1) + struct.pack("<IIQQQQQQ", PT_INTERP, 4, 1 << 63, 0, 0, 8, 0, 1),
    "interpreter without an end": header(1) + segment(PT_INTERP, 120, 4) + b"/lib",
    "interpreter that is relative": elf_file(interpreter="lib/ld.so"),
    "interpreter that leads up": elf_file(interpreter="/lib/../../../etc/passwd"),
    "interpreter that is empty": header(1) + segment(PT_INTERP, 120, 1) + b"\0",
    "names without a string table": dynamic((DT_NEEDED, 1), (0, 0)),
    "string table outside of the file": dynamic((DT_NEEDED, 1), (DT_STRTAB, 1 << 40), (0, 0)),
    "string table at 2^64 - 1": dynamic((DT_NEEDED, 1), (DT_STRTAB, (1 << 64) - 1), (0, 0)),
    "name at 2^63": dynamic((DT_NEEDED, 1 << 63), (DT_STRTAB, STRINGS_AT), (0, 0)),
    "name behind the end": dynamic((DT_NEEDED, 1 << 20), (DT_STRTAB, STRINGS_AT), (0, 0)),
    "name without an end": dynamic((DT_NEEDED, 0), (DT_STRTAB, STRINGS_AT), strings=b"x" * 5000),
    "10,000 names": dynamic(*[(DT_NEEDED, 1)] * 10000, (DT_STRTAB, STRINGS_AT)),
}


def test_reads_interpreter_names_and_search_path(tmp_path: Path) -> None:
    path = put(tmp_path / "program", GOOD)
    wanted = Elf(path, X86_64, LOADER, ("libz.so.1", "libc.so.6"), (), ("$ORIGIN/../lib", "/opt/lib"))
    assert read_elf(path) == wanted


def test_keeps_rpath_and_runpath_apart(tmp_path: Path) -> None:
    elf = read_elf(put(tmp_path / "x", elf_file(needed=("a",), rpath="/old", runpath="/new::/newer", machine=AARCH64)))
    assert elf is not None
    assert (elf.machine, elf.rpath, elf.runpath) == (AARCH64, ("/old",), ("/new", "/newer"))


@pytest.mark.parametrize(
    ("content", "static"), [(elf_file(), True), (elf_file(interpreter=LOADER), False), (elf_file(needed=("a",)), False)]
)
def test_a_file_without_interpreter_and_names_is_static(tmp_path: Path, content: bytes, static: bool) -> None:
    elf = read_elf(put(tmp_path / "x", content))
    assert elf is not None
    assert elf.static is static


def test_names_behind_the_end_mark_of_the_section_do_not_count(tmp_path: Path) -> None:
    elf = read_elf(put(tmp_path / "x", dynamic((DT_STRTAB, STRINGS_AT), (0, 0), (DT_NEEDED, 1))))
    assert elf is not None
    assert elf.needed == ()


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_or_foreign_file_is_none(tmp_path: Path, content: bytes) -> None:
    assert read_elf(put(tmp_path / "x", content)) is None


def test_whatever_byte_is_changed_it_is_read_or_refused(tmp_path: Path) -> None:
    dice = random.Random(6)
    path = tmp_path / "x"
    outcomes = set()
    for _ in range(1500):
        content = bytearray(GOOD)
        for _ in range(dice.randint(1, 6)):
            content[dice.randrange(len(content))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        path.write_bytes(content)
        outcomes.add(type(read_elf(str(path))))
    assert outcomes == {Elf, type(None)}


def test_what_is_no_regular_file_is_none_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent", tmp_path / "loop", Path("/dev/null")):
        assert read_elf(str(path)) is None


def test_reads_the_running_interpreter() -> None:
    elf = read_elf(os.path.realpath(sys.executable))
    assert elf is not None
    assert elf.static or "ld-" in elf.interpreter
