"""Archives of ADD that are packed by zstd: inflated here, since the worker that unpacks has nothing but Python's own modules.

It must not unpack anything.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from labcontainers.build.context import Selection
from labcontainers.build.unpacking import begins_archive, compression
from labcontainers.errors import Failed
from labcontainers.kernel import syscalls
from labcontainers.kernel.scoped_paths import BENEATH

_CHUNK = 1 << 20
_BLOCK = 512


def inflated(selections: Sequence[Selection], context_root: Path, scratch: Path) -> list[Selection]:
    """The selections, with tar archives that zstd packed replaced by their content in `scratch`. Raises LabError.

    The content is a file of the same name, and the step's cache key is still that of the archive.
    """
    return [_inflated(one, number, context_root, scratch) for number, one in enumerate(selections)]


def _inflated(selection: Selection, number: int, context_root: Path, scratch: Path) -> Selection:
    if selection.is_directory or selection.stays_packed or not stat.S_ISREG(selection.entries[0].mode):
        return selection
    entry = selection.entries[0]
    root = os.open(selection.root or context_root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = syscalls.openat2(root, entry.real_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, resolve=BENEATH)
    except OSError as error:
        raise Failed(f"{entry.real_path} of the build context: {os.strerror(error.errno or 0).lower()}", "build again") from error
    finally:
        os.close(root)
    try:
        if compression(os.pread(fd, 4, 0)) != "zst":
            return selection
        state = os.fstat(fd)
        if (state.st_size, state.st_mtime_ns) != (entry.size, entry.mtime_ns):
            raise Failed(f"{entry.real_path} of the build context changed during the build", "build again")
        path = scratch / f"inflated-{number}"
        if not _write(fd, path):
            return selection
    finally:
        os.close(fd)
    found = path.stat()
    content = replace(entry, real_path=path.name, size=found.st_size, mtime_ns=found.st_mtime_ns)
    return replace(selection, entries=(content,), root=str(scratch))


def _write(fd: int, path: Path) -> bool:
    """Write the content of a stream to a new file; False when that is no tar archive, and then nothing stays."""
    head = b""
    with open(path, "xb") as file:
        for piece in _pieces(fd):
            if len(head) < _BLOCK:
                head += bytes(piece[: _BLOCK - len(head)])
                if len(head) == _BLOCK and not begins_archive(head):
                    break
            file.write(piece)
    if begins_archive(head):
        return True
    path.unlink()
    return False


def _pieces(fd: int) -> Iterator[bytes | memoryview]:
    from labcontainers.store.compression import Decompressor

    decompressor = Decompressor("zstd")
    while data := os.read(fd, _CHUNK):
        yield from decompressor.feed(data)
    yield from decompressor.finish()
