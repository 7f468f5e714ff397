"""A file system without space left: told as one error that names the path and what frees some; it must not free anything itself."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from labcontainers.errors import KernelFailed, NoSpace

P = ParamSpec("P")
R = TypeVar("R")

# No space on the file system, and none within a quota (write(2)).
FULL = (errno.ENOSPC, errno.EDQUOT)


def no_space(path: str) -> NoSpace:
    """The error of whoever wanted to write at `path`."""
    hint = "free some: `prune` removes ended containers and `rmi` an image, or delete other files of its file system"
    return NoSpace(f"no space left on device: {path}", hint)


def tells_full_disk(root: Callable[[Any], Path]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a method, or a function, tell its errors for lack of space by no_space().

    Of its first argument, `root` tells where it writes, if the error says no path.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(method)
        def guarded(*arguments: P.args, **keywords: P.kwargs) -> R:
            try:
                return method(*arguments, **keywords)
            except KernelFailed as error:
                if error.errno in FULL:
                    raise no_space(error.path if error.path.startswith("/") else str(root(arguments[0]))) from error
                raise
            except OSError as error:
                if error.errno in FULL:
                    raise no_space(str(error.filename or root(arguments[0]))) from error
                raise

        return guarded

    return decorate
