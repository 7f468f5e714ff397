"""podman of an ordinary user with this runtime, which is root of podman's user namespace there and of nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.bundle import runtime_program, small_archive, until

pytestmark = pytest.mark.needs("podman", "busybox", "ordinary user")
Podman = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Podman]:
    # a socket of conmon lies below this, and its address is short
    place = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
    runtime = runtime_program(place)
    (place / "x").mkdir(mode=0o700)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(place / "x"), "HOME": str(place)}
    environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
    places = ["--root", str(place / "root"), "--runroot", str(place / "run"), "--tmpdir", str(place / "tmp")]
    ways = ["--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=vfs", "--storage-opt=vfs.ignore_chown_errors=true"]

    def call(*words: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["podman", *places, *ways, "--runtime", str(runtime), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
        assert not ok or done.returncode == 0, done.stderr
        return done

    call("import", str(small_archive(tmp_path)), "localhost/small")
    yield call
    call("rm", "--all", "--force", "--time", "0", ok=False)
    call("unshare", "rm", "-rf", str(place / "root"), str(place / "run"), ok=False)
    # what holds podman's namespace between its commands
    for told in place.rglob("pause.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(told.read_text()), signal.SIGKILL)
    subprocess.run(["rm", "-rf", place], check=True)


RUN = ("run", "--network", "none", "--ulimit", "host")


def test_podman_of_an_ordinary_user_runs_its_containers_with_this_runtime(podman: Podman) -> None:
    assert podman(*RUN, "--rm", "localhost/small", "sh", "-c", "echo hello; id -u; readlink /proc/self | wc -c").stdout == "hello\n0\n2\n"
    assert podman(*RUN, "--rm", "localhost/small", "sh", "-c", "exit 5", ok=False).returncode == 5
    assert podman(*RUN, "--rm", "localhost/small", "nothing", ok=False).returncode == 127
    wishes = ["--read-only", "--tmpfs", "/tmp:size=1m", "--workdir", "/tmp", "--hostname", "inner"]
    script = "pwd; hostname; touch /tmp/x && echo written; touch /x || echo refused; grep Seccomp: /proc/self/status"
    out = podman(*RUN, "--rm", *wishes, "localhost/small", "sh", "-c", script).stdout.split()
    assert out == ["/tmp", "inner", "written", "refused", "Seccomp:", "2"]


def test_its_container_lives_is_entered_stopped_and_removed(podman: Podman) -> None:
    script = "trap 'echo bye; exit 3' TERM; echo started; while :; do sleep 0.1; done"
    podman(*RUN, "--detach", "--name", "one", "localhost/small", "sh", "-c", script)
    assert podman("exec", "one", "sh", "-c", "echo inside; id -u; exit 4", ok=False).stdout == "inside\n0\n"
    assert podman("exec", "one", "nothing", ok=False).returncode == 127
    until(lambda: podman("logs", "one").stdout)
    podman("stop", "--time", "10", "one")
    assert until(lambda: podman("inspect", "one", "--format", "{{.State.Status}} {{.State.ExitCode}}").stdout) == "exited 3\n"
    assert podman("logs", "one").stdout == "started\nbye\n"
    podman("rm", "one")
    assert podman("ps", "--all", "--quiet").stdout == ""
