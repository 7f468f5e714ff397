"""Create, start, wait, stop, kill and remove: the verbs on one container, over the store and the runtime.

It must not know who asks: a result is a value, output goes to a function that is given. Blocks; thread-safe.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal as signals
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labcontainers.containers import prepare
from labcontainers.containers.names import random_name
from labcontainers.containers.options import ContainerOptions
from labcontainers.containers.shim_client import ShimClient
from labcontainers.containers.state import ContainerState, read_start, read_state
from labcontainers.errors import Conflict, NotFound, StartFailed
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.kernel import capabilities
from labcontainers.kernel.cgroups import Cgroup, Hierarchy, Limits
from labcontainers.networks.network import Networks
from labcontainers.networks.ports import PortBinding, open_listeners
from labcontainers.oci.image_config import ProcessConfig
from labcontainers.runtime import plan as plans
from labcontainers.runtime.handshake import write_file
from labcontainers.runtime.process import Execution, LauncherProcess
from labcontainers.runtime.spec import ContainerSpec, HostTraits
from labcontainers.store.events import Event
from labcontainers.store.layout import Store
from labcontainers.store.records import ContainerRow

Output = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Record:
    """A container as it was created: its row, its options, the image's process config at that time, and its command line."""

    row: ContainerRow
    options: ContainerOptions
    config: ProcessConfig
    command: tuple[str, ...]
    diff_ids: tuple[str, ...]
    directory: Path

    @property
    def hostname(self) -> str:
        return self.options.hostname or self.row.id[:12]


