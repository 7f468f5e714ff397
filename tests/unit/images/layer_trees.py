"""Images whose layers a test writes down as small dicts, in a store without an engine; it must not know what is tested."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

# What a path of a layer is: a text is a file's content, bytes a symbolic link, None a whiteout, DIRECTORY and OPAQUE directories.
DIRECTORY, OPAQUE = ("directory",), ("opaque",)
Tree = Mapping[str, str | bytes | tuple[str, ...] | None]
NS = 10**9


def plant(folder: Path, tree: Tree, mtime: int = 1000) -> None:
    """Make these files below `folder`, with modes that do not depend on the umask and one time for all."""
    for name, what in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            os.mknod(path, stat.S_IFCHR, 0)
        elif isinstance(what, tuple):
            path.mkdir(exist_ok=True)
            if what == OPAQUE:
                os.setxattr(path, "user.overlay.opaque", b"y")
        elif isinstance(what, bytes):
            path.symlink_to(os.fsdecode(what))
        else:
            path.write_text(what)
    for path in sorted(folder.rglob("*")):
        if not path.is_symlink() and not stat.S_ISCHR(path.lstat().st_mode):
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, ns=(0, mtime * NS), follow_symlinks=False)


def has_attributes(folder: Path) -> bool:
    """Whether files there can have extended attributes."""
    try:
        os.setxattr(folder, "user.labcontainers", b"")
    except OSError:
        return False
    os.removexattr(folder, "user.labcontainers")
    return True


def image_of(store: Store, catalog: Catalog, trees: Sequence[Tree], *names: str, config: ProcessConfig | None = None) -> Image:
    """An image of these layers, from the bottom up; each was made by RUN and its number."""
    layers: list[Layer] = []
    for tree in trees:
        scratch = store.snapshots.new_tree()
        plant(scratch / "fs", tree)
        layers.append(store.snapshots.commit(scratch, [layer.diff_id for layer in layers]))
    history = [HistoryEntry("1970-01-01T00:00:00Z", f"RUN {index}") for index, _ in enumerate(layers)]
    history.insert(1, HistoryEntry("1970-01-01T00:00:00Z", "ENV a=b", empty_layer=True))
    made = ImageConfig("amd64", "linux", config or ProcessConfig(cmd=("sh",)), tuple(layer.diff_id for layer in layers), tuple(history))
    return catalog.put(made, layers, names)
