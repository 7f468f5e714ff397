"""The processes and control groups of real containers, as the kernel tells them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers import Container, Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Conflict, NotFound
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

LISTENS = """import os, socket, threading, time
server = socket.create_server(("0.0.0.0", 8080))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 5353))
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
if os.fork() == 0:
    server.close(), udp.close()
    os.execvp("sleep", ["sleep", "900"])
time.sleep(1000)
"""


def server(engine: Engine, **options: object) -> Container:
    return engine.containers.run("lab/python", ["python", "-c", LISTENS], name="web", network="none", detach=True, **options)


def test_processes_are_told_with_both_pids_threads_and_ports(engine: Engine) -> None:
    web = server(engine)
    until(lambda: any(row.command == "sleep 900" for row in web.processes()), "the child runs")
    first, child = web.processes()
    assert (first.pid, first.pid_inside, first.depth) == (web.state.pid, 1, 0)
    assert (child.parent, child.depth, child.ports) == (first.pid, 1, ())
    assert [str(port) for port in first.ports or ()] == ["127.0.0.1:5353/udp", "8080/tcp"]
    assert (first.user, first.user_outside != "") == ("root", True)
    assert len(first.threads) == first.thread_count == 2
    assert first.namespaces == ()
    assert first.memory_bytes > 1 << 20
    assert os.path.exists(f"/proc/{child.pid}")


def test_another_look_tells_the_cpu_since_the_one_before(engine: Engine) -> None:
    busy = engine.containers.run("lab/base", ["sh", "-c", "while :; do :; done"], network="none", detach=True)
    tree = [busy.processes()]

    def works() -> bool:
        tree.append(tree[-1].again())
        return tree[-1][0].cpu_percent > 0

    until(works, "it uses the CPU")
    busy.kill()
    busy.wait()
    with pytest.raises(Conflict, match="is not running"):
        tree[-1].again()
    busy.remove()
    with pytest.raises(NotFound):
        tree[-1].again()


def test_a_process_that_unshares_is_told_by_what_is_its_own(engine: Engine) -> None:
    alone = engine.containers.run("lab/base", ["sleep", "1000"], network="none", privileged=True, detach=True)
    alone.exec(["unshare", "-m", "-u", "sleep", "901"], privileged=True, detach=True)
    until(lambda: any(row.command == "sleep 901" for row in alone.processes()), "it runs")
    row = next(row for row in alone.processes() if row.command == "sleep 901")
    assert set(row.namespaces or ()) == {"mnt", "uts"}


def test_control_groups_are_told_where_there_are_any_and_else_the_limits_of_processes(engine: Engine) -> None:
    web = server(engine, mem_limit="64m", pids_limit=40)
    group = web.cgroup().again()
    assert {gauge.name for gauge in group.gauges} >= {"CPUs", "memory", "processes and threads"}
    if group.version == "none":
        assert group.reason
        assert group.file("RLIMIT_NOFILE").source == "getrlimit(2)"
        assert group.file("RLIMIT_NOFILE").value.split(",")[0] in Path(f"/proc/{web.state.pid}/limits").read_text()
    else:
        assert group.file("pids.max").value == "40"
        memory = next(gauge for gauge in group.gauges if gauge.name == "memory")
        assert (memory.own, memory.limit) == (True, 64 << 20)
        assert all(os.path.isdir(directory) for directory in group.directories)
        web.update(pids_limit=30)
        assert group.again().file("pids.max").value == "30"
    web.stop(timeout_s=0)
    with pytest.raises(Conflict, match="is not running"):
        group.again()


def test_both_commands_give_the_same_values(engine: Engine) -> None:
    web = server(engine)
    for word in ("processes", "cgroup"):
        for words in ([word, "web"], ["container", word, "web"]):
            found = execute(lambda: engine, understand(words))
            assert (found.name, found.id) == ("web", web.id)
            assert "web" in repr(found)
    web.kill()
    web.wait()
    with pytest.raises(Conflict, match="start it first"):
        execute(lambda: engine, understand(["processes", "web"]))
    with pytest.raises(NotFound):
        execute(lambda: engine, understand(["cgroup", "nobody"]))


def test_an_explanation_tells_who_shares_namespaces_now(engine: Engine) -> None:
    web = server(engine)
    engine.containers.run("lab/base", ["sleep", "1000"], name="friend", network="container:web", detach=True)
    sharing = web.explain().sharing
    assert sharing is not None
    found = sharing()
    assert found.subject("web").namespaces["net"] == found.subject("friend").namespaces["net"]
