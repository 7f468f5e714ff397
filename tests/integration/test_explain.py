"""What made a container, kept as values: a table, a docker command, a shell script that does the same, and a plan beforehand."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.container import Container
from labcontainers.containers.explain.operations import MAN
from labcontainers.errors import Conflict, InvalidArgument, KernelFailed, LabError, NotFound, StartFailed
from labcontainers.kernel.netlink import Netlink
from labcontainers.runtime.handshake import Channel
from labcontainers.runtime.init import Process
from labcontainers.runtime.rootfs import RootFileSystem, operation_table
from labcontainers.store.layout import Store
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")


def say(engine: Engine, *words: str) -> Any:
    return execute(lambda: engine, understand(words))


def names(explanation: Any) -> list[str]:
    return [operation.name for operation in explanation]


def test_every_operation_that_the_runtime_knows_has_its_manual_page() -> None:
    ours, theirs = Channel.pair()
    known = {*operation_table(RootFileSystem()), *Process(ours).table(), "exec", "clone"}
    theirs.close()
    ours.close()
    assert known <= set(MAN), known - set(MAN)
    assert all(page.endswith(")") and "(" in page for page in MAN.values())


def test_the_engines_own_work_is_told_with_what_init_did(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["true"], detach=True, network="none", mem_limit="64m", name="told")
    container.wait()
    found = container.explain()
    by = {operation.by for operation in found}
    assert {"shim", "init"} <= by <= {"engine", "shim", "init"}
    assert names(found)[-1] == "exec"
    assert all(operation.result == "ok" for operation in found)
    assert all(operation.man_page for operation in found)
    overlay = next(operation for operation in found if operation.name == "overlay")
    assert overlay.values["upper"].endswith("/upper")
    assert overlay.duration_us is not None
    document = json.loads(json.dumps(found.to_dict()))
    assert document["operations"][-1]["arguments"]["arguments"] == ["true"]
    assert found.docker == "docker run -d --name told -m 67108864 --network none lab/base true"
    assert "by hand, as a shell script" in found._repr_html_()


FAILED = [
    # (options, command, the operation that failed, its reason)
    ({"user": "nobody-here"}, ["true"], "account", "nobody-here"),
    ({"sysctls": {"kernel.shmmax": "many"}}, ["true"], "sysctl", "invalid argument"),
    ({}, ["nosuch"], "exec", "executable file not found"),
]


@pytest.mark.parametrize(("options", "command", "operation", "reason"), FAILED)
def test_of_a_failed_start_the_last_operation_says_why_and_none_follows(
    engine: Engine, options: dict[str, Any], command: list[str], operation: str, reason: str
) -> None:
    container = engine.containers.create("lab/base", command, network="none", **options)
    with pytest.raises(StartFailed):
        container.start()
    *done, failed = container.explain()
    assert {each.result for each in done} == {"ok"}
    assert (failed.name, reason in failed.result) == (operation, True), failed
    assert f"-> {failed.result}" in repr(container.explain())
    assert len(names(engine.containers.plan("lab/base", command, network="none", **options))) >= len(done) + 1


def test_of_a_failed_start_the_operations_before_have_their_times(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["true"], network="none", user="nobody-here")
    with pytest.raises(StartFailed):
        container.start()
    of_init = [operation for operation in container.explain() if operation.by == "init"]
    assert all(operation.duration_us is not None for operation in of_init[:-1])
    assert of_init[-1].name == "account"


def test_of_two_operations_of_one_name_the_one_that_failed_is_told(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    volumes = [f"{tmp_path}:/first", f"{tmp_path}/file:/etc"]
    container = engine.containers.create("lab/base", ["true"], network="none", volumes=volumes)
    with pytest.raises(StartFailed, match="cannot mount a file"):
        container.start()
    *done, failed = container.explain()
    assert [operation.result for operation in done if operation.name == "bind"] == ["ok"]
    assert (failed.name, failed.values["target"]) == ("bind", "/etc")


def test_of_a_port_in_use_the_socket_is_what_failed(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        container = engine.containers.create("lab/base", ["true"], ports=["127.0.0.1:0:81", f"127.0.0.1:{port}:80"])
        with pytest.raises(Conflict, match="already in use"):
            container.start()
    *done, failed = container.explain()
    assert (failed.name, failed.by, failed.values["port"]) == ("listen", "engine", port)
    assert failed.result == f"port 127.0.0.1:{port} is already in use"
    assert {operation.result for operation in done} == {"ok"}
    assert {"make_directories", "etc_file"} <= {operation.name for operation in done}
    assert repr(container.explain()).splitlines()[-1].split()[2:5] == ["did", "not", "make"]
    container.start().wait()
    assert names(container.explain())[-1] == "forward"
    assert {operation.result for operation in container.explain()} == {"ok"}


def test_a_failed_start_is_told_instead_of_the_good_one_before_it(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["true"], network="none", tmpfs=["/made"])
    container.start().wait()
    assert container.explain().made
    assert "/made" not in [change["Path"] for change in container.diff()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labcontainers.containers.starting.plans.plan_container", lambda spec, host: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            container.start()
    found = container.explain()
    assert not found.made
    assert (found[-1].name, found[-1].result) == ("prepare", "division by zero")
    assert "/made" not in [change["Path"] for change in container.diff()], "what the earlier start has mounted is still known"
    container.start().wait()
    assert {operation.result for operation in container.explain()} == {"ok"}


REFUSED = [
    # (the verb of kernel.netlink that is refused, the operation that tells of it)
    ("find", "network"),
    ("add_veth", "veth"),
    ("configure", "network"),
]


@pytest.mark.parametrize(("verb", "operation"), REFUSED)
def test_of_a_failed_network_its_own_operation_is_told_and_none_follows(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, verb: str, operation: str
) -> None:
    engine.containers.run("lab/base", ["true"], remove=True)

    def refuse(*arguments: object, **keywords: object) -> None:
        raise KernelFailed("netlink", errno.EPERM, verb)

    container = engine.containers.create("lab/base", ["true"])
    monkeypatch.setattr(Netlink, verb, refuse)
    with pytest.raises(KernelFailed):
        container.start()
    monkeypatch.undo()
    *done, failed = container.explain()
    assert (failed.name, failed.by) == (operation, "engine")
    assert "operation not permitted" in failed.result
    assert {each.result for each in done} == {"ok"}
    assert all(each.duration_us is not None for each in done if each.by == "init")
    assert "network_wait" not in names(container.explain())
    assert "network_offer" in names(container.explain())


@pytest.mark.needs("root", "network")
def test_of_a_message_that_the_kernel_refuses_the_message_is_told(engine: Engine) -> None:
    """The gateway's address is taken away from the plan of the network, so that the default route leads nowhere."""
    engine.containers.run("lab/base", ["true"], remove=True)
    container = engine.containers.create("lab/base", ["true"])
    row = engine.store.records.find_network("bridge")
    assert row is not None
    document = {**json.loads(row.document), "gateway": "203.0.113.1"}
    engine.store.records.remove_network("bridge")
    engine.store.records.put_network(replace(row, document=json.dumps(document)))
    with pytest.raises(LabError):
        container.start()
    failed = container.explain()[-1]
    assert (failed.name, failed.values["gateway"], failed.result) == ("route", "203.0.113.1", "network is unreachable")


