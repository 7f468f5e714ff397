"""COPY, ADD and WORKDIR in a worker: mounts the image's layers with the step's scratch on top, and writes into that root.

It must not know Dockerfiles, the store or the cache; it gets a request as a JSON file, since a list of files can be long.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labcontainers.build.destination import Destination, Ownership, resolve_owner
from labcontainers.build.globs import has_wildcard, matches
from labcontainers.build.ignore import IgnoreRules, rules_from
from labcontainers.build.parents import split_pivot
from labcontainers.build.tree_items import SOURCE, Item, tree_with_parents, walk
from labcontainers.build.unpacking import is_archive, unpack
from labcontainers.errors import Failed, InvalidArgument, NotFound
from labcontainers.kernel import mounts, syscalls
from labcontainers.kernel.scoped_paths import BENEATH

OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
_CHUNK = 1 << 30


@dataclass(frozen=True, slots=True)
class Source:
    """What one source turned out to be."""

    name: str
    items: Iterator[Item]
    is_directory: bool
    mtime_s: int | None = None
    stays_packed: bool = False


def copy(request: str) -> dict[str, Any]:
    """Carry out the request in the JSON file `request`; {"files", "size_bytes", "disowned", "unmatched"}. Raises LabError and OSError.

    Leaves the mount namespace of the calling process: only for a worker. Needs CAP_SYS_ADMIN over it.
    """
    with open(request, encoding="utf-8") as file:
        wanted = json.load(file)
    private_mounts()
    if wanted["link"]:
        # names of owners are the image's, but nothing else of it counts: the files go into a tree that is empty
        trees = wanted["lower"] or [wanted["upper"]]
        root_fd = _mount(trees, "", "", wanted["mount"], userxattr=wanted["userxattr"])
    else:
        root_fd = _mount(wanted["lower"], wanted["upper"], wanted["work"], wanted["mount"], userxattr=wanted["userxattr"])
    owner = resolve_owner(root_fd, wanted["chown"]) if wanted["chown"] else (0, 0) if wanted["source"].get("context") else None
    target_fd = _open(wanted["upper"]) if wanted["link"] else root_fd
    destination = Destination(target_fd, Ownership(owner, wanted["chmod"], wanted["mtime_s"] * 10**9))
    exclude = rules_from(wanted["exclude"]) if wanted["exclude"] else None
    sources, unmatched = find_sources(wanted, exclude)
    path = wanted["destination"]
    path = destination.resolve(path) + ("/" if path.endswith("/") else "")
    count = sum(not source.is_directory for source in sources) + len(wanted["files"])
    for source in sources:
        _copy_source(source, destination, path, unpacks=wanted["unpacks"], chown=wanted["chown"], count=count)
    for name, content in wanted["files"]:
        folder, final = _place_of(destination, path, name, count)
        with destination.directory(folder) as parent:
            destination.put_text(parent, final, content.encode("utf-8", "surrogateescape"))
    counted = {"files": destination.files, "size_bytes": destination.size_bytes, "disowned": destination.disowned}
    return {**counted, "unmatched": unmatched}


def _is_folder(destination: Destination, path: str) -> bool:
    return path.endswith("/") or destination.is_directory(path)


def _place_of(destination: Destination, path: str, name: str, count: int) -> tuple[str, str]:
    """The folder and the name that one of `count` files gets; raises InvalidArgument where they would all be one."""
    if _is_folder(destination, path):
        return path, name
    if count > 1:
        raise InvalidArgument(f"{count} files cannot be copied to one: {path}", f"write {path}/")
    return posixpath.split(path)


def make_directory(
    lower: list[str], upper: str, work: str, mount: str, userxattr: bool, path: str, user: str, mtime_s: int
) -> dict[str, Any]:
    """Make the directory `path` of an image, owned by `user`, where it is missing; {"made": whether it was}."""
    private_mounts()
    root_fd = _mount(lower, upper, work, mount, userxattr=userxattr)
    try:
        owner = resolve_owner(root_fd, user) if user else (0, 0)
    except InvalidArgument:
        # as in BuildKit: a user that the image lacks only matters when something is to run
        owner = (0, 0)
    destination = Destination(root_fd, Ownership(owner, "", mtime_s * 10**9, strict=False))
    if destination.is_directory(path):
        return {"made": False}
    with destination.directory(path):
        return {"made": True}


def private_mounts() -> None:
    """Let nobody else see what is mounted from now on."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)


