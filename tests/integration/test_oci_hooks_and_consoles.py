"""Hooks of all six kinds at their points of a container's life, and terminals handed over and shown."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.bundle import TOP, Bundle, until

pytestmark = pytest.mark.needs("busybox")
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    found = Bundle(tmp_path)
    found.config["root"]["readonly"] = False
    return found


def hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"], **more}


def test_hooks_run_at_their_points_with_the_state(bundle: Bundle) -> None:
    told = bundle.path / "told"
    bundle.config["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(bundle.path), "options": ["rbind"]})
    hooks = {kind: [hook(f"(echo {kind}; cat; echo; readlink /proc/self/ns/mnt) >> {told}")] for kind in KINDS}
    hooks["startContainer"] = [hook("(echo startContainer; cat; echo; readlink /proc/self/ns/mnt) >> /mnt/told")]
    bundle.config["hooks"] = hooks
    bundle.config["annotations"] = {"a": "b"}
    bundle.says("sleep 1000").call("create", "one")
    pid = bundle.state()["pid"]
    inside = os.readlink(f"/proc/{pid}/ns/mnt")
    assert [line for line in told.read_text().splitlines() if line in KINDS] == ["prestart", "createRuntime", "createContainer"]
    bundle.call("start", "one")
    bundle.call("delete", "-f", "one")
    lines = told.read_text().splitlines()
    rows = [(lines[at], json.loads(lines[at + 1]), lines[at + 2]) for at in range(0, len(lines), 3)]
    assert tuple(kind for kind, _, _ in rows) == KINDS
    statuses = [state["status"] for _, state, _ in rows]
    assert statuses == ["creating", "creating", "creating", "created", "running", "stopped"]
    assert [state["pid"] for _, state, _ in rows] == [pid] * 5 + [0]
    assert {(state["id"], state["bundle"], state["annotations"]["a"]) for _, state, _ in rows} == {("one", str(bundle.path), "b")}
    assert [space == inside for _, _, space in rows] == [False, False, True, True, False, False]


def test_environment_of_a_hook_is_its_own(bundle: Bundle) -> None:
    told = bundle.path / "told"
    bundle.config["hooks"] = {"createRuntime": [{"path": "/usr/bin/env", "args": ["env"], "env": ["ONLY=this"]}]}
    bundle.config["hooks"]["createRuntime"][0] |= {"path": "/bin/sh", "args": ["sh", "-c", f"echo $ONLY$HOME > {told}"]}
    bundle.says("true").run()
    assert told.read_text() == "this\n"


@pytest.mark.parametrize("kind", KINDS[:4])
def test_failing_hook_ends_the_container(bundle: Bundle, kind: str) -> None:
    gone = bundle.path / "gone"
    bundle.config["hooks"] = {kind: [hook("echo the reason >&2; exit 3")], "poststop": [hook(f"echo gone > {gone}")]}
    done = bundle.says("touch /tmp/ran").run(ok=False)
    assert done.returncode == 1
    assert f"hooks.{kind}[0]: /bin/sh ended with 3: the reason" in done.stderr
    assert not (bundle.rootfs / "tmp/ran").exists()
    assert gone.read_text() == "gone\n"
    assert bundle.nothing_left()


@pytest.mark.parametrize("kind", KINDS[4:])
def test_failing_hook_afterwards_is_a_warning(bundle: Bundle, kind: str) -> None:
    bundle.config["hooks"] = {kind: [hook("exit 3"), hook(f"echo second > {bundle.path}/second")]}
    done = bundle.says("exit 5").run(ok=False)
    assert done.returncode == 5
    assert f"warning: hooks.{kind}[0]: /bin/sh ended with 3" in done.stderr
    assert (bundle.path / "second").exists()
    assert bundle.nothing_left()


def test_hook_that_takes_too_long_is_killed(bundle: Bundle) -> None:
    bundle.config["hooks"] = {"createRuntime": [hook("sleep 1000", timeout=1)]}
    assert "took longer than 1 s" in bundle.says("true").run(ok=False).stderr
    assert bundle.nothing_left()


def test_hook_that_is_not_there_is_told(bundle: Bundle) -> None:
    bundle.config["hooks"] = {"prestart": [{"path": "/nothing/here"}]}
    assert "/nothing/here cannot be run: no such file or directory" in bundle.says("true").run(ok=False).stderr


class Receiver:
    """A stream socket that takes one terminal, as conmon does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server = socket.socket(socket.AF_UNIX)
        # a path may be longer than an address
        self._server.bind(os.path.relpath(path))
        self._server.listen(1)
        self.master = -1
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        connection, _ = self._server.accept()
        data, fds, _, _ = socket.recv_fds(connection, 100, 1)
        assert data
        self.master = fds[0]
        connection.close()

    def read(self, until_text: str) -> str:
        found = ""
        while until_text not in found and select.select([self.master], [], [], 20)[0]:
            found = (found + os.read(self.master, 4096).decode()).replace("\r\n", "\n")
        return found

    def close(self) -> None:
        self._thread.join(20)
        self._server.close()
        if self.master >= 0:
            os.close(self.master)


