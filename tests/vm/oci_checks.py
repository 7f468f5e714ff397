"""What the OCI runtime command has to do on a pure version 2 of control groups, checked inside the virtual machine as one user.

It runs inside, as checks.py does. Root's bundle has a group at its own path; an ordinary user's one below the group that was delegated.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labcontainers.bundles.templates import template
from labcontainers.oci.runtime_spec import VERSION

GROUPS = Path("/sys/fs/cgroup")
# who -> the bundle's group
PATHS = {"oci-root": "/oci/one", "oci-user": "/user.slice/user-1000.slice/user@1000.service/one"}
MEBIBYTE = 1 << 20


class Bundle:
    """A bundle of busybox with limits; `call` runs the command on it."""

    def __init__(self, place: Path, who: str) -> None:
        self.place = place
        root = place / "rootfs"
        for name in ("bin", "proc", "sys", "dev", "tmp"):
            (root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for applet in ("sh", "sleep", "cat", "echo", "id"):
            (root / "bin" / applet).symlink_to("busybox")
        self.config: dict[str, Any] = template(VERSION, rootless=who != "oci-root", uid=os.geteuid(), gid=os.getegid())
        self.config["process"].update(terminal=False, rlimits=[], args=["sleep", "1000"])
        self.config["linux"]["cgroupsPath"] = PATHS[who]
        self.config["linux"]["resources"] = {"memory": {"limit": 64 * MEBIBYTE}, "pids": {"limit": 30}}
        (place / "config.json").write_text(json.dumps(self.config))

    def call(self, *words: str, ok: bool = True) -> str:
        """Its output; what a container writes goes to the same file, which that may keep open."""
        with open(self.place / "out", "w+") as out:
            command = [sys.executable, "-m", "labcontainers.bundles", "--root", str(self.place / "states"), *words]
            code = subprocess.run(command, cwd=self.place, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False).returncode
            out.seek(0)
            text = out.read()
        assert not ok or code == 0, f"{words} gave {code}: {text}"
        return text


def a_bundle_is_born_and_limited_in_its_group(bundle: Bundle, group: Path) -> None:
    bundle.call("run", "--detach", "one")
    state = json.loads(bundle.call("state", "one"))
    assert state["status"] == "running", state
    assert Path(f"/proc/{state['pid']}/cgroup").read_text() == f"0::{str(group).removeprefix(str(GROUPS))}\n"
    assert (group / "memory.max").read_text() == f"{64 * MEBIBYTE}\n"
    assert (group / "pids.max").read_text() == "30\n"


def limits_are_changed(bundle: Bundle, group: Path) -> None:
    bundle.call("update", "--memory", str(96 * MEBIBYTE), "one")
    assert (group / "memory.max").read_text() == f"{96 * MEBIBYTE}\n"


def a_command_enters_the_group(bundle: Bundle, group: Path) -> None:
    # the container sees its own group as the top
    assert bundle.call("exec", "one", "sh", "-c", "cat /proc/self/cgroup; id -u").split() == ["0::/", "0"]


def it_is_paused_and_goes_on(bundle: Bundle, group: Path) -> None:
    bundle.call("pause", "one")
    assert json.loads(bundle.call("state", "one"))["status"] == "paused"
    assert "frozen 1" in (group / "cgroup.events").read_text()
    bundle.call("resume", "one")
    assert json.loads(bundle.call("state", "one"))["status"] == "running"


def it_ends_and_its_group_is_gone(bundle: Bundle, group: Path) -> None:
    bundle.call("kill", "one", "KILL")
    end = time.monotonic() + 60
    while json.loads(bundle.call("state", "one"))["status"] != "stopped":
        assert time.monotonic() < end, "it does not end"
    bundle.call("delete", "one")
    assert not group.exists()
    assert os.listdir(bundle.place / "states") == []


CHECKS: tuple[Callable[[Bundle, Path], None], ...] = (
    a_bundle_is_born_and_limited_in_its_group,
    limits_are_changed,
    a_command_enters_the_group,
    it_is_paused_and_goes_on,
    it_ends_and_its_group_is_gone,
)


def main(who: str) -> None:
    """Run the checks one after the other, each with its line of JSON."""
    with tempfile.TemporaryDirectory() as place:
        bundle, group = Bundle(Path(place), who), Path(f"{GROUPS}{PATHS[who]}")
        for check in CHECKS:
            error = ""
            try:
                check(bundle, group)
            except BaseException:
                error = traceback.format_exc()[-3000:]
            print(json.dumps({"who": who, "check": check.__name__, "error": error}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
