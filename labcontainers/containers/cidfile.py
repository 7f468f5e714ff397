"""`--cidfile`: the file that gets a new container's id; it must not know how one is made.

Source: docs.docker.com "docker run", --cidfile.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from labcontainers.containers.files.writing import refusal, writing
from labcontainers.containers.options.forms import shown
from labcontainers.errors import InvalidArgument


@contextlib.contextmanager
def cid_file(path: str | None) -> Iterator[Callable[[str], None]]:
    """The function that writes the id; without a path it does nothing. The file is there before the container is, and goes if that fails.

    Raises InvalidArgument where somebody made it meanwhile; NoSpace, Denied or Failed where it cannot be made or, by the function, written.
    """
    if path is None:
        yield lambda container_id: None
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise InvalidArgument(f"--cidfile: {shown(path)}: file exists", "name a file that is not there yet") from None
    except OSError as error:
        raise refusal(Path(path), "--cidfile", error) from error
    try:
        yield lambda container_id: _write(fd, path, container_id)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(fd)


def _write(fd: int, path: str, container_id: str) -> None:
    with writing(Path(path), "--cidfile"):
        os.write(fd, container_id.encode())
