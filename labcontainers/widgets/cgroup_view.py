"""The live view of a container's control groups. It must not know comms or HTML: those are plumbing's and the groups' own."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from labcontainers.widgets.live_view import LiveView

if TYPE_CHECKING:
    from labcontainers.containers.usage.control_group import ControlGroup
    from labcontainers.widgets.plumbing import LiveWidget


class CgroupView(LiveView["ControlGroup"]):
    """A part for each file, one for the gauges, one for the pressure, and one for what does not change soon."""

    role = "cgroup"

    def parts(self, value: ControlGroup) -> dict[str, Any]:
        return {
            "about": {
                "version": value.version,
                "summary": value.summary(),
                "directories": list(value.directories),
                "reason": value.reason,
                "pressure_of": value.pressure_of,
            },
            "gauges": [
                {"name": gauge.name, "share": None if gauge.share is None else round(gauge.share, 4), "own": gauge.own, "text": gauge.text}
                for gauge in value.gauges
            ],
            "pressure": [asdict(one) for one in value.pressure],
            "order": [file.name for file in value.files],
            **{f"file {file.name}": asdict(file) for file in value.files},
        }


def show_cgroup(group: ControlGroup) -> LiveWidget:
    """The live view, to be displayed: the same for a container while it is open. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import CELLS, OPEN, LiveWidget

    return OPEN.find_or_open(f"cgroup of {group.id or id(group)}", lambda: LiveWidget(CgroupView(group, busy=CELLS.running)))