def test_the_command_explains_a_container_by_name(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["true"], detach=True, network="none", name="told")
    container.wait()
    shown = say(engine, "explain", "told")
    assert repr(shown) == repr(container.explain())
    for wanted in ("# docker run -d --name told --network none lab/base true", "pivot_root(2)", "execve(2)", "operations made told in"):
        assert wanted in repr(shown)
    with pytest.raises(NotFound, match="no such container: nobody"):
        say(engine, "explain", "nobody")


def test_what_the_creation_did_is_told_first(engine: Engine, tmp_path: Path) -> None:
    container = engine.containers.create("lab/base", ["true"], network="none", volumes=["named:/etc", "/nameless"])
    assert len(container.explain()) == 0, "nothing has been started"
    container.start().wait()
    first, *others = container.explain()
    assert (first.name, first.man_page, first.values["path"].endswith(container.id)) == ("make_directories", "mkdir(2)", True)
    made = [(operation.name, operation.by, operation.result) for operation in others[:3]]
    assert made == [("make_volume", "engine", "ok"), ("copy_up", "engine", "ok"), ("make_volume", "engine", "ok")]
    copied = others[1]
    assert (copied.values["source"], copied.values["target"].endswith("/named/_data")) == ("/etc", True)
    assert all(operation.duration_us is not None for operation in (first, *others[:3]))
    again = engine.containers.run("lab/base", ["true"], network="none", volumes=["named:/etc"], detach=True)
    again.wait()
    assert not {"make_volume", "copy_up"} & set(names(again.explain())), "it is there and full"
    assert names(engine.containers.get(container.name).explain()) == names(container.explain()), "another engine reads the same"


