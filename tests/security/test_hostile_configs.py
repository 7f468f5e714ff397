"""What the config of an image, and accounts, labels and programs of it, try against whoever starts, lists and looks into containers."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import LabError, StartFailed
from tests.security.hostile import BASE, make_image, put
from tests.waiting import until

RUN: dict[str, Any] = {"network": "none", "remove": True}
REFUSED: dict[str, dict[str, Any]] = {
    "a NUL in a variable": {"env": ("A=b\0c",)},
    "a variable without a name": {"env": ("=x", "B=1")},
    "half a character in a variable": {"env": ("A=\ud800",)},
    "a variable of megabytes": {"env": ("A=" + "x" * 3_000_000,)},
    "variables of megabytes": {"env": tuple(f"V{number}={'x' * 1000}" for number in range(5000))},
    "a NUL in the working directory": {"working_dir": "/a\0b"},
    "a working directory without end": {"working_dir": "/" + "a" * 5000},
    "a working directory above the root": {"working_dir": "a/../../.."},
    "a program of megabytes": {"entrypoint": ("x" * 3_000_000,)},
    "arguments without end": {"entrypoint": ("true",) * 200_000},
    "a NUL in the user": {"user": "root\0"},
    "a new line in the user": {"user": "\n0"},
    "a terminal's words in the user": {"user": "\x1b[2J\x1b]0;owned\x07\u202e"},
    "a user without end": {"user": "a" * 100_000},
    "a digit that is no digit": {"user": "\u0660"},
}


@pytest.mark.parametrize("config", REFUSED.values(), ids=REFUSED.keys())
def test_a_config_that_no_program_can_be_started_with_is_refused_in_one_plain_short_line(engine: Engine, config: dict[str, Any]) -> None:
    image = make_image(engine, **config)
    with pytest.raises(StartFailed) as refused:
        engine.containers.run(image, ["true"], **RUN)
    told = str(refused.value)
    assert told.isprintable()
    assert len(told) < 1000
    assert "Error:" not in told


def test_errors_never_carry_what_moves_a_cursor_or_ends_a_line() -> None:
    error = LabError("no image \x1b[2J\r\n\x9b1m\u202efdp\ud800 naïve 本", "try\x07 it")
    assert error.message == "no image \\x1b[2J\\r\\n\\x9b1m\\u202efdp\\ud800 naïve 本"
    assert error.hint == "try\\x07 it"
    assert str(error).isprintable()


# containerd CVE-2026-47262
@pytest.mark.parametrize(
    "group",
    [
        "root:x:0:\n" + "".join(f"g{number}:x:{number + 1}:me\n" for number in range(200_000)),
        "root:x:0:" + ",".join(["me"] * 3_000_000) + "\n",
    ],
    ids=["two hundred thousand groups", "three million members"],
)
def test_groups_without_end_take_no_memory_and_no_time_of_the_machine(engine: Engine, group: str) -> None:
    number = 0 if engine.info()["IDs"] == "single" else 1000

    def fill(tree: Path) -> None:
        put(tree, "/etc/passwd", f"root:x:0:0::/:/bin/sh\nme:x:{number}:{number}::/:/bin/sh\n")
        put(tree, "/etc/group", group)

    image = make_image(engine, fill, user="me")
    assert engine.containers.run(image, ["sh", "-c", "id -u; id -g"], **RUN).stdout == f"{number}\n{number}\n"


# podman CVE-2022-1227
def test_no_program_of_a_container_is_run_to_look_into_it(engine: Engine) -> None:
    def fill(tree: Path) -> None:
        for name in ("ps", "top", "tar", "cat", "nsenter", "du", "df", "stat"):
            for folder in ("bin", "usr/bin", "usr/local/bin", "sbin"):
                if not (tree / folder).is_symlink():
                    put(tree, f"/{folder}/{name}", "#!/bin/sh\necho ran > /ran\n", 0o755)

    container = engine.containers.run(make_image(engine, fill), ["sleep", "100"], network="none", detach=True)
    container.top()
    container.stats()
    container.inspect()
    container.diff()
    container.security()
    assert b"".join(container.export())
    assert container.exec(["ls", "/ran"]).exit_code != 0
    container.kill()


# podman CVE-2021-20199
@pytest.mark.needs("network")
def test_who_comes_by_a_published_port_is_no_neighbour_on_the_loopback(engine: Engine) -> None:
    serve = "import socket\nserver = socket.create_server(('0.0.0.0', 80))\nprint(server.accept()[1][0], flush=True)\n"
    container = engine.containers.run("lab/python", ["python3", "-c", serve], ports={"80/tcp": ("127.0.0.1", 0)}, detach=True)
    port = container.ports[0].host_port

    def came() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return False
        time.sleep(0.05)
        return bool(container.logs().text.strip())

    until(came, "somebody came")
    assert not container.logs().text.startswith("127.")
    container.remove(force=True)


# containerd CVE-2026-53488
def test_labels_of_an_image_are_words_and_set_nothing(engine: Engine, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    labels = {
        "io.containerd.runc.v2.binary": str(canary),
        "com.docker.security": "privileged",
        "security-opt": "seccomp=unconfined",
        "devices": "/dev/kmsg",
        f"$(touch {canary})": f"`touch {canary}`",
        "\x1b[2J": "\x1b]0;owned\x07",
        "{{.ID}}": "{{json .}}",
    }
    container = engine.containers.run(make_image(engine, labels=labels), ["sleep", "100"], network="none", detach=True)
    plain = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    seen = [{f"{each.topic} {each.name}": each.value for each in one.security() if each.topic != "identity"} for one in (container, plain)]
    assert seen[0] == seen[1]
    assert container.inspect()["Config"]["Labels"]["{{.ID}}"] == "{{json .}}"
    shown = str(execute(lambda: engine, understand(["ps", "--format", "json", "--filter", f"name={container.name}"])))
    assert "\x1b" not in shown
    assert json.loads(shown)["ID"] == container.short_id
    assert not canary.exists()
    for one in (container, plain):
        one.kill()
