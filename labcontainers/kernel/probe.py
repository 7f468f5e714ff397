"""What this host lets a container engine do, found by trying: the answer of `doctor`.

It must not know containers or the store; the store's directory is passed in, since overlays depend on its file system.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from labcontainers.errors import Unavailable
from labcontainers.kernel import id_maps, levels
from labcontainers.kernel.probe_reasons import ALL_IDS, MOUNTS, STORE_FIX, explain
from labcontainers.kernel.probe_report import LEVELS, Check, Report

__all__ = ["LEVELS", "Check", "Host", "LinuxHost", "Report", "probe"]

_TIMEOUT_S: Final = 20.0
_PROGRAM: Final = "import sys; sys.path.insert(0, sys.argv.pop(1)); from labcontainers.kernel.probe_child import main; main()"


class Host(Protocol):
    """Where abilities are tried."""

    def findings(self, store: Path | None) -> Mapping[str, Any]:
        """What `probe_child` writes: {"results": {name: {"ok", "errno", "detail"}}, "facts": {…}}."""
        ...

    def user_name(self) -> str:
        """The name of the user whom a fix is for."""
        ...


class LinuxHost:
    """This machine: everything is tried in one short-lived process outside, since this one may have threads."""

    def findings(self, store: Path | None) -> Mapping[str, Any]:
        """Run the child and read its answer; raises Unavailable when there is none. Blocks for about 0.2 s."""
        with _scratch(store) as (scratch, refused):
            request = {"scratch": str(scratch), "uid": os.geteuid(), "gid": os.getegid(), "ranges": id_maps.ranges()}
            package = str(Path(__file__).resolve().parents[2])
            arguments = [sys.executable, "-I", "-S", "-c", _PROGRAM, package, json.dumps(request)]
            try:
                child = subprocess.run(
                    arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True, cwd="/"
                )
                found: dict[str, Any] = json.loads(child.stdout)
            except (OSError, subprocess.SubprocessError, ValueError) as error:
                said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
                raise Unavailable(f"the abilities of this host could not be tried: {said[-1] if said else error!r}") from error
        found["facts"]["store_refused"] = refused
        return found

    def user_name(self) -> str:
        """The name of the effective user, or its number."""
        return (id_maps.user_names(os.geteuid()) or [str(os.geteuid())])[0]


@contextlib.contextmanager
def _scratch(store: Path | None) -> Iterator[tuple[Path, str]]:
    """A directory where the store is or will be, or a temporary one with what the kernel said against the former."""
    refused = ""
    parent = _nearest(store) if store is not None else Path(tempfile.gettempdir())
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".doctor-", dir=parent))
    except OSError as error:
        refused = f"{errno.errorcode.get(error.errno or 0, '')}, {(error.strerror or '').lower()}: {parent} cannot be written"
        scratch = Path(tempfile.mkdtemp(prefix=".doctor-"))
    try:
        yield scratch, refused
    finally:
        # An overlay leaves a work directory that nobody may enter until its mode is changed.
        for directory, names, _ in os.walk(scratch):
            for name in names:
                with contextlib.suppress(OSError):
                    os.chmod(f"{directory}/{name}", 0o700)
        shutil.rmtree(scratch, ignore_errors=True)


def _nearest(directory: Path) -> Path:
    """It, or the nearest directory above it that is there and that this user may reach."""
    return next(parent for parent in (directory, *directory.parents) if os.path.isdir(parent))


def probe(store: Path | None = None, host: Host | None = None) -> Report:
    """Try every ability and report: what works, what does not, why, and the exact fix.

    `store` is the directory on whose file system overlays are tried (it or its nearest parent; else the temporary directory). Needs
    no privilege, works as root and as any user, takes about 0.2 s and leaves nothing behind. Raises Unavailable if nothing could
    be tried.
    """
    host = host or LinuxHost()
    findings = host.findings(store)
    results, facts = _barred(findings["results"]), findings["facts"]
    checks = [_host_check(facts), *([_store_check(store, facts["store_refused"])] if store is not None else [])]
    for name, result in results.items():
        reason, fix = ("", "") if result["ok"] else explain(name, result, facts, host.user_name())
        detail = result.get("detail", "") if result["ok"] else ""
        checks.append(Check(name, bool(result["ok"]), detail, reason, fix))
    checks.append(_apparmor_check(results, facts, host.user_name()))
    checks.append(_outer_check(facts))
    level = _level(results, facts)
    return Report(tuple(checks), level, _holds(level, results, facts))


def _barred(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mark what fails only because no user namespace can be made at all."""
    if results["user namespace"]["ok"]:
        return results
    below = {name: {**results[name], "barred": True} for name in ("single id map", "subordinate ids") if not results[name]["ok"]}
    return {**results, **below}


def _level(results: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    def works(name: str) -> bool:
        return bool(results[name]["ok"])

    root = facts["host_root"]
    if not root and not (works("user namespace") and works("single id map")):
        # AppArmor lets the namespace be made, and then takes its rights away.
        return "no-mounts" if works("user namespace") else "none"
    if not (works("tmpfs") and works("overlay") and works("pivot_root")):
        return "no-mounts"
    if not works("openat2"):
        return "no-openat2"
    if not works("fresh /proc"):
        return "masked-proc"
    return "root" if root else "rootless" if works("subordinate ids") else "single-id"


def _holds(level: str, results: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    if level in ("no-mounts", "no-openat2", "none"):
        return levels.NO_NAMESPACES
    ids = "host" if facts["host_root"] else "subordinate" if results["subordinate ids"]["ok"] else "single"
    return levels.told(ids, masked_proc=level == "masked-proc", limited=bool(results["control groups"]["ok"]))


def _host_check(facts: Mapping[str, Any]) -> Check:
    who = "root" if facts["euid"] == 0 else f"an ordinary user (id {facts['euid']})"
    if facts["ids"] < ALL_IDS:
        who += f" of a user namespace with {facts['ids']:,} {'id' if facts['ids'] == 1 else 'ids'}"
    elif facts["euid"] == 0 and not facts["host_root"]:
        who += " without CAP_SYS_ADMIN"
    return Check("host", None, f"Linux {facts['release']}, as {who}")


def _store_check(store: Path, refused: str) -> Check:
    return Check(
        "store",
        not refused,
        "" if refused else f"at {store}",
        refused and f"{refused}, but images belong to {store}",
        refused and STORE_FIX,
    )


def _apparmor_check(results: Mapping[str, Any], facts: Mapping[str, Any], user: str) -> Check:
    name = "AppArmor restriction"
    if facts["sysctls"].get("apparmor_userns") != "1":
        return Check(name, True, "none on user namespaces")
    denied = next((one for one in ("single id map", *MOUNTS) if not results[one]["ok"] and results[one].get("errno") in (1, 13)), None)
    if facts["host_root"] or denied is None:
        label = f", this process runs under {facts['label']!r}" if facts["label"] else ""
        return Check(name, True, f"in force, but not for this process{label}")
    reason, fix = explain(denied, results[denied], facts, user)
    return Check(name, False, "", f"{denied}: {reason}", fix)


def _outer_check(facts: Mapping[str, Any]) -> Check:
    hints = [
        *(["a seccomp filter is in force"] if facts["seccomp"] else []),
        *(["no_new_privs is set"] if facts["no_new_privs"] else []),
        *([f"{len(facts['masked_proc'])} parts of /proc are masked"] if facts["masked_proc"] else []),
    ]
    inside = f"inside {facts['outer']}" if facts["outer"] else "no sign of one"
    return Check("outer container", None, ", ".join([inside, *hints]))
