"""What a program needs to run, read from its ELF headers: interpreter and shared libraries; it must not execute anything.

Source: elf(5), ld.so(8). The search follows the dynamic linker's: RPATH/RUNPATH with $ORIGIN, the configured directories, the
standard ones.
"""

from __future__ import annotations

import glob
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_LARGEST_HEADERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Elf:
    """The part of an ELF file that loading it depends on; `interpreter` is "" for a static program or a library."""

    path: str
    machine: int
    interpreter: str
    needed: tuple[str, ...]
    search_path: tuple[str, ...]

    @property
    def static(self) -> bool:
        """Whether it needs neither an interpreter nor a library."""
        return not self.interpreter and not self.needed


def read_elf(path: str) -> Elf | None:
    """The headers of the 64-bit little-endian ELF file at `path`; None for any other file."""
    try:
        with open(path, "rb") as file:
            return _parse(path, file.read(64), file)
    except (OSError, struct.error, ValueError):
        return None


def _parse(path: str, header: bytes, file: BinaryIO) -> Elf | None:
    if header[:4] != b"\x7fELF" or header[4:6] != b"\x02\x01":
        return None
    (machine,) = struct.unpack_from("<H", header, 18)
    (offset,) = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    segments = [struct.unpack_from("<IIQQQQQQ", _at(file, offset + index * size, 56)) for index in range(count)]
    interpreter, dynamic = "", b""
    loads = [(segment[3], segment[2], segment[5]) for segment in segments if segment[0] == _PT_LOAD]
    for kind, _, start, _, _, length, _, _ in segments:
        if kind == _PT_INTERP:
            interpreter = os.fsdecode(_at(file, start, length).rstrip(b"\0"))
        elif kind == _PT_DYNAMIC:
            dynamic = _at(file, start, length)
    entries = list(struct.iter_unpack("<qQ", dynamic[: len(dynamic) // 16 * 16]))
    table = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    if table is None:
        return Elf(path, machine, interpreter, (), ())
    strings = next(start + table - address for address, start, length in loads if address <= table < address + length)

    def text(index: int) -> str:
        data = _at(file, strings + index, 4096)
        return os.fsdecode(data[: data.index(b"\0")])

    needed = tuple(text(value) for tag, value in entries if tag == _DT_NEEDED)
    runpath = [text(value) for tag, value in entries if tag == _DT_RUNPATH]
    runpath = runpath or [text(value) for tag, value in entries if tag == _DT_RPATH]
    origin = os.path.dirname(os.path.realpath(path))
    search = [part.replace("$ORIGIN", origin).replace("${ORIGIN}", origin) for value in runpath for part in value.split(":") if part]
    return Elf(path, machine, interpreter, needed, tuple(search))


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    if length > _LARGEST_HEADERS:
        raise ValueError("an ELF header that is too large")
    file.seek(offset)
    return file.read(length)


def library_directories(root: Path = Path("/")) -> tuple[str, ...]:
    """Where the dynamic linker looks: ld.so.conf with its includes, musl's path file, and the standard directories."""
    found = _configured(root / "etc/ld.so.conf", root, 0)
    for file in sorted((root / "etc").glob("ld-musl-*.path")):
        found += [line for line in file.read_text(errors="replace").replace(":", "\n").split("\n") if line]
    triplets = [f"/{base}/{os.uname().machine}-linux-{libc}" for libc in ("gnu", "musl") for base in ("lib", "usr/lib")]
    found += [*triplets, "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"]
    return tuple(dict.fromkeys(directory for directory in found if (root / directory.lstrip("/")).is_dir()))


def _configured(file: Path, root: Path, depth: int) -> list[str]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found: list[str] = []
    for line in (line.partition("#")[0].strip() for line in lines):
        if line.startswith("include ") and depth < 5:
            pattern = line.split(None, 1)[1]
            full = root / pattern.lstrip("/") if pattern.startswith("/") else file.parent / pattern
            for included in sorted(glob.glob(str(full))):
                found += _configured(Path(included), root, depth + 1)
        elif line:
            found.append(line)
    return found


def dependencies(programs: list[str], directories: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """(path a loader will look at -> file on this host, names that were not found) for all that `programs` need, in all depths.

    A library is listed under the directory where it was found and with the name that is asked for; the interpreter under its own.
    """
    found: dict[str, str] = {}
    missing: list[str] = []
    waiting = list(programs)
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        elf = read_elf(path)
        if elf is None:
            continue
        if elf.interpreter and elf.interpreter not in found:
            found[elf.interpreter] = elf.interpreter
            waiting.append(elf.interpreter)
        for name in elf.needed:
            place = _locate(name, elf, directories)
            if place is None:
                missing.append(name)
            elif place not in found:
                found[place] = place
                waiting.append(place)
    return found, sorted(set(missing))


def _locate(name: str, elf: Elf, directories: tuple[str, ...]) -> str | None:
    if "/" in name:
        return name if os.path.exists(name) else None
    for directory in (*elf.search_path, *directories):
        path = os.path.join(directory, name)
        other = read_elf(path)
        if other is not None and other.machine == elf.machine:
            return path
    return None
