"""What an image or a program tries against terminals: the one that it is given, and that of the user outside."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import LabError, StartFailed
from tests.integration.typist import DETACH, Typist
from tests.security.hostile import BASE, link, make_image, put

HOUSE = Path(__file__).resolve().parents[2]

PLACES = ("/dev/console", "/dev/ptmx", "/dev/pts", "/dev/pts/ptmx", "/dev/tty", "/dev/stdin", "/dev")


def untouched(folder: Path) -> bool:
    return [path.name for path in folder.rglob("*")] == ["canary"] and (folder / "canary").read_text() == "host"


def traps(outside: Path) -> dict[str, Callable[[Path], object]]:
    return {
        "a link to a file": lambda tree: [link(tree, path, str(outside / "canary")) for path in PLACES[:4] if path != "/dev/pts"],
        "a link out of the root": lambda tree: link(tree, "/dev/console", "../../../../../../../.." + str(outside / "canary")),
        "pts is a link to a folder": lambda tree: link(tree, "/dev/pts", str(outside)),
        "pts is a file": lambda tree: put(tree, "/dev/pts", "x"),
        "console is a folder": lambda tree: put(tree, "/dev/console/x", "x"),
        "ptmx is a link to proc": lambda tree: link(tree, "/dev/pts/ptmx", "/proc/self/fd/0"),
        "console is a link to sysrq": lambda tree: link(tree, "/dev/console", "/proc/sysrq-trigger"),
    }


# runc CVE-2025-52565, CVE-2025-31133
@pytest.mark.parametrize("trap", sorted(traps(Path())))
def test_image_cannot_lead_the_terminal_or_the_console_astray(engine: Engine, outside: Path, trap: str) -> None:
    image = make_image(engine, traps(outside)[trap])
    closed = "(echo 1 >/proc/sys/kernel/hostname) 2>/dev/null || echo closed"
    script = f"tty; stat -c %F /dev/console /dev/pts/ptmx; echo evil >/dev/console; {closed}"
    result = engine.containers.run(image, ["sh", "-c", script], network="none", remove=True, tty=True)
    assert result.stdout.split("\r\n") == ["/dev/pts/0", *["character special file"] * 2, "evil", "closed", ""]
    assert untouched(outside)


def test_image_whose_dev_is_a_link_is_refused(engine: Engine, outside: Path) -> None:
    def fill(tree: Path) -> None:
        shutil.rmtree(tree / "dev", ignore_errors=True)
        link(tree, "/dev", str(outside))

    with pytest.raises(StartFailed):
        engine.containers.run(make_image(engine, fill), ["true"], network="none", remove=True, tty=True)
    assert untouched(outside)


SWAPS = {
    "a fifo": "mkdir /dev/p && mknod /dev/p/ptmx p",
    "a file": "mkdir /dev/p && echo x >/dev/p/ptmx",
    "a link": "mkdir /dev/p && ln -s /dev/null /dev/p/ptmx",
    "nothing": "mkdir /dev/p",
}


@pytest.mark.parametrize("kind", sorted(SWAPS))
def test_exec_uses_nothing_but_the_true_multiplexer(engine: Engine, kind: str) -> None:
    """A program with every capability puts something else in its place; the exec that wants a terminal is refused at once."""
    container = engine.containers.run(BASE, ["sleep", "1000"], network="none", detach=True, privileged=True)
    swapped = container.exec(["sh", "-c", f"{SWAPS[kind]} && mount --bind /dev/p /dev/pts"], privileged=True)
    assert swapped.ok, swapped.stderr
    with pytest.raises(LabError):
        container.exec(["true"], tty=True)
    assert container.exec(["true"]).ok


# TIOCSTI: CVE-2023-1523 (snapd), CVE-2017-5226 (bubblewrap), CVE-2016-2781
INJECT = """
import fcntl, os, sys
for name in ("/dev/tty", "/dev/console", "/proc/self/fd/0", "/proc/self/fd/1"):
    try:
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
        for byte in b"touch /tmp/injected\\n":
            fcntl.ioctl(fd, 0x5412, bytes([byte]))
        print("in", name)
    except OSError as error:
        print("out", name, error.errno)
print("tried")
"""


@pytest.mark.parametrize("flags", [("-it",), ("-i",)])
def test_program_cannot_type_at_the_users_terminal(engine: Engine, place: Path, flags: tuple[str, ...]) -> None:
    python_path = os.pathsep.join([str(HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "LABCONTAINERS_ROOT": str(place / "s"), "LABCONTAINERS_RUN": str(place / "r"), "PYTHONPATH": python_path}
    options = ("--network", "none", "--rm", *flags)
    user = Typist(environment, "run", *options, "lab/python", "python3", "-c", INJECT)
    try:
        user.expect(b"tried")
        assert user.end() == 0
        os.set_blocking(user.peer, False)
        try:
            typed = os.read(user.peer, 4096)
        except BlockingIOError:
            typed = b""
        assert typed == b"", "somebody typed at the user's terminal who is not the user"
        assert user.restored()
    finally:
        user.close()


@pytest.mark.parametrize("flags", [("-it",), ("-i",)])
def test_program_holds_no_descriptor_of_the_users_terminal(engine: Engine, place: Path, flags: tuple[str, ...]) -> None:
    python_path = os.pathsep.join([str(HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "LABCONTAINERS_ROOT": str(place / "s"), "LABCONTAINERS_RUN": str(place / "r"), "PYTHONPATH": python_path}
    user = Typist(environment, "run", *flags, "--name", "guest", "--network", "none", "lab/base", "sh", "-c", "echo up; sleep 1000")
    try:
        user.expect(b"up")
        mine = os.fstat(user.peer)
        pid = engine.containers.get("guest").state.pid
        held = [os.stat(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
        assert (mine.st_dev, mine.st_ino) not in [(status.st_dev, status.st_ino) for status in held]
        assert len(held) == 3
        user.type(DETACH) if "-it" in flags else engine.containers.get("guest").kill()
        user.end()
    finally:
        user.close()


def test_terminal_of_one_container_is_not_that_of_another(engine: Engine) -> None:
    first = engine.containers.run(BASE, ["sleep", "1000"], network="none", detach=True, tty=True, stdin_open=True)
    second = engine.containers.run(BASE, ["sh", "-c", "ls /dev/pts"], network="none", tty=True, remove=True)
    assert second.stdout.split() == ["0", "ptmx"]
    engine.containers.run(BASE, ["sh", "-c", "echo evil >/dev/pts/0"], network="none", tty=True, remove=True)
    assert first.logs().data == b""
