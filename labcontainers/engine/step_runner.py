"""A build's RUN step becomes a process by the runtime directly: no container record, no log, only its output and its exit code.

It must not know Dockerfiles; it implements build.steps.StepRunner.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from labcontainers.build.steps import RunRequest
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.kernel import Rlimit
from labcontainers.containers.options.network import HOST_GATEWAY
from labcontainers.containers.planning import confinement, etc_files, host_root, prepare
from labcontainers.containers.planning.limits import limits_of, process_limits, told_of_watchdog, watched
from labcontainers.containers.recovery import STEP_NOTE
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.kernel.seccomp_fake_root import FAKE_ROOT
from labcontainers.runtime import plan as plans
from labcontainers.runtime.process import Execution
from labcontainers.runtime.spec import DEFAULT_SHM_BYTES, BindMount, ContainerSpec
from labcontainers.store.host_layer import HOST_ROOT

_NO_LIMITS = ContainerOptions()
_APT_CONFIG = "/run/labcontainers-apt.conf"


class RuntimeStepRunner:
    """Runs build steps in namespaces of their own, with the step's scratch tree as their writable layer.

    `limits` hold for each step by itself. What this host cannot enforce of them is told once, in the first step's output.
    """

    def __init__(self, lifecycle: Lifecycle, limits: ContainerOptions = _NO_LIMITS) -> None:
        self._lifecycle = lifecycle
        self._limits = limits
        self._told: set[str] = set()

    def run(self, request: RunRequest, on_output: Callable[[int, bytes], None]) -> int:
        """Run one step and wait for it; its exit code. Raises StartFailed.

        An interrupt kills the step and is raised again; `request.cancel` kills it, too, and the code is that of a killed one then.
        """
        request.cancel.check()
        step_id = secrets.token_hex(32)
        # Should this process die, whoever sweeps the scratch directory learns what else there is to take away.
        (request.scratch / STEP_NOTE).write_text(step_id)
        limits, process = limits_of(self._limits), process_limits(self._limits, self._lifecycle.launcher.start())
        cgroup, cradle = self._lifecycle.spare_groups.take(step_id, cpuset=limits.cpuset)
        root, etc = request.scratch / "root", request.scratch / "etc"
        try:
            unlimited = cgroup.apply(limits)
            self._tell((*told_of_watchdog(unlimited), *process.warnings), on_output)
            for folder in (root, etc):
                folder.mkdir(exist_ok=True)
            etc_files.write_etc(request.scratch, request.hostname, request.network, names=self._names(request.hosts))
            places = host_root.make_place_for_names(HOST_ROOT, request.scratch / "fs") if HOST_ROOT in request.lower_paths else []
            execution = self._spawn(step_id, request, cgroup, cradle, process.rlimits, watch=watched(unlimited))
            try:
                with request.cancel.stopping(lambda: execution.signal(signal.SIGKILL)):
                    return self._follow(step_id, request, execution, on_output)
            finally:
                execution.close()
                self._clean(request, execution, places)
        finally:
            self._lifecycle.networks.disconnect(step_id)
            cgroup.remove()
            self._lifecycle.spare_groups.refill()
            with contextlib.suppress(OSError):
                root.rmdir()
            shutil.rmtree(etc, ignore_errors=True)

    def _tell(self, warnings: Sequence[str], on_output: Callable[[int, bytes], None]) -> None:
        for warning in warnings:
            if warning not in self._told:
                self._told.add(warning)
                on_output(2, f"warning: {warning}\n".encode())

    def _names(self, hosts: tuple[str, ...]) -> etc_files.NameOptions:
        options = replace(self._limits, extra_hosts=hosts)
        gateway = self._lifecycle.host_gateway(options.network) if any(host.endswith(f":{HOST_GATEWAY}") for host in hosts) else ""
        return etc_files.names_of(options, gateway)

    def _spawn(
        self, step_id: str, request: RunRequest, cgroup: Cgroup, cradle: str, rlimits: tuple[Rlimit, ...], *, watch: bool
    ) -> Execution:
        lifecycle = self._lifecycle
        apt, variables = self._for_apt(request)
        # /etc/hostname is the image's own, as in BuildKit: what a step writes there stays
        files = tuple(BindMount(str(request.scratch / "etc" / name), f"/etc/{name}") for name in ("hosts", "resolv.conf"))
        spec = ContainerSpec(
            arguments=request.arguments,
            environment=prepare.merge_environment([prepare.DEFAULT_PATH, *variables], request.environment),
            lower=request.lower_paths,
            upper=str(request.scratch / "fs"),
            work=str(request.scratch / "work"),
            root=str(request.scratch / "root"),
            hostname=request.hostname if request.network != "host" and lifecycle.names_itself else "",
            working_dir=request.working_dir or "/",
            user=request.user,
            network=request.network,
            shm_bytes=self._limits.shm_bytes or DEFAULT_SHM_BYTES,
            rlimits=rlimits,
            **confinement.spec_fields(ContainerOptions(privileged=request.privileged), lifecycle.launcher.rootless, self._filter_for),
            mounts=(*files, *apt, *request.mounts),
            hidden=host_root.hidden(request.lower_paths, None, lifecycle.store.paths.root),
            procs=cgroup.procs,
            cgroup_directory=cgroup.unified or "",
            cradle=cradle,
        )
        message: dict[str, Any] = {
            "name": f"build {step_id[:12]}",
            "directory": "",
            "socket_directory": "",
            "clone_flags": plans.clone_flags(spec),
            "plan": plans.plan_container(spec, lifecycle.host()),
            "cgroups": cgroup.to_json(),
            "cgroup_directory": spec.cgroup_directory,
            "cradle": spec.cradle,
            "foreground": True,
            "remove": False,
            "trash": "",
            "event": None,
            "events": "",
            "forward": [],
            **({"memory_watch": self._limits.memory_bytes} if watch else {}),
        }
        return Execution(lifecycle.launcher.spawn(message, stdin=None), "the build step")

    @property
    def _fakes_root(self) -> bool:
        return self._lifecycle.launcher.start() == "single"

    def _filter_for(self, names: frozenset[str], profile: str = "") -> bytes:
        """With a single id packages could not be installed otherwise: programs that give files away would fail."""
        return self._lifecycle.filter_for(names, profile or (FAKE_ROOT if self._fakes_root else ""))

    def _for_apt(self, request: RunRequest) -> tuple[tuple[BindMount, ...], tuple[str, ...]]:
        """A mount and a variable by which apt fetches as root where it could not become another user, which it would look for."""
        if not self._fakes_root or not any(os.path.isdir(f"{tree}/etc/apt") for tree in request.lower_paths):
            return (), ()
        settings = request.scratch / "etc/apt.conf"
        settings.write_text('APT::Sandbox::User "root";\n')
        return (BindMount(str(settings), _APT_CONFIG),), (f"APT_CONFIG={_APT_CONFIG}",)

    def _follow(self, step_id: str, request: RunRequest, execution: Execution, on_output: Callable[[int, bytes], None]) -> int:
        for message in execution.wait_started():
            try:
                self._lifecycle.networks.connect(
                    request.network, step_id, request.hostname, pid=message["network"], netns_socket=message["socket"]
                )
            finally:
                os.close(message["socket"])
            execution.channel.send({"go": True})
        try:
            while (said := execution.next()) is not None:
                if isinstance(said, tuple):
                    on_output(*said)
                elif "ended" in said:
                    if said["ended"].get("oom_killed"):
                        limit = " of the build: raise --memory" if self._limits.memory_bytes else " of this machine"
                        on_output(2, f"killed: it used up the memory{limit}\n".encode())
                    return int(said["ended"]["exit_code"])
            return 137
        except KeyboardInterrupt:
            execution.signal(signal.SIGKILL)
            execution.wait_ended(10)
            raise

    def _clean(self, request: RunRequest, execution: Execution, places: list[str]) -> None:
        """Take away the empty files and folders that were made only to mount on, so that they do not become part of the layer."""
        made = [*places, *execution.started.get("made", [])]
        if made:
            tree, lower = str(request.scratch / "fs"), list(request.lower_paths)
            self._lifecycle.launcher.call("labcontainers.runtime.cleanup:remove_stubs", tree=tree, paths=made, lower=lower)
