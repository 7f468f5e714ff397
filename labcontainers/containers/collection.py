"""`engine.containers`: run, create, find and list, in docker-py's words.

It must not know the runtime: the lifecycle does the work.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, overload

from labcontainers.containers.container import Container
from labcontainers.containers.exec import open_stdin
from labcontainers.containers.lifecycle import Lifecycle, Output
from labcontainers.containers.options import ContainerOptions, split_command
from labcontainers.containers.register import Record
from labcontainers.containers.result import Collector, RunResult
from labcontainers.containers.state import ContainerState
from labcontainers.errors import Conflict, InvalidArgument, NotFound, Unsupported
from labcontainers.images.image import Image

Command = str | Sequence[str] | None
_FILTERS = ("id", "name", "status", "exited", "label", "network", "ancestor")
_FILTERS_LATER = ("before", "since", "health", "expose", "publish", "volume", "is-task", "isolation")
_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")


class Containers:
    """All containers of the store."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    @overload
    def run(self, image: str | Image, command: Command = None, *, detach: Literal[True], **options: Any) -> Container: ...
    @overload
    def run(self, image: str | Image, command: Command = None, *, detach: Literal[False] = False, **options: Any) -> RunResult: ...
    def run(
        self,
        image: str | Image,
        command: Command = None,
        *,
        detach: bool = False,
        stdin: bytes | str | int | None = None,
        on_output: Output | None = None,
        keep_output: bool = True,
        **options: Any,
    ) -> RunResult | Container:
        """Create and start a container; with `detach` return it at once, else wait and return what it left.

        `options` are those of containers.options. `stdin` is the text to feed, or a descriptor. `on_output(stream, data)` is
        called in this thread while it runs; without `keep_output` the result has no output of its own. A non-zero exit code
        is no exception here: see RunResult.check(). Raises NotFound, InvalidArgument, Conflict, Unsupported and StartFailed;
        Interrupted after the container has been stopped by an interrupt.
        """
        record = self._create(image, command, options)
        source = None if stdin is None else open_stdin(stdin)
        began = time.monotonic()
        try:
            execution, warnings = self._lifecycle.start(record, foreground=not detach, stdin=source)
        except BaseException:
            self._lifecycle.abandon(record)
            raise
        finally:
            if source is not None:
                os.close(source)
        if detach:
            execution.close()
            return Container(self._lifecycle, record)
        collected = Collector(on_output, keep=keep_output)
        end = self._lifecycle.follow(record, execution, collected)
        return RunResult(
            container_id=record.row.id,
            name=record.row.name,
            command=record.command,
            exit_code=end["exit_code"],
            stdout_bytes=collected.stdout,
            stderr_bytes=collected.stderr,
            duration_s=time.monotonic() - began,
            image=record.row.image,
            oom_killed=end["oom_killed"],
            warnings=warnings,
        )

    def create(self, image: str | Image, command: Command = None, **options: Any) -> Container:
        """A container that is not started yet."""
        return Container(self._lifecycle, self._create(image, command, options))

    def _create(self, image: str | Image, command: Command, options: Mapping[str, Any]) -> Record:
        return self._lifecycle.create(image, split_command(command), ContainerOptions.from_keywords(**options))

    def get(self, name_or_id: str) -> Container:
        """By name, id or the beginning of an id; raises NotFound, or Conflict when several begin so."""
        return Container(self._lifecycle, self._lifecycle.get(name_or_id))

    def list(self, all: bool = False, filters: Mapping[str, str | int | Sequence[str]] | None = None) -> list[Container]:
        """Running containers, or with `all` every one, newest first; `filters` are Docker's, such as {"status": "exited"}.

        Raises InvalidArgument and Unsupported for a filter that is not there.
        """
        wanted = _wanted(filters or {})
        all = all or "status" in wanted or "exited" in wanted
        found = []
        for record in self._lifecycle.list():
            container = Container(self._lifecycle, record)
            with contextlib.suppress(NotFound):  # removed while we looked
                state = container.state
                if (all or state.running) and _matches(container, state, wanted):
                    found.append(container)
        return found

    def prune(self) -> Sequence[str]:
        """Remove every container that does not run; their ids."""
        removed = []
        for container in self.list(all=True):
            try:
                if container.status not in ("running", "paused"):
                    container.remove()
                    removed.append(container.id)
            except (NotFound, Conflict):  # removed or started meanwhile
                continue
        return removed


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _wanted(filters: Mapping[str, Any]) -> dict[str, list[str]]:
    """Each filter's values as texts. Raises Unsupported for one that Docker has, InvalidArgument for any other, and for a bad value."""
    wanted = {key: [str(value)] if isinstance(value, str | int) else [str(item) for item in value] for key, value in filters.items()}
    for key, values in wanted.items():
        if key in _FILTERS_LATER:
            raise Unsupported(f"the filter {key!r} is not supported yet", f"filters are {', '.join(_FILTERS)}")
        if key not in _FILTERS:
            near = difflib.get_close_matches(key, _FILTERS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"filters are {', '.join(_FILTERS)}"
            raise InvalidArgument(f"unknown filter {key!r}", hint)
        for value in values:
            _check_value(key, value)
    return wanted


def _check_value(key: str, value: str) -> None:
    if key == "status" and value not in _STATUSES:
        raise InvalidArgument(f"invalid filter 'status={value}'", f"a status is one of {', '.join(_STATUSES)}")
    if key == "exited" and not value.lstrip("-").isdigit():
        raise InvalidArgument(f"invalid filter 'exited={value}'", "write a number, such as exited=0")
    if key == "name":
        try:
            re.compile(value)
        except re.error as error:
            raise InvalidArgument(f"invalid filter 'name={value}': {error}", "write a part of the name, or a regular expression") from None


def _matches(container: Container, state: ContainerState, wanted: Mapping[str, Sequence[str]]) -> bool:
    """Docker's rules: values of one filter are alternatives, but labels must all match; a name is a regular expression."""
    labels = container.labels

    def has_label(text: str) -> bool:
        key, separator, value = text.partition("=")
        return key in labels and (not separator or labels[key] == value)

    tests: dict[str, Callable[[str], bool]] = {
        "id": lambda value: container.id.startswith(value),
        "name": lambda value: re.search(value, container.name) is not None or re.search(value, "/" + container.name) is not None,
        "status": lambda value: state.status == value,
        "exited": lambda value: state.status == "exited" and state.exit_code == int(value),
        "network": lambda value: container.network == value,
        "ancestor": lambda value: container.image in (value, f"{value}:latest") or _short(container.image_id).startswith(_short(value)),
    }
    return all(all(map(has_label, values)) if key == "label" else any(map(tests[key], values)) for key, values in wanted.items())
