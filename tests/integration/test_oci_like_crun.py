"""The same bundle under crun and under this runtime: what a program finds, and what `state` tells, is alike."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SYSTEM_PATH
from tests.fakes.bundle import Bundle

CRUN = shutil.which("crun", path=SYSTEM_PATH)
pytestmark = pytest.mark.needs("busybox", "root", "crun")
LOOK = """exec 2>&1
cd /proc/self; grep -E '^(Cap|NoNew|Seccomp:|Uid|Gid|Groups)' status; echo; cat limits; echo
for kind in mnt pid ipc uts cgroup net user time; do test $(readlink ns/$kind) = $(readlink /proc/1/ns/$kind) && echo same $kind; done; echo
env | grep -v ^HOME; pwd; umask; hostname; echo
for path in /proc/kcore /proc/keys /proc/timer_list /sys/firmware /secret; do stat -c '%n %F %t:%T' $path; ls $path | wc -l; done; echo
cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/domainname oom_score_adj
ls -l /dev | grep -v -e core -e ' null' | sed 's/  */ /g' | cut -d' ' -f1,3-6,10-12
"""


def crun(bundle: Bundle, *words: str) -> str:
    """Its output; in a mount namespace without version 2's hierarchy beside those of version 1, which crun refuses."""
    assert CRUN is not None
    script = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", CRUN, "--root", str(bundle.root / "crun"), *words]
    with open(bundle.path / "crun", "w+") as out:
        subprocess.run(command, cwd=bundle.path, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False, timeout=60)
        out.seek(0)
        return out.read()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    found = Bundle(tmp_path)
    (found.rootfs / "secret").write_text("secret")
    (found.rootfs / "bin/sed").symlink_to("busybox")
    (found.rootfs / "bin/cut").symlink_to("busybox")
    (tmp_path / "shown").mkdir()
    found.config["ociVersion"] = "1.0.2"
    found.config["process"] |= {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 300}], "cwd": "/tmp", "oomScoreAdj": 500}
    found.config["process"]["env"] += ["A=b", "A=c"]
    found.config["linux"]["maskedPaths"].append("/secret")
    found.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    found.config["mounts"].append(
        {"destination": "/mnt", "type": "bind", "source": str(tmp_path / "shown"), "options": ["rbind", "ro", "nosuid"]}
    )
    return found


def mounts(text: str) -> set[tuple[str, ...]]:
    """Where, what, and which options, without those that name the runtime's own choice: cgroup folders and masks."""
    found = set()
    for line in text.splitlines():
        words = line.split()
        target, kind, options = words[2], words[4], set(words[5].strip("()").split(","))
        if not target.startswith(("/sys/fs/cgroup", "/proc/", "/secret", "/sys/firmware")):
            found.add((target, kind, *sorted(options & {"ro", "rw", "nosuid", "nodev", "noexec", "relatime", "noatime", "mode=755"})))
    return found


@pytest.mark.parametrize("changes", [{}, {"user": {"uid": 1000, "gid": 1000, "additionalGids": [7]}}, {"noNewPrivileges": False}])
def test_program_finds_the_same(bundle: Bundle, changes: dict[str, Any]) -> None:
    bundle.config["process"] |= changes
    ours = bundle.says(LOOK).run()
    theirs = crun(bundle, "run", "one")
    for mine, other in zip((ours.stdout + ours.stderr).split("\n\n"), theirs.split("\n\n"), strict=True):
        assert mine == other
    assert mounts(bundle.says("mount").run().stdout) == mounts(crun(bundle, "run", "two"))


def test_state_tells_the_same(bundle: Bundle) -> None:
    bundle.config["annotations"] = {"a": "b"}
    bundle.says("sleep", "100").call("create", "one")
    crun(bundle, "create", "one")
    for status in ("created", "running"):
        ours, theirs = bundle.state(), json.loads(crun(bundle, "state", "one"))
        assert ours["status"] == theirs["status"] == status
        assert {key: ours[key] for key in ("id", "bundle", "annotations")} == {key: theirs[key] for key in ("id", "bundle", "annotations")}
        assert Path(f"/proc/{ours['pid']}").exists()
        if status == "created":
            bundle.call("start", "one")
            crun(bundle, "start", "one")
    crun(bundle, "delete", "-f", "one")
    bundle.call("delete", "-f", "one")
    assert os.listdir(bundle.root) == ["crun"]
