"""A TreeWorker that calls the function in this process."""

from __future__ import annotations

import importlib
from typing import Any


class InProcessWorker:
    def call(self, function: str, /, **arguments: object) -> Any:
        module, _, name = function.partition(":")
        return getattr(importlib.import_module(module), name)(**arguments)
