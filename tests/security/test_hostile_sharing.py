"""What a container may try on others that share its namespaces, and an image on the devices and profiles of its container."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import Conflict, LabError, StartFailed
from labcontainers.runtime.handshake import start_time
from tests.waiting import until

RUN: dict[str, Any] = {"network": "none", "remove": True}


def outcome(action: Callable[[], object]) -> str:
    """What an attempt was refused with, or "" when it was not."""
    try:
        action()
    except LabError as error:
        return error.message
    return ""


def test_a_device_is_not_put_where_a_link_of_the_container_leads_on_the_host(engine: Engine, tmp_path: Path) -> None:
    script = f"rmdir /link/sub; umount /link/x 2>/dev/null; rm -rf /link; ln -s ../../../../../../../..{tmp_path} /link; readlink /link"
    container = engine.containers.create("lab/base", ["sh", "-c", script], network="none", devices=["/dev/zero:/link/sub/zero"])
    container.start().wait(60)
    outcome(lambda: container.start().wait(60))
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_not_put_through_a_link_of_an_image(engine: Engine, tmp_path: Path, place: Path) -> None:
    context = place / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM lab/base\nRUN ln -s ../../../../../../..{tmp_path} /out && ln -s / /around\n")
    image = engine.images.build(context, tag="hostile").image
    for target in ("/out/zero", "/around/zero"):
        said = outcome(lambda target=target: engine.containers.run(image, ["true"], devices=[f"/dev/zero:{target}"], **RUN))
        assert said == "" or "symbolic link" in said
    assert list(tmp_path.iterdir()) == []
    assert not Path("/zero").exists()


def test_who_joins_a_pid_namespace_cannot_be_looked_into_before_it_is_confined(engine: Engine, tmp_path: Path) -> None:
    """CVE-2016-9962: the guest's first process still has the host's root and descriptors when the owner already sees it."""
    canary = tmp_path / "canary"
    canary.write_text("of the host")
    watch = (
        f"while true; do for p in /proc/[0-9]*; do cat $p/root{canary} 2>/dev/null && echo ' READ'; "
        "ls -l $p/fd 2>/dev/null | grep -E 'labcontainers|state.json|shim' && echo ' DESCRIPTOR'; done; done"
    )
    owner = engine.containers.run("lab/base", ["sh", "-c", watch], detach=True, network="none", ipc_mode="shareable")
    for _ in range(12):
        engine.containers.run("lab/base", ["true"], pid_mode=f"container:{owner.name}", ipc_mode=f"container:{owner.name}", **RUN)
    owner.kill("KILL")
    owner.wait(60)
    said = "".join(str(line) for line in owner.logs())
    assert "READ" not in said
    assert "DESCRIPTOR" not in said


def test_shared_memory_is_not_taken_through_a_link_of_its_owner(engine: Engine) -> None:
    script = "umount /dev/shm && rmdir /dev/shm && ln -s / /dev/shm && echo done && exec sleep 300"
    owner = engine.containers.run(
        "lab/base", ["sh", "-c", script], detach=True, network="none", ipc_mode="shareable", cap_add=["SYS_ADMIN"]
    )
    until(lambda: "done" in "".join(str(line) for line in owner.logs()), "the owner is done")
    with pytest.raises(StartFailed) as caught:
        engine.containers.run("lab/base", ["ls", "/dev/shm"], ipc_mode=f"container:{owner.name}", **RUN)
    assert caught.value.exit_code == 125


def start_time_of_a_new_process() -> int:
    with subprocess.Popen(["sleep", "300"]) as process:
        process.kill()
        return start_time(process.pid)


def test_a_process_that_got_the_pid_of_an_owner_is_not_joined(engine: Engine) -> None:
    owner = engine.containers.run("lab/base", ["sleep", "300"], detach=True, network="none")
    record = engine.store.paths.containers / owner.id / "state.json"
    true = json.loads(record.read_text())
    until(lambda: start_time_of_a_new_process() != true["pid_start"], "a tick goes by, by which pids are told apart")
    with subprocess.Popen(["sleep", "300"]) as other:
        try:
            record.write_text(json.dumps({**true, "pid": other.pid}))
            with pytest.raises(Conflict, match="has just ended"):
                engine.containers.run("lab/base", ["true"], pid_mode=f"container:{owner.name}", **RUN)
        finally:
            record.write_text(json.dumps(true))
            other.kill()


def test_an_owner_that_dies_while_it_is_joined_fails_the_start_and_leaves_nothing(engine: Engine) -> None:
    """Whatever wins the race, the guest runs in the owner's namespace or not at all."""
    for turn in range(6):
        owner = engine.containers.run("lab/base", ["sh", "-c", f"sleep 0.0{turn}"], detach=True, network="none", remove=True)
        codes: list[int] = []

        def join(name: str = owner.name, codes: list[int] = codes) -> None:
            codes.append(engine.containers.run("lab/base", ["sleep", "5"], pid_mode=f"container:{name}", **RUN).exit_code)

        said = outcome(join)
        assert codes == [137] or any(words in said for words in ("ended", "exited", "no such container"))


CHANGE = "from labcontainers.runtime import apparmor\napparmor.change_on_exec('x')\n"
COVERS = {
    "a file system of the image's": "mount -t tmpfs none /proc",
    "a directory of the real one": "mount --bind /proc/sys /proc",
    "a file over the attribute": "mount --bind /dev/null /proc/self/attr/exec",
}


@pytest.mark.needs("root")
@pytest.mark.parametrize("cover", COVERS.values(), ids=COVERS)
def test_a_profile_is_not_written_to_what_covers_proc(cover: str) -> None:
    """CVE-2019-19921, CVE-2025-52881: the write must reach the kernel's own file or fail."""
    script = f'{cover.replace("/proc/self", "/proc/$$")} && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", CHANGE]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2])
    assert ran.returncode != 0
    assert "Refused" in ran.stderr or "OSError" in ran.stderr


def test_a_container_on_the_hosts_pid_namespace_does_not_change_the_kernel(engine: Engine) -> None:
    files = "/proc/sys/kernel/panic /proc/sysrq-trigger /proc/sys/vm/drop_caches"
    script = f"for file in {files}; do (echo 1 > $file) 2>/dev/null && echo $file; done; true"
    assert engine.containers.run("lab/base", ["sh", "-c", script], pid_mode="host", **RUN).stdout == ""
