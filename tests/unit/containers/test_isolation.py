"""Processes of a /proc that was made up: what is read of them, how two compare, and which share which namespaces."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from labcontainers.containers.isolation.comparison import Comparison, Side
from labcontainers.containers.isolation.look import Look
from labcontainers.containers.isolation.namespace_map import namespace_map
from labcontainers.containers.isolation.process_facts import ProcessFacts, id_map_text, read_process

KINDS = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
HOST_MOUNTS = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:5 / /dev rw - devtmpfs dev rw\n22 20 0:9 / /sys rw shared:7 - sysfs sysfs rw\n"
OWN_MOUNTS = (
    "40 30 0:50 / / rw - overlay overlay rw\n"
    "41 40 0:51 / /proc rw - proc proc rw\n"
    "42 40 0:5 /null /dev/null rw - devtmpfs dev rw\n"
    "43 40 8:1 /home/me/my\\040data /data ro master:3 - ext4 /dev/sda1 rw\n"
)
LOOPBACK = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
Local:
  +-- 127.0.0.0/8 2 0 2
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 127.255.255.255
        /32 link BROADCAST
"""


class Proc:
    """A folder that looks like /proc."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        pid: int,
        name: str = "sleep",
        *,
        own: Mapping[str, int] | None = None,
        hidden: bool = False,
        mounts: str = HOST_MOUNTS,
        capabilities: int = 0,
        seccomp: int = 0,
        uid_map: str = "0 0 4294967295",
        trie: str = LOOPBACK,
    ) -> None:
        """A process with the host's namespaces, but for its `own`; of a `hidden` one the namespaces cannot be read."""
        base = self.folder / str(pid)
        (base / "ns").mkdir(parents=True)
        (base / "net").mkdir()
        (base / "attr").mkdir()
        for number, kind in enumerate(KINDS):
            inode = (own or {}).get(kind, 4026531800 + number)
            if hidden:
                (base / "ns" / kind).write_text("a file, which readlink refuses as a lack of rights would be")
            else:
                os.symlink(f"{kind}:[{inode}]", base / "ns" / kind)
        (base / "status").write_text(
            f"Name:\t{name}\nUid:\t1000\t1001\t1000\t1000\nGid:\t100\t101\t100\t100\nGroups:\t4 5 \n"
            f"CapEff:\t{capabilities:016x}\nCapBnd:\t{capabilities:016x}\nNoNewPrivs:\t{int(bool(seccomp))}\n"
            f"Seccomp:\t{seccomp}\nSeccomp_filters:\t{int(bool(seccomp))}\n"
        )
        (base / "comm").write_text(f"{name}\n")
        (base / "uid_map").write_text(f"         {uid_map}\n")
        (base / "gid_map").write_text("0 1000 1\n1 100000 65535\n")
        (base / "cgroup").write_text("0::/user.slice\n")
        (base / "mountinfo").write_text(mounts)
        (base / "net/dev").write_text("Inter-| head\n face | head\n    lo: 1 2\n  eth0: 1 2\n")
        (base / "net/fib_trie").write_text(trie)
        (base / "net/if_inet6").write_text("00000000000000000000000000000001 01 80 10 80       lo\n")
        (base / "attr/current").write_text("docker-default (enforce)\0")

    def read(self, pid: int) -> ProcessFacts:
        return read_process(pid, str(self.folder))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_a_process_is_read(proc: Proc) -> None:
    proc.add(7, capabilities=0b100001, seccomp=2, mounts=OWN_MOUNTS)
    facts = proc.read(7)
    assert facts.namespaces["pid"] == 4026531801
    assert (facts.uid, facts.gid, facts.groups) == (1001, 101, (4, 5))
    assert facts.gid_map == ((0, 1000, 1), (1, 100000, 65535))
    assert facts.effective == {"CHOWN", "KILL"}
    assert (facts.seccomp, facts.seccomp_filters, facts.no_new_privileges) == ("filter", 1, True)
    assert facts.security_label == "docker-default (enforce)"
    assert facts.cgroup == "/user.slice"
    data = facts.mounts[-1]
    assert (data.target, data.root, data.read_only, data.propagation) == ("/data", "/home/me/my data", True, "follows")
    assert facts.interfaces == ("eth0", "lo")
    assert facts.addresses == ("127.0.0.1", "::1/128")
    with pytest.raises(ProcessLookupError):
        proc.read(8)


def test_maps_of_ids_read_as_people_say_them() -> None:
    assert id_map_text(((0, 0, 4294967295),)) == "all ids as they are"
    assert id_map_text(((0, 1000, 1), (1, 100000, 65535))) == "0 is 1000, 1-65535 are 100000-165534"
    assert id_map_text(None) == "not readable"
    assert id_map_text(()) == "none"


def compared(proc: Proc) -> Comparison:
    proc.add(1, capabilities=0b11)
    proc.add(2, own={"pid": 5, "mnt": 6}, capabilities=0b110, seccomp=2, mounts=OWN_MOUNTS, uid_map="0 1000 1")
    return Comparison(Side("host", proc.read(1)), Side("web", proc.read(2), {"memory": "64MiB"}))


