"""A container's state in words, as Docker says it; it must not read anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labcontainers.containers.state import ContainerState
from labcontainers.units import format_age


def summary(state: ContainerState, now: float) -> str:
    """What `ps` says under STATUS: "Up 3 minutes (healthy)", "Restarting (1) 5 seconds ago". Source: moby, container/state.go."""
    if state.status == "restarting":
        return f"Restarting ({state.exit_code}) {format_age(now - (state.finished_at or now))} ago"
    if state.running:
        up = f"Up {format_age(now - (state.started_at or now))}"
        if state.status == "paused":
            return f"{up} (Paused)"
        if state.health:
            return f"{up} (health: starting)" if state.health == "starting" else f"{up} ({state.health})"
        return up
    if state.status == "exited":
        return f"Exited ({state.exit_code}) {format_age(now - (state.finished_at or now))} ago"
    return state.status.capitalize()


def health_document(state: ContainerState, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """State.Health of inspect; empty where nothing is checked. Source: the Docker Engine API's Health (version 1.51)."""
    if not state.health:
        return {}
    return {"Health": {"Status": state.health, "FailingStreak": state.failing_streak, "Log": list(results)}}


def restart_document(policy: str) -> dict[str, Any]:
    """HostConfig.RestartPolicy of inspect."""
    name, _, most = policy.partition(":")
    return {"Name": name, "MaximumRetryCount": int(most or 0)}
