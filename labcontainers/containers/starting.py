"""Starting a container: from its record to a plan, a control group and a request to the launcher, until its program runs.

It must not know who asks. Blocks; thread-safe.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal as signals
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

from labcontainers.containers.joined import Joined, etc_owner, open_joined
from labcontainers.containers.options.logs import log_request
from labcontainers.containers.options.namespaces import owner_of
from labcontainers.containers.options.network import published
from labcontainers.containers.planning import confinement, etc_files, host_root, mount_plan, prepare
from labcontainers.containers.planning.limits import limits_of, process_limits, told_of_watchdog, watched
from labcontainers.containers.planning.stages import with_pauses
from labcontainers.containers.register import Record, Register
from labcontainers.containers.seat import NOBODY, Seat
from labcontainers.containers.spare_groups import SpareGroups
from labcontainers.containers.start_notes import StartNotes, groups_of
from labcontainers.containers.state import ContainerState, read_state, settle, write_failure
from labcontainers.containers.trees import trees_of
from labcontainers.errors import Conflict, KernelFailed, LabError, NotFound, StartFailed
from labcontainers.images.catalog import Catalog
from labcontainers.kernel import cgroup_devices, levels
from labcontainers.kernel.cgroups import Cgroup, Hierarchy
from labcontainers.kernel.notes import Notes
from labcontainers.networks.network import Network, Networks
from labcontainers.networks.ports import open_listeners
from labcontainers.oci.image_config import ProcessConfig
from labcontainers.runtime import plan as plans
from labcontainers.runtime.process import Execution, LauncherProcess
from labcontainers.runtime.spec import DEFAULT_SHM_BYTES, ContainerSpec, HostTraits
from labcontainers.store.events import Event
from labcontainers.store.layout import Store
from labcontainers.store.space import tells_full_disk

Output = Callable[[int, bytes], None]
# Docker's exit code of a `run` whose container did not start.
_NEVER_RAN = 125
_LAST_WORDS_S = 1.0
# Networks that the container's first process needs nobody for.
_FURNISHED = ("none", "host")
# What applies the Dockerfile instructions of `commit --change` to a config.
ChangeConfig = Callable[[ProcessConfig, Sequence[str]], ProcessConfig]


class Pacer(Protocol):
    """Who makes a container step by step. With `whole_or_not` one that is not finished is removed, whoever dies."""

    whole_or_not: bool

    def begun(self, give_up: Callable[[], None]) -> None:
        """It is on its way now; from any thread, `give_up` ends it."""

    def pause(self, stage: str, pid: int) -> None:
        """Block until the half-made first process, of this pid, may go on with `stage`; whatever is raised ends it."""


class Starter(Register):
    """Starts containers. `filter_for` gives the compiled seccomp program for a set of capability names."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        networks: Networks,
        launcher: LauncherProcess,
        hierarchy: Callable[[], Hierarchy],
        spare_groups: SpareGroups,
        filter_for: confinement.FilterFor,
        change_config: ChangeConfig,
    ) -> None:
        super().__init__(store, catalog, networks, launcher)
        self.hierarchy = hierarchy
        self.spare_groups = spare_groups
        self.filter_for = filter_for
        self.change_config = change_config
        # Who is told of containers that ended unattended, as soon as somebody looks at one.
        self.on_unattended: Callable[[Record, ContainerState], None] = lambda record, state: None
        # What ends a container of this process that is half made, by its id (containers.stepping).
        self.half_made: dict[str, Callable[[], None]] = {}
        # What a shim is to do beside: containers.upkeep, which knows how to enter a container.
        self.upkeep: Callable[[Record], dict[str, Any]] = lambda record: {}
        # containers.sessions of the engine, which know how to enter a container too
        self.sessions: Any = None

    def host(self) -> HostTraits:
        """What of this host changes a plan."""
        return HostTraits(ids=self.launcher.start(), cgroup_mode=self.hierarchy().mode)

    def state(self, record: Record) -> ContainerState:
        """The state as disk tells it; raises NotFound when the container is gone."""
        state = read_state(record.directory, record.row.name, on_lost=lambda lost: self._tell_lost(record, lost))
        if state.unattended:
            self.on_unattended(record, state)
        return state

    def _tell_lost(self, record: Record, state: ContainerState) -> None:
        """A container whose shim died has ended: what its shim would have told."""
        if not owner_of(record.options.network):
            name, kind, network_id = _told(self.networks.get(record.options.network))
            gone = {"container": record.row.id, "type": kind}
            self.store.events.append(Event("network", "disconnect", network_id, name, gone, time.time_ns()))
        lasted_s = int((state.finished_at or 0) - (state.started_at or state.finished_at or 0))
        self.tell(record, "die", {"execDuration": str(max(0, lasted_s)), "exitCode": str(state.exit_code)})

    def _settled(self, record: Record) -> ContainerState:
        return settle(record.directory, record.row.name, on_lost=lambda lost: self._tell_lost(record, lost))

    # --- start

    @tells_full_disk(lambda self: self.store.paths.root)
    def start(
        self, record: Record, *, foreground: bool = False, stdin: int | None = None, seat: Seat = NOBODY, pacer: Pacer | None = None
    ) -> tuple[Execution, tuple[str, ...]]:
        """Start a created or ended container; returns its execution (already running) and warnings. Raises StartFailed, Conflict.

        With a `pacer` it is made step by step; what that raises ends it.
        """
        with self.store.locks.hold(self.store.container_lock(record.row.id)):
            state = self._settled(record)
            if state.status == "paused":
                raise Conflict(f"cannot start the paused container {record.row.name}", "unpause it instead")
            if state.running:
                raise Conflict(f"container {record.row.name} is already running", "stop it first")
            try:
                return self._start(record, foreground, stdin, seat, pacer)
            except LabError as error:
                self._keep_reason(record, error)
                raise

    def _keep_reason(self, record: Record, error: LabError) -> None:
        """Why it was not started stands in its state from now on; what its shim wrote of that says more, and stays."""
        with contextlib.suppress(OSError, Conflict, NotFound):
            state = self._settled(record)
            if not state.running and not (isinstance(error, StartFailed) and state.error):
                write_failure(record.directory, error.message, exit_code=state.exit_code or _NEVER_RAN)

    @tells_full_disk(lambda self: self.store.paths.root)
    def start_again(self, record: Record) -> None:
        """Start an ended container, detached, while its lock is held. Raises as start()."""
        execution, _ = self._start(record, False, None, NOBODY)
        execution.close()

    def _start(
        self, record: Record, foreground: bool, stdin: int | None, seat: Seat, pacer: Pacer | None = None
    ) -> tuple[Execution, tuple[str, ...]]:
        notes = StartNotes(record.directory)
        try:
            return self._start_noted(record, foreground, stdin, seat, notes, pacer)
        except BaseException as error:
            notes.fail(error)
            raise

    def _start_noted(
        self, record: Record, foreground: bool, stdin: int | None, seat: Seat, notes: StartNotes, pacer: Pacer | None
    ) -> tuple[Execution, tuple[str, ...]]:
        with contextlib.ExitStack() as undo:
            descriptors = undo.enter_context(contextlib.ExitStack())
            joined = open_joined(record.options, self.get, descriptors)
            host = self.host()
            notes.host(host)
            self._write_etc(record, notes)
            cgroup, cradle, unlimited = self._limited_cgroup(record, notes)
            undo.callback(cgroup.remove)
            spec, warnings = self.spec(record, joined, cgroup, "" if joined.by_joiner else cradle)
            warnings = (*unlimited, *warnings)
            if record.options.tty:
                spec = replace(spec, terminal=seat.size)
            plan = plans.plan_container(spec, host) if pacer is None else with_pauses(plans.plan_container(spec, host))
            notes.plan(spec, plan, cgroup, warnings, joined)
            with contextlib.ExitStack() as sockets:
                wanted, unpublished = published(record.options, record.config.exposed_ports)
                warnings = (*warnings, *unpublished)
                listeners = open_listeners(wanted, notes)
                for _, sock in listeners:
                    sockets.callback(sock.close)
                ports = tuple(binding for binding, _ in listeners)
                notes.ports(ports, warnings)
                notes.write()
                request = self._request(record, spec, plan, cgroup, foreground)
                if watched(unlimited):
                    request["memory_watch"] = record.options.memory_bytes
                if pacer is not None:
                    request["whole_or_not"] = pacer.whole_or_not
                request.update(seat.request(record.options), **self.upkeep(record))
                request["forward"] = [binding.container_port for binding in ports]
                if joined.by_joiner:
                    request["joins"] = joined.joins
                fds = (*joined.pidfds, *(sock.fileno() for _, sock in listeners))
                for point in mount_plan.volumes_of(record.mounts):
                    self.volumes.event("mount", point.name, mount_plan.mount_event(point, record.row.id))
                channel = self.launcher.spawn(request, stdin=stdin, listeners=fds)
                notes.handed_over = True
            descriptors.close()
            execution = Execution(channel, record.row.name)
            undo.callback(execution.close)
            undo.callback(execution.signal, signals.SIGKILL)
            undo.callback(self.networks.disconnect, record.row.id)
            if pacer is not None:
                pacer.begun(channel.disconnect)
            for message in execution.wait_started():
                if "pause" in message and pacer is not None:
                    pacer.pause(message["pause"], message["pid"])
                    with contextlib.suppress(OSError):  # it has ended meanwhile, and says why next
                        execution.channel.send({"step": True})
                else:
                    self._connect(record, execution, message, notes)
            undo.pop_all()
        if not foreground:
            self.spare_groups.refill()
        return execution, warnings

    def _limited_cgroup(self, record: Record, notes: StartNotes) -> tuple[Cgroup, str, tuple[str, ...]]:
        """The container's control group with its limits, the token of the cradle in it, and what cannot be enforced."""
        limits = limits_of(record.options)
        with notes.timed("make_cgroups") as noted:
            cgroup, cradle = self._new_cgroup(record.row.id, limits.cpuset)
            noted.update(paths=groups_of(cgroup), spare=bool(cradle))
        if not noted["paths"]:
            notes.entries.pop()
        try:
            warnings = told_of_watchdog(cgroup.apply(limits, notes=notes))
            binds = [point.bound or point.source for point in record.mounts]
            rules = confinement.device_rules(record.options, self.launcher.rootless, binds)
            if rules is not None:
                cgroup, unlimited = confinement.limit_devices(record.options, rules, cgroup, record.row.id, notes)
                warnings = (*warnings, *unlimited)
        except BaseException:
            cgroup.remove()
            raise
        return cgroup, cradle, warnings

    @cached_property
    def names_itself(self) -> bool:
        """Whether a container can have a host name of its own. Only where a filter is in force this is tried, which takes milliseconds."""
        if not (self.launcher.rootless and levels.filtered()):
            return True
        return bool(self.launcher.call("labcontainers.kernel.levels:may_set_names"))

    def spec(self, record: Record, joined: Joined, cgroup: Cgroup, cradle: str) -> tuple[ContainerSpec, tuple[str, ...]]:
        """What the runtime is to make, and what of the wishes this host cannot give; nothing is made here."""
        options, directory = record.options, record.directory
        mounts = mount_plan.runtime_mounts(directory, options, record.mounts, self.store.snapshots, rootless=self.launcher.rootless)
        hostname = record.hostname
        if joined.network_owner is not None:
            owner = etc_owner(record, self.get)
            mounts, hostname = etc_files.taken_from(mounts, directory, owner.directory), owner.hostname
        isolation = confinement.spec_fields(options, self.launcher.rootless, self.filter_for)
        process = process_limits(options, self.launcher.start())
        rootless = self.launcher.rootless
        warnings = (*process.warnings, *confinement.warnings(options, rootless), *host_root.warnings(options, rootless=rootless))
        named = options.uts_mode != "host" and (options.network != "host" or bool(options.hostname))
        if options.hostname and named and not self.names_itself:
            warnings = (*warnings, f"--hostname {options.hostname} has no effect: a filter of an outer container forbids sethostname(2)")
        trees = trees_of(self.store.snapshots, record)
        spec = ContainerSpec(
            arguments=record.command,
            environment=prepare.container_environment(record.config, options, hostname),
            lower=trees.mounted,
            upper=trees.upper,
            work=trees.work,
            root=f"{directory}/root",
            hostname=hostname if named and self.names_itself else "",
            working_dir=options.working_dir or record.config.working_dir or "/",
            user=options.user or record.config.user,
            network=joined.network,
            namespaces=joined.namespaces,
            read_only=options.read_only,
            volatile=options.remove,
            mounts=mounts,
            hidden=host_root.hidden(trees.image, options.rootfs, self.store.paths.root),
            domainname=options.domainname or "",
            groups=options.groups,
            init=options.init,
            shm_bytes=options.shm_bytes or DEFAULT_SHM_BYTES,
            oom_score_adj=process.oom_score_adj,
            rlimits=process.rlimits,
            sysctls=dict(options.sysctls),
            procs=cgroup.procs,
            cgroup_directory=cgroup.unified or "",
            cradle=cradle,
            **isolation,
        )
        return spec, warnings

    def _write_etc(self, record: Record, notes: Notes, address: str = "") -> None:
        """The files of /etc; `address` is the container's own, once it is known."""
        options = record.options
        gateway = self.host_gateway(options.network) if any(host.endswith(":host-gateway") for host in options.extra_hosts) else ""
        names = etc_files.names_of(options, gateway)
        etc_files.write_etc(record.directory, record.hostname, options.network, address, names, notes)

    def host_gateway(self, network: str) -> str:
        """Where this machine is reached from a container: the bridge's address, or its own loopback on its own network."""
        return "127.0.0.1" if network == "host" else self.networks.ensure("bridge").gateway

    def _new_cgroup(self, container_id: str, cpuset: bool) -> tuple[Cgroup, str]:
        """The container's control group and the token of its cradle; one that a dead shim or engine left is taken away first."""
        try:
            return self.spare_groups.take(container_id, cpuset=cpuset)
        except Conflict:
            self.clear_cgroup(container_id)
            return self.spare_groups.take(container_id, cpuset=cpuset)

    def clear_cgroup(self, group_id: str) -> None:
        """Kill what is in a control group that nobody watches, and remove it. Idempotent."""
        left = self.hierarchy().find(group_id)
        if left is not None:
            left.kill()
            left.remove()
        cgroup_devices.remove(group_id)

    def _request(self, record: Record, spec: ContainerSpec, plan: plans.Plan, cgroup: Cgroup, foreground: bool) -> dict[str, Any]:
        event = {"type": "container", "id": record.row.id, "name": record.row.name, "attributes": record.event_attributes}
        network = record.options.network
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
            **({"network": _told(self.networks.get(network))} if network in _FURNISHED else {}),
            **log_request(record.options.log_driver, record.options.log_max_bytes, record.options.log_max_files),
            **({"volumes": mount_plan.shim_volumes(record.mounts)} if record.mounts else {}),
        }

    def _connect(self, record: Record, execution: Execution, message: dict[str, Any], notes: StartNotes) -> None:
        """Give the waiting container its place in the network, then let it go on."""
        try:
            endpoint = self.networks.connect(
                record.options.network,
                record.row.id,
                record.hostname,
                pid=message["network"],
                netns_socket=message["socket"],
                mac=record.options.mac_address,
                notes=notes.connect,
            )
            self._write_etc(record, notes.connect, endpoint.address)
            # Once it may go on, it may end and be removed at any moment.
            notes.write()
        except BaseException as error:
            notes.fail_to_connect(record.options.network, error)
            with contextlib.suppress(OSError):
                execution.channel.send({"error": f"network {record.options.network}: {error}"})
            if isinstance(error, KernelFailed) and error.errno == errno.ESRCH:
                return  # it has failed meanwhile, and what it said of that comes next
            if isinstance(error, Exception):
                _hear_out(execution)
            if isinstance(error, FileNotFoundError):
                raise NotFound(f"container {record.row.name} was removed while it was started", "create it again") from None
            raise
        finally:
            os.close(message["socket"])
        # Nor does one that has failed just now hear this.
        with contextlib.suppress(OSError):
            network = Network(endpoint.network, "bridge", id=endpoint.network_id)
            execution.channel.send({"go": True, "address": endpoint.address, "network": _told(network)})


def _told(network: Network) -> tuple[str, str, str]:
    """What a shim is to tell of the container's network: name, type, id."""
    return network.name, network.driver, network.event_id


def _hear_out(execution: Execution) -> None:
    """Let a container that was told that it cannot have its network say how far it came, before it is killed for that."""
    with contextlib.suppress(LabError, OSError, TimeoutError):
        while execution.next(_LAST_WORDS_S) is not None:
            pass