def test_the_files_of_etc_are_told_each_with_its_page(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["true"], network="none", detach=True)
    container.wait()
    files = [operation for operation in container.explain() if operation.name == "etc_file"]
    assert [operation.man_page for operation in files] == ["hostname(5)", "hosts(5)", "resolv.conf(5)"]
    assert all(operation.values["path"].startswith(str(engine.store.paths.root)) for operation in files)


@pytest.mark.needs("root", "cgroups")
def test_rules_for_devices_are_told_as_they_reach_the_kernel(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["true"], network="none", devices=["/dev/null:/dev/mine"], detach=True)
    container.wait()
    by_name = {name: [operation for operation in container.explain() if operation.name == name] for name in names(container.explain())}
    if os.path.isdir("/sys/fs/cgroup/devices"):
        rules = [(operation.values["path"].rpartition("/")[2], operation.values["value"]) for operation in by_name["device_rule"]]
        assert rules[0] == ("devices.deny", "a")
        assert ("devices.allow", "c 1:3 rwm") in rules
        assert by_name["make_cgroups"][-1].values["paths"] == [by_name["device_rule"][0].values["path"].removesuffix("/devices.deny")]
    else:
        (loaded,) = by_name["device_filter"]
        assert (loaded.man_page, "c 1:3 rwm" in loaded.values["rules"]) == ("bpf(2)", True)


def test_each_port_has_a_socket_with_a_time_and_one_process_passes_on(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "1000"], detach=True, ports=["127.0.0.1:0:80", "127.0.0.1:0:81"])
    listens = [operation for operation in container.explain() if operation.name == "listen"]
    assert [operation.values["to"] for operation in listens] == [80, 81]
    assert all(operation.duration_us is not None for operation in listens)
    forward = container.explain()[-1]
    assert (forward.name, forward.by) == ("forward", "shim")
    assert forward.values["ports"] == [[port.host_port, port.container_port] for port in container.ports]
    assert forward.duration_us is not None


@pytest.mark.needs("network")
def test_the_first_container_on_the_bridge_tells_how_the_bridge_was_made(engine: Engine) -> None:
    first = engine.containers.run("lab/base", ["sleep", "1000"], detach=True)
    second = engine.containers.run("lab/base", ["sleep", "1000"], detach=True)
    told = [operation for operation in first.explain() if operation.man_page in ("rtnetlink(7)", "veth(4)") and operation.by == "engine"]
    bridge = next(operation.values["bridge"] for operation in told if operation.name == "veth")
    assert [(operation.name, operation.values.get("interface")) for operation in told] == [
        ("bridge", bridge), ("address", bridge), ("link_up", bridge), ("veth", None),
        ("address", "eth0"), ("link_up", "eth0"), ("link_up", "lo"), ("route", None),
    ]  # fmt: skip
    assert all(operation.duration_us is not None for operation in told)
    assert "bridge" not in names(second.explain())
    assert "veth" in names(second.explain())


