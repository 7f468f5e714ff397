"""A container as the user holds it: a handle whose every answer is read from disk.

It must not know notebooks: how it is shown as a widget is the front's business; its text and HTML forms are plain.
"""

from __future__ import annotations

import html
import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from labcontainers.containers import exec as execs
from labcontainers.containers.explain import Explanation, explain
from labcontainers.containers.inspect import inspect_document
from labcontainers.containers.lifecycle import Lifecycle, Output
from labcontainers.containers.logs import LogQuery, LogReader, Logs
from labcontainers.containers.options import signal_number
from labcontainers.containers.register import Record
from labcontainers.containers.result import ExecResult
from labcontainers.containers.state import ContainerState, read_start
from labcontainers.containers.stats import StatsSample, sample
from labcontainers.errors import Conflict, InvalidArgument, NotFound
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.networks.ports import PortBinding
from labcontainers.units import format_age, parse_moment_s


class Container:
    """One container; two handles of the same container are equal. Every method raises NotFound once it is removed."""

    def __init__(self, lifecycle: Lifecycle, record: Record) -> None:
        self._lifecycle = lifecycle
        self._record = record

    # --- what does not change

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self._record.row.id

    @property
    def short_id(self) -> str:
        """The first 12 digits of the id."""
        return self.id[:12]

    @property
    def name(self) -> str:
        """The name, unique in the store."""
        return self._record.row.name

    @property
    def image(self) -> str:
        """The image as it was asked for."""
        return self._record.row.image

    @property
    def image_id(self) -> str:
        """The digest of the image's config."""
        return self._record.row.image_id

    @property
    def command(self) -> tuple[str, ...]:
        """What is executed, entrypoint included."""
        return self._record.command

    @property
    def labels(self) -> dict[str, str]:
        """The image's labels and those of the options."""
        return {**dict(self._record.config.labels), **dict(self._record.options.labels)}

    @property
    def ports(self) -> tuple[PortBinding, ...]:
        """The published ports, with those that the kernel chose."""
        return self._lifecycle.ports(self._record)

    @property
    def network(self) -> str:
        """The network's name: bridge, none or host."""
        return self._record.options.network

    @property
    def created_at(self) -> float:
        """Seconds since the epoch."""
        return self._record.row.created_at

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    # --- what does

    @property
    def state(self) -> ContainerState:
        """The state as disk tells it now."""
        return self._lifecycle.state(self._record)

    @property
    def status(self) -> str:
        """Docker's word: created, running, exited …"""
        return self.state.status

    @property
    def warnings(self) -> tuple[str, ...]:
        """What this host could not enforce."""
        return self._lifecycle.warnings(self._record)

    def start(self) -> Container:
        """Start it, detached; raises StartFailed, or Conflict when it runs."""
        execution, _ = self._lifecycle.start(self._record)
        execution.close()
        return self

    def stop(self, timeout_s: float | None = 10.0, signal: str | int | None = None) -> None:
        """Send `signal`, or the container's stop signal, and after `timeout_s` seconds SIGKILL (None: never); blocks until it has ended."""
        self._lifecycle.stop(self._record, timeout_s, None if signal is None else signal_number(signal))

    def kill(self, signal: str | int = "KILL") -> None:
        """Send a signal; raises Conflict when it does not run."""
        self._lifecycle.kill(self._record, signal_number(signal))

    def restart(self, timeout_s: float | None = 10.0, signal: str | int | None = None) -> Container:
        """Stop and start again; the writable layer and the log stay, and who follows the log goes on."""
        with self._lifecycle.restarting(self._record):
            self.stop(timeout_s, signal)
            return self.start()

    def wait(self, timeout_s: float | None = None) -> int:
        """Block until it has ended; the exit code. Raises TimeoutError."""
        return self._lifecycle.wait(self._record, timeout_s)

    def remove(self, force: bool = False) -> None:
        """Remove it with its writable layer and log; a running one only with `force`."""
        self._lifecycle.remove(self._record, force=force)

    def exec(
        self,
        command: Any,
        *,
        environment: Any = None,
        user: str | None = None,
        working_dir: str | None = None,
        stdin: bytes | str | int | None = None,
        on_output: Output | None = None,
        detach: bool = False,
        keep_output: bool = True,
    ) -> ExecResult:
        """Run one more command in it (see containers.exec.run_exec)."""
        return execs.run_exec(
            self._lifecycle,
            self._record,
            command,
            environment=environment,
            user=user,
            working_dir=working_dir,
            stdin=stdin,
            on_output=on_output,
            detach=detach,
            keep_output=keep_output,
        )

    def logs(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        tail: int | str = "all",
        since: float | str | datetime | None = None,
        until: float | str | datetime | None = None,
        timestamps: bool = False,
        follow: bool = False,
    ) -> Logs:
        """Its output so far, or with `follow` until it ends, as an iterable of lines.

        A time is in seconds since the epoch, a datetime, or a text as for `docker logs --since`.
        """
        now = time.time()
        if tail != "all" and (not str(tail).isdigit()):
            raise InvalidArgument(f"tail is a number of lines or 'all': {tail!r}")
        query = LogQuery(stdout, stderr, None if tail == "all" else int(tail), _moment(since, now), _moment(until, now))
        self.state  # noqa: B018  (raises NotFound once removed)
        return Logs(self._record.directory / "log", query, timestamps=timestamps, running=self._goes_on if follow else None)

    def log_reader(self) -> LogReader:
        """A reader of the whole log that keeps its place, for who comes back for more."""
        return LogReader(self._record.directory / "log")

    def _goes_on(self) -> bool:
        return self._lifecycle.goes_on(self._record)

    def stats(self, stream: bool = False) -> Any:
        """One StatsSample, or with `stream` an iterator of one per second until it ends. Raises Conflict when it does not run."""
        return self._stream_stats() if stream else self.sample(None)

    def sample(self, previous: StatsSample | None = None) -> StatsSample:
        """One sample whose CPU rate is since `previous`. Raises Conflict when it does not run."""
        state = self.state
        start = read_start(self._record.directory)
        if not state.running or not start:
            raise Conflict(f"container {self.name} is not running", "start it first")
        return sample(Cgroup.from_json(start["cgroups"]), state.pid, previous)

    def _stream_stats(self, interval_s: float = 1.0) -> Iterator[StatsSample]:
        previous: StatsSample | None = None
        while True:
            try:
                previous = self.sample(previous)
            except (Conflict, NotFound):
                return
            yield previous
            time.sleep(interval_s)

    def inspect(self) -> dict[str, Any]:
        """Docker's container document."""
        endpoint = self._lifecycle.networks.find_endpoint(self.id)
        return inspect_document(self._record, self.state, endpoint, self.ports)

    def explain(self) -> Explanation:
        """Each kernel operation of the last start."""
        try:
            state = json.loads((self._record.directory / "state.json").read_bytes())
        except FileNotFoundError:
            state = {}
        return explain(self.name, read_start(self._record.directory), state)

    # --- how it looks

    def summary(self) -> str:
        """What `ps` says under STATUS: "Up 3 minutes", "Exited (0) 2 hours ago"."""
        try:
            state = self.state
        except NotFound:
            return "Removed"
        now = time.time()
        if state.running:
            return f"Up {format_age(now - (state.started_at or now))}"
        if state.status == "exited":
            return f"Exited ({state.exit_code}) {format_age(now - (state.finished_at or now))} ago"
        return state.status.capitalize()

    def __repr__(self) -> str:
        return f"<Container {self.name} ({self.short_id}) {self.image}: {self.summary()}>"

    def _repr_html_(self) -> str:
        rows = [("image", self.image), ("id", self.short_id), ("state", self.summary()), ("command", " ".join(self.command))]
        rows += [("ports", ", ".join(map(str, self.ports))), *(("warning", text) for text in self.warnings)]
        key_cell, cell = 'style="text-align:left;opacity:.7;padding:1px 10px 1px 0"', 'style="text-align:left"'
        body = "".join(f"<tr><td {key_cell}>{key}</td><td {cell}>{html.escape(value)}</td></tr>" for key, value in rows if value)
        return f'<b>{html.escape(self.name)}</b><table style="font-family:monospace;font-size:90%;margin:0">{body}</table>'


def _moment(value: float | str | datetime | None, now: float) -> float | None:
    if isinstance(value, datetime):
        return value.timestamp()
    return None if value is None else parse_moment_s(value, now)
