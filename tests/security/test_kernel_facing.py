"""What a container and the engine's own processes show each other and the kernel: keyrings, parameters, descriptors, libraries.

The rules for an engine that is written in Python are here, too: it runs from a sealed copy of its interpreter, and once it is inside a
container's root it imports nothing, opens nothing by name and reads no locale.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import InvalidArgument, LabError, StartFailed
from labcontainers.runtime import process
from tests import leaks
from tests.waiting import until

BASE, PYTHON = "lab/base", "lab/python"
RUN: dict[str, Any] = {"network": "none", "remove": True}
UNFILTERED: dict[str, Any] = {"security_opt": ["seccomp=unconfined"]}

# --- keyrings: keyctl(2), session-keyring(7)

KEYS = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
add_key, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *arguments)
    return result if result >= 0 else -ctypes.get_errno()
SESSION = ctypes.c_int(-3)
found = {"ring": call(keyctl, 0, SESSION, 0, 0, 0)}
if sys.argv[1] == "put":
    secret = b"secret of the one"
    found["key"] = call(add_key, b"user", b"lab-canary", secret, ctypes.c_size_t(len(secret)), SESSION)
found["search"] = call(keyctl, 10, SESSION, b"user", b"lab-canary", 0)
if len(sys.argv) > 2:
    found["read"] = call(keyctl, 11, int(sys.argv[2]), ctypes.create_string_buffer(99), ctypes.c_size_t(99), 0)
print(json.dumps(found), flush=True)
if sys.argv[1] == "put":
    __import__("time").sleep(100)
"""


def test_each_container_has_a_session_keyring_of_its_own_and_an_exec_has_another(engine: Engine) -> None:
    def keys(*words: str, within: Any = None) -> dict[str, int]:
        command = ["python3", "-c", KEYS, *words]
        done = engine.containers.run(PYTHON, command, **RUN, **UNFILTERED) if within is None else within.exec(command)
        assert done.exit_code == 0, done.stderr
        found: dict[str, int] = json.loads(done.stdout)
        return found

    holder = engine.containers.run(PYTHON, ["python3", "-c", KEYS, "put"], network="none", detach=True, **UNFILTERED)
    until(lambda: "ring" in holder.logs().text, "the key is kept")
    first = json.loads(holder.logs().text)
    if first["ring"] == -38:
        pytest.fail("this kernel has no keyrings, which every distribution's has")
    assert first["search"] == first["key"] > 0
    second, third = keys("look", str(first["key"])), keys("look", str(first["key"]), within=holder)
    holder.kill()
    libc = ctypes.CDLL(None, use_errno=True)
    ours = libc.syscall(ctypes.c_long({"x86_64": 250, "aarch64": 219}[os.uname().machine]), 0, ctypes.c_int(-3), 0, 0, 0)
    assert len({first["ring"], second["ring"], third["ring"], ours}) == 4
    for other in (second, third):
        assert other["search"] < 0
        assert other["read"] < 0


# --- parameters


@pytest.mark.parametrize("options", [{}, {"cap_add": ["SYS_ADMIN"]}, {"cap_add": ["ALL"], **UNFILTERED}], ids=["usual", "admin", "all"])
def test_no_container_changes_how_many_namespaces_its_user_may_make(engine: Engine, options: dict[str, Any]) -> None:
    files = ("max_user_namespaces", "max_mnt_namespaces", "max_pid_namespaces", "max_inotify_watches")
    before = {name: Path(f"/proc/sys/user/{name}").read_text() for name in files if Path(f"/proc/sys/user/{name}").exists()}
    script = "; ".join(f"(echo 7 > /proc/sys/user/{name}) 2>/dev/null && echo WROTE" for name in files)
    assert engine.containers.run(BASE, ["sh", "-c", f"{script}; true"], **RUN, **options).stdout == ""
    assert {name: Path(f"/proc/sys/user/{name}").read_text() for name in before} == before


@pytest.mark.parametrize(
    "name", ["user.max_user_namespaces", "kernel.core_pattern", "vm.drop_caches", "fs.suid_dumpable", "net/../kernel.x"]
)
def test_no_parameter_of_the_whole_machine_can_be_asked_for(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidArgument):
        engine.containers.create(BASE, ["true"], sysctls={name: "1"}, network="none")


# --- runc CVE-2016-9962: who joins can be neither traced nor written to

