"""`create`, `start` and `run`: from a bundle to a process that waits, from there to its program, and for `run` to its end.

It must not know the command line. What is half-made when anything fails is taken away again: state, control groups and process.
"""

from __future__ import annotations

import os
import time

from labcontainers.bundles import resources, spawning, starting
from labcontainers.bundles.consoles import fit, send_master
from labcontainers.bundles.device_nodes import detached_nodes
from labcontainers.bundles.filters import needed_inside
from labcontainers.bundles.groups import HOME, Groups, hierarchies
from labcontainers.bundles.hooks import run_hooks, try_hooks
from labcontainers.bundles.inside import begin
from labcontainers.bundles.mount_options import MountOptions
from labcontainers.bundles.plan import CLONE_FLAGS, Circumstances, plan_container
from labcontainers.bundles.states import State, first_values, process_state, root_of_host
from labcontainers.kernel import mounts
from labcontainers.kernel.lean import loads, signal
from labcontainers.oci.runtime_spec import cpu_list, namespace_paths, parse_config
from labcontainers.runtime.handshake import Channel, write_file
from labcontainers.runtime.rootfs import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from labcontainers.bundles.logs import Log
    from labcontainers.oci.runtime_spec import Document

_NAMESPACE_FILES = {
    "mount": "mnt", "network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup", "time": "time", "user": "user",
}  # fmt: skip


class Wishes:
    """What the command line says about a container to create."""

    def __init__(self, root: str, container_id: str, bundle: str, log: Log) -> None:
        self.root = root
        self.id = container_id
        self.bundle = os.path.abspath(bundle)
        self.config = ""
        self.log = log
        self.cgroup_manager = "cgroupfs"
        self.console_socket = ""
        self.pid_file = ""
        self.preserve: list[int] = []
        self.pivot = True
        self.keyring = True
        self.waits = True


def read_config(path: str, bundle: str) -> Document:
    """The checked document of a bundle, with its paths made absolute; raises InvalidArgument, NotFound and Unsupported."""
    config = parse_config(read_json(path))
    if config["process"] is None:
        _invalid("process is missing: a container needs what it runs")
    root = os.path.join(bundle, config["root"]["path"])
    if not os.path.isdir(root):
        _invalid(f"root.path: {config['root']['path']!r} is no directory of the bundle {bundle}")
    config["root"]["path"] = os.path.realpath(root)
    if config["root"]["path"] == "/":
        _invalid("root.path: '/' is the host's own root")
    for mount in config["mounts"]:
        if mount["source"] and ({"bind", "rbind"} & set(mount["options"]) or mount["type"] == "bind"):
            mount["source"] = os.path.join(bundle, mount["source"])
    return config


def read_json(path: str) -> object:
    """The value of a file of JSON; raises NotFound, InvalidArgument and KernelFailed."""
    try:
        fd = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        if fd:
            os.close(fd)
    except OSError as error:
        from labcontainers.errors import KernelFailed, NotFound

        if error.errno == 2:
            raise NotFound(f"{path}: no such file or directory", "--bundle names a folder with a config.json") from None
        raise KernelFailed("open", error.errno or 0, path) from None
    try:
        return loads(b"".join(parts))
    except (ValueError, RecursionError):
        _invalid(f"{path} is no JSON")


def _invalid(message: str) -> NoReturn:
    from labcontainers.errors import InvalidArgument

    raise InvalidArgument(message)


