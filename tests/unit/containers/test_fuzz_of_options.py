"""What outsiders write and the engine reads: any text, bytes or JSON is taken or refused by an error of ours, in little time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from labcontainers.containers.isolation.confinement import read_confinement
from labcontainers.containers.isolation.process_facts import read_process
from labcontainers.containers.log_records import ForwardReader, records_from_end
from labcontainers.containers.logs import LogQuery, LogReader
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.security import load_profile
from labcontainers.errors import InvalidArgument, LabError, Unsupported
from labcontainers.kernel import mount_table, seccomp
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.manifest import Index, Manifest
from labcontainers.runtime import account
from labcontainers.runtime.stdio import LOG_HEADER, LOG_TRAILER

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=12
)
# Nothing that comes from outside may take more than this beside its own size.
MEMORY_BYTES = 16 << 20


def objects(keys: list[str]) -> st.SearchStrategy[Any]:
    """An object with some of these keys, whose values are anything."""
    return st.dictionaries(st.sampled_from(keys), JSON, max_size=len(keys)) | JSON


# --- users


PASSWD = b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"
GROUP = b"root:x:0:\nann:x:1000:\nvideo:x:44:ann\n"
USERS = st.one_of(
    st.text(max_size=20), st.from_regex(r"[0-9a-zA-Z+\-x :]{0,12}(:[0-9a-z +\-]{0,12})?", fullmatch=True), st.integers().map(str)
)


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "etc").mkdir()
        yield Path(folder)


def accounts(root: Path, passwd: bytes, group: bytes) -> None:
    (root / "etc" / "passwd").write_bytes(passwd)
    (root / "etc" / "group").write_bytes(group)


@settings(max_examples=400, deadline=None)
@given(USERS)
@example("0x0")
@example("1000:")
@example(" 1")
@example("1_000")
@example("٣")
@example("²")
@example("4294967296")
def test_a_user_is_resolved_as_plain_rules_say_or_refused(root: Path, text: str) -> None:
    accounts(root, PASSWD, GROUP)
    try:
        user = ContainerOptions.from_keywords(user=text).user
        uid, gid, groups, home = account.resolve(user, str(root))
    except (LabError, account.UnknownAccount):
        return
    first, _, second = user.partition(":")
    known = {"root": 0, "ann": 1000, "": 0}
    assert uid == known.get(first, int(first) if first.isascii() and first.isdigit() else -1)
    assert not second or gid == {"root": 0, "ann": 1000, "video": 44}.get(
        second, int(second) if second.isascii() and second.isdigit() else -1
    )
    assert all(0 <= number < 2**31 for number in (uid, gid, *groups))
    assert home


# --- documents

CONFIG_KEYS = ["architecture", "os", "config", "rootfs", "history", "created", "author"]
PROCESS_KEYS = [
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "Shell", "Healthcheck", "OnBuild",
]  # fmt: skip
DIGEST = "sha256:" + "0" * 64
CONFIGS = st.fixed_dictionaries(
    {"architecture": st.just("amd64") | JSON, "os": st.just("linux") | JSON,
     "rootfs": st.just({"type": "layers", "diff_ids": [DIGEST]}) | objects(["type", "diff_ids"])},
    optional={"config": objects(PROCESS_KEYS), "history": JSON | st.lists(objects(["created", "created_by", "comment", "empty_layer"])),
              "created": JSON, "author": JSON},
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CONFIGS | objects(CONFIG_KEYS))
def test_a_config_has_texts_where_they_belong_or_is_refused(value: Any) -> None:
    try:
        found = ImageConfig.from_bytes(json.dumps(value).encode("utf-8", "surrogatepass"))
    except InvalidArgument:
        return
    process = found.config
    texts = [found.architecture, found.os, found.created, found.author, process.user, process.working_dir, process.stop_signal]
    lists = (process.env, process.cmd or (), process.entrypoint or (), process.volumes, process.exposed_ports, process.shell)
    texts += [word for words in lists for word in words]
    texts += [*process.labels, *process.labels.values()]
    texts += [text for entry in found.history for text in (entry.created, entry.created_by, entry.comment)]
    assert all(isinstance(text, str) for text in texts)
    assert ImageConfig.from_bytes(found.to_bytes()) == found


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")))
@example(b'{"a":' * 100_000)
@example(b"[" * 100_000)
@example(b"9" * 5000)
@example(b'"\\ud800"')
@example(b"\xff\xfe")
def test_any_bytes_are_a_document_or_refused(data: bytes) -> None:
    for read in (ImageConfig.from_bytes, Manifest.from_bytes, Index.from_bytes):
        with pytest.raises(InvalidArgument) as caught:
            read(data)
        assert "\n" not in caught.value.message


# --- profiles of seccomp

NAMES = st.sampled_from(["read", "clone", "no_such_call", "", "\ud800", "socket"]) | JSON
ACTIONS = st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_LOG", "ALLOW", "SCMP_ACT_NOTIFY"]) | JSON
TESTS = st.fixed_dictionaries({}, optional={
    "index": st.integers(0, 5) | JSON, "value": st.integers(0, 1 << 65) | JSON, "valueTwo": JSON,
    "op": st.sampled_from(["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"]) | JSON,
})  # fmt: skip
CONDITIONS = objects(["caps", "arches", "minKernel"])
RULES = st.fixed_dictionaries({}, optional={
    "names": st.lists(NAMES, max_size=3) | JSON, "name": NAMES, "action": ACTIONS, "errnoRet": JSON,
    "args": st.lists(TESTS, max_size=3) | JSON, "includes": CONDITIONS, "excludes": CONDITIONS,
})  # fmt: skip
PROFILES = st.fixed_dictionaries({}, optional={
    "defaultAction": ACTIONS, "defaultErrnoRet": JSON, "syscalls": st.lists(RULES, max_size=3) | JSON, "architectures": JSON,
    "archMap": JSON | st.lists(objects(["architecture", "subArchitectures"]), max_size=2), "flags": JSON,
})  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROFILES | JSON)
@example({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["\ud800"], "action": "SCMP_ACT_ALLOW"}]})
@example({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"] * 100_000, "action": "SCMP_ACT_ALLOW"}]})
def test_a_profile_is_compiled_or_refused(value: Any) -> None:
    try:
        profile = seccomp.parse_profile(load_profile(json.dumps(value), "p.json"))
        program = seccomp.compile_profile(profile, frozenset(), "x86_64", (6, 1))
        key = seccomp.cache_key(profile, frozenset(), "x86_64", (6, 1))
    except (InvalidArgument, Unsupported):
        return
    assert len(program) % 8 == 0
    assert 0 < len(program) // 8 <= 4096, "BPF_MAXINSNS"
    assert "/" not in key


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
@example("{" * 100_000)
@example('{"a":' * 50_000)
def test_a_text_that_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises((InvalidArgument, Unsupported)):
        seccomp.parse_profile(load_profile(text, "p.json"))


# --- logs


def record(stream: int, payload: bytes) -> bytes:
    return LOG_HEADER.pack(stream, len(payload), 1) + payload + LOG_TRAILER.pack(len(payload))


GOOD = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=20)), max_size=6).map(
    lambda all_: b"".join(record(*one) for one in all_)
)


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    """The records of a log with some bytes replaced, or any bytes."""
    data = bytearray(draw(GOOD | st.binary(max_size=80)))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(logs())
@example(b"\xff" * 100)
@example(record(1, b"x")[:-1])
@example(b"\x01\xff\xff\xff\xff" + bytes(60))
def test_a_log_of_any_bytes_is_read_as_far_as_it_makes_sense(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(data)
        fd = os.open(path, os.O_RDONLY)
        tracemalloc.start()
        try:
            forward = list(ForwardReader(fd).read())
            assert sum(len(one.payload) for one in forward) <= len(data)
            with contextlib.suppress(ValueError):  # a log that is damaged is read from its beginning
                assert sum(len(one.payload) for one in records_from_end(fd, len(data))) <= len(data)
            for query in (None, LogQuery(tail=2)):
                with LogReader(path, query) as reader:
                    assert sum(len(line.text) for line in reader.read()) <= len(data)
            assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
        finally:
            tracemalloc.stop()
            os.close(fd)


# --- what the kernel tells of processes whose names and mounts others chose

STATUS = "Name:\t{name}\nUid:\t1\t2\t3\t4\nGid:\t1\t2\t3\t4\nGroups:\t5 6\nCapEff:\t0000000000000001\nSeccomp:\t2\nNoNewPrivs:\t1\n"
# The kernel escapes line feeds and backslashes in names, and blanks besides in paths; everything else comes as it is.
ODD = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\n\\/"), max_size=15)


def escaped(text: str) -> str:
    return "".join(f"\\{ord(char):03o}" if char in " \t\n\\#" else char for char in text)


@settings(max_examples=300, deadline=None)
@given(ODD, ODD)
@example("x\x0cUid:\t0", "a\x0bb")
@example("\x85\u2028\r", "\r")
def test_a_name_or_a_mount_of_any_text_says_nothing_else(name: str, point: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        process = Path(folder) / "7"
        (process / "root" / "dev").mkdir(parents=True)
        (process / "ns").mkdir()
        (Path(folder) / "self").mkdir()
        (process / "status").write_text(STATUS.format(name=name), newline="")
        line = f"1 2 0:3 / /{escaped(point)} rw - tmpfs none rw"
        (process / "mountinfo").write_text(f"{line}\n2 1 0:4 / /proc rw - proc proc rw\n", newline="")
        (process / "uid_map").write_text("0 1000 1\n")
        (process / "cgroup").write_text(f"0::/{escaped(point)}\n", newline="")
        facts = read_process(7, folder)
        assert (facts.uid, facts.gid, facts.seccomp, facts.no_new_privileges) == (2, 2, "filter", True)
        assert facts.mounts is not None
        assert [mount.target for mount in facts.mounts] == [f"/{point}", "/proc"]
        assert read_confinement(7, folder).sets["effective"] == {"CHOWN"}
        assert mount_table.parsed(line).point == f"/{point}"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_a_file_of_proc_that_makes_no_sense_is_no_process_or_says_little(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        process = Path(folder) / "7"
        (process / "ns").mkdir(parents=True)
        (process / "status").write_text(STATUS.format(name="x"))
        for name in ("mountinfo", "uid_map", "gid_map", "cgroup"):
            (process / name).write_text("")
        (process / "net").mkdir()
        for name in ("dev", "fib_trie", "if_inet6"):
            (process / "net" / name).write_bytes(data)
        with contextlib.suppress(ValueError):  # addresses that are none
            read_process(7, folder)
