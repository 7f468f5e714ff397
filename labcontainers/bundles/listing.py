"""`list` and `ps`: which containers there are, and which processes run in one.

It must not change anything.
"""

from __future__ import annotations

import os
import time

from labcontainers.bundles.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labcontainers.oci.runtime_spec import Document


def containers(root: str) -> list[Document]:
    """All containers of this root, oldest first; one that is deleted meanwhile is left out."""
    from labcontainers.errors import LabError

    found = []
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    for name in names:
        if name.startswith(".") or not os.path.isdir(f"{root}/{name}"):
            continue
        try:
            state = State.load(root, name)
            told = state.to_json()
        except (LabError, OSError, ValueError):
            continue
        created, owner = state.values["created"], state.values["owner"]
        rootfs = (state.values["config"]["root"] or {"path": ""})["path"]
        row = {key: told.pop(key) for key in ("ociVersion", "id", "pid", "status", "bundle")}  # in runc's order
        found.append({**row, "rootfs": rootfs, "created": _moment(created), **told, "owner": _user(owner), "at": created})
    found.sort(key=lambda row: (row["at"], row["id"]))
    return [{key: value for key, value in row.items() if key != "at"} for row in found]


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def table(rows: list[list[str]]) -> str:
    """Text in columns that are as wide as their widest word."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["   ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def listed(found: list[Document]) -> str:
    """The table of `list`."""
    head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    return table([head, *([str(row[name.lower()]) for name in head] for row in found)])


def processes(state: State) -> list[int]:
    """The numbers of a container's processes: those in its control groups, or without any its first one."""
    return sorted(state.groups.pids()) or ([state.pid] if state.pid else [])


def process_table(pids: list[int], options: list[str]) -> str:
    """What ps(1) tells of these processes, with `options` for it (-ef by default); raises Unsupported where ps is missing."""
    output = os.memfd_create("ps", os.MFD_CLOEXEC)
    try:
        spawned = os.posix_spawnp("ps", ["ps", *(options or ["-ef"])], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, output, 1)])
    except FileNotFoundError:
        from labcontainers.errors import Unsupported

        raise Unsupported("no ps on this host", "install procps, or use --format json") from None
    _, status = os.waitpid(spawned, 0)
    lines = os.pread(output, 1 << 24, 0).decode("utf-8", "replace").splitlines()
    os.close(output)
    titles = lines[0].split() if lines else []
    if status or "PID" not in titles:
        from labcontainers.errors import InvalidArgument

        raise InvalidArgument(f"ps {' '.join(options)}: tells no PID", "options of ps(1) whose output has a column PID are taken")
    column = titles.index("PID")
    wanted = {str(pid) for pid in pids}
    kept = [line for line in lines[1:] if (line.split() + [""] * (column + 1))[column] in wanted]
    return "\n".join([lines[0], *kept]) + "\n"
