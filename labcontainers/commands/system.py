"""The subcommands on the engine itself; it must not know widgets: each returns a value."""

from __future__ import annotations

from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.formatting import format_document
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Flag
from labcontainers.errors import Denied
from labcontainers.kernel.probe import probe
from labcontainers.oci.descriptor import host_platform
from labcontainers.oci.platforms import normalized
from labcontainers.store.paths import default_paths


def version(call: Invocation) -> Any:
    """The versions; client and server are one and the same here."""
    known = call.engine.version()
    if call.format is None:
        return Text(str(known))
    document = {
        "Version": known.version,
        "Os": "linux",
        "Arch": normalized(host_platform()).architecture,
        "KernelVersion": known.kernel,
        "PythonVersion": known.python,
    }
    return Text(format_document([{"Client": document, "Server": document}], call.format))


def info(call: Invocation) -> Any:
    return format_document([call.engine.info()], call.format)


def doctor(call: Invocation) -> Any:
    try:
        return call.engine.doctor()
    except Denied:
        # That the store cannot be made is one more thing to tell.
        return probe(default_paths().root)


COMMANDS = (
    Command(
        "version",
        "Show the versions in play",
        version,
        (Flag(("-f", "--format"), "json, or such as {{.Server.Version}}", metavar="TEMPLATE"),),
    ),
    Command(
        "info",
        "Show where things are and what this host gives",
        info,
        (Flag(("-f", "--format"), "json, or such as {{.DockerRootDir}}", metavar="TEMPLATE"),),
    ),
    Command("doctor", "Try everything that containers need on this host, and tell how to mend what fails", doctor),
)