def _mount(lower: Sequence[str], upper: str, work: str, target: str, *, userxattr: bool) -> int:
    """The top of a root: an overlay, or the one directory itself where there is nothing to lay over."""
    trees = [*([upper] if upper else []), *lower]
    if not trees:
        raise InvalidArgument("there are no files to copy from: the stage is empty")
    if len(trees) > 1:
        os.makedirs(target, exist_ok=True)
        mounts.overlay(list(lower), upper, work, target, userxattr=userxattr)
        trees = [target]
    return _open(trees[0])


def _open(tree: str) -> int:
    return os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def find_sources(wanted: dict[str, Any], exclude: IgnoreRules | None) -> tuple[list[Source], list[str]]:
    """What the request names, and the patterns that nothing matches; raises NotFound. The items of a source are to be taken in order."""
    source = wanted["source"]
    if "context" in source:
        return [_context_source(_open(selection["root"] or source["context"]), selection) for selection in source["selections"]], []
    if "lower" not in source:
        return [], []
    fd = _mount(source["lower"], "", "", source["mount"], userxattr=wanted["userxattr"])
    found: list[Source] = []
    unmatched: list[str] = []
    for pattern in source["patterns"]:
        if wanted["parents"]:
            pivot, below = split_pivot(pattern)
            trees = [tree_with_parents(fd, top, below, exclude, strict=not has_wildcard(pattern)) for top in _expand(fd, pivot)]
            found += [Source("", iter(items), True) for items in trees if items]
            unmatched += [] if any(len(items) > 1 for items in trees) else [pattern]
            continue
        paths = list(_expand(fd, pattern))
        if not paths:
            unmatched.append(pattern)
        chosen = [_tree_source(fd, path, exclude) for path in paths]
        found += [one for one in chosen if one is not None]
    return found, unmatched


def _context_source(root_fd: int, selection: dict[str, Any]) -> Source:
    def items() -> Iterator[Item]:
        for path, real_path, mode, size, mtime_ns, target in selection["entries"]:
            yield Item(path, None, mode, 0, 0, target, _checked(root_fd, real_path, size, mtime_ns))

    return Source(selection["name"], items(), selection["is_directory"], selection["mtime_s"], selection["stays_packed"])


def _checked(root_fd: int, path: str, size: int, mtime_ns: int) -> Callable[[], int]:
    """Opens a file of the context, which must be the one that was hashed."""

    def open_source() -> int:
        try:
            fd = syscalls.openat2(root_fd, path, SOURCE, resolve=BENEATH)
        except OSError as error:
            raise Failed(f"{path} of the build context: {os.strerror(error.errno or 0).lower()}", "build again") from error
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode) or (state.st_size, state.st_mtime_ns) != (size, mtime_ns):
            os.close(fd)
            raise Failed(f"{path} of the build context changed during the build", "build again")
        return fd

    return open_source


def _expand(root_fd: int, pattern: str) -> Iterator[str]:
    """Paths in the tree that a source names, wildcards matched part by part; a plain name that is missing raises NotFound."""
    clean = posixpath.normpath("/" + pattern).lstrip("/")
    if not has_wildcard(clean):
        path = re.sub(r"\\(.)", r"\1", clean)
        try:
            os.close(syscalls.openat2(root_fd, path or ".", os.O_PATH))
        except OSError as error:
            raise NotFound(f"no such file to copy from: /{path}", os.strerror(error.errno or 0).lower()) from error
        yield path
        return
    yield from _match(root_fd, "", clean.split("/"))


