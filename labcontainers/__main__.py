"""`labcontainers …` in a terminal: the same commands as in a notebook; it must not know the engine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from labcontainers.errors import ContainerExit, DockerfileError, LabError, StepFailed


def main(words: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the exit code: Docker's 125, 126, 127, or the container's own."""
    from labcontainers import session
    from labcontainers.build.progress import TextProgress
    from labcontainers.commands.table import execute

    progress = TextProgress(sys.stderr.write)
    given = list(sys.argv[1:] if words is None else words)
    if given[:1] in (["--version"], ["-v"]):
        given = ["version"]
    elif given[:1] in (["--help"], ["-h"]):
        given = ["help", *given[1:]]
    try:
        value = execute(session.current_engine, given, on_output=_write, on_event=progress, stdin=0)
        _show(value)
        return 0
    except ContainerExit as error:
        if error.reason:
            print(f"labcontainers: {error.message}", file=sys.stderr)
        return error.exit_code
    except LabError as error:
        print(f"labcontainers: {error}", file=sys.stderr)
        if isinstance(error, DockerfileError) and error.source:
            print(error.source, file=sys.stderr)
        return error.returncode if isinstance(error, StepFailed) else error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    finally:
        session.close()


def _write(stream: int, data: bytes) -> None:
    """Exact bytes, at once."""
    target = sys.stdout if stream == 1 else sys.stderr
    target.flush()
    target.buffer.write(data)
    target.buffer.flush()


def _show(value: object) -> None:
    from labcontainers.containers.container import Container
    from labcontainers.containers.logs import Logs
    from labcontainers.containers.result import ExecResult, RunResult

    if value is None or isinstance(value, RunResult | ExecResult):
        return
    if isinstance(value, Logs):
        for line in value:
            _write(line.stream, (value.render(line) + "\n").encode())
    elif isinstance(value, Container):
        print(value.id)
        for warning in value.warnings:
            print(f"warning: {warning}", file=sys.stderr)
    else:
        text = str(value) if not hasattr(value, "rows") else repr(value)
        if text:
            print(text)


if __name__ == "__main__":
    sys.exit(main())
