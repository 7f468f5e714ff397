"""The live tree of a container's processes. It must not know comms or HTML: those are plumbing's and the tree's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labcontainers.widgets.live_view import LiveView

if TYPE_CHECKING:
    from labcontainers.containers.usage.process_tree import ProcessRow, ProcessTree
    from labcontainers.widgets.plumbing import LiveWidget


class ProcessView(LiveView["ProcessTree"]):
    """A part for each process, one for their order, and one for what could not be seen."""

    role = "processes"

    def parts(self, value: ProcessTree) -> dict[str, Any]:
        return {
            "order": [row.pid for row in value],
            "notes": list(value.notes),
            **{f"process {row.pid}": _row(row) for row in value},
        }


def _row(row: ProcessRow) -> dict[str, Any]:
    return {
        "pid": row.pid,
        "inside": row.pid_inside,
        "parent": row.parent,
        "depth": row.depth,
        "user": row.user,
        "user_outside": row.user_outside,
        "state": row.state,
        "cpu": row.cpu_percent,
        "memory": row.memory_bytes,
        "thread_count": row.thread_count,
        "threads": [[thread.tid, thread.name, thread.state, thread.cpu_percent] for thread in row.threads],
        "namespaces": None if row.namespaces is None else list(row.namespaces),
        "ports": None if row.ports is None else list(map(str, row.ports)),
        "command": row.command,
    }


def show_processes(tree: ProcessTree) -> LiveWidget:
    """The live tree, to be displayed: the same for a container while it is open. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import CELLS, OPEN, LiveWidget

    return OPEN.find_or_open(f"processes of {tree.id or id(tree)}", lambda: LiveWidget(ProcessView(tree, busy=CELLS.running)))
