"""A build's RUN step becomes a process by the runtime directly: no container record, no log, only its output and its exit code.

It must not know Dockerfiles; it implements build.steps.StepRunner.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labcontainers.build.steps import RunRequest
from labcontainers.containers import prepare
from labcontainers.containers.lifecycle import STEP_NOTE, Lifecycle
from labcontainers.kernel import capabilities
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.runtime import plan as plans
from labcontainers.runtime.process import Execution
from labcontainers.runtime.spec import BindMount, ContainerSpec


class RuntimeStepRunner:
    """Runs build steps in namespaces of their own, with the step's scratch tree as their writable layer."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def run(self, request: RunRequest, on_output: Callable[[int, bytes], None]) -> int:
        """Run one step and wait for it; its exit code. Raises StartFailed; an interrupt kills the step and is raised again."""
        step_id = secrets.token_hex(32)
        # Should this process die, whoever sweeps the scratch directory learns what else there is to take away.
        (request.scratch / STEP_NOTE).write_text(step_id)
        cgroup, cradle = self._lifecycle.spare_groups.take(step_id)
        root, etc = request.scratch / "root", request.scratch / "etc"
        try:
            for folder in (root, etc):
                folder.mkdir(exist_ok=True)
            prepare.write_etc(request.scratch, request.hostname, request.network)
            execution = self._spawn(step_id, request, cgroup, cradle)
            try:
                return self._follow(step_id, request, execution, on_output)
            finally:
                execution.close()
                self._clean(request.scratch, execution)
        finally:
            self._lifecycle.networks.disconnect(step_id)
            cgroup.remove()
            self._lifecycle.spare_groups.refill()
            with contextlib.suppress(OSError):
                root.rmdir()
            shutil.rmtree(etc, ignore_errors=True)

    def _spawn(self, step_id: str, request: RunRequest, cgroup: Cgroup, cradle: str) -> Execution:
        lifecycle = self._lifecycle
        # /etc/hostname is the image's own, as in BuildKit: what a step writes there stays
        files = tuple(BindMount(str(request.scratch / "etc" / name), f"/etc/{name}") for name in ("hosts", "resolv.conf"))
        spec = ContainerSpec(
            arguments=request.arguments,
            environment=prepare.merge_environment([prepare.DEFAULT_PATH], request.environment),
            lower=tuple(map(str, request.lower_paths)),
            upper=str(request.scratch / "fs"),
            work=str(request.scratch / "work"),
            root=str(request.scratch / "root"),
            hostname="" if request.network == "host" else request.hostname,
            working_dir=request.working_dir or "/",
            user=request.user,
            network=request.network,
            capabilities=capabilities.mask(capabilities.DEFAULT),
            seccomp=lifecycle.filter_for(frozenset(capabilities.DEFAULT)),
            mounts=files,
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
        }
        return Execution(lifecycle.launcher.spawn(message, stdin=None), "the build step")

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
                    return int(said["ended"]["exit_code"])
            return 137
        except KeyboardInterrupt:
            execution.signal(signal.SIGKILL)
            execution.wait_ended(10)
            raise

    def _clean(self, scratch: Path, execution: Execution) -> None:
        """Take away the empty files and folders that were made only to mount on, so that they do not become part of the layer."""
        made = execution.started.get("made", [])
        if made:
            self._lifecycle.launcher.call("labcontainers.runtime.cleanup:remove_stubs", tree=str(scratch / "fs"), paths=made)
