"""One process per container: it starts init, keeps its output in the log, answers on a socket, and records the end.

It must not import anything but what the launcher holds, and knows no store: paths and plans are given to it. It outlives the
engine when the container is detached, and ends the container when a foreground engine goes away.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from labcontainers.kernel import syscalls
from labcontainers.runtime import cleanup, enter
from labcontainers.runtime.cradle import Cradle
from labcontainers.runtime.handshake import CHUNK_BYTES, Channel, Message, boot_id, dumps, start_time, write_file
from labcontainers.runtime.init import become_workload, begin
from labcontainers.runtime.rootless import Member
from labcontainers.runtime.stdio import SLOW_CLIENT_BYTES, Client, LogFile, let_go_of_standard_streams


class Shim:
    """The life of one container, driven by poll(2) on everything that can happen."""

    def __init__(self, request: Message, fds: list[int], member: Member | None, cradle: Cradle | None = None) -> None:
        self.request = request
        self.cradle = cradle
        self.member = member
        self.engine = Client(Channel.from_fd(fds[0]), output=bool(request["foreground"]))
        self.plan = fds[1]
        self.stdin = fds[2] if request["stdin"] else os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.listeners = fds[3 if request["stdin"] else 2 :]
        self.directory: str = request["directory"]
        self.state: Message = {"status": "created", "shim_pid": os.getpid(), "shim_start": start_time(os.getpid()), "boot_id": boot_id()}
        self.clients: list[Client] = [self.engine]
        self.handlers: dict[int, Callable[[], None]] = {}
        self.poll = select.poll()
        self.pid = 0
        self.status: int | None = None
        self.ready: Message = {}
        self.failure: Message | None = None
        self.streams: dict[int, int] = {}
        self.execs: dict[int, enter.Entered] = {}
        self.forwarder = 0
        self.awaits_engine = False
        self.address = ""
        self.log: LogFile | None = None
        self.lock = -1

    # --- start

    def run(self) -> None:
        """Everything, from the start of the container to its recorded end."""
        try:
            self._prepare()
            self._start()
            while self.failure is None and self.status is None:
                self._turn()
        except Exception as error:
            number = getattr(error, "errno", None)
            self.failure = {"operation": "clone", "about": "", "message": str(error), "errno": number, "exit_code": 125}
        self._finish()

    def _prepare(self) -> None:
        os.setsid()
        let_go_of_standard_streams()
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        syscalls.set_process_title(f"lab-shim {self.request['name']}")
        if self.member is not None:
            self.member.register(self.request.get("bridge_fd", -1))
        if self.directory:
            # Until the lock is taken, nothing of the container is this shim's to take away.
            cgroups, self.request["cgroups"] = self.request["cgroups"], {}
            self._take_lock()
            self.request["cgroups"] = cgroups
            self.log = LogFile(self.directory + "/log", append=True)
        if self.request["socket_directory"]:
            self._listen(self.request["socket_directory"])
        self._watch(self.engine.channel.fileno(), lambda: self._on_client(self.engine))

    def _take_lock(self) -> None:
        """Be the container's only shim. Engines that ask whether there is one hold the lock for a moment."""
        directory, self.directory = self.directory, ""
        self.lock = os.open(directory + "/lock", os.O_RDWR | os.O_CLOEXEC)
        for _ in range(1000):
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.005)
        else:
            raise OSError(16, "another process runs this container")
        # Who removes the container holds the lock meanwhile, so from here on the directory stays.
        if not os.path.samestat(os.stat(directory + "/lock"), os.fstat(self.lock)):
            raise OSError(2, "the container was removed")
        self.directory = directory

    def _listen(self, directory: str) -> None:
        """Serve `shim.sock`, bound through a descriptor since a socket's path is limited to 108 bytes (unix(7))."""
        folder = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        path = f"/proc/self/fd/{folder}/shim.sock"
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(path)
        server.listen(16)
        os.close(folder)
        self._watch(server.fileno(), lambda: self._on_connection(server))

    def _start(self) -> None:
        pipes = {stream: os.pipe2(os.O_CLOEXEC) for stream in (1, 2)}
        ours, theirs = Channel.pair()
        cgroup = self.request["cgroup_directory"]
        cgroup_fd = os.open(cgroup, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if cgroup else -1
        self.pid = self._clone(cgroup_fd, (self.stdin, pipes[1][1], pipes[2][1], self.plan), theirs)
        theirs.close()
        for fd in (self.plan, self.stdin, pipes[1][1], pipes[2][1], *([cgroup_fd] if cgroup_fd >= 0 else [])):
            os.close(fd)
        self.pidfd = syscalls.pidfd_open(self.pid)
        self._watch(self.pidfd, self._on_exit)
        for stream, (fd, _) in pipes.items():
            os.set_blocking(fd, False)
            self.streams[stream] = fd
            self._watch(fd, lambda stream=stream: self._on_output(stream))  # type: ignore[misc]
        self.init = ours
        self._watch(ours.fileno(), self._on_init)

    def _clone(self, cgroup_fd: int, fds: tuple[int, int, int, int], status: Channel) -> int:
        """Clone init, by the cradle if one waits in its control groups; its pid."""
        flags = self.request["clone_flags"]
        if self.cradle is not None:
            pid = self.cradle.clone(flags, cgroup_fd, (*fds, status.fileno()))
            if pid:
                self.state["in_cradle"] = True
                return pid
        pid = syscalls.clone(flags, cgroup_fd=cgroup_fd)
        if pid == 0:
            begin(*fds, status)
        return pid

    # --- events

    def _watch(self, fd: int, handler: Callable[[], None], events: int = select.POLLIN) -> None:
        self.handlers[fd] = handler
        self.poll.register(fd, events)

    def _forget(self, fd: int) -> None:
        if self.handlers.pop(fd, None) is not None:
            self.poll.unregister(fd)

    def _turn(self, timeout_ms: int = -1) -> None:
        ready = self.poll.poll(timeout_ms)
        # The end of init comes last, so that what was written before it is in the log before it.
        for fd, _ in sorted(ready, key=lambda item: item[0] == getattr(self, "pidfd", -1)):
            handler = self.handlers.get(fd)
            if handler is not None:
                handler()

    def _on_init(self) -> None:
        message, fds = self.init.receive()
        if message is None:
            self._forget(self.init.fileno())
            self.init.close()
            if self.failure is None and self.ready:
                self._on_started()
        elif isinstance(message, dict):
            if "network" in message:
                self._ask_for_network(tuple(fds))
            elif "error" in message:
                self.failure = message["error"]
            else:
                self.ready = message
        for fd in fds:
            os.close(fd)

    def _ask_for_network(self, fds: tuple[int, ...]) -> None:
        """Only the engine can configure the network: without it, the container ends before it began."""
        self.awaits_engine = True
        try:
            self.engine.channel.send({"network": self.pid}, fds)
        except OSError:
            self._signal(signal.SIGKILL)

    def _on_started(self) -> None:
        now = time.time()
        timings = self.ready["timings_us"]
        self.state.update(status="running", pid=self.pid, pid_start=start_time(self.pid), started_at=now, timings_us=timings)
        if self.listeners:
            targets = [(self.address, port) for port in self.request["forward"]]
            self.forwarder = enter.start_forwarder(self.pidfd, self.listeners, targets)
            for fd in self.listeners:
                os.close(fd)
            self.listeners = []
        self._save()
        self._event("start", now)
        self._tell(self.engine, {"started": self.pid, "timings_us": timings, "made": self.ready["made"]})

    def _on_output(self, stream: int) -> None:
        fd = self.streams[stream]
        try:
            data = os.read(fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._forget(fd)
            os.close(fd)
            del self.streams[stream]
            return
        if self.log is not None:
            self.log.write(stream, data)
        for client in self.clients:
            if client.output:
                client.send_stream(stream, data)
                self._flush_later(client)

    def _flush_later(self, client: Client) -> None:
        """While a client is slow, watch for room in its socket; when it is very slow, let the container's pipes fill."""
        if client.closed:
            self._drop(client)
            return
        fd = client.channel.fileno()
        self.poll.modify(fd, select.POLLIN | (select.POLLOUT if client.pending_bytes else 0))
        wanted = 0 if any(other.pending_bytes > SLOW_CLIENT_BYTES for other in self.clients) else select.POLLIN
        for stream_fd in self.streams.values():
            self.poll.modify(stream_fd, wanted)

    def _tell(self, client: Client, message: Message) -> None:
        client.send(message)
        if client in self.clients:
            self._flush_later(client)

    def _on_exit(self) -> None:
        self._forget(self.pidfd)
        while self.init.fileno() in self.handlers:
            self._on_init()
        _, self.status = os.waitpid(self.pid, 0)

    def _on_connection(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        _, uid, _ = enter.peer_credentials(connection)
        if uid != os.geteuid():
            connection.close()
            return
        client = Client(Channel(connection), output=False)
        self.clients.append(client)
        self._watch(connection.fileno(), lambda: self._on_client(client))

    def _drop(self, client: Client) -> None:
        if client not in self.clients:
            return
        self._forget(client.channel.fileno())
        self.clients.remove(client)
        client.channel.close()
        if client is self.engine and self.status is None and (self.request["foreground"] or self.awaits_engine):
            self._signal(signal.SIGKILL)

    def _on_client(self, client: Client) -> None:
        if client.pending_bytes:
            client.flush()
            self._flush_later(client)
            if client.closed:
                return
        try:
            message, fds = client.receive()
        except BlockingIOError:
            return
        except (ValueError, IndexError):
            self._drop(client)
            return
        if message is None:
            self._drop(client)
        elif isinstance(message, dict):
            try:
                self._answer(client, message, fds)
            except Exception:
                # No engine of this version speaks so; the container must not suffer from it.
                self._drop(client)
        for fd in fds:
            os.close(fd)

    def _answer(self, client: Client, message: Message, fds: list[int]) -> None:
        if "exec" in message:
            self._exec(client, message["exec"], fds)
        elif "exec_signal" in message:
            for entered in self.execs.values():
                if entered.client is client:
                    entered.kill(message["exec_signal"])
        elif "signal" in message:
            self._signal(message["signal"])
            self._tell(client, {"signalled": message["signal"]})
        elif "attach" in message:
            client.output = True
        elif "go" in message or "error" in message:
            self.awaits_engine = False
            self.address = message.get("address", "")
            self.init.send(message)

    def _signal(self, number: int) -> None:
        try:
            syscalls.pidfd_send_signal(self.pidfd, number)
        except (ProcessLookupError, AttributeError):
            pass

    # --- exec

    def _exec(self, client: Client, request: Message, fds: list[int]) -> None:
        entered = enter.Entered(client)
        try:
            entered.start(self.pidfd, request, fds, become_workload)
        except OSError as error:
            self._tell(client, {"error": {"operation": "setns", "about": "", "message": str(error), "exit_code": 125}})
            return
        self.execs[entered.status.fileno()] = entered
        self._watch(entered.status.fileno(), lambda: self._on_exec_status(entered))

    def _on_exec_status(self, entered: enter.Entered) -> None:
        answer = entered.on_status()
        if answer is None:
            return
        self._forget(entered.status.fileno())
        self.execs.pop(entered.status.fileno(), None)
        entered.status.close()
        self._tell(entered.client, answer)
        if entered.pidfd >= 0:
            self.execs[entered.pidfd] = entered
            self._watch(entered.pidfd, lambda: self._on_exec_exit(entered))

    def _on_exec_exit(self, entered: enter.Entered) -> None:
        self._forget(entered.pidfd)
        self.execs.pop(entered.pidfd, None)
        self._tell(entered.client, {"exited": entered.reap()})

    # --- end

    def _finish(self) -> None:
        """Drain the output, count what the kernel killed, take the cgroups away, write the end down, tell everyone."""
        if self.pid and self.status is None:
            self._signal(signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)
        for stream in (1, 2):
            while stream in self.streams and self._readable(self.streams[stream]):
                self._on_output(stream)
        for entered in list(self.execs.values()):
            self._tell(entered.client, {"exited": entered.reap()})
        enter.stop(self.forwarder)
        oom_killed = cleanup.oom_kills(self.request["cgroups"]) > 0
        cleanup.remove_cgroups(self.request["cgroups"])
        end = self._end(oom_killed)
        self._save()
        if self.failure is None:
            if oom_killed:
                self._event("oom", end["finished_at"])
            self._event("die", end["finished_at"], {"exitCode": str(end["exit_code"])})
        if self.request["remove"] and self.directory:
            cleanup.remove_container(self.directory, self.request["trash"])
            self._event("destroy", time.time())
        for client in self.clients:
            client.channel.sock.settimeout(30)
            client.finish({"error": self.failure} if self.failure is not None else {"ended": end})
        if self.member is not None:
            self.member.leave()

    def _readable(self, fd: int) -> bool:
        return bool(select.select([fd], [], [], 0)[0])

    def _end(self, oom_killed: bool) -> Message:
        if self.failure is None and "started_at" not in self.state:
            message = "it was ended before the program could be executed"
            self.failure = {"operation": "exec", "about": "", "message": message, "exit_code": 125, "refused": True}
        if self.failure is not None:
            end: Message = {"exit_code": self.failure["exit_code"], "error": self.failure, "finished_at": time.time(), "oom_killed": False}
            self.state.update(end, status="exited" if "started_at" in self.state else "created")
            return end
        end = {"exit_code": enter.exit_code(self.status or 0), "oom_killed": oom_killed, "finished_at": time.time()}
        self.state.update(end, status="exited")
        return end

    def _save(self) -> None:
        if self.directory:
            write_file(self.directory + "/state.json", dumps(self.state))

    def _event(self, action: str, at: float, attributes: dict[str, str] | None = None) -> None:
        """Append one line to the store's event log (store.events holds the format)."""
        template: dict[str, Any] | None = self.request["event"]
        if template is None:
            return
        event = {**template, "action": action, "time_ns": int(at * 1e9), "attributes": {**template["attributes"], **(attributes or {})}}
        fd = os.open(self.request["events"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(fd, (dumps(event) + "\n").encode())
        os.close(fd)
