"""Hooks of a bundle: programs that are told the container's state on their standard input, at points of its life.

It must not import anything but what init holds: init runs those of the container itself. Source: OCI runtime specification, config.md
"POSIX-platform Hooks".
"""

from __future__ import annotations

import errno
import os
import select

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import dumps, signal
from labcontainers.runtime.handshake import memory_file, read_all
from labcontainers.runtime.rootfs import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labcontainers.oci.runtime_spec import Document

_TOLD_BYTES = 400


def run_hooks(kind: str, hooks: list[Document], state: Document, confine: Callable[[], None] | None = None) -> None:
    """Run these one after the other, and wait; raises Refused at the first that fails, with the end of what it wrote.

    `confine` is done by each process of theirs just before it becomes the hook.
    """
    for number, hook in enumerate(hooks):
        why = _run(hook, state, confine)
        if why:
            raise Refused(f"hooks.{kind}[{number}]: {hook['path']} {why}")


def try_hooks(kind: str, hooks: list[Document], state: Document) -> list[str]:
    """Run all of these, whatever becomes of each; what went wrong, one line each."""
    failed = [(number, hook["path"], _run(hook, state)) for number, hook in enumerate(hooks)]
    return [f"hooks.{kind}[{number}]: {path} {why}" for number, path, why in failed if why]


def _run(hook: Document, state: Document, confine: Callable[[], None] | None = None) -> str:
    """Why it failed, or ""."""
    given = memory_file(dumps(state).encode())
    told = os.memfd_create("hook", os.MFD_CLOEXEC)
    try:
        # environ(7) is inherited, as everywhere, where the hook has none of its own
        environment = os.environ if hook["env"] is None else dict(entry.partition("=")[::2] for entry in hook["env"])
        try:
            pid = _spawn(hook, environment, given, told, confine)
        except OSError as error:
            return f"cannot be run: {os.strerror(error.errno or 0).lower()}"
        try:
            if not _ends(pid, hook["timeout"]):
                return f"took longer than {hook['timeout']} s"
            _, status = os.waitpid(pid, 0)
        except KeyboardInterrupt:
            _end(pid)
            raise
        if status == 0:
            return ""
        how = f"was killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"ended with {os.WEXITSTATUS(status)}"
        words = " ".join(read_all(told)[-_TOLD_BYTES:].decode("utf-8", "replace").split())
        return f"{how}: {words}" if words else how
    finally:
        os.close(given)
        os.close(told)


def _spawn(hook: Document, environment: Mapping[str, str], given: int, told: int, confine: Callable[[], None] | None) -> int:
    """Start it in a group of its own, so that all that it starts can be ended with it; its pid. Raises OSError."""
    arguments = hook["args"] or [hook["path"]]
    streams = ((given, 0), (told, 1), (told, 2))
    if confine is None:
        actions = [(os.POSIX_SPAWN_DUP2, *pair) for pair in streams]
        return os.posix_spawn(hook["path"], arguments, environment, file_actions=actions, setpgroup=0)
    if not os.access(hook["path"], os.X_OK):
        os.stat(hook["path"])
        raise PermissionError(errno.EACCES, "permission denied")
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            for pair in streams:
                os.dup2(*pair)
            confine()
            os.execve(hook["path"], arguments, environment)
        finally:
            os._exit(126)
    return pid


def _ends(pid: int, timeout_s: int | None) -> bool:
    if timeout_s is None:
        return True
    pidfd = syscalls.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    ended = bool(poll.poll(timeout_s * 1000))
    os.close(pidfd)
    if not ended:
        _end(pid)
    return ended


def _end(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)  # its group is not made yet
    os.waitpid(pid, 0)
