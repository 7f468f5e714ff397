"""`labcontainers …` in a terminal: the same commands as in a notebook; it must not know the engine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from labcontainers.errors import PASSED_ON, ContainerExit, DockerfileError, Interrupted, LabError, StepFailed, raise_interrupt, signal_of

_ENGINE_FAILED = 125


def main(words: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the exit code: Docker's 125, 126, 127, or the container's own."""
    given = _translated(list(sys.argv[1:] if words is None else words))
    with _signals():
        try:
            return _carry_out(given)
        except Interrupted as interrupted:
            return interrupted.exit_code
        except KeyboardInterrupt as interrupt:
            return 128 + signal_of(interrupt)
        except BrokenPipeError:
            _let_go_of_output()
            return 128 + signal.SIGPIPE
        finally:
            _close()


def _close() -> None:
    """Let go of the engine, unless not even its module is there yet, since an interrupt came first."""
    session = sys.modules.get("labcontainers.session")
    if session is not None and hasattr(session, "close"):
        with suppress(OSError):  # the command has answered; what the engine puts off is done by the next one
            session.close()


def _let_go_of_output() -> None:
    """Nothing can be written there any more, nor can what the interpreter would flush at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _translated(words: list[str]) -> list[str]:
    """Docker's spellings without a command: `--version`, `-v`, `--help`, `-h`."""
    if words[:1] in (["--version"], ["-v"]):
        return ["version"]
    return ["help", *words[1:]] if words[:1] in (["--help"], ["-h"]) else words


def _carry_out(words: list[str]) -> int:
    from labcontainers import session
    from labcontainers.commands.build_progress import check_screen, mode_of
    from labcontainers.commands.painting import TerminalProgress
    from labcontainers.commands.table import execute, understand

    name = ""
    try:
        said = understand(words)
        name = said.command.name
        screen = sys.stdout.isatty()
        mode = mode_of(said.arguments) if name == "build" else ""
        build_screen = sys.stderr.isatty()
        check_screen(mode, build_screen)

        def write(stream: int, text: str) -> None:
            _write(stream, text.encode("utf-8", "replace"))

        progress = TerminalProgress(write, screen=screen, build=mode, build_screen=build_screen)
        try:
            value = execute(session.current_engine, said, on_output=_write, on_event=progress, stdin=0, live=True, screen=screen)
        finally:
            progress.finish()
        _show(value)
        sys.stdout.flush()
        return 0
    except ContainerExit as error:
        if error.reason:
            _complain(error.message)
        return error.exit_code
    except LabError as error:
        _complain_of(error)
        if isinstance(error, StepFailed):
            return error.returncode
        return _exit_code(name, error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        _complain(_told(error))
        _let_go_of_output()
        return _exit_code(name, LabError.exit_code)


def _complain_of(error: LabError) -> None:
    if not isinstance(error, DockerfileError):
        _complain(str(error))
        return
    from labcontainers.build.dockerfile.source import faults_of, told

    heading, lines = told(error)
    hint = f" ({error.hint})" if error.hint and len(faults_of(error)) == 1 else ""
    _complain(heading + hint)
    for line in lines:
        _complain(line, "")


def _exit_code(command: str, code: int) -> int:
    """Of `run`, a small exit code is the program's own."""
    return _ENGINE_FAILED if command == "run" and code == LabError.exit_code else code


def _told(error: OSError) -> str:
    """What no room has made an error of its own of: the path, if there is one, and the reason."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror.lower()}" if error.filename else f"{error.strerror.lower()} (errno {error.errno})"


@contextmanager
def _signals() -> Iterator[None]:
    """Let the signals that Docker passes on interrupt whatever goes on, as Ctrl-C does."""
    former = {number: signal.signal(number, raise_interrupt) for number in PASSED_ON if signal.getsignal(number) is signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _write(stream: int, data: bytes) -> None:
    """Exact bytes, at once."""
    target = sys.stdout if stream == 1 else sys.stderr
    try:
        target.flush()
        target.buffer.write(data)
        target.buffer.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"standard {'output' if stream == 1 else 'error'}") from None


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
