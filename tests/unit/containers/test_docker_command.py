"""Options become the `docker run` that asks for them, and this engine's own command line reads it back as the same options."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import fields, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labcontainers.commands.command import Invocation
from labcontainers.commands.create_flags import keywords_of
from labcontainers.commands.table import understand
from labcontainers.containers.explain.docker_command import PROFILE, docker_run, flags
from labcontainers.containers.options import streams
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.kernel.cpu_lists import online_memory_nodes
from tests.unit.containers.test_option_parsers import VALID

ALLOW_ALL = '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["reboot"],"action":"SCMP_ACT_ERRNO"}]}'

# keywords of the engine -> the flags that say the same, or None where only the way back is looked at
CASES: list[tuple[dict[str, Any], str | None]] = [
    ({}, ""),
    ({"name": "web", "remove": True}, "--name web --rm"),
    ({"environment": {"A": "1 2", "B": ""}, "labels": {"k": "v", "empty": ""}}, "-e 'A=1 2' -e B= -l k=v -l empty="),
    ({"volumes": ["/tmp:/data:ro", "named:/v", "/anonymous"]}, "-v /tmp:/data:ro -v named:/v -v /anonymous"),
    ({"tmpfs": ["/run", "/t:size=4m"]}, "--tmpfs /run --tmpfs /t:size=4m"),
    ({"mem_limit": "64m", "memswap_limit": -1, "cpus": 0.5, "pids_limit": 9}, "-m 67108864 --cpus 0.5 --pids-limit 9 --memory-swap -1"),
    ({"mem_limit": "64m", "mem_reservation": "32m", "cpu_period": 50000, "cpu_quota": 25000},
     "-m 67108864 --memory-reservation 33554432 --cpu-period 50000 --cpu-quota 25000"),
    ({"ports": ["127.0.0.1:8080:80", "443"]}, "-p 127.0.0.1:8080:80 -p 0.0.0.0::443"),
    ({"ports": ["8000-8010:80", "[::1]:90-92:7"]}, "-p 0.0.0.0:8000-8010:80 -p '[::1]:90-92:7'"),
    ({"entrypoint": ""}, "--entrypoint ''"),
    ({"entrypoint": "/bin/sh"}, "--entrypoint /bin/sh"),
    ({"user": "1:2", "group_add": ["3", "users"], "working_dir": "/tmp"}, "-w /tmp -u 1:2 --group-add 3 --group-add users"),
    ({"cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"]}, "--cap-add NET_ADMIN --cap-drop ALL"),
    ({"security_opt": ["no-new-privileges", "seccomp=unconfined"]},
     "--security-opt no-new-privileges --security-opt seccomp=unconfined"),
    ({"security_opt": ["systempaths=unconfined"]}, "--security-opt systempaths=unconfined"),
    ({"security_opt": [f"seccomp={ALLOW_ALL}", "writable-cgroups", "label=disable"]},
     "--security-opt seccomp=/dev/fd/3 --security-opt label=disable --security-opt writable-cgroups=true"),
    ({"privileged": True, "userns_mode": "host", "uts_mode": "host", "cgroupns": "host"},
     "--privileged --uts host --userns host --cgroupns host"),
    ({"restart_policy": {"Name": "on-failure", "MaximumRetryCount": 3}}, "--restart on-failure:3"),
    ({"healthcheck": {"test": ["CMD-SHELL", "test -e /ok"], "interval": 2 * 10**9, "timeout": 1_500_000, "retries": 2}},
     "--health-cmd 'test -e /ok' --health-interval 2000ms --health-timeout 1500000ns --health-retries 2"),
    ({"healthcheck": {"test": ["NONE"]}}, "--no-healthcheck"),
    ({"ulimits": ["nofile=10:20", "core=-1"], "sysctls": {"net.core.somaxconn": "5"}, "shm_size": "1m", "oom_score_adj": -500},
     "--ulimit nofile=10:20 --ulimit core=-1:-1 --oom-score-adj -500 --shm-size 1048576 --sysctl net.core.somaxconn=5"),
    ({"init": True, "tty": True, "stdin_open": True, "read_only": True, "hostname": "h"}, "-h h --read-only --init -t -i"),
    ({"attach": ["stdout"], "stop_signal": "INT"}, "--stop-signal SIGINT -a stdout"),
    ({"network": "none", "pid_mode": "host", "ipc_mode": "private"}, "--network none --pid host --ipc private"),
    ({"network": "container:web", "volumes_from": ["db:ro", "web"]}, "--volumes-from db:ro --volumes-from web:rw --network container:web"),
    ({"dns": ["1.1.1.1"], "extra_hosts": {"a": "10.0.0.1"}, "dns_search": ["x"]}, "--dns 1.1.1.1 --dns-search x --add-host a:10.0.0.1"),
    ({"dns_opt": ["ndots:2"], "extra_hosts": ["six:fe80::1"], "expose": ["80", "53/udp"], "mac_address": "02:42:ac:11:00:02"},
     "--dns-option ndots:2 --add-host six:fe80::1 --expose 80/tcp --expose 53/udp --mac-address 02:42:ac:11:00:02"),
    ({"publish_all_ports": True, "platform": "linux", "cidfile": f"/tmp/no-such-cid-{token_hex(8)}"}, None),
    ({"devices": ["/dev/null:/dev/mine:r"], "device_cgroup_rules": ["c 10:* rwm"]},
     "--device /dev/null:/dev/mine:r --device-cgroup-rule 'c 10:* rwm'"),
    ({"mounts": ["type=bind,source=/tmp,target=/a,readonly,bind-propagation=rslave,bind-recursive=disabled"]},
     "--mount type=bind,source=/tmp,target=/a,readonly,bind-propagation=rslave,bind-recursive=disabled"),
    ({"mounts": ["type=volume,source=v1,target=/b,volume-nocopy,volume-subpath=x,volume-label=a=b"]},
     "--mount type=volume,source=v1,target=/b,volume-nocopy,volume-subpath=x,volume-label=a=b"),
    ({"mounts": ['type=volume,target=/c,volume-opt=type=tmpfs,volume-opt=device=tmpfs,"volume-opt=o=size=1m,uid=5"']}, None),
    ({"mounts": ["type=tmpfs,target=/d,readonly,tmpfs-size=1m,tmpfs-mode=1770"]},
     "--mount type=tmpfs,target=/d,readonly,tmpfs-size=1048576,tmpfs-mode=1770"),
    ({"mounts": ["type=image,source=lab/base,target=/e,image-subpath=etc"]},
     "--mount type=image,source=lab/base,target=/e,image-subpath=etc"),
    ({"log_config": {"type": "local", "config": {"max-size": "10m", "max-file": "3"}}},
     "--log-opt max-size=10485760 --log-opt max-file=3"),
    ({"log_config": {"type": "none"}, "stop_timeout": -1, "domainname": "lab"}, "--stop-timeout -1 --domainname lab --log-driver none"),
    ({"mem_swappiness": 5, "oom_kill_disable": True, "cpu_shares": 7, "cpuset_cpus": "0", "blkio_weight": 300, "annotations": {"a": "b"}},
     None),
    ({"cpuset_mems": online_memory_nodes(), "isolation": "default"}, None),
    ({"kernel_memory": "4m", "log_config": {"type": "json-file"}, "security_opt": ["label=type:x", "label=role:y"]},
     "--log-driver json-file --kernel-memory 4194304 --security-opt label=type:x --security-opt label=role:y"),
]  # fmt: skip
# what needs a block device of the machine, in the form of the options themselves
DEVICE_LIMITS = {
    "blkio_weight_devices": (("/dev/sda", 300),),
    "device_read_bps": (("/dev/sda", 1 << 20),),
    "device_write_bps": (("/dev/sda", 2 << 20),),
    "device_read_iops": (("/dev/sda", 30),),
    "device_write_iops": (("/dev/sda", 40),),
}


def read_back(line: str, folder: Path) -> tuple[ContainerOptions, str, list[str]]:
    """What this engine's `run` makes of a docker line: the options, the image and the command."""
    first, separator, document = line.partition(" 3<<'SECCOMP'\n")
    program, *words = shlex.split(first)
    assert program == "docker"
    if separator:
        profile = folder / "profile.json"
        profile.write_text(document.removesuffix("\nSECCOMP"))
        words = [word.replace(PROFILE, str(profile)) for word in words]
    said = understand(words)
    call = Invocation(lambda: pytest.fail("no engine is needed"), said.arguments, print, print, folder)
    keywords = {key: value for key, value in keywords_of(call).items() if value is not None}
    keywords = dict(streams.stream_keywords(True, None, keywords)) if call.detach else keywords
    return ContainerOptions.from_keywords(**keywords), call.image, list(call.command)


