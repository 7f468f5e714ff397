"""What a cell shows: cards, builds, transfers, layers, the glass box, terminals, views, the dashboard. The door, which loads that late.

It must not start, stop or build anything by itself: it shows, and passes on what a reader clicks.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labcontainers.widgets.card import show_container
    from labcontainers.widgets.cgroup_view import show_cgroup
    from labcontainers.widgets.dashboard.owner import show_dashboard
    from labcontainers.widgets.glass_box import show_explanation
    from labcontainers.widgets.layer_explorer import show_exploration, show_image
    from labcontainers.widgets.process_view import show_processes
    from labcontainers.widgets.progress import BuildProgress, build_progress
    from labcontainers.widgets.step_box import show_stepper
    from labcontainers.widgets.terminal import show_terminal
    from labcontainers.widgets.transfer import TransferProgress, transfer_progress

__all__ = [
    "BuildProgress", "TransferProgress", "available", "build_progress", "close_all", "show_cgroup", "show_container", "show_dashboard",
    "show_explanation", "show_exploration", "show_image", "show_processes", "show_stepper", "show_terminal", "transfer_progress",
]  # fmt: skip

_HOMES = {
    "show_container": "card",
    "BuildProgress": "progress",
    "build_progress": "progress",
    "show_explanation": "glass_box",
    "show_exploration": "layer_explorer",
    "show_image": "layer_explorer",
    "show_terminal": "terminal",
    "show_stepper": "step_box",
    "TransferProgress": "transfer",
    "transfer_progress": "transfer",
    "show_dashboard": "dashboard.owner",
    "show_processes": "process_view",
    "show_cgroup": "cgroup_view",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def available() -> bool:
    """Whether widgets can be shown: this is a Jupyter kernel, anywidget is there, and the bundles are built. Imports nothing heavy."""
    import sys

    from labcontainers.widgets import bundle

    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    in_kernel = shell is not None and getattr(shell, "kernel", None) is not None
    return bool(in_kernel and find_spec("anywidget") is not None and bundle.built())


def close_all() -> None:
    """End every live widget: its thread is joined, and what it showed last stays as a snapshot. Blocks until they have ended."""
    import sys

    plumbing = sys.modules.get(f"{__name__}.plumbing")
    if plumbing is not None:
        plumbing.OPEN.close()
