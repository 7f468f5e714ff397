"""The context of a build where it is not a folder of the user's: an address, or an archive that somebody hands over.

It must not know the Dockerfile's meaning. No .dockerignore counts here, as in BuildKit: it is for what is sent from a folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from labcontainers.build.remotes.addresses import Address, GitAddress, WebAddress
from labcontainers.build.remotes.elsewhere import Elsewhere
from labcontainers.build.remotes.unfolding import unfold
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.archive.contents import Data
from labcontainers.kernel.scoped_paths import open_in

# BuildKit's name of a build argument
KEEP_GIT_DIR = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
DOCKERFILE = "Dockerfile"
# BuildKit's, too
MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class MainContext:
    """A folder, what people know it by, and the text of the Dockerfile where that is all there is.

    `time_s` is of its commit, or of its last change by its server or by its newest file, in seconds since 1970; None for unknown.
    """

    folder: Path
    shown: str
    text: str | None = None
    time_s: int | None = None


def open_remote(elsewhere: Elsewhere, origin: Address | Data, *, keep_git_dir: str | None = None) -> MainContext:
    """Fetch or unpack it; a file by HTTP that is no archive is a Dockerfile, beside which there is nothing. Raises LabError.

    `keep_git_dir` is the value of the build argument KEEP_GIT_DIR, if it was given.
    """
    if isinstance(origin, GitAddress):
        if origin.keep_git_dir is None:
            origin = replace(origin, keep_git_dir=(keep_git_dir or "").lower() in ("1", "t", "true"))
        return MainContext(elsewhere.folder(origin), origin.shown, time_s=elsewhere.time_s(origin))
    folder = elsewhere.places.new()
    if not isinstance(origin, WebAddress):
        newest_s = unfold(elsewhere.spooled(origin), folder)
        if newest_s is None:
            raise InvalidArgument("what was given as the context is no tar archive", "make it by tar, or name a folder")
        return MainContext(folder, "the archive", time_s=newest_s)
    path = elsewhere.web_file(origin, elsewhere.web_digest(origin))
    newest_s, said_s = unfold(path, folder), elsewhere.time_s(origin)
    if newest_s is not None:
        return MainContext(folder, origin.shown, time_s=newest_s if said_s is None else said_s)
    with open(path, "rb") as file:
        return MainContext(folder, origin.shown, _text(file.read(MOST_BYTES + 1), origin.shown), said_s)


def lower_name(name: str) -> str:
    """Where a Dockerfile may be, too, if it is not at `name`: beside it in small letters; "" where it has another name."""
    return name.removesuffix(DOCKERFILE) + DOCKERFILE.lower() if posixpath.basename(name) == DOCKERFILE else ""


def read_inside(context: MainContext, name: str) -> str:
    """The text of a file in the context, whose links do not lead out of it; raises NotFound, InvalidArgument."""
    root = os.open(context.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = _open_either(root, name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise NotFound(f"no such Dockerfile: {name} of {context.shown}", "name it by -f") from None
        raise InvalidArgument(f"cannot read the Dockerfile {name} of {context.shown}: {(error.strerror or '').lower()}") from None
    finally:
        os.close(root)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise InvalidArgument(f"the Dockerfile {name} of {context.shown} is not a file", "name it by -f")
        return _text(file.read(MOST_BYTES + 1), f"{name} of {context.shown}")


def _open_either(root: int, name: str) -> int:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return open_in(root, name, flags)
    except FileNotFoundError:
        if lower := lower_name(name):
            with contextlib.suppress(FileNotFoundError):
                return open_in(root, lower, flags)
        raise


def _text(data: bytes, what: str) -> str:
    if len(data) > MOST_BYTES:
        raise InvalidArgument(f"{what} has more than {MOST_BYTES} bytes: it is no Dockerfile", "is it an archive that is not known?")
    if b"\0" in data:
        raise InvalidArgument(f"{what} is neither an archive nor a Dockerfile", "tar archives may be plain, or by gzip, zstd, bzip2 or xz")
    return data.decode("utf-8", "surrogateescape")
