"""The build context: a folder of the user's, of which only what COPY and ADD name is read and hashed.

It must not know layers or the store.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labcontainers.build.globs import BadPattern, has_wildcard, matches
from labcontainers.build.ignore import IgnoreRules, parse_ignore
from labcontainers.errors import InvalidArgument, NotFound, Unsupported

_MOST_SYMLINKS = 40
_MOST_CACHED = 50_000
_RACY_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or symlink to copy.

    `path` is relative to what was named ("" for that itself), `real_path` to the context; `target` is a symlink's. `size`
    and `mtime_ns` are what the worker checks, so that a file that changes after it was hashed is noticed.
    """

    path: str
    real_path: str
    mode: int
    size: int
    mtime_ns: int
    digest: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """What one source of COPY or ADD means: its name, and the entries in order, directories before what they hold."""

    name: str
    is_directory: bool
    entries: tuple[Entry, ...]

    def digest(self) -> str:
        """A digest of names, kinds, modes and contents; times do not count."""
        hasher = hashlib.sha256()
        for entry in self.entries:
            hasher.update(json.dumps([entry.path, entry.mode, entry.digest, entry.target]).encode())
        return hasher.hexdigest()


class HashCache:
    """Digests of files by device, inode, size and times, kept in a file between builds. A lost cache costs only time."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        self._changed = False
        if path is not None:
            try:
                loaded = json.loads(path.read_text())
            except (OSError, ValueError):
                loaded = {}
            if isinstance(loaded, dict):
                self._known = {str(key): str(value) for key, value in loaded.items()}

    def digest(self, path: str) -> tuple[str, os.stat_result]:
        """The SHA-256 of a file's content, in hex, and its state when it was read. Raises OSError."""
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
            state = os.fstat(file.fileno())
            key = f"{state.st_dev} {state.st_ino} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"
            found = self._known.get(key)
            if found is None:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                # a file written this very moment may change again without a new time stamp
                if time.time_ns() - state.st_mtime_ns > _RACY_NS:
                    self._known[key] = found
                    self._changed = True
        return found, state

    def save(self) -> None:
        """Write the file, where one was given; failure is of no consequence."""
        if self._path is None or not self._changed:
            return
        newest = dict(list(self._known.items())[-_MOST_CACHED:])
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(newest))
            os.replace(temporary, self._path)
        except OSError:
            temporary.unlink(missing_ok=True)
        self._changed = False


