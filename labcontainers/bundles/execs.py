"""`exec`: one more process in a container that runs, and for who waits for it, its exit code.

It must not know the command line.
"""

from __future__ import annotations

import os

from labcontainers.bundles import spawning, starting
from labcontainers.bundles.consoles import fit, send_master
from labcontainers.bundles.creating import affinity, place
from labcontainers.bundles.filters import needed_inside
from labcontainers.bundles.inside import begin
from labcontainers.bundles.plan import CLONE_FLAGS, Circumstances, plan_exec
from labcontainers.bundles.states import process_state
from labcontainers.kernel import syscalls
from labcontainers.oci.runtime_spec import check_process
from labcontainers.runtime.handshake import Channel, write_file
from labcontainers.runtime.rootfs import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labcontainers.bundles.logs import Log
    from labcontainers.bundles.states import State
    from labcontainers.oci.runtime_spec import Document

_FILES = {"mount": "mnt", "network": "net"}


class Entry:
    """One process that enters the container of `state`; `process` is as in a config."""

    def __init__(self, state: State, process: Document, log: Log) -> None:
        self._state = state
        self.process = check_process(process)
        self._log = log
        self.console_socket = ""
        self.pid_file = ""
        self.preserve: list[int] = []
        self.pid = 0
        self.master = -1
        self.ignore_paused = False
        self.groups = state.groups

    def start(self) -> None:
        """Start it, until it has become its program; raises LabError."""
        status = self._state.status
        if status not in ("running", "created", "paused") or not self._state.pid:
            from labcontainers.errors import Conflict

            raise Conflict(f"cannot exec in container {self._state.id!r}: it is {status}", "only a running container can be entered")
        if status == "paused" and not self.ignore_paused:
            from labcontainers.errors import Conflict

            raise Conflict(f"cannot exec in a paused container: {self._state.id!r}", "`resume` it first, or use --ignore-paused")
        channel, theirs = Channel.pair()
        try:
            self._start(channel, theirs)
        except Refused as error:
            raise starting.failed({"operation": "exec", "message": str(error), "refused": True}) from None
        finally:
            channel.close()

    def _start(self, channel: Channel, theirs: Channel) -> None:
        values = self._state.values
        linux = values["config"]["linux"]
        kept = values["filter"]
        wanted = self._wanted()
        place(wanted, self.groups)
        host = Circumstances(preserve=self.preserve)
        plan = plan_exec(self.process, host, seccomp=kept is not None)
        notify = bool(kept and kept["notify"])
        inherited = {
            "hooks": {},
            "state": {},
            "listener": -1,
            "leave": [channel.fileno()],
            "filter": kept,
            "mmap": needed_inside(kept),
        }
        starting.prepare(self.process, self._log)
        wanted.affinity = affinity(self.process, "initial")
        self.pid = spawning.spawn(wanted, theirs, lambda: begin(plan, theirs, inherited))
        theirs.close()
        os.close(wanted.pidfd)
        try:
            starting.await_created(channel, self._log, {"terminal": self._take_terminal})
            starting.set_oom_score(self.pid, self.process, self._log)
            if last := affinity(self.process, "final"):
                os.sched_setaffinity(self.pid, last)
            if linux and self.pid_file:
                write_file(self.pid_file, str(self.pid))
                os.chmod(self.pid_file, 0o644)
            self._log.debug(f"process {self.pid} has entered container {self._state.id}")
            starting.await_program(channel, self._state, self.pid, notify)
        except BaseException:
            _end(self.pid)
            raise

    def _wanted(self) -> spawning.Wanted:
        """All namespaces of the container's first process that are not this process' own."""
        wanted = spawning.Wanted()
        pid = self._state.pid
        wanted.pidfd = syscalls.pidfd_open(pid)
        if process_state(pid)[1] != self._state.values["start"]:
            raise Refused("the container has just ended")
        for kind, flag in CLONE_FLAGS.items():
            name = _FILES.get(kind, kind)
            try:
                if os.stat(f"/proc/self/ns/{name}").st_ino != os.stat(f"/proc/{pid}/ns/{name}").st_ino:
                    wanted.pidfd_flags |= flag
            except FileNotFoundError:
                continue  # a kind that this kernel does not have
            except PermissionError:
                raise Refused("this user may not enter the container") from None
        return wanted

    def _take_terminal(self, fds: list[int]) -> None:
        master, peer = fds
        os.close(peer)
        if self.console_socket:
            send_master(self.console_socket, master)
            os.close(master)
        else:
            self.master = master
            fit(master)


def _end(pid: int) -> None:
    try:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    except OSError:
        pass
