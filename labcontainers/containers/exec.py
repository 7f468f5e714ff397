"""Run one more process in a running container, with its output taken straight from pipes.

It must not know how a container is started; the shim enters the namespaces.
"""

from __future__ import annotations

import os
import time
from typing import Any

from labcontainers.containers.lifecycle import Lifecycle, Output
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.forms import split_command
from labcontainers.containers.planning import prepare
from labcontainers.containers.planning.confinement import all_capabilities, confine
from labcontainers.containers.register import Record
from labcontainers.containers.result import Collector, ExecResult
from labcontainers.containers.shim_client import ShimClient, read_streams
from labcontainers.containers.state import read_start
from labcontainers.containers.time_limit import TimeLimit
from labcontainers.errors import Conflict, Interrupted, InvalidArgument
from labcontainers.kernel import capabilities
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.kernel.interrupts import Interrupts
from labcontainers.runtime import plan as plans
from labcontainers.runtime.spec import ExecSpec


def run_exec(
    lifecycle: Lifecycle,
    record: Record,
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
    timeout_s: float | None = None,
) -> ExecResult:
    """Run `command` in the container and wait for it (not with `detach`); its output is collected, and passed to `on_output`.

    Without `keep_output` the result has none of it; `privileged` gives it all capabilities of this host. Raises InvalidArgument (no
    command), Conflict (not running) and StartFailed (126, 127). An interrupt goes to the process: SIGINT first, then SIGKILL;
    Interrupted is raised at the end. After `timeout_s` seconds (0: never) it gets SIGTERM, and SIGKILL two seconds later.
    """
    limit = TimeLimit(timeout_s)
    words, options = exec_options(command, environment=environment, user=user, working_dir=working_dir)
    collected = Collector(on_output, keep=keep_output)
    began = time.monotonic()
    with lifecycle.client(record) as client:
        request = exec_request(lifecycle, record, words, options, privileged)
        source = open_stdin(stdin)
        try:
            code = _run_detached(client, request, source) if detach else _run_attached(client, request, source, collected, limit)
        finally:
            os.close(source)
    took_s = time.monotonic() - began
    return ExecResult(record.row.id, record.row.name, words, code, collected.stdout, collected.stderr, took_s, timeout_s=limit.spent_s)


def exec_options(command: Any, **keywords: Any) -> tuple[tuple[str, ...], ContainerOptions]:
    """The words of a command and its options, checked; raises InvalidArgument."""
    words = split_command(command)
    if not words:
        raise InvalidArgument("no command given to exec", "name a command, such as `exec NAME ls`")
    return words, ContainerOptions.from_keywords(**keywords)


def exec_request(
    lifecycle: Lifecycle,
    record: Record,
    words: tuple[str, ...],
    options: ContainerOptions,
    privileged: bool,
    terminal: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """What the shim is asked for. `terminal` is the size of one.

    With `privileged` the process has every capability that this host gives; the container's filter holds all the same, as in Docker.
    """
    start = read_start(record.directory)
    if not start:
        raise Conflict(f"container {record.row.name} is not running", "it was removed meanwhile: `ps` lists what runs")
    group = Cgroup.from_json(start["cgroups"])
    rootless = lifecycle.launcher.rootless
    confined = confine(record.options, rootless, lifecycle.filter_for)
    spec = ExecSpec(
        arguments=words,
        environment=prepare.merge_environment([prepare.TERM] if terminal else [], start["environment"], options.environment),
        working_dir=options.working_dir or start["working_dir"],
        user=options.user or start["user"],
        capabilities=capabilities.mask(all_capabilities(rootless)) if privileged else confined.capabilities,
        seccomp=confined.seccomp,
        seccomp_flags=confined.seccomp_flags,
        apparmor="" if privileged else confined.apparmor,
        no_new_privileges=confined.no_new_privileges,
        procs=group.procs,
        namespaces=start["namespaces"],
        groups=record.options.groups,
        terminal=terminal,
    )
    # Events show it as Docker's do, which has a blank after a word that is alone.
    shown = f"{words[0]} {' '.join(words[1:])}"
    return {
        "plan": plans.plan_exec(spec, lifecycle.host()),
        "procs": spec.procs,
        "cgroup_directory": group.unified or "",
        "namespaces": spec.namespaces,
        "shown": shown,
    }


def _run_attached(client: ShimClient, request: dict[str, Any], stdin: int, on_output: Output, limit: TimeLimit) -> int:
    read_out, write_out = os.pipe2(os.O_CLOEXEC)
    read_err, write_err = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            client.exec(request, (stdin, write_out, write_err))
        finally:
            os.close(write_out)
            os.close(write_err)
        return _finish(client, {read_out: 1, read_err: 2}, on_output, limit)
    finally:
        os.close(read_out)
        os.close(read_err)


def _finish(client: ShimClient, streams: dict[int, int], on_output: Output, limit: TimeLimit) -> int:
    """Read until the output has ended, then take the exit code; interrupts go to the process and are raised at the end.

    What a killed process leaves behind may hold its output open: then nobody waits for that any more.
    """
    with Interrupts(client.exec_signal) as interrupts, limit.watching(client.exec_signal):
        read_streams(streams, on_output, lambda: limit.over)
        code = client.exec_exit_code()
    code = 137 if code is None else code
    if interrupts.count:
        raise Interrupted("the command", code)
    return code


def _run_detached(client: ShimClient, request: dict[str, Any], stdin: int) -> int:
    sink = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        client.exec(request, (stdin, sink, sink))
    finally:
        os.close(sink)
    return 0


def open_stdin(stdin: bytes | str | int | None) -> int:
    """A descriptor of its own for standard input: /dev/null, a duplicate of a given one, or a sealed memory file of the text."""
    if stdin is None:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    if isinstance(stdin, int):
        return os.dup(stdin)
    data = stdin.encode() if isinstance(stdin, str) else stdin
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
