"""Plans the sources of ADD that are addresses, with the flags that are for them alone.

It must not know how anything is fetched.

Source: docs.docker.com "Dockerfile reference", ADD.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from labcontainers.build.dockerfile.argument_forms import Word
from labcontainers.build.dockerfile.instructions import Transfer
from labcontainers.build.plan import describe
from labcontainers.build.remotes.addresses import Address, GitAddress, WebAddress, is_remote, parse_address, shown
from labcontainers.build.scope import Scope
from labcontainers.errors import InvalidArgument

_WITH_USER = re.compile(r"https?://[^\s/?#\"']*@[^\s\"']*")


def find_remotes(scope: Scope, instruction: Transfer, sources: Sequence[str]) -> tuple[Address | None, ...]:
    """The address of each source that is one, with what the flags say of it; empty when none is. Raises DockerfileError."""
    found = [_address(instruction, word, source) for word, source in zip(instruction.sources, sources, strict=True)]
    checksum = instruction.flag("checksum")
    if checksum is not None:
        place = instruction.place_of_flag("checksum")
        if len(sources) + len(instruction.files) != 1:
            raise place.fault("checksum can't be specified for multiple sources", "write one ADD for each")
        if found[:1] in ([], [None]):
            raise place.fault("checksum requires HTTP(S) or Git sources", "leave it out: the content of a file here is known")
        found = [_checked(instruction, scope.expand(instruction, checksum), address) for address in found]
    if instruction.flag("keep-git-dir") is not None:
        keeps = instruction.is_set("keep-git-dir")
        found = [replace(address, keep_git_dir=keeps) if isinstance(address, GitAddress) else address for address in found]
    return tuple(found) if any(found) else ()


def check_names(instruction: Transfer, remotes: Sequence[Address | None], target: str) -> None:
    """Raises DockerfileError for a file from elsewhere that has no name, where it needs one."""
    if target.endswith("/") and not instruction.is_set("unpack"):
        for word, address in zip(instruction.sources, remotes, strict=False):
            if isinstance(address, WebAddress) and not address.name:
                raise instruction.place_of(word).fault(f"{address.shown} has no name for the file", f"write it behind {target}")


def shown_text(instruction: Transfer) -> str:
    """The instruction on one line, without users and passwords of addresses."""
    return _WITH_USER.sub(lambda match: shown(match[0]), describe(instruction))


def _address(instruction: Transfer, word: Word, source: str) -> Address | None:
    place = instruction.place_of(word)
    if not source:
        raise place.fault(f"a source of {instruction.node.keyword} is empty", "give the variable a value")
    if instruction.node.keyword == "COPY":
        if is_remote(source):
            kind = "a URL" if "://" in source else "a git ref"
            raise place.fault(f"source can't be {kind} for COPY: {shown(source)}", "use ADD, or download it in a RUN step")
        return None
    try:
        return parse_address(source)
    except InvalidArgument as error:
        raise place.fault(error.message, error.hint) from None


def _checked(instruction: Transfer, text: str, address: Address | None) -> Address | None:
    if address is None or not text:
        return address
    try:
        return address.with_checksum(text)
    except InvalidArgument as error:
        raise instruction.place_of_flag("checksum").fault(error.message, error.hint) from None
