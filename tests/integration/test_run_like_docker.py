"""What a container sees, compared once with Docker 28.5 on the same files and kept here as its answers: users, signals, limits, mounts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import InvalidArgument, StartFailed

DOCKERS_CAPABILITIES = 0x00000000A80425FB


def output(engine: Engine, script: str | list[str], **options: object) -> str:
    command = ["sh", "-c", script] if isinstance(script, str) else script
    result = engine.containers.run("lab/base", command, network="none", remove=True, **options)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def status_of(engine: Engine, **options: object) -> dict[str, str]:
    """/proc/self/status of a container's first process."""
    text = output(engine, ["cat", "/proc/self/status"], **options)
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


@pytest.fixture
def ignored_signals() -> Iterator[None]:
    """This process ignores what `nohup` and a shell's `&` make their commands ignore."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


class TestProcess:
    def test_no_signal_is_ignored_or_blocked_whatever_the_engines_process_ignores(self, ignored_signals: None, engine: Engine) -> None:
        status = status_of(engine)
        assert [int(status[name], 16) for name in ("SigIgn", "SigBlk", "SigCgt")] == [0, 0, 0]

    def test_it_may_do_nothing_that_docker_does_not_allow(self, engine: Engine) -> None:
        status = status_of(engine)
        for name in ("CapBnd", "CapEff", "CapPrm"):
            assert int(status[name], 16) & ~DOCKERS_CAPABILITIES == 0
        assert (int(status["CapInh"], 16), int(status["CapAmb"], 16), status["Seccomp"], status["NoNewPrivs"]) == (0, 0, "2", "0")

    @pytest.mark.needs("root")
    def test_a_user_has_no_capabilities_but_keeps_the_bounding_set(self, engine: Engine) -> None:
        status = status_of(engine, user="lab")
        assert [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0, 0, 0, 0]
        assert int(status["CapBnd"], 16) != 0

    USERS = (
        ("lab", "1000 1000 1000 /home/lab"), ("1000", "1000 1000 1000 /home/lab"), ("1000:5", "1000 5 5 /home/lab"),
        ("lab:tty", "1000 5 5 /home/lab"), ("4242", "4242 0 0 /"), ("4242:4243", "4242 4243 4243 /"), ("root", "0 0 0 /root"),
    )  # fmt: skip

    @pytest.mark.needs("root")
    @pytest.mark.parametrize(("user", "expected"), USERS)
    def test_a_user_has_the_ids_the_groups_and_the_home_that_docker_gives(self, engine: Engine, user: str, expected: str) -> None:
        assert output(engine, "echo $(id -u) $(id -g) $(id -G) $HOME", user=user).strip() == expected

    @pytest.mark.needs("root")
    def test_anyone_may_ping_and_listen_on_low_ports_in_its_own_network(self, engine: Engine) -> None:
        script = "cd /proc/sys/net/ipv4; echo $(cat ping_group_range ip_unprivileged_port_start)"
        assert output(engine, script).split() == ["0", "2147483647", "0"]

    def test_ping_sockets_need_no_capability_and_raw_ones_do(self, engine: Engine) -> None:
        def made(kind: str, **options: object) -> str:
            script = f"import socket as s; s.socket(s.AF_INET, s.{kind}, s.IPPROTO_ICMP)"
            return engine.containers.run("lab/python", ["python3", "-c", script], network="none", remove=True, **options).stderr

        assert made("SOCK_DGRAM", cap_drop=["ALL"]) == made("SOCK_RAW", cap_add=["NET_RAW"]) == ""
        assert "PermissionError" in made("SOCK_RAW")

    WHERE = (("/etc/passwd", 126, "not a directory"), ("/root", 126, "permission denied"))

    @pytest.mark.needs("root")
    @pytest.mark.parametrize(("path", "code", "words"), WHERE)
    def test_a_working_directory_that_cannot_be_entered_is_named(self, engine: Engine, path: str, code: int, words: str) -> None:
        with pytest.raises(StartFailed) as caught:
            output(engine, ["true"], working_dir=path, user="lab")
        assert (caught.value.exit_code, caught.value.message) == (code, f"working directory '{path}': {words}")
        assert caught.value.hint == "name a directory of the image that its user may enter"


class TestFiles:
    def test_a_read_only_container_cannot_write_the_files_of_its_network(self, engine: Engine) -> None:
        names = ("hostname", "hosts", "resolv.conf")
        script = f"for name in {' '.join(names)}; do (echo x >> /etc/$name) 2>/dev/null && echo $name; done; true"
        assert output(engine, script).split() == list(names)
        assert output(engine, script, read_only=True) == ""

    TWICE = (
        {"volumes": ["/usr:/m", "/etc:/m/"]},
        {"volumes": ["/usr:/m"], "tmpfs": {"/m": ""}},
    )

    @pytest.mark.parametrize("options", TWICE)
    def test_two_mounts_at_one_place_are_refused(self, engine: Engine, options: dict[str, object]) -> None:
        with pytest.raises(InvalidArgument, match="duplicate mount point: /m"):
            engine.containers.create("lab/base", ["true"], **options)

    def test_a_folder_that_is_missing_on_the_host_is_refused_and_not_made(self, engine: Engine, tmp_path: Path) -> None:
        missing = tmp_path / "data"
        with pytest.raises(InvalidArgument, match="volume source does not exist"):
            engine.containers.create("lab/base", ["true"], volumes=[f"{missing}:/data"])
        assert not missing.exists()
