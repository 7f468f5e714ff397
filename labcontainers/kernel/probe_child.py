"""The short-lived process behind `doctor`: it tries each ability of the kernel for real and writes what happened as JSON.

It must not judge or explain; it imports only the standard library and `syscalls`, `mounts`, `id_maps`, `probe_attempts`, and stays
single-threaded.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from labcontainers.kernel import id_maps, probe_attempts, syscalls

Result = dict[str, Any]

_TIMEOUT_MS = 3000
_SYSCTLS = {
    "max_user_namespaces": "user/max_user_namespaces",
    "userns_clone": "kernel/unprivileged_userns_clone",
    "apparmor_userns": "kernel/apparmor_restrict_unprivileged_userns",
    "memfd_noexec": "vm/memfd_noexec",
}


def attempt(action: Callable[[], str | None]) -> Result:
    """Do `action` in a process of its own: whether it succeeded, the errno if not, and the few words that it returned."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            os.write(writer, json.dumps(_result(action)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    try:
        return _await(pid, reader)
    finally:
        os.close(reader)


def _result(action: Callable[[], str | None]) -> Result:
    try:
        return {"ok": True, "detail": action() or ""}
    except OSError as error:
        return {"ok": False, "errno": error.errno or 0, "detail": str(error.strerror or error)}
    except Exception as error:
        return {"ok": False, "errno": 0, "detail": repr(error)}


def _await(pid: int, reader: int) -> Result:
    poll = select.poll()
    poll.register(reader, select.POLLIN | select.POLLHUP)
    text = b""
    while poll.poll(_TIMEOUT_MS):
        part = os.read(reader, 65536)
        if not part:
            break
        text += part
    else:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        found: Result = json.loads(text)
    except ValueError:
        return {"ok": False, "errno": 0, "detail": "the attempt ended without an answer"}
    return found


def map_from_outside(action: Callable[[], str | None], write_maps: Callable[[int], str | None]) -> Result:
    """`action` as root of a new user namespace, whose id maps `write_maps` writes from outside, given the process."""
    ready_reader, ready_writer = os.pipe()
    go_reader, go_writer = os.pipe()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for fd in (reader, ready_reader, go_writer):
                os.close(fd)
            os.write(writer, json.dumps(_result(lambda: _mapped(action, ready_writer, go_reader))).encode())
        finally:
            os._exit(0)
    for fd in (writer, ready_writer, go_reader):
        os.close(fd)
    mapped: Result = {"ok": True}
    if os.read(ready_reader, 1):
        mapped = _result(lambda: write_maps(pid))
        if mapped["ok"]:
            os.write(go_writer, b"+")
    os.close(go_writer)
    result = _await(pid, reader)
    for fd in (reader, ready_reader):
        os.close(fd)
    if result["ok"] and mapped["ok"]:
        return {**result, "detail": result["detail"] or mapped["detail"]}
    return result if mapped["ok"] else mapped


def _mapped(action: Callable[[], str | None], ready_writer: int, go_reader: int) -> str | None:
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    os.write(ready_writer, b"+")
    if os.read(go_reader, 1):
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    return action()


def give_ids(pid: int, ranges: list[list[int]]) -> str:
    """Map 0 to this user and 1… to the ids that it may give; raises OSError with what was refused."""
    id_maps.give(pid, [(first, count) for first, count in ranges])
    if id_maps.is_root_of_host():
        return "root gives any ids"
    return f"0 is this user, 1 to {ranges[0][1]} are {ranges[0][0]} to {sum(ranges[0]) - 1}"


