"""The subcommands that speak to registries: pull, push, login, logout, search; and `image verify`. It must not know widgets or HTTP."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from labcontainers.commands.command import Command, Invocation, for_each
from labcontainers.commands.containers import filters_of
from labcontainers.commands.formatting import format_rows
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.errors import Failed, InvalidArgument, Unsupported
from labcontainers.images.transfer import LayerProgress, nobody
from labcontainers.oci.reference import parse_reference

if TYPE_CHECKING:
    from labcontainers.images.pull import Pulled
    from labcontainers.images.push import Pushed
    from labcontainers.registry.listing import SearchResult

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_DESCRIPTION = 45


def pull(call: Invocation) -> Any:
    """An image, or with --all-tags every one of a repository; a terminal is told how it went, a notebook gets the images."""
    name = call.image
    reference = parse_reference(name)
    told = _listener(call)
    if not call.quiet:
        _say(
            call,
            f"{reference.tag or reference.digest}: Pulling from {reference.path}" if not call.all_tags else f"Pulling {reference.path}",
        )
    found: Sequence[Pulled] = (
        call.engine.images.transfers.pull_all(name, platform=call.platform, on_progress=told)
        if call.all_tags
        else [call.engine.images.transfers.pull(name, platform=call.platform, on_progress=told)]
    )
    return _shown(call, found, lambda pulled: pulled.reference.canonical)


def push(call: Invocation) -> Any:
    """An image, or with --all-tags every tag of a repository."""
    name = call.image
    reference = parse_reference(name)
    if not call.quiet:
        _say(call, f"The push refers to repository [{reference.domain}/{reference.path}]")
    told = _listener(call)
    transfers = call.engine.images.transfers
    found: Sequence[Pushed] = transfers.push_all(name, on_progress=told) if call.all_tags else [transfers.push(name, on_progress=told)]
    return _shown(call, found, lambda pushed: pushed.reference.canonical)


def verify(call: Invocation) -> Any:
    """Read everything of images again; raises Failed when something is not what its digest says."""
    found = []

    def one(name: str) -> str:
        verification = call.engine.images.verify(name)
        found.append(verification)
        if not verification:
            raise Failed(repr(verification), "remove the image, and pull, load or build it again")
        return repr(verification)

    return Text("\n".join(for_each(call, call.images, one)))


def login(call: Invocation) -> Text:
    """Show a registry who the user is, and keep that for later."""
    registry = call.server or "docker.io"
    if call.password_stdin and call.password is not None:
        raise InvalidArgument("--password and --password-stdin are mutually exclusive", "give one of them")
    if call.password_stdin and not call.username:
        raise InvalidArgument("--password-stdin: no user was given", "give --username as well")
    username = call.username or _ask(call, "Username: ", hidden=False)
    password = _of_standard_input(call) if call.password_stdin else call.password or _ask(call, "Password: ", hidden=True)
    if call.password is not None:
        _say(call, "WARNING! Using --password via the CLI is insecure. Use --password-stdin.", 2)
    call.engine.registries.get().login(registry, username, password)
    return Text("Login Succeeded")


def logout(call: Invocation) -> Text:
    """Forget what `login` was told."""
    registry = call.server or "docker.io"
    known = call.engine.registries.get().logout(registry)
    return Text(f"Removing login credentials for {registry}" if known else f"Not logged in to {registry}")


def _of_standard_input(call: Invocation) -> str:
    if call.stdin is None:
        raise Unsupported("--password-stdin: a cell has no standard input", "call login in a terminal, or Engine.registries from Python")
    with open(call.stdin, encoding="utf-8", closefd=False) as file:
        return file.read().removesuffix("\n").removesuffix("\r")


def _ask(call: Invocation, question: str, *, hidden: bool) -> str:
    """What is typed at the terminal, or in a notebook's field."""
    if call.stdin is not None and not os.isatty(call.stdin):
        raise InvalidArgument("login: cannot ask for it without a terminal", "give --username and --password-stdin")
    return getpass.getpass(question) if hidden else input(question)


def _truths(key: str, texts: Sequence[str]) -> list[bool]:
    """What a filter is said to be; raises InvalidArgument for what is neither true nor false."""
    for text in texts:
        if text not in _TRUTHS:
            raise InvalidArgument(f"--filter: invalid filter '{key}={text}'", f"write {key}=true or {key}=false")
    return [_TRUTHS[text] for text in texts]


