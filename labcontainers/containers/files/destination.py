"""Where `cp` puts things: the rules of `docker cp` for what the destination is and is called; it must not copy anything.

Source: docs.docker.com "docker container cp"; moby's archive.PrepareArchiveCopy and CopyInfoDestinationPath.
"""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass

from labcontainers.containers.files.packing import asserts_directory
from labcontainers.errors import Conflict, NotFound

_MOST_SYMLINKS = 10


@dataclass(frozen=True, slots=True)
class Source:
    """What is copied: the name that the archive has for it ("." for what is in a directory), and whether it is a directory."""

    name: str
    is_directory: bool


@dataclass(frozen=True, slots=True)
class Target:
    """The path that was named, links followed; `must_be_directory` says that it was written with a final slash or dot."""

    path: str
    exists: bool
    is_directory: bool
    must_be_directory: bool


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The directory to unpack into, and the name that the archive's first part gets, if another one."""

    directory: str
    rename: tuple[str, str] | None


def arrange(source: Source, target: Target) -> Arrangement:
    """Raises Conflict and NotFound in Docker's words."""
    if target.exists and target.is_directory:
        return Arrangement(target.path, None)
    if target.exists and source.is_directory:
        raise Conflict(f"cannot copy directory onto the file {target.path}", "name a directory, or a name that is free")
    if target.must_be_directory and not source.is_directory:
        if target.exists:
            raise Conflict(f"not a directory: {target.path}", "leave the final slash out")
        raise NotFound(f"no such directory: {target.path}", "make it first, or leave the final slash out")
    directory, name = posixpath.split(target.path.rstrip("/") or "/")
    return Arrangement(directory or "/", ("" if source.name == "." else source.name, name))


def local_target(path: str) -> Target:
    """The destination `path` on this machine; raises NotFound when its folder is missing, Conflict for what is no file or directory."""
    absolute = os.path.abspath(path)
    for _ in range(_MOST_SYMLINKS):
        try:
            target = os.readlink(absolute)
        except OSError:
            break
        absolute = os.path.normpath(os.path.join(os.path.dirname(absolute), target))
    else:
        raise Conflict(f"too many symbolic links on the way to {path}", "name the file itself")
    folder = os.path.dirname(absolute)
    if not os.path.exists(folder):
        raise NotFound(f'invalid output path: directory "{folder}" does not exist', "make it first")
    if not os.path.isdir(folder):
        raise Conflict(f"not a directory: {folder}", "choose another destination")
    try:
        mode = os.lstat(absolute).st_mode
    except FileNotFoundError:
        return Target(absolute, False, False, asserts_directory(path))
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise Conflict(f'invalid output path: "{path}" must be a directory or a regular file', "choose another destination")
    return Target(absolute, True, stat.S_ISDIR(mode), asserts_directory(path))
