"""`engine.containers`: run, create, find and list, in docker-py's words.

It must not know the runtime: the lifecycle does the work.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from labcontainers.containers.awaiting import in_thread
from labcontainers.containers.cidfile import cid_file
from labcontainers.containers.container import Container
from labcontainers.containers.exec import open_stdin
from labcontainers.containers.explain.dry_run import dry_run
from labcontainers.containers.explain.explanation import Explanation
from labcontainers.containers.filters import Filters, list_filters, may_be_pruned, prune_filters, select
from labcontainers.containers.lifecycle import Lifecycle, Output
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.forms import split_command
from labcontainers.containers.options.streams import stream_keywords
from labcontainers.containers.register import Record
from labcontainers.containers.result import Collector, Pruned, RunResult
from labcontainers.containers.seat import Seat, numbers_of
from labcontainers.containers.stepping import Stepper, make_in_steps
from labcontainers.containers.time_limit import TimeLimit
from labcontainers.errors import Cancelled, Conflict, Interrupted, InvalidArgument, NotFound
from labcontainers.images.image import Image
from labcontainers.kernel.interrupts import Interrupts
from labcontainers.runtime.process import Execution

Command = str | Sequence[str] | None


class Containers:
    """All containers of the store."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    @property
    def level(self) -> str:
        """What holds containers of this user on this machine, and what it lacks (kernel.levels)."""
        return self._lifecycle.level

    @overload
    def run(self, image: str | Image | None = None, command: Command = None, *, detach: Literal[True], **options: Any) -> Container: ...
    @overload
    def run(
        self,
        image: str | Image | None = None,
        command: Command = None,
        *,
        step: Literal[True],
        detach: Literal[False] = False,
        **options: Any,
    ) -> Stepper: ...
    @overload
    def run(
        self, image: str | Image | None = None, command: Command = None, *, detach: Literal[False] = False, **options: Any
    ) -> RunResult: ...
    def run(
        self,
        image: str | Image | None = None,
        command: Command = None,
        *,
        detach: bool = False,
        step: bool = False,
        stdin: bytes | str | int | None = None,
        on_output: Output | None = None,
        keep_output: bool = True,
        timeout_s: float | None = None,
        limit: TimeLimit | None = None,
        **options: Any,
    ) -> RunResult | Container | Stepper:
        """Create and start a container; with `detach` return it at once, else wait and return what it left.

        `options` are those of containers.options; with `rootfs`, a folder, there is no image. `stdin` is the text to feed, or a
        descriptor. `on_output(stream, data)` is called in this thread while it runs; without `keep_output` the result has no
        output of its own. After `timeout_s` seconds in the foreground (0: never) it is ended: by its stop signal, and by SIGKILL
        after its own --stop-timeout or two seconds; `limit` (TimeLimit) does that, too, and can be cancelled.

        With `step` a Stepper is returned at once: the container, detached, is made stage by stage as it says.
        A non-zero exit code is no exception here: see RunResult.check(). Raises NotFound, InvalidArgument,
        Conflict, Unsupported and StartFailed; Interrupted after the container has been stopped by an interrupt.
        """
        if step and (stdin is not None or on_output is not None):
            raise InvalidArgument("a container that is made step by step goes on detached: no input, no output here", "read its logs()")
        limit = limit or TimeLimit(timeout_s)
        if (detach or step) and limit.timeout_s is not None:
            raise InvalidArgument("--timeout: nobody waits for a detached container", "leave it out, or wait(timeout_s) and stop()")
        record = self._create(image, command, stream_keywords(detach or step, stdin, options))
        if step:
            return self._in_steps(record)
        if limit.cancelled:
            self._lifecycle.abandon(record)
            raise Cancelled(f"the run of container {record.row.name} was cancelled before it began")
        # Nobody can type while this waits: an open standard input without a text is at its end.
        source = None if stdin is None and (detach or not record.options.stdin_open) else open_stdin(stdin)
        if detach:
            self._begin(record, source, foreground=False)[0].close()
            return Container(self._lifecycle, record)
        return self._wait_for(record, source, Collector(on_output, keep=keep_output), limit)

    def _wait_for(self, record: Record, source: int | None, collected: Collector, limit: TimeLimit) -> RunResult:
        """Start it, and follow it to its end."""
        began = time.monotonic()
        # What interrupts the start reaches the container as soon as it runs.
        with Interrupts() as interrupts:
            execution, warnings = self._begin(record, source, foreground=True)
            end = self._lifecycle.follow(record, execution, collected, interrupts, limit)
        if interrupts.count:
            raise Interrupted(f"container {record.row.name}", end["exit_code"])
        return RunResult(
            container_id=record.row.id,
            name=record.row.name,
            command=record.command,
            exit_code=end["exit_code"],
            stdout_bytes=collected.stdout,
            stderr_bytes=collected.stderr,
            duration_s=time.monotonic() - began,
            image=record.row.image,
            oom_killed=end["oom_killed"],
            warnings=warnings,
            memory_limit_bytes=record.options.memory_bytes,
            memory_peak_bytes=end.get("memory_peak_bytes"),
            removed=record.options.remove,
            timeout_s=limit.spent_s,
        )

    async def run_async(
        self,
        image: str | Image | None = None,
        command: Command = None,
        *,
        stdin: bytes | str | int | None = None,
        on_output: Output | None = None,
        keep_output: bool = True,
        timeout_s: float | None = None,
        **options: Any,
    ) -> RunResult:
        """As run() in the foreground, for `await` in a cell or a callback: the event loop goes on meanwhile, and so do widgets' buttons.

        `on_output` is called in another thread, in the caller's context. Who cancels the task stops the container, as a time limit does;
        CancelledError goes on once it has ended. A pull that goes on then is not waited for when it is cancelled twice.
        """
        if options.pop("detach", False):
            raise InvalidArgument("run_async waits for the end: detach=True does not go with it", "use run(detach=True), and wait_async()")
        limit = TimeLimit(timeout_s, cancellable=True)

        def work() -> RunResult:
            result: RunResult = self.run(image, command, stdin=stdin, on_output=on_output, keep_output=keep_output, limit=limit, **options)
            return result

        return await in_thread(work, limit.cancel)

    def _begin(self, record: Record, stdin: int | None, *, foreground: bool) -> tuple[Execution, tuple[str, ...]]:
        """Start a container that was just created, which is gone again if it cannot be started; closes `stdin`."""
        try:
            seat = Seat(numbers_of(record.options.attach)) if foreground and record.options.attach is not None else Seat()
            return self._lifecycle.start(record, foreground=foreground, stdin=stdin, seat=seat)
        except BaseException:
            self._lifecycle.abandon(record)
            raise
        finally:
            if stdin is not None:
                os.close(stdin)

    def _in_steps(self, record: Record) -> Stepper:
        """Make a container that was just created step by step; one that cannot even begin is gone again."""
        try:
            return make_in_steps(self._lifecycle, record, Container(self._lifecycle, record), whole_or_not=True)
        except BaseException:
            self._lifecycle.abandon(record)
            raise

    def plan(self, image: str | Image | None = None, command: Command = None, **options: Any) -> Explanation:
        """What `run` with the same arguments would do, without doing it. Raises as `create` does."""
        return dry_run(self._lifecycle, image, split_command(command), ContainerOptions.from_keywords(**options))

    def create(self, image: str | Image | None = None, command: Command = None, **options: Any) -> Container:
        """A container that is not started yet."""
        return Container(self._lifecycle, self._create(image, command, options))

    def _create(self, image: str | Image | None, command: Command, options: Mapping[str, Any]) -> Record:
        chosen = ContainerOptions.from_keywords(**options)
        with cid_file(chosen.cidfile) as tell_id:
            record = self._lifecycle.create(image, split_command(command), chosen)
            try:
                tell_id(record.row.id)
            except BaseException:
                # Who cannot be told its id must not be left with it.
                self._lifecycle.remove(record, force=True, volumes=True)
                raise
        return record

    def get(self, name_or_id: str) -> Container:
        """By name, id or the beginning of an id; raises NotFound, or Conflict when several begin so."""
        return Container(self._lifecycle, self._lifecycle.get(name_or_id))

    def list(
        self, all: bool = False, filters: Filters | None = None, *, limit: int = -1, since: str | None = None, before: str | None = None
    ) -> list[Container]:
        """Running containers, or with `all` every one, newest first; `filters` are Docker's, such as {"status": "exited"}.

        `limit` above 0 gives the last created ones, whatever their state. Raises InvalidArgument and Unsupported for a filter that is
        not there, NotFound for a container that `since` or `before` names.
        """
        given = {**(filters or {}), **({"since": since} if since else {}), **({"before": before} if before else {})}
        wanted = list_filters(given)
        all = all or limit > 0 or any(key in wanted for key in ("status", "exited"))
        found = []
        for record in self._lifecycle.list():
            container = Container(self._lifecycle, record)
            with contextlib.suppress(NotFound):  # removed while we looked
                state = container.state
                if all or state.running:
                    found.append((container, state))
        return select(found, wanted, self.get, self._lifecycle.catalog.find)[: limit if limit > 0 else None]

    def prune(self, filters: Filters | None = None) -> Pruned:
        """Remove every container that does not run and that the filters (`label`, `label!`, `until`) mean; raises InvalidArgument."""
        wanted = prune_filters(filters or {})
        removed = []
        reclaimed_bytes = 0
        for container in self.list(all=True):
            try:
                if not container.state.running and may_be_pruned(container, wanted):
                    size_bytes, _ = container.sizes()
                    container.remove()
                    removed.append(container.id)
                    reclaimed_bytes += size_bytes
            except (NotFound, Conflict):  # removed or started meanwhile
                continue
        self._lifecycle.store.events.append_prune("container", reclaimed_bytes)
        return Pruned(tuple(removed), reclaimed_bytes)
