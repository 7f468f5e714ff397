"""The life of an OCI container by the runtime command: each verb on real bundles, and nothing left when anything fails."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.oci.runtime_spec import VERSION
from tests.fakes.bundle import Bundle, until

pytestmark = pytest.mark.needs("busybox")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path)


def test_run_gives_the_exit_code_and_leaves_nothing(bundle: Bundle) -> None:
    done = bundle.says("echo hello; echo wrong >&2; exit 7").run(ok=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "hello\n", "wrong\n")
    assert bundle.nothing_left()


def test_run_of_a_killed_program_gives_128_and_the_signal(bundle: Bundle) -> None:
    # process 1 of a pid namespace is not killed by a signal of its own
    assert bundle.says("sh -c 'kill -9 $$'; exit $?").run(ok=False).returncode == 137


def test_program_runs_only_after_start(bundle: Bundle) -> None:
    bundle.config["root"]["readonly"] = False
    bundle.says("echo ran > /tmp/mark; sleep 100")
    bundle.call("create", "--pid-file", "pid", "one")
    state = bundle.state()
    assert (state["ociVersion"], state["id"], state["status"], state["bundle"]) == (VERSION, "one", "created", str(bundle.path))
    assert state["pid"] == int((bundle.path / "pid").read_text())
    assert not (bundle.rootfs / "tmp/mark").exists()
    # what config.json says from here on is of no effect
    bundle.says("exit 3")
    bundle.call("start", "one")
    assert bundle.state()["status"] == "running"
    until(lambda: (bundle.rootfs / "tmp/mark").exists())
    again = bundle.call("start", "one", ok=False)
    assert again.returncode == 1
    assert "it is running" in again.stderr
    bundle.call("kill", "one", "KILL")
    assert bundle.wait("stopped")["pid"] == 0
    bundle.call("delete", "one")
    assert bundle.call("state", "one", ok=False).returncode == 1


def test_delete_of_a_running_container_needs_force(bundle: Bundle) -> None:
    bundle.says("sleep 100").call("run", "--detach", "one")
    refused = bundle.call("delete", "one", ok=False)
    assert refused.returncode == 1
    assert "not stopped: running" in refused.stderr
    assert bundle.state()["status"] == "running"
    bundle.call("delete", "--force", "one")
    assert bundle.nothing_left()
    bundle.call("delete", "--force", "one")
    assert "does not exist" in bundle.call("delete", "one", ok=False).stderr


def test_created_container_can_be_deleted(bundle: Bundle) -> None:
    bundle.says("true").call("create", "one")
    bundle.call("delete", "one")
    assert bundle.nothing_left()


def test_id_is_taken_once(bundle: Bundle) -> None:
    bundle.says("sleep 100").call("run", "-d", "one")
    again = bundle.call("create", "one", ok=False)
    assert again.returncode == 1
    assert "container with id exists: one" in again.stderr
    assert bundle.state()["status"] == "running"
    bundle.call("delete", "-f", "one")


@pytest.mark.parametrize("container_id", ["", "a/b", "..", ".hidden", "a b", "x" * 1025, "ü"])
def test_wrong_id_is_refused(bundle: Bundle, container_id: str) -> None:
    done = bundle.says("true").call("run", container_id, ok=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("word", "number"), [("TERM", 15), ("SIGUSR1", 10), ("2", 2)])
def test_kill_sends_the_signal(bundle: Bundle, word: str, number: int) -> None:
    bundle.says("trap 'exit 15' TERM; trap 'exit 10' USR1; trap 'exit 2' INT; echo ready > /tmp/ready; while :; do sleep 0.05; done")
    bundle.config["root"]["readonly"] = False
    bundle.call("run", "--detach", "one")
    until(lambda: (bundle.rootfs / "tmp/ready").exists())
    bundle.call("kill", "one", word)
    bundle.wait("stopped")
    dead = bundle.call("kill", "one", word, ok=False)
    assert dead.returncode == 1
    assert "not running" in dead.stderr
    bundle.call("delete", "one")


def test_kill_refuses_a_signal_that_there_is_not(bundle: Bundle) -> None:
    bundle.says("sleep 100").call("run", "-d", "one")
    assert "no such signal: 'NONE'" in bundle.call("kill", "one", "NONE", ok=False).stderr
    bundle.call("delete", "-f", "one")


@pytest.mark.needs("cgroups")
def test_kill_all_reaches_processes_that_the_first_one_left(bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"] = [one for one in bundle.config["linux"]["namespaces"] if one["type"] != "pid"]
    bundle.says("sleep 1000 & exit 0").call("run", "--detach", "--keep", "one")
    bundle.wait("stopped")
    left = json.loads(bundle.call("ps", "-f", "json", "one").stdout)
    assert len(left) == 1
    bundle.call("kill", "--all", "one", "KILL")
    until(lambda: not os.path.exists(f"/proc/{left[0]}") or " Z " in Path(f"/proc/{left[0]}/stat").read_text())
    bundle.call("delete", "one")


def test_run_passes_signals_on(bundle: Bundle) -> None:
    bundle.says("trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done").write()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(bundle.command("run", "one"), cwd=bundle.path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 9
    assert bundle.nothing_left()


def test_run_keeps_the_container_when_asked(bundle: Bundle) -> None:
    bundle.says("exit 4").run(ok=False, flags=("--keep",))
    assert bundle.state()["status"] == "stopped"
    bundle.call("delete", "one")


def test_list_tells_all(bundle: Bundle) -> None:
    assert bundle.call("list", "-q").stdout == ""
    bundle.says("sleep 100").call("create", "two")
    bundle.call("run", "-d", "one")
    assert bundle.call("list", "-q").stdout.split() == ["two", "one"]
    rows = {row["id"]: row for row in json.loads(bundle.call("list", "--format=json").stdout)}
    assert {name: row["status"] for name, row in rows.items()} == {"one": "running", "two": "created"}
    assert rows["one"]["rootfs"] == str(bundle.rootfs)
    table = bundle.call("list").stdout.splitlines()
    assert table[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert [line.split()[2] for line in table[1:]] == ["created", "running"]
    for name in ("one", "two"):
        bundle.call("delete", "-f", name)


def test_ps_tells_the_processes(bundle: Bundle) -> None:
    bundle.says("sleep", "1000").call("run", "-d", "one")
    pid = bundle.state()["pid"]
    assert json.loads(bundle.call("ps", "--format", "json", "one").stdout) == [pid]
    head, line = bundle.call("ps", "one").stdout.splitlines()
    assert "PID" in head.split()
    assert str(pid) in line.split()
    assert bundle.call("ps", "one", "-o", "pid,comm").stdout.split() == ["PID", "COMMAND", str(pid), "sleep"]
    bundle.call("delete", "-f", "one")


@pytest.mark.needs("cgroups")
def test_pause_stops_and_resume_goes_on(bundle: Bundle) -> None:
    bundle.says("sleep 1000").call("run", "-d", "one")
    bundle.call("pause", "one")
    assert bundle.state()["status"] == "paused"
    assert "paused" in bundle.call("exec", "one", "true", ok=False).stderr
    assert "cannot be paused" in bundle.call("pause", "one", ok=False).stderr
    bundle.call("resume", "one")
    assert bundle.state()["status"] == "running"
    assert "cannot be resumed" in bundle.call("resume", "one", ok=False).stderr
    bundle.call("pause", "one")
    bundle.call("delete", "--force", "one")
    assert bundle.nothing_left()


def test_exec_runs_beside(bundle: Bundle) -> None:
    bundle.says("sleep 1000").call("run", "-d", "one")
    done = bundle.call("exec", "-e", "A=b", "--cwd", "/tmp", "one", "sh", "-c", "echo $A; pwd; exit 6", ok=False)
    assert (done.returncode, done.stdout) == (6, "b\n/tmp\n")
    same = "for kind in mnt pid ipc uts cgroup net; do readlink /proc/self/ns/$kind; done"
    pid = bundle.state()["pid"]
    spaces = [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("mnt", "pid", "ipc", "uts", "cgroup", "net")]
    assert bundle.call("exec", "one", "sh", "-c", same).stdout.split() == spaces
    bundle.call("delete", "-f", "one")
    assert bundle.call("exec", "one", "true", ok=False).returncode == 255


def test_exec_takes_a_process_file(bundle: Bundle) -> None:
    bundle.says("sleep 1000").call("run", "-d", "one")
    process = {"args": ["/bin/sh", "-c", "echo $X; umask"], "cwd": "/", "env": ["X=y"], "user": {"uid": 0, "gid": 0, "umask": 0o27}}
    (bundle.path / "process.json").write_text(json.dumps(process))
    assert bundle.call("exec", "--process", "process.json", "one").stdout == "y\n0027\n"
    (bundle.path / "process.json").write_text('{"args": 3}')
    wrong = bundle.call("exec", "--process", "process.json", "one", ok=False)
    assert wrong.returncode == 255
    assert "process.cwd: None is missing" in wrong.stderr
    bundle.call("delete", "-f", "one")


def test_detached_exec_is_told_by_its_pid(bundle: Bundle) -> None:
    bundle.says("sleep 1000").call("run", "-d", "one")
    bundle.call("exec", "--detach", "--pid-file", "exec.pid", "one", "sleep", "1000")
    pid = int((bundle.path / "exec.pid").read_text())
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\x00"
    os.kill(pid, signal.SIGKILL)
    # the container's first process cannot end before whoever is the parent of an orphan has reaped it
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    bundle.call("delete", "-f", "one")


@pytest.mark.parametrize("user", ["1000:", "0x0", " 1", "1000abc", "-1", "4294967295", "root", ""])
def test_exec_takes_plain_numbers_for_a_user(bundle: Bundle, user: str) -> None:
    bundle.says("sleep 1000").call("run", "-d", "one")
    done = bundle.call("exec", "--user", user, "one", "id", ok=False)
    assert (done.returncode, done.stdout) == (255, "")
    assert "is no id" in done.stderr
    bundle.call("delete", "-f", "one")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/bin/nothing"], "no such file or directory"),
        (["nothing"], "executable file not found in $PATH"),
        (["/etc"], "permission denied"),
    ],
)
def test_program_that_cannot_run_is_told_by_create(bundle: Bundle, arguments: list[str], message: str) -> None:
    bundle.config["process"]["args"] = arguments
    done = bundle.call("create", "one", ok=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert bundle.nothing_left()


@pytest.fixture
def third_is_lent() -> Iterator[None]:
    """What this process itself has as descriptor 3 is there again afterwards."""
    try:
        former = fcntl.fcntl(3, fcntl.F_DUPFD_CLOEXEC, 100)
    except OSError:
        yield
        return
    yield
    os.dup2(former, 3, inheritable=False)
    os.close(former)


@pytest.mark.usefixtures("third_is_lent")
def test_descriptors_are_passed_on_only_when_asked(bundle: Bundle) -> None:
    reading, writing = os.pipe()
    os.dup2(writing, 3)
    os.set_inheritable(3, True)
    try:
        assert bundle.says("ls /proc/self/fd | wc -l; echo kept >&3").run(flags=("--preserve-fds", "1"), pass_fds=(3,)).stdout
        assert os.read(reading, 100) == b"kept\n"
        assert "3" not in bundle.says("cd /proc/1/fd; ls; true").run(pass_fds=(3,)).stdout.split()
    finally:
        for fd in {reading, writing, 3}:
            os.close(fd)


def test_log_is_what_engines_read(bundle: Bundle) -> None:
    bundle.write()
    done = bundle.call("--log", "log.json", "--log-format", "json", "start", "none", ok=False)
    line = json.loads((bundle.path / "log.json").read_text())
    assert line["level"] == "error"
    assert line["msg"] in done.stderr
    bundle.call("--log", "log.txt", "start", "none", ok=False)
    assert "level=error msg=" in (bundle.path / "log.txt").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["--systemd-cgroup", "list"], ["--cgroup-manager", "systemd", "list"], ["--log-format", "xml", "list"], ["nothing"],
        ["run"], ["run", "--nothing", "one"], ["list", "one"], ["run", "--bundle"], ["run", "--keep=maybe", "one"],
        ["run", "--preserve-fds", "x", "one"], ["ps", "-f", "xml", "one"], ["kill", "one", "TERM", "more"],
    ],
)  # fmt: skip
def test_wrong_command_line_is_told_in_one_line(bundle: Bundle, words: list[str]) -> None:
    done = bundle.call(*words, ok=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_spec_writes_a_config_that_runs(bundle: Bundle) -> None:
    bundle.path.joinpath("config.json").unlink(missing_ok=True)
    other = bundle.path / "other"
    other.mkdir()
    bundle.call("spec", "--bundle", "other", *(() if os.geteuid() == 0 else ("--rootless",)))
    bundle.config = json.loads((other / "config.json").read_text())
    assert bundle.config["process"]["terminal"] is True
    bundle.config["process"]["terminal"] = False
    assert bundle.output("hostname") == "labcontainers\n"
    assert "is there already" in bundle.call("spec", "-b", "other", ok=False).stderr


def test_features_are_a_document(bundle: Bundle) -> None:
    document = json.loads(bundle.call("features").stdout)
    assert (document["ociVersionMin"], document["ociVersionMax"]) == ("1.0.0", "1.2.0")
    assert {"rro", "idmap", "tmpcopyup", "rbind"} <= set(document["mountOptions"])
    assert "SCMP_ACT_NOTIFY" in document["linux"]["seccomp"]["actions"]


def creation(bundle: Bundle, number: int) -> None:
    """Send a signal to `create` while a hook of it runs."""
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"echo > {bundle.path}/begun; sleep 1000"]}]}
    bundle.config["hooks"]["createRuntime"][0]["env"] = ["PATH=/usr/bin:/bin"]
    bundle.says("true").write()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(bundle.command("create", "one"), cwd=bundle.path, env=environment) as process:
        until(lambda: (bundle.path / "begun").exists())
        assert bundle.state()["status"] == "creating"
        process.send_signal(number)
        assert process.wait(20) != 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_create_leaves_nothing(bundle: Bundle, number: int) -> None:
    creation(bundle, number)
    assert bundle.nothing_left()


def test_what_a_killed_create_left_is_deleted(bundle: Bundle) -> None:
    creation(bundle, signal.SIGKILL)
    pid = bundle.state()["pid"]
    hook = next(int(name) for name in os.listdir("/proc") if name.isdigit() and _is_hook(name, bundle))
    os.killpg(hook, signal.SIGKILL)
    bundle.call("delete", "--force", "one")
    assert bundle.nothing_left()
    until(lambda: not os.path.exists(f"/proc/{pid}") or " Z " in Path(f"/proc/{pid}/stat").read_text())


def _is_hook(name: str, bundle: Bundle) -> bool:
    try:
        return f"{bundle.path}/begun" in Path(f"/proc/{name}/cmdline").read_text()
    except OSError:
        return False


def test_of_two_starts_one_counts(bundle: Bundle) -> None:
    bundle.says("sleep 1000").call("create", "one")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    starts = [subprocess.Popen(bundle.command("start", "one"), env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    texts = [each.communicate(timeout=30)[1] for each in starts]
    assert sorted(each.returncode for each in starts) == [0, 1]
    assert any("it is running" in text for text in texts)
    bundle.call("delete", "-f", "one")


def test_damaged_state_is_told(bundle: Bundle) -> None:
    (bundle.root / "one").mkdir(parents=True)
    for text in ("{", "{}", "[]"):
        (bundle.root / "one/state.json").write_text(text)
        done = bundle.call("state", "one", ok=False)
        assert done.returncode == 1
        assert "the state of container 'one' is damaged" in done.stderr
    assert bundle.call("list", "-q").stdout == ""
    bundle.call("delete", "--force", "one")
    (bundle.root / "one").mkdir()
    assert bundle.state()["status"] == "stopped"
    bundle.call("delete", "one")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"ociVersion": NaN}', "[" * 100_000])
def test_config_that_is_none_is_told(bundle: Bundle, text: str) -> None:
    (bundle.path / "other.json").write_text(text)
    done = bundle.run(ok=False, flags=("--config", "other.json"))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert bundle.nothing_left()


def test_caller_that_ignores_its_children_hinders_nothing(bundle: Bundle) -> None:
    bundle.says("exit 3").write()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ignoring = ["sh", "-c", "trap '' CHLD; exec \"$@\"", "sh", *bundle.command("run", "one")]
    assert subprocess.run(ignoring, cwd=bundle.path, env=environment, check=False, timeout=60).returncode == 3


def test_folder_of_states_must_be_ones_own(bundle: Bundle) -> None:
    bundle.root.mkdir()
    bundle.root.chmod(0o777)
    done = bundle.says("true").run(ok=False)
    assert done.returncode == 1
    assert "everybody may write to it" in done.stderr
