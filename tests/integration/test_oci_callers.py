"""What callers of other runtimes rely on, and the specification leaves open or says in passing: each was found by their own test suites."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from labcontainers.bundles.__main__ import main
from labcontainers.version import __version__
from tests.fakes.bundle import TOP, Bundle, until

pytestmark = pytest.mark.needs("busybox")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path)


def test_installed_command_is_this_one() -> None:
    (entry,) = entry_points(group="console_scripts", name="labcontainers-oci")
    assert entry.load() is main
    script = Path(sysconfig.get_path("scripts")) / "labcontainers-oci"
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    done = subprocess.run([script, "--version"], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(f"labcontainers-oci version {__version__}\n")
    assert script.read_text().startswith(f"#!{sys.executable}")


def test_process_without_a_user_is_root(bundle: Bundle) -> None:
    del bundle.config["process"]["user"]
    assert bundle.output("id -u; id -g") == "0\n0\n"
    bundle.says("sleep 100").call("run", "-d", "one")
    (bundle.path / "process.json").write_text(json.dumps({"args": ["/bin/id", "-u"], "cwd": "/"}))
    assert bundle.call("exec", "--process", "process.json", "one").stdout == "0\n"
    bundle.call("delete", "-f", "one")


@pytest.mark.parametrize("hook", [{}, {"env": []}, {"env": ["SEEN=own"]}])
def test_hook_without_an_environment_has_that_of_the_caller(bundle: Bundle, hook: dict[str, list[str]]) -> None:
    script = f"echo ${{SEEN-none}} > {bundle.path}/seen"
    bundle.config["hooks"] = {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", script], **hook}]}
    bundle.says("true").run(env={"SEEN": "caller"})
    wanted = {"None": "caller", "[]": "none"}.get(str(hook.get("env")), "own")
    assert (bundle.path / "seen").read_text() == f"{wanted}\n"


def test_hook_in_the_container_is_confined_as_the_program(bundle: Bundle) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    script = "exec 2>&1; mkdir /dev/shm/x; grep -e ^NoNewPrivs -e ^CapPrm /proc/self/status; exit 1"
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]}
    bundle.config["process"]["capabilities"] = {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]}
    for privileges, seen in ((True, "CapPrm: 0000000000000020 NoNewPrivs: 1"), (False, "CapPrm: 0000000000000020 NoNewPrivs: 0")):
        bundle.config["process"]["noNewPrivileges"] = privileges
        told = bundle.says("true").run(ok=False).stderr
        assert "not supported" in told
        assert seen in told
    bundle.config["hooks"]["startContainer"][0] = {"path": "/bin/nothing"}
    assert "/bin/nothing cannot be run: no such file" in bundle.run(ok=False).stderr


def test_missing_working_directory_is_made(bundle: Bundle) -> None:
    bundle.config["process"]["cwd"] = "/var/lib/new"
    assert bundle.output("pwd") == "/var/lib/new\n"
    assert (bundle.rootfs / "var/lib/new").is_dir()


@pytest.mark.needs("root")
def test_working_directory_may_be_one_that_the_user_may_not_enter(bundle: Bundle) -> None:
    (bundle.rootfs / "home").mkdir(mode=0o700)
    bundle.config["process"] |= {"cwd": "/home", "user": {"uid": 42, "gid": 42}}
    assert bundle.output("readlink /proc/self/cwd; ls /home || echo denied") == "/home\ndenied\n"
    # without CAP_DAC_OVERRIDE root may not enter the folder of another user
    os.chown(bundle.rootfs / "home", 42, 42)
    bundle.says("sleep 100").call("run", "-d", "one")
    assert bundle.call("exec", "--user", "0", "one", "readlink", "/proc/self/cwd").stdout == "/home\n"
    bundle.call("delete", "-f", "one")


def test_descriptors_that_are_not_there_are_no_fault(bundle: Bundle) -> None:
    read, write = os.pipe()
    far = os.dup2(read, 30)
    done = bundle.says("ls -l /proc/self/fd").run(flags=("--preserve-fds", "40"), pass_fds=(far,))
    for fd in (read, write, far):
        os.close(fd)
    found = {int(line.split()[-3]) for line in done.stdout.splitlines() if " -> " in line}
    # 3 is the folder that ls reads; nothing of the runtime's own is there
    assert found - {3} == {0, 1, 2, 30}


def test_sockets_of_a_service_manager_are_handed_on(bundle: Bundle) -> None:
    with open("/dev/null") as null:
        os.dup2(null.fileno(), fd := 3) if null.fileno() != 3 else (fd := 3)
        done = bundle.says("echo $LISTEN_FDS $LISTEN_PID; readlink /proc/self/fd/3").run(env={"LISTEN_FDS": "1"}, pass_fds=(fd,))
    assert done.stdout == "1 1\n/dev/null\n"


def test_read_only_tmpfs_has_what_belongs_in_it(bundle: Bundle) -> None:
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/dev":
            mount["options"].append("ro")
    assert bundle.output("test -c /dev/null && test -d /dev/pts && touch /dev/x 2> /dev/null || echo refused") == "refused\n"


def test_mount_point_behind_a_link_that_leads_nowhere_is_made(bundle: Bundle) -> None:
    (bundle.rootfs / "etc/there").symlink_to("../new/place")
    (bundle.rootfs / "etc/up").symlink_to("/../../etc/there/below")
    (bundle.rootfs / "etc/round").symlink_to("round")
    bundle.config["mounts"].append({"destination": "/etc/up", "type": "tmpfs", "source": "tmpfs", "options": []})
    assert bundle.output("grep -c /new/place/below /proc/self/mountinfo") == "1\n"
    bundle.config["mounts"][-1]["destination"] = "/etc/round"
    assert "symbolic links" in bundle.run(ok=False).stderr


@pytest.mark.needs("root")
def test_devices_of_a_user_namespace_are_made_outside(bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    rows = [{"containerID": 0, "hostID": 0, "size": 10}, {"containerID": 10, "hostID": 70010, "size": 2}]
    bundle.config["linux"] |= {"uidMappings": rows, "gidMappings": rows}
    node = {"path": "/dev/own", "type": "c", "major": 1, "minor": 5, "fileMode": 0o644, "uid": 10, "gid": 11}
    bundle.config["linux"]["devices"] = [node]
    bundle.config["linux"]["resources"]["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"})
    assert bundle.output("stat -c '%u:%g %a %F' /dev/own; head -c 3 /dev/own | wc -c") == "10:11 644 character special file\n3\n"
    assert bundle.nothing_left()
    node["uid"] = 20
    assert "has no id 20" in bundle.run(ok=False).stderr
    assert bundle.nothing_left()


@pytest.mark.needs("root")
def test_without_pivot_the_hosts_proc_is_gone(bundle: Bundle) -> None:
    (bundle.rootfs / "bin/unshare").symlink_to("busybox")
    # a user namespace may mount a proc of its own only where another one is there in full
    bundle.says("unshare -Urmpf sh -c 'mount -t proc none /mnt' 2> /dev/null && echo mounted || echo refused")
    bundle.config["process"]["capabilities"]["bounding"].append("CAP_SETFCAP")  # for the ids of that namespace (Linux 5.12)
    bundle.config["process"]["capabilities"]["permitted"].append("CAP_SETFCAP")
    for flags in ((), ("--no-pivot",)):
        assert bundle.run(flags=flags).stdout == "refused\n"
    assert os.path.isdir("/proc/self")
    assert os.path.isdir("/sys/kernel")
    bundle.config["linux"] |= {"maskedPaths": [], "readonlyPaths": []}
    assert bundle.run().stdout == "mounted\n"


def test_signal_0_asks_whether_it_runs(bundle: Bundle) -> None:
    bundle.says("sleep 100").call("run", "-d", "one")
    bundle.call("kill", "one", "0")
    assert bundle.state()["status"] == "running"
    bundle.call("kill", "one", "KILL")
    bundle.wait("stopped")
    assert "not running" in bundle.call("kill", "one", "0", ok=False).stderr
    # all of none
    bundle.call("kill", "--all", "one", "0")
    assert bundle.call("ps", "--format", "json", "one").stdout == "[]\n"
    assert len(bundle.call("ps", "one").stdout.splitlines()) == 1
    bundle.call("delete", "one")


def test_lists_for_programs_are_one_line(bundle: Bundle) -> None:
    bundle.config["annotations"] = {"a": "b"}
    bundle.says("sleep 100").call("run", "-d", "one")
    (line,) = bundle.call("list", "--format", "json").stdout.splitlines()
    (row,) = json.loads(line)
    assert list(row) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"]
    assert bundle.call("ps", "-f", "json", "one").stdout.startswith(f"[{row['pid']}")
    bundle.call("delete", "-f", "one")


def test_many_are_deleted_by_a_regular_expression(bundle: Bundle) -> None:
    bundle.says("sleep 100")
    for container_id in ("web-1", "web-2", "other"):
        bundle.call("run", "-d", container_id)
    assert "not stopped" in bundle.call("delete", "--regex", "^web", ok=False).stderr
    bundle.call("delete", "--force", "--regex", "^web")
    assert bundle.call("list", "-q").stdout == "other\n"
    assert "no regular expression" in bundle.call("delete", "--regex", "(", ok=False).stderr
    bundle.call("delete", "--force", "--regex", ".")
    assert bundle.nothing_left()


def test_what_is_done_is_told_when_asked(bundle: Bundle) -> None:
    done = bundle.says("true").call("--debug", "run", "one")
    assert done.stderr.count("level=debug msg=") >= 3
    bundle.call("--debug", "--log", "log", "--log-format", "json", "run", "one")
    lines = [json.loads(line) for line in (bundle.path / "log").read_text().splitlines()]
    assert {line["level"] for line in lines} == {"debug"}


@pytest.mark.needs("ordinary user")
def test_device_of_the_host_must_be_the_one_that_is_wanted(bundle: Bundle) -> None:
    node = {"path": "/dev/zero", "type": "c", "major": 1, "minor": 5}
    bundle.config["linux"]["devices"] = [node]
    assert bundle.output("head -c 3 /dev/zero | wc -c") == "3\n"
    node["minor"] = 3
    assert "is not the device c 1:3" in bundle.run(ok=False).stderr


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("cgroup", "ipc"), ("ipc", "mnt"), ("mount", "net"), ("network", "pid"), ("pid", "user"), ("user", "uts"), ("uts", "cgroup")],
)
def test_namespace_of_another_kind_is_refused(bundle: Bundle, kind: str, wrong: str) -> None:
    spaces = [space for space in bundle.config["linux"]["namespaces"] if space["type"] != kind]
    bundle.config["linux"]["namespaces"] = [*spaces, {"type": kind, "path": f"/proc/self/ns/{wrong}"}]
    done = bundle.says("echo ran").run(ok=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert bundle.nothing_left()


def test_unknown_words_are_ignored_and_wrong_values_are_not(bundle: Bundle) -> None:
    bundle.config |= {"unknown": "unknown", "annotations": {"org.nobody.knows": ""}}
    assert bundle.output("echo ran") == "ran\n"
    bundle.config["ociVersion"] = "invalid"
    assert "ociVersion" in bundle.run(ok=False).stderr


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_checkpoints_are_refused(bundle: Bundle, verb: str) -> None:
    done = bundle.call(verb, "one", ok=False)
    assert done.returncode == 1
    assert f"{verb} is not supported" in done.stderr


def test_terminal_without_anybody_is_told_what_to_do(bundle: Bundle) -> None:
    bundle.config["process"]["terminal"] = True
    assert "use --console-socket" in bundle.call("run", "-d", "one", ok=False).stderr


@pytest.mark.needs("root", "cgroups")
class TestGroups:
    """Control groups, which root makes."""

    V1 = Path("/sys/fs/cgroup/memory").is_dir()

    def _group(self, controller: str, name: str = "") -> Path:
        return Path("/sys/fs/cgroup", *([controller] if self.V1 else []), f"labcontainers-callers-{os.getpid()}", name)

    def _bundle(self, bundle: Bundle) -> Bundle:
        bundle.config["linux"]["cgroupsPath"] = f"/labcontainers-callers-{os.getpid()}/group"
        return bundle.says("sleep 100")

    def test_limits_of_memory_are_lifted_together(self, bundle: Bundle) -> None:
        self._bundle(bundle).config["linux"]["resources"]["memory"] = {"limit": 64 << 20, "swap": 64 << 20}
        bundle.call("run", "-d", "one")
        bundle.call("update", "--memory", "-1", "one")
        name = "memory.memsw.limit_in_bytes" if self.V1 else "memory.swap.max"
        assert (self._group("memory", "group") / name).read_text().strip() in ("max", str(2**63 - 4096))
        bundle.call("delete", "-f", "one")

    def test_shorter_period_fits_into_the_limit_of_the_group_above(self, bundle: Bundle) -> None:
        self._bundle(bundle).config["linux"]["resources"]["cpu"] = {"quota": 500_000, "period": 1_000_000}
        bundle.call("run", "-d", "one")
        if self.V1:
            (self._group("cpu") / "cpu.cfs_quota_us").write_text("50000")
        bundle.call("update", "--cpu-period", "10000", "--cpu-quota", "3000", "one")
        bundle.call("update", "--cpu-period", "20000", "--cpu-quota", "9000", "one")
        name = "cpu.cfs_quota_us" if self.V1 else "cpu.max"
        assert (self._group("cpu", "group") / name).read_text().split()[0] == "9000"
        bundle.call("delete", "-f", "one")

    def test_exec_enters_a_group_within(self, bundle: Bundle) -> None:
        self._bundle(bundle).call("run", "-d", "one")
        inner = self._group("memory", "group/inner")
        inner.mkdir()
        flag = "memory:inner" if self.V1 else "inner"
        entering = bundle.command("exec", "--cgroup", flag, "--pid-file", "pid", "one", "sleep", "100")
        within = subprocess.Popen(entering, cwd=bundle.path, env={**os.environ, "PYTHONPATH": str(TOP)})
        until((bundle.path / "pid").exists)
        assert (bundle.path / "pid").read_text() in (inner / "cgroup.procs").read_text().split()
        if self.V1:
            assert (bundle.path / "pid").read_text() in (self._group("cpu", "group") / "cgroup.procs").read_text().split()
        for wrong, why in (("..", "not a sub cgroup"), ("none", "no such file"), ("what:/", "unknown controller what")):
            assert why in bundle.call("exec", "--cgroup", wrong, "one", "true", ok=False).stderr
        bundle.call("exec", "--cgroup", "/", "one", "true")
        bundle.call("delete", "-f", "one")
        assert within.wait(60) == 137
        assert not self._group("memory").exists()

    def test_events_tell_numbers_and_a_lack_of_memory(self, bundle: Bundle) -> None:
        self._bundle(bundle).config["linux"]["resources"]["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
        bundle.call("run", "-d", "one")
        (line,) = bundle.call("events", "--stats", "one").stdout.splitlines()
        told = json.loads(line)
        assert (told["type"], told["id"]) == ("stats", "one")
        assert told["data"]["memory"]["usage"]["limit"] == 32 << 20
        assert 0 < told["data"]["memory"]["usage"]["usage"] <= 32 << 20
        assert told["data"]["pids"]["current"] == 1
        assert told["data"]["cpu"]["usage"]["total"] > 0
        with open(bundle.path / "events", "w") as out:
            environment = {**os.environ, "PYTHONPATH": str(TOP)}
            watching = subprocess.Popen(bundle.command("events", "--interval", "50ms", "one"), stdout=out, env=environment)
            events = bundle.path / "events"
            until(lambda: '"stats"' in events.read_text())
            bundle.call("exec", "one", "sh", "-c", "x=$(cat /dev/zero | tr '\\0' x)", ok=False)
            until(lambda: '{"type":"oom","id":"one"}' in events.read_text().splitlines())
            # it ends with the container
            bundle.call("delete", "-f", "one")
            assert watching.wait(60) == 0
        assert "does not exist" in bundle.call("events", "one", ok=False).stderr
        assert "is not above 0" in bundle.call("events", "--interval", "0s", "one", ok=False).stderr

    def test_frozen_group_is_refused(self, bundle: Bundle) -> None:
        group = self._group("freezer", "group")
        group.mkdir(parents=True)
        file, frozen, thawed = ("freezer.state", "FROZEN", "THAWED") if self.V1 else ("cgroup.freeze", "1", "0")
        try:
            (group / file).write_text(frozen)
            assert "is frozen" in self._bundle(bundle).run(ok=False).stderr
            assert bundle.nothing_left()
        finally:
            (group / file).write_text(thawed)
            group.rmdir()
            group.parent.rmdir()

    def test_group_that_the_container_did_not_make_is_kept(self, bundle: Bundle) -> None:
        other = self._group("pids", "other")
        other.mkdir(parents=True)
        try:
            self._bundle(bundle).call("create", "one")
            (other / "cgroup.procs").write_text(str(bundle.state()["pid"]))
            bundle.call("start", "one")
            bundle.call("kill", "one", "KILL")
            bundle.wait("stopped")
            bundle.call("delete", "one")
            assert other.is_dir()
        finally:
            other.rmdir()
            other.parent.rmdir()

    def test_who_was_frozen_elsewhere_can_be_deleted(self, bundle: Bundle) -> None:
        self._bundle(bundle).call("run", "-d", "one")
        elsewhere = self._group("freezer", "elsewhere")
        elsewhere.mkdir()
        if self.V1:
            (elsewhere / "cgroup.procs").write_text(str(bundle.state()["pid"]))
            (elsewhere / "freezer.state").write_text("FROZEN")
        bundle.call("delete", "--force", "one")
        elsewhere.rmdir()
        assert bundle.nothing_left()
        if self._group("freezer").exists():
            self._group("freezer").rmdir()