def to_the_nanosecond(options: ContainerOptions) -> ContainerOptions:
    """As Docker keeps it: parts of a CPU are whole billionths."""
    return options if options.cpus is None else replace(options, cpus=round(options.cpus, 9))


@pytest.mark.parametrize(("keywords", "expected"), CASES)
def test_flags_say_the_options_and_are_read_back_as_the_same(keywords: dict[str, Any], expected: str | None, tmp_path: Path) -> None:
    options = ContainerOptions.from_keywords(**keywords)
    if expected is not None:
        assert shlex.join(flags(options)) == expected
    assert read_back(docker_run(options, "lab/base", ["echo", "-n", "a b"]), tmp_path) == (options, "lab/base", ["echo", "-n", "a b"])


PORTS = st.builds(
    lambda host, outside, more, inside: f"{host}{outside}-{outside + more}:{inside}",
    st.sampled_from(["", "127.0.0.1:", "[::1]:"]), st.integers(1, 65000), st.integers(0, 9), st.integers(1, 65535),
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
DURATIONS = st.integers(10**6, 10**13) | st.just(0)
MORE: dict[str, st.SearchStrategy[Any]] = {
    "environment": st.dictionaries(st.text("AB_c1", min_size=1, max_size=3), TEXT, max_size=3),
    "labels": st.dictionaries(st.text("ab.-", min_size=1, max_size=3), TEXT, max_size=3),
    "ports": st.lists(PORTS | st.integers(1, 65535).map(str), max_size=3),
    "entrypoint": st.just("") | st.text("ab /-'$", min_size=1, max_size=5),
    "security_opt": st.lists(
        st.sampled_from(
            ["no-new-privileges", "seccomp=builtin", "seccomp=unconfined", f"seccomp={ALLOW_ALL}", "apparmor=unconfined", "label=disable",
             "systempaths=unconfined", "writable-cgroups=true", "writable-cgroups=false", "no-new-privileges:false"]
        ),
        max_size=4,
    ),
    "tmpfs": st.dictionaries(st.sampled_from(["/t", "/run", "/a b"]), st.sampled_from(["", "size=4m", "ro,mode=755", "exec"]), max_size=3),
    "mounts": st.lists(
        st.sampled_from(
            [{"Type": "tmpfs", "Target": "/m1", "ReadOnly": True, "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o755}},
             {"Type": "bind", "Source": "/tmp", "Target": "/m,2", "BindOptions": {"Propagation": "rslave", "NonRecursive": True}},
             {"Type": "volume", "Source": "vol", "Target": '/m"3', "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b,c"}}},
             {"Type": "image", "Source": "lab/base", "Target": "/m4", "ImageOptions": {"Subpath": "etc"}}]
        ),
        max_size=4, unique_by=str,
    ),
    "cap_add": st.lists(st.sampled_from(["ALL", "NET_ADMIN", "cap_sys_ptrace"]), max_size=2),
    "cap_drop": st.lists(st.sampled_from(["ALL", "CHOWN"]), max_size=2),
    "healthcheck": st.fixed_dictionaries(
        {"test": TEXT.filter(bool)},
        optional={"interval": DURATIONS, "timeout": DURATIONS, "start_period": DURATIONS, "start_interval": DURATIONS,
                  "retries": st.integers(0, 99)},
    ),
    "restart_policy": st.sampled_from(["no", "always", "unless-stopped", "on-failure", "on-failure:7"]),
    "user": st.sampled_from(["0", "1000:7", "me:you"]),
    "working_dir": TEXT.map("/".__add__),
    "hostname": st.sampled_from(["h", "a-b.c"]),
    "stop_signal": st.sampled_from(["TERM", "SIGKILL", "9", "RTMIN+3"]),
    "read_only": st.booleans(),
    "attach": st.sampled_from([(), ("stdout",), ("stdin", "stderr")]),
    "tty": st.booleans(),
    "stdin_open": st.booleans(),
    "privileged": st.booleans(),
    "dns": st.lists(st.sampled_from(["9.9.9.9", "fe80::1"]), max_size=2),
    "extra_hosts": st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["10.0.0.1", "::1", "host-gateway"]), max_size=2),
}  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.fixed_dictionaries({}, optional={**VALID, **MORE}), st.lists(TEXT, min_size=1, max_size=3))
def test_any_valid_options_come_back_from_their_docker_line(
    tmp_path_factory: pytest.TempPathFactory, keywords: dict[str, Any], command: list[str]
) -> None:
    options = ContainerOptions.from_keywords(**keywords)
    line = docker_run(options, "lab/base", command)
    assert read_back(line, tmp_path_factory.getbasetemp()) == (to_the_nanosecond(options), "lab/base", command)