def in_room(request: dict[str, Any], subordinate: bool) -> dict[str, Result]:
    """What needs the rights that a launcher has, tried as it would: as root, or as root of a new user namespace."""
    scratch, user_namespace = request["scratch"], not id_maps.is_root_of_host()
    results: dict[str, Result] = {}

    def all_attempts() -> str:
        found = {name: attempt(partial(one, scratch, user_namespace)) for name, one in probe_attempts.PRIVILEGED.items()}
        return json.dumps(found)

    def all_attempts_as_single_id() -> str:
        probe_attempts.single_id_map(request["uid"], request["gid"])
        return all_attempts()

    if user_namespace and subordinate:
        outcome = map_from_outside(all_attempts, lambda pid: give_ids(pid, request["ranges"]))
    elif user_namespace:
        outcome = attempt(all_attempts_as_single_id)
    else:
        outcome = attempt(all_attempts)
    if outcome["ok"]:
        results = json.loads(outcome["detail"])
    return results or {name: {**outcome, "ok": False, "barred": True} for name in probe_attempts.PRIVILEGED}


def facts() -> dict[str, Any]:
    """What the process and the host say of themselves, to explain by."""
    status = dict(re.findall(r"^(\w+):\s*(.*)$", _read("/proc/self/status"), re.MULTILINE))
    mounts = [line.split() for line in _read("/proc/self/mountinfo").splitlines()]
    return {
        "euid": os.geteuid(),
        "host_root": id_maps.is_root_of_host(),
        "ids": id_maps.mapped_ids(),
        "named": bool(id_maps.user_names(os.geteuid())),
        "grub": os.path.exists("/etc/default/grub"),
        "capabilities": int(status.get("CapEff", "0"), 16),
        "no_new_privs": status.get("NoNewPrivs") == "1",
        "seccomp": status.get("Seccomp", "0") != "0",
        "sysctls": {name: _read(f"/proc/sys/{path}").strip() for name, path in _SYSCTLS.items()},
        "label": _read("/proc/self/attr/current").strip("\0\n "),
        "masked_proc": sorted(fields[4] for fields in mounts if len(fields) > 4 and fields[4].startswith("/proc/")),
        "masked_sys": sorted(fields[4] for fields in mounts if len(fields) > 4 and fields[4] in ("/sys/firmware", "/sys/kernel")),
        "release": os.uname().release,
        "outer": _outer_container(),
        "free_ids": _free_ids(),
    }


def _free_ids() -> int:
    """The first id behind all subordinate ranges that users have already."""
    rows = [line.split(":") for path in ("/etc/subuid", "/etc/subgid") for line in _read(path).splitlines()]
    return max([100000, *(int(row[1]) + int(row[2]) for row in rows if len(row) == 3 and row[1].isdigit() and row[2].isdigit())])


def _outer_container() -> str:
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "Kubernetes"
    for path, name in (
        ("/.dockerenv", "Docker (there is a /.dockerenv)"),
        ("/run/.containerenv", "Podman (there is a /run/.containerenv)"),
    ):
        if os.path.exists(path):
            return name
    named = os.environ.get("container") or _read("/run/systemd/container").strip()  # noqa: SIM112  # systemd writes it in lower case
    return named or ("a container" if re.search(r"docker|containerd|kubepods|libpod|lxc", _read("/proc/1/cgroup")) else "")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def main() -> None:
    """Read the request (JSON: scratch, uid, gid, ranges, interpreter) from the command line, write results and facts to stdout."""
    request = json.loads(sys.argv[1])
    results: dict[str, Result] = {"user namespace": attempt(probe_attempts.user_namespace)}
    results["single id map"] = attempt(lambda: probe_attempts.single_id_map(request["uid"], request["gid"]))
    if request["ranges"]:
        results["subordinate ids"] = map_from_outside(probe_attempts.take_subordinate_id, lambda pid: give_ids(pid, request["ranges"]))
    else:
        results["subordinate ids"] = {"ok": False, "errno": 0, "detail": "", "no_ranges": True}
    results.update(in_room(request, results["subordinate ids"]["ok"]))
    for name, one in probe_attempts.ORDINARY.items():
        results[name] = attempt(partial(one, request))
    json.dump({"results": results, "facts": facts()}, sys.stdout)
