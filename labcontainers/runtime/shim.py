"""One process per container: it starts init, keeps its output in the log, answers on a socket, records the end, and starts it again.

It must not import anything but what the launcher holds, and knows no store: paths and plans are given to it. It outlives the
engine when the container is detached, and ends the container when a foreground engine goes away.
"""

from __future__ import annotations

import os
import time

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import signal
from labcontainers.runtime import birth, cleanup, enter, joining
from labcontainers.runtime.attaching import Attaching
from labcontainers.runtime.audience import Audience
from labcontainers.runtime.cradle import Cradle
from labcontainers.runtime.execs import Execs
from labcontainers.runtime.feed import Feed
from labcontainers.runtime.handshake import Channel, Message, boot_id, start_time
from labcontainers.runtime.health import Health
from labcontainers.runtime.journal import Journal, failure_of, take_lock
from labcontainers.runtime.pausing import Pausing
from labcontainers.runtime.reactor import Reactor
from labcontainers.runtime.restart import Restarts
from labcontainers.runtime.rootless import Member
from labcontainers.runtime.stdio import Client, LogFile, let_go_of_standard_streams
from labcontainers.runtime.streams import Streams
from labcontainers.runtime.watchdog import Watchdog


class Shim:
    """The lives of one container: the first, and those that its restart policy gives it."""

    def __init__(self, request: Message, fds: list[int], member: Member | None, cradle: Cradle | None = None) -> None:
        self.request = request
        self.cradle = cradle
        self.member = member
        self.engine = Client(Channel.from_fd(fds[0]), streams=tuple(request.get("attach", (1, 2) if request["foreground"] else ())))
        self.plan = fds[1]
        self.stdin = fds[2] if request["stdin"] else -1
        others = fds[3 if request["stdin"] else 2 :]
        joined = len(request.get("joins", ()))
        self.owners, self.listeners = others[:joined], others[joined:]
        self.directory: str = request["directory"]
        self.state: Message = {"status": "created", "shim_pid": os.getpid(), "boot_id": boot_id()}
        self.reactor = Reactor()
        self.audience = Audience(self.reactor, self._answer, self._on_gone, lambda full: self.streams.hold(full))
        self.audience.add(self.engine)
        tty = request.get("tty", False)
        # What only some containers need is made for them alone: each kind of object touches memory that all shims share otherwise.
        feed = Feed(self.reactor, self.audience.tell, tty=tty, once=request.get("stdin_once", False)) if request.get("open_stdin") else None
        self.streams = Streams(self.reactor, self.audience.output, feed, tty=tty)
        if 0 in self.engine.streams:
            self.streams.admit(self.engine)
        self._execs: Execs | None = None
        self.journal = Journal("", self.state, request["event"], request["events"], request.get("network"))
        self.health = Health(request["health"], self.reactor, self.execs, self.journal) if request.get("health") else None
        self.watchdog: Watchdog | None = None
        self.restarts = Restarts(request.get("restart", "no"), request.get("stop_signal", 0))
        self.netns = self.mount_namespace = self.lock = self.pidfd = -1
        self.oom_kills = self.pid = self.forwarder = 0
        self.waiting = self.end_told = self.awaits_engine = self.bridged = False
        self.touched = False  # init has said something, was sent a signal, or is not the first
        self.end: Message = {}
        self.status: int | None = None
        self.ready: Message = {}
        self.failure: Message | None = None
        self.address = ""

    @property
    def execs(self) -> Execs:
        """The processes that entered the container, once there was one."""
        if self._execs is None:
            self._execs = Execs(self.reactor, self.audience.tell, self.journal)
        return self._execs

    @property
    def paused(self) -> bool:
        """Whether the container is frozen."""
        return bool(self.state["status"] == "paused")

    def _pausing(self) -> Pausing:
        return Pausing(self.request, self.journal, self.health)

    def _attaching(self) -> Attaching:
        return Attaching(self.request, self.streams, self.audience, self.journal)

    # --- start

    def run(self) -> None:
        """Everything, from the start of the container to its recorded end."""
        try:
            self._prepare()
            self._live()
            while self._rests():
                self._live()
        except Exception as error:
            self.failure = {**failure_of(error), "refused": isinstance(error, joining.OwnerEnded)}
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
            directory, self.directory = self.directory, ""
            self.lock = take_lock(directory)
            self.directory, self.request["cgroups"] = directory, cgroups
            self.journal.directory = self.directory
            if self.request.get("log", {}) is not None:
                self.streams.log = LogFile(self.directory + "/log", append=True, **self.request.get("log", {}))
                self.journal.count_losses(self.streams.log)
        if self.request["socket_directory"]:
            self.audience.listen(self.request["socket_directory"])

    def _live(self) -> None:
        """One life of the container: start it, and serve until it has ended or could not be started."""
        self._start()
        while self.failure is None and (self.status is None or self._begins_anew()):
            self.reactor.turn(last_fd=self.pidfd)  # so that what was written before the end is in the log before it

    def _start(self) -> None:
        given = os.dup(self.stdin) if self.stdin >= 0 else -1
        stdin, stdout, stderr = self.streams.open(given)
        ours, theirs = Channel.pair()
        cgroup = self.request["cgroup_directory"]
        cgroup_fd = os.open(cgroup, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if cgroup else -1
        self.pid = self._clone(cgroup_fd, (stdin, stdout, stderr, self.plan), theirs)
        theirs.close()
        for fd in (stdin, stdout, stderr, *([cgroup_fd] if cgroup_fd >= 0 else [])):
            os.close(fd)
        self.pidfd = syscalls.pidfd_open(self.pid)
        self.reactor.watch(self.pidfd, self._on_exit)
        self.init = ours
        self.reactor.watch(ours.fileno(), self._on_init)

    def _clone(self, cgroup_fd: int, fds: tuple[int, int, int, int], status: Channel) -> int:
        cradle, self.cradle = self.cradle, None
        joined = self.owners, self.netns
        pid, in_cradle = birth.clone_init(self.request, cradle, joined, cgroup_fd, fds, status, again=self.touched)
        self.state.update({"in_cradle": True} if in_cradle else {})
        return pid

    def _begins_anew(self) -> bool:
        """Once: init was killed with all of its group before it said a word, and not by us. Whoever begins in such a group moves there."""
        if self.touched or not birth.was_killed_by_group(self.status or 0, self.request["cgroup_directory"]):
            return False
        self.streams.drain()
        os.close(self.pidfd)
        self.touched, self.status = True, None
        self.state.pop("in_cradle", None)
        self._start()
        return True

    # --- events

    def _on_init(self) -> None:
        message, fds = self.init.receive()
        if message is None:
            self.reactor.forget(self.init.fileno())
            self.init.close()
            if self.failure is None and self.ready:
                self._on_started()
        elif isinstance(message, dict):
            self.touched = True
            if "network" in message:
                self._ask_for_network(tuple(fds))
            elif "pause" in message:
                self._pause(message)
            elif "error" in message:
                self.failure = message["error"]
            elif "terminal" in message:
                self.streams.take_terminal(*fds)
                return
            elif "mount_namespace" in message:
                self.mount_namespace = fds[0]
                return
            else:
                self.ready = message
        for fd in fds:
            os.close(fd)

    def _ask_for_network(self, fds: tuple[int, ...]) -> None:
        """Only the engine can configure the network: without it, the container ends before it began. Later lives find it there."""
        if self.netns >= 0:
            self.init.send({"go": True})
            return
        self.bridged = True
        if self.restarts.wanted:
            self._keep_network()
        self.awaits_engine = True
        try:
            self.engine.channel.send({"network": self.pid}, fds)
        except OSError:
            self._signal(signal.SIGKILL)

    def _pause(self, message: Message) -> None:
        """Before a stage, only the engine says when init goes on; a later life does at once."""
        self.awaits_engine = "started_at" not in self.state
        if not self.awaits_engine:
            self.init.send({"step": True})
        elif self.engine in self.audience.clients:
            self.audience.tell(self.engine, {**message, "pid": self.pid})
        else:
            self._on_gone(self.engine)

    def _keep_network(self) -> None:
        """Hold the network namespace that the engine has furnished, for the container's next lives."""
        if self.bridged and self.netns < 0:
            self.netns = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def _on_started(self) -> None:
        now, timings = time.time(), self.ready["timings_us"]
        self.awaits_engine = False
        self.state.update(status="running", pid=self.pid, pid_start=start_time(self.pid), started_at=now, timings_us=timings)
        if self.restarts.wanted:
            self.state.update(exit_code=0, oom_killed=False, restart_count=self.restarts.count)
        if self.health is not None:
            self.health.start(self.pidfd)
        if self.listeners:
            targets = [(self.address, port) for port in self.request["forward"]]
            self.forwarder, self.state["forwarder_us"] = enter.start_forwarder(self.pidfd, self.listeners, targets)
        for fd in (*self.listeners, *([self.stdin] if self.stdin >= 0 else [])):
            os.close(fd)
        self.listeners, self.stdin = [], -1
        if "memory_watch" in self.request:
            self.watchdog = Watchdog(self.request, self.reactor, self.pid, self.forwarder, lambda: self._signal(signal.SIGKILL))
        self.journal.save()
        self.journal.tell_start(now, attached=bool(self.engine.streams) and not self.restarts.count)
        self.audience.tell(self.engine, {"started": self.pid, "timings_us": timings, "made": self.ready["made"]})

    def _on_exit(self) -> None:
        self.reactor.forget(self.pidfd)
        while self.reactor.watches(self.init.fileno()):
            self._on_init()
        _, self.status = os.waitpid(self.pid, 0)

    def _on_gone(self, client: Client) -> None:
        self.streams.end_input(client)
        if self._execs is not None:
            self._execs.detach(client)
        bound = self.request["foreground"] and not self.restarts.wanted
        if client is self.engine and self.status is None and (bound or self.awaits_engine):
            self.request["remove"] = self.request["remove"] or self.request.get("whole_or_not", False)
            self._signal(signal.SIGKILL)

    def _answer(self, client: Client, message: Message, fds: list[int]) -> None:
        if "exec" in message and self.state["status"] in ("paused", "restarting"):
            self.audience.tell(client, {"not_running": self.state["status"]})
        elif "exec" in message:
            self.execs.start(client, self.pidfd, message["exec"], fds)
        elif "exec_signal" in message:
            self.execs.signal(client, message["exec_signal"])
        elif "signal" in message:
            self.request["remove"] = self.request["remove"] and not message.get("keep")  # a restart does not remove it
            self._by_hand(message["signal"], message.get("stop", False))
            self.audience.tell(client, {"signalled": message["signal"]})
        elif "pause" in message:
            self.audience.tell(client, {"paused": message["pause"], **self._pausing().set(message["pause"])})
        elif "restart" in message:
            self._change_policy(message["restart"])
            self.audience.tell(client, {"restart": message["restart"]})
        elif "cgroups" in message:
            self.request["cgroups"] = dict(message["cgroups"])
            self.audience.tell(client, {"cgroups": True})
        elif "rename" in message:
            self.journal.rename(message["rename"])
            syscalls.set_process_title(f"lab-shim {message['rename']}")
        elif "memory_watch" in message:
            self.request["memory_watch"] = int(message["memory_watch"] or 0)
            self.audience.tell(client, {"memory_watch": self.watchdog is not None})
        elif "input" in message:
            self.streams.put(client, message["input"])
        elif "input_end" in message:
            self.streams.end_input(client)
        elif "resize" in message:
            self._attaching().resize(client, *message["resize"])
        elif "attach" in message:
            self._attaching().attach(client, message["attach"])
        elif "detach" in message:
            self._attaching().detach(client, starter=client is self.engine)
        elif "step" in message:
            self.init.send(message)
        elif "go" in message or "error" in message:
            self.awaits_engine = "whole_or_not" in self.request
            self.address = message.get("address", "")
            self.journal.network = message.get("network")
            self.init.send(message)

    def _by_hand(self, number: int, stop: bool) -> None:
        """Somebody sends a signal: what he wants to end is not started again, and goes on to its end if it is paused."""
        if self.status is None and self.state["status"] in ("running", "paused"):
            # told before the end that it may bring
            self.journal.event("kill", time.time(), {"signal": str(number)})
        ends = self.restarts.signalled(number, stop)
        if self.restarts.wanted and not self.state.get("stopped_by_hand"):
            self.state["stopped_by_hand"] = True
            self.journal.save()
        self._signal(number)
        if ends and self.paused:
            self._pausing().set(False)

    def _change_policy(self, policy: str) -> None:
        self.restarts.change(policy)
        if self.restarts.wanted and self.state["status"] in ("running", "paused"):
            self._keep_network()

    def _signal(self, number: int) -> None:
        if self.pidfd < 0:
            return
        self.touched = True
        try:
            syscalls.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass
        if number == signal.SIGKILL and self.paused:
            self._pausing().let_die()

    # --- end, and perhaps another life

    def _end_life(self) -> Message:
        """Drain the output, count what the kernel killed, and make out how it ended."""
        if self.pid and self.status is None:
            self._signal(signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)
        if self.mount_namespace >= 0:
            joining.end_stragglers(self.mount_namespace)
            self.mount_namespace = -1
        self.streams.drain()
        if self.health is not None:
            self.health.stop()
        overrun = self.watchdog.stop() if self.watchdog is not None else ""
        if self._execs is not None:
            self._execs.finish()
        kills = cleanup.oom_kills(self.request["cgroups"])
        oom_killed, self.oom_kills = kills > self.oom_kills, kills
        owner = joining.killed_with(self.request.get("joins", ()), self.owners, self.status or 0)
        if self.failure is None and not self.ready:
            message = f"container {owner} has ended meanwhile" if owner else "it was ended before the program could be executed"
            self.failure = {"operation": "exec", "about": "", "message": message, "exit_code": 125, "refused": True}
        if self.failure is not None:
            return {"exit_code": self.failure["exit_code"], "error": self.failure, "finished_at": time.time(), "oom_killed": False}
        return cleanup.end_of(enter.exit_code(self.status or 0), owner, self.request["cgroups"], oom_killed=oom_killed, overrun=overrun)

    def _rests(self) -> bool:
        """Where the policy wants another life, wait for it, with the network and the control groups kept; whether it comes."""
        if not self.restarts.wanted or self.failure is not None or not self.ready:
            return False
        self.end = end = self._end_life()
        delay_s = self.restarts.delay_s(end["exit_code"], end["finished_at"] - self.state["started_at"])
        if delay_s is None:
            return False
        if self.paused:
            self._pausing().let_die()
        os.close(self.pidfd)
        self.pid, self.pidfd = 0, -1
        self.state.update(end, status="restarting", pid=0, restart_count=self.restarts.count)
        self.journal.save()
        self.journal.tell_end(end)
        self.end_told = self.waiting = True
        for client in list(self.audience.clients):
            self.audience.tell(client, {"ended": {**end, "restarting": True}})
        timer = self.reactor.later(delay_s, self._begin_again)
        while self.waiting and not self.restarts.cancelled:
            self.reactor.turn()
        self.reactor.cancel(timer)
        return not self.waiting

    def _begin_again(self) -> None:
        self.waiting = self.end_told = False
        self.status, self.ready, self.end = None, {}, {}

    def _finish(self) -> None:
        """Take away what the container had, write its end down, and tell everyone."""
        end = self.end or self._end_life()
        enter.stop(self.forwarder)
        cleanup.remove_cgroups(self.request["cgroups"])
        if self.engine not in self.audience.clients:  # else that does this when it closes
            cleanup.remove_parents(self.request["cgroups"])
        self.state.update(end, status="exited" if self.failure is None or "started_at" in self.state else "created")
        try:
            self.journal.save()
        except OSError:
            # Whoever looks next finds a container without a shim, and writes down what it was.
            pass
        if self.failure is None and not self.end_told:
            self.journal.tell_end(end)
        gone = cleanup.let_go(self.request, self.directory, self.journal, end["finished_at"])
        self.audience.finish({"error": self.failure} if self.failure is not None else {"ended": end})
        if gone:  # for which nobody needs to wait
            cleanup.delete(gone)
        if self.member is not None:
            self.member.leave()
