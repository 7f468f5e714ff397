"""What is known of each container: the directory ROOT/ID with its state, its lock, and the socket on which its process waits for the start.

It must not know how containers are made. A process is known by its number and its start time, since numbers are given again.
"""

from __future__ import annotations

import fcntl
import os

from labcontainers.bundles.groups import Groups
from labcontainers.kernel.freezer import Freezer
from labcontainers.kernel.lean import dumps, loads, socket
from labcontainers.oci.runtime_spec import VERSION
from labcontainers.runtime.handshake import Channel, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from labcontainers.oci.runtime_spec import Document

_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_LONGEST_ID = 1024
CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"


def root_of_host() -> bool:
    """Whether this process is root, and of no user namespace but the machine's own (user_namespaces(7))."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map", "rb") as file:
        return file.read().split() == [b"0", b"0", b"4294967295"]


def default_root() -> str:
    """Where states are kept when --root does not say: /run/labcontainers-oci, or below $XDG_RUNTIME_DIR for who is not the machine's root.

    Root of a user namespace, as rootless podman has one, cannot write the machine's /run.
    """
    folder = os.environ.get("XDG_RUNTIME_DIR")
    if folder and not root_of_host():
        return f"{folder}/labcontainers-oci"
    return "/run/labcontainers-oci" if os.geteuid() == 0 else f"/tmp/labcontainers-oci-{os.geteuid()}"


def check_root(root: str) -> None:
    """Raise Denied where others could write what this user would believe: the folder is another's, or everybody's."""
    try:
        status = os.stat(root)
    except OSError:
        return  # made when it is needed
    if status.st_uid != os.geteuid() or status.st_mode & 0o002:
        from labcontainers.errors import Denied

        raise Denied(f"{root} is another user's, or everybody may write to it", "--root names a folder of your own for states")


def check_id(container_id: str) -> str:
    """The id, if it is one; raises InvalidArgument."""
    if not container_id or container_id[0] == "." or set(container_id) - _ID_LETTERS or len(container_id) > _LONGEST_ID:
        from labcontainers.errors import InvalidArgument

        raise InvalidArgument(f"not the id of a container: {container_id!r}", "letters, digits and _ + - . make one; it begins with no dot")
    return container_id


def process_state(pid: int) -> tuple[str, int]:
    """(letter of its state, start time in clock ticks since boot) of a process; ("", 0) when there is none. Source: proc_pid_stat(5)."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return "", 0
    try:
        fields = os.read(fd, 4096).rsplit(b")", 1)[1].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, IndexError):
        return "", 0
    finally:
        os.close(fd)