TRACER = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
own = {"self", "1", str(os.getpid())}
while True:
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or pid in own:
            continue
        try:
            before = os.readlink(f"/proc/{pid}/exe")
        except OSError:
            before = ""
        if "memfd" in before:
            print("SEEN", before, flush=True)
        for name, mode in (("mem", os.O_RDWR), ("environ", os.O_RDONLY), ("maps", os.O_RDONLY)):
            try:
                fd = os.open(f"/proc/{pid}/{name}", mode)
            except OSError:
                continue
            try:
                data = os.read(fd, 4096) if name != "mem" else b""
            except OSError:
                data = b""
            os.close(fd)
            if b"memfd" in data or b"labcontainers" in data:
                print("READ", name, flush=True)
        if libc.ptrace(0x4206, int(pid), 0, 0) == 0:
            try:
                if "memfd" in os.readlink(f"/proc/{pid}/exe"):
                    print("TRACED", flush=True)
            except OSError:
                pass
    while True:  # who is traced ends for its tracer first
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | 0x40000000)
        except ChildProcessError:
            break
        if not pid:
            break
        if os.WIFSTOPPED(status):
            libc.ptrace(7, pid, 0, 0)
"""


def test_root_of_a_container_can_neither_trace_nor_read_who_joins_it(engine: Engine) -> None:
    container = engine.containers.run(PYTHON, ["python3", "-c", TRACER], network="none", detach=True, **UNFILTERED)
    for number in range(40):
        with contextlib.suppress(StartFailed):
            container.exec(["true" if number % 2 else "/no/such/program"])
    container.kill()
    container.wait()
    assert container.logs().text == ""


# --- docker cp CVE-2019-14271: nothing of the container is loaded by who enters it, whatever the variables say


class Watch:
    """What is opened or read in some folders of the host: inotify(7)."""

    def __init__(self, *folders: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for folder in folders:
            assert libc.inotify_add_watch(self.fd, os.fsencode(folder), 0x21) >= 0, "IN_ACCESS and IN_OPEN"

    def names(self) -> set[str]:
        found = set()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, 1 << 16):
                while data:
                    _, mask, _, length = struct.unpack_from("=iIII", data)
                    if not mask & 0x40000000:  # IN_ISDIR: shells look into folders
                        found.add(data[16 : 16 + length].rstrip(b"\0").decode())
                    data = data[16 + length :]
        return found


@pytest.fixture
def traps(place: Path) -> Iterator[tuple[Path, Watch]]:
    folder = place / "traps"
    (folder / "encodings").mkdir(parents=True)
    for name in ("evil.so", "gconv-modules", "gconv-modules.cache", "locale-archive", "libnss_files.so.2", "libnss_evil.so.2", "libc.so.6",
                 "sitecustomize.py", "os.py", "warnings.py", "pwd.py", "locale.alias", "C.utf8", "encodings/__init__.py",
                 "encodings/utf_8.py", "encodings/idna.py", "startup"):  # fmt: skip
        (folder / name).write_text("not to be read")
    watch = Watch(folder, folder / "encodings")
    yield folder, watch
    os.close(watch.fd)


HOSTILE = {
    "LD_PRELOAD": "/trap/evil.so", "LD_LIBRARY_PATH": "/trap", "LD_AUDIT": "/trap/evil.so", "GCONV_PATH": "/trap", "LOCPATH": "/trap",
    "LC_ALL": "evil.EVIL-8", "LANG": "evil.EVIL-8", "LANGUAGE": "evil", "NLSPATH": "/trap/%N", "PYTHONPATH": "/trap", "PYTHONHOME": "/trap",
    "PYTHONSTARTUP": "/trap/startup", "PYTHONINSPECT": "1", "GLIBC_TUNABLES": "glibc.malloc.check=3", "MALLOC_TRACE": "/trap/startup",
    "BASH_ENV": "/trap/startup", "ENV": "/trap/startup", "HOSTALIASES": "/trap/startup", "RES_OPTIONS": "debug", "TZ": ":/trap/startup",
    "TMPDIR": "/trap", "HOME": "/trap", "PATH": "/trap:/bin:/usr/bin",
}  # fmt: skip


def test_no_library_locale_or_module_of_a_container_is_opened_by_who_enters_it(engine: Engine, traps: tuple[Path, Watch]) -> None:
    folder, watch = traps
    places = ("/trap", "/usr/lib/python3", f"/usr/lib/{os.uname().machine}-linux-gnu/gconv", "/usr/lib/locale", "/usr/share/locale")
    volumes = [f"{folder}:{place}:ro" for place in places]
    variables = [f"{name}={value}" for name, value in HOSTILE.items()]
    with pytest.raises(StartFailed):
        engine.containers.run(BASE, ["/no/such/program\udcff☃"], volumes=volumes, environment=variables, user="0", **RUN)
    container = engine.containers.run(BASE, ["sleep", "100"], volumes=volumes, network="none", detach=True)
    watch.names()
    attempts: list[dict[str, Any]] = [
        {"command": ["/no/such/program"]}, {"command": ["no-such-program"]}, {"command": ["/no/such/\udcff☃"]},
        {"command": ["true"], "user": "nobody-here"}, {"command": ["true"], "user": "0:no-such-group"},
        {"command": ["true"], "working_dir": "/no/such/folder"}, {"command": ["/no"], "working_dir": "/trap", "tty": True},
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(LabError):
            container.exec(**attempt, environment=variables)
    assert watch.names() == set()
    assert container.exec(["cat", "/trap/evil.so"]).stdout == "not to be read"
    assert watch.names() == {"evil.so"}, "the watch sees what is opened inside"
    container.kill()


# --- the rules for an engine in Python


def ours() -> list[int]:
    return [pid for pid in leaks.descendants() if leaks.describe(pid).startswith(("lab-launcher", "lab-shim", "lab-workshop"))]


def test_the_interpreter_is_sealed_and_can_be_changed_by_nobody(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    assert len(ours()) >= 2
    for pid in ours():
        fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
        try:
            assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & seals == seals
        finally:
            os.close(fd)
        with pytest.raises(OSError):  # noqa: PT011  # ETXTBSY while it runs, EPERM by the seals, EACCES for who is not its owner
            os.write(os.open(f"/proc/{pid}/exe", os.O_WRONLY), b"x")
    container.kill()


# what runs in the launcher before anything else: a hook on what Python tells of itself, see PEP 578
HOOK = """
import sys, os
def lab_hook(event, arguments, host=(os.stat("/").st_dev, os.stat("/").st_ino), stat=os.stat, kill=os.kill, getpid=os.getpid):
    now = stat("/")
    if (now.st_dev, now.st_ino) == host:
        return
    by_name = event == "open" and isinstance(arguments[0], (str, bytes)) and not (str(arguments[0]) + "|").startswith(ALLOWED)
    if by_name or event.startswith(("import", "ctypes.dlopen", "subprocess.", "socket.getaddrinfo", "socket.gethost", "exec", "compile")):
        kill(getpid(), 31)
