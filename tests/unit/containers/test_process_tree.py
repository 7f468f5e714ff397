"""The tree of processes, from a /proc that was made up: order, both pids, users, shares of the CPU, ports, and what may not be seen."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labcontainers.containers.usage.ports import Port
from labcontainers.containers.usage.process_reader import read_tree
from labcontainers.containers.usage.process_tree import ProcessTree

KINDS = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Machine:
    """A folder that looks like /proc, with the process that looks in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "stat").write_text("btime 1\n")
        self.add(os.getpid(), 1, "python", own=0)

    def add(
        self,
        pid: int,
        parent: int,
        command: str,
        *,
        inside: Sequence[int] = (),
        own: int = 100,
        other: Sequence[str] = (),
        state: str = "S",
        threads: int = 1,
        sockets: Sequence[int] | None = (),
        hidden: bool = False,
        tcp: str = "",
    ) -> None:
        """A process in the namespaces `own`, but for `other` kinds; without `sockets` its open files may not be looked at."""
        base = self.folder / str(pid)
        (base / "ns").mkdir(parents=True)
        (base / "net").mkdir()
        for number, kind in enumerate(KINDS):
            inode = 4026531800 + own + number + (50 if kind in other else 0)
            if hidden:
                (base / "ns" / kind).write_text("a file, which readlink refuses as a lack of rights would be")
            else:
                os.symlink(f"{kind}:[{inode}]", base / "ns" / kind)
        (base / "status").write_text(f"Name:\tx\nUid:\t100000\t100000\t0\t0\nNSpid:\t{pid}\t{' '.join(map(str, inside))}\n")
        (base / "uid_map").write_text("0 100000 65536\n")
        (base / "statm").write_text("100 7 3 0 0 0 0\n")
        (base / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
        (base / "net/tcp").write_text(HEAD + tcp)
        self.use(pid, parent, 0, state, threads)
        for number in range(threads):
            (base / "task" / str(pid + number)).mkdir(parents=True)
            (base / "task" / str(pid + number) / "stat").write_text(self._stat(pid, parent, 0, "R", threads))
        if sockets is None:
            (base / "fd").write_text("a file, which listdir refuses as a lack of rights would be")
            return
        (base / "fd").mkdir()
        for number, inode in enumerate(sockets):
            os.symlink(f"socket:[{inode}]", base / "fd" / str(number))

    def use(self, pid: int, parent: int, ticks: int, state: str = "S", threads: int = 1) -> None:
        """It has used so much of the CPU altogether."""
        (self.folder / str(pid) / "stat").write_text(self._stat(pid, parent, ticks, state, threads))

    def _stat(self, pid: int, parent: int, ticks: int, state: str, threads: int) -> str:
        return f"{pid} (a) b) {state} {parent} 0 0 0 0 0 0 0 0 0 {ticks} 0 0 0 20 0 {threads} 0 {pid} 0 0\n"

    def tree(self, init: int, previous: ProcessTree | None = None) -> ProcessTree:
        return read_tree("web", init, previous, str(self.folder))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_parents_stand_before_their_children_and_who_joined_stands_by_itself(machine: Machine) -> None:
    machine.add(900, 5, "lab-init", inside=[1])
    machine.add(950, 900, "server -v", inside=[7])
    machine.add(960, 900, "cron", inside=[9])
    machine.add(970, 950, "worker", inside=[12])
    machine.add(880, 3, "sh", inside=[20])
    tree = machine.tree(900)
    assert [(row.command, row.depth) for row in tree] == [("sh", 0), ("lab-init", 0), ("server -v", 1), ("worker", 2), ("cron", 1)]
    assert [row.pid_inside for row in tree] == [20, 1, 7, 12, 9]
    assert tree.process(970).parent == 950
    with pytest.raises(KeyError):
        tree.process(os.getpid())


def test_a_process_in_a_namespace_of_its_own_is_told_and_its_pid_is_the_containers(machine: Machine) -> None:
    machine.add(900, 5, "init", inside=[1])
    machine.add(950, 900, "unshare", inside=[7, 1], other=["mnt", "pid"])
    row = machine.tree(900).process(950)
    assert row.namespaces == ("pid", "mnt")
    assert row.pid_inside == 7
    assert machine.tree(900).process(900).namespaces == ()


def test_users_states_and_memory_are_told_in_words(machine: Machine) -> None:
    machine.add(900, 5, "init", inside=[1], state="Z")
    (row,) = machine.tree(900)
    assert (row.user, row.user_outside, row.user_text) == ("root", "100000", "root (100000)")
    assert row.state == "zombie"
    assert row.memory_bytes == 7 * PAGE


def test_the_share_of_the_cpu_is_since_the_look_before(machine: Machine) -> None:
    machine.add(900, 5, "init", inside=[1])
    first = machine.tree(900)
    assert first.process(900).cpu_percent == 0
    machine.use(900, 5, 1000 * TICKS)
    second = machine.tree(900, first)
    assert second.process(900).cpu_percent > 100
    assert machine.tree(900, second).process(900).cpu_percent == 0


def test_threads_are_listed_where_there_are_several(machine: Machine) -> None:
    machine.add(900, 5, "init", inside=[1])
    machine.add(950, 900, "server", inside=[2], threads=3)
    tree = machine.tree(900)
    assert tree.process(900).threads == ()
    assert [(thread.tid, thread.name, thread.state) for thread in tree.process(950).threads] == [
        (950, "a) b", "running"),
        (951, "a) b", "running"),
        (952, "a) b", "running"),
    ]


def test_ports_are_those_of_the_sockets_that_a_process_has_open(machine: Machine) -> None:
    listening = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n"
    talking = "   1: 0100007F:0050 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n"
    nobodys = "   2: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n"
    for pid, sockets in ((900, []), (950, [4711, 4712])):
        machine.add(pid, 5, "x", inside=[1], sockets=sockets, tcp=listening + talking + nobodys)
    tree = machine.tree(900)
    assert tree.process(950).ports == (Port("tcp", "0.0.0.0", 8080),)
    assert str(tree.process(950).ports[0]) == "8080/tcp"
    assert tree.process(900).ports == ()
    assert tree.notes == ("listened at by no process that was seen: 127.0.0.1:22/tcp",)


def test_what_this_user_may_not_look_at_is_said_and_not_guessed(machine: Machine) -> None:
    listening = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n"
    machine.add(900, 5, "init", inside=[1], tcp=listening)
    machine.add(950, 900, "secret", inside=[2], sockets=None, hidden=True, tcp=listening)
    tree = machine.tree(900)
    assert tree.process(950).ports is None
    assert tree.process(950).namespaces is None
    assert "the ports of 1 process are not known" in tree.notes[0]
    assert "the namespaces of 1 process are not known" in tree.notes[1]
    assert "  ?  " in repr(tree)


def test_a_program_that_calls_itself_by_control_sequences_does_no_harm(machine: Machine) -> None:
    machine.add(900, 5, "\x1b[2J<script>", inside=[1])
    tree = machine.tree(900)
    assert "\x1b" not in repr(tree)
    assert "·[2J<script>" in repr(tree)
    assert "<script>" not in tree._repr_html_()
    assert json.loads(json.dumps(tree.to_dict()))["processes"][0]["command"] == "·[2J<script>"


def test_of_a_container_that_has_ended_no_process_is_there(machine: Machine) -> None:
    tree = machine.tree(900)
    assert len(tree) == 0
    assert "0 processes" in repr(tree)
    assert tree.again() is tree


def test_forms_of_very_many_processes_stay_small(machine: Machine) -> None:
    machine.add(900, 5, "init", inside=[1])
    row = machine.tree(900)[0]
    tree = ProcessTree("web", tuple(replace(row, command="x" * 500) for _ in range(1000)))
    assert "… 900 more" in repr(tree)
    assert len(tree._repr_html_()) < 50_000
    assert len(tree.to_dict()["processes"]) == 1000
