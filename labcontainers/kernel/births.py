"""Being born in a control group of version 2, by clone3(2), where a process that moves there would wait for an RCU grace period.

It must not know whose group it is, and imports nothing but what the launcher holds. Some kernels (6.13 to 6.18 at least) kill whoever
is born in a group in which all were killed once by cgroup.kill (cgroups(7)), if the group of the parent was not: there one has to move.
"""

from __future__ import annotations

import errno
import os

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import signal

# before Linux 5.7, where a filter hides clone3(2) or its arguments, or where the group takes no process itself
_CANNOT_BE_BORN = (errno.EINVAL, errno.ENOSYS, errno.E2BIG, errno.EOPNOTSUPP)


def clone_in(cgroup_fd: int, flags: int = 0) -> tuple[int, bool]:
    """A child for the group, 0 in itself, and whether it is there already: else it has to call move_in. Raises OSError.

    Only for processes of one thread, as syscalls.clone.
    """
    try:
        return syscalls.clone(flags, cgroup_fd=cgroup_fd), True
    except OSError as error:
        if error.errno not in _CANNOT_BE_BORN:
            raise
    return syscalls.clone(flags), False


def move_in(cgroup_fd: int) -> None:
    """Move this process into the group; raises OSError."""
    fd = os.open("cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=cgroup_fd)
    try:
        os.write(fd, b"0")
    finally:
        os.close(fd)


def kills(cgroup_fd: int) -> bool:
    """Whether the kernel kills who is born in the group, found by trying. Raises OSError where none can be born there at all."""
    pid = syscalls.clone(0, cgroup_fd=cgroup_fd)
    if pid == 0:
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
