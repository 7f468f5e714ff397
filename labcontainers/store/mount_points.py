"""What a container's root needs to mount on, made once as the lowest layer of all: empty files and folders.

Without it every container would make them in a layer of its own, and copy the directory `/etc` into it. Whatever an image has of the
same name goes before. It must not know containers.
"""

from __future__ import annotations

import os
from pathlib import Path

_FOLDERS = ("dev", "proc", "sys", "etc")
# The last one says that all are there.
_FILES = ("etc/hostname", "etc/hosts", "etc/resolv.conf")


def lay(tree: Path) -> None:
    """Make them in `tree`, unless they are there; several processes may do so at once."""
    if os.path.lexists(tree / _FILES[-1]):
        return
    for folder in (tree, *(tree / name for name in _FOLDERS)):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    for name in _FILES:
        fd = os.open(tree / name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        os.fchmod(fd, 0o644)
        os.close(fd)
