"""Control groups on the real kernel: made and removed at once, limits that hold, processes frozen and killed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers.errors import Conflict
from labcontainers.kernel.cgroups import Cgroup, Hierarchy, Limits, detect
from labcontainers.runtime import cleanup

pytestmark = pytest.mark.needs("cgroups")

WAIT_S = 10.0
JOIN = 'for directory; do echo $$ > "$directory/cgroup.procs" || exit 99; done; exec "$RUN" -c "$PROGRAM"'
SPIN = "while True: pass"
SLEEP = "import time; time.sleep(1000)"


@pytest.fixture
def hierarchy() -> Iterator[Hierarchy]:
    found = detect()
    tops = [parent for parent in {found.unified, *found.v1.values()} - {None} if not os.path.isdir(f"{parent}/labcontainers")]
    yield found
    for parent in tops:
        with contextlib.suppress(OSError):
            os.rmdir(f"{parent}/labcontainers")


@pytest.fixture
def group(hierarchy: Hierarchy) -> Iterator[Cgroup]:
    made = hierarchy.create(new_id())
    yield made
    made.kill()
    assert made.remove(timeout_s=5) == ()


@pytest.fixture
def start() -> Iterator[Callable[[Cgroup, str], subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    groups: list[Cgroup] = []

    def start_in(group: Cgroup, program: str) -> subprocess.Popen[str]:
        groups.append(group)
        environment = {**os.environ, "RUN": sys.executable, "PROGRAM": program}
        command = ["sh", "-c", JOIN, "sh", *group.directories]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        wait_for(lambda: processes[-1].poll() is not None or in_every_directory(processes[-1].pid, group))
        return processes[-1]

    yield start_in
    for group in groups:
        group.kill()
    for process in processes:
        process.kill()
        process.communicate()


def in_every_directory(pid: int, group: Cgroup) -> bool:
    return all(str(pid) in Path(directory, "cgroup.procs").read_text().split() for directory in group.directories)


def new_id() -> str:
    return "test-" + secrets.token_hex(8)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.005)


def cpu_ns(group: Cgroup) -> int:
    used = group.read().cpu_ns
    assert used is not None
    return used


def test_making_and_removing_a_group_costs_about_a_millisecond(hierarchy: Hierarchy) -> None:
    hierarchy.create("test-first").remove()
    times = []
    for _ in range(30):
        begin = time.perf_counter()
        made = hierarchy.create(new_id())
        assert made.remove() == ()
        times.append(time.perf_counter() - begin)
    assert statistics.median(times) < 0.003, "five times what it takes on an idle machine"


def test_a_new_group_is_empty_and_has_used_nothing(group: Cgroup) -> None:
    usage = group.read()
    assert (usage.cpu_ns, group.processes(), group.frozen) == (0, (), False)
    assert cleanup.oom_kills(group.to_json()) == 0


def test_processes_of_a_group_are_counted(group: Cgroup, start: Callable[[Cgroup, str], subprocess.Popen[str]]) -> None:
    process = start(group, SPIN)
    assert group.processes() == (process.pid,)
    before = cpu_ns(group)
    wait_for(lambda: cpu_ns(group) > before + 10_000_000)


@pytest.mark.needs("root")
def test_a_group_that_takes_too_much_memory_is_killed_and_that_is_counted(
    group: Cgroup, start: Callable[[Cgroup, str], subprocess.Popen[str]]
) -> None:
    assert group.apply(Limits(memory_bytes=32 << 20)) == ()
    assert group.read().memory_limit_bytes == 32 << 20
    process = start(group, "hog = bytearray(); [hog.extend(b'x' * (1 << 20)) for _ in range(256)]")
    process.communicate(timeout=WAIT_S)
    assert process.returncode == -9
    assert cleanup.oom_kills(group.to_json()) >= 1


@pytest.mark.needs("root")
def test_a_group_has_no_more_processes_than_its_limit(group: Cgroup, start: Callable[[Cgroup, str], subprocess.Popen[str]]) -> None:
    assert group.apply(Limits(pids=3)) == ()
    program = """
import os, time
made = 0
try:
    while made < 10:
        if os.fork() == 0:
            time.sleep(100)
        made += 1
except BlockingIOError:
    print(made)
