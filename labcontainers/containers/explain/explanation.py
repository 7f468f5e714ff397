"""What the kernel did to make a container: each operation with its arguments, its time and its man page.

It must not run anything: it reads what was written down at the start.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from labcontainers.containers.explain.operations import describe, man_page
from labcontainers.containers.explain.shell_script import script
from labcontainers.containers.planning.stages import PAUSE, STAGES, note_of, stage_of
from labcontainers.markup import NO_FORMULAS
from labcontainers.units import format_duration

if TYPE_CHECKING:
    from labcontainers.containers.isolation.namespace_map import NamespaceMap

# Ids and digests are told by their first digits, as everywhere.
_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_DONE = ("ok", "planned")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Operation:
    """One kernel operation: `name` as in the plan, `arguments` readable, `result` "ok", "planned" or why not, microseconds or None.

    A result is "unknown" where the shim died before it could tell. Without a duration are those that end in another process than they
    began in (clone, setns, execve), and the user namespace, which is as old as the engine. `man_page` is the page that tells of it,
    such as "pivot_root(2)"; `by` who does it: "engine", "shim" or "init"; `values` are the arguments as they are.
    """

    name: str
    arguments: str
    result: str
    duration_us: int | None
    man_page: str
    by: str = "init"
    values: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def call(self) -> str:
        """What the kernel knows it as: the name of the manual page, such as "pivot_root"."""
        return self.man_page.partition("(")[0]

    @property
    def stage(self) -> str:
        """The name of the stage it belongs to (planning.stages), such as "namespaces"."""
        return stage_of(self.name, self.values)

    @property
    def note(self) -> str:
        """What it is for, in plain words."""
        return note_of(self.name)

    @property
    def failed(self) -> bool:
        """Whether it was tried in vain."""
        return self.result not in (*_DONE, "unknown")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "operation": self.name,
            "stage": self.stage,
            "by": self.by,
            "man_page": self.man_page,
            "arguments": dict(self.values),
            "text": self.arguments,
            "result": self.result,
            "duration_us": self.duration_us,
        }


class Explanation(Sequence[Operation]):
    """All operations in order; prints as a table.

    `docker` is the `docker run` that asks for the same container, `shell` a script that makes it by hand. `sharing`, where somebody has
    set it, tells which processes of the machine share which namespaces now.
    """

    sharing: Callable[[], NamespaceMap] | None = None

    def __init__(self, name: str, operations: Sequence[Operation], docker: str = "", shell: str = "") -> None:
        self.name = name
        self.operations = tuple(operations)
        self.docker = docker
        self.shell = shell

    def __len__(self) -> int:
        return len(self.operations)

    def __getitem__(self, index: Any) -> Any:
        return self.operations[index]

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    @property
    def duration_us(self) -> int:
        """The microseconds of all operations together."""
        return sum(operation.duration_us or 0 for operation in self.operations)

    @property
    def planned(self) -> bool:
        """Whether nothing of it has been done."""
        return bool(self.operations) and all(operation.result == "planned" for operation in self.operations)

    @property
    def made(self) -> bool:
        """Whether the program was executed in the end."""
        return any(operation.name == "exec" and operation.result == "ok" for operation in self.operations)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        operations = [operation.to_dict() for operation in self.operations]
        return {"name": self.name, "docker": self.docker, "shell": self.shell, "operations": operations}

    def summary(self) -> str:
        """How many operations did what, and how long they took."""
        if self.planned:
            return f"{len(self.operations)} operations would make {self.name}; nothing was done"
        verb = "made" if self.made else "did not make"
        return f"{len(self.operations)} operations {verb} {self.name} in {format_duration(self.duration_us / 1e6)}"

    def brief(self) -> list[str]:
        """The same in few lines, for what is kept many times: each stage with its calls, and what failed."""
        rows = []
        for stage in STAGES:
            those = [operation for operation in self.operations if operation.stage == stage.name]
            pages = dict.fromkeys(operation.man_page for operation in those)
            took = "" if self.planned else format_duration(sum(operation.duration_us or 0 for operation in those) / 1e6)
            rows += [f"{stage.title:<21} {len(those):>3}  {took:>8}  {' '.join(pages)}"] if those else []
        rows += [f"{operation.name} failed: {operation.result}" for operation in self.operations if operation.failed]
        return [*rows, self.summary()]

    def __repr__(self) -> str:
        rows = [*map(_comment, self.docker.splitlines()), ""] if self.docker else []
        rows += [f"{'µs':>6}  {'by':<7} {'operation':<14} {'man page':<24} arguments"]
        for operation in self.operations:
            microseconds = "" if operation.duration_us is None else str(operation.duration_us)
            failed = "" if operation.result in _DONE else f"  -> {operation.result}"
            names = f"{operation.by:<7} {operation.name:<14} {operation.man_page:<24}"
            rows.append(f"{microseconds:>6}  {names} {operation.arguments[:110]}{failed}")
        rows.append(self.summary())
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        common = "vertical-align:top;padding:1px 12px 1px 0"
        word = f'style="{common};text-align:left;white-space:nowrap"'
        text = f'style="{common};text-align:left;white-space:pre-wrap;overflow-wrap:anywhere;width:100%"'
        number = f'style="{common};text-align:right;white-space:nowrap;opacity:.7"'
        body = "".join(
            f"<tr><td {number}>{'' if row.duration_us is None else row.duration_us}</td><td {word}><b>{html.escape(row.name)}</b></td>"
            f"<td {word}>{row.by}</td><td {word}>{html.escape(row.man_page)}</td>"
            f"<td {text}>{html.escape(row.arguments)}"
            f"{'' if row.result in _DONE else ' → ' + html.escape(row.result)}</td></tr>"
            for row in self.operations
        )
        head = f"<tr><th {number}>µs</th><th {word}>operation</th><th {word}>by</th><th {word}>man page</th><th {text}>arguments</th></tr>"
        scripts = "".join(
            f"<details><summary style='cursor:pointer;opacity:.8'>{title}</summary>"
            f"<pre style='white-space:pre-wrap;overflow-wrap:anywhere;max-height:20em;overflow:auto'>{html.escape(source)}</pre></details>"
            for title, source in (("as a docker command", self.docker), ("by hand, as a shell script", self.shell))
            if source
        )
        return (
            f'<div {NO_FORMULAS} style="max-height:28em;overflow:auto">'
            f'<table style="table-layout:auto;font-family:monospace;font-size:85%;width:100%">'
            f"<thead>{head}</thead><tbody>{body}</tbody></table></div><div style='opacity:.8'>{html.escape(self.summary())}</div>{scripts}"
        )


def explain(
    name: str,
    start: Mapping[str, Any],
    state: Mapping[str, Any],
    docker: str = "",
    *,
    made: Sequence[Sequence[Any]] = (),
    planned: bool = False,
) -> Explanation:
    """The operations of the creation (`made`) and of the last start, from what the engine (`start`) and the shim (`state`) wrote down.

    With `planned` nothing of it has been done yet. Documents of earlier versions are read, too.
    """
    if not start.get("plan") and not start.get("engine"):
        return Explanation(name, ())
    return Explanation(name, tuple(_operations(start, state, made, planned)), docker, script(start) if start.get("plan") else "")


def explain_so_far(
    name: str, start: Mapping[str, Any], reached: int, docker: str = "", *, made: Sequence[Sequence[Any]] = ()
) -> Explanation:
    """The same of a container that is made step by step: of init's operations, the first `reached` of the plan are done."""
    planned = explain(name, start, {}, docker, made=made, planned=True)
    left = sum(operation != PAUSE for operation, _ in start.get("plan", ())[:reached])
    operations = []
    for operation in planned:
        done = left > 0 if operation.by == "init" else operation.name != "forward"
        left -= operation.by == "init"
        operations.append(replace(operation, result="ok") if done else operation)
    return Explanation(name, operations, planned.docker, planned.shell)


