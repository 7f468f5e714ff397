"""The engine's side of the runtime: it starts the launcher, asks it for containers and workers, and follows them.

It must not know records or images, and it never forks: the launcher is started by vfork, from a sealed copy of the interpreter.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from labcontainers import errors
from labcontainers.errors import Failed, KernelFailed, LabError, StartFailed, Unavailable, Unsupported
from labcontainers.kernel import id_maps
from labcontainers.kernel.interrupts import LOOK_AGAIN_S
from labcontainers.kernel.lean import dumps
from labcontainers.runtime.handshake import Channel, Message, memory_file
from labcontainers.runtime.sealed import sealed_copy
from labcontainers.runtime.workshop import Request, Workshop

_BOOT = (
    "import sys;p=sys.path[:];sys.path.append(sys.argv[1]);"
    "from labcontainers.runtime.launcher import main;"
    "main(int(sys.argv[2]),sys.argv[3],sys.argv[4],sys.path[:])"
)


class LauncherProcess:
    """The launcher of one engine: started in the background on first use, started again if it died. Thread-safe."""

    def __init__(self, run_directory: Path) -> None:
        self._run = run_directory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._closed = False
        self._workshop = Workshop(self._request)
        self.ids = ""

    @cached_property
    def rootless(self) -> bool:
        """Whether containers live in a user namespace, because this process is not root of the machine."""
        return not id_maps.is_root_of_host()

    def start(self) -> str:
        """Start the launcher unless it runs; returns its id mapping: "host", "subordinate" or "single". Blocks ~50 ms.

        Raises Unsupported when the host allows no user namespace, and Unavailable after close().
        """
        with self._lock:
            if self._closed:
                raise Unavailable("the engine is closed", "make a new Engine")
            if self._process is None or self._process.poll() is not None:
                self._start()
            return self.ids

    def _start(self) -> None:
        if not self.rootless:
            self._spawn("", "")
            return
        wanted = ["subordinate", "single"] if _given_ids() else ["single"]
        for ids in wanted:
            try:
                self._spawn(str(self._run / "members"), ids)
                return
            except Unsupported:
                if ids == wanted[-1]:
                    raise

    def _spawn(self, members: str, ids: str) -> None:
        ours, theirs = Channel.pair()
        interpreter = os.path.realpath(sys.executable)
        sealed = sealed_copy(interpreter)
        package_parent = str(Path(__file__).resolve().parents[2])
        try:
            process = subprocess.Popen(
                [interpreter, "-I", "-S", "-c", _BOOT, package_parent, str(theirs.fileno()), members, ids],
                executable=f"/proc/{os.getpid()}/fd/{sealed}" if sealed >= 0 else interpreter,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                env={"PATH": os.defpath},
                cwd="/",
            )
        finally:
            theirs.close()
            if sealed >= 0:
                os.close(sealed)
        try:
            self.ids = self._greet(ours)
        except BaseException:
            ours.close()
            process.wait()
            raise
        self._process, self._channel = process, ours

    @staticmethod
    def _greet(channel: Channel) -> str:
        while True:
            message, _ = channel.receive()
            if not isinstance(message, dict):
                raise Failed("the launcher did not start", "see its message above; `doctor` tells what this host refuses")
            if "map" in message:
                # One that was killed meanwhile is noticed by the next receive().
                with contextlib.suppress(OSError):
                    channel.send({"mapped": _map_subordinate_ids(message["map"])})
            elif "error" in message:
                problem = f"this host lets this user make no user namespace: {message['error']}"
                raise Unsupported(problem, "run `doctor` for the reason and the fix")
            else:
                return str(message["ids"])

    def close(self) -> None:
        """End the launcher; containers that were started detached go on. Idempotent."""
        self._workshop.close()
        with self._lock:
            self._closed = True
            if self._channel is not None:
                self._channel.close()
                self._channel = None
            if self._process is not None:
                self._process.wait()
                self._process = None

    def _request(self, message: Message, fds: tuple[int, ...]) -> None:
        for attempt in (1, 2):
            self.start()
            with self._lock:
                if self._channel is None:
                    raise Unavailable("the engine is closed", "make a new Engine")
                try:
                    self._channel.send(message, fds)
                    return
                except OSError as error:
                    if attempt == 2:
                        raise Unavailable(f"the launcher does not answer: {error}") from error
                    if self._process is not None:
                        self._process.kill()
                        self._process.wait()
                    self._process = None

    def call(self, function: str, /, **arguments: object) -> Any:
        """Run "module:function" in a worker, where files of container ids may be touched; returns its result. Blocks.

        Raises what the function raised, mapped to this project's errors.
        """
        return self.begin(function, **arguments).result()

    def begin(self, function: str, fds: tuple[int, ...] = (), /, **arguments: object) -> Errand:
        """As call(), without waiting for the end. The function gets copies of the descriptors `fds` as its first arguments."""
        return Errand(self._ask({"worker": {"function": function, "arguments": arguments}}, self._workshop.request, fds))

    def begin_bound(self, function: str, /, **arguments: object) -> Errand:
        """As begin(), for work that is of no use without its result: `Errand.stop`, or the death of this process, kills the worker."""
        return Errand(self._ask({"worker": {"function": function, "arguments": arguments, "bound": True}}, self._workshop.request))

    def bridge_socket(self) -> int:
        """A netlink socket inside the user's private network namespace, where rootless bridges live; the caller closes it."""
        with contextlib.closing(self._ask({"bridge_socket": True}, self._request)) as channel:
            _, fds = _answer(channel)
        return fds[0]

    @staticmethod
    def _ask(message: Message, request: Request, fds: tuple[int, ...] = ()) -> Channel:
        """Send a request; the channel on which the answer comes."""
        ours, theirs = Channel.pair()
        try:
            request(message, (theirs.fileno(), *fds))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def prepare(self, token: str, procs: tuple[str, ...], parents: tuple[str, ...]) -> None:
        """Let the process that waits for the next request keep a cradle in the cgroups `procs` ready (runtime.cradle). Does not wait.

        If it is never used, it takes the directories `parents` away, too, where nothing else is in them.
        """
        self._request({"cradle": {"token": token, "procs": procs, "parents": parents}}, ())

    def spawn(self, request: Message, *, stdin: int | None, listeners: tuple[int, ...] = ()) -> Channel:
        """Fork a shim for `request` (see runtime.shim); returns the channel to it, on which everything else happens.

        `request["cradle"]` is what `prepare` was told for it, or "".
        """
        plan = memory_file(dumps(request["plan"]).encode("utf-8", "surrogateescape"))
        ours, theirs = Channel.pair()
        try:
            streams = [] if stdin is None else [stdin]
            message = {**request, "plan": None, "stdin": stdin is not None}
            self._request({"container": message}, (theirs.fileno(), plan, *streams, *listeners))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(plan)
        return ours