class Lifecycle:
    """The verbs. `filter_for` gives the compiled seccomp program for a set of capability names."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        networks: Networks,
        launcher: LauncherProcess,
        hierarchy: Callable[[], Hierarchy],
        filter_for: Callable[[frozenset[str]], bytes],
    ) -> None:
        self.store = store
        self.catalog = catalog
        self.networks = networks
        self.launcher = launcher
        self.hierarchy = hierarchy
        self.filter_for = filter_for

    def host(self) -> HostTraits:
        """What of this host changes a plan."""
        return HostTraits(ids=self.launcher.start(), cgroup_mode=self.hierarchy().mode)

    # --- records

    def directory(self, container_id: str) -> Path:
        """Where a container's files are."""
        return self.store.paths.containers / container_id

    def create(self, image: str | Image, command: tuple[str, ...], options: ContainerOptions) -> Record:
        """Write a new container down, not started. Raises NotFound (image), Conflict (name), InvalidArgument (no command)."""
        found = image if isinstance(image, Image) else self.catalog.get(image)
        words = prepare.command_line(found.config.config, options, command)
        container_id = secrets.token_hex(32)
        directory = self.directory(container_id)
        prepare.make_directories(directory)
        document = {
            "options": options.to_json(),
            "config": found.config.config.to_json(),
            "command": words,
            "diff_ids": found.diff_ids,
        }
        try:
            row = self._put(container_id, options.name, str(image) if isinstance(image, str) else found.tags[0], found.id, document)
        except BaseException:
            self.launcher.call("labcontainers.kernel.files:remove_tree", path=str(directory))
            raise
        self._event(row, "create")
        return self._record(row)

    def _put(self, container_id: str, name: str | None, image: str, image_id: str, document: dict[str, Any]) -> ContainerRow:
        text = json.dumps(document, separators=(",", ":"))
        for attempt in range(5):
            chosen = name or random_name() + (f"_{secrets.token_hex(2)}" if attempt > 1 else "")
            row = ContainerRow(container_id, chosen, image, image_id, text, time.time())
            try:
                self.store.records.put_container(row)
                return row
            except Conflict:
                if name or attempt == 4:
                    raise
        raise AssertionError("unreachable")

    def _record(self, row: ContainerRow) -> Record:
        document = json.loads(row.document)
        return Record(
            row,
            ContainerOptions.from_json(document["options"]),
            ProcessConfig.from_json(document["config"]),
            tuple(document["command"]),
            tuple(document["diff_ids"]),
            self.directory(row.id),
        )

    def find(self, container_id: str) -> Record | None:
        """The record with exactly this id; one whose shim has removed its directory (`--rm`) is forgotten here."""
        row = self.store.records.find_container(container_id)
        return self._existing(row) if row is not None else None

    def _existing(self, row: ContainerRow) -> Record | None:
        if self.directory(row.id).is_dir():
            return self._record(row)
        self._forget(row.id)
        return None

    def _forget(self, container_id: str) -> None:
        self.networks.disconnect(container_id)
        self.store.records.remove_container(container_id)

    def list(self) -> list[Record]:
        """All containers, newest first."""
        rows = sorted(self.store.records.list_containers(), key=lambda row: -row.created_at)
        return [record for row in rows if (record := self._existing(row)) is not None]

    def get(self, name_or_id: str) -> Record:
        """The container with this name, id or unambiguous beginning of an id; raises NotFound or Conflict."""
        wanted = name_or_id.lstrip("/")
        row = self.store.records.find_container_by_name(wanted) or self.store.records.find_container(wanted)
        if row is None and wanted and all(character in "0123456789abcdef" for character in wanted):
            matches = [row for row in self.store.records.list_containers() if row.id.startswith(wanted)]
            if len(matches) > 1:
                raise Conflict(f"more than one container begins with {wanted}", "give more digits of the id")
            row = matches[0] if matches else None
        record = self._existing(row) if row is not None else None
        if record is None:
            raise NotFound(f"no such container: {name_or_id}", "`ps -a` lists all containers")
        return record

    # --- start

    def start(self, record: Record, *, foreground: bool = False, stdin: int | None = None) -> tuple[Execution, tuple[str, ...]]:
        """Start a created or ended container; returns its execution (already running) and warnings. Raises StartFailed, Conflict."""
        with self.store.locks.hold(f"container-{record.row.id}"):
            if self.state(record).running:
                raise Conflict(f"container {record.row.name} is already running", "stop it first")
            return self._start(record, foreground, stdin)

    def _start(self, record: Record, foreground: bool, stdin: int | None) -> tuple[Execution, tuple[str, ...]]:
        with contextlib.ExitStack() as undo:
            spec, cgroup, warnings = self._spec(record)
            undo.callback(cgroup.remove)
            host = self.host()
            plan = plans.plan_container(spec, host)
            with contextlib.ExitStack() as sockets:
                listeners = open_listeners(record.options.ports)
                for _, sock in listeners:
                    sockets.callback(sock.close)
                ports = tuple(binding for binding, _ in listeners)
                self._write_start(record, spec, plan, cgroup, warnings, ports)
                request = self._request(record, spec, plan, cgroup, foreground)
                request["forward"] = [binding.container_port for binding in ports]
                channel = self.launcher.spawn(request, stdin=stdin, listeners=tuple(sock.fileno() for _, sock in listeners))
            execution = Execution(channel, record.row.name)
            undo.callback(execution.close)
            undo.callback(execution.signal, signals.SIGKILL)
            undo.callback(self.networks.disconnect, record.row.id)
            for message in execution.wait_started():
                self._connect(record, execution, message)
            undo.pop_all()
        return execution, warnings

    def _spec(self, record: Record) -> tuple[ContainerSpec, Cgroup, tuple[str, ...]]:
        options, directory = record.options, record.directory
        prepare.write_etc(directory, record.hostname, options.network)
        lower = tuple(str(path) for path in self.store.snapshots.lower_paths(record.diff_ids))
        cgroup = self.hierarchy().create(record.row.id)
        limits = Limits(memory_bytes=options.memory_bytes, cpus=options.cpus, pids=options.pids_limit)
        try:
            warnings = cgroup.apply(limits)
        except BaseException:
            cgroup.remove()
            raise
        paths = cgroup.to_json()
        spec = ContainerSpec(
            arguments=record.command,
            environment=prepare.container_environment(record.config, options, record.hostname),
            lower=lower,
            upper=str(directory / "upper"),
            work=str(directory / "work"),
            root=str(directory / "root"),
            hostname="" if options.network == "host" and not options.hostname else record.hostname,
            working_dir=options.working_dir or record.config.working_dir or "/",
            user=options.user or record.config.user,
            network=options.network,
            capabilities=capabilities.mask(capabilities.DEFAULT),
            seccomp=self.filter_for(frozenset(capabilities.DEFAULT)),
            no_new_privileges=options.no_new_privileges,
            read_only=options.read_only,
            volatile=options.remove,
            mounts=prepare.all_mounts(directory, options),
            procs=tuple(f"{path}/cgroup.procs" for path in dict.fromkeys(paths["v1"].values())),
            cgroup_directory=paths["unified"] or "",
        )
        return spec, cgroup, tuple(warnings)

    @staticmethod
    def _write_start(
        record: Record,
        spec: ContainerSpec,
        plan: plans.Plan,
        cgroup: Cgroup,
        warnings: tuple[str, ...],
        ports: tuple[PortBinding, ...],
    ) -> None:
        """Keep what this start was made of, for `exec`, `stats` and `explain`, and for the next engine."""
        shown = [[name, {"bytes": len(spec.seccomp)} if name == "seccomp" else arguments] for name, arguments in plan]
        start = {
            "cgroups": cgroup.to_json(),
            "warnings": warnings,
            "plan": shown,
            "clone_flags": plans.clone_flags(spec),
            "environment": spec.environment,
            "user": spec.user,
            "working_dir": spec.working_dir,
            "ports": [asdict(port) for port in ports],
        }
        write_file(str(record.directory / "start.json"), json.dumps(start, separators=(",", ":")))

    def _request(self, record: Record, spec: ContainerSpec, plan: plans.Plan, cgroup: Cgroup, foreground: bool) -> dict[str, Any]:
        event = {"type": "container", "id": record.row.id, "name": record.row.name, "attributes": {"image": record.row.image}}
        return {
            "name": record.row.name,
            "directory": str(record.directory),
            "socket_directory": str(record.directory),
            "clone_flags": plans.clone_flags(spec),
            "plan": plan,
            "cgroups": cgroup.to_json(),
            "cgroup_directory": spec.cgroup_directory,
            "foreground": foreground,
            "remove": record.options.remove,
            "trash": str(self.store.paths.trash),
            "event": event,
            "events": str(self.store.paths.events),
        }

    def _connect(self, record: Record, execution: Execution, message: dict[str, Any]) -> None:
        """Give the waiting container its place in the network, then let it go on."""
        try:
            endpoint = self.networks.connect(
                record.options.network, record.row.id, record.hostname, pid=message["network"], netns_socket=message["socket"]
            )
            prepare.write_etc(record.directory, record.hostname, record.options.network, endpoint.address)
        except BaseException as error:
            execution.channel.send({"error": f"network {record.options.network}: {error}"})
            raise
        finally:
            os.close(message["socket"])
        execution.channel.send({"go": True, "address": endpoint.address})

    # --- the running container

    def follow(self, record: Record, execution: Execution, on_output: Output) -> dict[str, Any]:
        """Pass a foreground container's output on until it ends; returns what the shim tells of the end.

        The first KeyboardInterrupt is sent to the container as SIGINT, the next one as SIGKILL; it is raised again at the end.
        """
        interrupts = 0
        end: dict[str, Any] = {"exit_code": 137, "oom_killed": False, "finished_at": time.time(), "error": "its shim died"}
        while True:
            try:
                message = execution.next()
                if message is None:
                    break
                if isinstance(message, tuple):
                    on_output(*message)
                elif "ended" in message:
                    end = message["ended"]
                    break
            except KeyboardInterrupt:
                interrupts += 1
                execution.signal(signals.SIGINT if interrupts == 1 else signals.SIGKILL)
        execution.close()
        self.networks.disconnect(record.row.id)
        if record.options.remove:
            self.find(record.row.id)
        if interrupts:
            raise KeyboardInterrupt
        return end

    def state(self, record: Record) -> ContainerState:
        """The state as disk tells it; raises NotFound when the container is gone."""
        if not record.directory.is_dir():
            raise NotFound(f"no such container: {record.row.name}", "`ps -a` lists all containers")
        return read_state(record.directory)

    def client(self, record: Record) -> ShimClient:
        """A connection to the container's shim; raises Conflict when it does not run."""
        if not self.state(record).running:
            raise Conflict(f"container {record.row.name} is not running", "start it first")
        return ShimClient(record.directory / "shim.sock", record.row.name)

    def wait(self, record: Record, timeout_s: float | None = None) -> int:
        """Block until the container has ended; its exit code. Raises TimeoutError after `timeout_s` seconds."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            with self.client(record) as client:
                end = client.wait_ended(None if deadline is None else deadline - time.monotonic())
        except (Conflict, NotFound, StartFailed):
            end = None
        else:
            if end is None:
                raise TimeoutError(f"container {record.row.name} still runs after {timeout_s} s")
        self.networks.disconnect(record.row.id)
        if end is not None and "error" not in end:
            return int(end["exit_code"])
        return self.state(record).exit_code

    def kill(self, record: Record, signal: int) -> None:
        """Send a signal to the container's first process; raises Conflict when it does not run."""
        with self.client(record) as client:
            client.signal(signal)
        self._event(record.row, "kill", {"signal": str(int(signal))})

    def stop(self, record: Record, timeout_s: float = 10.0) -> None:
        """Send the stop signal and, after `timeout_s` seconds, SIGKILL; nothing happens to one that does not run."""
        if not self.state(record).running:
            return
        try:
            with self.client(record) as client:
                client.signal(prepare.stop_signal(record.config, record.options))
                if client.wait_ended(timeout_s) is None:
                    client.signal(signals.SIGKILL)
                    client.wait_ended(None)
        except Conflict:
            return
        finally:
            self.networks.disconnect(record.row.id)
        self._event(record.row, "stop")

    def remove(self, record: Record, *, force: bool = False) -> None:
        """Remove an ended container with its writable layer; a running one only with `force` (SIGKILL first). Raises Conflict."""
        if read_state(record.directory).running:
            if not force:
                raise Conflict(f"container {record.row.name} is running", "stop it first, or remove it with force")
            with contextlib.suppress(Conflict):
                self.stop(record, timeout_s=0)
        if record.directory.is_dir():
            self.launcher.call(
                "labcontainers.runtime.cleanup:remove_container", directory=str(record.directory), trash=str(self.store.paths.trash)
            )
            self._event(record.row, "destroy")
        self._forget(record.row.id)

    def ports(self, record: Record) -> tuple[PortBinding, ...]:
        """The published ports, with those that the kernel chose at the last start."""
        started = read_start(record.directory).get("ports")
        return record.options.ports if started is None else tuple(PortBinding(**port) for port in started)

    def warnings(self, record: Record) -> tuple[str, ...]:
        """What this host could not enforce at the container's last start."""
        return tuple(read_start(record.directory).get("warnings", ()))

    def _event(self, row: ContainerRow, action: str, attributes: dict[str, str] | None = None) -> None:
        self.store.events.append(Event("container", action, row.id, row.name, {"image": row.image, **(attributes or {})}, time.time_ns()))
