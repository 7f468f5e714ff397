"""A container lab inside Jupyter: the light door, which loads nothing until it is asked for."""

from __future__ import annotations

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Engine":
        from labcontainers.engine.engine import Engine

        return Engine
    raise AttributeError(name)
