"""Making a container step by step: its first process waits before each stage, while whoever teaches looks at it.

A thread, `lab-step-…`, starts the container as ever, and is held up at each pause; it ends when the program runs or nothing is left.
It must not know notebooks.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from io import FileIO
from typing import Any, Literal

from labcontainers.containers.explain.docker_command import docker_run_of
from labcontainers.containers.explain.explanation import Explanation, explain_so_far
from labcontainers.containers.isolation.look import Look
from labcontainers.containers.isolation.process_facts import read_process
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.planning.stages import NAMES, PAUSE
from labcontainers.containers.register import Record
from labcontainers.containers.state import read_start, shims_lock, wait_until_shim_ended
from labcontainers.errors import Conflict, InvalidArgument, LabError, NotFound
from labcontainers.kernel.interrupts import begin_thread

Status = Literal["going", "waiting", "running", "aborted", "failed"]
_TO_THE_END = ""


class Aborted(LabError):
    """A container that was made step by step is not wanted any more."""


class Making:
    """What is being made, between the thread that makes it and those who step. Every method is thread-safe."""

    def __init__(self, lifecycle: Lifecycle, record: Record, container: Any, *, whole_or_not: bool) -> None:
        self.container = container
        self.whole_or_not = whole_or_not
        self.status: Status = "going"
        self.stage = ""
        self.pid = 0
        self.error: BaseException | None = None
        # who is told of each change, in the thread that brings it
        self.listeners: list[Callable[[], None]] = []
        self._lifecycle = lifecycle
        self._record = record
        self._changed = threading.Condition()
        self._stop_at: str | None = None
        self._aborting = False
        self._give_up: Callable[[], None] = lambda: None
        self._passed = 0
        self._shim: FileIO | None = None
        self._thread = threading.Thread(target=self._make, name=f"lab-step-{record.row.name}", daemon=True)

    def begin(self) -> None:
        """Start it, and wait for the first pause. Raises as `start`."""
        self._lifecycle.half_made[self._record.row.id] = self.abort
        begin_thread(self._thread)
        self._wait()
        self._raise()

    # --- in the thread that makes it

    def _make(self) -> None:
        status: Status = "running"
        try:
            execution, _ = self._lifecycle.start(self._record, pacer=self)
            execution.close()
        except BaseException as error:
            status = "aborted" if self._aborting else "failed"
            self.error = None if self._aborting else error
            self._clear_up()
        finally:
            if self._shim is not None:
                self._shim.close()
            self._lifecycle.half_made.pop(self._record.row.id, None)
            self._become(status)

    def _clear_up(self) -> None:
        """Of one that was aborted nothing stays, if it was made for this; of one that failed what a `run` would leave."""
        with contextlib.suppress(LabError, OSError):
            self._lifecycle.half_made.pop(self._record.row.id, None)
            if self._shim is not None:
                # it may be clearing up as well
                wait_until_shim_ended(self._shim)
            if self._aborting and self.whole_or_not:
                self._lifecycle.remove(self._record, force=True, volumes=True)
            else:
                self._lifecycle.abandon(self._record)

    def begun(self, give_up: Callable[[], None]) -> None:
        """starting.Pacer: what ends it while it goes on."""
        with self._changed:
            self._give_up = give_up
            if self._aborting:
                give_up()

    def pause(self, stage: str, pid: int) -> None:
        """starting.Pacer: block until it may go on; raises Aborted."""
        with self._changed:
            self.stage, self.pid = stage, pid
            self._passed += 1
            if self._shim is None:
                self._shim = shims_lock(self._record.directory)
            if self._stop_at is None or self._stop_at == stage:
                self._stop_at = None
                self._become("waiting")
                self._changed.wait_for(lambda: self.status != "waiting" or self._aborting)
            if self._aborting:
                raise Aborted("the container is not wanted any more")

    def _become(self, status: Status) -> None:
        with self._changed:
            self.status = status
            if status not in ("going", "waiting"):
                self.stage = ""
            self._changed.notify_all()
        self._tell()

    def _tell(self) -> None:
        for listener in list(self.listeners):
            # what cannot be shown must not end what is made
            with contextlib.suppress(Exception):
                listener()

    # --- those who step

    def coming(self) -> list[str]:
        """The stages before which it will wait, the one that it waits for first."""
        plan = read_start(self._record.directory).get("plan", ())
        stages = [arguments["stage"] for name, arguments in plan if name == PAUSE]
        return stages[max(self._passed - 1, 0) :] if self.status in ("going", "waiting") else []

    def go_on(self, stop_at: str | None) -> None:
        """Let it go on, to the next pause or to the one before `stop_at`; does not wait. Nothing happens to one that does not wait."""
        with self._changed:
            if self.status != "waiting":
                return
            self._stop_at = stop_at
            self._become("going")

    def step(self, stop_at: str | None) -> None:
        """As go_on, and wait; an interrupt meanwhile aborts it. Raises Conflict, and what made it fail."""
        if self.status != "waiting":
            self._raise()
            words = {"running": "is made already", "aborted": "was aborted"}.get(self.status, "goes on already")
            raise Conflict(f"container {self._record.row.name} {words}", "run another one with step=True")
        self.go_on(stop_at)
        self._wait()
        self._raise()

    def _wait(self) -> None:
        try:
            with self._changed:
                self._changed.wait_for(lambda: self.status != "going")
        except BaseException:
            self.abort()
            raise

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error

    def ask_to_abort(self) -> None:
        """Let nothing remain of it unless its program runs; does not wait."""
        with self._changed:
            if self.status in ("going", "waiting"):
                self._aborting = True
                self._changed.notify_all()
                if self.status == "going":
                    self._give_up()

    def abort(self) -> None:
        """The same, and wait until it is so."""
        self.ask_to_abort()
        if self._thread is not threading.current_thread() and self._thread.ident is not None:
            self._thread.join()

    # --- what it looks like

    def look(self) -> Look:
        """The half-made process as it is now; raises Conflict when there is none."""
        if self.status != "waiting":
            raise Conflict(f"container {self._record.row.name} does not wait before a stage", "compare() shows one that runs")
        try:
            return Look(self.stage, read_process(self.pid), read_process(os.getpid()))
        except ProcessLookupError:
            raise Conflict(f"container {self._record.row.name} has ended meanwhile", "abort() clears up") from None

    def explain(self) -> Explanation:
        """Its operations, those that are done and those that are planned."""
        if self.status in ("running", "failed"):
            with contextlib.suppress(NotFound, FileNotFoundError):
                found: Explanation = self.container.explain()
                return found
        record = self._record
        plan = read_start(record.directory).get("plan", ())
        pauses = [index for index, (name, _) in enumerate(plan) if name == PAUSE]
        reached = pauses[self._passed - 1] if 0 < self._passed <= len(pauses) else 0
        return explain_so_far(record.row.name, read_start(record.directory), reached, docker_run_of(record), made=record.made)


class Stepper:
    """A container that is made step by step. One that is dropped before its program runs is removed.

    As a context manager it aborts at the end of the block what is not finished.
    """

    def __init__(self, making: Making) -> None:
        self._making = making
        self._finalizer = weakref.finalize(self, making.ask_to_abort)

    @property
    def making(self) -> Making:
        """What is made, for who shows it: to hold it does not keep it from being dropped."""
        return self._making

    @property
    def container(self) -> Any:
        """The Container: half made, until the status is "running"."""
        return self._making.container

    @property
    def status(self) -> str:
        """ "waiting" before a stage, "going", "running" once its program is executed, "aborted" or "failed"."""
        return self._making.status

    @property
    def stage(self) -> str:
        """The stage before which it waits, such as "layers"; "" when it does not wait."""
        return self._making.stage if self._making.status == "waiting" else ""

    @property
    def stages(self) -> list[str]:
        """The stages that are still to come, in order; a stage may come more than once."""
        return self._making.coming()

    @property
    def pid(self) -> int:
        """The pid, on this machine, of the half-made first process, which becomes the program; 0 when there is none."""
        return self._making.pid if self._making.status in ("waiting", "going", "running") else 0

    def next(self) -> str:
        """Carry out one stage, and wait before the one after it, whose name is returned; "" once the program runs.

        Raises StartFailed, as `start`, when an operation fails, and Conflict when there is nothing to go on with. An interrupt aborts.
        """
        self._making.step(None)
        return self.stage

    def run_to(self, stage: str) -> str:
        """Go on until it waits before the next stage of this name. Raises as next(), and InvalidArgument for one that does not come."""
        coming = self.stages[1:]
        if stage not in coming:
            known = f"it is one of {', '.join(NAMES)}" if stage not in NAMES else "it has been"
            raise InvalidArgument(f"no stage {stage!r} is to come: {known}", f"to come: {', '.join(coming) or 'none'}")
        self._making.step(stage)
        return self.stage

    def finish(self) -> Any:
        """Go on to the end; the running Container. Raises as next()."""
        if self._making.status != "running":
            self._making.step(_TO_THE_END)
        return self.container

    def abort(self) -> None:
        """End it, and let nothing of it remain; one whose program runs is left alone. Idempotent; blocks until it is gone.

        A container that was there before, and was only started step by step, stays with its files.
        """
        self._making.abort()

    def look(self) -> Look:
        """Namespaces, mounts, control group and the rest of the half-made process, as they are now."""
        return self._making.look()

    def explain(self) -> Explanation:
        """All operations: what is done, and what is planned."""
        return self._making.explain()

    def __enter__(self) -> Stepper:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def __repr__(self) -> str:
        name = self.container.name
        if self.status == "waiting":
            return f"<Stepper {name}: process {self.pid} waits before the stage {self.stage}; .next(), .look(), .finish(), .abort()>"
        return f"<Stepper {name}: {self.status}>"


def make_in_steps(lifecycle: Lifecycle, record: Record, container: Any, *, whole_or_not: bool) -> Stepper:
    """Begin, and wait before the first stage; raises as Lifecycle.start."""
    making = Making(lifecycle, record, container, whole_or_not=whole_or_not)
    making.begin()
    return Stepper(making)
