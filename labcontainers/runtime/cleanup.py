"""What a shim does when its container has ended: it tells the end, and takes away control groups, and with `--rm` the directory.

It must not import anything but what the launcher holds.
"""

from __future__ import annotations

import os
import stat
import time

from labcontainers.kernel import syscalls
from labcontainers.kernel.files import remove_tree
from labcontainers.kernel.lean import Any
from labcontainers.runtime.journal import Journal

Cgroups = dict[str, object]

_NO_LINKS = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS


def _directories(cgroups: Cgroups) -> list[str]:
    v1 = cgroups.get("v1") or {}
    unified = cgroups.get("unified")
    assert isinstance(v1, dict)
    return list(dict.fromkeys([*([str(unified)] if unified else []), *map(str, v1.values())]))


def oom_kills(cgroups: Cgroups) -> int:
    """How many processes of the container the kernel killed for memory (memory.events of v2, memory.oom_control of v1)."""
    for directory in _directories(cgroups):
        for name in ("memory.events", "memory.oom_control"):
            try:
                fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            lines = os.read(fd, 4096).split(b"\n")
            os.close(fd)
            for key, _, value in (line.partition(b" ") for line in lines):
                if key == b"oom_kill":
                    return int(value)
    return 0


def memory_peak(cgroups: Cgroups) -> dict[str, int]:
    """The most memory that the container had at once, in bytes, as a part of its end; nothing where the kernel does not tell.

    memory.peak of v2 is there since Linux 5.19.
    """
    for directory in _directories(cgroups):
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            try:
                fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            text = os.read(fd, 64).strip()
            os.close(fd)
            if text.isdigit():
                return {"memory_peak_bytes": int(text)}
    return {}


def end_of(exit_code: int, owner: str, cgroups: Cgroups, *, oom_killed: bool, overrun: str = "") -> dict[str, Any]:
    """How a life of the container ended, now. `owner` is the container whose end was the reason, `overrun` what the watchdog saw, or ""."""
    oom_killed = oom_killed or bool(overrun)
    end: dict[str, Any] = {"exit_code": exit_code, "oom_killed": oom_killed, "finished_at": time.time()}
    if oom_killed or exit_code:
        end.update(memory_peak(cgroups))
    if overrun:
        end["error"] = overrun
    elif owner and not oom_killed:
        end["error"] = f"container {owner}, whose pid namespace it shared, has ended"
    return end


def remove_cgroups(cgroups: Cgroups) -> None:
    """Remove the container's control groups; a dying process may keep one busy for a moment."""
    for directory in _directories(cgroups):
        for attempt in range(50):
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass
            except OSError:
                time.sleep(0.001 * (attempt + 1))
                continue
            break


def remove_parents(cgroups: Cgroups) -> None:
    """Remove what the control groups lay in, where nothing else does."""
    remove_if_empty([directory.rpartition("/")[0] for directory in _directories(cgroups)])


def remove_if_empty(directories: list[str]) -> None:
    """rmdir(2) of each that nothing is in; the others stay."""
    for directory in directories:
        try:
            os.rmdir(directory)
        except OSError:
            pass


def put_away(directory: str, trash: str) -> str:
    """Move a container's directory out of sight; where it is to be deleted, or "" when it was gone already."""
    gone = f"{trash}/{os.path.basename(directory)}.{os.getpid()}"
    try:
        os.rename(directory, gone)
    except FileNotFoundError:
        return ""
    return gone


def delete(tree: str) -> None:
    """Delete what was put away; what cannot be deleted is swept later, with the trash."""
    try:
        remove_tree(tree)
    except OSError:
        pass


def let_go(request: dict[str, Any], directory: str, journal: Journal, ended_at: float) -> str:
    """Free the volumes of an ended container and, if it is to be removed, put it away, and tell all that; what is to be deleted, or ""."""
    volumes = request.get("volumes", ())
    for volume in volumes:
        journal.volume_event("unmount", volume["name"], ended_at)
    if not request["remove"] or not directory:
        return ""
    gone = put_away(directory, request["trash"])
    for name in release_volumes(volumes, os.path.basename(directory), request["trash"]):
        journal.volume_event("destroy", name, time.time())
    journal.event("destroy", time.time())
    return gone


def release_volumes(volumes: list[dict[str, Any]], container: str, trash: str) -> list[str]:
    """Take a removed container's mark off its volumes, and remove the anonymous ones that no other container has; their names.

    A volume's folder `users` can be removed only while nobody has it, and nobody can join it afterwards (volumes.volumes).
    """
    removed = []
    for volume in volumes:
        directory, gone = volume["directory"], f"{trash}/volume-{volume['name']}.{os.getpid()}"
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            os.unlink(f"users/{container}", dir_fd=fd)
            if volume["anonymous"]:
                os.rmdir("users", dir_fd=fd)
                os.rename(directory, gone)
                if not os.path.samestat(os.stat(gone), os.fstat(fd)):
                    # Somebody made one of the same name in this instant.
                    os.rename(gone, directory)
                    continue
                remove_tree(gone)
                removed.append(volume["name"])
        except OSError:
            continue
        finally:
            os.close(fd)
    return removed


def remove_stubs(tree: str, paths: list[str], lower: list[str] | tuple[str, ...] = ()) -> None:
    """Remove the mount points `paths` (in the order they were made) of an upper directory, if they are still empty.

    Times of the directories that they lay in stay. One of those that is empty now, and as in the layers `lower` (top first), goes as well:
    overlay copied it only because of the mount point.
    """
    root = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for path in reversed(paths):
        parent, _, name = path.rpartition("/")
        try:
            fd = syscalls.openat2(root, parent or ".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            before = os.fstat(fd)
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(name, dir_fd=fd)
            elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
                os.unlink(name, dir_fd=fd)
            os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        except OSError:
            pass
        finally:
            os.close(fd)
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and _is_mere_copy(root, parent, lower):
            above, _, name = parent.rpartition("/")
            if not _remove_copy(root, above, name):
                break
            parent = above
    os.close(root)


def _is_mere_copy(root: int, path: str, lower: list[str] | tuple[str, ...]) -> bool:
    """Whether a directory of an upper tree is empty and the same as in the topmost layer that has it."""
    own = _look(root, path)
    if own is None or own[2] or any(name.endswith((".overlay.opaque", ".overlay.redirect")) for name in own[1]):
        return False
    for tree in lower:
        top = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            below = _look(top, path)
        finally:
            os.close(top)
        if below is not None:
            plain = [{name: value for name, value in one[1].items() if ".overlay." not in name} for one in (own, below)]
            return own[0] == below[0] and plain[0] == plain[1]
    return False


def _look(root: int, path: str) -> tuple[tuple[int, ...], dict[str, bytes], bool] | None:
    """(Mode, owners and time), attributes, and whether anything is in it, of a directory in a tree; None where there is none."""
    try:
        fd = syscalls.openat2(root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, resolve=_NO_LINKS)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        names = {name: os.getxattr(fd, name) for name in os.listxattr(fd)}
        return (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns), names, bool(os.listdir(fd))
    except OSError:
        return None
    finally:
        os.close(fd)


def _remove_copy(root: int, parent: str, name: str) -> bool:
    try:
        fd = syscalls.openat2(root, parent or ".", os.O_RDONLY | os.O_DIRECTORY, resolve=_NO_LINKS)
    except OSError:
        return False
    try:
        before = os.fstat(fd)
        os.rmdir(name, dir_fd=fd)
        os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
