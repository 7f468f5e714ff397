"""Ways to come by an attachment: to a container that runs, at a container's start, and to a new exec.

It must not know what is done with it. The shim serves one that is attached; of an exec the engine holds the streams itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from labcontainers.containers.attaching.attach import Attached, Attachment, Piece
from labcontainers.containers.attaching.detach_keys import parse_detach_keys
from labcontainers.containers.attaching.exec_attach import ExecAttachment
from labcontainers.containers.exec import exec_options, exec_request
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.log_records import ForwardReader
from labcontainers.containers.options.streams import attached_streams
from labcontainers.containers.register import Record
from labcontainers.containers.result import Collector, ExecResult, Output
from labcontainers.containers.seat import Seat, numbers_of
from labcontainers.containers.shim_client import ShimClient
from labcontainers.containers.time_limit import TimeLimit
from labcontainers.errors import Conflict, Interrupted, InvalidArgument
from labcontainers.kernel.interrupts import Interrupts

Size = tuple[int, int]
_NO_SIZE = (0, 0)
_LARGEST = 0xFFFF
_ALL = 1 << 62


def size_of(rows: Any, columns: Any) -> Size:
    """A terminal's size, checked; raises InvalidArgument."""
    for name, value in (("height", rows), ("width", columns)):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
            raise InvalidArgument(f"invalid {name} of a terminal: {value!r}", f"write a number of characters from 0 to {_LARGEST}")
    return rows, columns


def attach(
    lifecycle: Lifecycle, record: Record, streams: Sequence[int], *, logs: bool, detach_keys: str | None, last_bytes: int = _ALL
) -> Attachment:
    """Attach to a container that runs; `logs` gives what it wrote before, of its log no more than the `last_bytes`.

    Raises Conflict where it does not run, InvalidArgument for bad keys.
    """
    keys = None if detach_keys is None else parse_detach_keys(detach_keys)
    state = lifecycle.state(record)
    if state.status == "paused":
        raise Conflict(f"cannot attach to a paused container: {record.row.name}", "unpause it first")
    if state.status == "restarting":
        raise Conflict(f"cannot attach to a restarting container: {record.row.name}", "wait until it is running")
    if not state.running:
        raise Conflict(f"cannot attach to a stopped container: {record.row.name}", "start it first")
    client = lifecycle.client(record)
    try:
        execution, told = client.attach(streams)
    except BaseException:
        client.close()
        raise
    return Attachment(
        execution,
        tty=told["tty"],
        stdin=told["stdin"] and 0 in streams,
        detach_keys=keys,
        before=_logged(record.directory / "log", told["logged"], streams, told["logged"] - last_bytes) if logs else (),
    )


def _logged(path: Path, until_bytes: int, streams: Sequence[int], from_bytes: int) -> Iterator[Piece]:
    """The output in the log's first bytes, but for what begins before `from_bytes`."""
    with open(path, "rb") as file:
        for record in ForwardReader(file.fileno(), 0).read():
            if record.offset >= until_bytes:
                return
            if record.stream in streams and record.offset >= from_bytes:
                yield record.stream, record.payload


def start(lifecycle: Lifecycle, record: Record, *, foreground: bool, stdin: bool, size: Size, detach_keys: str | None) -> Attachment:
    """Start a container and be attached from its first byte on; one in the foreground ends when the attachment is closed.

    Raises StartFailed and Conflict, InvalidArgument for bad keys.
    """
    keys = None if detach_keys is None else parse_detach_keys(detach_keys)
    options = record.options
    wanted = attached_streams(options.attach or None, options.stdin_open)
    streams = tuple(number for number in numbers_of(wanted) if number or stdin)
    execution, _ = lifecycle.start(record, foreground=foreground, seat=Seat(streams, size))

    def on_close(attachment: Attachment) -> None:
        if attachment.end is not None or (foreground and not attachment.detached):
            lifecycle.let_go(record, attachment.end or {})
        else:
            lifecycle.spare_groups.refill()

    takes_input = options.stdin_open and 0 in streams
    return Attachment(execution, tty=options.tty, stdin=takes_input, detach_keys=keys, on_close=on_close)


