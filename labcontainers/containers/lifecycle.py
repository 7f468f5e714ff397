"""Create, start, wait, stop, kill and remove: the verbs on one container, over the store and the runtime.

It must not know who asks: a result is a value, output goes to a function that is given. Blocks; thread-safe.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal as signals
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from labcontainers.containers import prepare
from labcontainers.containers.register import Record, Register
from labcontainers.containers.shim_client import ShimClient
from labcontainers.containers.spare_groups import SpareGroups
from labcontainers.containers.state import ContainerState, kept_from_shims, read_start, read_state, settle, shim_alive
from labcontainers.errors import Conflict, Interrupted, NotFound, StartFailed, Unavailable, signal_of
from labcontainers.images.catalog import Catalog
from labcontainers.kernel import capabilities
from labcontainers.kernel.cgroups import Cgroup, Hierarchy, Limits
from labcontainers.networks.network import Networks
from labcontainers.networks.ports import PortBinding, open_listeners
from labcontainers.runtime import plan as plans
from labcontainers.runtime.handshake import write_file
from labcontainers.runtime.process import Execution, LauncherProcess
from labcontainers.runtime.spec import ContainerSpec, HostTraits
from labcontainers.store.layout import Store

Output = Callable[[int, bytes], None]
# The file in a build step's scratch directory that names its control group and its place in the network.
STEP_NOTE = "step"


class Lifecycle(Register):
    """The verbs. `filter_for` gives the compiled seccomp program for a set of capability names."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        networks: Networks,
        launcher: LauncherProcess,
        hierarchy: Callable[[], Hierarchy],
        spare_groups: SpareGroups,
        filter_for: Callable[[frozenset[str]], bytes],
    ) -> None:
        super().__init__(store, catalog, networks, launcher)
        self.hierarchy = hierarchy
        self.spare_groups = spare_groups
        self.filter_for = filter_for

    def host(self) -> HostTraits:
        """What of this host changes a plan."""
        return HostTraits(ids=self.launcher.start(), cgroup_mode=self.hierarchy().mode)

    # --- start

    def start(self, record: Record, *, foreground: bool = False, stdin: int | None = None) -> tuple[Execution, tuple[str, ...]]:
        """Start a created or ended container; returns its execution (already running) and warnings. Raises StartFailed, Conflict."""
        with self.store.locks.hold(self.store.container_lock(record.row.id)):
            if self._settled(record).running:
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
        if not foreground:
            self.spare_groups.refill()
        return execution, warnings

    def _spec(self, record: Record) -> tuple[ContainerSpec, Cgroup, tuple[str, ...]]:
        options, directory = record.options, record.directory
        prepare.write_etc(directory, record.hostname, options.network)
        lower = tuple(str(path) for path in self.store.snapshots.lower_paths(record.diff_ids))
        cgroup, cradle = self._new_cgroup(record.row.id)
        limits = Limits(memory_bytes=options.memory_bytes, cpus=options.cpus, pids=options.pids_limit)
        try:
            warnings = cgroup.apply(limits)
        except BaseException:
            cgroup.remove()
            raise
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
            procs=cgroup.procs,
            cgroup_directory=cgroup.unified or "",
            cradle=cradle,
        )
        return spec, cgroup, tuple(warnings)

    def _new_cgroup(self, container_id: str) -> tuple[Cgroup, str]:
        """The container's control group and the token of its cradle; one that a dead shim or engine left is taken away first."""
        try:
            return self.spare_groups.take(container_id)
        except Conflict:
            self.clear_cgroup(container_id)
            return self.spare_groups.take(container_id)

    def clear_cgroup(self, group_id: str) -> None:
        """Kill what is in a control group that nobody watches, and remove it. Idempotent."""
        left = self.hierarchy().find(group_id)
        if left is not None:
            left.kill()
            left.remove()

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
            "cradle": spec.cradle,
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

        The first KeyboardInterrupt is sent to the container as SIGINT (or as the signal that it was raised with), the next one as SIGKILL;
        Interrupted is raised at the end.
        """
        end: dict[str, Any] = {"exit_code": 137, "oom_killed": False, "finished_at": time.time(), "error": "its shim died"}
        interrupts = 0
        try:
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
                except KeyboardInterrupt as interrupt:
                    interrupts += 1
                    execution.signal(signal_of(interrupt) if interrupts == 1 else signals.SIGKILL)
        finally:
            # Whatever ended this, a foreground container does not outlive it.
            execution.close()
            self.spare_groups.refill()
            self.networks.disconnect(record.row.id)
            if record.options.remove:
                self.find(record.row.id)
        if interrupts:
            raise Interrupted(f"container {record.row.name}", end["exit_code"])
        return end

    def state(self, record: Record) -> ContainerState:
        """The state as disk tells it; raises NotFound when the container is gone."""
        if not record.directory.is_dir():
            raise NotFound(f"no such container: {record.row.name}", "`ps -a` lists all containers")
        return read_state(record.directory)

    def _settled(self, record: Record) -> ContainerState:
        if not record.directory.is_dir():
            raise NotFound(f"no such container: {record.row.name}", "`ps -a` lists all containers")
        return settle(record.directory, record.row.name)

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

    def stop(self, record: Record, timeout_s: float | None = 10.0, signal: int | None = None) -> None:
        """Send `signal`, or the container's stop signal, and SIGKILL after `timeout_s` seconds (None: never).

        Nothing happens to one that does not run.
        """
        if not self.state(record).running:
            return
        try:
            with self.client(record) as client:
                client.signal(signal or prepare.stop_signal(record.config, record.options))
                if client.wait_ended(timeout_s) is None:
                    client.signal(signals.SIGKILL)
                    client.wait_ended(None)
        except Conflict:
            return
        finally:
            self.networks.disconnect(record.row.id)
        self._event(record.row, "stop")

    @contextlib.contextmanager
    def restarting(self, record: Record) -> Iterator[None]:
        """While it lasts, who follows the container takes its end for a pause."""
        with self.store.locks.hold(f"restart-{record.row.id}"):
            yield

    def goes_on(self, record: Record) -> bool:
        """Whether the container runs, or is being restarted by any engine."""
        if not record.directory.is_dir():
            return False
        if self.state(record).running:
            return True
        try:
            with self.store.locks.hold(f"restart-{record.row.id}", shared=True, timeout_s=0):
                return record.directory.is_dir() and self.state(record).running
        except Unavailable:
            return True

    def remove(self, record: Record, *, force: bool = False) -> None:
        """Remove an ended container with its writable layer; a running one only with `force` (SIGKILL first). Raises Conflict."""
        with self.store.locks.hold(self.store.container_lock(record.row.id)):
            if record.directory.is_dir() and settle(record.directory, record.row.name).running:
                if not force:
                    raise Conflict(f"container {record.row.name} is running", "stop it first, or remove it with force")
                with contextlib.suppress(Conflict, NotFound):
                    self.stop(record, timeout_s=0)
            self._delete(record)

    def _delete(self, record: Record) -> None:
        self.clear_cgroup(record.row.id)
        gone = self.store.paths.trash / f"{record.row.id}.removed"
        with contextlib.suppress(FileNotFoundError):
            with kept_from_shims(record.directory, record.row.name):
                os.rename(record.directory, gone)
            self.launcher.call("labcontainers.kernel.files:remove_tree", path=str(gone))
            self._event(record.row, "destroy")
        self._forget(record.row.id)

    def abandon(self, record: Record) -> None:
        """After a start that failed or was interrupted: with `--rm` nothing stays, else the container that was created."""
        if record.options.remove:
            self.remove(record, force=True)

    def adopt(self) -> None:
        """Take over what engines and shims that died have left: detached containers go on, all else is ended and cleared away.

        Quick when there is nothing to do; safe beside other engines, whose containers are left alone.
        """
        for row in self.store.records.list_containers():
            with contextlib.suppress(Unavailable, NotFound), self.store.locks.hold(self.store.container_lock(row.id), timeout_s=0):
                record = self._existing(row)
                if record is None or shim_alive(record.directory):
                    continue
                read_state(record.directory)
                self.clear_cgroup(row.id)
                self.networks.disconnect(row.id)
                if record.options.remove and read_start(record.directory):
                    self._delete(record)
        for note in self.store.paths.trash.glob(f"*/{STEP_NOTE}"):
            with contextlib.suppress(FileNotFoundError):
                step_id = note.read_text()
                self.clear_cgroup(step_id)
                self.networks.disconnect(step_id)
                note.unlink()
        self.networks.adopt()

    def ports(self, record: Record) -> tuple[PortBinding, ...]:
        """The published ports, with those that the kernel chose at the last start."""
        started = read_start(record.directory).get("ports")
        return record.options.ports if started is None else tuple(PortBinding(**port) for port in started)

    def warnings(self, record: Record) -> tuple[str, ...]:
        """What this host could not enforce at the container's last start."""
        return tuple(read_start(record.directory).get("warnings", ()))
