"""Every option's parser meets any text and any value: it takes it and gives it back unchanged, or refuses it in one line by name."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labcontainers.commands.command import Invocation
from labcontainers.commands.create_flags import keywords_of
from labcontainers.commands.parser import Flag
from labcontainers.commands.table import COMMANDS
from labcontainers.containers.inspect.resources import process, resources
from labcontainers.containers.options import kernel as kernel_options
from labcontainers.containers.options.container import _CONVERTERS, ContainerOptions
from labcontainers.containers.options.flags import FLAGS, flag_of
from labcontainers.containers.planning.limits import changed_limits, limits_of
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.kernel.cgroups import Limits
from labcontainers.kernel.cpu_lists import online_cpus, online_memory_nodes, parse_list

make = ContainerOptions.from_keywords
# Files and folders of the machine are no business of these: each has tests of its own.
ASK_THE_MACHINE = {"cidfile", "env_file", "devices", "device_cgroup_rules"}
# Where one keyword stands for several flags.
SEVERAL_FLAGS = {"log_config": ("--log-driver:", "--log-opt:"), "healthcheck": ("--health-",), "mounts": ("--mount",)}
# Flags that say something of the command alone, and values that others take.
NO_KEYWORD = {"--disable-content-trust", "--pull", "--quiet", "--env-file", "--label-file"}
USES = {"--mount": "type=tmpfs,target=/x", "--health-interval": "1s", "--health-timeout": "1s", "--health-start-period": "1s"}
USES |= {"--health-start-interval": "1s", "--health-retries": "1"}
KEYS = sorted(set(_CONVERTERS) - ASK_THE_MACHINE)
SYNTAX = "0123456789-:=,./ \tabkmgKMGxX\0\né²"
TEXTS = st.text(max_size=12) | st.text(alphabet=SYNTAX, max_size=16)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | TEXTS | st.binary(max_size=4)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5)


def attempt(keywords: dict[str, Any]) -> ContainerOptions | InvalidArgument | Unsupported:
    try:
        return make(**keywords)
    except (InvalidArgument, Unsupported) as error:
        return error


def invocation(words: list[str]) -> Invocation:
    """`create` with these flags, as the table of commands gets it."""
    arguments = COMMANDS["create"].parse([*words, "lab/base"])
    return Invocation(lambda: pytest.fail("no engine is needed"), arguments, lambda stream, data: None, lambda event: None, Path("/"))


def meets(keywords: dict[str, Any]) -> ContainerOptions | None:
    """The options, or None when they were refused as they should be, by a flag and with a hint; any other exception is a fault."""
    found = attempt(keywords)
    if not isinstance(found, ContainerOptions):
        assert "\n" not in found.message
        assert found.hint
        assert found.message.startswith(tuple(name for key in keywords for name in SEVERAL_FLAGS.get(key, (f"{flag_of(key)}:",)))) or (
            found.message.startswith("conflicting options: ")
        )
        return None
    assert ContainerOptions.from_json(json.loads(json.dumps(found.to_json()))) == found
    json.dumps({**resources(found), **process(found)})
    return found


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(KEYS), TEXTS)
@example("mem_limit", "9" * 25 + "p")
@example("cpus", "nan")
@example("cpus", "inf")
@example("nano_cpus", "9" * 400)
@example("cpuset_cpus", "0-99999")
@example("cpuset_cpus", "²")
@example("ulimits", "nofile=²")
@example("pids_limit", "١")
@example("platform", "linux/")
@example("log_config", "local")
def test_any_text_is_taken_or_refused(key: str, text: str) -> None:
    meets({key: text})


@settings(max_examples=1500, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
@example({"ulimits": [{"Name": "nofile", "Soft": None, "Hard": None}]})
@example({"device_read_bps": [{"Path": "\0", "Rate": 1}]})
@example({"device_read_bps": [{"Path": "/dev/null", "Rate": []}]})
@example({"log_config": {"type": "local", "config": {"max-size": "1" * 40}}})
@example({"log_config": {"type": [], "config": 5}})
def test_any_value_is_taken_or_refused(keywords: dict[str, Any]) -> None:
    meets(keywords)


CPUS, NODES = max(parse_list(online_cpus())), min(parse_list(online_memory_nodes()))
SIZES = st.integers(6 << 20, 1 << 40)
NAMES = st.sampled_from(sorted(kernel_options.ULIMITS))
ULIMITS = st.builds(lambda name, soft, more: f"{name}={soft}:{soft + more}", NAMES, st.integers(0, 1 << 30), st.integers(0, 1 << 30))
VALID: dict[str, st.SearchStrategy[Any]] = {
    "mem_limit": SIZES | st.sampled_from(["64m", "1g", "6291456b", "100M"]),
    "mem_swappiness": st.integers(-1, 100),
    "oom_kill_disable": st.booleans(),
    "cpus": st.floats(0.01, 1),
    "cpu_shares": st.integers(2, 262144),
    "cpuset_cpus": st.integers(0, CPUS).map(str),
    "cpuset_mems": st.just(str(NODES)),
    "pids_limit": st.integers(-1, 4194304),
    "blkio_weight": st.integers(10, 1000) | st.just(0),
    "ulimits": st.lists(ULIMITS, max_size=4),
    "oom_score_adj": st.integers(-1000, 1000),
    "shm_size": st.integers(1, 1 << 40) | st.just("32m"),
    "sysctls": st.dictionaries(st.sampled_from(["net.core.somaxconn", "kernel.shmmax", "fs.mqueue.msg_max"]), st.integers(), max_size=3),
    "group_add": st.lists(st.integers(0, 2**31 - 1) | st.sampled_from(["audio", "video"]), max_size=3),
    "init": st.booleans(),
    "stop_timeout": st.integers(-1, 10**6),
    "annotations": st.dictionaries(st.text("abc.", min_size=1), st.text("xyz"), max_size=3),
    "log_config": st.sampled_from([{"type": "none"}, {"Type": "local", "Config": {"max-size": "10m", "max-file": "3"}}, {"type": "local"}]),
    "domainname": st.sampled_from(["lab", "lab.example"]),
}


@settings(max_examples=400, deadline=None)
@given(st.fixed_dictionaries({}, optional=VALID))
def test_valid_options_come_back_from_json_and_are_what_inspect_tells(keywords: dict[str, Any]) -> None:
    options = meets(keywords)
    assert options is not None
    host = {**resources(options), **process(options)}
    assert host["OomScoreAdj"] == keywords.get("oom_score_adj", 0)
    assert host["CpuShares"] == keywords.get("cpu_shares", 0)
    assert host["CpusetCpus"] == keywords.get("cpuset_cpus", "")
    assert host["GroupAdd"] == (list(dict.fromkeys(map(str, keywords.get("group_add", ())))) or None)
    assert bool(host.get("Init")) == keywords.get("init", False)
    assert {limit["Name"] for limit in host["Ulimits"]} == {text.partition("=")[0] for text in keywords.get("ulimits", ())}
    assert abs(host["NanoCpus"] - keywords.get("cpus", 0) * 1e9) <= 1
    assert limits_of(options).pids == (keywords["pids_limit"] if keywords.get("pids_limit", 0) > 0 else None)


REFUSED: list[tuple[dict[str, Any], type[Exception], str, str]] = [
    ({"mem_limit": "1m"}, InvalidArgument, "--memory: '1m' is too small", "6m"),
    ({"mem_limit": "64m", "memswap_limit": "32m"}, InvalidArgument, "--memory-swap 33554432 is smaller than --memory 67108864", "larger"),
    ({"memswap_limit": "32m"}, InvalidArgument, "--memory-swap 33554432 without --memory", "--memory"),
    (
        {"mem_limit": "64m", "mem_reservation": "65m"},
        InvalidArgument,
        "--memory-reservation 68157440 is larger than --memory 67108864",
        "smaller",
    ),
    ({"mem_swappiness": 101}, InvalidArgument, "--memory-swappiness: invalid value 101", "from 0 to 100"),
    ({"cpus": 1, "cpu_period": 5000}, InvalidArgument, "--cpus and --cpu-period", "one of them"),
    ({"cpus": 1, "cpu_quota": 5000}, InvalidArgument, "--cpus and --cpu-quota", "one of them"),
    ({"cpu_period": 999}, InvalidArgument, "--cpu-period: invalid value 999", "from 1000 to 1000000"),
    ({"cpu_quota": 5}, InvalidArgument, "--cpu-quota: invalid value 5", "1000"),
    ({"cpu_shares": "many"}, InvalidArgument, "--cpu-shares: invalid value 'many'", "262144"),
    ({"cpuset_cpus": "0-4095"}, InvalidArgument, "'0-4095'", "this machine has"),
    ({"cpuset_cpus": "3-1"}, InvalidArgument, "--cpuset-cpus: not a list of CPUs: '3-1'", "0-2,4"),
    ({"cpuset_mems": "63"}, InvalidArgument, "memory nodes are not available: '63'", "this machine has"),
    ({"blkio_weight": 9}, InvalidArgument, "--blkio-weight: invalid value 9", "from 10 to 1000"),
    ({"blkio_weight_device": ["/dev/null:1001"]}, InvalidArgument, "'1001'", "1000"),
    ({"device_read_bps": ["/dev/null:1mb"]}, InvalidArgument, "'/dev/null' is not a block device", "/dev/sda"),
    (
        {"device_write_iops": ["/dev/no-such:5"]},
        InvalidArgument,
        "--device-write-iops: device '/dev/no-such': no such file",
        "block device",
    ),
    ({"device_read_bps": ["sda:1mb"]}, InvalidArgument, "--device-read-bps: not PATH:RATE: 'sda:1mb'", "PATH:RATE"),
    ({"ulimits": ["files=5"]}, InvalidArgument, "'files=5'", "nofile"),
    ({"ulimits": ["nofile=9:5"]}, InvalidArgument, "--ulimit: nofile: the soft limit 9 is above the hard limit 5", "SOFT:HARD"),
    ({"ulimits": ["nofile=-1:5"]}, InvalidArgument, "above the hard limit", "SOFT:HARD"),
    ({"ulimits": ["nofile"]}, InvalidArgument, "'nofile'", "SOFT[:HARD]"),
    ({"oom_score_adj": 1001}, InvalidArgument, "--oom-score-adj: invalid value 1001", "from -1000 to 1000"),
    ({"shm_size": -1}, InvalidArgument, "--shm-size: -1 is out of range", "128m"),
    ({"sysctls": ["kernel.pid_max=5"]}, InvalidArgument, "the whole machine shares it", "net.*"),
    (
        {"sysctls": ["net.core.somaxconn=5"], "network": "host"},
        InvalidArgument,
        "--sysctl net.core.somaxconn and --network host",
        "--network",
    ),
    ({"sysctls": ["kernel.shmmax=5"], "ipc_mode": "host"}, InvalidArgument, "--sysctl kernel.shmmax and --ipc host", "--ipc"),
    ({"sysctls": ["kernel.hostname=x"]}, InvalidArgument, "--hostname", "--hostname x"),
    ({"sysctls": ["net/../kernel/pid_max=5"]}, InvalidArgument, "--sysctl: invalid name 'net/../kernel/pid_max'", "NAME=VALUE"),
    ({"group_add": ["a b"]}, InvalidArgument, "invalid group 'a b'", "/etc/group"),
    ({"stop_timeout": "soon"}, InvalidArgument, "--stop-timeout: invalid value 'soon'", "-1"),
    ({"domainname": "a_b"}, InvalidArgument, "--domainname: invalid domain name 'a_b'", "letters"),
    ({"init": "yes"}, InvalidArgument, "init is True or False", ""),
    ({"platform": "windows/amd64"}, Unsupported, "'windows/amd64'", "linux/"),
    ({"platform": "linux/s390x"}, Unsupported, "no emulation", "linux/"),
    ({"platform": "a b"}, InvalidArgument, "invalid platform", "linux/amd64"),
    ({"isolation": "hyperv"}, Unsupported, "'hyperv'", "default"),
    ({"runtime": "runc"}, Unsupported, "'runc'", "labcontainers"),
    ({"log_config": {"type": "syslog"}}, Unsupported, "'syslog'", "local"),
    ({"log_config": {"type": "paper"}}, InvalidArgument, "'paper'", "local"),
    ({"log_config": {"type": "none", "config": {"max-size": "1m"}}}, InvalidArgument, "max-size", "leave one"),
    ({"log_config": {"config": {"max-file": "3"}}}, InvalidArgument, "--log-opt max-file=3 without --log-opt max-size", "max-size"),
    ({"log_config": {"config": {"max-size": "1"}}}, InvalidArgument, "--log-opt: max-size: '1'", "4k"),
    ({"log_config": {"config": {"colour": "red"}}}, InvalidArgument, "'colour=red'", "max-size"),
    ({"kernel_memory": "lots"}, InvalidArgument, "--kernel-memory: not a size: 'lots'", "512m"),
    ({"kernel_memory": -5}, InvalidArgument, "--kernel-memory: invalid value -5", "leave it out"),
    ({"cpu_rt_runtime": 5}, Unsupported, "real-time", "leave it out"),
    ({"cpu_count": 2}, Unsupported, "Windows", "leave it out"),
    ({"storage_opt": {"size": "1g"}}, Unsupported, "storage-opt", "leave it out"),
    ({"cgroup_parent": "/x"}, Unsupported, "'/x'", "leave it out"),
    ({"cidfile": "/etc/passwd"}, InvalidArgument, "container ID file found: '/etc/passwd'", "delete"),
    ({"cidfile": "/no/such/folder/x"}, InvalidArgument, "no such folder", "folder"),
]


@pytest.mark.parametrize(("keywords", "kind", "message", "hint"), REFUSED, ids=lambda value: str(value)[:50])
def test_a_wrong_value_is_refused_by_name_with_what_is_allowed(
    keywords: dict[str, Any], kind: type[Exception], message: str, hint: str
) -> None:
    with pytest.raises(kind) as caught:
        make(**keywords)
    assert message in caught.value.message
    assert hint in caught.value.hint


UNSET: dict[str, Any] = {
    "mem_limit": 0, "mem_reservation": "0", "memswap_limit": 0, "mem_swappiness": -1, "kernel_memory": 0, "cpus": 0, "nano_cpus": 0,
    "cpu_period": 0, "cpu_quota": 0, "cpu_shares": 0, "cpuset_cpus": "", "cpuset_mems": "", "cpu_rt_period": 0, "pids_limit": 0,
    "blkio_weight": 0, "shm_size": 0, "platform": "", "isolation": "", "runtime": "labcontainers", "cgroup_parent": "", "storage_opt": {},
}  # fmt: skip


@pytest.mark.parametrize("key", UNSET)
def test_what_clients_send_for_not_asked_is_as_if_left_out(key: str) -> None:
    assert make(**{key: UNSET[key]}) == ContainerOptions()


def test_docker_pys_forms_of_lists_are_read(tmp_path: Path) -> None:
    assert make(ulimits=[{"Name": "nofile", "Soft": 5, "Hard": 6}]).ulimits == (("nofile", 5, 6),)
    assert make(ulimits={"nofile": "5:6", "core": 0}).ulimits == (("nofile", 5, 6), ("core", 0, 0))
    assert make(ulimits=["nofile=5", "nofile=7"]).ulimits == (("nofile", 7, 7),)
    assert make(sysctls={"net/core/somaxconn": 5}).sysctls == (("net.core.somaxconn", "5"),)
    assert make(log_config={"Type": "local", "Config": {"max-size": "10m"}}).log_max_bytes == 10 << 20


@pytest.mark.parametrize(
    ("ulimits", "hard", "may_raise", "wanted", "warned"),
    [
        ((("nofile", 10, 20),), 100, False, ((7, 10, 20),), False),
        ((("nofile", 10, 200),), 100, False, ((7, 10, 100),), True),
        ((("nofile", 150, 200),), 100, False, ((7, 100, 100),), True),
        ((("nofile", -1, -1),), 100, False, ((7, 100, 100),), True),
        ((("nofile", 150, 200),), 100, True, ((7, 150, 200),), False),
        ((("nofile", -1, -1),), 100, True, ((7, 5000, 5000),), True),
        ((("core", -1, -1),), -1, False, ((4, -1, -1),), False),
        ((("core", -1, -1),), 0, True, ((4, -1, -1),), False),
    ],
)
def test_ulimits_are_lowered_to_what_this_user_may_have(ulimits: Any, hard: int, may_raise: bool, wanted: Any, warned: bool) -> None:
    given_, warnings = kernel_options.rlimits(ulimits, lambda kind: hard, may_raise, 5000)
    assert given_ == wanted
    assert bool(warnings) == warned


@pytest.mark.parametrize(
    ("wanted", "own", "may_lower", "written", "warned"),
    [
        (None, 0, False, None, False),
        (5, 0, False, 5, False),
        (-5, 0, False, 0, True),
        (-5, 0, True, -5, False),
        (100, 200, False, 200, True),
    ],
)
def test_the_oom_score_stays_where_this_user_may_not_go_below(
    wanted: int | None, own: int, may_lower: bool, written: int | None, warned: bool
) -> None:
    score, warnings = kernel_options.oom_score(wanted, own, may_lower)
    assert (score, bool(warnings)) == (written, warned)


@pytest.mark.parametrize(
    ("keywords", "changed", "limits"),
    [
        ({"mem_limit": "64m", "pids_limit": 5}, ["memory_bytes"], Limits(memory_bytes=64 << 20)),
        ({"mem_limit": "64m", "memswap_limit": -1}, ["memory_swap_bytes"], Limits(memory_bytes=64 << 20, memory_swap_bytes=-1)),
        ({"pids_limit": -1}, ["pids_limit"], Limits(pids=-1)),
        ({"cpus": 0.5, "cpu_shares": 7}, ["cpus"], Limits(cpus=0.5)),
        ({"cpu_period": 5000}, ["cpu_quota_us"], Limits(cpu_period_us=5000, cpu_quota_us=-1)),
        ({"cpu_shares": 7}, ["cpu_shares", "restart"], Limits(cpu_shares=7)),
        ({"blkio_weight": 300, "cpu_shares": 7}, ["blkio_weight"], Limits(blkio_weight=300)),
        ({"mem_limit": "64m", "mem_reservation": "32m"}, ["memory_reservation_bytes"], Limits(memory_reservation_bytes=32 << 20)),
        ({"cpuset_cpus": "0", "cpuset_mems": "0"}, ["cpuset_cpus", "cpuset_mems"], Limits(cpuset_cpus="0", cpuset_mems="0")),
    ],
)
def test_an_update_writes_what_follows_from_what_was_changed(keywords: dict[str, Any], changed: list[str], limits: Limits) -> None:
    assert changed_limits(make(**keywords), changed) == limits


def test_every_keyword_is_of_a_field_or_only_checked() -> None:
    names = {field.name for field in fields(ContainerOptions)}
    for key, (field, _) in _CONVERTERS.items():
        assert set([field] if isinstance(field, str) else field) <= names | {""}, key


@pytest.mark.parametrize(
    "flag", [flag for flag in COMMANDS["create"].flags if flag.names[-1] not in NO_KEYWORD], ids=lambda flag: flag.names[-1]
)
def test_the_name_of_a_keyword_is_that_of_the_flag_that_sets_it(flag: Flag) -> None:
    value: list[str] = [] if flag.kind == "switch" else [USES.get(flag.names[-1], "a=b")]
    sets, as_before = (keywords_of(invocation(words)) for words in ([flag.names[0], *value], []))
    changed = [key for key in sets if sets[key] != as_before[key]]
    assert len(changed) == 1
    if changed[0] not in SEVERAL_FLAGS:
        assert flag_of(changed[0]) in flag.names


def test_every_name_in_the_table_of_flags_is_of_a_keyword() -> None:
    assert set(FLAGS) <= set(_CONVERTERS)
