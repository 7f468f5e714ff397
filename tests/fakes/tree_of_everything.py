"""A tree with one of everything that an ordinary user may make, for archives that shall hold it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

WEIRD = b"caf\xe9-\xff"


def fill(tree: Path) -> None:
    """Make it in the new directory `tree`."""
    (tree / "dir").mkdir(parents=True)
    (tree / "empty").touch()
    (tree / "file").write_bytes(b"content" * 1000)
    (tree / "file").chmod(0o750)
    (tree / "large").write_bytes(os.urandom(3_000_000))
    (tree / ("n" * 150)).write_bytes(b"long")
    (tree / "dir" / ("d" * 150)).mkdir(mode=0o700)
    (tree / "dir" / ("d" * 150) / ("n" * 150)).write_bytes(b"longer")
    Path(os.fsdecode(os.fsencode(tree) + b"/dir/" + WEIRD)).write_bytes(b"weird")
    (tree / "sticky").mkdir()
    (tree / "sticky").chmod(0o1777)
    os.symlink("t" * 150, tree / "longlink")
    os.symlink("file", tree / "link")
    os.symlink(os.fsdecode(WEIRD), tree / "weirdlink")
    os.mkfifo(tree / "pipe")
    os.link(tree / "file", tree / "second")
    with open(tree / "sparse", "wb") as file:
        for at in range(1, 40):
            file.seek(at * 100_000)
            file.write(b"piece %d" % at)
        file.truncate(5_000_000)
    # not every file system has attributes
    with contextlib.suppress(OSError):
        os.setxattr(tree / "file", "user.attribute", bytes(range(256)))
        os.setxattr(tree / "dir", "user.empty", b"")
    for name in ("file", "dir", "empty"):
        os.utime(tree / name, ns=(0, 1_700_000_000_123_456_789))
    os.utime(tree / "large", ns=(0, -1_500_000_000))
