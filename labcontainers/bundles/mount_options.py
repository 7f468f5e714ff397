"""The options of a mount in a bundle, as in mount(8) and the OCI runtime specification ("Mounts"), turned into the kernel's numbers.

It must not make any system call.
"""

from __future__ import annotations

from labcontainers.kernel import mounts as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Option -> (bits of mount(2) to set, to clear).
_FLAGS = {
    "acl": (m.MS_POSIXACL, 0),
    "async": (0, m.MS_SYNCHRONOUS),
    "atime": (0, m.MS_NOATIME),
    "defaults": (0, 0),
    "dev": (0, m.MS_NODEV),
    "diratime": (0, m.MS_NODIRATIME),
    "dirsync": (m.MS_DIRSYNC, 0),
    "exec": (0, m.MS_NOEXEC),
    "iversion": (m.MS_I_VERSION, 0),
    "lazytime": (m.MS_LAZYTIME, 0),
    "loud": (0, m.MS_SILENT),
    "mand": (m.MS_MANDLOCK, 0),
    "noacl": (0, m.MS_POSIXACL),
    "noatime": (m.MS_NOATIME, 0),
    "nodev": (m.MS_NODEV, 0),
    "nodiratime": (m.MS_NODIRATIME, 0),
    "noexec": (m.MS_NOEXEC, 0),
    "noiversion": (0, m.MS_I_VERSION),
    "nolazytime": (0, m.MS_LAZYTIME),
    "nomand": (0, m.MS_MANDLOCK),
    "norelatime": (0, m.MS_RELATIME),
    "nostrictatime": (0, m.MS_STRICTATIME),
    "nosuid": (m.MS_NOSUID, 0),
    "nosymfollow": (m.MS_NOSYMFOLLOW, 0),
    "relatime": (m.MS_RELATIME, 0),
    "remount": (m.MS_REMOUNT, 0),
    "ro": (m.MS_RDONLY, 0),
    "rw": (0, m.MS_RDONLY),
    "silent": (m.MS_SILENT, 0),
    "strictatime": (m.MS_STRICTATIME, 0),
    "suid": (0, m.MS_NOSUID),
    "symfollow": (0, m.MS_NOSYMFOLLOW),
    "sync": (m.MS_SYNCHRONOUS, 0),
}
PROPAGATION = {
    "private": m.MS_PRIVATE,
    "shared": m.MS_SHARED,
    "slave": m.MS_SLAVE,
    "unbindable": m.MS_UNBINDABLE,
    "rprivate": m.MS_PRIVATE | m.MS_REC,
    "rshared": m.MS_SHARED | m.MS_REC,
    "rslave": m.MS_SLAVE | m.MS_REC,
    "runbindable": m.MS_UNBINDABLE | m.MS_REC,
}
# Option -> (attributes of mount_setattr(2) to set, to clear); with an r before it, on all mounts below as well.
_ATTRIBUTES = {
    "ro": (m.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, m.MOUNT_ATTR_RDONLY),
    "nosuid": (m.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, m.MOUNT_ATTR_NOSUID),
    "nodev": (m.MOUNT_ATTR_NODEV, 0),
    "dev": (0, m.MOUNT_ATTR_NODEV),
    "noexec": (m.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, m.MOUNT_ATTR_NOEXEC),
    "nodiratime": (m.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, m.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (m.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, m.MOUNT_ATTR_NOSYMFOLLOW),
    "relatime": (0, m.MOUNT_ATTR_ATIME),
    "norelatime": (m.MOUNT_ATTR_STRICTATIME, m.MOUNT_ATTR_ATIME),
    "noatime": (m.MOUNT_ATTR_NOATIME, m.MOUNT_ATTR_ATIME),
    "atime": (0, m.MOUNT_ATTR_ATIME),
    "strictatime": (m.MOUNT_ATTR_STRICTATIME, m.MOUNT_ATTR_ATIME),
    "nostrictatime": (0, m.MOUNT_ATTR_ATIME),
}
_OTHERS = ("bind", "rbind", "tmpcopyup", "idmap", "ridmap")


def known() -> list[str]:
    """Every option that is not the file system's own, sorted."""
    return sorted({*_FLAGS, *PROPAGATION, *(f"r{name}" for name in _ATTRIBUTES), *_OTHERS})


class MountOptions:
    """The options of one mount: flags of mount(2), attributes for it and for all below, propagations in order, the file system's own."""

    __slots__ = ("attributes", "bind", "clear", "copy_up", "data", "flags", "id_map", "propagations", "rec_attributes", "rec_clear")

    def __init__(self, options: Iterable[str]) -> None:
        self.flags = self.attributes = self.clear = self.rec_attributes = self.rec_clear = 0
        self.bind = self.id_map = ""
        self.copy_up = False
        self.propagations: list[int] = []
        own: list[str] = []
        for option in options:
            self._take(option, own)
        self.data = ",".join(own)

    def _take(self, option: str, own: list[str]) -> None:
        if option in ("bind", "rbind"):
            self.bind = option
        elif option in ("idmap", "ridmap"):
            self.id_map = option
        elif option == "tmpcopyup":
            self.copy_up = True
        elif option in PROPAGATION:
            self.propagations.append(PROPAGATION[option])
        elif option in _FLAGS:
            put, away = _FLAGS[option]
            self.flags = self.flags & ~away | put
            if option in _ATTRIBUTES:
                put, away = _ATTRIBUTES[option]
                self.attributes, self.clear = self.attributes & ~away | put, self.clear & ~put | away
        elif option[:1] == "r" and option[1:] in _ATTRIBUTES:
            put, away = _ATTRIBUTES[option[1:]]
            self.rec_attributes, self.rec_clear = self.rec_attributes & ~away | put, self.rec_clear & ~put | away
        elif option:
            own.append(option)