class Context:
    """A folder with its ignore rules. Paths are the user's: relative to the folder, never leading out of it."""

    def __init__(self, root: Path, rules: IgnoreRules | None = None, hashes: HashCache | None = None) -> None:
        self.root = root
        self.rules = rules or IgnoreRules()
        self._hashes = hashes or HashCache()

    def select(self, source: str, exclude: IgnoreRules | None = None) -> list[Selection]:
        """What `source` names, one Selection per match of a wildcard; none for a wildcard without match.

        Raises NotFound for a plain name that is missing or ignored, InvalidArgument for a bad pattern. Reads and hashes the files.
        """
        if has_wildcard(source):
            try:
                found = list(self._expand("", [part for part in source.split("/") if part not in ("", ".")]))
            except BadPattern as error:
                raise InvalidArgument(str(error)) from None
        else:
            found = [clean(re.sub(r"\\(.)", r"\1", source))]
        selections = [self._select_one(path, exclude) for path in found]
        return [selection for selection in selections if selection is not None]

    def _expand(self, directory: str, parts: Sequence[str]) -> Iterator[str]:
        if not parts:
            yield directory
            return
        head, rest = parts[0], parts[1:]
        real = self._resolve(directory)
        if real is None or not os.path.isdir(self._absolute(real)):
            return
        if not has_wildcard(head):
            names = [re.sub(r"\\(.)", r"\1", head)]
        else:
            names = sorted(name for name in os.listdir(self._absolute(real)) if matches(head, name))
        for name in names:
            path = clean(posixpath.join(directory, name))
            if os.path.lexists(self._absolute(posixpath.join(real, name))):
                if not rest and self.rules.ignores(path) and not self._has_visible(path):
                    continue
                yield from self._expand(path, rest)

    def _has_visible(self, path: str) -> bool:
        real = self._resolve(path)
        if real is None or not self.rules.may_enter(path) or not os.path.isdir(self._absolute(real)):
            return False
        return any(not self.rules.ignores(entry.real_path) for entry in self._walk(real, "", None, hashed=False))

    def _select_one(self, path: str, exclude: IgnoreRules | None) -> Selection | None:
        real = self._resolve(path)
        ignored = next((rule for name in (path, real) if name and (rule := self.rules.rule_for(name))), None)
        if real is None:
            raise NotFound(f"no such file in the build context: {path or '/'}", f"the context is {self.root}")
        name = posixpath.basename(path)
        if os.path.isdir(self._absolute(real)):
            entries = tuple(self._walk(real, "", exclude))
            if ignored and len(entries) < 2:
                raise NotFound(f"{path} is left out of the build context", f"line {ignored.line} of the ignore file says {ignored.pattern}")
            return Selection(name, True, entries)
        if ignored:
            raise NotFound(f"{path} is left out of the build context", f"line {ignored.line} of the ignore file says {ignored.pattern}")
        if exclude is not None and exclude.ignores(name):
            return None
        return Selection(name, False, (self._entry("", real),))

    def _resolve(self, path: str) -> str | None:
        """The physical path below the root, symlinks followed as if the context were the whole file system; None when missing."""
        waiting = [part for part in path.split("/") if part not in ("", ".")][::-1]
        real: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                real = real[:-1]
                continue
            try:
                state = os.lstat(self._absolute("/".join([*real, part])))
            except (FileNotFoundError, NotADirectoryError):
                return None
            if not stat.S_ISLNK(state.st_mode):
                real.append(part)
                continue
            links += 1
            if links > _MOST_SYMLINKS:
                return None
            target = os.readlink(self._absolute("/".join([*real, part])))
            if target.startswith("/"):
                real = []
            waiting.extend(reversed([step for step in target.split("/") if step not in ("", ".")]))
        return "/".join(real)

    def _walk(self, real: str, path: str, exclude: IgnoreRules | None, *, hashed: bool = True) -> Iterator[Entry]:
        yield self._entry(path, real, hashed=hashed)
        with os.scandir(self._absolute(real)) as scan:
            children = sorted(scan, key=lambda child: os.fsencode(child.name))
        for child in children:
            below = posixpath.join(real, child.name)
            relative = posixpath.join(path, child.name)
            if child.is_dir(follow_symlinks=False):
                if not self.rules.may_enter(below) or (exclude is not None and not exclude.may_enter(relative)):
                    continue
                entries = list(self._walk(below, relative, exclude, hashed=hashed))
                hidden = self.rules.ignores(below) or (exclude is not None and exclude.ignores(relative))
                if len(entries) > 1 or not hidden:
                    yield from entries
            elif self.rules.ignores(below) or (exclude is not None and exclude.ignores(relative)):
                continue
            elif child.is_file(follow_symlinks=False) or child.is_symlink():
                yield self._entry(relative, below, hashed=hashed)

    def _entry(self, path: str, real: str, *, hashed: bool = True) -> Entry:
        absolute = self._absolute(real)
        state = os.lstat(absolute)
        if stat.S_ISDIR(state.st_mode):
            return Entry(path, real, state.st_mode, 0, 0, "")
        if stat.S_ISLNK(state.st_mode):
            return Entry(path, real, stat.S_IFLNK | 0o777, 0, 0, "", os.readlink(absolute))
        if not stat.S_ISREG(state.st_mode):
            raise Unsupported(f"copying a socket, pipe or device from the context is not supported: {real}")
        if not hashed:
            return Entry(path, real, state.st_mode, state.st_size, state.st_mtime_ns, "")
        try:
            digest, state = self._hashes.digest(absolute)
        except PermissionError as error:
            raise InvalidArgument(f"cannot read {real} of the build context: permission denied", "name it in .dockerignore") from error
        return Entry(path, real, state.st_mode, state.st_size, state.st_mtime_ns, digest)

    def _absolute(self, real: str) -> str:
        return os.path.join(self.root, real)


def clean(path: str) -> str:
    """`path` relative to the top, `.` and `..` resolved and never above it, without slashes at the ends."""
    return posixpath.normpath("/" + path).lstrip("/")


def open_context(root: Path, dockerfile: str | None = None, hashes: HashCache | None = None) -> Context:
    """The context at `root`, with the rules of `<dockerfile>.dockerignore` or else of `.dockerignore`; raises NotFound."""
    if not root.is_dir():
        raise NotFound(f"no such folder for a build context: {root}")
    names = [f"{dockerfile}.dockerignore"] if dockerfile else []
    for name in [*names, ".dockerignore"]:
        try:
            text = (root / name).read_text(encoding="utf-8", errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            continue
        return Context(root, parse_ignore(text, name), hashes)
    return Context(root, IgnoreRules(), hashes)
