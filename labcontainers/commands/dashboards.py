"""The subcommand `dashboard`: all containers at a glance; it must not know widgets: in a notebook the value is what magics show."""

from __future__ import annotations

from labcontainers.commands.command import Command, Invocation
from labcontainers.engine.dashboard.dashboard import Dashboard


def dashboard(call: Invocation) -> Dashboard:
    return call.engine.dashboard()


COMMANDS = (Command("dashboard", "Show all containers with live charts, logs, images, volumes, networks, events and disk use", dashboard),)
