"""Create, start, wait, stop, kill and remove: the verbs on one container, over the store and the runtime.

It must not know who asks: a result is a value, output goes to a function that is given. Blocks; thread-safe.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal as signals
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from labcontainers.containers.joined import check_owners
from labcontainers.containers.options import namespaces as namespace_options
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.process import container_name
from labcontainers.containers.planning import confinement, prepare
from labcontainers.containers.planning.stages import PAUSE
from labcontainers.containers.register import Record
from labcontainers.containers.shim_client import ShimClient
from labcontainers.containers.starting import Starter
from labcontainers.containers.state import kept_from_shims, read_start, read_state, settle, shim_alive
from labcontainers.containers.time_limit import TimeLimit, grace_of
from labcontainers.errors import (
    Cancelled,
    Conflict,
    InvalidArgument,
    KernelFailed,
    NotFound,
    StartFailed,
    Unavailable,
    Unsupported,
)
from labcontainers.images.image import Image
from labcontainers.kernel import levels
from labcontainers.kernel.interrupts import LOOK_AGAIN_S, Interrupts
from labcontainers.networks.ports import PortBinding
from labcontainers.runtime.process import Execution
from labcontainers.store import layer_line

Output = Callable[[int, bytes], None]

# how long Docker waits for the end of what it kills
_KILLED_S = 10.0


class Lifecycle(Starter):
    """The verbs."""

    def create(self, image: str | Image | None, command: tuple[str, ...], options: ContainerOptions) -> Record:
        """As Register.create; also raises Unsupported and InvalidArgument for what this host cannot give, NotFound for an owner."""
        self.check(options)
        options = namespace_options.resolved(options, lambda name: self.get(name).row.id)
        check_owners(options, self.get)
        return super().create(image, command, options)

    @cached_property
    def level(self) -> str:
        """What holds containers here and what it lacks (kernel.levels), found by trying. Blocks for some milliseconds the first time."""
        try:
            ids, masked = self.launcher.start(), False
        except Unsupported:
            return levels.NO_NAMESPACES
        if self.launcher.rootless:
            with tempfile.TemporaryDirectory(prefix=".level-", dir=self.store.paths.tmp) as scratch:
                masked = not self.launcher.call("labcontainers.kernel.levels:has_fresh_proc", scratch=scratch)
        return levels.told(ids, masked_proc=masked, limited=self.hierarchy().mode != "none")

    def check(self, options: ContainerOptions) -> None:
        """Raises Unsupported and InvalidArgument for what this host cannot give."""
        confinement.check(options, self.launcher.rootless, lambda: self.hierarchy().mode, self.filter_for)

    # --- the running container

    def follow(
        self, record: Record, execution: Execution, on_output: Output, interrupts: Interrupts, limit: TimeLimit | None = None
    ) -> dict[str, Any]:
        """Pass a foreground container's output on until it ends, by itself or by `limit`; returns what the shim tells of the end.

        `interrupts` go to the container from here on.
        """
        limit = limit or TimeLimit()
        first, grace_s = prepare.stop_signal(record.config, record.options), grace_of(record.options)
        end: dict[str, Any] = {"exit_code": 137, "oom_killed": False, "finished_at": time.time(), "error": "its shim died"}
        try:
            interrupts.pass_on(execution.signal)
            with limit.watching(lambda number: execution.signal(number, stop=True), first, grace_s):
                while (message := execution.next()) is not None:
                    if isinstance(message, tuple):
                        on_output(*message)
                    elif "ended" in message:
                        end = message["ended"]
                        break
        finally:
            # Whatever ended this, a foreground container does not outlive it.
            execution.close()
            self.let_go(record, end)
        return end

    def let_go(self, record: Record, end: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Clear up after a container that was followed to its `end`, unless that was not its last."""
        self.spare_groups.refill()
        if not end.get("restarting"):
            self.networks.disconnect(record.row.id)
        if record.options.remove:
            self.still_there(record)

    def client(self, record: Record) -> ShimClient:
        """A connection to the container's shim; raises Conflict when it does not run."""
        if not self.state(record).running:
            raise Conflict(f"container {record.row.name} is not running", "start it first")
        return ShimClient(record.directory / "shim.sock", record.row.name)

    def wait(self, record: Record, timeout_s: float | None = None, given_up: Callable[[], bool] | None = None) -> int:
        """Block until the container has ended; its exit code. TimeoutError after `timeout_s` seconds, Cancelled when `given_up()`."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        slice_s = math.inf if given_up is None else LOOK_AGAIN_S
        try:
            with self.client(record) as client:
                end = None
                while end is None and (left_s := deadline - time.monotonic()) > 0:
                    part_s = min(left_s, slice_s)
                    end = client.wait_ended(None if math.isinf(part_s) else part_s)
                    if end is None and given_up is not None and given_up():
                        raise Cancelled(f"nobody waits for container {record.row.name} any more")
        except (Conflict, NotFound, StartFailed):
            end = None
        else:
            if end is None:
                raise TimeoutError(f"container {record.row.name} still runs after {timeout_s} s")
        if end is None or not end.get("restarting"):
            self.networks.disconnect(record.row.id)
        if end is not None and "error" not in end:
            return int(end["exit_code"])
        return self.state(record).exit_code

    def kill(self, record: Record, signal: int) -> None:
        """Send a signal to the container's first process, which is told and on its way afterwards; raises Conflict when it does not run.

        After SIGKILL it has ended, as in Docker, unless the kernel takes more than ten seconds for that.
        """
        with self.client(record) as client:
            client.ask({"signal": int(signal)}, "signalled")
            ended = signal == signals.SIGKILL and client.wait_ended(_KILLED_S, last=True) is not None
        if ended:
            self.networks.disconnect(record.row.id)

    def stop(self, record: Record, timeout_s: float | None = None, signal: int | None = None, *, keep: bool = False) -> None:
        """Send `signal`, or the container's stop signal, and SIGKILL after `timeout_s` seconds (below 0: never; None: its own timeout).

        Nothing happens to one that does not run. With `keep`, also one that is to be removed at its end stays.
        """
        if not self.state(record).running:
            return
        try:
            with self.client(record) as client:
                client.signal(signal or prepare.stop_signal(record.config, record.options), stop=True, keep=keep)
                if client.wait_ended(prepare.stop_timeout(record.options, timeout_s), last=True) is None:
                    client.signal(signals.SIGKILL, stop=True, keep=keep)
                    client.wait_ended(None, last=True)
            if keep and record.options.remove:
                # Its layers were mounted as if for the last time, and the kernel keeps a mark of that, which no later mount would accept.
                mark = record.directory / layer_line.read(record.directory).work / "work" / "incompat"
                with contextlib.suppress(KernelFailed):
                    self.launcher.call("labcontainers.kernel.files:remove_tree", path=str(mark))
        except Conflict:
            return
        finally:
            self.networks.disconnect(record.row.id)
        self.tell(record, "stop")

    def rename(self, record: Record, name: str) -> Record:
        """Give the container another name; its new record. Raises InvalidArgument, Conflict (name in use), NotFound."""
        old, new = record.row.name, container_name(name.removeprefix("/"))
        if new == old:
            raise InvalidArgument(f"container {old} has this name already", "choose another name")
        self._is_freed(new)  # a name that only a removed container still has
        self.store.records.rename_container(record.row.id, new)
        renamed = replace(record, row=replace(record.row, name=new))
        with contextlib.suppress(Conflict, NotFound), self.client(renamed) as client:
            client.rename(new)
        self.tell(renamed, "rename", {"oldName": "/" + old})
        return renamed

    def sizes(self, record: Record) -> tuple[int, int]:
        """Bytes on disk of the container's own layers, and together with the image's layers. Raises NotFound."""
        line = layer_line.read(record.directory)
        try:
            trees = [str(record.directory / tree) for tree in (line.upper, *line.trees(line.base))]
            used = [self.launcher.call("labcontainers.store.trees:usage", path=tree)["bytes"] for tree in trees]
        except KernelFailed:
            self.state(record)  # raises NotFound when it was removed meanwhile
            raise
        own = sum(map(int, used))
        return own, own + self.store.snapshots.size_bytes(record.diff_ids)

    @contextlib.contextmanager
    def restarting(self, record: Record) -> Iterator[None]:
        """While it lasts, who follows the container takes its end for a pause."""
        with self.store.locks.hold(f"restart-{record.row.id}"):
            yield

    def goes_on(self, record: Record) -> bool:
        """Whether the container runs, or is being restarted by any engine."""
        try:
            if self.state(record).running:
                return True
            with self.store.locks.hold(f"restart-{record.row.id}", shared=True, timeout_s=0):
                return self.state(record).running
        except NotFound:
            return False
        except Unavailable:
            return True

    def remove(self, record: Record, *, force: bool = False, volumes: bool = False) -> None:
        """Remove an ended container with its writable layer, with `volumes` its anonymous volumes too. Raises Conflict.

        A running one, or one that is made step by step, goes only with `force` (SIGKILL first).
        """
        if (end := self.half_made.get(record.row.id)) is not None:
            if not force:
                raise Conflict(f"container {record.row.name} is being made step by step", "finish or abort it first")
            end()
            if self.find(record.row.id) is None:
                return
        lock = self.store.container_lock(record.row.id)
        with self.store.locks.hold(lock, meanwhile=lambda: self._refuse_half_made(record)):
            if self._still_runs(record):
                if not force:
                    raise Conflict(f"container {record.row.name} is running", "stop it first, or remove it with force")
                with contextlib.suppress(Conflict, NotFound), self.client(record) as client:
                    client.signal(signals.SIGKILL, stop=True)
                    client.wait_ended(None, last=True)
            self.delete(record, volumes=volumes)

    @staticmethod
    def _refuse_half_made(record: Record) -> None:
        """Who waits for a container that another process makes step by step might wait for a whole lesson; raises Conflict."""
        plan = read_start(record.directory).get("plan", ())
        if any(name == PAUSE for name, _ in plan) and shim_alive(record.directory):
            with contextlib.suppress(NotFound):
                if not read_state(record.directory, record.row.name).running:
                    problem = f"container {record.row.name} is being made step by step by another process"
                    raise Conflict(problem, "finish or abort it there")

    @staticmethod
    def _still_runs(record: Record) -> bool:
        try:
            return settle(record.directory, record.row.name).running
        except NotFound:
            return False

    def delete(self, record: Record, *, volumes: bool = False) -> None:
        """Take an ended container away with all that is its own, while its lock is held."""
        self.clear_cgroup(record.row.id)
        gone = self.store.paths.trash / f"{record.row.id}.removed"
        with contextlib.suppress(FileNotFoundError):
            with kept_from_shims(record.directory, record.row.name):
                os.rename(record.directory, gone)
            self.launcher.call("labcontainers.kernel.files:remove_tree", path=str(gone))
            self.tell(record, "destroy")
        self._release_volumes(record, anonymous=volumes or record.options.remove)
        self._forget(record.row.id)

    def abandon(self, record: Record) -> None:
        """After a start that failed or was interrupted: with `--rm` nothing stays, else the container that was created."""
        if record.options.remove:
            self.remove(record, force=True)

    def ports(self, record: Record) -> tuple[PortBinding, ...]:
        """The published ports, with those that the kernel chose at the last start."""
        started = read_start(record.directory).get("ports")
        return record.options.ports if started is None else tuple(PortBinding(**port) for port in started)

    def warnings(self, record: Record) -> tuple[str, ...]:
        """What this host could not enforce at the container's last start, and what a full disk kept out of its log."""
        try:
            lost = read_state(record.directory, record.row.name).log_lost_bytes
        except NotFound:
            return ()
        losses = (f"{lost} bytes of output are not in the log: its file system had no space left",) if lost else ()
        return (*read_start(record.directory).get("warnings", ()), *losses)
