"""The flags that `run` and `create` share, and what they mean in the engine's keywords; it must not execute anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.isolation_flags import ISOLATION_FLAGS, isolation_keywords
from labcontainers.commands.mount_flags import MOUNT_FLAGS, mount_keywords
from labcontainers.commands.parser import Flag
from labcontainers.commands.policy_flags import POLICY_FLAGS, policy_keywords
from labcontainers.commands.process_flags import PROCESS_FLAGS, process_keywords
from labcontainers.commands.resource_flags import RESOURCE_FLAGS, resource_keywords
from labcontainers.commands.stream_flags import STREAM_FLAGS, stream_keywords
from labcontainers.errors import InvalidArgument

ENVIRONMENT = (
    Flag(("-e", "--env"), "environment variable NAME=VALUE, or NAME to pass it on; repeatable", "list", "NAME=VALUE"),
    Flag(("--env-file",), "file with one NAME=VALUE in a line; repeatable", "list", "FILE", completes="path"),
)
CREATE_FLAGS = (
    *STREAM_FLAGS,
    Flag(("--name",), "name of the container", metavar="NAME"),
    *ENVIRONMENT,
    *MOUNT_FLAGS,
    Flag(("-w", "--workdir"), "working directory inside the container", metavar="PATH"),
    Flag(("-u", "--user"), "user or id, and group: USER[:GROUP]", metavar="USER"),
    *RESOURCE_FLAGS,
    Flag(("-p", "--publish"), "publish a port HOST:CONTAINER; repeatable", "list", "HOST:CONTAINER"),
    Flag(("--network", "--net"), "network: bridge, none, host or container:NAME", metavar="NETWORK", completes="network joined"),
    Flag(("--entrypoint",), "program to run instead of the image's ENTRYPOINT", metavar="PROGRAM"),
    Flag(("-l", "--label"), "label KEY=VALUE; repeatable", "list", "KEY=VALUE"),
    Flag(("--label-file",), "file with one KEY=VALUE in a line; repeatable", "list", "FILE", completes="path"),
    Flag(("-h", "--hostname"), "host name inside the container", metavar="NAME"),
    *ISOLATION_FLAGS,
    *POLICY_FLAGS,
    *PROCESS_FLAGS,
    Flag(("--rm",), "remove it when it ends", "switch"),
    Flag(("--rootfs",), "the first word is no image but a folder of this machine, / for all of it; nobody writes into it", "switch"),
)


def entries_of(files: list[str], folder: Path, flag: str) -> list[str]:
    """The lines of files as for --env-file: no quotes, no continuation; empty lines and those that begin with # do not count.

    Source: docs.docker.com "docker run", --env-file.
    """
    entries = []
    for name in files:
        path = folder / Path(name).expanduser()
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "not UTF-8"
            raise InvalidArgument(f"{flag}: {name}: {reason}", "name a text file with one NAME=VALUE in a line") from None
        for number, line in enumerate(text.split("\n"), 1):
            entry = line.removesuffix("\r").lstrip(" \t")
            if not entry or entry.startswith("#"):
                continue
            key = entry.partition("=")[0]
            if not key or " " in key or "\t" in key:
                raise InvalidArgument(f"{flag}: {name}:{number}: not a name: {key!r}", "write NAME=VALUE, without spaces around =")
            entries.append(entry)
    return entries


def environment_of(call: Invocation) -> list[str] | None:
    """What --env-file and --env give, in this order."""
    return [*entries_of(call.env_file, call.folder, "--env-file"), *call.env] or None


def keywords_of(call: Invocation) -> dict[str, Any]:
    """The flags of `run` and `create` as keywords of the engine.

    An empty text of a name, a user or the like is as none, as in Docker: a script's variable may be unset.
    """
    return {
        "name": call.name or None,
        "environment": environment_of(call),
        **mount_keywords(call),
        "working_dir": call.workdir or None,
        "user": call.user or None,
        **resource_keywords(call),
        "ports": call.publish or None,
        "network": call.network or None,
        "entrypoint": call.entrypoint,
        "labels": [*entries_of(call.label_file, call.folder, "--label-file"), *call.label] or None,
        "hostname": call.hostname or None,
        **isolation_keywords(call),
        **policy_keywords(call),
        **process_keywords(call),
        **stream_keywords(call),
        "remove": call.rm or None,
        "rootfs": call.image if call.rootfs else None,
    }
