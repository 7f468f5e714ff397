"""From what a user and an image want mounted to the mounts of one container: settled at its creation, made ready at each start.

It must not mount anything; it makes volumes, through the room volumes, and empty folders in the container's directory.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.flags import about
from labcontainers.containers.options.mount import Mount, checked_target
from labcontainers.containers.options.tmpfs import parse_tmpfs
from labcontainers.containers.planning.mount_point import MountPoint
from labcontainers.containers.planning.propagation import check_propagation
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.image import Image
from labcontainers.kernel.notes import Notes
from labcontainers.oci.image_config import ProcessConfig
from labcontainers.runtime.spec import BindMount, ImageMount, TemporaryMount, UserMount
from labcontainers.store.snapshots import Snapshots
from labcontainers.volumes.volume import ANONYMOUS, Volume
from labcontainers.volumes.volumes import ImageContent

_ETC_FILES = ("hostname", "hosts", "resolv.conf")


def wants_mounts(options: ContainerOptions, config: ProcessConfig) -> bool:
    """Whether anything but temporary file systems is to be settled."""
    return bool(options.volumes or options.mounts or options.volumes_from or config.volumes)


class VolumeUse(Protocol):
    """What settling asks of the volumes."""

    def use(
        self, name: str, container_id: str, *, labels: dict[str, str], options: dict[str, str], content: ImageContent | None, notes: Notes
    ) -> Volume: ...

    def join(self, name: str, container_id: str) -> Volume: ...

    def release(self, name: str, container_id: str, *, remove: bool) -> None: ...


class MountSettler:
    """Settles the mounts of the container `container_id`, which runs an image with the layers `lower` (top first).

    `others` gives the mounts of another container by name, `image` an image; both raise NotFound. `notes` are told of volumes that are
    made and filled. What is made for nothing, when something is refused on the way, goes again.
    """

    def __init__(
        self,
        volumes: VolumeUse,
        container_id: str,
        lower: tuple[str, ...],
        others: Callable[[str], Sequence[MountPoint]],
        image: Callable[[str], Image],
        notes: Notes,
    ) -> None:
        self._notes = notes
        self._volumes = volumes
        self._container_id = container_id
        self._lower = lower
        self._others = others
        self._image = image
        self._points: dict[str, MountPoint] = {}

    def settle(self, options: ContainerOptions, config: ProcessConfig) -> tuple[MountPoint, ...]:
        """All mounts, those of other containers first, in Docker's order: what is said later covers what was said before.

        Raises InvalidArgument, NotFound, Unsupported, Failed.
        """
        asked = [*(("--volume", mount) for mount in options.volumes), *(("--mount", mount) for mount in options.mounts)]
        own = {mount.target for _, mount in asked}
        try:
            for name, mode in options.volumes_from:
                with about("--volumes-from"):
                    others = self._others(name)
                for point in others:
                    if point.target not in own:
                        self._put(self._inherit(point, mode == "ro"))
            for flag, mount in asked:
                with about(flag):
                    self._put(self._settle(mount))
            taken = {*self._points, *(os.path.normpath(target) for target, _ in options.tmpfs)}
            for path in config.volumes:
                target = _image_target(path)
                if target not in taken:
                    taken.add(target)
                    self._put(self._settle(Mount("", target, type="volume")))
        except BaseException:
            for point in self._points.values():
                with contextlib.suppress(Exception):
                    release([point], self._container_id, self._volumes, anonymous=True)
            raise
        return tuple(self._points.values())

    def _put(self, point: MountPoint) -> None:
        self._points[point.target] = point

    def _inherit(self, point: MountPoint, read_only: bool) -> MountPoint:
        if point.type == "volume":
            self._volumes.join(point.name, self._container_id)
        return replace(point, read_only=point.read_only or read_only)

    def _settle(self, mount: Mount) -> MountPoint:
        if mount.type == "volume":
            return self._volume(mount)
        if mount.type == "image":
            image = self._image(mount.source)
            return MountPoint(
                "image", mount.source, mount.target, image.name, "", True, subpath=mount.subpath, image_id=image.id, diff_ids=image.diff_ids
            )
        if mount.type == "tmpfs":
            return MountPoint("tmpfs", "", mount.target, read_only=mount.read_only, data=mount.tmpfs)
        return MountPoint("bind", mount.source, mount.target, "", mount.mode, mount.read_only, mount.propagation, mount.recursive)

    def _volume(self, mount: Mount) -> MountPoint:
        content = None if mount.no_copy or mount.subpath else ImageContent(self._lower, mount.target)
        labels = dict(mount.labels) if mount.source else {ANONYMOUS: "", **dict(mount.labels)}
        volume = self._volumes.use(
            mount.source or secrets.token_hex(32),
            self._container_id,
            labels=labels,
            options=dict(mount.driver_opts),
            content=content,
            notes=self._notes,
        )
        return _volume_point(volume, mount)


def _volume_point(volume: Volume, mount: Mount) -> MountPoint:
    backing = volume.backing
    return MountPoint(
        "volume",
        str(volume.mountpoint),
        mount.target,
        volume.name,
        # what Docker says of every volume of the driver local
        mount.mode or "z",
        mount.read_only or backing.read_only,
        subpath=mount.subpath,
        anonymous=not mount.source,
        bound=backing.device if backing.kind == "bind" else "",
        data=backing.data if backing.kind == "tmpfs" else None,
    )


def _image_target(path: str) -> str:
    """A VOLUME of an image as a path below `/`: `..` leads nowhere above it."""
    try:
        return checked_target(os.path.normpath("/" + path), "VOLUME of the image")
    except InvalidArgument as error:
        raise InvalidArgument(error.message, "cover it by a mount of your own, or use another image") from None


def release(points: Sequence[MountPoint], container_id: str, volumes: VolumeUse, *, anonymous: bool) -> None:
    """A container that is gone has its volumes no more; with `anonymous` those that nobody named go when no other has them."""
    for name, nameless in {point.name: point.anonymous for point in points if point.type == "volume"}.items():
        volumes.release(name, container_id, remove=anonymous and nameless)


def runtime_mounts(
    directory: Path, options: ContainerOptions, points: Sequence[MountPoint], snapshots: Snapshots, *, rootless: bool
) -> tuple[UserMount, ...]:
    """Everything that is mounted beside the image: the files of `/etc`, and what was settled; parents first.

    Raises NotFound for a missing layer, InvalidArgument where the host's mounts do not allow a propagation, Unsupported.
    """
    wanted: list[UserMount] = list(_etc_files(directory, options, points))
    for number, point in enumerate(points):
        if point.type == "bind":
            wanted.append(_bind(point, rootless))
        elif point.type == "image":
            lower = snapshots.lower_paths(point.diff_ids)
            wanted.append(ImageMount(lower, str(_place(directory, number)), point.target, point.subpath))
        elif point.data is not None or point.type == "tmpfs":
            wanted.append(_temporary(point.target, point.data or "", point.read_only))
        else:
            wanted.append(_volume(point))
    wanted += [_temporary(target, data, False) for target, data in options.tmpfs]
    return tuple(sorted(wanted, key=_depth))


def _place(directory: Path, number: int) -> Path:
    return directory / "images" / str(number)


def make_places(directory: Path, points: Sequence[MountPoint]) -> None:
    """In the container's directory, the empty folders where layers of other images are put together."""
    for number, point in enumerate(points):
        if point.type == "image":
            _place(directory, number).mkdir(parents=True)


