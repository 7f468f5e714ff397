"""One sample: from a fabricated control group, from a fabricated /proc, and how it looks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers.containers.usage.proc_usage import ProcessUsage, network_bytes, process_usage, start_time_ns
from labcontainers.containers.usage.stats import StatsSample, machine_memory_bytes, sample
from labcontainers.kernel.cgroups import Cgroup

NO_GROUP = Cgroup(None, {})
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  999       1    0    0    0     0          0         0      999       1    0    0    0     0       0          0
  eth0: 1000       1    0    0    0     0          0         0      200       1    0    0    0     0       0          0
  eth1:    5       1    0    0    0     0          0         0        7       1    0    0    0     0       0          0
"""


class Proc:
    """A /proc with the few files that are read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "self/ns").mkdir(parents=True)
        (root / "self/ns/net").symlink_to("net:[1]")
        (root / "stat").write_text("cpu 1 2\nintr 5\nbtime 1700000000\n")
        self.add(os.getpid(), 1, namespace=1, ticks=10_000)

    def add(
        self,
        pid: int,
        parent: int,
        *,
        namespace: int = 2,
        ticks: int = 0,
        name: str = "sh",
        threads: int = 1,
        resident: int = 0,
        shared: int = 0,
        block: tuple[int, int] | None = None,
        state: str = "S",
        start: int = 0,
    ) -> None:
        folder = self.root / str(pid)
        (folder / "ns").mkdir(parents=True)
        (folder / "ns/pid").symlink_to(f"pid:[{namespace}]")
        (folder / "ns/net").symlink_to(f"net:[{namespace}]")
        quarter = ticks // 4
        fields = [state, str(parent), *["0"] * 9, *[str(quarter)] * 4, "20", "0", str(threads), "0", str(start), "0", "0"]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
        (folder / "statm").write_text(f"9999 {resident} {shared} 1 0 1 0\n")
        if block is not None:
            (folder / "io").write_text(f"rchar: 1\nread_bytes: {block[0]}\nwrite_bytes: {block[1]}\ncancelled_write_bytes: 5\n")
        (folder / "net").mkdir()
        (folder / "net/dev").write_text(NET_DEV)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path / "proc")


def group_of(folder: Path, **texts: str) -> Cgroup:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)
    return Cgroup(str(folder), {})


def complete_group(tmp_path: Path, used_us: int = 4000) -> Cgroup:
    return group_of(
        tmp_path / "group",
        cpu__stat=f"usage_usec {used_us}\n",
        memory__current="3000000\n",
        memory__max="8000000\n",
        pids__current="2\n",
        io__stat="8:0 rbytes=10 wbytes=20\n",
    )


def test_a_complete_control_group_is_all_that_is_asked(tmp_path: Path, proc: Proc) -> None:
    proc.add(500, 1, ticks=40, block=(1, 1))
    taken = sample(complete_group(tmp_path), 500, proc=str(proc.root))
    assert (taken.cpu_ns, taken.memory_bytes, taken.memory_limit_bytes, taken.pids) == (4_000_000, 3_000_000, 8_000_000, 2)
    assert (taken.block_read_bytes, taken.block_write_bytes) == (10, 20)
    assert (taken.network_rx_bytes, taken.network_tx_bytes) == (1005, 207)


def test_storage_that_a_control_group_does_not_count_is_summed_over_the_processes_in_it_alone(tmp_path: Path, proc: Proc) -> None:
    proc.add(500, 1, ticks=40, block=(100, 200))
    proc.add(501, 500, block=(1, 2))
    group = complete_group(tmp_path)
    (tmp_path / "group/io.stat").unlink()
    (tmp_path / "group/cgroup.procs").write_text("500\n")
    taken = sample(group, 500, proc=str(proc.root))
    assert (taken.block_read_bytes, taken.block_write_bytes, taken.cpu_ns) == (100, 200, 4_000_000)


def test_what_a_control_group_does_not_tell_comes_from_proc(tmp_path: Path, proc: Proc) -> None:
    proc.add(500, 1, ticks=40, threads=3, resident=10, shared=4, block=(100, 200))
    taken = sample(group_of(tmp_path / "group", cpu__stat="usage_usec 7\n"), 500, proc=str(proc.root))
    assert (taken.cpu_ns, taken.pids, taken.memory_bytes) == (7000, 3, 10 * PAGE)
    assert (taken.block_read_bytes, taken.block_write_bytes, taken.memory_limit_bytes) == (100, 200, None)


MACHINE = "MemFree:  1 kB\nMemTotal:        4000 kB\nSwapTotal: 9 kB\n"


@pytest.mark.parametrize(("own", "wanted"), [("3000000\n", 3_000_000), ("8000000\n", 4_096_000), ("max\n", 4_096_000), (None, 4_096_000)])
def test_the_limit_is_the_machines_memory_where_the_containers_own_is_none_or_more(
    tmp_path: Path, proc: Proc, own: str | None, wanted: int
) -> None:
    proc.add(500, 1)
    (proc.root / "meminfo").write_text(MACHINE)
    group = NO_GROUP if own is None else group_of(tmp_path / "group", memory__current="1024000\n", memory__max=own)
    taken = sample(group, 500, proc=str(proc.root))
    assert taken.memory_limit_bytes == wanted
    if own == "max\n":
        assert (taken.columns()["MEM USAGE / LIMIT"], taken.columns()["MEM %"]) == ("1000KiB / 3.906MiB", "25.00%")


def test_the_machines_memory_is_read_once(proc: Proc) -> None:
    (proc.root / "meminfo").write_text(MACHINE)
    assert machine_memory_bytes(str(proc.root)) == 4_096_000
    (proc.root / "meminfo").unlink()
    assert machine_memory_bytes(str(proc.root)) == 4_096_000


def test_the_rate_is_since_the_sample_before(tmp_path: Path, proc: Proc) -> None:
    proc.add(500, 1)
    first = sample(complete_group(tmp_path), 500, proc=str(proc.root))
    before = StatsSample(first.time_ns - 10**9, 0.0, 0, 0)
    second = sample(complete_group(tmp_path, used_us=250_000), 500, before, proc=str(proc.root))
    assert 20 < second.cpu_percent <= 25
    fallen = sample(complete_group(tmp_path, used_us=1), 500, second, proc=str(proc.root))
    assert fallen.cpu_percent == 0.0


def test_the_first_rate_is_the_mean_since_the_start(tmp_path: Path, proc: Proc) -> None:
    proc.add(500, 1, start=100 * TICKS)
    assert start_time_ns(500, str(proc.root)) == 1_700_000_100 * 10**9
    taken = sample(complete_group(tmp_path, used_us=10**12), 500, proc=str(proc.root))
    seconds = taken.time_ns / 1e9 - 1_700_000_100
    assert taken.cpu_percent == pytest.approx(min(10**6 / seconds, os.cpu_count() or 1) * 100, rel=0.01)


def test_sums_are_over_the_pid_namespace_and_all_that_descends_from_it(proc: Proc) -> None:
    proc.add(500, 1, ticks=40, resident=10, shared=6, block=(1, 2))
    proc.add(501, 500, ticks=8, resident=3, shared=2, threads=4, name="a ) (b", block=(10, 20))
    proc.add(502, 77, ticks=4)  # joined from outside, by exec
    proc.add(503, 501, namespace=3, ticks=4)  # in a namespace inside
    proc.add(504, 500, state="Z", ticks=4)
    proc.add(600, 1, namespace=9, ticks=4000)
    assert process_usage(500, str(proc.root)) == ProcessUsage(
        cpu_ns=60 * 10**9 // TICKS, memory_bytes=(4 + 1 + 6) * PAGE, pids=1 + 4 + 1 + 1, block_read_bytes=11, block_write_bytes=22
    )


def test_a_container_in_our_own_pid_namespace_is_its_first_process_and_its_children(proc: Proc) -> None:
    proc.add(500, 1, namespace=1, ticks=40)
    proc.add(501, 500, namespace=1, ticks=4)
    assert process_usage(500, str(proc.root)).cpu_ns == 44 * 10**9 // TICKS


def test_a_container_that_has_ended_uses_nothing_and_nothing_is_raised(proc: Proc) -> None:
    taken = sample(NO_GROUP, 4711, proc=str(proc.root))
    assert (taken.cpu_ns, taken.cpu_percent, taken.memory_bytes, taken.pids) == (0, 0.0, 0, 0)
    assert (taken.block_read_bytes, taken.network_rx_bytes) == (None, None)


def test_the_machines_own_traffic_is_nobodys(proc: Proc) -> None:
    proc.add(500, 1, namespace=1)
    assert network_bytes(500, str(proc.root)) == (None, None)


def test_this_very_process_is_counted_from_the_true_proc() -> None:
    usage = process_usage(os.getpid())
    assert usage.memory_bytes > 1 << 20
    assert usage.pids >= 1
    started = start_time_ns(os.getpid())
    assert started is not None
    assert sample(NO_GROUP, os.getpid()).time_ns > started


FULL = StatsSample(1, 12.345, 1, 3 << 20, 512 << 20, 4, 1_500, 0, 1_200_000, 20)


def test_a_sample_looks_like_docker_stats() -> None:
    head, row = repr(FULL).splitlines()
    assert head.split("   ")[0] == "CPU %"
    assert [text.strip() for text in row.split("   ") if text.strip()] == [
        "12.35%",
        "3MiB / 512MiB",
        "0.59%",
        "1.2MB / 20B",
        "1.5kB / 0B",
        "4",
    ]


def test_what_is_not_known_is_a_dash() -> None:
    assert StatsSample(1, 0.0, 0, 0).columns() == {
        "CPU %": "0.00%",
        "MEM USAGE / LIMIT": "0B / --",
        "MEM %": "--",
        "NET I/O": "--",
        "BLOCK I/O": "--",
        "PIDS": "--",
    }


def test_one_that_does_not_run_uses_nothing_of_nothing() -> None:
    texts = StatsSample(1, 0.0, 0, 0, 0, 0, 0, 0, 0, 0).columns()
    assert list(texts.values()) == ["0.00%", "0B / 0B", "0.00%", "0B / 0B", "0B / 0B", "0"]


def test_a_notebook_shows_a_table() -> None:
    table = FULL._repr_html_()
    assert table.count("<th") == table.count("<td") == 6
    assert "3MiB / 512MiB" in table