def search(call: Invocation) -> Any:
    """Repositories by their names: of Docker Hub, or of HOST/TERM."""
    wanted = filters_of(call.filter)
    for key in wanted:
        if key not in ("stars", "is-official", "is-automated"):
            raise InvalidArgument(f"--filter: unknown filter {key!r}", "filters are stars, is-official, is-automated")
    stars = max((_number("--filter stars", text, 0) for text in wanted.get("stars", [])), default=0)
    official, automated = (_truths(key, wanted.get(key, [])) for key in ("is-official", "is-automated"))
    found = call.engine.registries.get().search(call.term, limit=_number("--limit", call.limit, 25))
    # As in Docker, nothing is automated any more.
    shown = [one for one in found if one.stars >= stars and all(one.official is yes for yes in official) and True not in automated]

    def description(one: SearchResult) -> str:
        text = " ".join(one.description.split())
        return text if call.no_trunc or len(text) <= _DESCRIPTION else text[: _DESCRIPTION - 1] + "…"

    columns = {
        "NAME": lambda one: one.name,
        "DESCRIPTION": description,
        "STARS": lambda one: str(one.stars),
        "OFFICIAL": lambda one: "[OK]" if one.official else "",
    }
    fields = {
        "Name": lambda one: one.name,
        "Description": description,
        "StarCount": lambda one: str(one.stars),
        "IsOfficial": lambda one: str(one.official).lower(),
        "IsAutomated": lambda one: "false",
    }
    return format_rows(shown, columns, fields, call.format)


def _number(flag: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidArgument(f"{flag}: not a number: {text!r}", "write digits")
    return int(text)


def _listener(call: Invocation) -> Callable[[LayerProgress], None]:
    return nobody if call.quiet else call.on_event


def _say(call: Invocation, line: str, stream: int = 1) -> None:
    call.on_output(stream, (line + "\n").encode())


def _shown(call: Invocation, found: Sequence[Any], name: Callable[[Any], str]) -> Any:
    """In a notebook the results; at a terminal Docker's lines."""
    if call.quiet:
        return Text("\n".join(name(one) for one in found))
    if not call.live and len(found) == 1:
        return found[0]
    return Text("\n".join(map(repr, found)))


# What the commands on images are called after the word `image`.
WORDS = {"pull": "pull", "push": "push", "verify": "image verify"}
_ALL = Flag(("-a", "--all-tags"), "every tag of the repository", "switch")
_QUIET = Flag(("-q", "--quiet"), "no progress, only the name at the end", "switch")
COMMANDS = (
    Command(
        "pull",
        "Fetch an image from a registry",
        pull,
        (
            _ALL,
            _QUIET,
            Flag(
                ("--platform",),
                "the image for this platform, if there are several",
                metavar="OS/ARCHITECTURE",
                completes="platform platforms",
            ),
        ),
        (Argument("image", "name, such as debian:bookworm or registry.example/team/tool@sha256:…", "1", "image"),),
    ),
    Command(
        "login",
        "Show a registry who you are",
        login,
        (
            Flag(("-u", "--username"), "user name", metavar="NAME"),
            Flag(("-p", "--password"), "password; others may read it in the list of processes", metavar="PASSWORD"),
            Flag(("--password-stdin",), "read the password from standard input", "switch"),
        ),
        (Argument("server", "HOST[:PORT], by default docker.io", "?"),),
    ),
    Command("logout", "Forget who you are to a registry", logout, (), (Argument("server", "HOST[:PORT], by default docker.io", "?"),)),
    Command(
        "search",
        "Find repositories by their names",
        search,
        (
            Flag(("-f", "--filter"), "stars=NUMBER or is-official=true; repeatable", "list", "KEY=VALUE"),
            Flag(("--limit",), "at most so many, 25 by default", metavar="NUMBER"),
            Flag(("--no-trunc",), "whole descriptions", "switch"),
            Flag(("--format",), "table, json, or such as {{.Name}}", metavar="TEMPLATE"),
        ),
        (Argument("term", "a part of the name, or HOST/PART for another registry"),),
    ),
    Command("push", "Send an image to a registry", push, (_ALL, _QUIET), (Argument("image", "name with its registry", "1", "image"),)),
    Command(
        "image verify",
        "Compare an image with all its digests",
        verify,
        (),
        (Argument("images", "names or ids", "+", "image"),),
    ),
)
