"""A StepRunner that runs a step in a chroot on an overlay of its own, as root; and one that only notes what it was asked."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable

from labcontainers.build.steps import RunRequest
from labcontainers.kernel import mounts, syscalls


class ChrootRunner:
    def __init__(self) -> None:
        self.requests: list[RunRequest] = []

    def run(self, request: RunRequest, on_output: Callable[[int, bytes], None]) -> int:
        self.requests.append(request)
        pipes = [os.pipe(), os.pipe()]
        pid = os.fork()
        if not pid:
            _become(request, pipes[0][1], pipes[1][1])
        selector = selectors.DefaultSelector()
        for stream, (read_fd, write_fd) in enumerate(pipes, 1):
            os.close(write_fd)
            selector.register(read_fd, selectors.EVENT_READ, stream)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 65536)
                if data:
                    on_output(key.data, data)
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
        selector.close()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become(request: RunRequest, stdout: int, stderr: int) -> None:
    code = 125
    try:
        os.umask(0o022)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
        root = request.scratch / "root"
        root.mkdir()
        upper, work = str(request.scratch / "fs"), str(request.scratch / "work")
        mounts.overlay(list(request.lower_paths), upper, work, str(root), userxattr=False)
        os.chroot(root)
        os.chdir(request.working_dir)
        environment = dict(entry.partition("=")[::2] for entry in request.environment)
        code = 127
        os.execvpe(request.arguments[0], request.arguments, environment)
    except BaseException as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(code)


class NotingRunner:
    """Runs nothing; `act` may write into the scratch tree and say an exit code."""

    def __init__(self, act: Callable[[RunRequest, Callable[[int, bytes], None]], int] = lambda request, on_output: 0) -> None:
        self.requests: list[RunRequest] = []
        self._act = act

    def run(self, request: RunRequest, on_output: Callable[[int, bytes], None]) -> int:
        self.requests.append(request)
        return self._act(request, on_output)
