"""The operations of a plan as shell commands for the container's first process: all but its account; pure, it must not run anything.

Where the engine goes by descriptors, commands go by paths. Where a command has no way to do it, a comment says so (`not_done`).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from labcontainers.kernel import mounts

Arguments = Mapping[str, Any]
Commands = Iterable[str]
ROOT = "$ROOT"
_quote = shlex.quote

_MOUNT_WORDS = {
    mounts.MS_RDONLY: "ro",
    mounts.MS_NOSUID: "nosuid",
    mounts.MS_NODEV: "nodev",
    mounts.MS_NOEXEC: "noexec",
    mounts.MS_SYNCHRONOUS: "sync",
    mounts.MS_DIRSYNC: "dirsync",
    mounts.MS_NOATIME: "noatime",
    mounts.MS_NODIRATIME: "nodiratime",
    mounts.MS_RELATIME: "relatime",
    mounts.MS_STRICTATIME: "strictatime",
}
_ATTRIBUTE_WORDS = {
    mounts.MOUNT_ATTR_RDONLY: "ro",
    mounts.MOUNT_ATTR_NOSUID: "nosuid",
    mounts.MOUNT_ATTR_NODEV: "nodev",
    mounts.MOUNT_ATTR_NOEXEC: "noexec",
}
# What the commands below call, as mount_setattr(2) has it: a remount alone would take other flags of the mount away.
FUNCTIONS = (
    "# set_attributes PATH WORDS [-R]: with -R also on the mounts below",
    "set_attributes() {",
    '    findmnt ${3:-} -rno TARGET,VFS-OPTIONS --mountpoint "$1" | while read -r where words; do',
    '        mount -o "remount,bind,$words,$2" "$where"',
    "    done",
    "}",
)


def not_done(text: str) -> str:
    """A comment on what no command does."""
    return f"# not done: {text}"


def commands_of(name: str, arguments: Arguments) -> Commands | None:
    """The commands of one operation; None for one that belongs to the account."""
    make = _COMMANDS.get(name)
    return None if make is None else make(arguments)


def _path(path: str) -> str:
    """A path of the container, as seen from outside."""
    return f'"{ROOT}"{_quote(path)}'


def _parent(path: str) -> str:
    return _path(path.rpartition("/")[0] or "/")


def _words(flags: int, data: str) -> str:
    return ",".join([*(word for bit, word in _MOUNT_WORDS.items() if flags & bit), *([data] if data else [])])


def _mount(a: Arguments) -> Commands:
    options = _words(a["flags"], a["data"])
    yield f"mkdir -p {_path(a['target'])}"
    option = ["-o", _quote(options)] if options else []
    yield " ".join(["mount -t", a["fstype"], *option, _quote(a["source"]), _path(a["target"])])


def _tmpfs(a: Arguments) -> Commands:
    target, options = _path(a["target"]), _words(a["flags"], a["data"])
    if any(word.startswith("mode=") for word in a["data"].split(",")):
        yield f"mkdir -p {target}"
        yield f"mount -t tmpfs -o {_quote(options)} tmpfs {target}"
    else:
        # One of the image keeps its mode.
        yield f"mode=$(stat -c ,mode=%a {target} 2>/dev/null || :); mkdir -p {target}"
        yield f'mount -t tmpfs -o {_quote(options)}"$mode" tmpfs {target}'


def _overlay(a: Arguments) -> Commands:
    more = ",userxattr" if a.get("userxattr") else ""
    options = f"lowerdir={':'.join(a['lower'])},upperdir={a['upper']},workdir={a['work']},nodev{more}"
    yield f"ROOT={_quote(a['target'])}"
    yield f'mount -t overlay -o {_quote(options)} overlay "{ROOT}"'


def _bind_root(a: Arguments) -> Commands:
    yield f"ROOT={_quote(a['target'])}"
    yield f'mount --rbind {_quote(a["source"])} "{ROOT}"'
    yield f'set_attributes "{ROOT}" nodev -R'


def _bind(a: Arguments) -> Commands:
    source = f"{a['source']}/{a['subpath']}" if a.get("subpath") else a["source"]
    target, recursive = _path(a["target"]), a.get("recursive", True)
    yield f"if [ -d {_quote(source)} ]; then mkdir -p {target}; else mkdir -p {_parent(a['target'])}; [ -e {target} ] || : > {target}; fi"
    yield f"mount {'--rbind' if recursive else '--bind'} {_quote(source)} {target}"
    words = ",".join(word for bit, word in _ATTRIBUTE_WORDS.items() if a.get("attributes", 0) & bit)
    if words:
        yield f"set_attributes {target} {words}" + (" -R" if recursive and a.get("below", True) else "")


def _bind_kernel(a: Arguments) -> Commands:
    """One that the host lacks is left out."""
    source, target = _quote(a["source"]), _path(a["target"])
    yield f"if [ -e {source} ]; then mkdir -p {target}; mount --rbind {source} {target}; fi"


def _layers(a: Arguments) -> Commands:
    options = f"ro,nodev,lowerdir={':'.join(a['lower'])}" + (",userxattr" if a.get("userxattr") else "")
    yield f"mount -t overlay -o {_quote(options)} overlay {_quote(a['target'])}"


def _device(a: Arguments) -> Commands:
    if a["bind"]:
        return _bind({"source": a["path"], "target": a["path"], "recursive": False})
    return [f"mknod -m {a['mode'] & 0o7777:o} {_path(a['path'])} c {a['major']} {a['minor']}"]


def _device_node(a: Arguments) -> Commands:
    """Made in the container's /dev, since no node works elsewhere; bound from there when it is wanted there."""
    numbers = "" if a["kind"] == "p" else f" {a['major']} {a['minor']}"
    below_dev = a["path"].startswith("/dev/")
    node = _path(a["path"] if below_dev else "/dev/.labcontainers-device")
    if below_dev:
        yield f"mkdir -p {_parent(a['path'])}; rm -f {node}"
    yield f"mknod -m {a['mode'] & 0o7777:o} {node} {a['kind']}{numbers}"
    yield f"chown {a['uid']}:{a['gid']} {node}"
    if not below_dev:
        target = _path(a["path"])
        yield f"mkdir -p {_parent(a['path'])}; [ -e {target} ] || : > {target}"
        yield f"mount --bind {node} {target}; rm {node}"