def resize(lifecycle: Lifecycle, record: Record, rows: object, columns: object) -> None:
    """Set the size of the container's terminal; raises Conflict where it does not run or has none."""
    size = size_of(rows, columns)
    with lifecycle.client(record) as client:
        if not client.resize(*size):
            raise Conflict(f"container {record.row.name} has no terminal", "create it with tty (-t)")


def open_exec(
    lifecycle: Lifecycle,
    record: Record,
    command: Any,
    *,
    tty: bool = False,
    stdin: bool = False,
    size: Size = _NO_SIZE,
    detach_keys: str | None = None,
    privileged: bool = False,
    hang_up: bool = False,
    **options: Any,
) -> ExecAttachment:
    """Run one more command in the container and hold its streams. Raises as run_exec does, InvalidArgument for bad keys.

    With `hang_up` it gets SIGHUP as soon as nobody holds them, also when this process is killed.
    """
    keys = None if detach_keys is None else parse_detach_keys(detach_keys)
    words, checked = exec_options(command, **options)
    client = lifecycle.client(record)
    try:
        request = exec_request(lifecycle, record, words, checked, privileged, size_of(*size) if tty else None)
        if hang_up:
            request["hang_up"] = True
        return _in_terminal(client, request, record, stdin, keys) if tty else _on_pipes(client, request, record, stdin)
    except BaseException:
        client.close()
        raise


def _in_terminal(client: ShimClient, request: dict[str, Any], record: Record, stdin: bool, keys: bytes | None) -> ExecAttachment:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        client.exec(request, (null, null, null))
    finally:
        os.close(null)
    master = client.take_terminal()
    return ExecAttachment(client, record.row.name, streams={master: 1}, source=master, tty=True, stdin=stdin, detach_keys=keys)


def _on_pipes(client: ShimClient, request: dict[str, Any], record: Record, stdin: bool) -> ExecAttachment:
    pairs = [os.pipe2(os.O_CLOEXEC) for _ in (0, 1, 2)]
    (their_in, source), (out, their_out), (err, their_err) = pairs
    if not stdin:
        os.close(source)
        source = -1
    try:
        client.exec(request, (their_in, their_out, their_err))
    except BaseException:
        for fd in (source, out, err):
            if fd >= 0:
                os.close(fd)
        raise
    finally:
        for fd in (their_in, their_out, their_err):
            os.close(fd)
    if source >= 0:
        os.set_blocking(source, False)
    return ExecAttachment(client, record.row.name, streams={out: 1, err: 2}, source=source, tty=False, stdin=stdin)


def run_exec_in_terminal(
    lifecycle: Lifecycle,
    record: Record,
    command: Any,
    *,
    on_output: Output | None,
    keep_output: bool,
    detach: bool,
    limit: TimeLimit,
    **options: Any,
) -> ExecResult:
    """`exec` with a terminal of its own and nobody who types: what it writes comes as one stream."""
    collected = Collector(on_output, keep=keep_output)
    began = time.monotonic()
    words, _ = exec_options(command)
    with open_exec(lifecycle, record, words, tty=True, **options) as attached:
        code = 0
        if detach:
            attached.detach()
        else:
            code = follow(attached, collected, limit)
    took_s = time.monotonic() - began
    return ExecResult(record.row.id, record.row.name, words, code, collected.stdout, collected.stderr, took_s, timeout_s=limit.spent_s)


def follow(attached: Attached, on_output: Output, limit: TimeLimit) -> int:
    """Pass its output on until it ends; the exit code. The first interrupt is passed on, the next one kills; Interrupted is raised then."""
    with Interrupts(attached.signal) as interrupts, limit.watching(attached.end_by, give_up=attached.detach):
        for piece in attached:
            on_output(*piece)
    code = 137 if attached.exit_code is None else attached.exit_code
    if interrupts.count:
        raise Interrupted(attached.name, code)
    return code
