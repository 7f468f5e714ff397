"""Files of this machine that a flag names, such as one for a tar or for an id: what goes wrong is one line with the path.

It must not know what is written.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from pathlib import Path

from labcontainers.errors import Denied, Failed, LabError
from labcontainers.store.space import FULL, no_space


@contextlib.contextmanager
def writing(path: Path, flag: str) -> Iterator[None]:
    """An OSError within becomes NoSpace, Denied or Failed that names the flag and the path, which whoever asked for it knows.

    Other errors pass, so that what fails for another reason is told as that.
    """
    try:
        yield
    except OSError as error:
        raise refusal(path, flag, error) from error


def refusal(path: Path, flag: str, error: OSError) -> LabError:
    """What to tell of an OSError about a file that `flag` names."""
    if error.errno in FULL:
        told = no_space(str(path))
        return type(told)(f"{flag}: {told.message}", "free some space there, or name a file elsewhere")
    reason = (error.strerror or str(error)).lower()
    kind = Denied if isinstance(error, PermissionError) else Failed
    return kind(f"{flag}: {path}: {reason}", "name another file")


def save_file(place: Path, write: Callable[[FileIO], object], flag: str = "--output", mode: int = 0o600) -> None:
    """Into a file of another name first, so that the one that was asked for is whole or not there.

    As Docker's, it is readable for its owner alone, unless another `mode` is given. A pipe or a device is written as it is. What goes wrong
    with the file is told by `flag` and the path.
    """
    whole = place.exists() and not place.is_file()
    half = place if whole else place.with_name(f".{secrets.token_hex(8)}.part")

    def opener(path: str, flags: int) -> int:
        return os.open(path, flags, mode)

    try:
        with writing(place, flag), open(half, "wb" if whole else "xb", buffering=0, opener=opener) as file:
            write(file)
        if not whole:
            with writing(place, flag):
                half.replace(place)
    finally:
        if not whole:
            half.unlink(missing_ok=True)


def write_pieces(file: FileIO, stream: Iterable[bytes]) -> None:
    """All of it."""
    for data in stream:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
