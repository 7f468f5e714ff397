"""What a worker does with a layer's tree: measure it as a canonical tar, write that tar, weigh it, move it, remove it.

It must not know the store: it gets paths and returns plain values. It runs where files of container ids may be touched.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable
from typing import Any

from labcontainers.errors import Failed
from labcontainers.kernel.files import remove_tree
from labcontainers.store.tar_writer import TarWriter
from labcontainers.store.tree_times import settle_times

_BUFFER = 1 << 20
_SHALLOW = 100
_OVERLAYS = ("trusted.overlay.", "user.overlay.")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def measure(tree: str) -> dict[str, Any]:
    """The diff_id and the size in bytes of the canonical tar of `tree` (store.tar_writer tells what is refused)."""
    digest = hashlib.sha256()
    size = TarWriter(digest.update).write(tree)
    return {"diff_id": "sha256:" + digest.hexdigest(), "size_bytes": size}


def stream_tar(fd: int, tree: str) -> dict[str, Any]:
    """Write the canonical tar of `tree` to the descriptor of a pipe or file, which is closed; its digest and size as of measure()."""
    digest, size = stream(fd, lambda take: TarWriter(take).write(tree), "the layer")
    return {"diff_id": digest, "size_bytes": size}


def stream(fd: int, write: Callable[[Callable[[bytes | memoryview], object]], int], what: str) -> tuple[str, int]:
    """Write to the descriptor of a pipe or file, which is closed, all that `write` takes; the digest of it, and what `write` returns.

    Raises Failed when nobody reads `what` any more.
    """
    digest = hashlib.sha256()
    try:
        with open(fd, "wb", buffering=_BUFFER) as file:

            def take(data: bytes | memoryview) -> None:
                digest.update(data)
                file.write(data)

            size = write(take)
    except BrokenPipeError:
        raise Failed(f"nobody reads {what} any more") from None
    return "sha256:" + digest.hexdigest(), size


def remove(path: str) -> None:
    """Delete a file or a tree, whatever modes and depth it has; absent is fine, and so is that somebody else deletes it too."""
    while True:
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                remove_tree(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            # Either all of it is gone, or only what somebody else deleted before us.
            if not os.path.lexists(path):
                return
        except (RecursionError, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EMFILE:
                raise
            if not _make_shallow(path):
                raise


def _make_shallow(path: str) -> bool:
    """Move what lies very deep below a directory up into it, so that it can be deleted from there; whether there was anything."""
    top = fd = os.open(path, _DIRECTORY)
    try:
        for _ in range(_SHALLOW):
            name = next((name for name in os.listdir(fd) if stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode)), None)
            if name is None:
                return False
            os.chmod(name, 0o700, dir_fd=fd)
            inner = os.open(name, _DIRECTORY, dir_fd=fd)
            if fd != top:
                os.close(fd)
            fd = inner
        for name in os.listdir(fd):
            os.rename(name, f"deep-{secrets.token_hex(8)}", src_dir_fd=fd, dst_dir_fd=top)
        return True
    finally:
        if fd != top:
            os.close(fd)
        os.close(top)


def settle(source: str, target: str, newest_s: int | None = None) -> dict[str, Any]:
    """Measure a tree and rename it to `target`: here, since moving a directory to another parent needs the rights on itself.

    What is in it and is newer than `newest_s` gets that time before (store.tree_times).
    """
    if newest_s is not None:
        settle_times(source, newest_s)
    measured = measure(source)
    os.rename(source, target)
    return measured


def move(source: str, target: str) -> None:
    """Rename a tree; here, for the same reason as in settle()."""
    os.rename(source, target)


def dress(source: str, target: str) -> None:
    """Give the directory `target` mode, owner, times and attributes of the directory `source`, but for what overlay notes there."""
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    for name in os.listxattr(source):
        if not name.startswith(_OVERLAYS):
            with contextlib.suppress(PermissionError):
                os.setxattr(target, name, os.getxattr(source, name))
    os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def usage(path: str) -> dict[str, int]:
    """Bytes on disk and number of inodes below `path`, hard links counted once."""
    linked: set[tuple[int, int]] = set()
    size = inodes = 0
    waiting = [path]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(entry.path)
                elif status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in linked:
                        continue
                    linked.add((status.st_dev, status.st_ino))
                size += status.st_blocks * 512
                inodes += 1
    return {"bytes": size, "inodes": inodes}
