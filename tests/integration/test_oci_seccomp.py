"""Filters of a bundle as the kernel enforces them, and the agent that answers for the kernel (SCMP_ACT_NOTIFY)."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.bundle import Bundle

pytestmark = pytest.mark.needs("busybox")

# <linux/seccomp.h>
SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path)


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_denied_call_fails_with_its_errno(bundle: Bundle, no_new_privileges: bool) -> None:
    bundle.config["process"]["noNewPrivileges"] = no_new_privileges
    calls = rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat", errnoRet=28)
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [calls]}
    for _ in range(2):  # the second one is not compiled
        done = bundle.says("mkdir /tmp/x; grep -E '^Seccomp:|NoNew' /proc/self/status").run()
        assert "No space left" in done.stderr
        assert done.stdout.split() == ["NoNewPrivs:", str(int(no_new_privileges)), "Seccomp:", "2"]
    assert len(list((bundle.root / ".filters").iterdir())) == 1


def test_every_flag_is_taken(bundle: Bundle) -> None:
    flags = [f"SECCOMP_FILTER_FLAG_{name}" for name in ("TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV")]
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "flags": flags}
    assert bundle.output("grep ^Seccomp: /proc/self/status").split() == ["Seccomp:", "2"]


def test_exec_has_the_filter_too(bundle: Bundle) -> None:
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat")]}
    bundle.says("sleep 1000").call("run", "-d", "one")
    assert "not permitted" in bundle.call("exec", "one", "mkdir", "/tmp/x", ok=False).stderr
    bundle.call("delete", "-f", "one")


def test_filter_need_not_allow_what_the_runtime_does(bundle: Bundle) -> None:
    # neither sockets, which the runtime talks by, nor most else is allowed; what busybox' shell needs is
    names = """read write close fstat mmap mprotect munmap brk rt_sigaction rt_sigprocmask ioctl getpid execve exit exit_group uname fcntl
        getcwd getuid getgid geteuid getegid getppid arch_prctl prctl set_tid_address set_robust_list rseq prlimit64
        readlink readlinkat getrandom         open openat stat newfstatat lseek wait4 clone dup2 gettid futex poll writev readv""".split()
    bundle.config["process"]["noNewPrivileges"] = True
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [rule("SCMP_ACT_ALLOW", *names)]}
    assert bundle.output("echo fine") == "fine\n"


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({}, "defaultAction is"),
        ({"defaultAction": "SCMP_ACT_NOTHING"}, "SCMP_ACT_NOTHING"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}, "errno"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("SCMP_ACT_NOTIFY", "mkdir")]}, "listenerPath is missing"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}, "linux.seccomp.listenerMetadata"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NONE"]}, "SECCOMP_FILTER_FLAG_NONE"),
    ],
)
def test_wrong_profile_is_told(bundle: Bundle, profile: dict[str, Any], message: str) -> None:
    bundle.config["linux"]["seccomp"] = profile
    done = bundle.says("true").run(ok=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert bundle.nothing_left()


class Agent:
    """Takes one listener as the specification says, and answers every call with an errno."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(os.path.relpath(path))
        self._server.listen(1)
        self.told: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        data, fds, _, _ = socket.recv_fds(connection, 65536, 4)
        while more := connection.recv(65536):
            data += more
        self.told = json.loads(data)
        connection.close()
        assert len(fds) == 1
        request = bytearray(80)
        fcntl.ioctl(fds[0], SECCOMP_IOCTL_NOTIF_RECV, request)
        answer = bytearray(struct.pack("=QqiI", struct.unpack_from("=Q", request)[0], 0, -17, 0))
        fcntl.ioctl(fds[0], SECCOMP_IOCTL_NOTIF_SEND, answer)
        os.close(fds[0])

    def close(self) -> None:
        self._thread.join(20)
        self._server.close()


@pytest.mark.parametrize(("detached", "no_new_privileges"), [(True, True), (False, True), (False, False)])
def test_agent_answers_for_the_kernel(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, detached: bool, no_new_privileges: bool) -> None:
    monkeypatch.chdir(bundle.path)
    agent = Agent(bundle.path / "agent")
    bundle.config["process"]["noNewPrivileges"] = no_new_privileges
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(bundle.path / "agent"),
        "listenerMetadata": "for the agent",
        "flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [rule("SCMP_ACT_NOTIFY", "mkdir", "mkdirat")],
    }
    bundle.says("mkdir /tmp/x")
    if detached:
        bundle.call("create", "one")
        bundle.call("start", "one")
        bundle.wait("stopped")
        bundle.call("delete", "one")
    else:
        assert "File exists" in bundle.run(ok=False).stderr
    agent.close()
    assert agent.told["fds"] == ["seccompFd"]
    assert agent.told["metadata"] == "for the agent"
    assert agent.told["state"]["id"] == "one"
    assert agent.told["pid"] == agent.told["state"]["pid"] > 0
    assert agent.told["ociVersion"] == agent.told["state"]["ociVersion"]


def test_agent_that_is_not_there_ends_the_start(bundle: Bundle) -> None:
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/nothing/here",
        "syscalls": [rule("SCMP_ACT_NOTIFY", "mkdir", "mkdirat")],
    }
    done = bundle.says("true").run(ok=False)
    assert done.returncode == 1
    assert "linux.seccomp.listenerPath /nothing/here: " in done.stderr
    assert bundle.nothing_left()
