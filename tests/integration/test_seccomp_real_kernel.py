"""The default filter, loaded into a real process: what it forbids fails as Docker says, and ordinary programs run."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labcontainers.kernel import capabilities, seccomp

pytestmark = pytest.mark.alike("ordinary users")

ROOT = Path(__file__).parents[2]

CHILD = """
import ctypes, errno, json, os, socket, subprocess, sys, tempfile, threading
sys.path.insert(0, sys.argv[1])
from labcontainers.kernel import syscalls
program = bytes.fromhex(sys.stdin.read())
libc = ctypes.CDLL(None, use_errno=True)
syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
syscalls.seccomp_filter(program)
found = {}

def attempt(name, action):
    try:
        action()
        found[name] = 0
    except OSError as error:
        found[name] = error.errno

def raw(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *[ctypes.c_long(one) for one in arguments]) < 0:
        raise OSError(ctypes.get_errno(), "")

def fork_and_wait():
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3

def clone_user():
    pid = libc.syscall(ctypes.c_long(numbers["clone"]), ctypes.c_long(0x10000011), None, None, None, None)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "")
    os.waitpid(pid, 0)

def thread():
    one = threading.Thread(target=lambda: None)
    one.start()
    one.join()

numbers = json.loads(sys.argv[2])
for name, arguments in json.loads(sys.argv[3]):
    attempt(name, lambda: raw(numbers[name], *arguments))
attempt("clone NEWUSER", clone_user)
attempt("clone3", lambda: raw(numbers["clone3"], 0, 0))
attempt("a future call", lambda: raw(900))
for family in (socket.AF_VSOCK, 38, socket.AF_INET, socket.AF_UNIX, socket.AF_NETLINK):
    attempt(f"socket {int(family)}", lambda: socket.socket(family, socket.SOCK_SEQPACKET if family == 38 else socket.SOCK_DGRAM).close())
attempt("fork", fork_and_wait)
attempt("thread", thread)
attempt("program", lambda: subprocess.run(["/bin/sh", "-c", "ls / | grep -q etc && cat /proc/self/status > /dev/null"], check=True))
attempt("file", lambda: tempfile.TemporaryFile().write(b"x"))
attempt("pidfd", lambda: os.close(os.pidfd_open(os.getpid())))
attempt("memfd", lambda: os.close(os.memfd_create("x")))
found["mode"] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("Seccomp:")][0]
print(json.dumps(found))
"""

DENIED = [("keyctl", [0, 0]), ("add_key", [0]), ("bpf", [0, 0, 0]), ("mount", [0, 0, 0]), ("unshare", [0x20000]), ("setns", [0, 0]),
          ("pivot_root", [0, 0]), ("io_uring_setup", [0, 0]), ("userfaultfd", [0]), ("kexec_load", [0]), ("swapon", [0]),
          ("open_by_handle_at", [0, 0, 0]), ("perf_event_open", [0]), ("fsopen", [0, 0])]  # fmt: skip


def attempts(program: bytes) -> dict[str, int | str]:
    from labcontainers.kernel import syscall_table

    table = syscall_table.numbers(seccomp.machine_architecture())
    arguments = [str(ROOT), json.dumps(dict(table)), json.dumps(DENIED)]
    child = subprocess.run([sys.executable, "-I", "-S", "-c", CHILD, *arguments], input=program.hex(), capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    found: dict[str, int | str] = json.loads(child.stdout)
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, int | str]:
    return attempts(seccomp.default_filter(capabilities.DEFAULT, None))


@pytest.mark.parametrize("name", [name for name, _ in DENIED] + ["clone NEWUSER", f"socket {40}", "socket 38"])
def test_a_dangerous_call_fails_with_eperm_under_the_default_filter(found: dict[str, int | str], name: str) -> None:
    assert found[name] == errno.EPERM


@pytest.mark.parametrize("name", ["clone3", "a future call"])
def test_a_call_that_libc_can_do_without_fails_with_enosys(found: dict[str, int | str], name: str) -> None:
    assert found[name] == errno.ENOSYS


@pytest.mark.parametrize("name", ["fork", "thread", "program", "file", "pidfd", "memfd", "socket 2", "socket 1", "socket 16"])
def test_ordinary_things_work_under_the_default_filter(found: dict[str, int | str], name: str) -> None:
    assert found[name] == 0


def test_the_filter_is_in_force(found: dict[str, int | str]) -> None:
    assert found["mode"] == "2"


def test_the_filter_for_an_administrator_leaves_the_decision_to_the_kernel() -> None:
    everything = frozenset(capabilities.NAMES)
    found = attempts(seccomp.default_filter(everything, None))
    assert found["keyctl"] == errno.EPERM  # no capability opens it
    assert found["fsopen"] == (errno.EFAULT if os.geteuid() == 0 else errno.EPERM)
