"""What a shim is told at a start of what it is to do while nobody looks: restart the container, and check its health.

It must not start anything; the shim does all of it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from labcontainers.containers.exec import exec_request
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.policy import Healthcheck
from labcontainers.containers.planning import prepare
from labcontainers.errors import Conflict, Failed
from labcontainers.oci.image_config import ProcessConfig

if TYPE_CHECKING:
    from pathlib import Path

    from labcontainers.containers.lifecycle import Lifecycle
    from labcontainers.containers.register import Record

# Docker's defaults (moby, daemon/health.go).
_INTERVAL_NS = _TIMEOUT_NS = 30 * 10**9
_START_INTERVAL_NS = 5 * 10**9
_RETRIES = 3
_POLL_S = 0.05


def healthcheck_of(config: ProcessConfig, options: ContainerOptions) -> Healthcheck | None:
    """What is said of checks, also that there are none: by the options, and for what they leave open by the image; None for no word."""
    return (options.healthcheck or Healthcheck()).over(Healthcheck.from_docker(config.extra.get("Healthcheck")))


def upkeep(lifecycle: Lifecycle, record: Record) -> dict[str, Any]:
    """The parts of a shim's request on that, once the container's start is written down."""
    options, config = record.options, record.config
    own_signal = options.stop_signal or config.stop_signal
    request: dict[str, Any] = {"restart": options.restart, "stop_signal": prepare.stop_signal(config, options) if own_signal else 0}
    check = healthcheck_of(config, options)
    if check is not None and not check.is_none:
        words = test_command(check, config)
        request["health"] = {
            "exec": exec_request(lifecycle, record, words, ContainerOptions(), False),
            "interval_s": (check.interval_ns or _INTERVAL_NS) / 1e9,
            "timeout_s": (check.timeout_ns or _TIMEOUT_NS) / 1e9,
            "start_period_s": check.start_period_ns / 1e9,
            "start_interval_s": (check.start_interval_ns or _START_INTERVAL_NS) / 1e9,
            "retries": check.retries or _RETRIES,
        }
    return request


def test_command(check: Healthcheck, config: ProcessConfig) -> tuple[str, ...]:
    """The words that a check executes; a text goes to the image's SHELL."""
    kind, *rest = check.test
    return (*(config.shell or ("/bin/sh", "-c")), *rest) if kind == "CMD-SHELL" else tuple(rest)


def read_results(directory: Path) -> list[dict[str, Any]]:
    """The last checks of the container in `directory`: Start, End, ExitCode and Output of each."""
    try:
        results: list[dict[str, Any]] = json.loads((directory / "health.json").read_bytes())
    except FileNotFoundError:
        return []
    return results


def wait_healthy(lifecycle: Lifecycle, record: Record, timeout_s: float | None) -> None:
    """Block until the container's checks find it healthy.

    Raises Conflict when it does not run or nothing is checked, Failed with the last check's output once it is unhealthy, and
    TimeoutError after `timeout_s` seconds.
    """
    name = record.row.name
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while (state := lifecycle.state(record)).health != "healthy":
        if not state.running:
            raise Conflict(f"container {name} is not running", "start it first")
        if not state.health:
            raise Conflict(f"container {name} has no health check", "create it with healthcheck (--health-cmd)")
        if state.health == "unhealthy":
            said = (read_results(record.directory) or [{"Output": ""}])[-1]["Output"].strip().rpartition("\n")[2]
            raise Failed(
                f"container {name} is unhealthy" + (f": {said}" if said else ""), "`inspect` shows its last checks under State.Health"
            )
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"container {name} is not healthy after {timeout_s} s")
        time.sleep(_POLL_S)