def folders_of_host(directory: Path, options: ContainerOptions, points: Sequence[MountPoint]) -> tuple[BindMount, ...]:
    """What a container that stands still has of the host's folders and files, volumes too; parents first. Pure."""
    wanted = [*_etc_files(directory, options, points)]
    for point in points:
        if point.type == "bind":
            wanted.append(BindMount(point.source, point.target, point.read_only))
        elif point.type == "volume" and point.data is None:
            wanted.append(_volume(point))
    return tuple(sorted(wanted, key=_depth))


def _depth(mount: UserMount) -> int:
    return os.path.normpath(mount.target).count(os.sep)


def _etc_files(directory: Path, options: ContainerOptions, points: Sequence[MountPoint]) -> list[BindMount]:
    taken = {point.target for point in points}
    files = [(f"{directory}/etc/{name}", f"/etc/{name}") for name in _ETC_FILES]
    return [BindMount(source, target, options.read_only) for source, target in files if target not in taken]


def _volume(point: MountPoint) -> BindMount:
    return BindMount(point.bound or point.source, point.target, point.read_only, subpath=point.subpath)


def _bind(point: MountPoint, rootless: bool) -> BindMount:
    propagation = point.propagation if point.propagation not in ("", "private", "rprivate") else ""
    if propagation:
        if rootless and "shared" in propagation:
            raise Unsupported(
                f"propagation {propagation!r} for {point.target} needs root: the host hears nothing of an ordinary user's mounts",
                "use rslave",
            )
        check_propagation(point.source, propagation)
    return BindMount(
        point.source,
        point.target,
        point.read_only,
        propagation,
        recursive=point.recursive != "disabled",
        read_only_below=point.recursive != "writable",
    )


def _temporary(target: str, text: str, read_only: bool) -> TemporaryMount:
    flags, data = parse_tmpfs(text + ",ro" * read_only, target)
    return TemporaryMount(target, data, flags)


def volumes_of(points: Sequence[MountPoint]) -> Iterator[MountPoint]:
    """One point of each volume among `points`."""
    seen: dict[str, MountPoint] = {}
    for point in points:
        if point.type == "volume":
            seen.setdefault(point.name, point)
    return iter(seen.values())


def shim_volumes(points: Sequence[MountPoint]) -> list[dict[str, object]]:
    """What a shim is told of the container's volumes (runtime.cleanup)."""
    return [{"name": point.name, "directory": str(Path(point.source).parent), "anonymous": point.anonymous} for point in volumes_of(points)]


def mount_event(point: MountPoint, container_id: str) -> dict[str, str]:
    """The attributes of Docker's event `volume mount`."""
    return {
        "container": container_id,
        "destination": point.target,
        "driver": "local",
        "propagation": "",
        "read/write": str(not point.read_only).lower(),
    }
