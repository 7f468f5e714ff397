"""Hooks of a bundle: programs that are told the container's state on their standard input, at points of its life.

It must not import anything but what init holds: init runs those of the container itself. Source: OCI runtime specification, config.md
"POSIX-platform Hooks".
"""

from __future__ import annotations

import os
import select

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import dumps, signal
from labcontainers.runtime.handshake import memory_file, read_all
from labcontainers.runtime.rootfs import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labcontainers.oci.runtime_spec import Document

_TOLD_BYTES = 400


def run_hooks(kind: str, hooks: list[Document], state: Document) -> None:
    """Run these one after the other, and wait; raises Refused at the first that fails, with the end of what it wrote."""
    for number, hook in enumerate(hooks):
        why = _run(hook, state)
        if why:
            raise Refused(f"hooks.{kind}[{number}]: {hook['path']} {why}")


def try_hooks(kind: str, hooks: list[Document], state: Document) -> list[str]:
    """Run all of these, whatever becomes of each; what went wrong, one line each."""
    failed = [(number, hook["path"], _run(hook, state)) for number, hook in enumerate(hooks)]
    return [f"hooks.{kind}[{number}]: {path} {why}" for number, path, why in failed if why]


def _run(hook: Document, state: Document) -> str:
    """Why it failed, or ""."""
    given = memory_file(dumps(state).encode())
    told = os.memfd_create("hook", os.MFD_CLOEXEC)
    try:
        # environ(7) is inherited, as everywhere, where the hook has none of its own
        environment = os.environ if hook["env"] is None else dict(entry.partition("=")[::2] for entry in hook["env"])
        # A group of its own, so that all that it started can be ended with it.
        actions = [(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, told, 1), (os.POSIX_SPAWN_DUP2, told, 2)]
        try:
            pid = os.posix_spawn(hook["path"], hook["args"] or [hook["path"]], environment, file_actions=actions, setpgroup=0)
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
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
