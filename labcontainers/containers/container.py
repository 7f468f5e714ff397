"""A container as the user holds it: a handle whose every answer is read from disk.

It must not know notebooks: how it is shown as a widget is the front's business; its text and HTML forms are plain.
"""

from __future__ import annotations

import contextlib
import html
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, overload

from labcontainers.containers import pause, waiting
from labcontainers.containers import update as updates
from labcontainers.containers.attaching.interactive import Interactive
from labcontainers.containers.autopsies import perform
from labcontainers.containers.autopsy import Autopsy
from labcontainers.containers.awaiting import in_thread
from labcontainers.containers.exit_codes import ASKED_TO_END, explained
from labcontainers.containers.explain.docker_command import docker_run_of
from labcontainers.containers.explain.explanation import Explanation, explain
from labcontainers.containers.files.verbs import FileVerbs
from labcontainers.containers.inspect.document import Surroundings, inspect_document
from labcontainers.containers.inspect.options import exposed_ports
from labcontainers.containers.isolation.sharing import current_map
from labcontainers.containers.isolation.verbs import IsolationVerbs
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.logs import LogQuery, LogReader, Logs
from labcontainers.containers.options.flags import about
from labcontainers.containers.options.forms import shown
from labcontainers.containers.options.logs import NO_LOG
from labcontainers.containers.options.namespaces import owner_of
from labcontainers.containers.options.process import signal_number
from labcontainers.containers.register import Record
from labcontainers.containers.sessions.verbs import SessionVerbs
from labcontainers.containers.state import ContainerState, read_start
from labcontainers.containers.status import summary
from labcontainers.containers.stepping import Stepper, make_in_steps
from labcontainers.containers.trees import Trees, trees_of
from labcontainers.containers.upkeep import read_results, wait_healthy
from labcontainers.containers.usage.meter import Meter
from labcontainers.containers.usage.stats import StatsSample
from labcontainers.containers.usage.verbs import UsageVerbs
from labcontainers.errors import Conflict, InvalidArgument, NotFound, Unsupported
from labcontainers.markup import TABLE
from labcontainers.networks.ports import PortBinding
from labcontainers.units import parse_moment_s


