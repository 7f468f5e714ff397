"""A root file system being filled from files of the host: deterministic, and never outside its own directory.

It must not know what the files are for.
"""

from __future__ import annotations

import os
from pathlib import Path


class RootTree:
    """The tree at `root`. All times become 0 in finish(), so that equal contents give equal digests."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Make a directory with its parents."""
        target = self._parent(path + "/")
        target.chmod(mode)

    def text(self, path: str, text: str, mode: int = 0o644) -> None:
        """A small file."""
        self._parent(path).joinpath(os.path.basename(path)).write_text(text, encoding="utf-8")
        (self.root / path).chmod(mode)

    def symlink(self, target: str, path: str) -> None:
        """A symbolic link at `path`."""
        os.symlink(target, self._parent(path) / os.path.basename(path))

    def copy(self, source: str, path: str, mode: int) -> None:
        """A copy of the host's file `source`, by copy_file_range(2) where the file systems allow."""
        target = self._parent(path) / os.path.basename(path)
        if target.exists():
            return
        with open(source, "rb") as reader, open(target, "xb") as writer:
            size = os.fstat(reader.fileno()).st_size
            done = 0
            while done < size:
                count = os.sendfile(writer.fileno(), reader.fileno(), done, size - done)
                if not count:
                    break
                done += count
            os.fchmod(writer.fileno(), mode)

    def _parent(self, path: str) -> Path:
        """The directory of `path`, made with modes that do not depend on this process' umask; raises ValueError where it leads out."""
        parent = self.root
        for name in filter(None, os.path.dirname(path).split("/")):
            parent = parent / name
            if name == ".." or (parent.is_symlink() and os.path.isabs(os.readlink(parent))):
                raise ValueError(f"{path} leads out of the tree")
            if not parent.is_dir():
                parent.mkdir()
                parent.chmod(0o755)
        return parent

    def finish(self) -> None:
        """Set every time to 0, deepest first."""
        for folder, folders, files in os.walk(self.root, topdown=False):
            for name in (*files, *folders):
                os.utime(os.path.join(folder, name), (0, 0), follow_symlinks=False)
        os.utime(self.root, (0, 0))