def test_a_namespace_of_another_container_is_joined_by_setns(engine: Engine) -> None:
    owner = engine.containers.run("lab/base", ["sleep", "1000"], detach=True, name="owner", network="none")
    guest = engine.containers.run("lab/base", ["true"], detach=True, network="container:owner", pid_mode="container:owner")
    guest.wait()
    joined = next(operation for operation in guest.explain() if operation.name == "join_namespaces")
    assert (joined.man_page, joined.by, joined.values["owner"]) == ("setns(2)", "shim", owner.name)
    assert "CLONE_NEWNET" in joined.arguments
    assert "CLONE_NEWPID" in joined.arguments


@pytest.mark.needs("cgroups")
def test_limits_are_told_as_the_files_that_were_written(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["true"], detach=True, network="none", mem_limit="64m", pids_limit=50)
    container.wait()
    limits = {
        operation.values["path"].rpartition("/")[2]: operation.values["value"]
        for operation in container.explain()
        if operation.name == "limit"
    }
    assert limits["pids.max"] == "50"
    assert limits.get("memory.max", limits.get("memory.limit_in_bytes")) == str(64 << 20)
    groups = next(operation for operation in container.explain() if operation.name == "make_cgroups")
    assert all(container.id in path for path in groups.values["paths"])
    assert all(operation.duration_us is not None for operation in container.explain() if operation.name == "limit")


def test_the_network_is_told_where_init_waits_for_it(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "1000"], detach=True, ports=["127.0.0.1:0:80"])
    found = container.explain()
    address = container.inspect()["NetworkSettings"]["IPAddress"]
    inside = [operation for operation in found if operation.values.get("inside") is True]
    assert inside[0].values["address"].startswith(f"{address}/")
    assert [operation.name for operation in inside] == ["address", "link_up", "link_up", "route"]
    before, after = names(found)[: names(found).index("network_wait")], names(found)[names(found).index("network_wait") :]
    assert before[-8:] == ["veth", "address", "link_up", "link_up", "route", "etc_file", "etc_file", "etc_file"]
    assert after[-1] == "forward"
    listen = next(operation for operation in found if operation.name == "listen")
    assert (listen.values["port"], listen.values["to"]) == (container.ports[0].host_port, 80)


