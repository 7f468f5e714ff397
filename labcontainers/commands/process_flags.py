"""The flags of `run` and `create` on the process and on how the engine runs it; it must not execute anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag
from labcontainers.containers.options.forms import shown
from labcontainers.engine.transfers import POLICIES, default_policy
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images import bases
from labcontainers.images.transfer import Transferred, nobody
from labcontainers.oci.reference import parse_reference

PROCESS_FLAGS = (
    Flag(("--disable-content-trust",), "verify no image, as is always so", "switch", default=True),
    Flag(("--group-add",), "group of the image, or id, beside the user's own; repeatable", "list", "GROUP"),
    Flag(("--domainname",), "NIS domain name inside the container", metavar="NAME"),
    Flag(("--init",), "let a process of the engine be number 1, which passes signals on and reaps what others leave", "switch"),
    Flag(("--stop-signal",), "signal that stop sends", metavar="SIGNAL", completes="signal"),
    Flag(("--stop-timeout",), "seconds that stop waits before SIGKILL, -1 for ever", metavar="SECONDS"),
    Flag(("--annotation",), "note KEY=VALUE for whoever runs it; repeatable", "list", "KEY=VALUE"),
    Flag(("--cidfile",), "file that gets the id; it must not be there yet", metavar="FILE", completes="path"),
    Flag(("--platform",), "this machine's, such as linux/amd64", metavar="PLATFORM", completes="platform"),
    Flag(("--pull",), "when to ask the registry: missing, always or never", metavar="POLICY", choices=("missing", "always", "never")),
    Flag(("-q", "--quiet"), "show no progress of a pull", "switch"),
    Flag(("--isolation",), "default", metavar="NAME"),
    Flag(("--runtime",), "labcontainers", metavar="NAME"),
    Flag(
        ("--log-driver",),
        "local, json-file, which is the same, or none for no log",
        metavar="DRIVER",
        choices=("local", "json-file", "none"),
    ),
    Flag(("--log-opt",), "max-size=SIZE and max-file=NUMBER; repeatable", "list", "NAME=VALUE"),
)


def process_keywords(call: Invocation) -> dict[str, Any]:
    """These flags as keywords of the engine; raises InvalidArgument and Unsupported for what cannot be."""
    if not call.disable_content_trust:
        raise Unsupported("--disable-content-trust: 'false' is not supported: images are not verified", "leave it out")
    if call.pull and call.pull not in POLICIES:
        raise InvalidArgument(f"--pull: invalid value {shown(call.pull)}", "use missing, always or never")
    return {
        "group_add": call.group_add or None,
        "domainname": call.domainname or None,
        "init": call.init or None,
        "stop_signal": call.stop_signal or None,
        "stop_timeout": call.stop_timeout,
        "annotations": call.annotation or None,
        "cidfile": str(call.folder / Path(call.cidfile).expanduser()) if call.cidfile else None,
        "platform": call.platform,
        "isolation": call.isolation,
        "runtime": call.runtime,
        "log_config": _log_config(call.log_driver, call.log_opt),
    }


def image_of(call: Invocation) -> str | None:
    """The image's name, now that it is there as --pull says, or None for a folder instead; raises NotFound, and what a pull raises."""
    if call.rootfs:
        return None
    policy, images, name = call.pull or default_policy(), call.engine.images, str(call.image)
    on_progress = nobody if call.quiet else call.on_event
    if policy == "always":
        images.transfers.pull(name, platform=call.platform, on_progress=on_progress)
        call.on_event(Transferred())
    elif images.find(name) is None and parse_reference(name).canonical not in bases.NAMES:
        if policy == "never":
            images.get(name)  # says what it could have been
        call.on_output(2, f"Unable to find image '{parse_reference(name)}' locally\n".encode())
        images.transfers.fetch(name, policy=policy, platform=call.platform, on_progress=on_progress)
        call.on_event(Transferred())
    return name


def _log_config(driver: str | None, settings: list[str]) -> dict[str, Any] | None:
    if driver is None and not settings:
        return None
    return {"type": driver or "", "config": settings}
