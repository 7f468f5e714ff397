"""podman with this runtime: containers that podman creates, starts, enters, stops, tells the logs of and removes."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.bundle import runtime_program, small_archive, until

pytestmark = pytest.mark.needs("podman", "busybox", "root", "cgroups")
Podman = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Podman]:
    runtime = runtime_program(tmp_path)
    # a socket of conmon lies below these, and its address is short
    place = Path("/tmp") / f"lab-podman-{os.getpid()}"
    places = ["--root", str(place / "root"), "--runroot", str(place / "run"), "--tmpdir", str(place / "tmp")]
    ways = ["--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=vfs", "--runtime", str(runtime)]

    def call(*words: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(["podman", *places, *ways, *words], capture_output=True, text=True, check=False, timeout=120)
        assert not ok or done.returncode == 0, done.stderr
        return done

    call("import", str(small_archive(tmp_path)), "localhost/small")
    yield call
    call("rm", "--all", "--force", "--time", "0", ok=False)
    subprocess.run(["umount", place / "root/vfs", place / "root"], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", place], check=True)
    # podman keeps these for its next container
    for folder in ("libpod_parent/conmon", "libpod_parent"):
        for group in Path("/sys/fs/cgroup").glob(f"*/{folder}"):
            with contextlib.suppress(OSError):
                group.rmdir()


# limits of processes of the host, since podman asks for more than root may have in some machines
RUN = ("run", "--network", "none", "--ulimit", "host")


def test_podman_runs_its_containers_with_this_runtime(podman: Podman) -> None:
    assert podman(*RUN, "--rm", "localhost/small", "sh", "-c", "echo hello; id -u").stdout == "hello\n0\n"
    assert podman(*RUN, "--rm", "localhost/small", "sh", "-c", "exit 5", ok=False).returncode == 5
    assert podman(*RUN, "--rm", "localhost/small", "nothing", ok=False).returncode == 127
    assert podman(*RUN, "--rm", "localhost/small", "/etc", ok=False).returncode == 126
    wishes = ["--user", "1000:1000", "--read-only", "--tmpfs", "/tmp:size=1m", "--memory", "64m", "--pids-limit", "50", "--workdir", "/tmp"]
    script = "id -u; pwd; touch /tmp/x && echo written; touch /x || echo refused; grep Seccomp: /proc/self/status"
    out = podman(*RUN, "--rm", *wishes, "localhost/small", "sh", "-c", script).stdout.split()
    assert out == ["1000", "/tmp", "written", "refused", "Seccomp:", "2"]


def test_podman_keeps_a_container_through_its_life(podman: Podman) -> None:
    script = "trap 'echo bye; exit 3' TERM; echo started; while :; do sleep 0.1; done"
    podman("create", *RUN[1:], "--name", "one", "localhost/small", "sh", "-c", script)
    podman("start", "one")
    assert podman("exec", "one", "sh", "-c", "echo inside; exit 4", ok=False).stdout == "inside\n"
    assert podman("exec", "one", "nothing", ok=False).returncode == 127
    podman("pause", "one")
    assert podman("inspect", "one", "--format", "{{.State.Status}}").stdout == "paused\n"
    podman("unpause", "one")
    assert "sleep" in podman("top", "one").stdout
    podman("stop", "--time", "10", "one")
    assert until(lambda: podman("inspect", "one", "--format", "{{.State.Status}} {{.State.ExitCode}}").stdout) == "exited 3\n"
    assert podman("logs", "one").stdout == "started\nbye\n"
    podman("rm", "one")
    assert podman("ps", "--all", "--quiet").stdout == ""
