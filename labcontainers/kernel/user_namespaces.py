"""User namespaces in which nobody is, and the maps of their ids: for mounts whose files have other owners, and for those who move in.

It must not know whose ids they are, and imports nothing but what the launcher holds. Source: user_namespaces(7).
"""

from __future__ import annotations

import os

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import Callable, signal

Rows = list[list[int]]


def make(give_ids: Callable[[int], None]) -> int:
    """A descriptor of a new user namespace, which lives as long as that or a mount of it.

    `give_ids(pid)` maps its ids by a process that waits in it; what it raises goes on to the caller. Raises OSError where the kernel
    makes none. Only for processes of one thread.
    """
    waiting, told = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            # Else its maps are the machine's root's to write, where a caller that is undumpable handed that on (proc(5)).
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
            os.write(told, b"\0")
            signal.pause()
        except OSError as error:
            os.write(told, bytes([error.errno or 0]))
        finally:
            os._exit(1)
    try:
        os.close(told)
        answer = os.read(waiting, 1)
        if answer != b"\0":
            number = answer[0] if answer else 10  # ECHILD: it died before it could say a word
            raise OSError(number, os.strerror(number))
        give_ids(pid)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(waiting)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def write_maps(pid: int, uids: Rows, gids: Rows) -> None:
    """Write both maps of the namespace that the process is in, rows of (first inside, first outside, count), each by one write(2).

    Raises OSError with the file's path and `text`, what the kernel refused.
    """
    for name, rows in (("uid_map", uids), ("gid_map", gids)):
        write(pid, name, "".join("{} {} {}\n".format(*row) for row in rows))


def write(pid: int, name: str, text: str) -> None:
    """Write a file of /proc/PID that a namespace is set by; raises OSError with the file's path."""
    path = f"/proc/{pid}/{name}"
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), path) from None
    finally:
        os.close(fd)