def by_hand(container: Container, folder: Path, *, network: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the script of a container that has ended, and take the control groups away that it has made."""
    (folder / "by-hand.sh").write_text(container.explain().shell)
    veth = next((operation.values["outside"] for operation in container.explain() if operation.name == "veth"), None)
    assert (veth is not None) == network
    if veth is not None:
        until(lambda: not os.path.exists(f"/sys/class/net/{veth}"), what="the end of the container's own interface")
    command = ["sh", str(folder / "by-hand.sh")]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        for operation in container.explain():
            if operation.name == "limit":
                assert Path(operation.values["path"]).read_text().strip() == operation.values["value"], operation.values["path"]
        return answer
    finally:
        for operation in container.explain():
            for path in operation.values["paths"] if operation.name == "make_cgroups" else ():
                os.rmdir(path)


LOOK = (
    "hostname; cat /proc/1/comm; ls / /dev /proc/sys/net; pwd; umask; wc -l < /proc/self/cgroup; "
    "grep -E '^(Cap|Groups|Uid|Gid)' /proc/self/status"
)
MOUNTS = "sed 's/^[0-9]* [0-9]* [0-9:]* //; s/ - / /; s/[a-z]*dir=[^ ]*//g; s/ volatile//' /proc/self/mountinfo | cut -d' ' -f2,3,5"
FILES = {
    "file": "a file\n",
    "data/file": "a file of a folder\n",
    "passwd": "root:x:0:0::/root:/bin/sh\nme:x:501:20::/home/me:/bin/sh\n",
    "group": "root:x:0:\nsound:x:29:you,me\nfilm:x:30:me,root\nmen:x:31:men\n",
}
BY_HAND = [
    # (options, what the program looks at)
    ({"hostname": "byhand", "working_dir": "/tmp", "tmpfs": ["/run:size=1m"]}, MOUNTS),
    ({"user": "1000"}, "id -u; id -g; echo $HOME; touch /refused || echo refused"),
    ({"user": "me", "group_add": ["sound", "77"], "volumes": ["HERE/passwd:/etc/passwd", "HERE/group:/etc/group"]},
     "id -u; id -g; id -G; echo $HOME"),
    ({"user": "501", "volumes": ["HERE/passwd:/etc/passwd", "HERE/group:/etc/group"]}, "id -u; id -g; id -G; echo $HOME"),
    ({"volumes": ["HERE/group:/etc/group"]}, "id -G; echo $HOME"),
    ({"user": "12:34"}, "id -u; id -g; id -G; echo $HOME"),
    ({"user": "0:sound", "environment": {"A": "1 '2'", "PATH": "/bin"}, "volumes": ["HERE/group:/etc/group"]}, "id -g; id -G; echo $A"),
    ({"volumes": ["HERE/data:/data", "HERE/data:/see:ro", "HERE/file:/new/file:ro", "VOLUME:/var", "/nameless"]},
     "cat /data/file /new/file; echo 2 > /see/x || echo refused; echo 2 > /new/file || echo refused; ls /var; echo 3 > /nameless/x; "
     + MOUNTS),
    ({"mounts": ["type=image,source=lab/base,target=/img,image-subpath=etc"]}, "ls /img; touch /img/x || echo refused; " + MOUNTS),
    ({"mem_limit": "128m", "pids_limit": 60, "cpus": 0.5, "cpuset_cpus": "0", "cpu_shares": 512},
     "grep Cpus_allowed_list /proc/self/status"),
    ({"cap_drop": ["ALL"]}, "chown 1 /tmp || echo refused"),
    ({"cap_drop": ["ALL"], "user": "nobody", "working_dir": "/var"}, "id -u; id -G"),
    ({"cap_add": ["NET_ADMIN", "SYS_TIME"], "cap_drop": ["CHOWN"]}, "chown 1 /tmp || echo refused"),
    ({"cap_drop": ["SYS_CHROOT"], "security_opt": ["no-new-privileges"]}, "grep NoNewPrivs /proc/self/status"),
    ({"devices": ["/dev/null:/dev/mine:rw", "/dev/zero:/elsewhere/zero"]},
     "stat -c '%t:%T %a %u' /dev/mine /elsewhere/zero; echo x > /dev/mine; head -c 3 /elsewhere/zero | wc -c"),
    ({"cap_add": ["MKNOD"], "device_cgroup_rules": ["c 1:11 r"]},
     "rm -f /tmp/kmsg; mknod /tmp/kmsg c 1 11 && stat -c %t:%T /tmp/kmsg"),
    ({"read_only": True, "tmpfs": ["/tmp"]}, "touch /x || echo refused; touch /tmp/x && stat -c %a /tmp; " + MOUNTS),
    ({"sysctls": {"net.core.somaxconn": "77", "kernel.shmmax": "12345"}}, "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmax"),
    ({"domainname": "lab.example", "oom_score_adj": 300, "ulimits": ["nofile=100:200", "core=0", "nproc=500"]},
     "cat /proc/sys/kernel/domainname /proc/self/oom_score_adj /proc/self/limits"),
    ({"tmpfs": ["/a:mode=700,uid=5", "/tmp:exec,size=8k"]}, "stat -c '%a %u' /a /tmp; df -k /tmp | tail -n1; " + MOUNTS),
    ({"privileged": True}, "ls /proc/sys | wc -l"),
    ({"security_opt": ["systempaths=unconfined"]}, MOUNTS),
    ({"ipc_mode": "host", "uts_mode": "host", "cgroupns": "host"}, "readlink /proc/self/ns/ipc /proc/self/ns/uts"),
    ({"shm_size": "4m", "init": True}, "df -k /dev/shm | tail -n1"),
]  # fmt: skip


@pytest.mark.needs("root", "network")
@pytest.mark.parametrize(("options", "look"), BY_HAND, ids=[", ".join(options) for options, _ in BY_HAND])
def test_the_shell_script_makes_the_same_container_by_hand(engine: Engine, tmp_path: Path, options: dict[str, Any], look: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "data").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    engine.volumes.create("kept")
    given = dict(options)
    if "volumes" in given:
        given["volumes"] = [text.replace("HERE", str(tmp_path)).replace("VOLUME", "kept") for text in given["volumes"]]
    container = engine.containers.run("lab/base", ["sh", "-c", f"{LOOK}; {look}"], detach=True, network="none", **given)
    container.wait()
    expected = container.logs(stderr=False).text
    answer = by_hand(container, tmp_path)
    if "init" in options:
        assert "lab-init" in expected
        expected = expected.replace("lab-init", "sh")
    assert answer.stdout == expected, answer.stderr
    assert answer.returncode == container.wait(), answer.stderr


@pytest.mark.needs("root", "cgroups v1")
def test_the_shell_script_denies_the_devices_that_the_engine_denies(engine: Engine, tmp_path: Path) -> None:
    # nobody has these: the kernel says so where the control group lets one ask
    look = "for minor in 250 251; do mknod /dev/x$minor c 10 $minor; cat /dev/x$minor 2>&1; done; echo >> /dev/x250"
    options: dict[str, Any] = {"cap_add": ["MKNOD"], "device_cgroup_rules": ["c 10:250 r"]}
    container = engine.containers.run("lab/base", ["sh", "-c", f"({look}) 2>&1"], detach=True, network="none", **options)
    container.wait()
    answer = by_hand(container, tmp_path)
    assert answer.stdout == container.logs(stderr=False).text, answer.stderr
    first, *others = answer.stdout.splitlines()
    assert "o such device" in first
    assert ["ermission denied" in line or "not permitted" in line for line in others] == [True, True], others


@pytest.mark.needs("root", "network")
def test_the_shell_script_makes_the_same_bridge_network_by_hand(engine: Engine, tmp_path: Path) -> None:
    gateway = "$(awk '$2 == \"00000000\" { print $3 }' /proc/net/route)"
    look = f"cat /sys/class/net/eth0/address /sys/class/net/lo/flags /proc/net/route; grep -c eth0 /proc/net/if_inet6; echo {gateway}"
    container = engine.containers.run(
        "lab/base", ["sh", "-c", look], detach=True, ports=["127.0.0.1:0:80"], mac_address="02:42:00:00:00:07"
    )
    container.wait()
    bridge = next(operation.values["bridge"] for operation in container.explain() if operation.name == "veth")
    until(lambda: not os.path.exists(f"/sys/class/net/{bridge}"), "the bridge is gone")
    answer = by_hand(container, tmp_path, network=True)
    assert answer.stdout == container.logs(stderr=False).text, answer.stderr
    assert "02:42:00:00:00:07" in answer.stdout
    until(lambda: not os.path.exists(f"/sys/class/net/{bridge}"), "the bridge of the script is gone")


@pytest.mark.needs("root", "network")
def test_the_script_leaves_a_bridge_alone_that_is_there(engine: Engine, tmp_path: Path) -> None:
    engine.containers.run("lab/base", ["sleep", "1000"], detach=True, name="other")
    container = engine.containers.run("lab/base", ["cat", "/proc/net/route"], detach=True)
    container.wait()
    answer = by_hand(container, tmp_path, network=True)
    assert answer.stdout == container.logs(stderr=False).text, answer.stderr
    bridge = next(operation.values["bridge"] for operation in container.explain() if operation.name == "veth")
    assert os.path.exists(f"/sys/class/net/{bridge}")


NOT_DONE = [
    # (options, the beginning of a comment)
    ({}, "pivot_root(2)"),
    ({}, "a filter of "),
    ({}, "a session keyring"),
    ({"tty": True}, "a pseudo-terminal"),
    ({"init": True}, "the engine's small init is number 1"),
    ({"network": "container:owner"}, "the network namespace of the container owner is joined"),
    ({"ipc_mode": "container:owner"}, "/dev/shm is that of the container"),
]


@pytest.mark.parametrize(("options", "comment"), NOT_DONE)
def test_what_the_script_cannot_do_it_says(engine: Engine, options: dict[str, Any], comment: str) -> None:
    engine.containers.run("lab/base", ["sleep", "1000"], detach=True, name="owner", network="none", ipc_mode="shareable")
    container = engine.containers.run("lab/base", ["true"], detach=True, **{"network": "none", **options})
    container.wait()
    assert any(line.startswith(f"# not done: {comment}") for line in container.explain().shell.splitlines())


def everything_in(store: Store) -> set[str]:
    return {str(path) for path in store.paths.root.rglob("*") if "sqlite" not in path.name and not path.name.startswith("seccomp")}


def test_a_dry_run_plans_everything_and_makes_nothing(engine: Engine) -> None:
    engine.containers.run("lab/base", ["true"], network="none", remove=True)
    until(lambda: not list(engine.store.paths.trash.iterdir()), "what the first one left is gone")
    before, events = everything_in(engine.store), list(engine.events.read())
    planned = say(engine, "run", "--dry-run", "-m", "64m", "-p", "8080:80", "-v", "data:/data", "--name", "web", "lab/base", "sleep", "9")
    assert planned.planned
    assert {"overlay", "pivot", "seccomp", "exec"} <= set(names(planned))
    assert {operation.result for operation in planned} == {"planned"}
    assert {operation.duration_us for operation in planned} == {None}
    assert repr(planned).endswith("operations would make web; nothing was done")
    assert planned.docker == "docker run --name web -v data:/data -m 67108864 -p 0.0.0.0:8080:80 lab/base sleep 9"
    assert any(operation.name == "bind" and operation.values["target"] == "/data" for operation in planned)
    assert everything_in(engine.store) - before <= {str(engine.store.paths.root / "containers")}
    assert list(engine.events.read()) == events
    assert engine.containers.list(all=True) == []
    assert engine.volumes.list() == []


RUNS: list[dict[str, Any]] = [
    {"network": "none", "read_only": True, "user": "0:0", "cap_drop": ["ALL"]},
    {"network": "none", "volumes": ["named:/etc", "/nameless"], "tmpfs": ["/run"]},
    {"ports": ["127.0.0.1:0:80", "127.0.0.1:0:81"], "mem_limit": "64m", "pids_limit": 50},
    {"network": "none", "devices": ["/dev/null:/dev/mine"], "tty": True, "init": True, "hostname": "h"},
]


@pytest.mark.parametrize("options", RUNS, ids=lambda options: ", ".join(options))
def test_a_dry_run_is_what_the_run_then_does(engine: Engine, options: dict[str, Any]) -> None:
    planned = engine.containers.plan("lab/base", ["true"], **options)
    container = engine.containers.create("lab/base", ["true"], **options)
    container.start().wait()
    assert names(planned) == names(container.explain())
    for said, done in zip(planned, container.explain(), strict=True):
        assert set(said.values) == set(done.values), said.name


def test_a_dry_run_refuses_what_the_run_would_refuse(engine: Engine) -> None:
    with pytest.raises(NotFound, match="no/such"):
        say(engine, "run", "--dry-run", "no/such", "true")
    with pytest.raises(InvalidArgument, match="memory"):
        say(engine, "run", "--dry-run", "-m", "1k", "lab/base", "true")
    with pytest.raises(NotFound, match="nobody"):
        say(engine, "run", "--dry-run", "--network", "container:nobody", "lab/base", "true")