def test_terminal_goes_to_the_console_socket(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle.path)
    receiver = Receiver(bundle.path / "console")
    bundle.config["process"] |= {"terminal": True, "consoleSize": {"height": 33, "width": 99}}
    bundle.says("tty; stty size; test -c /dev/console && echo console; read line; echo got $line; sleep 1000")
    bundle.call("create", "--console-socket", "console", "one")
    bundle.call("start", "one")
    assert receiver.read("console\n") == "/dev/pts/0\n33 99\nconsole\n"
    os.write(receiver.master, b"keys\n")
    assert "got keys" in receiver.read("got keys")
    bundle.call("delete", "-f", "one")
    receiver.close()
    assert bundle.nothing_left()


def test_exec_has_a_terminal_by_socket(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle.path)
    bundle.says("sleep 1000").call("run", "-d", "one")
    receiver = Receiver(bundle.path / "console")
    bundle.call("exec", "--tty", "--detach", "--console-socket", "console", "--pid-file", "exec.pid", "one", "sh", "-c", "tty; exit 0")
    assert receiver.read("\n") == "/dev/pts/0\n"
    pid = int((bundle.path / "exec.pid").read_text())
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        until(lambda: not os.path.exists(f"/proc/{pid}"))
    bundle.call("delete", "-f", "one")
    receiver.close()


@pytest.mark.parametrize(
    ("terminal", "words"),
    [(True, ["create", "one"]), (True, ["run", "-d", "one"]), (False, ["create", "--console-socket", "x", "one"])],
)
def test_terminal_and_socket_go_together(bundle: Bundle, terminal: bool, words: list[str]) -> None:
    bundle.config["process"]["terminal"] = terminal
    done = bundle.says("true").call(*words, ok=False)
    assert done.returncode == 1
    assert "--console-socket" in done.stderr
    assert bundle.nothing_left()


def test_console_socket_that_nobody_listens_on_is_told(bundle: Bundle) -> None:
    bundle.config["process"]["terminal"] = True
    done = bundle.says("true").call("create", "--console-socket", "nothing", "one", ok=False)
    assert "connect" in done.stderr
    assert bundle.nothing_left()


def test_run_shows_the_terminal_in_its_own(bundle: Bundle) -> None:
    bundle.config["process"]["terminal"] = True
    bundle.says("tty; stty size; read line; echo got $line; exit 6").write()
    master, peer = os.openpty()
    termios.tcsetwinsize(peer, (20, 70))
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    script = "import os, sys; os.setsid(); import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", script, *bundle.command("run", "one")]
    with subprocess.Popen(command, stdin=peer, stdout=peer, stderr=peer, cwd=bundle.path, env=environment) as process:
        os.close(peer)
        text = ""
        try:
            while "20 70" not in text:
                text += os.read(master, 4096).decode()
            os.write(master, b"keys\r")
            assert process.wait(30) == 6
        finally:
            process.kill()
    while select.select([master], [], [], 0.5)[0]:
        try:
            text += os.read(master, 4096).decode()
        except OSError:
            break
    os.close(master)
    assert "/dev/pts/0" in text
    assert "got keys" in text
    assert bundle.nothing_left()