def _match(root_fd: int, folder: str, parts: Sequence[str]) -> Iterator[str]:
    head, rest = parts[0], parts[1:]
    try:
        fd = syscalls.openat2(root_fd, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        names = sorted(os.listdir(fd), key=os.fsencode)
    finally:
        os.close(fd)
    plain = re.sub(r"\\(.)", r"\1", head)
    for name in names:
        if name == plain if not has_wildcard(head) else matches(head, name):
            path = posixpath.join(folder, name)
            if rest:
                yield from _match(root_fd, path, rest)
            else:
                yield path


def _tree_source(root_fd: int, path: str, exclude: IgnoreRules | None) -> Source | None:
    """A file or directory of another image; a symlink that was named itself is followed inside that image."""
    name = posixpath.basename(path)
    fd = syscalls.openat2(root_fd, path or ".", os.O_PATH)
    try:
        state = os.fstat(fd)
    finally:
        os.close(fd)

    def open_top(flags: int = SOURCE) -> int:
        return syscalls.openat2(root_fd, path or ".", flags & ~os.O_NOFOLLOW)

    if stat.S_ISDIR(state.st_mode):
        return Source(name, walk(open_top, "", state, exclude), True)
    if exclude is not None and exclude.ignores(name):
        return None
    return Source(name, iter([Item("", state, state.st_mode, state.st_uid, state.st_gid, "", open_top)]), False)


def _copy_source(source: Source, destination: Destination, path: str, *, unpacks: bool, chown: str, count: int) -> None:
    if source.is_directory:
        next(source.items)
        with destination.directory(path) as fd:
            _copy_items(source.items, destination, fd)
        return
    item = next(source.items)
    if unpacks and not source.stays_packed and stat.S_ISREG(item.mode):
        fd = item.open_source()
        try:
            if is_archive(fd):
                # the mode of --chmod is not for archives, nor for where they are unpacked
                with Destination(destination.root_fd, replace(destination.ownership, chmod="")).directory(path) as folder_fd:
                    unpack(fd, destination, folder_fd, keep_owners=not chown)
                return
        finally:
            os.close(fd)
    folder, name = _place_of(destination, path, source.name, count)
    if not name:
        raise InvalidArgument(f"cannot copy a file over the directory {path}")
    with destination.directory(folder) as parent:
        before = destination.ownership
        if source.mtime_s is not None:
            destination.ownership = replace(before, mtime_ns=source.mtime_s * 10**9)
        _copy_one(item, destination, parent, name, {}, parent)
        destination.ownership = before


def _copy_items(items: Iterator[Item], destination: Destination, top_fd: int) -> None:
    """Copy a directory's content; items come in order, each directory before what it holds."""
    open_directories: list[tuple[str, int, int]] = [("", top_fd, -1)]
    linked: dict[tuple[int, int], str] = {}

    def close_until(folder: str) -> int:
        while open_directories[-1][0] != folder:
            _, fd, mtime_ns = open_directories.pop()
            destination.set_time(fd, mtime_ns)
            os.close(fd)
        return open_directories[-1][1]

    try:
        for item in items:
            folder, name = posixpath.split(item.path)
            parent = close_until(folder)
            if stat.S_ISDIR(item.mode):
                fd, mtime_ns = destination.child_directory(parent, name, item.mode, item.uid, item.gid)
                open_directories.append((item.path, fd, mtime_ns))
            else:
                _copy_one(item, destination, parent, name, linked, top_fd)
        close_until("")
    except BaseException:
        for _, fd, _ in open_directories[1:]:
            os.close(fd)
        raise


def _copy_one(item: Item, destination: Destination, parent_fd: int, name: str, linked: dict[tuple[int, int], str], top_fd: int) -> None:
    if stat.S_ISLNK(item.mode):
        destination.put_symlink(parent_fd, name, item.target, item.uid, item.gid)
    elif stat.S_ISREG(item.mode):
        key = (item.state.st_dev, item.state.st_ino) if item.state is not None and item.state.st_nlink > 1 else None
        if key is not None and key in linked:
            destination.make_way(parent_fd, name)
            os.link(linked[key], name, src_dir_fd=top_fd, dst_dir_fd=parent_fd, follow_symlinks=False)
            return
        destination.put_file(parent_fd, name, item.mode, item.uid, item.gid, lambda fd: _fill(item, fd))
        if key is not None:
            linked[key] = item.path
    elif not stat.S_ISSOCK(item.mode):
        device = item.state.st_rdev if item.state is not None else 0
        destination.put_special(parent_fd, name, item.mode, device, item.uid, item.gid)


def _fill(item: Item, target_fd: int) -> int:
    source_fd = item.open_source()
    try:
        size = transfer(source_fd, target_fd)
        if item.state is not None:
            for name in os.listxattr(source_fd):
                if not name.startswith(OVERLAY_XATTRS):
                    with contextlib.suppress(OSError):
                        os.setxattr(target_fd, name, os.getxattr(source_fd, name))
        return size
    finally:
        os.close(source_fd)


def transfer(source_fd: int, target_fd: int) -> int:
    """Copy all bytes in the kernel, by reference where the file system can; their number. Source: copy_file_range(2), sendfile(2)."""

    def by_reference() -> int:
        return os.copy_file_range(source_fd, target_fd, _CHUNK)

    def in_kernel() -> int:
        return os.sendfile(target_fd, source_fd, None, _CHUNK)

    total = 0
    for method in (by_reference, in_kernel):
        try:
            while count := method():
                total += count
            return total
        except OSError as error:
            if total or error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF):
                raise
    while data := os.read(source_fd, 1 << 20):
        total += os.write(target_fd, data)
    return total
