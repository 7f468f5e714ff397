"""`labcontainers …` in a terminal: the same commands as in a notebook; it must not know the engine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from labcontainers.errors import ContainerExit, DockerfileError, Interrupted, LabError, StepFailed, signal_of

# Docker passes these on to the container that runs in the foreground.
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_ENGINE_FAILED = 125


def main(words: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the exit code: Docker's 125, 126, 127, or the container's own."""
    from labcontainers import session

    given = _translated(list(sys.argv[1:] if words is None else words))
    with _signals():
        try:
            return _carry_out(given)
        except Interrupted as interrupted:
            return interrupted.exit_code
        except KeyboardInterrupt as interrupt:
            return 128 + signal_of(interrupt)
        except BrokenPipeError:
            # Whoever read the output is gone, and so is the place for what the interpreter would flush at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 128 + signal.SIGPIPE
        finally:
            session.close()


def _translated(words: list[str]) -> list[str]:
    """Docker's spellings without a command: `--version`, `-v`, `--help`, `-h`."""
    if words[:1] in (["--version"], ["-v"]):
        return ["version"]
    return ["help", *words[1:]] if words[:1] in (["--help"], ["-h"]) else words


def _carry_out(words: list[str]) -> int:
    from labcontainers import session
    from labcontainers.build.progress import TextProgress
    from labcontainers.commands.table import execute, understand

    name = ""
    try:
        said = understand(words)
        name = said.command.name
        progress = TextProgress(_write_progress)
        screen = sys.stdout.isatty()
        value = execute(session.current_engine, said, on_output=_write, on_event=progress, stdin=0, live=True, screen=screen)
        _show(value)
        sys.stdout.flush()
        return 0
    except ContainerExit as error:
        if error.reason:
            _complain(error.message)
        return error.exit_code
    except LabError as error:
        _complain(str(error))
        if isinstance(error, DockerfileError) and error.source:
            _complain(error.source, "")
        if isinstance(error, StepFailed):
            return error.returncode
        # Of `run`, a small exit code is the program's own.
        return _ENGINE_FAILED if name == "run" and error.exit_code == LabError.exit_code else error.exit_code


@contextmanager
def _signals() -> Iterator[None]:
    """Let the signals that Docker passes on interrupt whatever goes on, as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt(number)

    former = {number: signal.signal(number, interrupt) for number in _PASSED_ON if signal.getsignal(number) is signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _write(stream: int, data: bytes) -> None:
    """Exact bytes, at once."""
    target = sys.stdout if stream == 1 else sys.stderr
    target.flush()
    target.buffer.write(data)
    target.buffer.flush()


def _write_progress(text: str) -> None:
    _write(2, text.encode("utf-8", "replace"))


def _complain(text: str, prefix: str = "labcontainers: ") -> None:
    _write(2, f"{prefix}{text}\n".encode("utf-8", "replace"))


def _show(value: object) -> None:
    from labcontainers.containers.container import Container
    from labcontainers.containers.result import ExecResult, RunResult

    for warning in getattr(value, "warnings", ()):
        _complain(str(warning), "warning: ")
    if value is None or isinstance(value, RunResult | ExecResult):
        return
    text = value.id if isinstance(value, Container) else repr(value) if hasattr(value, "rows") else str(value)
    if text:
        _write(1, (text + "\n").encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    sys.exit(main())
