"""A container that stands on a folder of this machine instead of an image (`--rootfs`); it must not mount or change anything of it.

The folder is the lower part of an overlay. What is mounted in it stays away, since overlay does not cross mounts; and in a user
namespace the kernel takes no folder at all in which the host has mounted something (clone_private_mount(), EINVAL), since what
lies below those mounts would come to light. Of such a folder an ordinary user's container has the folders one by one, bound
read-only, above a skeleton: empty folders, and the symbolic links as they are.

Source: podman-run(1), --rootfs; Documentation/filesystems/overlayfs.rst; mount_namespaces(7).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.mount import Mount
from labcontainers.containers.planning.prepare import DEFAULT_PATH
from labcontainers.errors import Denied, InvalidArgument, Unsupported
from labcontainers.images.host_root import refuse_rootless
from labcontainers.images.image import Image
from labcontainers.kernel.mount_table import mount_table
from labcontainers.oci.image_config import ProcessConfig
from labcontainers.store.host_layer import HOST_ROOT, stands_on_host

_SKELETON = "skeleton"
# What every container has of its own, and what nobody misses.
_OF_THE_KERNEL = frozenset(("dev", "proc", "run", "sys"))
_OF_ITS_OWN = _OF_THE_KERNEL | {"tmp"}
_MODES = {"tmp": 0o1777, "root": 0o700}


@dataclass(frozen=True, slots=True)
class Ground:
    """What a container stands on: an image, or with --rootfs a folder of this machine, whose `id` is ""."""

    name: str
    id: str
    config: ProcessConfig
    diff_ids: tuple[str, ...] = ()


def ground_of(image: str | Image | None, options: ContainerOptions, find: Callable[[str], Image], *, rootless: bool) -> Ground:
    """The image, found by its name, or the folder; raises InvalidArgument when there is not one of both, and Unsupported."""
    if options.rootfs is not None:
        if image:
            problem = f"--rootfs: the folder {options.rootfs} comes instead of an image, and the image {image} was named, too"
            raise InvalidArgument(problem, "name one of them")
        return Ground(options.rootfs, "", ProcessConfig(env=(DEFAULT_PATH,)))
    if image is None:
        raise InvalidArgument("no image was named", "name one, or a folder of this machine by --rootfs")
    found = image if isinstance(image, Image) else find(image)
    if rootless and stands_on_host(found.diff_ids):
        refuse_rootless(f"image {found.name} stands on this machine's root (FROM host), and that", rootless=True)
    name = image if isinstance(image, str) else str(next(iter(found.tags), found.id))
    return Ground(name, found.id, found.config.config, found.diff_ids)


def settled(options: ContainerOptions, store_root: Path, *, rootless: bool) -> ContainerOptions:
    """The options with how the folder is given to the container; raises InvalidArgument and Denied where it cannot be."""
    folder = options.rootfs
    if folder is None:
        return options
    if _below(folder, os.path.realpath(store_root)) is not None:
        raise InvalidArgument(f"--rootfs: {folder} is in the store {store_root}", "name a folder that no container and no image has")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise Denied(f"--rootfs: {folder}: permission denied", "name a folder that you may read")
    return replace(options, rootfs_parts=rootless and any(True for _ in mounted_in(folder)))


def _below(path: str, folder: str) -> str | None:
    """`path` as it is seen when `folder` is the root; None when it lies outside, "/" for the folder itself."""
    if path == folder:
        return "/"
    inside = folder.rstrip("/") + "/"
    return "/" + path[len(inside) :] if path.startswith(inside) else None


def mounted_in(folder: str) -> Iterator[str]:
    """Where something is mounted below the folder, as seen from it."""
    for entry in mount_table():
        inside = _below(entry.point, folder)
        if inside not in (None, "/"):
            yield inside


def layers(options: ContainerOptions, directory: Path) -> tuple[str, ...]:
    """The trees on which the container in `directory` stands, top first."""
    assert options.rootfs is not None
    return (f"{directory}/{_SKELETON}" if options.rootfs_parts else options.rootfs,)


def hidden(lower: Sequence[str], rootfs: str | None, store_root: Path) -> tuple[str, ...]:
    """What of the store a container on these trees would see, and must not: others' files, and its own once more."""
    folder = rootfs or (HOST_ROOT if HOST_ROOT in lower else "")
    inside = _below(os.path.realpath(store_root), folder) if folder else None
    return (inside,) if inside is not None else ()


