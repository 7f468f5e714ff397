"""What a shim writes down of its container, alone: the state as the file `state.json`, and lines in the store's event log.

It must not import anything but what the launcher holds. The format of events is store.events'.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from labcontainers.kernel.lean import Any, dumps
from labcontainers.runtime.handshake import Message, write_file
from labcontainers.runtime.stdio import LogFile

# No space on the file system, and none within a quota (write(2)).
FULL = (errno.ENOSPC, errno.EDQUOT)


class Journal:
    """One container's; without a directory (a build step) nothing is written. `event` is what all events have in common, or None.

    `network` is the name, type and id of the network that the container joins, or None for that of another container.
    """

    def __init__(
        self, directory: str, state: Message, event: dict[str, Any] | None, events: str, network: tuple[str, str, str] | None = None
    ) -> None:
        self.directory = directory
        self.state = state
        self.network = network
        self._event = event
        self._events = events
        self._log: LogFile | None = None

    def count_losses(self, log: LogFile) -> None:
        """Write down with the state what a full disk keeps out of the log, the first time at once."""
        self._log = log
        log.on_loss = self._on_loss

    def _on_loss(self) -> None:
        try:
            self.save()
        except OSError as error:
            if error.errno not in FULL:
                raise

    def rename(self, name: str) -> None:
        """The container is called otherwise from now on."""
        if self._event is not None:
            self._event["name"] = name

    def save(self) -> None:
        """Write the state down at once; on a full disk over the old one, whose space is there. Raises OSError."""
        if not self.directory:
            return
        if self._log is not None and self._log.lost_bytes:
            self.state["log_lost_bytes"] = self._log.lost_bytes
        path, text = self.directory + "/state.json", dumps(self.state)
        try:
            write_file(path, text)
        except OSError as error:
            if error.errno not in FULL:
                raise
            _write_over(path, text.encode("utf-8", "surrogateescape"), error)

    def event(self, action: str, at: float, attributes: dict[str, str] | None = None) -> None:
        """Append one event; a full disk loses it, and never stops the container."""
        if self._event is not None:
            self._append(self._of_container(self._event, action, at, attributes))

    def tell_start(self, at: float, *, attached: bool) -> None:
        """The events of a life's beginning: somebody may be attached to it, it is in its network, and it runs."""
        template = self._event
        if template is None:
            return
        events = [self._of_container(template, "attach", at)] if attached else []
        if self.network is not None:
            events.append(self._of_network(template, "connect", at, self.network))
        self._append(*events, self._of_container(template, "start", at))

    def tell_end(self, end: Message) -> None:
        """The events of a life's end, as the shim tells it; `execDuration` is in whole seconds."""
        template, at = self._event, end["finished_at"]
        if template is None:
            return
        events = [self._of_container(template, "oom", at)] if end["oom_killed"] else []
        if self.network is not None:
            events.append(self._of_network(template, "disconnect", at, self.network))
        lasted = str(max(0, int(at - self.state["started_at"])))
        self._append(*events, self._of_container(template, "die", at, {"execDuration": lasted, "exitCode": str(end["exit_code"])}))

    def tell_exec(self, shown: str) -> str:
        """The events of a process that entered the container, whose command line is `shown`; the id of it, for tell_exec_end()."""
        template = self._event
        if template is None:
            return ""
        exec_id, at = os.urandom(32).hex(), time.time()
        about = {"execID": exec_id}
        self._append(*(self._of_container(template, f"{action}: {shown}", at, about) for action in ("exec_create", "exec_start")))
        return exec_id

    def tell_exec_end(self, exec_id: str, exit_code: int) -> None:
        """The event of its end; none for a process that was not told."""
        if exec_id:
            self.event("exec_die", time.time(), {"execID": exec_id, "exitCode": str(exit_code)})

    def _of_container(self, template: Message, action: str, at: float, attributes: dict[str, str] | None = None) -> Message:
        own = {**template["attributes"], **attributes} if attributes else template["attributes"]
        return {**template, "action": action, "time_ns": int(at * 1e9), "attributes": own}

    def _of_network(self, template: Message, action: str, at: float, network: tuple[str, str, str]) -> Message:
        name, kind, network_id = network
        attributes = {"container": template["id"], "type": kind}
        return {"type": "network", "id": network_id, "name": name, "action": action, "time_ns": int(at * 1e9), "attributes": attributes}

    def volume_event(self, action: str, name: str, at: float) -> None:
        """The same for a volume of the container."""
        if self._event is None:
            return
        attributes = {"driver": "local", **({"container": self._event["id"]} if action == "unmount" else {})}
        self._append({"type": "volume", "id": name, "name": name, "action": action, "time_ns": int(at * 1e9), "attributes": attributes})

    def _append(self, *events: dict[str, Any]) -> None:
        """In one write, so that lines of several processes never mix."""
        try:
            fd = os.open(self._events, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return
        try:
            os.write(fd, "".join([dumps(event) + "\n" for event in events]).encode())
        except OSError as error:
            if error.errno not in FULL:
                raise
        finally:
            os.close(fd)


def _write_over(path: str, data: bytes, error: OSError) -> None:
    """Write into the blocks that the file has, blanks after it, since a JSON text may end by them; else raise `error`."""
    try:
        os.unlink(path + ".new")
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        raise error from None
    try:
        size = os.fstat(fd).st_size
        if os.pwrite(fd, data.ljust(size), 0) < len(data):
            raise error
    except OSError:
        raise error from None
    finally:
        os.close(fd)


def take_lock(directory: str) -> int:
    """Be the only shim of the container in `directory`, as long as the descriptor that is returned is open. Raises OSError.

    Engines that ask whether there is one hold the lock for a moment.
    """
    lock = os.open(directory + "/lock", os.O_RDWR | os.O_CLOEXEC)
    for _ in range(1000):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(0.005)
    else:
        raise OSError(errno.EBUSY, "another process runs this container")
    # Who removes the container holds the lock meanwhile, so from here on the directory stays.
    if not os.path.samestat(os.stat(directory + "/lock"), os.fstat(lock)):
        raise OSError(errno.ENOENT, "the container was removed")
    return lock


def failure_of(error: Exception) -> Message:
    """What something that a shim could not do failed by, as a start's failure is told."""
    number, path = getattr(error, "errno", None), getattr(error, "filename", None)
    if path is not None:
        return {"operation": "write", "about": str(path), "message": os.strerror(number or 0).lower(), "errno": number, "exit_code": 125}
    return {"operation": "clone", "about": "", "message": str(error), "errno": number, "exit_code": 125}
