"""A container's health checks, run by its shim as processes inside it: nothing wakes the shim but the check that is due.

It must not import anything but what the launcher holds. Source: the Docker Engine's daemon/health.go (moby, version 28): intervals,
what counts as a failure, the last five results with 4096 bytes of output each, and the words of statuses and events.
"""

from __future__ import annotations

import os
import select
import time

from labcontainers.kernel.lean import Any, dumps, signal
from labcontainers.runtime.execs import Execs
from labcontainers.runtime.handshake import Message, write_file
from labcontainers.runtime.journal import FULL, Journal
from labcontainers.runtime.reactor import Reactor, Timer
from labcontainers.runtime.stdio import Client

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
KEPT_RESULTS = 5
OUTPUT_BYTES = 4096


class Probe(Client):
    """One check under way: it asks for the process as a client does, and hears what becomes of it."""

    def __init__(self, health: Health) -> None:
        self.began = time.time()
        self.timed_out = False
        self.output = b""
        self.truncated = False
        self.streams = ()
        self._health = health
        self.read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.read_fd, False)

    def send(self, message: Message) -> None:
        """Hear from runtime.execs."""
        self._health.hear(self, message)

    def read(self) -> bool:
        """Take what the process has written, as far as it is kept; whether more may come."""
        try:
            data = os.read(self.read_fd, 65536)
        except BlockingIOError:
            return True
        room = OUTPUT_BYTES - len(self.output)
        self.truncated = self.truncated or len(data) > room
        self.output += data[:room]
        return bool(data)

    def text(self) -> str:
        """The output, with Docker's mark where it was cut."""
        return self.output.decode("utf-8", "replace") + ("..." if self.truncated else "")


class Health:
    """The checks of one container; `check` is what the engine asked for.

    It has `exec` (as for runtime.execs), `interval_s`, `timeout_s`, `start_period_s`, `start_interval_s` and `retries`.
    """

    def __init__(self, check: dict[str, Any], reactor: Reactor, execs: Execs, journal: Journal) -> None:
        self._check = check
        self._reactor = reactor
        self._execs = execs
        self._journal = journal
        self._pidfd = -1
        self._started_at = 0.0
        self._timer: Timer | None = None
        self._probe: Probe | None = None
        self._results: list[Message] = []

    def start(self, pidfd: int) -> None:
        """The container has started; what is written down of it is about to be saved."""
        self._pidfd, self._started_at = pidfd, time.time()
        self._journal.state["health"] = {"status": STARTING, "streak": 0}
        self._schedule()

    def hold(self, paused: bool) -> None:
        """While the container is paused, nothing is checked, and a check that was under way does not count."""
        if paused:
            self._drop()
        else:
            self._schedule()

    def stop(self) -> None:
        """The container has ended: as in Docker it is unhealthy from then on."""
        if "health" in self._journal.state:
            self._drop()
            self._journal.state["health"]["status"] = UNHEALTHY

    def _schedule(self) -> None:
        self._timer = self._reactor.later(self._wait_s(), self._begin)

    def _wait_s(self) -> float:
        starting = self._journal.state["health"]["status"] == STARTING
        if starting and time.time() - self._started_at < self._check["start_period_s"]:
            return float(self._check["start_interval_s"])
        return float(self._check["interval_s"])

    def _drop(self) -> None:
        self._reactor.cancel(self._timer)
        self._timer = None
        if self._probe is not None:
            probe = self._probe
            self._let_go(probe)
            self._execs.signal(probe, signal.SIGKILL)

    def _let_go(self, probe: Probe) -> None:
        self._probe = None
        self._reactor.cancel(self._timer)
        self._reactor.forget(probe.read_fd)
        os.close(probe.read_fd)

    # --- one check

    def _begin(self) -> None:
        self._probe = probe = Probe(self)
        self._reactor.watch(probe.read_fd, lambda: self._on_output(probe))
        self._timer = self._reactor.later(self._check["timeout_s"], lambda: self._on_timeout(probe))
        stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._execs.start(probe, self._pidfd, self._check["exec"], [stdin, probe.write_fd, probe.write_fd])
        finally:
            os.close(stdin)
            os.close(probe.write_fd)

    def _on_output(self, probe: Probe) -> None:
        if not probe.read():
            self._reactor.forget(probe.read_fd)

    def _on_timeout(self, probe: Probe) -> None:
        probe.timed_out = True
        self._execs.signal(probe, signal.SIGKILL)

    def hear(self, probe: Probe, message: Message) -> None:
        """What became of a check's process; one that was dropped is heard no more, but for its end."""
        if "started" in message:
            if probe.timed_out or probe is not self._probe:
                self._execs.signal(probe, signal.SIGKILL)
        elif "exited" in message:
            self._end(probe, int(message["exited"]))
        elif "error" in message:
            probe.output = str(message["error"]["message"]).encode("utf-8", "surrogateescape")
            self._end(probe, -1)

    def _end(self, probe: Probe, exit_code: int) -> None:
        if probe is not self._probe:
            return
        if exit_code >= 0:
            while probe.read() and len(probe.output) < OUTPUT_BYTES and _readable(probe.read_fd):
                pass
        self._let_go(probe)
        output = probe.text()
        if probe.timed_out:
            exit_code = -1
            told = f"Health check exceeded timeout ({go_duration(self._check['timeout_s'])})"
            output = f"{told}: {output}" if output else told
        result = {"Start": rfc3339(probe.began), "End": rfc3339(time.time()), "ExitCode": exit_code, "Output": output}
        self._results = [*self._results, result][-KEPT_RESULTS:]
        self._judge(exit_code == 0, probe.began)
        self._schedule()

    def _judge(self, well: bool, began: float) -> None:
        old: Message = self._journal.state["health"]
        status, streak = old["status"], old["streak"]
        if well:
            status, streak = HEALTHY, 0
        elif status != STARTING or began - self._started_at >= self._check["start_period_s"]:
            streak += 1
            status = UNHEALTHY if streak >= self._check["retries"] else status
        self._journal.state["health"] = {"status": status, "streak": streak}
        try:
            write_file(self._journal.directory + "/health.json", dumps(self._results))
            if (status, streak) != (old["status"], old["streak"]):
                self._journal.save()
        except OSError as error:
            if error.errno not in FULL:
                raise
        if status != old["status"]:
            self._journal.event(f"health_status: {status}", time.time())


def _readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def rfc3339(at: float) -> str:
    """Seconds since the epoch as in Docker's documents."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1e9):09d}Z"


def go_duration(seconds: float) -> str:
    """A length of time as Go prints it: 500ms, 1.5s, 1m30s, 1h0m0s."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest:.9g}s"
