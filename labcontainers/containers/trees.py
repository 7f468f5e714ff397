"""Where the files of a container are: its own layers, and those of its image or the folder instead; it must not change them."""

from __future__ import annotations

from dataclasses import dataclass

from labcontainers.containers.planning import host_root
from labcontainers.containers.register import Record
from labcontainers.kernel.mounts import overlay_fits
from labcontainers.store import layer_line
from labcontainers.store.layer_line import Line
from labcontainers.store.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class Trees:
    """`upper` is written to, with overlay's directory `work`; `frozen` are the checkpoints below it, `image` the image's layers.

    `points` are the empty files and folders to mount on, as the lowest layer of all. All are paths, top first.
    """

    upper: str
    work: str
    frozen: tuple[str, ...]
    image: tuple[str, ...]
    points: tuple[str, ...]

    @property
    def own(self) -> tuple[str, ...]:
        """All that the container has changed in its image."""
        return (self.upper, *self.frozen)

    @property
    def lower(self) -> tuple[str, ...]:
        """All on which it stands."""
        return (*self.frozen, *self.image)

    @property
    def mounted(self) -> tuple[str, ...]:
        """What overlay gets below `upper`: as many as it takes."""
        lower = [*self.lower, *self.points]
        return tuple(lower) if overlay_fits(lower, self.upper, self.work) else self.lower


def trees_of(snapshots: Snapshots, record: Record, line: Line | None = None) -> Trees:
    """The trees of the container, as its line of checkpoints has them now. Raises NotFound when a layer of the image is missing."""
    line = line or layer_line.read(record.directory)
    frozen = tuple(f"{record.directory}/{tree}" for tree in line.trees(line.base))
    options = record.options
    image = snapshots.lower_paths(record.diff_ids) if options.rootfs is None else host_root.layers(options, record.directory)
    # an empty image has no overlay: its container writes to a plain folder; and a root file system has what is to be mounted on
    points = (snapshots.mount_points,) if image and options.rootfs is None else ()
    return Trees(f"{record.directory}/{line.upper}", f"{record.directory}/{line.work}", frozen, image, points)