def test_limits_of_block_devices_are_said_as_docker_reads_them() -> None:
    words = flags(ContainerOptions(**DEVICE_LIMITS))
    assert words == [
        "--blkio-weight-device", "/dev/sda:300", "--device-read-bps", "/dev/sda:1048576", "--device-write-bps", "/dev/sda:2097152",
        "--device-read-iops", "/dev/sda:30", "--device-write-iops", "/dev/sda:40",
    ]  # fmt: skip
    call = Invocation(pytest.fail, understand(["run", *words, "image"]).arguments, print, print, Path("/"))
    assert {name: value for name, value in keywords_of(call).items() if value and "device" in name} == {
        name.replace("devices", "device"): [f"{path}:{number}" for path, number in values]
        for name, values in DEVICE_LIMITS.items()
    }  # fmt: skip


def test_every_option_is_in_a_case_of_these() -> None:
    tried = [ContainerOptions.from_keywords(**keywords) for keywords, _ in CASES]
    defaults, named = ContainerOptions(), {"no_new_privileges", "rootfs", "rootfs_parts", *DEVICE_LIMITS}
    told = {one.name for one in fields(ContainerOptions) for options in tried if getattr(options, one.name) != getattr(defaults, one.name)}
    assert {one.name for one in fields(ContainerOptions)} == told | named


