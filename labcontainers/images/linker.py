"""Where the dynamic linkers of glibc and musl find libraries, and so all that a program needs; it must not execute anything.

Source: ld.so(8), ldconfig(8), musl's ldso/dynlink.c. A library is put where the same linker, with nothing else configured, finds it.
"""

from __future__ import annotations

import glob
import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from labcontainers.images.elf import Elf, read_elf

_MACHINE: Final = os.uname().machine
_TRIPLETS: Final = tuple(f"/{base}/{_MACHINE}-linux-{libc}" for libc in ("gnu", "musl") for base in ("lib", "usr/lib"))
# what linkers know without being told; distributions differ in which of them
STANDARD: Final = (*_TRIPLETS, "/lib64", "/usr/lib64", "/lib", "/usr/lib")
_CACHE_MAGIC: Final = b"glibc-ld.so.cache1.1"
_LARGEST_CACHE: Final = 1 << 24
# musl's linker is its C library and answers to all these names itself
_PARTS_OF_MUSL: Final = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")


@dataclass(frozen=True, slots=True)
class Libraries:
    """`files`: path in the new root -> file on this host; `missing`: names that were not found."""

    files: dict[str, str]
    missing: tuple[str, ...]


def library_directories(root: Path = Path("/"), library_path: str = "") -> tuple[str, ...]:
    """Where the dynamic linker looks: LD_LIBRARY_PATH (`library_path`), ld.so.conf with its includes, musl's path file,
    ld.so.cache, and the standard directories. Only those that are there, and only absolute ones."""
    found = [*library_path.replace(";", ":").split(":"), *_configured(root / "etc/ld.so.conf", root, 0)]
    for file in sorted((root / "etc").glob("ld-musl-*.path")):
        found += _lines(file, ":")
    found += [*_cached(root / "etc/ld.so.cache"), *STANDARD, "/usr/local/lib"]
    absolute = (os.path.normpath(directory) for directory in found if directory.startswith("/"))
    return tuple(dict.fromkeys(directory for directory in absolute if (root / directory.lstrip("/")).is_dir()))


def _lines(file: Path, separator: str = "\n") -> list[str]:
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [line.partition("#")[0].strip() for line in text.replace(separator, "\n").split("\n")]


def _configured(file: Path, root: Path, depth: int) -> list[str]:
    found: list[str] = []
    for line in filter(None, _lines(file)):
        keyword, _, rest = line.partition(" ")
        if keyword == "include" and depth < 5:
            for pattern in rest.split():
                full = root / pattern.lstrip("/") if pattern.startswith("/") else file.parent / pattern
                for included in sorted(glob.glob(str(full))):
                    found += _configured(Path(included), root, depth + 1)
        elif keyword not in ("include", "hwcap"):
            found.append(line)
    return found


def _cached(file: Path) -> list[str]:
    """The directories of the libraries in ld.so.cache (glibc's sysdeps/generic/dl-cache.h); none of a broken one."""
    try:
        with open(file, "rb") as opened:
            data = opened.read(_LARGEST_CACHE)
        start = data.index(_CACHE_MAGIC)
        (count,) = struct.unpack_from("<I", data, start + 20)
        found: dict[str, None] = {}
        for index in range(count):
            (value,) = struct.unpack_from("<I", data, start + 48 + index * 24 + 8)
            path = data[start + value : data.index(b"\0", start + value)]
            found[os.path.dirname(os.fsdecode(path))] = None
    except (OSError, ValueError, struct.error):
        return []
    return list(found)


def dependencies(programs: Iterable[str], directories: Iterable[str], also: Iterable[str] = ()) -> Libraries:
    """All that `programs` need, in all depths, and the libraries named `also` as far as they are there.

    A library keeps its path where the linker finds it by that, in a standard directory or by an absolute RPATH or RUNPATH; one
    that is found by configuration or by $ORIGIN goes to the directory of the C library. An interpreter keeps its path.
    """
    search = _Search(tuple(directories))
    waiting: list[tuple[Elf, tuple[str, ...]]] = [(elf, ()) for path in programs if (elf := read_elf(path)) is not None]
    if waiting:
        waiting += [(found, ()) for name in also if (found := search.find(name, waiting[0][0], ())) is not None]
    while waiting:
        elf, inherited = waiting.pop()
        if elf.path in search.seen:
            continue
        search.seen.add(elf.path)
        if elf.interpreter:
            search.interpreters.add(elf.interpreter)
        rpath = (*_expanded(elf.rpath, elf.path), *inherited)
        for name in elf.needed:
            library = search.find(name, elf, rpath)
            if library is None:
                search.missing.add(name)
            else:
                waiting.append((library, rpath))
    return search.result()


def _expanded(parts: Iterable[str], path: str) -> tuple[str, ...]:
    """Directories with $ORIGIN put in and marked by a leading "$"; relative ones, which would depend on who runs it, are left out."""
    origin = os.path.dirname(os.path.realpath(path))
    found = []
    for part in parts:
        full = re.sub(r"\$(ORIGIN\b|\{ORIGIN\})", lambda _: origin, part)
        if full.startswith("/") and "$" not in full:
            found.append(("$" if full != part else "") + os.path.normpath(full))
    return tuple(found)


class _Search:
    """What was found so far: names with where the linker looks for them ("" for the C library's directory) and their files."""

    def __init__(self, directories: tuple[str, ...]) -> None:
        self.directories = directories
        self.seen: set[str] = set()
        self.interpreters: set[str] = set()
        self.missing: set[str] = set()
        self.placed: dict[tuple[str, str], str] = {}

    def find(self, name: str, wanted_by: Elf, rpath: tuple[str, ...]) -> Elf | None:
        """The library `name` for the same machine, which is also remembered; None when there is none."""
        if "/" in name:
            return self._take(os.path.dirname(name), os.path.basename(name), name, wanted_by) if name.startswith("/") else None
        runpath = _expanded(wanted_by.runpath, wanted_by.path)
        for directory in (*(runpath or rpath), *self.directories):
            place = directory
            if directory.startswith("$") or (directory not in STANDARD and directory not in (*runpath, *rpath)):
                place = ""
            elf = self._take(place, name, f"{directory.lstrip('$')}/{name}", wanted_by)
            if elf is not None:
                return elf
        return None

    def _take(self, place: str, name: str, path: str, wanted_by: Elf) -> Elf | None:
        if os.path.normpath(path) != path:
            return None
        elf = read_elf(path)
        if elf is None or elf.machine != wanted_by.machine:
            return None
        self.placed.setdefault((place, name), path)
        return elf

    def result(self) -> Libraries:
        """Everything with its place; called when nothing is waiting any more."""
        musl = next((path for path in sorted(self.interpreters) if os.path.basename(path).startswith("ld-musl-")), None)
        of_libc = next((place for place, name in self.placed if place and name == "libc.so.6"), None)
        home = os.path.dirname(musl) if musl else of_libc or "/usr/lib"
        files = {path: path for path in self.interpreters if os.path.exists(path)}
        for (place, name), source in self.placed.items():
            files.setdefault(f"{place or home}/{name}", source)
        missing = {path for path in self.interpreters if not os.path.exists(path)}
        missing |= {name for name in self.missing if not (musl and _PARTS_OF_MUSL.match(name))}
        return Libraries(dict(sorted(files.items())), tuple(sorted(missing)))
