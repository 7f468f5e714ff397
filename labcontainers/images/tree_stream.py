"""What a worker writes to a pipe, such as the canonical tar of a layer's tree; it must not know what becomes of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path

from labcontainers.runtime.process import Errand, LauncherProcess

_PIPE_BYTES = 1 << 20


@contextlib.contextmanager
def tree_stream(launcher: LauncherProcess, tree: Path) -> Iterator[tuple[FileIO, Errand]]:
    """The pipe to read, and the worker, whose result after the end is what store.trees.stream_tar() returns; the worker ends with this."""
    with worker_stream(launcher, "labcontainers.store.trees:stream_tar", tree=str(tree)) as found:
        yield found


@contextlib.contextmanager
def root_stream(launcher: LauncherProcess, trees: Sequence[Path]) -> Iterator[tuple[FileIO, Errand]]:
    """As tree_stream(), of the whole root that these trees, top first, make (images.root_tar.stream_root)."""
    with worker_stream(launcher, "labcontainers.images.root_tar:stream_root", trees=[str(tree) for tree in trees]) as found:
        yield found


@contextlib.contextmanager
def worker_stream(launcher: LauncherProcess, function: str, **arguments: object) -> Iterator[tuple[FileIO, Errand]]:
    """As tree_stream(), of `function`, which gets the descriptor of the pipe before the arguments, and closes it."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    with FileIO(ours, "rb") as pipe:
        try:
            # a larger one saves changes between reader and writer, where this user may have it
            with contextlib.suppress(OSError):
                fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            errand = launcher.begin(function, (theirs,), **arguments)
        finally:
            os.close(theirs)
        with contextlib.closing(errand):
            yield pipe, errand
