"""Several layers as one: the tree that laid on the layers below gives what they gave together; it must not know the store.

What one of them makes and a later one removes is not in it. A worker runs this.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from labcontainers.images.merged_tree import DIRECTORY, Merged, Node, allow_many_descriptors, node_at, open_directory, walk
from labcontainers.images.root_tar import RootTarWriter
from labcontainers.kernel import id_maps
from labcontainers.store.overlay_marks import Marks
from labcontainers.store.tar_reader import TarReader
from labcontainers.store.tar_writer import attributes_of
from labcontainers.store.unpack import finish, unpack_from


def squash(*, above: list[str], below: list[str], target: str, room: str, userxattr: bool) -> None:
    """Make of the trees `above` (top first) one in the empty directory `target`, to lie on the trees `below` (top first).

    The folder `room` holds their files once more meanwhile. `userxattr` where overlay's marks are attributes of users. Raises OSError.
    """
    allow_many_descriptors()
    with contextlib.closing(Merged.root(above)) as top, tempfile.TemporaryFile(dir=room) as file:
        RootTarWriter(file.write).write_root(top)
        file.seek(0)
        reader = TarReader(lambda buffer: os.readv(file.fileno(), [buffer]))
        unpack_from(reader, target=target, userxattr=userxattr, single_id=id_maps.mapped_ids() == 1)
        # the top has no entry of its own
        finish(target=target, lowers=above, implied=[""], links=[], userxattr=userxattr)
        if below:
            with contextlib.closing(Merged.root(below)) as base:
                _hide(top, base, target, Marks(userxattr=userxattr))


def _hide(top: Merged, base: Merged, target: str, marks: Marks) -> None:
    """Mark in the target what of the base is gone: all that a whiteout or an opaque directory of any layer has taken away."""
    # a folder comes before what is in it
    for path in sorted({path for fd, _ in top.parts for path in _taken_away(fd)}):
        folder, _, name = path.rpartition("/")
        with _opened(target, folder) as place:
            if place is None or _is_opaque(place) or (former := _seen(base, path)) is None:
                continue
            node = node_at(place, name, 0)
            if node is None:
                before = os.fstat(place)
                marks.put_whiteout(place, os.fsencode(name), os.fsencode(path))
                os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
            elif node.is_directory and former.is_directory:
                inner = open_directory(name, place)
                try:
                    marks.make_opaque(inner, os.fsencode(path))
                finally:
                    os.close(inner)


def _taken_away(tree: int) -> Iterator[str]:
    """The paths of whiteouts and of opaque directories of one tree: of what lies below, nothing is left there."""
    with contextlib.closing(Merged([(os.dup(tree), 0)])) as alone:
        for path, node in walk(alone, _all_nodes):
            if node.attributes().opaque if node.is_directory else node.is_whiteout():
                yield path


def _all_nodes(directory: Merged) -> Iterator[Node]:
    """What is in the one tree of a directory, marks too."""
    fd, layer = directory.parts[0]
    for name in sorted(os.listdir(fd), key=os.fsencode):
        node = node_at(fd, name, layer)
        if node is not None:
            yield node


@contextlib.contextmanager
def _opened(target: str, path: str) -> Iterator[int | None]:
    """A directory of the target; None where there is none, or where an opaque one on the way hides all below it from the base."""
    fd = open_directory(target, None)
    try:
        for part in filter(None, path.split("/")):
            node = node_at(fd, part, 0)
            if node is None or not node.is_directory or _is_opaque(fd):
                yield None
                return
            inner = os.open(part, DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def _is_opaque(fd: int) -> bool:
    return attributes_of(fd, b"").opaque


def _seen(base: Merged, path: str) -> Node | None:
    """What the base shows at a path; the directory that holds it is closed again, so that only what it is may be asked."""
    level, opened = base, list[Merged]()
    try:
        *folders, name = path.split("/")
        for folder in folders:
            level = level.enter(folder)
            opened.append(level)
        return level.find(name)
    finally:
        for one in opened:
            one.close()
