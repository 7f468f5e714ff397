"""What --cap-add, --security-opt and --privileged say, and what of it this host can give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.containers.inspect.options import isolation
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.security import SecurityOptions
from labcontainers.containers.planning import confinement
from labcontainers.errors import InvalidArgument, LabError, Unsupported
from labcontainers.kernel import capabilities

make = ContainerOptions.from_keywords
PROFILE = '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","errnoRet":5}]}'

READ: list[tuple[list[str] | str, SecurityOptions]] = [
    ("no-new-privileges", SecurityOptions(no_new_privileges=True)),
    (["no-new-privileges:false"], SecurityOptions()),
    (["no-new-privileges=TRUE"], SecurityOptions(no_new_privileges=True)),
    (["seccomp=unconfined"], SecurityOptions(seccomp="unconfined")),
    (["seccomp:builtin"], SecurityOptions(seccomp="builtin")),
    ([f"seccomp={PROFILE}"], SecurityOptions(seccomp=PROFILE)),
    (["label=type:x", "label:role:y", "label=disable"], SecurityOptions(label_disable=True, labels=("type:x", "role:y"))),
    (["apparmor=unconfined", "label=disable"], SecurityOptions(apparmor="unconfined", label_disable=True)),
    (["systempaths=unconfined", "writable-cgroups"], SecurityOptions(system_paths=True, writable_cgroups=True)),
    (["writable-cgroups=true", "writable-cgroups=false"], SecurityOptions()),
    ([], SecurityOptions()),
]
REFUSED: list[tuple[dict[str, Any], type[LabError], str, str]] = [
    ({"security_opt": ["nonsense"]}, InvalidArgument, "--security-opt: invalid option 'nonsense'", "options are apparmor"),
    ({"security_opt": ["nonsense=1"]}, InvalidArgument, "--security-opt: invalid option 'nonsense=1'", "options are apparmor"),
    ({"security_opt": ["seccomp="]}, InvalidArgument, "--security-opt: invalid option 'seccomp='", ""),
    ({"security_opt": ["no-new-privileges=maybe"]}, InvalidArgument, "'no-new-privileges=maybe'", "true or false"),
    ({"security_opt": ["systempaths=confined"]}, InvalidArgument, "'systempaths=confined'", "systempaths=unconfined"),
    ({"security_opt": ["label="]}, InvalidArgument, "--security-opt: invalid option 'label='", "label"),
    ({"security_opt": ["apparmor=a b"]}, InvalidArgument, "invalid AppArmor profile 'a b'", ""),
    ({"security_opt": ["seccomp=/no/such.json"]}, InvalidArgument, "opening seccomp profile (/no/such.json) failed: no such file", ""),
    ({"security_opt": ['seccomp={"a": 1,}']}, InvalidArgument, "seccomp profile the profile:1:", "JSON object"),
    ({"security_opt": ['seccomp={"defaultAction": "NO"}']}, InvalidArgument, "defaultAction is 'NO'", "SCMP_ACT_ALLOW"),
    ({"security_opt": 5}, InvalidArgument, "security_opt is a list of texts: 5", ""),
    ({"cap_add": ["NET_ADMN"]}, InvalidArgument, "no such capability: 'NET_ADMN'", "did you mean NET_ADMIN?"),
    ({"cap_drop": [5]}, InvalidArgument, "capabilities are a list of names", "NET_ADMIN"),
    ({"privileged": "yes"}, InvalidArgument, "privileged is True or False, not 'yes'", ""),
]


@pytest.mark.parametrize(("given_texts", "expected"), READ, ids=lambda value: str(value)[:40])
def test_security_options_are_read_as_docker_writes_them(given_texts: list[str] | str, expected: SecurityOptions) -> None:
    assert make(security_opt=given_texts).security == expected


@pytest.mark.parametrize(("keywords", "kind", "words", "hint"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_is_wrong_is_refused_in_one_line(keywords: dict[str, Any], kind: type[LabError], words: str, hint: str) -> None:
    with pytest.raises(kind) as caught:
        make(**keywords)
    assert words in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_profile_is_read_from_its_file_and_kept_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(json.loads(PROFILE), indent=2))
    assert make(security_opt=[f"seccomp={file}"]).security.seccomp == PROFILE
    file.write_text('{\n  "defaultAction": "SCMP_ACT_ALLOW"\n  "syscalls": []\n}')
    with pytest.raises(InvalidArgument, match=r"profile\.json:3:3: "):
        make(security_opt=[f"seccomp={file}"])


@given(st.text(max_size=40), st.sampled_from(["security_opt", "cap_add", "cap_drop"]))
def test_whatever_is_said_is_read_or_refused(text: str, key: str) -> None:
    try:
        options = make(**{key: [text]})
    except LabError:
        return
    assert ContainerOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def filters(asked: list[tuple[frozenset[str], str]]) -> confinement.FilterFor:
    def give(names: frozenset[str], profile: str = "") -> bytes:
        asked.append((names, profile))
        return b"12345678"

    return give


CHOSEN: list[tuple[dict[str, Any], frozenset[str], str | None]] = [
    ({}, capabilities.DEFAULT, ""),
    ({"cap_add": ["sys_ptrace"]}, capabilities.DEFAULT | {"SYS_PTRACE"}, ""),
    ({"cap_drop": ["all"], "cap_add": ["cap_chown"]}, frozenset({"CHOWN"}), ""),
    ({"cap_add": ["ALL"], "cap_drop": ["SYS_ADMIN"]}, capabilities.of_this_kernel() - {"SYS_ADMIN"}, ""),
    ({"privileged": True}, capabilities.of_this_kernel(), None),
    ({"privileged": True, "cap_drop": ["ALL"]}, capabilities.of_this_kernel(), None),
    ({"privileged": True, "security_opt": ["seccomp=builtin"]}, capabilities.of_this_kernel(), ""),
    ({"security_opt": ["seccomp=unconfined"]}, capabilities.DEFAULT, None),
    ({"security_opt": [f"seccomp={PROFILE}"]}, capabilities.DEFAULT, PROFILE),
]


@pytest.mark.parametrize(("keywords", "names", "profile"), CHOSEN, ids=lambda value: str(value)[:40])
def test_the_filter_follows_the_capabilities(keywords: dict[str, Any], names: frozenset[str], profile: str | None) -> None:
    asked: list[tuple[frozenset[str], str]] = []
    confined = confinement.confine(make(**keywords), True, filters(asked))
    assert confined.names == names
    assert confined.capabilities == capabilities.mask(names)
    assert asked == ([] if profile is None else [(names, profile)])
    assert bool(confined.seccomp) == (profile is not None)


def test_flags_of_a_profile_are_those_of_the_kernel() -> None:
    text = json.dumps({**json.loads(PROFILE), "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]})
    assert confinement.confine(make(security_opt=[f"seccomp={text}"]), True, filters([])).seccomp_flags == 6


def test_a_capability_that_is_given_in_name_only_is_told_to_an_ordinary_user() -> None:
    options = make(cap_add=["SYS_TIME", "NET_ADMIN"])
    (warning,) = confinement.warnings(options, True)
    assert warning.startswith("capability SYS_TIME has no effect")
    assert confinement.warnings(options, False) == ()


def test_cgroups_of_version_1_cannot_be_made_writable() -> None:
    options = make(security_opt=["writable-cgroups"])
    confinement.check(options, False, lambda: "v2", filters([]))
    with pytest.raises(Unsupported, match="version 2 alone"):
        confinement.check(options, False, lambda: "hybrid", filters([]))


RULES: list[tuple[dict[str, Any], bool, list[str], bool]] = [
    ({}, False, [], False),
    ({}, False, ["/srv/devices"], False),
    ({}, False, ["/dev"], True),
    ({}, False, ["/dev/shm"], True),
    ({}, False, ["/"], True),
    ({"cap_add": ["MKNOD"]}, False, [], True),
    ({"cap_add": ["ALL"]}, False, [], True),
    ({"cap_add": ["ALL"], "cap_drop": ["MKNOD"]}, False, [], False),
    ({"device_cgroup_rules": ["c 10:* r"]}, False, [], True),
    ({"devices": ["/dev/null"]}, False, [], True),
    ({"devices": ["/dev/null"]}, True, [], False),
    ({"privileged": True, "devices": ["/dev/null"]}, False, ["/dev"], False),
]


@pytest.mark.parametrize(("keywords", "rootless", "binds", "limited"), RULES, ids=lambda value: str(value)[:40])
def test_devices_are_limited_where_a_container_could_reach_others(
    keywords: dict[str, Any], rootless: bool, binds: list[str], limited: bool
) -> None:
    assert (confinement.device_rules(make(**keywords), rootless, binds) is not None) == limited


def test_inspect_tells_all_of_it() -> None:
    told = isolation(make(cap_add=["net_admin", "ALL"], cap_drop=["chown"], no_new_privileges=True, security_opt=["seccomp=unconfined"]))
    assert told["CapAdd"] == ["ALL", "CAP_NET_ADMIN"]
    assert told["CapDrop"] == ["CAP_CHOWN"]
    assert told["SecurityOpt"] == ["no-new-privileges", "seccomp=unconfined"]
    assert told["IpcMode"] == "private"
    assert told["MaskedPaths"]
    assert (isolation(make(privileged=True))["MaskedPaths"], isolation(make(security_opt=["systempaths=unconfined"]))["ReadonlyPaths"]) == (
        None,
        [],
    )