"""
    process = start(group, program)
    assert process.stdout is not None
    assert process.stdout.readline() == "2\n"


@pytest.mark.needs("root")
def test_a_group_has_no_more_cpu_than_its_limit(group: Cgroup, start: Callable[[Cgroup, str], subprocess.Popen[str]]) -> None:
    assert group.apply(Limits(cpus=0.2, cpu_shares=512)) == ()
    start(group, SPIN)
    before, begin = cpu_ns(group), time.monotonic_ns()
    time.sleep(1.0)
    assert (cpu_ns(group) - before) / (time.monotonic_ns() - begin) < 0.35


@pytest.mark.needs("root")
def test_a_group_runs_on_the_cpus_that_were_chosen(hierarchy: Hierarchy, start: Callable[[Cgroup, str], subprocess.Popen[str]]) -> None:
    group = hierarchy.create(new_id(), cpuset=True)
    try:
        assert group.apply(Limits(cpuset_cpus="0")) == ()
        process = start(group, "import os; print(os.sched_getaffinity(0))")
        assert process.communicate(timeout=WAIT_S)[0] == "{0}\n"
    finally:
        assert group.remove(timeout_s=5) == ()


def test_a_frozen_group_does_nothing_and_goes_on_when_thawed(group: Cgroup, start: Callable[[Cgroup, str], subprocess.Popen[str]]) -> None:
    start(group, SPIN)
    group.freeze()
    assert group.frozen
    before = cpu_ns(group)
    time.sleep(0.1)
    assert cpu_ns(group) - before < 5_000_000
    group.thaw()
    wait_for(lambda: cpu_ns(group) > before + 10_000_000)
    assert not group.frozen


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_a_group_is_killed_with_all_its_children(
    group: Cgroup, start: Callable[[Cgroup, str], subprocess.Popen[str]], frozen: bool
) -> None:
    process = start(group, "import os, time; os.fork(); os.fork(); time.sleep(1000)")
    wait_for(lambda: len(group.processes()) == 4)
    if frozen:
        group.freeze()
    group.kill()
    assert process.wait(WAIT_S) == -9
    wait_for(lambda: group.processes() == ())


@pytest.mark.needs("root")
@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_a_group_of_version_1_alone_is_killed_too(
    hierarchy: Hierarchy, start: Callable[[Cgroup, str], subprocess.Popen[str]], frozen: bool
) -> None:
    if not hierarchy.v1:
        return
    group = Hierarchy("v1", hierarchy.v1).create(new_id())
    process = start(group, "import os, time; os.fork(); time.sleep(1000)")
    wait_for(lambda: len(group.processes()) == 2)
    if frozen:
        group.freeze()
        assert group.frozen
    group.kill()
    assert process.wait(WAIT_S) == -9
    assert group.remove(timeout_s=5) == ()


def test_a_group_with_a_process_is_told_to_be_in_use(group: Cgroup, start: Callable[[Cgroup, str], subprocess.Popen[str]]) -> None:
    process = start(group, SLEEP)
    assert set(group.remove(timeout_s=0.01)) == set(group.directories)
    process.kill()
    process.wait()
    assert group.remove(timeout_s=5) == ()


def test_whoever_has_only_the_json_removes_a_group_by_rmdir(hierarchy: Hierarchy) -> None:
    made = hierarchy.create(new_id())
    program = "import json, os, sys; value = json.loads(sys.argv[1]); [os.rmdir(p) for p in {value['unified'], *value['v1'].values()} if p]"
    subprocess.run([sys.executable, "-I", "-S", "-c", program, json.dumps(made.to_json())], check=True, timeout=WAIT_S)
    assert hierarchy.find(os.path.basename(made.directories[0])) is None


def test_of_many_who_make_one_group_at_once_one_gets_it(hierarchy: Hierarchy) -> None:
    group_id = new_id()
    begin = threading.Barrier(6)
    outcomes: list[object] = []

    def make() -> None:
        begin.wait()
        try:
            outcomes.append(hierarchy.create(group_id))
        except Conflict as error:
            outcomes.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (made,) = [outcome for outcome in outcomes if isinstance(outcome, Cgroup)]
    assert all(os.path.isdir(directory) for directory in made.directories)
    assert group_id in hierarchy.list()
    assert made.remove() == ()
