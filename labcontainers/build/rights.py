"""What a Dockerfile's steps may do beyond their own files and network: the values of `build --allow`, as BuildKit's entitlements.

It must not know how a step is run, nor what any of them lets it do.

Source: docs.docker.com "docker buildx build", --allow; "Dockerfile reference", RUN --network and RUN --security.
"""

from __future__ import annotations

from collections.abc import Sequence

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images import host_root

HOST_ROOT = host_root.ALLOW
HOST_NETWORK = "network.host"
INSECURE = "security.insecure"
ALL = (HOST_ROOT, HOST_NETWORK, INSECURE)
# What buildx has beside these.
_OTHERS = {
    "device": "devices are not passed to builds",
    "fs": "the files that a build reads and writes are those that its own flags name",
    "ssh": "the flag --ssh forwards an agent",
}


def read_rights(texts: Sequence[str]) -> frozenset[str]:
    """The rights that are given; raises Unsupported for those of buildx that are not here, InvalidArgument for what is none."""
    for text in texts:
        name = text.partition("=")[0]
        other = _OTHERS.get(name) or _OTHERS.get(name.partition(".")[0])
        if other:
            raise Unsupported(f"--allow: {text} is not supported: {other}", "leave it out")
        if text not in ALL:
            raise InvalidArgument(f"--allow: no such right: {text}", f"rights are {', '.join(ALL)}")
    return frozenset(texts)