def with_parts(options: ContainerOptions) -> ContainerOptions:
    """The options with the folders of the root file system that are bound one by one; what the user mounts there goes first."""
    folder = options.rootfs
    if folder is None or not options.rootfs_parts:
        return options
    taken = {mount.target for mount in (*options.volumes, *options.mounts)} | {os.path.normpath(target) for target, _ in options.tmpfs}
    parts = [Mount(entry.path, f"/{entry.name}", True, mode="ro") for entry in _folders(folder) if _is_bound(entry)]
    if any(part.target == "/var" for part in parts):
        parts.append(Mount("", "/var/tmp", type="tmpfs", tmpfs="mode=1777,exec"))
    return replace(options, volumes=(*(part for part in parts if part.target not in taken), *options.volumes))


def _folders(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if entry.is_dir() or entry.is_symlink()), key=lambda entry: entry.name)


def _is_bound(entry: os.DirEntry[str]) -> bool:
    own = entry.is_symlink() or entry.name in _OF_ITS_OWN or entry.name in _MODES
    return not own and os.access(entry.path, os.R_OK | os.X_OK)


def make_layers(options: ContainerOptions, diff_ids: Sequence[str], directory: Path) -> None:
    """In the container's directory, what it needs above the folder or instead of it: a skeleton, and a place for /etc/resolv.conf."""
    folder = options.rootfs or (HOST_ROOT if stands_on_host(diff_ids) else None)
    if folder is None:
        return
    top = directory / (_SKELETON if options.rootfs_parts else "upper")
    if options.rootfs_parts:
        top.mkdir()
        top.chmod(0o755)
        for entry in _folders(folder):
            if entry.is_symlink():
                (top / entry.name).symlink_to(os.readlink(entry.path))
            else:
                (top / entry.name).mkdir()
                (top / entry.name).chmod(_MODES.get(entry.name, 0o755))
    make_place_for_names(folder, top)


def make_place_for_names(folder: str, top: Path) -> list[str]:
    """Where /etc/resolv.conf is a link into a file system that stays away (such as /run), there is an empty file where it leads.

    What was made in the tree `top` for that, parents first.
    """
    made: list[str] = []
    with contextlib.suppress(OSError):
        link = os.readlink(f"{folder}/etc/resolv.conf")
        place = os.path.normpath(os.path.join("/etc", link)).lstrip("/")
        away = place.partition("/")[0] in _OF_ITS_OWN or not os.path.exists(f"{folder}/{place}")
        if away and not any(part == ".." for part in place.split("/")):
            parts = place.split("/")
            made = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
            made = [part for part in made if not (top / part).exists()]
            (top / place).parent.mkdir(parents=True, exist_ok=True)
            (top / place).touch()
    return made


def warnings(options: ContainerOptions, *, rootless: bool) -> tuple[str, ...]:
    """What has to be said of such a container each time."""
    folder = options.rootfs
    if folder is None:
        return ()
    said = []
    if folder == "/":
        said.append("--rootfs /: the container runs on this machine's own files, which is neither portable nor reproducible")
    if options.rootfs_parts:
        said.append(
            f"--rootfs {folder}: file systems are mounted below it, so that an ordinary user's container has its folders read-only;"
            " /tmp, /run, /root and /var/tmp are the container's own"
        )
    else:
        if rootless and os.stat(folder).st_uid == 0:
            said.append(f"--rootfs {folder}: what belongs to root there can be read but not changed: in the container it is nobody's")
        away = sorted({place for place in mounted_in(folder) if place != "/tmp" and place.split("/")[1] not in _OF_THE_KERNEL})
        if away:
            said.append(f"--rootfs {folder}: without what is mounted there at {', '.join(away)}: give that by --volume")
    return tuple(said)


def refuse(options: ContainerOptions, name: str, verb: str, hint: str) -> None:
    """Raises Unsupported when the container `name` stands on a folder of this machine, of which there can be no image."""
    if options.rootfs is not None:
        problem = f"{verb}: container {name} runs on the folder {options.rootfs} (--rootfs), and an image of that would not be portable"
        raise Unsupported(problem, hint)