class Creation:
    """One container on its way; `state` is locked until it is there, or gone again."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self._log = wishes.log
        self.config = read_config(wishes.config or f"{wishes.bundle}/config.json", wishes.bundle)
        self._spaces = namespace_paths(self.config)
        self._check()
        self.state = State.create(wishes.root, wishes.id, first_values(wishes.bundle, self.config))
        self.channel, self._theirs = Channel.pair()
        self.pid = 0
        self.master = -1
        self._opened: list[int] = []

    def _check(self) -> None:
        """What can be refused before anything is made."""
        from_user = "user" in self._spaces
        if os.geteuid() != 0 and not from_user:
            from labcontainers.errors import Unsupported

            raise Unsupported("containers of ordinary users need a user namespace in linux.namespaces", "`spec --rootless` writes one")
        if "mount" not in self._spaces:
            from labcontainers.errors import Unsupported

            raise Unsupported("a container without a mount namespace is not supported", "add `mount` to linux.namespaces")
        terminal = self.config["process"]["terminal"]
        if terminal and self._wishes.waits and not self._wishes.console_socket:
            _invalid("process.terminal is true, so who gets it must be said: use --console-socket")
        if not terminal and self._wishes.console_socket:
            _invalid("--console-socket is there, but process.terminal is not true")

    def make(self) -> None:
        """Create the container, so that its process waits for the start; raises LabError, and then nothing is left."""
        try:
            self._make()
        except BaseException as error:
            self.undo()
            if isinstance(error, Refused):
                from labcontainers.errors import StartFailed

                raise StartFailed(str(error), 1) from None
            if isinstance(error, resources.NotPossible):
                from labcontainers.errors import Unsupported

                raise Unsupported(str(error), "`features` and docs/oci-runtime.md tell what is supported") from None
            if isinstance(error, OSError):
                from labcontainers.errors import KernelFailed

                call = (error.strerror or "").partition(": ")
                raise KernelFailed(call[0] if call[1] else "a system call", error.errno or 0, str(error.filename or "")) from None
            raise

    def _make(self) -> None:
        values = self.state.values
        groups = self._groups()
        wanted = self._wanted(groups)
        seccomp = self.config["linux"]["seccomp"]
        if seccomp is not None:
            from labcontainers.bundles.filters import compiled

            capabilities = (self.config["process"]["capabilities"] or {"bounding": []})["bounding"]
            values["filter"] = compiled(seccomp, capabilities, self._wishes.root)
        plan = plan_container(self.config, self._circumstances(groups))
        listener = self.state.listen() if self._wishes.waits else -1
        inherited = {
            "hooks": self.config["hooks"],
            "state": self.state.to_json("creating"),
            "listener": listener,
            "leave": [self.channel.fileno(), self.state.lock_fd],
            "filter": values["filter"],
            "mmap": needed_inside(values["filter"]),
        }
        starting.prepare(self.config["process"], self._log)
        os.chdir(self.config["root"]["path"])
        self.pid = spawning.spawn(wanted, self._theirs, lambda: begin(plan, self._theirs, inherited))
        self._theirs.close()
        for fd in (*self._opened, listener):
            if fd >= 0:
                os.close(fd)
        self._opened = []
        self._log.debug(f"process {self.pid} makes the container, in its namespaces: {', '.join(self._spaces)}")
        values.update(pid=self.pid, start=process_state(self.pid)[1], created=time.time())
        self.state.save()
        starting.await_created(self.channel, self._log, {"hooks": self._run_hooks, "terminal": self._take_terminal})
        starting.set_oom_score(self.pid, self.config["process"], self._log)
        if self._wishes.pid_file:
            write_file(self._wishes.pid_file, str(self.pid))
            os.chmod(self._wishes.pid_file, 0o644)
        values["ready"] = True
        self.state.save()
        self._log.debug(f"container {self.state.id} is created, its process waits for the start")
        self.state.unlock()

    def _groups(self) -> Groups:
        """Make the groups; where this user may not, and nothing is limited, the container goes without."""
        if self._wishes.cgroup_manager == "disabled":
            return Groups([])
        groups = Groups(hierarchies())
        path = self.config["linux"]["cgroupsPath"] or ""
        if ".." in path.split("/") or (path and not path.strip("/.")):
            _invalid(f"linux.cgroupsPath: {path!r} is no path of a group of the container's own")
        wanted = self.config["linux"]["resources"]
        try:
            if path:
                groups.create(path.rstrip("/") if path.startswith("/") else f"/{HOME}/{path}")
            else:
                groups.create_own(self._wishes.id)
        except OSError as error:
            if wanted is not None and (any(resources.settings(wanted)) or wanted["unified"]):
                why = os.strerror(error.errno or 0).lower()
                raise resources.NotPossible(f"linux.resources: no control group can be made at {error.filename}: {why}") from None
            self._log.debug(f"no control group: {error}")
            return groups
        if others := groups.pids():
            # Signals to the whole container, and its end, would be theirs too.
            groups.remove()
            raise resources.NotPossible(f"linux.cgroupsPath: {path!r} has {len(others)} processes already")
        if groups.frozen:
            # One that was there before; nothing in it would ever begin.
            groups.remove()
            raise resources.NotPossible(f"linux.cgroupsPath: {path!r} is frozen")
        self.state.values["cgroups"] = groups.to_json()
        self.state.save()
        if wanted is not None:
            devices = [*wanted["devices"], *resources.DEFAULT_RULES] if wanted["devices"] and root_of_host() else []
            resources.apply(groups, {**wanted, "devices": devices})
        return groups

    def _wanted(self, groups: Groups) -> spawning.Wanted:
        wanted = spawning.Wanted()
        for kind, path in self._spaces.items():
            if not path:
                wanted.new |= CLONE_FLAGS[kind]
                continue
            fd = _open(path, f"linux.namespaces: the {kind} namespace {path}")
            if os.fstat(fd).st_ino == os.stat(f"/proc/self/ns/{_NAMESPACE_FILES[kind]}").st_ino:
                os.close(fd)  # it is in there already
                continue
            self._opened.append(fd)
            wanted.joined.append((fd, CLONE_FLAGS[kind], kind))
        linux = self.config["linux"]
        wanted.uids, wanted.gids = _rows(linux["uidMappings"]), _rows(linux["gidMappings"])
        for clock, offset in linux["timeOffsets"].items():
            wanted.offsets[clock] = f"{offset['secs'] or 0} {offset['nanosecs'] or 0}"
        place(wanted, groups)
        if wanted.unified >= 0:
            self._opened.append(wanted.unified)
        return wanted

    def _circumstances(self, groups: Groups) -> Circumstances:
        return Circumstances(
            user_namespace="user" in self._spaces or not root_of_host(),
            cgroups=groups.hierarchies,
            taken=self._take_mounts(),
            devices=self._make_devices(),
            preserve=self._wishes.preserve,
            pivot=self._wishes.pivot,
            keyring=self._wishes.keyring,
        )

    def _take_mounts(self) -> dict[int, int]:
        """Bind mounts that are taken here: those with other ids, and with a user namespace all, whose root may not reach their sources."""
        taken: dict[int, int] = {}
        for number, mount in enumerate(self.config["mounts"]):
            options = MountOptions(mount["options"])
            mapped = options.id_map or mount["uidMappings"] or mount["gidMappings"]
            if not (options.bind or mount["type"] == "bind"):
                if mapped:
                    _invalid(f"mounts[{number}]: only a bind mount can have other ids")
                continue
            if not mapped and not ("user" in self._spaces and os.geteuid() == 0):
                continue
            try:
                tree = mounts.open_tree(mount["source"], recursive=options.bind == "rbind")
            except OSError as error:
                raise Refused(f"mounts[{number}].source: {mount['source']}: {os.strerror(error.errno or 0).lower()}") from None
            taken[number] = tree
            self._opened.append(tree)
            if mapped:
                self._map(tree, mount, number, options.id_map == "ridmap")
        return taken

    def _make_devices(self) -> dict[str, int]:
        linux = self.config["linux"]
        if self._spaces.get("user") != "" or not linux["devices"] or not root_of_host():
            return {}
        made = detached_nodes(linux["devices"], _rows(linux["uidMappings"]), _rows(linux["gidMappings"]), self.state.devices)
        self._opened += made.values()
        return made

    def _map(self, tree: int, mount: Document, number: int, recursive: bool) -> None:
        linux = self.config["linux"]
        uids = _rows(mount["uidMappings"] or linux["uidMappings"])
        gids = _rows(mount["gidMappings"] or linux["gidMappings"])
        if not uids or not gids:
            _invalid(f"mounts[{number}]: idmap needs uidMappings and gidMappings, of the mount or of the user namespace")
        namespace = spawning.user_namespace(uids, gids)
        try:
            mounts.set_attributes(tree, 0, recursive=recursive, user_namespace=namespace)
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise Refused(f"mounts[{number}]: {mount['source']} cannot have other ids (its file system must allow that): {why}") from None
        finally:
            os.close(namespace)

    def _run_hooks(self, _: list[int]) -> None:
        for kind in ("prestart", "createRuntime"):
            run_hooks(kind, self.config["hooks"][kind], self.state.to_json("creating"))
        self.channel.send({"go": True, "pid": self.pid})

    def _take_terminal(self, fds: list[int]) -> None:
        master, peer = fds
        os.close(peer)
        if self._wishes.console_socket:
            send_master(self._wishes.console_socket, master)
            os.close(master)
        else:
            self.master = master
            fit(master)

    def undo(self) -> None:
        """Take everything away again, and run the hooks that end a container's life."""
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except OSError:
                pass
        self.state.groups.remove()
        if self.pid:
            for line in try_hooks("poststop", self.config["hooks"]["poststop"], self.state.to_json("stopped")):
                self._log.warn(line)
        self.state.remove()
        self.state.unlock()


