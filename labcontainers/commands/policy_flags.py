"""The flags of `run` and `create` on restarting and on health checks; it must not execute anything."""

from __future__ import annotations

from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag
from labcontainers.containers.options.policy import health_keywords

RESTART_POLICIES = ("no", "always", "unless-stopped", "on-failure")
POLICY_FLAGS = (
    Flag(
        ("--restart",),
        "start it again when it ends: no, always, unless-stopped or on-failure[:MOST]",
        metavar="POLICY",
        choices=RESTART_POLICIES,
    ),
    Flag(("--health-cmd",), "command for the shell that tells by exit code 0 that the container is healthy", metavar="COMMAND"),
    Flag(("--health-interval",), "time between two checks, such as 30s", metavar="DURATION"),
    Flag(("--health-timeout",), "time that one check may take, such as 30s", metavar="DURATION"),
    Flag(("--health-retries",), "failures in a row that make it unhealthy", metavar="NUMBER"),
    Flag(("--health-start-period",), "time to start in, during which failures do not count", metavar="DURATION"),
    Flag(("--health-start-interval",), "time between two checks during the start period", metavar="DURATION"),
    Flag(("--no-healthcheck",), "do not check, whatever the image says", "switch"),
)


def policy_keywords(call: Invocation) -> dict[str, Any]:
    """These flags as keywords of the engine."""
    durations = {
        "interval": call.health_interval,
        "timeout": call.health_timeout,
        "start_period": call.health_start_period,
        "start_interval": call.health_start_interval,
    }
    return {
        "restart": call.restart,
        "healthcheck": health_keywords(call.health_cmd, durations, call.health_retries, off=call.no_healthcheck),
    }
