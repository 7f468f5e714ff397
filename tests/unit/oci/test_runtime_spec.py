"""config.json is checked as a whole: each fault is one line with its path, what nobody knows is ignored, and nothing gives a traceback."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from labcontainers.bundles.plan import Circumstances, plan_container
from labcontainers.bundles.templates import template
from labcontainers.errors import LabError
from labcontainers.oci.runtime_spec import VERSION, cpu_list, parse_config


def document() -> dict[str, Any]:
    return json.loads(json.dumps(template(VERSION)))


def test_document_has_every_key_that_is_known() -> None:
    config = parse_config({"ociVersion": "1.0.0", "root": {"path": "x"}, "process": {"cwd": "/", "user": {}, "args": ["a"]}})
    assert config["process"]["env"] == config["mounts"] == config["linux"]["namespaces"] == config["hooks"]["poststop"] == []
    assert config["process"]["user"] == {"additionalGids": [], "uid": None, "gid": None, "umask": None, "username": None}
    assert config["linux"]["resources"] is config["hostname"] is None


def test_unknown_keys_and_null_are_ignored() -> None:
    config = document()
    config["nobody"] = config["process"]["knows"] = {"this": 1}
    config["linux"]["sysctl"] = config["annotations"] = config["hooks"] = None
    assert "nobody" not in parse_config(config)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.0", "1.2.1", "1.3.0"])
def test_versions_of_one_are_known(version: str) -> None:
    assert parse_config({**document(), "ociVersion": version})["ociVersion"] == version


FAULTS: list[tuple[list[str | int], Any, str]] = [
    (["ociVersion"], 1, "ociVersion: 1 is not a string"),
    (["ociVersion"], "0.2.0", "ociVersion: '0.2.0' is not a version"),
    (["root"], [], "root: [] is not an object"),
    (["root", "path"], "", "root.path: '' is empty"),
    (["root", "readonly"], 1, "root.readonly: 1 is neither true nor false"),
    (["process", "cwd"], "here", "process.cwd: 'here' is not an absolute path"),
    (["process", "args"], "sh", "process.args: 'sh' is not a list"),
    (["process", "args"], ["a", 3], "process.args[1]: 3 is not a string"),
    (["process", "args"], ["a\0"], "process.args[0]: 'a\\x00' has a NUL"),
    (["process", "env"], ["\ud800"], "process.env[0]: '\\ud800' is no Unicode text"),
    (["process", "user", "uid"], -1, "process.user.uid: -1 is not between"),
    (["process", "user", "uid"], 2**32 - 1, "process.user.uid: 4294967295 is not between"),
    (["process", "user", "uid"], True, "process.user.uid: True is not a whole number"),
    (["process", "user", "umask"], 512, "process.user.umask: 512 is not between"),
    (["process", "rlimits", 0, "type"], "NOFILE", "process.rlimits[0].type: 'NOFILE' is no rlimit"),
    (["process", "rlimits", 0, "soft"], 2000, "process.rlimits[0].soft: 2000 is more than the hard limit 1024"),
    (["process", "oomScoreAdj"], 1001, "process.oomScoreAdj: 1001 is not between"),
    (["process", "ioPriority"], {"class": "x"}, "process.ioPriority.class: 'x' is not one of"),
    (["process", "scheduler"], {"policy": "SCHED_FIFO", "runtime": 5}, "process.scheduler.runtime: 5 is of SCHED_DEADLINE alone"),
    (["process", "execCPUAffinity"], {"initial": "3-1"}, "process.execCPUAffinity.initial: '3-1' is no list of CPUs"),
    (["mounts", 0, "destination"], "/a/../b", "mounts[0].destination: '/a/../b' has a '..'"),
    (["hooks"], {"poststop": {}}, "hooks.poststop: {} is not a list"),
    (["hooks"], {"poststop": [{"path": "/x", "timeout": 0}]}, "hooks.poststop[0].timeout: 0 is not between"),
    (["linux", "namespaces", 0, "type"], "disk", "linux.namespaces[0].type: 'disk' is not one of"),
    (["linux", "namespaces", 0, "type"], "ipc", "linux.namespaces[1].type: 'ipc' is there twice"),
    (["linux", "namespaces", 0, "path"], "here", "linux.namespaces[0].path: 'here' is not an absolute path"),
    (["linux", "uidMappings"], [{"containerID": 0, "hostID": 0, "size": 1}], "needs a user namespace"),
    (["linux", "timeOffsets"], {"boottime": {"secs": 1}}, "linux.timeOffsets: {'boottime': {'secs': 1, 'nanosecs': None}} needs a time"),
    (["linux", "sysctl"], {"net.x": "1", "vm.swappiness": "1"}, "linux.sysctl.vm.swappiness: '1' would be set for the whole machine"),
    (["linux", "sysctl"], {"net/../kernel/panic": "1"}, "is no name of a kernel parameter"),
    (["linux", "sysctl"], {"kernel.hostname": "x"}, "is what `hostname` is for"),
    (["linux", "devices"], [{"type": "c", "path": "/dev/x"}], "linux.devices[0].major: None is missing"),
    (["linux", "resources", "devices", 0, "access"], "rx", "linux.resources.devices[0].access: 'rx' is not made of"),
    (["linux", "seccomp"], 3, "linux.seccomp: 3 is not an object"),
    (["linux", "rootfsPropagation"], "odd", "linux.rootfsPropagation: 'odd' is not one of"),
    (["linux", "maskedPaths", 0], "x", "linux.maskedPaths[0]: 'x' is not an absolute path"),
    (["linux", "intelRdt"], {}, "linux.intelRdt: Intel's"),
    (["vm"], {}, "vm: containers of that platform is not supported"),
]


@pytest.mark.parametrize(
    ("path", "value", "message"), FAULTS, ids=[f"{'.'.join(map(str, path))}-{at}" for at, (path, _, _) in enumerate(FAULTS)]
)
def test_fault_is_told_with_its_path(path: list[str | int], value: Any, message: str) -> None:
    config: Any = document()
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(LabError) as caught:
        parse_config(config)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("text", "found"), [("0", {0}), ("0-2,4", {0, 1, 2, 4}), (" 1 , 3", {1, 3})])
def test_lists_of_cpus(text: str, found: set[int]) -> None:
    assert cpu_list(text, "x") == found


VALUES = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False)
    | some.text()
    | some.sampled_from(["/x", "mount", "rbind", "c"]),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += places(inner, (*path, key))
    return found


FULL = template(VERSION)
FULL["process"] |= {
    "scheduler": {"policy": "SCHED_OTHER"},
    "ioPriority": {"class": "IOPRIO_CLASS_BE"},
    "consoleSize": {"height": 1, "width": 1},
}
FULL["hooks"] = {"prestart": [{"path": "/x", "args": ["x"], "env": ["a=b"], "timeout": 3}]}
FULL["linux"] |= {
    "devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 2}],
    "sysctl": {"net.x": "1"},
    "personality": {"domain": "LINUX32"},
    "rootfsPropagation": "slave",
    "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
}


@settings(max_examples=300, deadline=None)
@given(some.sampled_from(places(FULL)), VALUES)
def test_no_value_anywhere_gives_more_than_a_fault(path: tuple[Any, ...], value: Any) -> None:
    config: Any = copy.deepcopy(FULL)
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with contextlib.suppress(LabError):
        checked = parse_config(config)
        if checked["process"] is not None:
            plan_container(checked, Circumstances())


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_no_document_gives_more_than_a_fault(value: Any) -> None:
    with pytest.raises(LabError):
        parse_config(value)
