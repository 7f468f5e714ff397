"""What a finished run or exec left: exit code, output and time, as values that a notebook can show.

It must not know how the process was run.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labcontainers.errors import ContainerExit, TimedOut
from labcontainers.markup import NO_FORMULAS
from labcontainers.units import format_bytes, format_duration

if TYPE_CHECKING:
    from labcontainers.containers.autopsy import Autopsy

_TAIL_BYTES = 4000

Output = Callable[[int, bytes], None]


class Collector:
    """Keeps the pieces of both streams, as far as they are wanted, and passes each on."""

    def __init__(self, on_output: Output | None = None, *, keep: bool = True) -> None:
        self._on_output = on_output
        self._keep = keep
        self._pieces: dict[int, list[bytes]] = {1: [], 2: []}

    def __call__(self, stream: int, data: bytes) -> None:
        if self._keep:
            self._pieces[stream].append(data)
        if self._on_output is not None:
            self._on_output(stream, data)

    @property
    def stdout(self) -> bytes:
        """All that was kept of standard output."""
        return b"".join(self._pieces[1])

    @property
    def stderr(self) -> bytes:
        """All that was kept of standard error."""
        return b"".join(self._pieces[2])


@dataclass(frozen=True, slots=True)
class _Finished:
    """Shared by RunResult and ExecResult: `exit_code` is a shell's, the streams are exact bytes, `duration_s` wall time.

    `timeout_s` is the limit of time that ended it, None where none did.
    """

    container_id: str
    name: str
    command: tuple[str, ...]
    exit_code: int
    stdout_bytes: bytes
    stderr_bytes: bytes
    duration_s: float
    timeout_s: float | None = field(default=None, kw_only=True)

    @property
    def timed_out(self) -> bool:
        """Whether it was ended since its time was over."""
        return self.timeout_s is not None

    @property
    def stdout(self) -> str:
        """Standard output as text; bytes that are no UTF-8 are replaced."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """Standard error as text; bytes that are no UTF-8 are replaced."""
        return self.stderr_bytes.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0, and it came to its end by itself."""
        return self.exit_code == 0 and not self.timed_out

    @property
    def reason(self) -> str:
        """Why the exit code is not 0, as far as it is known beyond the number."""
        return ""

    def check(self) -> None:
        """Raise ContainerExit, with the tail of the output, unless the exit code is 0; TimedOut where its time was over."""
        if not self.ok:
            tail = (self.stderr_bytes or self.stdout_bytes)[-_TAIL_BYTES:].decode("utf-8", "replace")
            error = ContainerExit(self.name, self.exit_code, tail, self.reason, what=self._what)
            if self.timeout_s is not None:
                error = TimedOut(self.name, self.timeout_s, self.exit_code, tail, what=self._what)
            error.autopsy = self._autopsy()
            raise error

    def _autopsy(self) -> Any:
        return None

    @property
    def _time_or_signal(self) -> str:
        return signal_text(self.exit_code) if self.timeout_s is None else f"stopped after {self.timeout_s:g} s"

    @property
    def _what(self) -> str:
        return "container"

    def _summary(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.name}: exit code {self.exit_code}{why} after {format_duration(self.duration_s)}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._summary()}>"

    def _repr_html_(self) -> str:
        colour = "#2e7d32" if self.ok else "#c62828"
        why = f" · {html.escape(self.reason)}" if self.reason else ""
        return (
            f'<div {NO_FORMULAS} style="font-family:monospace;font-size:90%;opacity:.85"><span style="color:{colour}">●</span> '
            f"{html.escape(self.name)} · exit code {self.exit_code}{why} · {format_duration(self.duration_s)}</div>"
        )


@dataclass(frozen=True, slots=True, repr=False)
class RunResult(_Finished):
    """A foreground container's end. `warnings` say what this host could not enforce; `removed`, that it was one with `--rm`.

    `memory_limit_bytes` is its limit, `memory_peak_bytes` the most that it had where it failed; None where there is none, or nobody tells.
    """

    image: str = ""
    oom_killed: bool = False
    warnings: tuple[str, ...] = ()
    memory_limit_bytes: int | None = None
    memory_peak_bytes: int | None = None
    removed: bool = False

    def autopsy(self) -> Autopsy:
        """Why it ended so, as far as the result tells; of one that is still there, Container.autopsy() tells more."""
        from labcontainers.containers.autopsy import LINES, Autopsy

        return Autopsy(
            name=self.name,
            image=self.image,
            command=self.command,
            status="exited",
            exit_code=self.exit_code,
            oom_killed=self.oom_killed,
            memory_limit_bytes=self.memory_limit_bytes,
            memory_peak_bytes=self.memory_peak_bytes,
            duration_s=self.duration_s,
            lines=tuple((self.stderr or self.stdout).splitlines()[-LINES:]),
            warnings=self.warnings,
            there=not self.removed,
        )

    def _autopsy(self) -> Any:
        return self.autopsy()

    @property
    def reason(self) -> str:
        return "killed for lack of memory" if self.oom_killed else self._time_or_signal


@dataclass(frozen=True, slots=True, repr=False)
class ExecResult(_Finished):
    """The end of a command that was run in a running container."""

    @property
    def _what(self) -> str:
        return "a command in container"

    @property
    def reason(self) -> str:
        return self._time_or_signal


@dataclass(frozen=True, slots=True)
class Pruned(Sequence[str]):
    """The ids of the containers that `prune` removed, and the bytes on disk that became free."""

    ids: tuple[str, ...]
    reclaimed_bytes: int

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        return self.ids[index]

    def __repr__(self) -> str:
        head = ["Deleted Containers:", *self.ids, ""] if self.ids else []
        return "\n".join([*head, f"Total reclaimed space: {format_bytes(self.reclaimed_bytes)}"])


def signal_text(exit_code: int) -> str:
    """What an exit code above 128 says by convention: "killed by SIGKILL"; else ""."""
    import signal

    try:
        return f"killed by {signal.Signals(exit_code - 128).name}" if exit_code > 128 else ""
    except ValueError:
        return ""
