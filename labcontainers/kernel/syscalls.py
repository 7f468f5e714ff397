"""System calls by their man-page names, through libc's syscall(2), for single-threaded helper processes and the engine alike.

It must not import anything but `os sys ctypes struct`: the launcher loads it without site-packages, and a process inside a
container's root must never look for another module.
"""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWTIME = 0x00000080
CLONE_VFORK = 0x00004000
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PIDFD = 0x00001000
CLONE_INTO_CGROUP = 0x200000000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
KEYCTL_JOIN_SESSION_KEYRING = 1
CLOSE_RANGE_CLOEXEC = 4
MADV_POPULATE_READ = 22

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

# Numbers differ below 424 and are common from there on (include/uapi/asm-generic/unistd.h, arch/x86/entry/syscalls).
_COMMON = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}
_NUMBERS = {
    "x86_64": {
        "clone": 56, "pivot_root": 155, "mount": 165, "umount2": 166, "sethostname": 170, "setdomainname": 171, "capget": 125,
        "rt_sigaction": 13, "capset": 126, "prctl": 157, "keyctl": 250, "unshare": 272, "setns": 308, "seccomp": 317, "setgroups": 116,
        "inotify_init1": 294, "inotify_add_watch": 254, "inotify_rm_watch": 255, "fstatfs": 138, "bpf": 321, "madvise": 28,
        "syncfs": 306, "personality": 135, "sched_setattr": 314, "ioprio_set": 251,
    },
    "aarch64": {
        "clone": 220, "pivot_root": 41, "mount": 40, "umount2": 39, "sethostname": 161, "setdomainname": 162, "capget": 90,
        "rt_sigaction": 134, "capset": 91, "prctl": 167, "keyctl": 219, "unshare": 97, "setns": 268, "seccomp": 277, "setgroups": 159,
        "inotify_init1": 26, "inotify_add_watch": 27, "inotify_rm_watch": 28, "fstatfs": 44, "bpf": 280, "madvise": 233,
        "syncfs": 267, "personality": 92, "sched_setattr": 274, "ioprio_set": 30,
    },
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_table = {**_COMMON, **_NUMBERS.get(os.uname().machine, {})}

Argument = int | bytes | None


def number(name: str) -> int:
    """The number of the system call `name` on this machine; raises OSError ENOSYS for one that the table lacks."""
    found = _table.get(name)
    if found is None:
        raise OSError(38, f"system call {name} is not known on {os.uname().machine}")
    return found


def call(name: str, *arguments: Argument) -> int:
    """Make the system call `name`; integers are passed as longs, bytes as pointers, None as NULL. Raises OSError.

    May block as the call does; releases the GIL. Source: syscall(2).
    """
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = _syscall(ctypes.c_long(number(name)), *converted)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def prctl(option: int, argument2: Argument = 0, argument3: Argument = 0, argument4: Argument = 0, argument5: Argument = 0) -> int:
    """prctl(2); raises OSError."""
    return call("prctl", option, argument2, argument3, argument4, argument5)


def unshare(flags: int) -> None:
    """unshare(2): leave namespaces. Only for single-threaded processes; raises OSError."""
    call("unshare", flags)


def setns(fd: int, nstype: int) -> None:
    """setns(2) with a namespace descriptor, or a pidfd and several flags at once (Linux 5.8); raises OSError."""
    call("setns", fd, nstype)


def clone(flags: int, *, exit_signal: int = 17, cgroup_fd: int = -1) -> int:
    """Fork with new namespaces by clone3(2), or clone(2) where that is refused; 0 in the child, the pid in the parent.

    Only for single-threaded processes: no atfork handler runs. With `cgroup_fd` the child starts inside that cgroup
    (Linux 5.7); OSError otherwise tells what the kernel refused.
    """
    if cgroup_fd >= 0:
        flags |= CLONE_INTO_CGROUP
    if flags & CLONE_PARENT:
        exit_signal = 0
    arguments = struct.pack("=11Q", flags, 0, 0, 0, exit_signal, 0, 0, 0, 0, 0, max(cgroup_fd, 0))
    try:
        return call("clone3", arguments, len(arguments))
    except OSError as error:
        if error.errno != 38 or cgroup_fd >= 0:
            raise
    return call("clone", flags | exit_signal, 0, 0, 0, 0)


def openat2(dirfd: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) -> int:
    """openat2(2): open `path` as if `dirfd` were the root, so that no symlink of the tree leads outside; raises OSError."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    return call("openat2", dirfd, os.fsencode(path), how, len(how))


def close_range(first: int, last: int = 0x7FFFFFFF, flags: int = CLOSE_RANGE_CLOEXEC) -> None:
    """close_range(2): mark (or close, with flags 0) every descriptor from `first` on; raises OSError."""
    call("close_range", first, last, flags)


def reset_signal(number: int) -> None:
    """Give a signal its default action by rt_sigaction(2) itself: libc refuses that for the two that it keeps to itself (nptl(7))."""
    call("rt_sigaction", number, bytes(32), None, 8)


def pidfd_open(pid: int) -> int:
    """pidfd_open(2), Linux 5.3; raises OSError."""
    return call("pidfd_open", pid, 0)


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """pidfd_send_signal(2): raises ProcessLookupError when the process is gone."""
    call("pidfd_send_signal", pidfd, signal, None, 0)


def capset(permitted: int, effective: int, inheritable: int = 0) -> None:
    """capset(2) for this thread, from masks of 64 bits (version 3 of the header); raises OSError."""
    header = struct.pack("=Ii", 0x20080522, 0)
    low, high = 0xFFFFFFFF, 32
    data = struct.pack(
        "=6I", effective & low, permitted & low, inheritable & low, effective >> high, permitted >> high, inheritable >> high
    )
    call("capset", header, data)


def capget() -> tuple[int, int, int]:
    """(permitted, effective, inheritable) of this thread by capget(2), as masks of 64 bits; raises OSError."""
    header = struct.pack("=Ii", 0x20080522, 0)
    data = ctypes.create_string_buffer(24)
    call("capget", header, ctypes.cast(data, ctypes.c_void_p).value)
    words = struct.unpack("=6I", data.raw)
    return words[1] | words[4] << 32, words[0] | words[3] << 32, words[2] | words[5] << 32


def fstatfs(fd: int) -> bytes:
    """struct statfs of the file system that `fd` lies on, whose first word is its type (statfs(2)); raises OSError."""
    buffer = ctypes.create_string_buffer(128)
    call("fstatfs", fd, ctypes.cast(buffer, ctypes.c_void_p).value or 0)
    return buffer.raw


def syncfs(fd: int) -> None:
    """Bring all that was written on the file system of `fd` to disk (syncfs(2)); blocks, and raises OSError."""
    call("syncfs", fd)


def madvise(address: int, length: int, advice: int) -> None:
    """madvise(2); raises OSError, EINVAL for an advice that this kernel does not know (MADV_POPULATE_READ is of Linux 5.14)."""
    call("madvise", address, length, advice)


def pidfd_getfd(pidfd: int, target_fd: int) -> int:
    """pidfd_getfd(2), Linux 5.6: a duplicate of a descriptor of another process, close-on-exec; raises OSError."""
    return call("pidfd_getfd", pidfd, target_fd, 0)


def seccomp_filter(program: bytes, flags: int = 0) -> int:
    """seccomp(2) SECCOMP_SET_MODE_FILTER with a packed array of sock_filter; raises OSError.

    With SECCOMP_FILTER_FLAG_NEW_LISTENER among `flags`, the descriptor on which an agent answers for the kernel; else 0.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    address = ctypes.cast(buffer, ctypes.c_void_p).value or 0
    fprog = struct.pack("=HxxxxxxQ", len(program) // 8, address)
    return call("seccomp", SECCOMP_SET_MODE_FILTER, flags, fprog)


# Where this program's arguments lie in memory: a fork has them at the same place, and inside a container cannot ask for it.
_arguments: list[int] = []


def set_process_title(title: str) -> None:
    """Show `title` in `ps` as both the name and the command line of this process; longer titles are cut to the old argv.

    Source: proc_pid_stat(5) fields 48 and 49 (arg_start, arg_end), PR_SET_NAME of prctl(2).
    """
    name = title.encode()
    prctl(PR_SET_NAME, name[:15] + b"\0")
    if not _arguments:
        fd = os.open("/proc/self/stat", os.O_RDONLY | os.O_CLOEXEC)
        fields = os.read(fd, 4096).rsplit(b")", 1)[1].split()
        os.close(fd)
        _arguments.extend((int(fields[45]), int(fields[46])))
    start, end = _arguments
    room = end - start
    if start and room > 1:
        ctypes.memset(start, 0, room)
        ctypes.memmove(start, name[: room - 1], min(len(name), room - 1))
