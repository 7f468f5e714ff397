"""What this command tells: messages on standard error, and in the file of --log as the engine that called it reads them.

It must not know what they are about. The form is that of runc's log: text is `time=… level=… msg=…`, JSON one object in a line.
"""

from __future__ import annotations

import os
import time

from labcontainers.kernel.lean import dumps


class Log:
    """`path` is the file of --log or "", `form` "text" or "json"; `debug` says that more is told."""

    def __init__(self, path: str = "", form: str = "text", debug: bool = False) -> None:
        self._path = os.path.abspath(path) if path else ""  # this command changes its directory
        self._form = form
        self._debug = debug

    def error(self, message: str) -> None:
        """Why the command ends."""
        self._put("error", message)
        self._say(message)

    def warn(self, message: str) -> None:
        """What is not as it was asked for, though the command goes on."""
        self._put("warning", message)
        if not self._path:
            self._say(f"warning: {message}")

    def debug(self, message: str) -> None:
        """What is done; told with --debug alone."""
        if self._debug:
            self._put("debug", message)
            if not self._path:
                self._tell(self._line("debug", message))

    def _say(self, message: str) -> None:
        self._tell(f"labcontainers-oci: {message}")

    @staticmethod
    def _tell(line: str) -> None:
        try:
            os.write(2, f"{line}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # nobody listens

    def _line(self, level: str, message: str) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._form == "json":
            return dumps({"level": level, "msg": message, "time": now})
        return f"time={dumps(now)} level={level} msg={dumps(message)}"

    def _put(self, level: str, message: str) -> None:
        if not self._path:
            return
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                os.write(fd, self._line(level, message).encode() + b"\n")
            finally:
                os.close(fd)
        except OSError as error:
            self._say(f"cannot write to the log {self._path}: {os.strerror(error.errno or 0).lower()}")
            self._path = ""
