"""Bundles and containers that attack the OCI runtime command: its interpreter, its paths below the root, its descriptors."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.bundle import TOP, Bundle, until

pytestmark = pytest.mark.needs("busybox")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    found = Bundle(tmp_path)
    found.config["root"]["readonly"] = False
    return found


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


def interpreter() -> str:
    return hashlib.sha256(Path(os.path.realpath(sys.executable)).read_bytes()).hexdigest()


def test_interpreter_cannot_be_written_by_whom_it_enters(bundle: Bundle) -> None:
    """CVE-2019-5736: the program is `#!/proc/self/exe`, while the container's root tries to write to whatever comes in."""
    before = interpreter()
    (bundle.rootfs / "bin/again").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "bin/again").chmod(0o755)
    look = "for exe in /proc/[0-9]*/exe; do echo x > $exe && echo $exe >> /tmp/written; done"
    bundle.says(f"echo > /tmp/begun; while :; do {look}; done 2>/dev/null").call("run", "-d", "one")
    until(lambda: (bundle.rootfs / "tmp/begun").exists())
    for _ in range(10):
        bundle.call("exec", "one", "/bin/again", ok=False)
        bundle.call("exec", "one", "true")
    bundle.call("delete", "-f", "one")
    assert not (bundle.rootfs / "tmp/written").exists()
    assert interpreter() == before
    assert bundle.says("/bin/again").run(ok=False).returncode != 0
    assert interpreter() == before


@pytest.mark.needs("root")
def test_process_that_enters_is_a_sealed_copy(bundle: Bundle) -> None:
    bundle.says("true").call("create", "one")
    assert os.readlink(f"/proc/{bundle.state()['pid']}/exe").startswith("/memfd:")
    bundle.call("delete", "one")


@pytest.mark.parametrize("mounted", [True, False])
@pytest.mark.parametrize("link", ["absolute", "climbing"])
def test_devices_stay_in_the_root(bundle: Bundle, canary: Path, mounted: bool, link: str) -> None:
    """CVE-2026-41579: /dev of the bundle is a link to a folder of the host."""
    (bundle.rootfs / "dev").rmdir()
    (bundle.rootfs / "dev").symlink_to(canary if link == "absolute" else "../" * 20 + str(canary).lstrip("/"))
    if not mounted:
        bundle.config["mounts"] = [one for one in bundle.config["mounts"] if not one["destination"].startswith("/dev")]
    bundle.says("true").run(ok=False)
    assert os.listdir(canary) == []
    assert bundle.nothing_left()


def test_masks_do_not_touch_the_host(bundle: Bundle, canary: Path) -> None:
    """CVE-2025-31133: masked paths and /dev/null lead out of the root."""
    (canary / "file").write_text("host")
    (bundle.rootfs / "out").symlink_to(canary / "file")
    bundle.config["linux"]["maskedPaths"] += ["/out", "/out/../file"]
    bundle.config["linux"]["readonlyPaths"] += ["/out"]
    bundle.config["mounts"].append({"destination": "/dev/null", "type": "bind", "source": str(canary / "file"), "options": ["bind"]})
    bundle.says("echo x > /dev/kmsg; true").run(ok=False)
    assert (canary / "file").read_text() == "host"


@pytest.mark.parametrize("target", ["/proc/sys", "/proc/self/attr", "/proc/1"])
def test_nothing_covers_proc(bundle: Bundle, target: str) -> None:
    """CVE-2023-28642: what the runtime writes there would go astray."""
    bundle.config["mounts"].append({"destination": target, "type": "tmpfs", "source": "tmpfs"})
    done = bundle.says("true").run(ok=False)
    assert done.returncode == 1
    assert "inside /proc" in done.stderr
    assert bundle.nothing_left()


@pytest.mark.parametrize("words", [["run", "one"], ["exec", "one", "sh", "-c", "ls -l /proc/self/fd"]])
def test_no_descriptor_of_the_host_is_left(bundle: Bundle, words: list[str]) -> None:
    """CVE-2024-21626."""
    bundle.says("sleep 1000" if words[0] == "exec" else "ls -l /proc/self/fd")
    if words[0] == "exec":
        bundle.call("run", "-d", "one")
    lines = bundle.call(*words).stdout.splitlines()
    found: dict[int, Any] = {int(line.split()[-3]): line.split()[-1] for line in lines if "->" in line}
    assert set(found) <= {0, 1, 2, 3}
    assert found.get(3, "/proc/").startswith("/proc/")  # ls' own
    if words[0] == "exec":
        bundle.call("delete", "-f", "one")


def test_console_is_not_put_in_place_of_a_link(bundle: Bundle, canary: Path) -> None:
    """CVE-2025-52565: /dev/console of a /dev that the bundle itself has leads out."""
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if one["destination"] not in ("/dev", "/dev/shm", "/dev/mqueue")]
    (bundle.rootfs / "dev/console").symlink_to(canary / "console")
    (bundle.rootfs / "dev/pts").mkdir()
    bundle.config["process"]["terminal"] = True
    bundle.says("true").run(ok=False)
    assert os.listdir(canary) == []
    assert bundle.nothing_left()


@pytest.mark.parametrize("program", ["true", "nothing"])
def test_no_module_of_the_container_is_loaded(bundle: Bundle, program: str) -> None:
    """CVE-2019-14271: a standard library, and what Python loads at its start, lie where this runtime's interpreter has its own."""
    evil = "import os\nopen('/tmp/owned', 'a').write(__name__)\n"
    for folder in [*sys.path, str(TOP)]:
        if folder.startswith("/") and not folder.endswith(".zip"):
            for name in (
                "json",
                "warnings",
                "traceback",
                "encodings/ascii",
                "encodings/idna",
                "mmap",
                "sitecustomize",
                "_sitebuiltins",
                "typing",
            ):
                file = bundle.rootfs / folder.lstrip("/") / f"{name}.py"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(evil)
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    bundle.says(program).run(ok=False)
    bundle.says("sleep", "1000").call("run", "-d", "one")
    bundle.call("exec", "--user", "0:0", "one", program, ok=False)
    bundle.call("exec", "--cwd", "/nowhere", "one", program, ok=False)
    bundle.call("delete", "-f", "one")
    assert not (bundle.rootfs / "tmp/owned").exists()