class Errand:
    """Work that goes on in a worker. Closing it lets go of the worker, which ends by itself."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def result(self) -> Any:
        """What the function returned; blocks, once. Raises what it raised, mapped to this project's errors."""
        try:
            result, fds = _answer(self._channel)
        finally:
            self.close()
        _close_all(fds)
        return result

    def stop(self) -> None:
        """From any thread: kill the worker if it is bound; whoever waits for the result gets Failed when it is gone. Idempotent."""
        with contextlib.suppress(OSError):
            self._channel.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Idempotent."""
        self._channel.close()


def _answer(channel: Channel) -> tuple[Any, list[int]]:
    """The result that a worker sends, with descriptors; raises the error that it sends."""
    answer, fds = channel.receive()
    if not isinstance(answer, dict):
        raise Failed("a worker ended without an answer")
    if "error" in answer:
        raise _mapped(answer["error"])
    return answer["result"], fds


def _mapped(failure: Message) -> BaseException:
    """An error that a worker reported, as this project's error."""
    kind = getattr(errors, failure["type"], None)
    if failure["type"] == "KeyboardInterrupt":
        return KeyboardInterrupt()
    if failure.get("errno"):
        return KernelFailed("worker", failure["errno"], failure["path"] or failure["message"])
    if isinstance(kind, type) and issubclass(kind, LabError) and kind not in (errors.KernelFailed, errors.StepFailed, errors.ContainerExit):
        return kind(failure["message"], failure["hint"])
    return Failed(f"{failure['type']}: {failure['message']}")


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _given_ids() -> id_maps.Ranges:
    """The ids that containers may have besides this user's own; LABCONTAINERS_IDS=single does without."""
    return [] if os.environ.get("LABCONTAINERS_IDS") == "single" else id_maps.ranges()


