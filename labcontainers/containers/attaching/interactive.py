"""The verbs of a container that hold its standard streams, or those of a command in it: exec, attach, and a start that is attached.

It must not know whose the other end is: a terminal, a widget, a socket or a program.
"""

from __future__ import annotations

from typing import Any, Literal, overload

from labcontainers.containers import exec as execs
from labcontainers.containers.attaching import opening
from labcontainers.containers.attaching.attach import Attachment
from labcontainers.containers.attaching.exec_attach import ExecAttachment
from labcontainers.containers.attaching.terminal import Terminal, terminal_of
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.containers.result import ExecResult, Output
from labcontainers.containers.time_limit import TimeLimit
from labcontainers.errors import InvalidArgument


class Interactive:
    """What Container has of them."""

    _lifecycle: Lifecycle
    _record: Record

    @property
    def tty(self) -> bool:
        """Whether it has a terminal of its own."""
        return self._record.options.tty

    def exec(
        self,
        command: Any,
        *,
        environment: Any = None,
        user: str | None = None,
        working_dir: str | None = None,
        stdin: bytes | str | int | None = None,
        on_output: Output | None = None,
        detach: bool = False,
        keep_output: bool = True,
        privileged: bool = False,
        tty: bool = False,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run one more command in it (see containers.exec.run_exec), for `timeout_s` seconds at most (0: no limit).

        With `tty` it has a terminal of its own, at which nobody types.
        """
        limit = TimeLimit(None if detach else timeout_s)
        if detach and timeout_s:
            raise InvalidArgument("--timeout: nobody waits for a detached command", "leave it out")
        if tty:
            if stdin is not None:
                raise InvalidArgument(
                    "stdin does not go with tty: what is not a terminal is no input for one", "leave tty out, or exec_open()"
                )
            given = {"environment": environment, "user": user, "working_dir": working_dir, "privileged": privileged}
            return opening.run_exec_in_terminal(
                self._lifecycle, self._record, command, on_output=on_output, keep_output=keep_output, detach=detach, limit=limit, **given
            )
        return execs.run_exec(
            self._lifecycle,
            self._record,
            command,
            environment=environment,
            user=user,
            working_dir=working_dir,
            stdin=stdin,
            on_output=on_output,
            detach=detach,
            keep_output=keep_output,
            privileged=privileged,
            timeout_s=timeout_s,
        )

    def exec_open(
        self,
        command: Any,
        *,
        tty: bool = False,
        stdin: bool = True,
        environment: Any = None,
        user: str | None = None,
        working_dir: str | None = None,
        privileged: bool = False,
        size: tuple[int, int] = (0, 0),
        detach_keys: str | None = None,
        hang_up: bool = False,
    ) -> ExecAttachment:
        """Run one more command in it and hold its streams: iterate, write(), close_stdin(), and its exit_code at the end.

        With `tty` in a terminal of `size` (rows, columns); with `hang_up` it gets SIGHUP when the attachment is closed, or this process
        dies. Raises as exec does.
        """
        return opening.open_exec(
            self._lifecycle,
            self._record,
            command,
            tty=tty,
            stdin=stdin,
            environment=environment,
            user=user,
            working_dir=working_dir,
            privileged=privileged,
            size=size,
            detach_keys=detach_keys,
            hang_up=hang_up,
        )

    def terminal(
        self,
        command: Any = None,
        *,
        attach: bool = False,
        environment: Any = None,
        user: str | None = None,
        working_dir: str | None = None,
        privileged: bool = False,
        rows: int | None = None,
        columns: int | None = None,
    ) -> Terminal:
        """A terminal in it to type at, which a notebook shows; nothing is started before a page shows it.

        It runs `command`, by default the image's shell; with `attach` it is the container's own. `rows` and `columns` are in characters, by
        default 24 and as many as the page has room for. Raises Conflict when it does not run or, with `attach`, has no terminal.
        """
        options = {"environment": environment, "user": user, "working_dir": working_dir, "privileged": privileged}
        return terminal_of(self._lifecycle, self._record, command, own=attach, rows=rows, columns=columns, options=options)

    @overload
    def attach(
        self,
        *,
        stdin: bool = ...,
        stdout: bool = ...,
        stderr: bool = ...,
        stream: Literal[True] = ...,
        logs: bool = ...,
        detach_keys: str | None = ...,
    ) -> Attachment: ...
    @overload
    def attach(
        self,
        *,
        stdin: bool = ...,
        stdout: bool = ...,
        stderr: bool = ...,
        stream: Literal[False],
        logs: bool = ...,
        detach_keys: str | None = ...,
    ) -> bytes: ...
    def attach(
        self,
        *,
        stdin: bool = True,
        stdout: bool = True,
        stderr: bool = True,
        stream: bool = True,
        logs: bool = False,
        detach_keys: str | None = None,
    ) -> Attachment | bytes:
        """Its standard streams from now on, with `logs` also what it wrote before; without `stream`, all of it as bytes once it has ended.

        Input is taken where it was created with stdin_open. Raises Conflict when it does not run, InvalidArgument.
        """
        streams = [number for number, wanted in enumerate((stdin and stream, stdout, stderr)) if wanted]
        attachment = opening.attach(self._lifecycle, self._record, streams, logs=logs, detach_keys=detach_keys)
        if stream:
            return attachment
        with attachment:
            return b"".join(data for _, data in attachment)

    def start_open(
        self, *, foreground: bool = False, stdin: bool = True, size: tuple[int, int] = (0, 0), detach_keys: str | None = None
    ) -> Attachment:
        """Start it, attached from its first byte on. One in the `foreground` ends when the attachment is closed, unless that was detached.

        Raises StartFailed, or Conflict when it runs.
        """
        size = opening.size_of(*size)
        return opening.start(self._lifecycle, self._record, foreground=foreground, stdin=stdin, size=size, detach_keys=detach_keys)

    def resize(self, height: int, width: int) -> None:
        """Set the size of its terminal in characters; raises InvalidArgument, and Conflict when it does not run or has no terminal."""
        opening.resize(self._lifecycle, self._record, height, width)
