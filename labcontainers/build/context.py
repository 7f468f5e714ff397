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
from labcontainers.build.parents import split_pivot, with_parents
from labcontainers.errors import InvalidArgument, NotFound, Unsupported

_MOST_SYMLINKS = 40
_MOST_CACHED = 50_000
_CHUNK = 1 << 18
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
    """What one source of COPY or ADD means: its name, and the entries in order, directories before what they hold.

    `root` is the folder that real paths are relative to, "" for the context. `mtime_s` is the time that a file gets, None for the build's.
    With `stays_packed` an archive is copied as it is, whatever the step says.
    """

    name: str
    is_directory: bool
    entries: tuple[Entry, ...]
    root: str = ""
    mtime_s: int | None = None
    stays_packed: bool = False

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
        self._known: dict[str, object] = {}
        self._changed = False
        if path is not None:
            try:
                loaded = json.loads(path.read_text())
            except (OSError, ValueError):
                loaded = {}
            if isinstance(loaded, dict):
                self._known = loaded

    def known(self, state: os.stat_result) -> str:
        """The digest of a file in this state, in hex, or ""."""
        found = self._known.get(_key(state))
        return found if isinstance(found, str) else ""

    def digest(self, path: str) -> tuple[str, os.stat_result]:
        """The SHA-256 of a file's content, in hex, and its state when it was read. Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            state = os.fstat(fd)
            found = self.known(state)
            if not found:
                found = _sha256_of(fd)
                # a file written this very moment may change again without a new time stamp
                if time.time_ns() - state.st_mtime_ns > _RACY_NS:
                    self._known[_key(state)] = found
                    self._changed = True
        finally:
            os.close(fd)
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

    def __init__(self, root: Path, rules: IgnoreRules | None = None, hashes: HashCache | None = None, *, shown: str = "") -> None:
        """`shown` is what people know it by, when that is not the folder."""
        self.root = root
        self.shown = shown or str(root.absolute())
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

    def select_with_parents(self, source: str, exclude: IgnoreRules | None = None) -> list[Selection]:
        """What `source` names, as a tree with the directories on the way to it: from the context's top, or from where `/./` stands.

        Raises as select() does.
        """
        pivot, pattern = split_pivot(source)
        if not has_wildcard(pivot):
            return self._below(clean(pivot), pattern, exclude, strict=not has_wildcard(pattern))
        tops = list(self._expand("", [part for part in pivot.split("/") if part not in ("", ".")]))
        return [selection for top in tops for selection in self._below(top, pattern, exclude, strict=False)]

    def _below(self, pivot: str, pattern: str, exclude: IgnoreRules | None, *, strict: bool) -> list[Selection]:
        real = self._resolve(pivot)
        if real is None or not os.path.isdir(self._absolute(real)):
            if not strict:
                return []
            raise NotFound(f"no such folder in the build context: {pivot}", f"the context is {self.shown}")
        found = {entry.path: entry for entry in self._walk(real, "", exclude, hashed=False)}
        chosen = with_parents(pattern, list(found))
        if not chosen and strict:
            missing = posixpath.join(pivot, pattern).lstrip("/")
            raise NotFound(f"no such file in the build context: {missing}", f"the context is {self.shown}")
        # as in BuildKit the destination is made, also for nothing
        return [Selection("", True, (found[""], *(self._read_entry(path, found[path].real_path) for path in chosen)))]

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
            raise NotFound(f"no such file in the build context: {path or '/'}", f"the context is {self.shown}")
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
        return Selection(name, False, (self._read_entry("", real),))

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

    def _walk(self, real: str, path: str, exclude: IgnoreRules | None, *, hashed: bool = True) -> list[Entry]:
        """The directory itself and all below it that belongs to the context, in order."""
        found: list[Entry] = []
        self._walk_into(found, real, path, exclude, hashed)
        return found

    def _walk_into(self, found: list[Entry], real: str, path: str, exclude: IgnoreRules | None, hashed: bool) -> None:
        top = self._absolute(real)
        found.append(self._entry(path, real, os.lstat(top), top, hashed))
        with os.scandir(top) as scan:
            children = list(scan)
        # in the order of their bytes, which for names of ASCII is that of their letters
        plain = all(child.name.isascii() for child in children)
        children.sort(key=_name if plain else _bytes_of_name)
        before, before_path = f"{real}/" if real else "", f"{path}/" if path else ""
        rules = self.rules
        for child in children:
            below, relative = before + child.name, before_path + child.name
            if child.is_dir(follow_symlinks=False):
                if not rules.may_enter(below) or (exclude is not None and not exclude.may_enter(relative)):
                    continue
                position = len(found)
                self._walk_into(found, below, relative, exclude, hashed)
                hidden = rules.ignores(below) or (exclude is not None and exclude.ignores(relative))
                if hidden and len(found) == position + 1:
                    del found[position]
            elif rules.ignores(below) or (exclude is not None and exclude.ignores(relative)):
                continue
            elif child.is_file(follow_symlinks=False) or child.is_symlink():
                found.append(self._entry(relative, below, child.stat(follow_symlinks=False), child.path, hashed))

    def _read_entry(self, path: str, real: str) -> Entry:
        absolute = self._absolute(real)
        return self._entry(path, real, os.lstat(absolute), absolute, hashed=True)

    def _entry(self, path: str, real: str, state: os.stat_result, absolute: str, hashed: bool) -> Entry:
        """What `state` tells of what is at `absolute`; files are hashed if that is wanted."""
        mode = state.st_mode
        if stat.S_ISDIR(mode):
            return Entry(path, real, mode, 0, 0, "")
        if stat.S_ISLNK(mode):
            return Entry(path, real, stat.S_IFLNK | 0o777, 0, 0, "", os.readlink(absolute))
        if not stat.S_ISREG(mode):
            raise Unsupported(f"copying a socket, pipe or device from the context is not supported: {real}")
        if not hashed:
            return Entry(path, real, mode, state.st_size, state.st_mtime_ns, "")
        digest = self._hashes.known(state)
        if not digest:
            try:
                digest, state = self._hashes.digest(absolute)
            except PermissionError as error:
                raise InvalidArgument(f"cannot read {real} of the build context: permission denied", "name it in .dockerignore") from error
        return Entry(path, real, state.st_mode, state.st_size, state.st_mtime_ns, digest)

    def _absolute(self, real: str) -> str:
        return os.path.join(self.root, real)


def _sha256_of(fd: int) -> str:
    """Of all that can be read, in hex; most files are read by one call, and no buffer is made for them."""
    content = hashlib.sha256()
    while data := os.read(fd, _CHUNK):
        content.update(data)
    return content.hexdigest()


def _key(state: os.stat_result) -> str:
    return f"{state.st_dev} {state.st_ino} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"


def _name(child: os.DirEntry[str]) -> str:
    return child.name


def _bytes_of_name(child: os.DirEntry[str]) -> bytes:
    return os.fsencode(child.name)


def clean(path: str) -> str:
    """`path` relative to the top, `.` and `..` resolved and never above it, without slashes at the ends."""
    return posixpath.normpath("/" + path).lstrip("/")


def open_context(root: Path, dockerfile: str | None = None, hashes: HashCache | None = None) -> Context:
    """The context at `root`, with the rules of `<dockerfile>.dockerignore` or else of `.dockerignore`; raises NotFound.

    `dockerfile` is None for one that is no file.
    """
    if root.is_file():
        raise InvalidArgument(f"the build context is a file: {root}", f"an archive is read from standard input: build - < {root.name}")
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
