"""The subcommand that makes an image from a package mirror; it must not know widgets or HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.errors import InvalidArgument


def bootstrap(call: Invocation) -> Any:
    """An image of a distribution's packages; a terminal is told what is done and the image's id."""

    def tell(line: str) -> None:
        if not call.quiet:
            call.on_output(1, f"{line}\n".encode())

    names = [name.strip() for text in call.packages for name in text.split(",")]
    if "" in names:
        raise InvalidArgument(f"--packages: an empty name: {','.join(call.packages)!r}", "write NAME,NAME or NAME=VERSION")
    image = call.engine.images.bootstrap(
        call.distribution,
        packages=names,
        variant=call.variant or "minbase",
        mirror=call.mirror,
        keyring=None if call.keyring is None else str(call.folder / Path(call.keyring).expanduser()),
        verify=not call.no_verify,
        configure=call.configure,
        architecture=call.arch,
        lock=None if call.lock is None else call.folder / Path(call.lock).expanduser(),
        tag=call.tag,
        on_line=tell,
    )
    return Text(image.id) if call.live or call.quiet else image


COMMANDS = (
    Command(
        "bootstrap",
        "Make an image from a Debian or Ubuntu package mirror, a layer for each package",
        bootstrap,
        (
            Flag(("-t", "--tag"), "name of the image instead of the distribution's; repeatable", "list", "NAME[:TAG]"),
            Flag(("--packages",), "packages besides the variant's, with a comma between; repeatable", "list", "NAME[=VERSION],…"),
            Flag(("--variant",), "busybox, essential, or minbase (the default)", metavar="VARIANT"),
            Flag(("--mirror",), "instead of those of this host's apt; repeatable", "list", "URL"),
            Flag(("--keyring",), "keys that may have signed the mirror's index", metavar="FILE", completes="path"),
            Flag(("--no-verify",), "do without the index' signature", "switch"),
            Flag(("--configure",), "run the packages' maintainer scripts as a last layer", "switch"),
            Flag(("--lock",), "take the packages of this file, or write them there if it is not there", metavar="FILE", completes="path"),
            Flag(("--arch",), "amd64 or arm64 instead of this machine's", metavar="ARCH"),
            Flag(("-q", "--quiet"), "only the image's id", "switch"),
        ),
        (Argument("distribution", "such as debian:bookworm"),),
    ),
)