def place(wanted: spawning.Wanted, groups: Groups) -> None:
    """Say by which files the new process enters its groups; where it can, it is born in that of version 2."""
    wanted.procs = groups.entries
    unified = groups.unified
    # One that was there before may kill whoever is born in it (kernel.births).
    if unified and wanted.plain and unified in groups.made:
        wanted.unified_procs = f"{unified}/cgroup.procs"
        wanted.procs = [path for path in wanted.procs if path != wanted.unified_procs]
        wanted.unified = os.open(unified, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _rows(mappings: list[Document]) -> list[list[int]]:
    return [[row["containerID"], row["hostID"], row["size"]] for row in mappings]


def _open(path: str, what: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"{what}: {os.strerror(error.errno or 0).lower()}") from None


def start(state: State, log: Log, channel: Channel | None = None) -> None:
    """Let the waiting process become its program: by the container's socket, or by the `channel` of who created it. Raises LabError."""
    values = state.values
    if channel is None:
        if state.status != "created":
            from labcontainers.errors import Conflict

            raise Conflict(f"cannot start container {state.id!r}: it is {state.status}", "only a created container can be started")
        try:
            channel = state.connect()
        except OSError:
            from labcontainers.errors import Failed

            raise Failed(f"cannot start container {state.id!r}: its process does not answer", "`delete --force` removes it") from None
        os.unlink(f"{state.directory}/start.sock")
    try:
        starting.await_program(channel, state, values["pid"], bool(values["filter"] and values["filter"]["notify"]))
    finally:
        channel.close()
    log.debug(f"container {state.id} is started")
    for line in try_hooks("poststart", values["config"]["hooks"]["poststart"], state.to_json("running")):
        log.warn(line)


def affinity(process: Document, name: str) -> frozenset[int]:
    """The CPUs of `process.execCPUAffinity`, "initial" or "final"; empty for any."""
    found = process["execCPUAffinity"]
    return cpu_list(found[name], f"process.execCPUAffinity.{name}") if found is not None and found[name] else frozenset()