def test_two_are_compared_row_by_row(proc: Proc) -> None:
    found = compared(proc)
    same = {row.name: row.same for row in found if row.topic == "namespaces"}
    assert same == {"user": True, "pid": False, "mount": False, "network": True, "ipc": True, "uts (host name)": True, "cgroup": True}
    capabilities = found.row("capabilities", "in effect")
    assert (capabilities.values, capabilities.note) == (
        ("2: CHOWN DAC_OVERRIDE", "2: DAC_OVERRIDE DAC_READ_SEARCH"),
        "+DAC_READ_SEARCH -CHOWN",
    )
    assert found.row("ids", "user id map").values == ("all ids as they are", "0 is 1000")
    assert found.row("confinement", "seccomp").values == ("off", "filter")
    assert found.row("control group", "memory").values == ("no limit", "64MiB")
    assert found.row("network", "addresses").same is True
    assert {row.same for row in found.differences} == {False}
    with pytest.raises(KeyError):
        found.row("network", "nothing")


def test_mounts_are_own_or_shared(proc: Proc) -> None:
    found = compared(proc)
    assert found.row("mounts", "/").values == ("ext4, writable, own", "overlay, writable, own")
    assert found.row("mounts", "/dev/null").values == ("–", "devtmpfs, writable, shared")
    assert found.row("mounts", "/data").values == ("–", "ext4, read-only, shared, propagation follows")
    assert found.row("mounts", "/sys").values == ("sysfs, writable, own, propagation shared", "–")
    assert found.row("mounts", "in all").values == ("3 own, 0 shared, 0 read-only", "2 own, 2 shared, 1 read-only")


def test_what_may_not_be_seen_is_neither_equal_nor_different(proc: Proc) -> None:
    proc.add(1)
    proc.add(2, hidden=True)
    found = Comparison(Side("host", proc.read(1)), Side("other", proc.read(2)))
    pid = found.row("namespaces", "pid")
    assert (pid.same, pid.values[1]) == (None, "not readable by this user")
    assert "?" in repr(found)


def test_a_comparison_is_text_html_and_json(proc: Proc) -> None:
    found = compared(proc)
    assert "  ≠  pid" in repr(found)
    assert "  =  user" in repr(found)
    assert "host and web share user, network, ipc" in repr(found)
    markup = found._repr_html_()
    assert "<script" not in markup
    assert "≠" in markup
    document = json.loads(found.to_json())
    assert document["names"] == ["host", "web"]
    assert document["rows"][0] == {"topic": "namespaces", "name": "user", "values": ["4026531800"] * 2, "same": True, "note": "the same"}
    assert document["processes"][1]["effective"] == ["DAC_OVERRIDE", "DAC_READ_SEARCH"]


def test_processes_are_grouped_by_the_namespaces_that_they_share(proc: Proc) -> None:
    proc.add(1, "systemd")
    proc.add(2, "python")
    proc.add(10, "sleep", own={"pid": 5, "net": 6})
    proc.add(11, "sleep", own={"pid": 5, "net": 6})
    proc.add(20, "httpd", own={"pid": 7, "net": 6})
    proc.add(30, "strange", own={"mnt": 9})
    proc.add(40, "of root", hidden=True)
    found = namespace_map(2, {10: "one", 20: "two"}, str(proc.folder))
    assert [(subject.name, subject.kind, subject.pids) for subject in found] == [
        ("host", "host", (1, 2)),
        ("one", "container", (10, 11)),
        ("two", "container", (20,)),
        ("strange", "process", (30,)),
    ]
    assert found.groups("net") == {4026531803: ("host", "strange"), 6: ("one", "two")}
    assert found.unseen == 1
    shades = found.shades()
    assert (shades["pid", 5], shades["pid", 7], shades["net", 6]) == (1, 2, 1)
    assert ("net", 4026531803) not in shades
    assert found.subject("two").namespaces["pid"] == 7
    with pytest.raises(KeyError):
        found.subject("three")


def test_a_container_with_the_hosts_namespaces_is_told_beside_it(proc: Proc) -> None:
    proc.add(2, "python")
    proc.add(10, "sleep")
    found = namespace_map(2, {10: "one"}, str(proc.folder))
    assert [(subject.name, subject.pids) for subject in found] == [("host", (2, 10)), ("one", (10,))]


def test_a_map_is_text_html_and_json(proc: Proc) -> None:
    proc.add(2, "python")
    proc.add(10, "<b>sleep", own={"pid": 5})
    proc.add(11, "<b>x", own={"pid": 6})
    found = namespace_map(2, {10: "one"}, str(proc.folder))
    assert "5 a" in repr(found)
    assert "6 b" in repr(found)
    markup = found._repr_html_()
    assert "&lt;b&gt;x" in markup
    assert "<b>x" not in markup
    assert "shared with one, &lt;b&gt;x" in markup
    assert "rgba(" in markup
    document = json.loads(found.to_json())
    assert document["kinds"] == list(KINDS)
    assert document["subjects"][1]["namespaces"]["pid"] == 5


def test_a_look_marks_what_is_the_processes_own(proc: Proc) -> None:
    proc.add(1)
    proc.add(2, own={"pid": 5}, mounts=OWN_MOUNTS, seccomp=2)
    look = Look("layers", proc.read(2), proc.read(1))
    groups = dict(look.groups())
    assert [row for row in groups["Namespaces"] if row[2]] == [("pid", "5", True)]
    assert {name: own for name, _, own in groups["Mounts"]} == {"/": True, "/proc": True, "/dev/null": False, "/data": False}
    assert "* pid" in repr(look)
    assert "before the stage layers" in look._repr_html_()
    assert json.loads(json.dumps(look.to_dict()))["stage"] == "layers"