def _map_subordinate_ids(pid: int) -> bool:
    """Give them to the launcher's new user namespace; whether that was allowed."""
    try:
        id_maps.give(pid, _given_ids())
    except (OSError, ValueError):
        return False
    return True


class Execution:
    """A started container or exec, seen over its channel. One thread at a time reads it; `signal` may come from any."""

    def __init__(self, channel: Channel, name: str) -> None:
        self.channel = channel
        self.name = name
        self.started: Message = {}
        self.ended: Message = {}
        self._early: deque[tuple[int, bytes]] = deque()
        channel.wake_up_every(LOOK_AGAIN_S)

    def close(self) -> None:
        """Let go; a foreground container is killed by that."""
        self.channel.close()

    def signal(self, number: int, *, stop: bool = False, keep: bool = False) -> None:
        """Send a signal to the container's first process; with `stop` it is to end by that, and not to be started again by its policy.

        With `keep` it is not to be removed at this end, whatever was said when it was made.
        """
        with contextlib.suppress(OSError):
            self.channel.send({"signal": number, **({"stop": True} if stop else {}), **({"keep": True} if keep else {})})

    def next(self, timeout_s: float | None = None) -> Message | tuple[int, bytes] | None:
        """The next message or output; None at the end or, with `timeout_s`, when nothing came in time (raises TimeoutError).

        Raises StartFailed when the container could not be started.
        """
        if self._early and self.started:
            return self._early.popleft()
        if timeout_s is not None:
            poll = select.poll()
            poll.register(self.channel.fileno(), select.POLLIN)
            if not poll.poll(max(timeout_s, 0) * 1000):
                raise TimeoutError
        message, fds = self._receive()
        if isinstance(message, dict):
            if "error" in message:
                _close_all(fds)
                raise start_failure(message["error"])
            if "network" in message:
                return {**message, "socket": fds[0]}
            if "terminal" in message:
                return {**message, "fd": fds[0]}
            if "started" in message:
                self.started = message
            if "ended" in message:
                self.ended = message["ended"]
        return message

    def _receive(self) -> tuple[Message | tuple[int, bytes] | None, list[int]]:
        while True:
            with contextlib.suppress(BlockingIOError):
                return self.channel.receive()

    def wait_started(self) -> Iterator[Message]:
        """Yield what must be answered before the start (a network to configure, a pause); ends when the workload has been executed."""
        while not self.started:
            message = self.next()
            if message is None:
                raise StartFailed(f"the shim of {self.name} died before the start", hint="run it again; `explain` shows how far it came")
            if isinstance(message, tuple):
                # A quick workload writes before the shim has told that it runs.
                self._early.append(message)
            elif "network" in message or "pause" in message:
                yield message

    def wait_ended(self, timeout_s: float | None = None, *, last: bool = False) -> Message | None:
        """What the shim tells at the end: exit_code, oom_killed, finished_at; None when it did not end in time.

        With `last` an end after which the container is started again does not count.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.ended or (last and self.ended.get("restarting")):
            try:
                message = self.next(None if deadline is None else deadline - time.monotonic())
            except TimeoutError:
                return None
            if message is None:
                return {"exit_code": 137, "oom_killed": False, "finished_at": time.time(), "error": "its shim died"}
        return self.ended


# a name of the image's may be as long as that likes
_MOST_TOLD = 500
_WHAT = {"chdir": "working directory", "exec": "", "account": "", "bind": "mount", "overlay": "mount the layers"}


def start_failure(failure: Message) -> StartFailed:
    """The error of init or shim, in one line for the user, with Docker's exit code."""
    message = failure["message"]
    if not failure.get("refused"):
        what = _WHAT.get(failure["operation"], failure["operation"])
        message = f"{what} {failure['about']}: {message}".replace(" :", ":").strip()
    hints = {
        "exec": "check the command, or the image's CMD and PATH",
        "account": "use a user of the image's /etc/passwd, or a number",
        "chdir": "name a directory of the image that its user may enter",
        "make_directory": "something else of the image is in the way",
        "bind": "the source must exist on this machine",
        "write": "see that its file system has space left and may be written",
        "overlay": "run `doctor`: the store must lie on a file system that overlay accepts",
    }
    if len(message) > _MOST_TOLD:
        message = message[:_MOST_TOLD] + "…"
    return StartFailed(message, failure["exit_code"], hints.get(failure["operation"], "`doctor` tells what this host allows"))