def _operations(start: Mapping[str, Any], state: Mapping[str, Any], made: Sequence[Sequence[Any]], planned: bool) -> Iterator[Operation]:
    """In the order in which they were done, to the one that failed."""
    done = "planned" if planned else "ok"
    before, connect = start.get("engine", ()), start.get("connect", ())
    if "connect" not in start:
        # Earlier versions told of the network in one entry, among the others.
        before, connect = [entry for entry in before if entry[0] != "veth"], [entry for entry in before if entry[0] == "veth"]
    yield from (_of_engine(entry, done) for entry in (*made, *before))
    if start.get("failed"):
        return
    for join in start.get("joins", ()):
        yield _operation("join_namespaces", join, done, None, "shim")
    failure = state.get("error") if isinstance(state.get("error"), dict) else None
    names = {name for name, _ in start["plan"]}
    failed_before = failure is not None and failure["operation"] not in names
    clone = {"flags": start["clone_flags"], "into_cgroup": bool(start["cgroups"].get("unified"))}
    yield _operation("clone", clone, failure["message"] if failure is not None and failed_before else done, None, "shim")
    if failed_before:
        return
    for operation in _of_init(start["plan"], state, failure, done):
        if operation.name == "network_wait":
            # What the engine does while init waits for it is told at that place.
            yield from (_of_engine(entry, done) for entry in connect)
            if any(len(entry) > 3 for entry in connect):
                return
        yield operation
        if operation.result not in (done, "unknown"):
            return
    if start.get("ports"):
        ports = [[port["host_port"], port["container_port"]] for port in start["ports"]]
        yield _operation("forward", {"ports": ports}, done, state.get("forwarder_us"), "shim")


def _of_engine(entry: Sequence[Any], done: str) -> Operation:
    name, values, duration, *error = entry
    return _operation(name, values, error[0] if error else done, duration, "engine")


def _of_init(plan: Sequence[Sequence[Any]], state: Mapping[str, Any], failure: Mapping[str, Any] | None, done: str) -> Iterator[Operation]:
    """All of the plan, the failed one with its reason."""
    timings = state.get("timings_us", []) if failure is None else failure.get("timings_us", state.get("timings_us", []))
    # exec alone has no time of its own
    known = len(plan) if failure is not None or done == "planned" or len(timings) >= len(plan) - 1 else len(timings)
    # Earlier versions did not tell how far it came, but for the name.
    reached = len(timings) or next((index for index, (name, _) in enumerate(plan) if failure and name == failure["operation"]), 0)
    for index, (name, arguments) in enumerate(plan):
        if name == PAUSE:
            continue
        failed = failure is not None and index >= reached and name == failure["operation"]
        result = failure["message"] if failure is not None and failed else done if index < known else "unknown"
        operation = _operation(name, arguments, result, timings[index] if index < len(timings) else None, "init")
        if name == "join_cgroups" and state.get("in_cradle"):
            operation = replace(operation, arguments=f"born in {operation.arguments} (a process that waited there made the clone)")
        yield operation


def _operation(name: str, values: Mapping[str, Any], result: str, duration_us: int | None, by: str) -> Operation:
    text = _ID.sub(r"\1…", describe(name, values))
    return Operation(name, text, result, duration_us, man_page(name, values), by, values)


def _comment(line: str) -> str:
    """A line of the docker command; of a whole seccomp profile the beginning will do."""
    return f"# {line[:_LONGEST]}… ({len(line)} bytes)" if len(line) > _LONGEST and line.startswith("{") else f"# {line}"
