"""A container lab inside Jupyter: the light door, which loads nothing until it is asked for."""

from __future__ import annotations

from labcontainers.version import __version__

# typing's own would cost the launcher, which comes in by this door too, ten milliseconds and half a megabyte.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labcontainers.build.result import Build
    from labcontainers.containers.container import Container
    from labcontainers.containers.result import ExecResult, RunResult
    from labcontainers.engine.engine import Engine
    from labcontainers.errors import LabError
    from labcontainers.images.image import Image
    from labcontainers.session import compare, dashboard

__all__ = ["Build", "Container", "Engine", "ExecResult", "Image", "LabError", "RunResult", "__version__", "compare", "dashboard"]

_HOMES = {
    "Build": "build.result",
    "Container": "containers.container",
    "Engine": "engine.engine",
    "ExecResult": "containers.result",
    "Image": "images.image",
    "LabError": "errors",
    "RunResult": "containers.result",
    "compare": "session",
    "dashboard": "session",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"labcontainers.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'labcontainers' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext labcontainers`."""
    from labcontainers.magics.extension import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext labcontainers`."""
    from labcontainers.magics.extension import unload

    unload(shell)
