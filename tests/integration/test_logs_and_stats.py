"""Logs and statistics of containers that really run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

import pytest

from labcontainers import Container, Engine
from labcontainers.containers.logs import LogLine
from labcontainers.containers.usage import proc_usage
from labcontainers.containers.usage.stats import sample
from labcontainers.errors import Conflict, InvalidArgument, NotFound
from labcontainers.kernel import cgroups
from labcontainers.kernel.cgroups import Cgroup

pytestmark = pytest.mark.alike("ordinary users")

TIMEOUT_S = 30


def detached(engine: Engine, script: str, **options: object) -> Container:
    return engine.containers.run("lab/base", ["sh", "-c", script], detach=True, network="none", **options)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_binary_output_and_an_unfinished_line_are_kept_to_the_byte(engine: Engine) -> None:
    container = detached(engine, r"printf 'a\0\377\r\nb\rc\n'; printf 'no end'")
    container.wait()
    assert container.logs().data == b"a\0\xff\r\nb\rc\nno end"
    assert [line.data for line in container.logs()] == [b"a\0\xff\r\n", b"b\rc\n", b"no end"]
    assert [line.data for line in container.logs(tail=1)] == [b"no end"]


def test_lines_are_chosen_by_time_in_every_form(engine: Engine) -> None:
    container = detached(engine, "echo old; sleep 0.5; echo new")
    container.wait()
    old, new = list(container.logs())
    for since in (new.timestamp(), new.time_ns / 10**9, datetime.fromtimestamp(new.time_ns // 1000 / 10**6, UTC)):
        assert [line.text for line in container.logs(since=since)] == ["new"]
    assert [line.text for line in container.logs(until=old.timestamp())] == ["old"]
    assert [line.text for line in container.logs(since="1h")] == ["old", "new"]
    assert list(container.logs(since="0s")) == []
    with pytest.raises(InvalidArgument, match="not a time: 'yesterday'"):
        container.logs(since="yesterday")
    with pytest.raises(InvalidArgument, match="tail"):
        container.logs(tail="many")


def test_followers_go_on_over_a_restart_and_end_with_the_container(engine: Engine) -> None:
    container = detached(engine, "echo started; exec sleep 100")
    seen: list[LogLine] = []
    follower = threading.Thread(target=lambda: seen.extend(container.logs(follow=True)))
    follower.start()
    for times in (1, 2):
        wait_until(lambda times=times: container.logs().text.count("started") == times)
        container.restart(timeout_s=0)
    wait_until(lambda: container.logs().text.count("started") == 3)
    assert follower.is_alive()
    container.stop(timeout_s=0)
    follower.join(TIMEOUT_S)
    assert [line.text for line in seen] == ["started"] * 3


def test_followers_of_an_ended_container_end_at_once(engine: Engine) -> None:
    container = detached(engine, "echo one; printf two")
    container.wait()
    assert [line.data for line in container.logs(follow=True, tail=1)] == [b"one\n", b"two"]


def test_following_ends_when_the_container_is_removed(engine: Engine) -> None:
    container = detached(engine, "echo up; exec sleep 100")
    lines = iter(container.logs(follow=True))
    assert next(lines).text == "up"
    container.remove(force=True)
    assert list(lines) == []
    with pytest.raises(NotFound):
        container.logs()


def test_many_lines_at_once_are_followed_without_a_loss(engine: Engine) -> None:
    container = detached(engine, "seq 200000")
    assert [int(line.text) for line in container.logs(follow=True)] == list(range(1, 200_001))


# --- statistics


def test_a_sample_tells_what_a_busy_container_uses(engine: Engine) -> None:
    container = detached(engine, "dd if=/dev/zero of=/file bs=1M count=4 2>/dev/null; sync; echo done; sleep 100 & while :; do :; done")
    wait_until(lambda: "done" in container.logs().text)
    first = container.sample()
    time.sleep(0.5)
    second = container.sample(first)
    assert second.cpu_ns > first.cpu_ns
    assert second.cpu_percent > 5
    assert second.memory_bytes > 0
    assert second.pids == 2
    assert second.network_rx_bytes == second.network_tx_bytes == 0
    assert set(second.columns()) == {"CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"}


def test_without_control_groups_the_processes_tell_the_same(engine: Engine) -> None:
    container = detached(engine, "sleep 100 & while :; do :; done")
    time.sleep(0.5)
    pid = container.state.pid
    wait_until(lambda: container.sample().pids == 2)
    known, told = container.sample(), sample(Cgroup.from_json({"unified": None, "v1": {}}), pid)
    assert told.pids == known.pids == 2
    assert told.memory_bytes > 100_000
    assert told.cpu_ns > 0
    assert abs(told.cpu_ns - known.cpu_ns) < max(known.cpu_ns, told.cpu_ns) * 0.8
    assert proc_usage.process_usage(2**22).pids == 0


@pytest.mark.needs("cgroups")
def test_a_limit_is_told_beside_the_use(engine: Engine) -> None:
    container = detached(engine, "exec sleep 100", mem_limit="64m")
    assert container.sample().memory_limit_bytes == 64 << 20
    assert "/ 64MiB" in repr(container.sample())


@pytest.mark.needs("disk")
def test_what_is_written_to_the_disk_is_counted(engine: Engine) -> None:
    # by the shell itself, too: without control groups only processes that live are counted
    script = """
    line=$(printf %01000d 0)
    i=0; while [ $i -lt 1000 ]; do echo $line; i=$((i + 1)); done >/slowly
    dd if=/dev/zero of=/file bs=1M count=4 conv=fsync 2>/dev/null
    echo done; sleep 100"""
    container = detached(engine, f"{script} & wait")
    wait_until(lambda: "done" in container.logs().text)
    told = container.sample()
    at_least = 4 << 20 if {"io", "blkio"} & set(cgroups.detect().controllers) else 1_000_000
    assert told.block_write_bytes is not None
    assert at_least <= told.block_write_bytes < 16 << 20
    assert told.columns()["BLOCK I/O"].endswith("MB")


@pytest.mark.needs("root", "cgroups v1")
def test_version_1_counts_the_disks_of_a_container_that_uses_none(engine: Engine) -> None:
    group = cgroups.detect().find(detached(engine, "exec sleep 100").id)
    assert group is not None
    used = group.read()
    assert None not in (used.block_read_bytes, used.block_write_bytes)


def test_the_network_counts_what_comes_and_goes(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "100"], cap_add=["NET_RAW"], detach=True)
    before = container.sample()
    gateway = container.inspect()["NetworkSettings"]["Gateway"]
    told = container.exec(["ping", "-c", "3", "-s", "1000", "-i", "0.1", "-W", "10", gateway])
    assert "3 packets received" in told.stdout, told
    after = container.sample(before)
    for then, now in (
        (before.network_rx_bytes, after.network_rx_bytes),
        (before.network_tx_bytes, after.network_tx_bytes),
    ):
        assert then is not None
        assert now is not None
        assert now >= then + 3000


def test_a_stream_of_samples_ends_with_the_container(engine: Engine) -> None:
    container = detached(engine, "exec sleep 100")
    samples = container.stats(stream=True)
    assert len(list(islice(samples, 2))) == 2
    container.stop(timeout_s=0)
    assert list(samples) == []
    with pytest.raises(Conflict, match="not running"):
        container.stats()
