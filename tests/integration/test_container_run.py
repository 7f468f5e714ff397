"""What `run` does on the real kernel, as whoever runs the tests."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import Conflict, ContainerExit, InvalidArgument, NotFound, StartFailed, Unsupported

pytestmark = pytest.mark.on_disk

BASE = "lab/base"


def sh(engine: Engine, script: str, **options: object) -> str:
    result = engine.containers.run(BASE, ["sh", "-c", script], network=options.pop("network", "none"), remove=True, **options)
    result.check()
    return result.stdout


def test_run_returns_exit_code_and_both_streams_apart(engine: Engine) -> None:
    result = engine.containers.run(BASE, ["sh", "-c", "echo out; echo err >&2; exit 3"], network="none", remove=True)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    with pytest.raises(ContainerExit, match="exit code 3"):
        result.check()


def test_run_gives_each_container_namespaces_of_its_own(engine: Engine) -> None:
    inside = sh(engine, "for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done").split()
    outside = [os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "pid", "net", "ipc", "uts", "cgroup")]
    assert len(inside) == 6
    assert not set(inside) & set(outside)


@pytest.mark.needs("ordinary user")
def test_an_ordinary_users_container_is_in_a_user_namespace_with_ids_of_its_own(engine: Engine) -> None:
    namespace, *rows = sh(engine, "readlink /proc/self/ns/user; cat /proc/self/uid_map").splitlines()
    assert namespace != os.readlink("/proc/self/ns/user")
    root, *others = ([int(word) for word in row.split()] for row in rows)
    assert root == [0, os.getuid(), 1], "root inside is this user outside"
    assert not [row for row in others if row[1] <= os.getuid() < row[1] + row[2] or row[1] == 0], (
        "the others are neither this user nor root"
    )


def test_workload_is_process_one_and_sees_no_other(engine: Engine) -> None:
    assert sh(engine, "echo $$; ls -d /proc/[0-9]*").split()[:2] == ["1", "/proc/1"]


def test_writes_stay_in_the_containers_own_layer(engine: Engine) -> None:
    first = engine.containers.create(BASE, ["sh", "-c", "echo x > /mark; rm /etc/passwd"], network="none")
    first.start()
    assert first.wait() == 0
    assert sh(engine, "ls /etc/passwd; test ! -e /mark && echo clean") == "/etc/passwd\nclean\n"


def test_a_restarted_container_keeps_its_layer_and_its_log(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["sh", "-c", "echo run >> /count; wc -l < /count"], network="none")
    for _ in range(2):
        container.start()
        container.wait()
    assert container.logs().text.split() == ["1", "2"]


@pytest.mark.parametrize(
    ("command", "exit_code", "words"),
    [
        (["no-such-program"], 127, "executable file not found in \\$PATH"),
        (["/no/such/file"], 127, "no such file"),
        (["/etc/passwd"], 126, "permission denied"),
        (["/tmp"], 126, "permission denied|is a directory"),
    ],
)
def test_a_command_that_cannot_run_fails_with_dockers_exit_code(engine: Engine, command: list[str], exit_code: int, words: str) -> None:
    with pytest.raises(StartFailed, match=words) as caught:
        engine.containers.run(BASE, command, network="none", remove=True)
    assert caught.value.exit_code == exit_code
    assert engine.containers.list(all=True) == []


def test_unknown_user_is_refused_and_named(engine: Engine) -> None:
    with pytest.raises(StartFailed, match="nosuchuser"):
        engine.containers.run(BASE, ["true"], user="nosuchuser", network="none", remove=True)


@pytest.mark.parametrize("user", ["4294967296", "2147483648"])
def test_a_user_id_out_of_range_is_never_root(engine: Engine, user: str) -> None:
    with pytest.raises(StartFailed, match="out of range"):
        engine.containers.run(BASE, ["id"], user=user, network="none", remove=True)


@pytest.mark.parametrize("user", ["-1", " 1", "", "1 2"])
def test_a_malformed_user_is_refused_before_anything_is_made(engine: Engine, user: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid user"):
        engine.containers.run(BASE, ["id"], user=user, network="none", remove=True)
    assert engine.containers.list(all=True) == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mem_limit": "lots"}, InvalidArgument, "lots"),
        ({"mem_limit": "1k"}, InvalidArgument, "too small"),
        ({"cpus": -1}, InvalidArgument, "-1"),
        ({"cpus": 100000}, InvalidArgument, "100000"),
        ({"pids_limit": "x"}, InvalidArgument, "'x'"),
        ({"name": "a b"}, InvalidArgument, "'a b'"),
        ({"volumes": ["/no/such/folder:/x"]}, InvalidArgument, "/no/such/folder"),
        ({"volumes": ["/tmp:relative"]}, InvalidArgument, "relative"),
        ({"volumes": ["/tmp:/x:rx"]}, InvalidArgument, "rx"),
        ({"volumes": ["na/med:/x"]}, InvalidArgument, "na/med"),
        ({"environment": ["=x"]}, InvalidArgument, "=x"),
        ({"working_dir": "relative"}, InvalidArgument, "relative"),
        ({"network": "nosuch"}, Unsupported, "nosuch"),
        ({"links": {"a": "b"}}, Unsupported, "links"),
        ({"colour": "red"}, InvalidArgument, "colour"),
    ],
)
def test_a_bad_option_is_refused_by_name_before_anything_is_made(
    engine: Engine, options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        engine.containers.run(BASE, ["true"], **{"network": "none", **options})
    assert engine.containers.list(all=True) == []


def test_unknown_image_says_what_to_do(engine: Engine) -> None:
    with pytest.raises(NotFound, match="no-such-image"):
        engine.containers.run("no-such-image", ["true"])


def test_name_in_use_is_a_conflict(engine: Engine) -> None:
    engine.containers.create(BASE, ["true"], name="taken")
    with pytest.raises(Conflict, match="taken"):
        engine.containers.create(BASE, ["true"], name="taken")


def test_environment_working_directory_and_hostname_reach_the_workload(engine: Engine) -> None:
    text = sh(
        engine, "echo $COLOUR; pwd; hostname; cat /etc/hostname", environment={"COLOUR": "blue"}, working_dir="/made/here", hostname="box"
    )
    assert text == "blue\n/made/here\nbox\nbox\n"


def test_volume_is_shared_and_read_only_when_asked(engine: Engine, place: Path) -> None:
    folder = place / "data"
    folder.mkdir()
    (folder / "in").write_text("hello")
    assert sh(engine, "cat /data/in; echo back > /data/out", volumes=[f"{folder}:/data"]) == "hello"
    assert (folder / "out").read_text() == "back\n"
    denied = sh(engine, "echo x 2>/dev/null > /data/no || echo denied", volumes=[f"{folder}:/data:ro"])
    assert denied == "denied\n"


def test_read_only_root_keeps_temporary_file_systems_writable(engine: Engine) -> None:
    script = "touch /x 2>/dev/null || echo denied; touch /scratch/y && echo written"
    assert sh(engine, script, read_only=True, tmpfs=["/scratch:size=1m"]) == "denied\nwritten\n"


def test_standard_input_is_fed_as_text(engine: Engine) -> None:
    result = engine.containers.run(BASE, ["sh"], stdin="echo from a script\nexit 4\n", network="none", remove=True)
    assert (result.stdout, result.exit_code) == ("from a script\n", 4)


def test_output_is_exact_however_much_there_is(engine: Engine) -> None:
    result = engine.containers.run(
        BASE, ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf tail"], network="none"
    )
    wanted = "".join(f"line {index}\n" for index in range(20000)) + "tail"
    assert result.stdout == wanted
    assert engine.containers.get(result.container_id).logs().text == wanted


def test_on_output_sees_each_piece_while_it_runs(engine: Engine) -> None:
    pieces: list[tuple[float, bytes]] = []
    engine.containers.run(
        BASE,
        ["sh", "-c", "echo one; sleep 0.5; echo two"],
        network="none",
        remove=True,
        on_output=lambda stream, data: pieces.append((time.monotonic(), data)),
    )
    assert [data for _, data in pieces] == [b"one\n", b"two\n"]
    assert pieces[1][0] - pieces[0][0] > 0.3


def test_no_new_privileges_is_off_by_default_and_on_when_asked(engine: Engine) -> None:
    assert sh(engine, "grep NoNewPrivs /proc/self/status").split() == ["NoNewPrivs:", "0"]
    assert sh(engine, "grep NoNewPrivs /proc/self/status", no_new_privileges=True).split() == ["NoNewPrivs:", "1"]


def test_workload_has_a_seccomp_filter_and_no_inheritable_capabilities(engine: Engine) -> None:
    status = dict(line.split(":\t") for line in sh(engine, "cat /proc/self/status").splitlines() if ":\t" in line)
    assert status["Seccomp"] == "2"
    assert int(status["CapInh"], 16) == 0
    assert int(status["CapAmb"], 16) == 0
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0x800405FB


def test_masked_paths_are_empty_and_kernel_parameters_read_only(engine: Engine) -> None:
    script = (
        "cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l; echo 1 2>/dev/null > /proc/sys/kernel/domainname || echo ro"
    )
    assert sh(engine, script).split() == ["0", "0", "ro"]


def test_descriptors_of_the_engine_do_not_reach_the_workload(engine: Engine) -> None:
    assert sorted(sh(engine, "ls /proc/1/fd; true").split()) == ["0", "1", "2"]


@pytest.mark.parametrize("number", range(3, 12))
def test_a_working_directory_behind_a_descriptor_is_refused(engine: Engine, number: int) -> None:
    with pytest.raises(StartFailed):
        engine.containers.run(BASE, ["true"], working_dir=f"/proc/self/fd/{number}", network="none", remove=True)


@pytest.mark.needs("cgroups")
def test_memory_limit_kills_and_says_so(engine: Engine) -> None:
    hog = "x=a; while true; do x=$x$x; done"
    result = engine.containers.run(BASE, ["sh", "-c", hog], mem_limit="16m", network="none", remove=True)
    assert result.oom_killed
    with pytest.raises(ContainerExit, match="lack of memory"):
        result.check()


@pytest.mark.needs("cgroups")
def test_pids_limit_holds(engine: Engine) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"
    result = engine.containers.run(BASE, ["sh", "-c", script], pids_limit=4, network="none", remove=True)
    assert "can't fork" in result.stderr or "Cannot fork" in result.stderr or "Resource temporarily" in result.stderr


def test_detached_container_goes_on_and_is_listed_until_it_is_removed(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"], detach=True)
    assert container.status == "running"
    assert container in engine.containers.list()
    while "up" not in container.logs().text:
        time.sleep(0.01)
    with pytest.raises(Conflict, match="running"):
        container.remove()
    container.stop(timeout_s=10)
    assert (container.status, container.state.exit_code) == ("exited", 7)
    assert container not in engine.containers.list()
    container.remove()
    with pytest.raises(NotFound):
        container.status  # noqa: B018  # raises


def test_stop_kills_after_the_timeout_what_ignores_the_signal(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "1000"], detach=True, network="none")
    container.stop(timeout_s=0.2)
    assert container.state.exit_code == 137


def test_detached_container_with_remove_disappears_at_its_end(engine: Engine) -> None:
    engine.containers.run(BASE, ["true"], detach=True, remove=True, network="none")
    deadline = time.monotonic() + 5
    while engine.containers.list(all=True) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.containers.list(all=True) == []


def test_follow_ends_with_the_container_and_misses_nothing(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.05; done"], detach=True, network="none")
    assert [line.text for line in container.logs(follow=True)] == ["1", "2", "3", "4", "5"]


def test_logs_by_stream_tail_and_time(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "echo a; echo b >&2; sleep 0.2; echo c"], detach=True, network="none")
    container.wait()
    assert container.logs(stderr=False).text == "a\nc\n"
    assert container.logs(stdout=False).text == "b\n"
    assert container.logs(tail=1).text == "c\n"
    assert container.logs(since=container.state.finished_at - 0.1).text == "c\n"
    stamp = container.logs(tail=1, timestamps=True).text
    assert stamp.startswith("20")
    assert stamp.endswith("Z c\n")


def test_exec_runs_beside_the_workload_in_the_same_namespaces(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, environment=["A=1"], network="none")
    result = container.exec(
        ["sh", "-c", "echo $A$B; readlink /proc/self/ns/pid; readlink /proc/1/ns/pid; cat; exit 5"], environment=["B=2"], stdin="fed"
    )
    lines = result.stdout.splitlines()
    assert result.exit_code == 5
    assert lines[0] == "12"
    assert lines[1] == lines[2]
    assert lines[3] == "fed"


def test_exec_is_as_confined_as_the_workload(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, network="none")
    script = "grep -E 'Cap(Inh|Bnd|Eff)|Seccomp:' /proc/self/status; echo; cat /proc/1/cgroup | sort; echo; cat /proc/self/cgroup | sort"
    status, init, own = container.exec(["sh", "-c", script]).stdout.split("\n\n")
    values = dict(line.split(":\t") for line in status.splitlines())
    assert values == {"CapInh": "0" * 16, "CapEff": "00000000800405fb", "CapBnd": "00000000800405fb", "Seccomp": "2"}
    assert init.split() == own.split()


@pytest.mark.parametrize(("command", "exit_code"), [(["nosuch"], 127), (["/etc/passwd"], 126)])
def test_exec_of_what_cannot_run_fails_with_dockers_exit_code(engine: Engine, command: list[str], exit_code: int) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, network="none")
    with pytest.raises(StartFailed) as caught:
        container.exec(command)
    assert caught.value.exit_code == exit_code


def test_exec_in_an_ended_container_is_a_conflict(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["true"], detach=True, network="none")
    container.wait()
    with pytest.raises(Conflict, match="not running"):
        container.exec(["true"])


def test_exec_ends_when_the_container_is_killed(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, network="none")
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(container.exec(["sleep", "100"]).exit_code))
    thread.start()
    time.sleep(0.3)
    container.kill()
    thread.join(10)
    assert results == [137]


def test_another_engine_sees_and_uses_a_detached_container(make_engine: Callable[[], Engine]) -> None:
    first, second = make_engine(), make_engine()
    container = first.containers.run(BASE, ["sleep", "100"], detach=True, name="shared", network="none")
    first.close()
    same = second.containers.get("shared")
    assert same == container
    assert same.exec(["echo", "hello"]).stdout == "hello\n"
    same.stop(timeout_s=0)
    assert same.state.exit_code == 137


def test_explain_lists_the_kernels_operations_in_order(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["true"], detach=True, network="none")
    container.wait()
    names = [operation.name for operation in container.explain()]
    assert names[-1] == "exec"
    order = ["clone", "overlay", "pivot", "seccomp", "identity", "exec"]
    assert sorted(order, key=names.index) == order
    assert all(operation.man_page for operation in container.explain())
    assert container.explain().duration_us > 0


def test_twenty_containers_at_once(engine: Engine) -> None:
    results: list[str] = []

    def one(index: int) -> None:
        results.append(sh(engine, f"echo {index}"))

    threads = [threading.Thread(target=one, args=(index,)) for index in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(int, results)) == list(range(20))
