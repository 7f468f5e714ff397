"""Control groups made ahead of need: a start finds its init born in its group, whatever came in between, and nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Container, Engine
from labcontainers.kernel import cgroups

BASE = "lab/base"
pytestmark = [pytest.mark.needs("root", "cgroups v1"), pytest.mark.alike("ordinary users")]


def spares(pid: int | None = None) -> list[str]:
    """The spare groups of this process' engines, or of those of the process `pid`."""
    return [name for name in cgroups.detect().list() if name.startswith(f"spare-{pid or os.getpid()}-")]


def wait_until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.01)
    return False


def with_spare(engine: Engine) -> Engine:
    """The engine, once a spare group with a process in it is there."""
    engine.containers.run(BASE, ["true"], network="none", remove=True).check()
    assert wait_until(lambda: bool(spares()) and bool(cgroups.detect().find(spares()[0]).processes()))
    time.sleep(0.05)
    return engine


def sleeping(engine: Engine, **options: object) -> Container:
    return engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True, **options)


def in_cradle(container: Container) -> bool:
    return bool(json.loads((container._record.directory / "state.json").read_bytes()).get("in_cradle"))


def own_groups(container: Container) -> set[str]:
    lines = Path(f"/proc/{container.state.pid}/cgroup").read_text().splitlines()
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    return {paths[name] for name in cgroups.detect().v1 if name != "cpuset"}


def test_init_is_born_in_the_group_that_was_made_ahead_and_renamed(engine: Engine) -> None:
    container = sleeping(with_spare(engine), pids_limit=17)
    assert in_cradle(container)
    assert own_groups(container) == {f"/labcontainers/{container.id}"}
    assert container.stats().pids == 1
    assert "born in" in repr(container.explain())
    limit = Path(cgroups.detect().v1["pids"], "labcontainers", container.id, "pids.max").read_text()
    assert limit.strip() == "17"


def test_the_spare_outlives_work_on_file_trees(engine: Engine) -> None:
    old = with_spare(engine).containers.create(BASE, ["true"])
    old.remove()
    assert in_cradle(sleeping(engine))


def test_starts_at_the_same_time_share_one_spare_and_all_get_their_groups(engine: Engine) -> None:
    with_spare(engine)
    containers: list[Container] = []
    threads = [threading.Thread(target=lambda: containers.append(sleeping(engine))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [own_groups(container) for container in containers] == [{f"/labcontainers/{container.id}"} for container in containers]


def test_closing_the_engine_removes_the_spare(engine: Engine) -> None:
    with_spare(engine).close()
    assert wait_until(lambda: not spares())


def test_a_killed_engine_leaves_no_spare(place: Path) -> None:
    program = (
        "import sys, time\nfrom labcontainers import Engine\n"
        f"engine = Engine(root={str(place / 's')!r}, run_root={str(place / 'r')!r})\n"
        "engine.containers.run('lab/base', ['true'], network='none', remove=True)\nprint('ready', flush=True)\ntime.sleep(100)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert wait_until(lambda: bool(spares(process.pid)))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert wait_until(lambda: not spares(process.pid))


def test_a_spare_of_an_engine_that_is_no_more_is_swept(engine: Engine) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    left = cgroups.detect().create_spare(f"spare-{process.pid}-1-0")
    own = cgroups.detect().create_spare(f"spare-{os.getpid()}-{start_of_this_process()}-999")
    try:
        engine.warm_up()
        assert wait_until(lambda: cgroups.detect().find(f"spare-{process.pid}-1-0") is None)
        assert cgroups.detect().find(f"spare-{os.getpid()}-{start_of_this_process()}-999") is not None
    finally:
        left.remove()
        own.remove()


def start_of_this_process() -> int:
    return int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])


def test_one_with_a_chosen_cpu_moves_only_where_no_group_was_made_ahead(engine: Engine) -> None:
    container = sleeping(with_spare(engine), cpuset_cpus="0")
    assert in_cradle(container)
    assert own_groups(container) == {f"/labcontainers/{container.id}"}
    assert f"cpuset:/labcontainers/{container.id}" in Path(f"/proc/{container.state.pid}/cgroup").read_text()
    container.remove(force=True)
    assert container.id not in cgroups.detect().list()
