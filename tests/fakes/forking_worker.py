"""A TreeWorker that calls the function in a fork, so that it may leave this process's mount namespace."""

from __future__ import annotations

import importlib
import json
import os
from typing import Any

from labcontainers import errors


class ForkingWorker:
    def call(self, function: str, /, **arguments: object) -> Any:
        read_fd, write_fd = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                answer = json.dumps(_answer(function, arguments)).encode()
                while answer:
                    answer = answer[os.write(write_fd, answer) :]
            finally:
                os._exit(0)
        os.close(write_fd)
        with open(read_fd, "rb") as pipe:
            data = pipe.read()
        os.waitpid(pid, 0)
        answer = json.loads(data)
        if "result" in answer:
            return answer["result"]
        kind = getattr(errors, answer["type"], None)
        if isinstance(kind, type) and issubclass(kind, errors.LabError):
            raise kind(answer["message"], answer["hint"])
        raise errors.Failed(f"{answer['type']}: {answer['message']}")


def _answer(function: str, arguments: dict[str, object]) -> dict[str, Any]:
    module, _, name = function.partition(":")
    try:
        os.umask(0o077)
        return {"result": getattr(importlib.import_module(module), name)(**arguments)}
    except BaseException as error:
        message = getattr(error, "message", str(error))
        return {"type": type(error).__name__, "message": message, "hint": getattr(error, "hint", "")}
