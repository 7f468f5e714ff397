"""What a user may get wrong: one clear line with the value and a next action, and nothing half made is left."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Container, Engine
from labcontainers.commands.table import COMMANDS as COMMANDS_BY_NAME
from labcontainers.commands.table import execute, understand
from labcontainers.errors import (
    Conflict,
    ContainerExit,
    Denied,
    InvalidArgument,
    InvalidReference,
    LabError,
    NotFound,
    StartFailed,
    Unsupported,
)
from tests import leaks
from tests.data.wrong_values import ANY_TEXT, WRONG

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"

IMAGES: list[tuple[str, type[LabError], str]] = [
    ("nosuch/image", NotFound, "nosuch/image"),
    ("lab/bsae", NotFound, "lab/bsae"),
    ("lab/base:nosuchtag", NotFound, "lab/base:nosuchtag"),
    ("Upper/Case", InvalidReference, "Upper/Case"),
    ("", InvalidReference, ""),
    ("a b", InvalidReference, "a b"),
    ("lab/base:bad tag", InvalidReference, "bad tag"),
    ("lab/base@sha256:short", InvalidReference, "sha256:short"),
    ("../../etc/passwd", InvalidReference, "../../etc/passwd"),
    ("x" * 300, LabError, "xxx"),
    ("sha256:" + "0" * 64, NotFound, "0000"),
]
OPTIONS: list[tuple[dict[str, Any], type[LabError], str]] = [
    ({"nosuch": 1}, InvalidArgument, "nosuch"),
    ({"links": {"a": "b"}}, Unsupported, "links"),
    ({"name": "x"}, InvalidArgument, "'x'"),
    ({"name": "../escape"}, InvalidArgument, "../escape"),
    ({"name": "-flag"}, InvalidArgument, "-flag"),
    ({"name": "a\nb"}, InvalidArgument, "name"),
    ({"mem_limit": "lots"}, InvalidArgument, "lots"),
    ({"mem_limit": "1m"}, InvalidArgument, "1m"),
    ({"mem_limit": -5}, InvalidArgument, "-5"),
    ({"cpus": "-1"}, InvalidArgument, "-1"),
    ({"cpus": "many"}, InvalidArgument, "many"),
    ({"cpus": "nan"}, InvalidArgument, "nan"),
    ({"cpus": "1e9"}, InvalidArgument, "1e9"),
    ({"pids_limit": "some"}, InvalidArgument, "some"),
    ({"pids_limit": -7}, InvalidArgument, "-7"),
    ({"ports": "http"}, InvalidArgument, "http"),
    ({"ports": "70000:80"}, InvalidArgument, "70000:80"),
    ({"ports": "80:0"}, InvalidArgument, "80:0"),
    ({"ports": "1:2:3:4"}, InvalidArgument, "1:2:3:4"),
    ({"ports": "300.1.1.1:80:80"}, InvalidArgument, "300.1.1.1"),
    ({"ports": "80-90:80-81"}, InvalidArgument, "80-90:80-81"),
    ({"ports": "80:80/xyz"}, InvalidArgument, "xyz"),
    ({"ports": "80:80", "network": "none"}, InvalidArgument, "none"),
    ({"ports": "80:80", "network": "none"}, InvalidArgument, "none"),
    ({"mac_address": "02:42:0a:0b:0c:0d", "network": "host"}, InvalidArgument, "mac-address and the network mode"),
    ({"network": "nosuch"}, Unsupported, "nosuch"),
    ({"volumes": "/nosuch-folder:/data"}, InvalidArgument, "/nosuch-folder"),
    ({"volumes": "/tmp:relative"}, InvalidArgument, "relative"),
    ({"volumes": "/tmp:/data/../.."}, InvalidArgument, "/data/../.."),
    ({"volumes": "/tmp:/"}, InvalidArgument, "'/'"),
    ({"volumes": "/tmp:/data:rx"}, InvalidArgument, "rx"),
    ({"volumes": ":/data"}, InvalidArgument, ":/data"),
    ({"volumes": "/tmp:/data:ro:more"}, InvalidArgument, "more"),
    ({"volumes": "na med:/data"}, InvalidArgument, "na med"),
    ({"tmpfs": ["relative"]}, InvalidArgument, "relative"),
    ({"tmpfs": ["/x:exec,sudi"]}, InvalidArgument, "sudi"),
    ({"hostname": "bad_host!"}, InvalidArgument, "bad_host!"),
    ({"user": "a b"}, InvalidArgument, "a b"),
    ({"user": "-1"}, InvalidArgument, "-1"),
    ({"working_dir": "relative"}, InvalidArgument, "relative"),
    ({"environment": ["=x"]}, InvalidArgument, "=x"),
    ({"stop_signal": "SIGNOPE"}, InvalidArgument, "SIGNOPE"),
    ({"entrypoint": 5}, InvalidArgument, "5"),
    ({"remove": "yes"}, InvalidArgument, "yes"),
]
COMMANDS: list[tuple[Any, type[LabError]]] = [
    ('echo "unclosed', InvalidArgument),
    (["echo", "a\0b"], InvalidArgument),
    ([5], InvalidArgument),
]
CANNOT_START: list[tuple[list[str], dict[str, Any], int, str]] = [
    (["nosuchprogram"], {}, 127, "nosuchprogram"),
    (["/no/such/program"], {}, 127, "/no/such/program"),
    (["/etc/passwd"], {}, 126, "permission denied"),
    (["/etc"], {}, 126, "permission denied"),
    (["true"], {"user": "nobody-here"}, 125, "nobody-here"),
    (["true"], {"user": "0:nogroup-here"}, 125, "nogroup-here"),
    (["true"], {"user": "4294967296"}, 125, "4294967296"),
    (["true"], {"working_dir": "/etc/passwd"}, 126, "/etc/passwd"),
]


def check_message(error: LabError, value: str) -> None:
    assert value in error.message
    assert "\n" not in error.message
    assert error.message[:1] == error.message[:1].lower()
    assert error.hint


def nothing_is_left(engine: Engine) -> None:
    assert engine.containers.list(all=True) == []
    assert not list(engine.paths.containers.iterdir())
    assert engine.verify() == []


@pytest.mark.parametrize(("image", "kind", "value"), IMAGES)
def test_image_that_is_not_there_or_no_name(engine: Engine, image: str, kind: type[LabError], value: str) -> None:
    with pytest.raises(kind) as caught:
        engine.containers.run(image, ["true"])
    check_message(caught.value, value)
    nothing_is_left(engine)


def test_near_miss_of_an_images_name_is_guessed(engine: Engine) -> None:
    with pytest.raises(NotFound) as caught:
        engine.containers.run("lab/bsae", ["true"])
    assert "lab/base" in caught.value.hint


def test_every_wrong_option_is_named_before_anything_is_made(engine: Engine) -> None:
    engine.images.get(BASE)
    for options, kind, value in OPTIONS:
        with pytest.raises(kind) as caught:
            engine.containers.run(BASE, ["true"], **options)
        assert value in caught.value.message, (options, caught.value)
        assert "\n" not in caught.value.message, options
    nothing_is_left(engine)


def uses(name: str) -> Iterator[tuple[list[str], str, str]]:
    """(words of a command line, the flag whose value is wrong, what of it the message must show)."""
    arguments, wrong = WRONG[name]
    for flag, values in wrong.items():
        for value in values:
            text, told = value if isinstance(value, tuple) else (value, value)
            yield [*name.split(), f"{flag}={text}", *arguments], flag, told
    for switch in COMMANDS_BY_NAME[name].flags:
        if switch.kind == "switch":
            for spelling in switch.names:
                yield [*name.split(), f"{spelling}=maybe", *arguments], spelling, "maybe"


def state_of(engine: Engine, folder: Path) -> list[Any]:
    """All that a command might have made or changed: records, directories, images, volumes and files beside it."""
    containers = [(one.id, one.name, one.inspect()) for one in engine.containers.list(all=True)]
    places = (engine.paths.containers, engine.paths.volumes, engine.paths.tmp, folder)
    return [
        containers,
        [(image.id, image.tags) for image in engine.images.list(all=True)],
        [volume.name for volume in engine.volumes.list()],
        [sorted(os.listdir(place)) if place.is_dir() else [] for place in places],
    ]


@pytest.mark.parametrize("name", WRONG)
def test_every_flags_wrong_value_is_refused_by_flag_value_and_hint_before_anything_is_made(
    engine: Engine, tmp_path: Path, name: str
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM lab/base\nRUN true\n")
    engine.containers.create(BASE, ["true"], name="web", network="none")
    engine.volumes.create("data")
    before = state_of(engine, tmp_path)
    for words, flag, told in uses(name):
        words = [str(tmp_path) if word == "IMAGE" else word for word in words]
        with pytest.raises(LabError) as caught:
            execute(lambda: engine, understand(words), folder=tmp_path, on_output=lambda stream, data: None)
        assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", caught.value.message), (words, caught.value)
        assert told in caught.value.message, (words, caught.value)
        assert caught.value.hint, (words, caught.value)
        assert "\n" not in str(caught.value), words
    assert state_of(engine, tmp_path) == before


@pytest.mark.parametrize("name", WRONG)
def test_the_table_of_wrong_values_has_every_flag_that_takes_one(name: str) -> None:
    flags = [flag for flag in COMMANDS_BY_NAME[name].flags if flag.kind != "switch"]
    named = WRONG[name][1].keys() | ANY_TEXT
    assert [flag.names for flag in flags if not named & set(flag.names)] == []


@pytest.mark.parametrize(
    ("words", "flag"), [("export -o /sys/kernel/x web", "--output"), ("create --cidfile /sys/kernel/x lab/base", "--cidfile")]
)
def test_folder_that_nobody_may_write_in_is_told_by_flag_and_path(engine: Engine, words: str, flag: str) -> None:
    web = engine.containers.create(BASE, ["true"], name="web", network="none")
    with pytest.raises(Denied) as caught:
        execute(lambda: engine, understand(words.split()))
    assert caught.value.message == f"{flag}: /sys/kernel/x: permission denied"
    assert caught.value.hint
    assert engine.containers.list(all=True) == [web]


def test_id_file_of_an_earlier_build_does_not_outlive_a_build_that_fails(engine: Engine, tmp_path: Path) -> None:
    said = understand(["build", "--iidfile", "id"])
    built = execute(lambda: engine, said, folder=tmp_path, body="FROM lab/base\n")
    assert (tmp_path / "id").read_text() == built.image.id
    with pytest.raises(LabError):
        execute(lambda: engine, said, folder=tmp_path, body="FROM nosuch\n")
    assert not (tmp_path / "id").exists()
    (tmp_path / "id").symlink_to("/dev/null")
    execute(lambda: engine, said, folder=tmp_path, body="FROM lab/base\n")
    assert (tmp_path / "id").is_symlink()


@pytest.mark.parametrize(("command", "kind"), COMMANDS)
def test_command_that_is_no_list_of_words(engine: Engine, command: Any, kind: type[LabError]) -> None:
    with pytest.raises(kind):
        engine.containers.run(BASE, command)
    nothing_is_left(engine)


@pytest.mark.parametrize(("command", "options", "exit_code", "value"), CANNOT_START)
def test_command_that_cannot_start_tells_dockers_exit_code_and_stays_created_unless_rm(
    engine: Engine, command: list[str], options: dict[str, Any], exit_code: int, value: str
) -> None:
    for remove in (True, False):
        for detach in (True, False):
            with pytest.raises(StartFailed) as caught:
                engine.containers.run(BASE, command, network="none", remove=remove, detach=detach, **options)
            assert caught.value.exit_code == exit_code
            check_message(caught.value, value)
            if remove:
                nothing_is_left(engine)
    for container in engine.containers.list(all=True):
        assert (container.status, container.state.exit_code) == ("created", exit_code)
        assert value in container.state.error
        container.remove()
    nothing_is_left(engine)


# (command, options that fail at different places of a start, exit code, what the reason says)
FAILED_STARTS: list[tuple[list[str], dict[str, Any], int, str]] = [
    (["nosuchprogram"], {}, 127, "executable file not found"),
    (["nosuchprogram"], {"init": True, "tty": True}, 127, "executable file not found"),
    (["true"], {"user": "nobody-here"}, 125, "nobody-here"),
    (["true"], {"sysctls": {"net.no.such": "1"}}, 125, "net.no.such"),
    (["true"], {"ports": True}, 125, "already in use"),
]


def traces_of(container: Container) -> list[str]:
    """What there is of a container outside of its directory: control groups, processes, its place in the network."""
    groups = [path for path in leaks.cgroups([]) if container.id in path]
    processes = [
        text for text in map(leaks.describe, leaks.descendants()) if text.startswith((f"lab-shim {container.name}", "lab-forward"))
    ]
    endpoint = container._lifecycle.networks.find_endpoint(container.id)
    return [*groups, *processes, *([str(endpoint)] if endpoint else [])]


@pytest.mark.parametrize(("command", "options", "exit_code", "reason"), FAILED_STARTS)
def test_failed_start_takes_back_all_that_it_had_made_and_keeps_the_record_with_its_reason(
    engine: Engine, command: list[str], options: dict[str, Any], exit_code: int, reason: str
) -> None:
    engine.containers.run(BASE, ["true"], remove=True)
    before = leaks.Traces.take()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not options.get("ports"):
            server.close()
        wanted = {"ports": [f"127.0.0.1:{port}:80"], "mem_limit": "64m", "volumes": ["named:/named", "/nameless"]}
        with pytest.raises((StartFailed, Conflict), match=reason):
            engine.containers.run(BASE, command, detach=True, name="box", **{**options, **wanted})
    container = engine.containers.get("box")
    # an unused bridge is taken down a little later
    assert leaks.wait_for_nothing(lambda: [*traces_of(container), *sorted(leaks.Traces.take().links - before.links)], 20) == []
    assert leaks.Traces.take().mounts <= before.mounts
    socket.create_server(("127.0.0.1", port)).close()
    state = container.inspect()["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("created", exit_code, 0)
    assert reason in state["Error"]
    assert [container.summary() for container in engine.containers.list(all=True)] == ["Created"]
    container.remove(v=True)
    assert [volume.name for volume in engine.volumes.list()] == ["named"]
    nothing_is_left(engine)


def test_reason_of_a_failed_start_is_the_last_ones_and_gone_once_it_starts(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        container = engine.containers.create(BASE, ["/late"], ports=[f"127.0.0.1:{server.getsockname()[1]}:80"])
        with pytest.raises(Conflict):
            container.start()
        assert "already in use" in container.state.error
    with pytest.raises(StartFailed):
        container.start()
    assert (container.state.exit_code, "/late: no such file" in container.state.error) == (127, True)
    with socket.create_server(("127.0.0.1", container._record.options.ports[0].host_port)), pytest.raises(Conflict):
        container.start()
    assert (container.state.exit_code, "already in use" in container.state.error) == (127, True)
    (container._record.directory / "upper" / "late").write_text("#!/bin/sh\nexit 4\n")
    (container._record.directory / "upper" / "late").chmod(0o755)
    assert container.start().wait(30) == 4
    assert container.state.error == ""


def test_program_that_the_machine_cannot_execute_is_126(engine: Engine) -> None:
    built = engine.images.build(
        os.path.dirname(__file__), dockerfile_text="FROM lab/base\nRUN printf '\\177ELFnonsense' > /bad && chmod +x /bad\n", network="none"
    )
    with pytest.raises(StartFailed) as caught:
        engine.containers.run(built.image, ["/bad"], network="none", remove=True)
    assert caught.value.exit_code == 126
    check_message(caught.value, "/bad")


def test_name_in_use_names_its_owner_and_leaves_that_alone(engine: Engine) -> None:
    first = engine.containers.create(BASE, ["true"], name="taken")
    with pytest.raises(Conflict) as caught:
        engine.containers.run(BASE, ["true"], name="taken")
    check_message(caught.value, "taken")
    assert engine.containers.list(all=True) == [first]
    assert len(list(engine.paths.containers.iterdir())) == 1


@pytest.mark.parametrize("remove", [True, False])
def test_port_in_use_is_a_conflict_and_the_container_stays_created_unless_rm(engine: Engine, remove: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Conflict) as caught:
            engine.containers.run(BASE, ["true"], ports=[f"127.0.0.1:{port}:80"], remove=remove, detach=True)
        check_message(caught.value, str(port))
    for container in engine.containers.list(all=True):
        assert not remove
        assert container.status == "created"
        container.start()
        assert container.wait(20) == 0
        container.remove()
    nothing_is_left(engine)


def test_volume_that_vanishes_before_the_start_is_told_and_may_come_back(engine: Engine, place: Path) -> None:
    folder = place / "data"
    folder.mkdir()
    container = engine.containers.create(BASE, ["ls", "/data"], volumes=[f"{folder}:/data"], network="none")
    folder.rmdir()
    with pytest.raises(StartFailed) as caught:
        container.start()
    check_message(caught.value, "/data")
    folder.mkdir()
    container.start()
    assert container.wait(20) == 0


def test_folder_on_a_file_is_refused(engine: Engine, place: Path) -> None:
    with pytest.raises(StartFailed) as caught:
        engine.containers.run(BASE, ["true"], volumes=[f"{place}:/etc/passwd"], network="none", remove=True)
    check_message(caught.value, "/etc/passwd")
    nothing_is_left(engine)


def test_non_zero_exit_is_a_result_whose_check_raises(engine: Engine) -> None:
    result = engine.containers.run(BASE, ["sh", "-c", "echo why >&2; exit 5"], network="none", remove=True)
    with pytest.raises(ContainerExit) as caught:
        result.check()
    assert (caught.value.exit_code, caught.value.output) == (5, "why\n")
    check_message(caught.value, "5")


@pytest.mark.needs("cgroups")
def test_lack_of_memory_is_said_by_state_result_and_event(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "x=a; while true; do x=$x$x; done"], mem_limit="16m", network="none", detach=True)
    assert container.wait(30) == 137
    assert container.state.oom_killed
    assert [event.action for event in engine.events.read() if event.type == "container"] == ["create", "start", "oom", "die"]


def test_limits_beyond_all_measure_are_an_error_or_a_warning_and_never_a_broken_container(engine: Engine) -> None:
    for options in ({"mem_limit": "99999999999g"}, {"pids_limit": 10**30}, {"mem_limit": str(2**63 - 1)}, {"pids_limit": 2**31 - 1}):
        try:
            outcome: Any = engine.containers.run(BASE, ["true"], network="none", remove=True, **options)
        except LabError as error:
            outcome = error
        assert getattr(outcome, "ok", False) or "\n" not in outcome.message
    nothing_is_left(engine)


def test_container_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(NotFound) as caught:
        engine.containers.get("nosuch")
    check_message(caught.value, "nosuch")
    container = engine.containers.create(BASE, ["true"])
    container.remove()
    for attempt in (container.start, container.stop, container.kill, container.wait, container.logs, lambda: container.exec(["true"])):
        with pytest.raises(NotFound):
            attempt()


def test_kill_and_exec_of_what_does_not_run_are_conflicts(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["true"])
    for attempt in (container.kill, lambda: container.exec(["true"]), container.sample):
        with pytest.raises(Conflict) as caught:
            attempt()
        check_message(caught.value, container.name)
    container.stop()
    assert container.status == "created"
