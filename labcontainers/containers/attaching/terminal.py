"""A terminal in a container that somebody may sit down at: what runs there, and the way to open it, as often as it is wanted.

It must not know who sits there, nor how it is shown.
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass, field
from typing import Any

from labcontainers.containers.attaching import opening
from labcontainers.containers.attaching.attach import Attached
from labcontainers.containers.exec import exec_options
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.errors import Conflict, InvalidArgument, NotFound

ROWS = 24
COLUMNS = 80
LARGEST = 1000
_SHELL = "sh"
# of the log of a container with a terminal of its own, so much is shown first
_LOGGED_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Terminal:
    """One terminal of the container `name`. `command` is empty where it is the container's own; `columns` is 0 where the place decides."""

    id: str
    name: str
    command: tuple[str, ...]
    rows: int
    columns: int
    _lifecycle: Lifecycle
    _record: Record
    _options: dict[str, Any]
    key: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def own(self) -> bool:
        """Whether it is the container's own terminal."""
        return not self.command

    @property
    def title(self) -> str:
        """What runs there, as it would be typed."""
        return "its own terminal" if self.own else shlex.join(self.command)

    def open(self, rows: int, columns: int) -> Attached:
        """Sit down: a new command, which gets SIGHUP when it is closed, or the container's own terminal, which goes on.

        Raises Conflict when the container does not run, NotFound when it was removed, StartFailed (126, 127).
        """
        if self.own:
            attached = opening.attach(self._lifecycle, self._record, (0, 1, 2), logs=True, detach_keys=None, last_bytes=_LOGGED_BYTES)
            # Another size first, so that a program which paints does it again.
            attached.resize(rows + 1, columns + 1)
            attached.resize(rows, columns)
            return attached
        return opening.open_exec(
            self._lifecycle, self._record, list(self.command), tty=True, stdin=True, size=(rows, columns), hang_up=True, **self._options
        )

    def status(self) -> str:
        """Docker's word for the container's state, or "removed"."""
        try:
            return self._lifecycle.state(self._record).status
        except NotFound:
            return "removed"

    def __repr__(self) -> str:
        way = f"`labcontainers attach {self.name}`" if self.own else f"`labcontainers exec -it {self.name} {self.title}`"
        return f"terminal of container {self.name}: {self.title}\n  shown by a notebook's page alone; in a terminal use {way}"


def terminal_of(
    lifecycle: Lifecycle, record: Record, command: Any, *, own: bool, rows: int | None, columns: int | None, options: dict[str, Any]
) -> Terminal:
    """A terminal of a container that runs; raises Conflict where it does not or, with `own`, has none, and InvalidArgument."""
    name = record.row.name
    if own:
        if command or any(options.values()):
            raise InvalidArgument("attach goes with neither a command nor its options", "leave attach out for a terminal of its own")
        if not record.options.tty or not record.options.stdin_open:
            raise Conflict(f"container {name} has no terminal to type at", "create it with -t -i, or leave attach out for a shell in it")
        words: tuple[str, ...] = ()
    else:
        words = exec_options(command or [_shell(record)], **{key: value for key, value in options.items() if key != "privileged"})[0]
    for about, value in (("rows", rows), ("columns", columns)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= LARGEST):
            raise InvalidArgument(f"invalid number of {about} of a terminal: {value!r}", f"write a number from 2 to {LARGEST}")
    status = lifecycle.state(record).status
    if status != "running":
        hint = {"paused": "unpause it first", "restarting": "wait until it is running"}.get(status, "start it first")
        raise Conflict(f"container {name} is not running: it is {status}", hint)
    return Terminal(record.row.id, name, words, rows or ROWS, columns or 0, lifecycle, record, options)


def _shell(record: Record) -> str:
    """The program that the image's SHELL names, else sh."""
    return record.config.shell[0] if record.config.shell else _SHELL
