"""What a user may get wrong: one clear line with the value and a next action, and nothing half made is left."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import (
    Conflict,
    ContainerExit,
    InvalidArgument,
    InvalidReference,
    LabError,
    NotFound,
    StartFailed,
    Unsupported,
)

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
    ({"privileged": True}, Unsupported, "privileged"),
    ({"name": "x"}, InvalidArgument, "'x'"),
    ({"name": "../escape"}, InvalidArgument, "../escape"),
    ({"name": "-flag"}, InvalidArgument, "-flag"),
    ({"name": "a\nb"}, InvalidArgument, "name"),
    ({"mem_limit": "lots"}, InvalidArgument, "lots"),
    ({"mem_limit": "1m"}, InvalidArgument, "1m"),
    ({"mem_limit": -5}, InvalidArgument, "-5"),
    ({"cpus": "0"}, InvalidArgument, "'0'"),
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
    ({"ports": "80-90:80"}, InvalidArgument, "80-90:80"),
    ({"ports": "80:80/xyz"}, InvalidArgument, "xyz"),
    ({"ports": "80:80", "network": "none"}, InvalidArgument, "none"),
    ({"network": "nosuch"}, Unsupported, "nosuch"),
    ({"volumes": "/nosuch-folder:/data"}, InvalidArgument, "/nosuch-folder"),
    ({"volumes": "/tmp:relative"}, InvalidArgument, "relative"),
    ({"volumes": "/tmp:/data/../../x"}, InvalidArgument, "/data/../../x"),
    ({"volumes": "/tmp:/"}, InvalidArgument, "'/'"),
    ({"volumes": "/tmp:/data:rx"}, InvalidArgument, "rx"),
    ({"volumes": ":/data"}, InvalidArgument, ":/data"),
    ({"volumes": "/tmp:/data:ro:more"}, InvalidArgument, "more"),
    ({"volumes": "named:/data"}, Unsupported, "named"),
    ({"tmpfs": ["relative"]}, InvalidArgument, "relative"),
    ({"tmpfs": ["/x:exec,suid"]}, InvalidArgument, "exec"),
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
