"""`linux.seccomp` of a bundle as the program that the kernel loads, compiled once and kept; and the agent that answers for the kernel.

It must not know how profiles compile (kernel.seccomp). What was compiled before costs no import of the compiler.
"""

from __future__ import annotations

import os

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import dumps, socket
from labcontainers.oci.runtime_spec import VERSION
from labcontainers.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labcontainers.bundles.states import State
    from labcontainers.oci.runtime_spec import Document

_DIGEST_BYTES = 32
# The kernel takes only one of listener and TSYNC, which is of no use to a process of one thread, and this one with a listener alone.
_TSYNC, _WAIT_KILLABLE_RECV = 1, 32
# What a change of makes other programs of the same profile.
_COMPILER = ("seccomp", "seccomp_bpf", "seccomp_profile", "syscall_table")


def compiled(seccomp: Document, capabilities: list[str], root: str) -> Document:
    """`program` (hexadecimal), `flags` and whether some call is to `notify` an agent; raises InvalidArgument and Unsupported.

    `capabilities` are those of the bounding set, which conditions of Docker's form may ask for.
    """
    folder = f"{root}/.filters"
    path = f"{folder}/{_key(seccomp, capabilities)}"
    found = _read(path)
    if found is not None:
        return found
    from labcontainers.kernel.seccomp import compile_profile, machine_architecture
    from labcontainers.kernel.seccomp_profile import parse_profile

    profile = parse_profile(seccomp, agents=True)
    names = frozenset(name.removeprefix("CAP_") for name in capabilities)
    program = compile_profile(profile, names, machine_architecture())
    notify = any(action.name == "NOTIFY" for action in (profile.default, *(rule.action for rule in profile.rules)))
    if notify and not seccomp.get("listenerPath"):
        from labcontainers.errors import InvalidArgument

        raise InvalidArgument("linux.seccomp.listenerPath is missing, and SCMP_ACT_NOTIFY needs who answers", "name the agent's socket")
    flags = profile.load_flags & ~(_TSYNC if notify else _WAIT_KILLABLE_RECV)
    _write(path, flags, notify, program)
    return {"program": program.hex(), "flags": flags, "notify": notify}


def _key(seccomp: Document, capabilities: list[str]) -> str:
    here = os.path.dirname(syscalls.__file__ or "")
    compiler = max(os.stat(f"{here}/{name}.py").st_mtime_ns for name in _COMPILER)
    text = dumps([seccomp, capabilities, __version__, compiler, os.uname().release, os.uname().machine])
    return _digest(text.encode()).hex() + ".bpf"


def _digest(data: bytes) -> bytes:
    from _blake2 import blake2b  # of hashlib, which would load OpenSSL

    return bytes(blake2b(data, digest_size=_DIGEST_BYTES).digest())


def _read(path: str) -> Document | None:
    """None for one that is not there, not this user's own, or damaged."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return None
        content = os.read(fd, 1 << 20)
    finally:
        os.close(fd)
    digest, rest = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if len(rest) < 2 or _digest(rest) != digest:
        return None
    return {"program": rest[2:].hex(), "flags": rest[0], "notify": bool(rest[1])}


def _write(path: str, flags: int, notify: bool, program: bytes) -> None:
    content = bytes([flags, notify]) + program
    temporary = f"{os.path.dirname(path)}/.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, _digest(content) + content)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        pass  # the next container compiles it again


def needed_inside(kept: Document | None) -> Any:
    """The module that a process with a listener needs, imported before it enters the container; None for others."""
    if not (kept and kept["notify"]):
        return None
    import mmap

    return mmap


class Page:
    """A byte of memory by which the process is told that its listener was taken: it waits without a system call."""

    def __init__(self) -> None:
        import mmap

        self.fd = os.memfd_create("listener", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, 1)
        self._memory = mmap.mmap(self.fd, 1)

    def release(self) -> None:
        """Let the process go on."""
        self._memory[0] = 1


def hand_over(state: State, pidfd: int, listener: int, page: Page) -> None:
    """Take the listener out of the process and send it to the profile's agent, with the container process state. Raises OSError."""
    fd = _take(pidfd, listener)
    try:
        seccomp = state.values["config"]["linux"]["seccomp"]
        told = {"ociVersion": VERSION, "fds": ["seccompFd"], "pid": state.values["pid"]}
        if seccomp.get("listenerMetadata"):
            told["metadata"] = seccomp["listenerMetadata"]
        told["state"] = state.to_json("creating" if not state.values["ready"] else None)
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            agent.connect(seccomp["listenerPath"])
            tell(agent, dumps(told).encode(), fd)
        finally:
            agent.close()
    finally:
        os.close(fd)
    page.release()


def tell(agent: socket.socket, body: bytes, fd: int) -> None:
    """Send all of the text with the descriptor, and nothing behind it: an agent that has it may close at once. Raises OSError."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fd.to_bytes(4, "little"))]
    sent = agent.sendmsg([body], rights, socket.MSG_NOSIGNAL)
    if sent < len(body):
        agent.sendall(body[sent:])


def _take(pidfd: int, listener: int) -> int:
    """The descriptor appears as soon as the filter is loaded."""
    import time

    deadline = time.monotonic() + 10
    while True:
        try:
            return syscalls.pidfd_getfd(pidfd, listener)
        except OSError as error:
            # not there yet
            if error.errno != 9 or time.monotonic() > deadline:
                raise
        time.sleep(0.0005)
