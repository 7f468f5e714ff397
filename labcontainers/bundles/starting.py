"""What a new process is told and asked from its cloning to its program, by who creates and who starts it; a container's and an exec's.

It must not know bundles or states on disk.
"""

from __future__ import annotations

import os
import resource

from labcontainers.bundles.filters import Page, hand_over
from labcontainers.bundles.plan import limit_row, no_capabilities
from labcontainers.kernel import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from labcontainers.bundles.logs import Log
    from labcontainers.bundles.states import State
    from labcontainers.oci.runtime_spec import Document
    from labcontainers.runtime.handshake import Channel


def failed(failure: Document) -> Exception:
    """The error that a process told of before it became its program, as one of this project's."""
    from labcontainers.errors import StartFailed

    about = f" {failure['about']}" if failure.get("about") and not failure.get("refused") else ""
    operation = "" if failure.get("refused") else f"{failure['operation'].replace('_', ' ')}{about}: "
    return StartFailed(f"{operation}{failure['message']}", 1)


def await_created(channel: Channel, log: Log, on: dict[str, Callable[[list[int]], Any]]) -> None:
    """Attend to the process until it is ready; `on` has what is done for `hooks` and a `terminal`. Raises StartFailed."""
    while True:
        message, fds = channel.receive()
        if not isinstance(message, dict):
            raise failed({"operation": "create", "message": "the process died before it was ready"})
        if "error" in message:
            raise failed(message["error"])
        if "lacks" in message:
            log.warn(_missing(message["lacks"]))
        elif "created" in message:
            return
        else:
            on[next(iter(message))](fds)


def _missing(bits: int) -> str:
    from labcontainers.kernel.capability_names import NAMES

    names = [f"CAP_{name}" for bit, name in enumerate(NAMES) if bits >> bit & 1]
    return f"process.capabilities: this host has no {', '.join(names)} to give, so the process goes without"


def await_program(channel: Channel, state: State, pid: int, notify: bool) -> None:
    """Let the process go on, and wait until it has become its program; raises StartFailed."""
    page = Page() if notify else None
    try:
        channel.send({"start": True}, (page.fd,) if page else ())
    except OSError:
        raise failed({"operation": "start", "message": "the process has ended"}) from None
    while True:
        message, _ = channel.receive()
        if not isinstance(message, dict):
            return
        if "error" in message:
            raise failed(message["error"])
        if "listener" in message and page is not None:
            pidfd = syscalls.pidfd_open(pid)
            try:
                hand_over(state, pidfd, message["listener"], page)
            except OSError as error:
                syscalls.pidfd_send_signal(pidfd, 9)
                why = (error.strerror or str(error)).lower()
                path = state.values["config"]["linux"]["seccomp"]["listenerPath"]
                raise failed({"operation": "linux.seccomp.listenerPath", "about": path, "message": why}) from None
            finally:
                os.close(pidfd)


def prepare(process: Document, log: Log) -> None:
    """Raise this process' own hard limits as far as the new one needs, which inherits them; it sets its own at its very end.

    What cannot be had is told: limits that may not be raised, and capabilities that there are not.
    """
    for name in no_capabilities(process):
        log.warn(f"process.capabilities: {name} is no capability that is known here, so the process goes without")
    for limit in process["rlimits"]:
        kind, _, wanted = limit_row(limit)
        soft, most = resource.getrlimit(kind)
        if most == resource.RLIM_INFINITY or (wanted != resource.RLIM_INFINITY and wanted <= most):
            continue
        try:
            resource.setrlimit(kind, (soft, wanted))
        except (OSError, ValueError):
            log.warn(f"process.rlimits: {limit['type']} cannot be raised to {limit['hard']} here, so it is {most}")


def set_oom_score(pid: int, process: Document, log: Log) -> None:
    """From outside, where the rights are that lowering it takes."""
    if process["oomScoreAdj"] is None:
        return
    try:
        fd = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(process["oomScoreAdj"]).encode())
        finally:
            os.close(fd)
    except OSError as error:
        log.warn(f"process.oomScoreAdj: {process['oomScoreAdj']} is not possible here: {os.strerror(error.errno or 0).lower()}")