def _bind_device(a: Arguments) -> Commands:
    return _bind({"source": a["source"], "target": a["target"], "recursive": False})


def _mask(a: Arguments) -> Commands:
    path, null = _path(a["path"]), _path("/dev/null")
    yield f"if [ -d {path} ]; then mount -t tmpfs -o ro,size=0 tmpfs {path}; elif [ -e {path} ]; then mount --bind {null} {path}; fi"


def _read_only(a: Arguments) -> Commands:
    path = _path(a["path"])
    yield f"if [ -e {path} ]; then mount --rbind {path} {path}; set_attributes {path} ro -R; fi"


def _join(a: Arguments) -> Commands:
    yield not_done(f"{a['target']} does not hear of what the host mounts at {a['source']} later (it is {a['propagation']})")


def _said(text: str) -> Callable[[Arguments], Commands]:
    return lambda a: [not_done(text)]


_COMMANDS: Mapping[str, Callable[[Arguments], Commands]] = {
    "pause": lambda a: (),
    "join_cgroups": lambda a: (),
    "unshare": lambda a: (),
    "network_offer": lambda a: (),
    "network_wait": lambda a: (),
    "loopback": lambda a: ["ip link set lo up"],
    "private": lambda a: ["mount --make-rprivate /"],
    "overlay": _overlay,
    "bind_root": _bind_root,
    "mount": _mount,
    "tmpfs": _tmpfs,
    "join": _join,
    "layers": _layers,
    "bind": _bind,
    "bind_kernel": _bind_kernel,
    "bind_device": _bind_device,
    "device": _device,
    "device_node": _device_node,
    "attach_shared": _said("/dev/shm is that of the container whose ipc namespace is joined"),
    "terminal": _said(
        "a pseudo-terminal is opened in the container's own /dev/pts and bound on /dev/console: the streams stay as they are"
    ),
    "symlink": lambda a: [f"ln -s {_quote(a['target'])} {_path(a['path'])}"],
    "mask": _mask,
    "readonly": _read_only,
    "make_directory": lambda a: [f"mkdir -p {_path(a['path'])}"],
    "pivot": _said("pivot_root(2) and the end of the old root, since commands of the machine are needed to the last: it is a chroot"),
    "finish": lambda a: [f'set_attributes "{ROOT}" ro'] if a["readonly"] else (),
    "hostname": lambda a: [f"hostname {_quote(a['name'])}"],
    "domainname": lambda a: [f"echo {_quote(a['name'])} > /proc/sys/kernel/domainname"],
    "sysctl": lambda a: [f"echo {_quote(a['value'])} > {_path('/proc/sys/' + a['name'].replace('.', '/'))}"],
    "keyring": _said("a session keyring of its own (keyctl(2))"),
    "oom_score": lambda a: [f"echo {a['value']} > /proc/self/oom_score_adj"],
    "apparmor": lambda a: [not_done(f"the program is executed under the AppArmor profile {a['name']}")],
    "seccomp": lambda a: [not_done(f"a filter of {a.get('bytes', 0) // 8} instructions for system calls is loaded (seccomp(2))")],
    "identity": lambda a: (),
}
