"""The one tree of errors that every room raises.

It must not know rooms, transports or notebooks: how an error is shown is the front's business.

    LabError                     message, hint, status
    ├── InvalidArgument   400    a value that a user gave is wrong
    │   ├── DockerfileError      with file, line range and a caret
    │   └── InvalidReference     an image name that cannot be parsed
    ├── NotFound          404
    ├── Conflict          409
    ├── Denied            403
    ├── Unsupported       501    what this host or this version lacks, and what would provide it
    ├── Unavailable       503    something that should answer does not
    └── Failed            500
        ├── KernelFailed         a system call, with errno and path
        ├── NoSpace              a file system that is full
        ├── DigestMismatch       content that is not what its digest says
        ├── StepFailed           a build step, with its exit code and the tail of its output
        ├── Cancelled            a build that somebody stopped, by other means than an interrupt
        ├── TimedOut             a cell in a session that took longer than it was given
        ├── StartFailed          a container that could not be started (Docker's 125, 126 or 127)
        └── ContainerExit        a container or an exec ended with a non-zero exit code
            └── TimedOut         or was ended, since its time was over (124, as of timeout(1))

Beside it stands Interrupted, a KeyboardInterrupt that tells how the interrupted container ended.
"""

from __future__ import annotations

import os
import re
import signal
from typing import Any

# What ends a line, moves a terminal's cursor or turns its writing round: in a message such characters are from somebody's image or file.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def on_one_line(text: str) -> str:
    """The text with such characters written as Python writes them; all else is as it was."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


class LabError(Exception):
    """What every room raises: a one-line message that carries the value, and a hint that is a next action.

    `status` is the HTTP status of Docker's API for this kind of error; `exit_code` is what a command line returns.
    """

    status = 500
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = on_one_line(message)
        self.hint = on_one_line(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidArgument(LabError):
    """A value that a user gave is wrong; nothing was made."""

    status = 400
    exit_code = 125


class InvalidReference(InvalidArgument):
    """An image name that cannot be parsed."""


class DockerfileError(InvalidArgument):
    """A Dockerfile that cannot be built, with the place at fault.

    `first_line` and `last_line` count from 1; `column` from 1, or 0 when the whole line is meant. `source` is the
    text of the lines, so that a caret can be drawn.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        file: str = "Dockerfile",
        first_line: int = 0,
        last_line: int = 0,
        column: int = 0,
        source: str = "",
    ) -> None:
        super().__init__(message, hint)
        self.file = file
        self.first_line = first_line
        self.last_line = last_line or first_line
        self.column = column
        self.source = source

    def __str__(self) -> str:
        place = f"{self.file}:{self.first_line}: " if self.first_line else f"{self.file}: "
        return place + super().__str__()


class NotFound(LabError):
    """No such container, image, network, file or command."""

    status = 404


class Conflict(LabError):
    """The state of the thing forbids the action: a name in use, a running container, an image in use."""

    status = 409


class Denied(LabError):
    """Credentials or rights are missing."""

    status = 403


class Unsupported(LabError):
    """This host or this version cannot do it; the message says what is missing, the hint what would provide it."""

    status = 501
    exit_code = 125


class Unavailable(LabError):
    """Something that should answer does not."""

    status = 503


class Failed(LabError):
    """Something that should have worked did not."""


class KernelFailed(Failed):
    """A system call failed: `syscall`, `errno` (a number of errno.h) and the `path` or object that it was about."""

    def __init__(self, syscall: str, errno: int, path: str = "", hint: str = "") -> None:
        about = f" {path}" if path else ""
        super().__init__(f"{syscall}{about}: {os.strerror(errno).lower()}", hint)
        self.syscall = syscall
        self.errno = errno
        self.path = path


class NoSpace(Failed):
    """A file system is full, or a quota used up; the message names the path."""


class DigestMismatch(Failed):
    """Content is not what its digest says."""


class StepFailed(Failed):
    """A build step failed: `step` as written, `returncode`, and the last lines of its `output`.

    `failure` is what is kept of it, where something is.
    """

    def __init__(self, step: str, returncode: int, output: str = "", hint: str = "") -> None:
        super().__init__(f"step failed with exit code {returncode}: {step}", hint)
        self.step = step
        self.returncode = returncode
        self.output = output
        self.failure: Any = None

    def debug(self) -> Any:
        """The step with its files as they were when it failed, to look around in (engine.failed_step.FailedStep); raises NotFound."""
        if self.failure is None:
            raise NotFound("the files of the failed step are not kept", "build again")
        return self.failure


class Cancelled(Failed):
    """Somebody wanted it no more; what was finished before is kept."""


class CellTimedOut(Failed):
    """A cell in a session took longer than it was given, and was stopped."""


class StartFailed(Failed):
    """A container or an exec could not be started; `exit_code` is Docker's 125, 126 (cannot run) or 127 (not found)."""

    def __init__(self, message: str, exit_code: int = 125, hint: str = "") -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class ContainerExit(Failed):
    """A container or an exec ended with a non-zero `exit_code`; `output` is the tail of what it wrote; `what` says which it was.

    Who has passed the output on as it came sets `output_shown`, so that nobody shows it again. `autopsy` is what is known of a container's
    end (containers.autopsy.Autopsy), None for an exec.
    """

    def __init__(self, name: str, exit_code: int, output: str = "", reason: str = "", *, what: str = "container") -> None:
        why = f", {reason}" if reason else ""
        super().__init__(f"{what} {name} ended with exit code {exit_code}{why}", "--no-raise returns the result instead")
        self.name = name
        self.exit_code = exit_code
        self.output = output
        self.output_shown = False
        self.autopsy: Any = None
        self.reason = reason


class TimedOut(ContainerExit):
    """A container or an exec was ended after `timeout_s` seconds; `ended_with` is its own exit code, while `exit_code` is 124."""

    def __init__(self, name: str, timeout_s: float, ended_with: int, output: str = "", *, what: str = "container") -> None:
        super().__init__(name, 124, output, f"stopped after {timeout_s:g} s", what=what)
        self.message = f"{what} {name} was stopped after {timeout_s:g} s, as --timeout says (its exit code: {ended_with})"
        self.hint = "give it more time, or --timeout 0 for no limit; --no-raise returns the result instead"
        self.args = (self.message,)
        self.timeout_s = timeout_s
        self.ended_with = ended_with


class Interrupted(KeyboardInterrupt):
    """A foreground container or exec was interrupted, and has ended since with `exit_code`."""

    def __init__(self, name: str, exit_code: int) -> None:
        super().__init__(f"{name} was interrupted, and ended with exit code {exit_code}")
        self.exit_code = exit_code


INTERRUPTING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""The signals of which a second one means that the first was in vain."""


PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM)
"""The signals, besides SIGINT, that Docker's command line passes on to the container that runs in the foreground."""


def raise_interrupt(number: int, frame: object) -> None:
    """A handler (signal(7)) that lets a signal interrupt whatever goes on, as SIGINT does, and tells which it was."""
    raise KeyboardInterrupt(number)


def signal_of(interrupt: KeyboardInterrupt) -> int:
    """The number of the signal that an interrupt stands for: what it was raised with, else SIGINT."""
    return next((value for value in interrupt.args if isinstance(value, int)), signal.SIGINT)