@pytest.mark.parametrize("parts", [False, True])
def test_a_folder_instead_of_an_image_is_said_to_podman(parts: bool) -> None:
    options = ContainerOptions(user="1", rootfs="/", rootfs_parts=parts)
    assert docker_run(options, "/", ["id"]) == "podman run -u 1 --rootfs /:O id"


def test_no_new_privileges_is_a_security_option_for_docker() -> None:
    assert flags(ContainerOptions(no_new_privileges=True)) == ["--security-opt", "no-new-privileges"]


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ([("uid", 5), ("size", "1m")], "--tmpfs /m:uid=5,size=1m"),
        ([("exec",)], "--tmpfs /m:exec"),
    ],
)
def test_a_mount_that_the_command_line_cannot_say_is_said_by_another_flag(options: list[Any], flag: str) -> None:
    mount = {"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"Options": options}}
    assert shlex.join(flags(ContainerOptions.from_keywords(mounts=[mount]))) == flag


@pytest.mark.parametrize(("cpus", "word"), [(0.5, "0.5"), (1, "1"), (1 / 3, "0.333333333"), (0.01, "0.01")])
def test_cpus_are_said_with_the_digits_that_docker_takes(cpus: float, word: str) -> None:
    # docker: "value is too precise"
    assert flags(ContainerOptions(cpus=cpus)) == ["--cpus", word]


def test_a_whole_command_is_one_line_for_a_shell() -> None:
    options = ContainerOptions.from_keywords(entrypoint=["/bin/sh", "-c"], remove=True, attach=[])
    assert docker_run(options, "lab/base", ["echo $HOME; ls"]) == (
        "docker run -d --rm --entrypoint /bin/sh lab/base -c 'echo $HOME; ls'"
    )  # fmt: skip


def test_a_seccomp_profile_reaches_docker_as_a_file_and_leaves_standard_input_alone(tmp_path: Path) -> None:
    options = ContainerOptions.from_keywords(security_opt=[f"seccomp={ALLOW_ALL}"], stdin_open=True)
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nfor word; do case $word in seccomp=*) cat "${word#seccomp=}"; esac; done; echo; cat\n')
    docker.chmod(0o755)
    script = docker_run(options, "lab/base", ["cat"])
    answer = subprocess.run(
        ["sh", "-c", script], input="typed", capture_output=True, text=True, check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    profile, _, typed = answer.stdout.partition("\n")
    assert json.loads(profile) == json.loads(ALLOW_ALL)
    assert typed.strip() == "typed"