class Container(FileVerbs, Interactive, SessionVerbs, UsageVerbs, IsolationVerbs):
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
    def layers(self) -> tuple[str, ...]:
        """The diff_ids of the image's layers, the lowest first."""
        return self._record.diff_ids

    @property
    def command(self) -> tuple[str, ...]:
        """What is executed, entrypoint included."""
        return self._record.command

    @property
    def labels(self) -> dict[str, str]:
        """The image's labels and those of the options."""
        return self._record.labels

    @property
    def ports(self) -> tuple[PortBinding, ...]:
        """The published ports, with those that the kernel chose."""
        return self._lifecycle.ports(self._record)

    @property
    def exposed_ports(self) -> tuple[str, ...]:
        """The ports that the image or --expose expose or that are published, such as "80/tcp"."""
        return tuple(exposed_ports(self._record.options, self._record.config.exposed_ports))

    @property
    def network(self) -> str:
        """The network's name: bridge, none or host."""
        return self._record.options.network

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """What is mounted in it, as in `inspect()["Mounts"]`."""
        return [point.document() for point in self._record.mounts]

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

    @overload
    def start(self, *, step: Literal[False] = False) -> Container: ...
    @overload
    def start(self, *, step: Literal[True]) -> Stepper: ...
    def start(self, *, step: bool = False) -> Container | Stepper:
        """Start it, detached; nothing happens to one that runs. Raises StartFailed, and Conflict when it is paused.

        With `step` a Stepper is returned, by which it is made stage by stage; then Conflict is raised for one that runs.
        """
        record = self._fresh()
        if step:
            return make_in_steps(self._lifecycle, record, self, whole_or_not=False)
        try:
            execution, _ = self._lifecycle.start(record)
        except Conflict:
            state = self._lifecycle.state(record)
            if state.status == "paused" or not state.running:
                raise
            return self
        execution.close()
        return self

    def stop(self, timeout_s: float | None = None, signal: str | int | None = None) -> None:
        """Send `signal`, or its stop signal, and after `timeout_s` seconds SIGKILL; blocks until it has ended.

        Without a timeout its own --stop-timeout counts, or else ten seconds; below 0 is never.
        """
        self._lifecycle.stop(self._record, timeout_s, None if signal is None else _signal(signal))

    def kill(self, signal: str | int = "KILL") -> None:
        """Send a signal, and after KILL wait until it has ended; raises Conflict when it does not run."""
        self._lifecycle.kill(self._record, _signal(signal))

    def restart(self, timeout_s: float | None = None, signal: str | int | None = None) -> Container:
        """Stop and start again; the writable layer and the log stay, and who follows the log goes on."""
        with self._lifecycle.restarting(self._record):
            self._lifecycle.stop(self._record, timeout_s, None if signal is None else _signal(signal), keep=True)
            self.start()
        self._lifecycle.tell(self._record, "restart")
        return self

    def pause(self) -> None:
        """Freeze all its processes until unpause(); raises Conflict, and Unsupported where nothing can freeze them."""
        pause.pause(self._lifecycle, self._record)

    def unpause(self) -> None:
        """Let it go on; raises Conflict when it is not paused."""
        pause.unpause(self._lifecycle, self._record)

    @property
    def health(self) -> str:
        """What its health checks say: starting, healthy or unhealthy; "unknown" where nothing is checked."""
        return self.state.health or "unknown"

    def wait_healthy(self, timeout_s: float | None = None) -> None:
        """Block until it is healthy; raises Conflict, Failed once it is unhealthy, and TimeoutError."""
        wait_healthy(self._lifecycle, self._record, timeout_s)

    def wait(self, timeout_s: float | None = None, condition: str = "not-running") -> int:
        """Block until it has ended; the exit code. Raises TimeoutError.

        `condition` is Docker's: "not-running", "next-exit" (one that is yet to come) or "removed".
        """
        return waiting.wait(self._lifecycle, self._record, timeout_s, condition)

    async def wait_async(self, timeout_s: float | None = None, condition: str = "not-running") -> int:
        """As wait(), for `await` in a cell or a callback: the event loop goes on meanwhile, and so do the buttons of widgets.

        Who cancels the task waits no more; the container is left alone.
        """
        given_up = threading.Event()
        return await in_thread(lambda: waiting.wait(self._lifecycle, self._record, timeout_s, condition, given_up.is_set), given_up.set)

    def update(self, **options: Any) -> dict[str, list[str]]:
        """Change limits, at once where it runs; `options` are run's, such as mem_limit, cpus, pids_limit and restart_policy.

        Returns docker-py's `{"Warnings": […]}` of what this host cannot enforce (see containers.update.update for what is raised).
        """
        self._record, warnings = updates.update(self._lifecycle, self._record, options)
        return {"Warnings": list(warnings)}

    def rename(self, name: str) -> None:
        """Give it another name; raises InvalidArgument, or Conflict when the name is in use.

        Other handles of it keep the old name until reload().
        """
        self._record = self._lifecycle.rename(self._record, name)

    def _fresh(self) -> Record:
        """The record as it is now, which another handle may have changed; one that is gone is told by whoever uses it."""
        self._record = self._lifecycle.find(self.id) or self._record
        return self._record

    def reload(self) -> None:
        """Read the record again: name and options may have been changed elsewhere."""
        self._record = self._lifecycle.get(self.id)

    def sizes(self) -> tuple[int, int]:
        """Bytes of the writable layer on disk, and of that and the image's layers: Docker's SizeRw and SizeRootFs. Raises NotFound."""
        return self._lifecycle.sizes(self._record)

    def remove(self, force: bool = False, v: bool = False) -> None:
        """Remove it with its writable layer and log, with `v` also its anonymous volumes; a running one only with `force`."""
        self._lifecycle.remove(self._record, force=force, volumes=v)

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

        A time is in seconds since the epoch, a datetime, or a text as for `docker logs --since`. A `tail` below 0 is "all".
        """
        now = time.time()
        if tail != "all" and not str(tail).removeprefix("-").isdecimal():
            raise InvalidArgument(f"--tail: not a number of lines: {shown(tail)}", "write a number, or all")
        last = None if tail == "all" or int(tail) < 0 else int(tail)
        query = LogQuery(stdout, stderr, last, _moment("--since", since, now), _moment("--until", until, now))
        self.state  # noqa: B018  # raises NotFound once removed
        if self._record.options.log_driver == NO_LOG:
            raise Unsupported(f"container {self.name} keeps no log: its log-driver is none", "follow its output with attach")
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
        return self.meter().sample(previous)

    def meter(self) -> Meter:
        """Takes samples again and again at less cost than asking anew each time."""
        return Meter(self._lifecycle, self._record)

    def _stream_stats(self, interval_s: float = 1.0) -> Iterator[StatsSample]:
        previous: StatsSample | None = None
        meter = self.meter()
        while True:
            try:
                previous = meter.sample(previous)
            except (Conflict, NotFound):
                return
            yield previous
            time.sleep(interval_s)

    def inspect(self, size: bool = False) -> dict[str, Any]:
        """Docker's container document; with `size` also SizeRw and SizeRootFs, which must be measured."""
        state = self.state
        document = inspect_document(self._fresh(), state, self._surroundings(state))
        return {**document, **dict(zip(("SizeRw", "SizeRootFs"), self.sizes(), strict=True))} if size else document

    def _surroundings(self, state: ContainerState) -> Surroundings:
        """What is told of it besides its record."""
        lifecycle, record = self._lifecycle, self._record
        owner = owner_of(record.options.network)
        trees: Trees | None = None
        etc = record.directory / "etc"
        with contextlib.suppress(NotFound):  # a layer that is missing is no reason to tell nothing
            trees = trees_of(lifecycle.store.snapshots, record)
        with contextlib.suppress(NotFound):  # nor is an owner of the network that is gone
            etc = lifecycle.get(owner).directory / "etc" if owner else etc
        return Surroundings(
            None if owner else lifecycle.networks.get(record.options.network),
            lifecycle.networks.find_endpoint(self.id),
            self.ports,
            etc,
            trees,
            read_results(record.directory) if state.health else (),
        )

    def explain(self) -> Explanation:
        """Each kernel operation of its creation and of the last start, also of one that failed."""
        try:
            state = json.loads((self._record.directory / "state.json").read_bytes())
        except FileNotFoundError:
            state = {}
        explanation = explain(self.name, read_start(self._record.directory), state, docker_run_of(self._record), made=self._record.made)
        explanation.sharing = lambda: current_map(self._lifecycle)
        return explanation

    def autopsy(self) -> Autopsy:
        """Why it died: its exit code in words, memory, times, the last lines of its log, and what to try next."""
        return perform(self._lifecycle, self._fresh(), self.state)

    # --- how it looks

    def summary(self) -> str:
        """What `ps` says under STATUS: "Up 3 minutes", "Exited (0) 2 hours ago"."""
        try:
            state = self.state
        except NotFound:
            return "Removed"
        return summary(state, time.time())

    def __repr__(self) -> str:
        return f"<Container {self.name} ({self.short_id}) {self.image}: {self.summary()}>"

    def gist(self) -> str:
        """One line on the end of one that failed; "" for any other, and where it was ended by a signal that asks for that, or SIGKILL."""
        with contextlib.suppress(NotFound):
            state = self.state
            if state.status == "exited" and (state.oom_killed or state.exit_code not in (0, *ASKED_TO_END)):
                told = explained(state.exit_code, oom_killed=state.oom_killed) or f"exit code {state.exit_code}"
                return f"{told}; %container autopsy {self.name} tells more"
        return ""

    def _repr_html_(self) -> str:
        rows = [("image", self.image), ("id", self.short_id), ("state", self.summary()), ("command", " ".join(self.command))]
        rows += [("why", self.gist())]
        rows += [("ports", ", ".join(map(str, self.ports))), *(("warning", text) for text in self.warnings)]
        key_cell, cell = 'style="text-align:left;opacity:.7;padding:1px 10px 1px 0"', 'style="text-align:left"'
        body = "".join(f"<tr><td {key_cell}>{key}</td><td {cell}>{html.escape(value)}</td></tr>" for key, value in rows if value)
        return f"<b>{html.escape(self.name)}</b>{TABLE}{body}</table>"


def _signal(value: str | int) -> int:
    with about("--signal"):
        return signal_number(value)


def _moment(flag: str, value: float | str | datetime | None, now: float) -> float | None:
    if isinstance(value, datetime):
        return value.timestamp()
    with about(flag):
        return None if value is None else parse_moment_s(value, now)
