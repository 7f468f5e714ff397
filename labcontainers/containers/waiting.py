"""Waiting until a container has ended, by Docker's conditions; it must not start or stop anything."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.options.forms import shown
from labcontainers.containers.register import Record
from labcontainers.errors import Cancelled, InvalidArgument, NotFound

CONDITIONS = ("not-running", "next-exit", "removed")


def check_condition(text: str) -> None:
    """Raises InvalidArgument for what is no condition to wait for."""
    if text not in CONDITIONS:
        raise InvalidArgument(f"--condition: invalid condition {shown(text)}", f"a condition is one of {', '.join(CONDITIONS)}")


def wait(lifecycle: Lifecycle, record: Record, timeout_s: float | None, condition: str, given_up: Callable[[], bool] | None = None) -> int:
    """Block until the container does not run, ends once more, or is removed; its exit code.

    Raises InvalidArgument for another condition, TimeoutError after `timeout_s` seconds, NotFound when it is removed without an end,
    Cancelled soon after `given_up()`.
    Source: the Docker Engine API's ContainerWait (version 1.51).
    """
    check_condition(condition)
    if condition == "not-running":
        return lifecycle.wait(record, timeout_s, given_up)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    # Following begins before the first look, so that nothing falls in between.
    stop = given_up or (lambda: False)
    events = lifecycle.store.events.follow(lambda: stop() or (deadline is not None and time.monotonic() > deadline))
    with contextlib.closing(events):
        state = lifecycle.state(record)
        code = None if condition == "next-exit" and not state.running else state.exit_code
        for event in events:
            if event.type != "container" or event.id != record.row.id:
                continue
            if event.action == "die":
                code = int(event.attributes.get("exitCode", "0"))
                if condition == "next-exit":
                    return code
            elif event.action == "destroy":
                if code is None:
                    raise NotFound(f"container {record.row.name} was removed before it ended", "`ps -a` lists all containers")
                return code
    if stop():
        raise Cancelled(f"nobody waits for container {record.row.name} any more")
    raise TimeoutError(f"container {record.row.name} is not yet at {condition!r} after {timeout_s} s")