sys.addaudithook(lab_hook)
"""
# what init opens by name inside: the kernel's own files, and the root, below which the accounts of the image are
ALLOWED = ("/proc/self/", "/proc/sys/", "/|")


@pytest.mark.parametrize("violation", [False, True], ids=["as it is", "with an import"])
def test_who_is_inside_imports_nothing_and_opens_nothing_by_name(engine: Engine, monkeypatch: pytest.MonkeyPatch, violation: bool) -> None:
    # The launcher takes its code as text, and there is no other place from which its own audit events can be seen.
    hook = HOOK.replace("ALLOWED", repr(ALLOWED))
    if violation:
        hook += "os.getcwd = lambda true=os.getcwd: __import__('this_is_no_module') and true()\n"
    monkeypatch.setattr(process, "_BOOT", f"exec({hook!r});{process._BOOT}")
    options: dict[str, Any] = {"volumes": [], "tmpfs": ["/t"], "user": "root", "working_dir": "/tmp", "tty": True, "init": True}
    if violation:
        with pytest.raises(LabError):
            engine.containers.run(BASE, ["true"], **RUN)
        return
    for more in ({}, options):
        done = engine.containers.run(BASE, ["echo", "well"], **RUN, **more)
        assert (done.exit_code, done.stdout.strip()) == (0, "well")
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    for more in ({}, {"user": "root", "working_dir": "/tmp", "environment": ["LANG=x"]}, {"tty": True}):
        assert container.exec(["echo", "well"], **more).stdout.strip() == "well"
    with pytest.raises(StartFailed, match="no such file"):
        container.exec(["/no/such/program\udcff☃"])
    container.kill()


def test_no_socket_of_ours_is_anywhere_but_in_folders_of_its_user(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    listed = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    sockets = [Path(words[-1]) for words in listed if len(words) == 8 and words[-1].startswith(str(engine.paths.root.parent))]
    for socket in sockets:
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert socket.parent.stat().st_uid == os.geteuid()
    container.kill()
    assert signal.SIGKILL in (container.wait(20) - 128,)
