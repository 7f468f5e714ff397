"""The words of `--tmpfs TARGET:OPTIONS`: flags of mount(8) and options of tmpfs(5); it must not mount anything.

Source: moby's pkg/mount (MergeTmpfsOptions): the last word of a kind counts, and without others noexec, nosuid and nodev hold.
"""

from __future__ import annotations

import re

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.kernel import mounts
from labcontainers.kernel.mounts import MS_NODEV, MS_NOEXEC, MS_NOSUID

# word -> (flags that it sets, flags that it clears)
_FLAGS = {
    "defaults": (0, 0),
    "ro": (mounts.MS_RDONLY, 0),
    "rw": (0, mounts.MS_RDONLY),
    "suid": (0, MS_NOSUID),
    "nosuid": (MS_NOSUID, 0),
    "dev": (0, MS_NODEV),
    "nodev": (MS_NODEV, 0),
    "exec": (0, MS_NOEXEC),
    "noexec": (MS_NOEXEC, 0),
    "sync": (mounts.MS_SYNCHRONOUS, 0),
    "async": (0, mounts.MS_SYNCHRONOUS),
    "dirsync": (mounts.MS_DIRSYNC, 0),
    "mand": (0, 0),  # Linux 5.15 has no mandatory locks any more
    "nomand": (0, 0),
    "atime": (0, mounts.MS_NOATIME),
    "noatime": (mounts.MS_NOATIME, mounts.MS_RELATIME | mounts.MS_STRICTATIME),
    "diratime": (0, mounts.MS_NODIRATIME),
    "nodiratime": (mounts.MS_NODIRATIME, 0),
    "relatime": (mounts.MS_RELATIME, mounts.MS_NOATIME | mounts.MS_STRICTATIME),
    "norelatime": (0, mounts.MS_RELATIME),
    "strictatime": (mounts.MS_STRICTATIME, mounts.MS_NOATIME | mounts.MS_RELATIME),
    "nostrictatime": (0, mounts.MS_STRICTATIME),
    "private": (0, 0),
    "rprivate": (0, 0),
}
_NOT_HERE = frozenset("remount bind rbind unbindable runbindable shared rshared slave rslave".split())
_VALUES = {
    "size": re.compile(r"[0-9]+[kKmMgG%]?"),
    "nr_blocks": re.compile(r"[0-9]+[kKmMgG]?"),
    "nr_inodes": re.compile(r"[0-9]+[kKmMgG]?"),
    "mode": re.compile(r"[0-7]{1,6}"),
    "uid": re.compile(r"[0-9]{1,10}"),
    "gid": re.compile(r"[0-9]{1,10}"),
    "mpol": re.compile(r"(default|local|prefer|bind|interleave|weighted interleave)(=(static|relative))?(:[0-9,-]+)?"),
}
_DEFAULT = MS_NOSUID | MS_NODEV | MS_NOEXEC


def parse_tmpfs(text: str, target: str = "") -> tuple[int, str]:
    """(MS_* flags, data for the kernel) of comma-separated options. Raises InvalidArgument naming the option, or Unsupported."""
    flags = _DEFAULT
    data: dict[str, str] = {}
    for option in filter(None, text.split(",")):
        name, separator, value = option.partition("=")
        if not separator and name in _FLAGS:
            sets, clears = _FLAGS[name]
            flags = flags & ~clears | sets
        elif not separator and name in _NOT_HERE:
            raise Unsupported(f"tmpfs option {option!r} for {target} is not supported: nothing else can share a new tmpfs", "leave it out")
        elif separator and name in _VALUES and _VALUES[name].fullmatch(value):
            data[name] = value
        else:
            allowed = f"use {', '.join(_FLAGS)}, {', '.join(f'{known}=' for known in _VALUES)}"
            raise InvalidArgument(f"invalid tmpfs option {option!r} for {target}", allowed)
    return flags, ",".join(f"{name}={value}" for name, value in data.items())