class State:
    """One container's; `values` is what is kept on disk. Whoever changes it holds the lock."""

    def __init__(self, root: str, container_id: str, values: Document, lock: int = -1) -> None:
        self.root = root
        self.id = container_id
        self.values = values
        self._lock = lock

    @property
    def directory(self) -> str:
        return f"{self.root}/{self.id}"

    @property
    def devices(self) -> str:
        """The folder of the nodes that are bound in a container with a user namespace (device_nodes)."""
        return f"{self.directory}/devices"

    @classmethod
    def create(cls, root: str, container_id: str, values: Document) -> State:
        """A new one, locked; raises Conflict for an id that is taken, and KernelFailed."""
        check_id(container_id)
        try:
            os.makedirs(root, 0o700, exist_ok=True)
            os.mkdir(f"{root}/{container_id}", 0o711)
        except FileExistsError:
            from labcontainers.errors import Conflict

            raise Conflict(f"container with id exists: {container_id}", "`delete` it first, or choose another id") from None
        except OSError as error:
            from labcontainers.errors import KernelFailed

            raise KernelFailed("mkdir", error.errno or 0, f"{root}/{container_id}", "--root chooses another place") from None
        state = cls(root, container_id, values)
        state.lock()
        state.save()
        return state

    @classmethod
    def load(cls, root: str, container_id: str, *, lock: bool = False, forgiving: bool = False) -> State:
        """That of a container; with `lock`, for who changes it. Raises NotFound, and Failed for a damaged one unless `forgiving`."""
        state = cls(root, check_id(container_id), {})
        if not os.path.isdir(state.directory):
            _not_found(container_id)
        if lock:
            state.lock()
        state.read(forgiving)
        return state

    def read(self, forgiving: bool = False) -> None:
        """Read it from disk; raises NotFound when it has been deleted, and Failed unless `forgiving` when it is none."""
        try:
            fd = os.open(f"{self.directory}/state.json", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if os.path.isdir(self.directory):
                self.values = _half_made(self.id)  # its maker died before it wrote anything
                return
            _not_found(self.id)
        try:
            parts = []
            while part := os.read(fd, 1 << 20):
                parts.append(part)
        finally:
            os.close(fd)
        try:
            values = loads(b"".join(parts))
        except ValueError:
            values = None
        empty = _half_made(self.id)
        if isinstance(values, dict) and set(values) >= set(empty):
            self.values = values
        elif forgiving:
            self.values = empty
        else:
            from labcontainers.errors import Failed

            raise Failed(f"the state of container {self.id!r} is damaged", "`delete --force` removes what is left of it")

    def save(self) -> None:
        """Write it, at once or not at all."""
        write_file(f"{self.directory}/state.json", dumps(self.values))

    def lock(self) -> None:
        """Wait until nobody else changes this container."""
        try:
            self._lock = os.open(f"{self.directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            _not_found(self.id)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    @property
    def lock_fd(self) -> int:
        """The descriptor that holds the lock, which a process that is cloned meanwhile must not keep; -1 without."""
        return self._lock

    def unlock(self) -> None:
        """Let others change it."""
        if self._lock >= 0:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = -1

    def remove(self) -> None:
        """Forget the container."""
        if os.path.isdir(self.devices):
            for name in os.listdir(self.devices):
                os.unlink(f"{self.devices}/{name}")
            os.rmdir(self.devices)
        for name in os.listdir(self.directory):
            os.unlink(f"{self.directory}/{name}")
        os.rmdir(self.directory)

    @property
    def groups(self) -> Groups:
        """Its control groups."""
        return Groups.from_json(self.values["cgroups"])

    @property
    def freezer(self) -> Freezer:
        """What stops all its processes."""
        groups = self.groups
        return Freezer(groups.unified, groups.v1)

    @property
    def pid(self) -> int:
        """The number of its first process, or 0 when that has ended."""
        pid: int = self.values["pid"]
        letter, start = process_state(pid)
        return pid if letter not in ("", "Z", "X") and start == self.values["start"] else 0

    @property
    def status(self) -> str:
        """As the specification says, with creating and paused besides."""
        if not self.pid:
            return STOPPED if self.values["pid"] or not self._in_the_making() else CREATING
        if not self.values["ready"]:
            return CREATING
        if self.freezer.frozen:
            return PAUSED
        return CREATED if os.path.exists(f"{self.directory}/start.sock") else RUNNING

    def _in_the_making(self) -> bool:
        """Whether somebody else holds the lock, who makes it."""
        if self._lock >= 0:
            return False
        try:
            fd = os.open(f"{self.directory}/lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(fd)

    def to_json(self, status: str | None = None) -> Document:
        """The state as the specification has it (runtime.md, "State"); `status` for hooks, which are told where things stand."""
        found = {"ociVersion": VERSION, "id": self.id, "status": status or self.status, "pid": self.pid, "bundle": self.values["bundle"]}
        return {**found, "annotations": self.values["annotations"]} if self.values["annotations"] else found

    def listen(self) -> int:
        """The socket on which the process waits for the start; its descriptor."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind(_short(self.directory))
        sock.listen(4)
        return sock.detach()

    def connect(self) -> Channel:
        """To the process that waits there; raises OSError when there is none."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.connect(_short(self.directory))
        return Channel(sock)


def _short(directory: str) -> str:
    """A name of the socket in this directory that fits into an address, which has 108 bytes (unix(7))."""
    path = f"{directory}/start.sock"
    if len(os.fsencode(path)) < 108:
        return path
    return f"/proc/self/fd/{os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}/start.sock"


def first_values(bundle: str, config: Document) -> Document:
    """What is kept of a container before it has a process."""
    return {
        "bundle": bundle,
        "annotations": config["annotations"],
        "pid": 0,
        "start": 0,
        "ready": False,
        "created": 0,
        "owner": os.geteuid(),
        "cgroups": {"hierarchies": [], "made": []},
        "config": {name: config[name] for name in ("process", "hooks", "root", "linux")},
        "filter": None,
    }


def _half_made(container_id: str) -> Document:
    hooks: Document = {name: [] for name in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")}
    return first_values("", {"annotations": {}, "process": None, "hooks": hooks, "root": None, "linux": None})


def _not_found(container_id: str) -> NoReturn:
    from labcontainers.errors import NotFound

    raise NotFound(f"container {container_id!r} does not exist", "`list` tells which do")
