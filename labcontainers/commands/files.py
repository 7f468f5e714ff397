"""The subcommands on a container's files: cp, diff, export and commit; it must not know widgets: each returns a value."""

from __future__ import annotations

from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.listing import Text
from labcontainers.commands.output_file import local_path, output_path, pour, refuse_screen
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.files.diff import Changes
from labcontainers.containers.files.writing import save_file, write_pieces
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.oci.reference import parse_reference
from labcontainers.units import format_bytes

_CONTAINER = Argument("container", "name or id", "1", "container")


def _split(text: str, what: str) -> tuple[str, str]:
    """(container, path) of one side of cp; the container is "" for a path of this machine, such as /x, ./a:b and -."""
    if not text:
        raise InvalidArgument(f"cp: {what} can not be empty", "write CONTAINER:PATH, a path, or -")
    container, separator, path = text.partition(":")
    if text.startswith("/") or not separator or container.startswith("."):
        return "", text
    if not container or not path:
        raise InvalidArgument(f"cp: {what} is no CONTAINER:PATH: {text!r}", "write such as web:/etc/hosts")
    return container, path


def cp(call: Invocation) -> Text | None:
    """Copy out of a container or into one; what is told of it goes where Docker tells it."""
    from_container, source = _split(call.source, "source")
    to_container, destination = _split(call.destination, "destination")
    if from_container and to_container:
        raise InvalidArgument("cp: copying between containers is not supported", "copy out of the one, then into the other")
    if not from_container and not to_container:
        raise InvalidArgument("cp: must specify at least one container source", "write CONTAINER:PATH on one side")
    options = {"archive": call.archive, "follow_link": call.follow_link}
    if from_container:
        container = call.engine.containers.get(from_container)
        if destination == "-":
            refuse_screen(call, "cp", "copy to a file, or redirect the output")
            pour(container.get_archive(source, follow_link=call.follow_link)[0], call)
            return None
        size, where = container.copy_from(source, local_path(call, destination), **options), call.destination
    else:
        container, where = call.engine.containers.get(to_container), call.destination
        if source == "-":
            _stream_in(call, container, destination)
            return None
        size = container.copy_to(local_path(call, source), destination, **options)
    return None if call.quiet else _tell(call, f"Successfully copied {format_bytes(size)} to {where}")


def _tell(call: Invocation, text: str) -> Text | None:
    """As Docker, a terminal's standard error, and nothing where the output goes elsewhere; a cell is given it as its value."""
    if not call.live:
        return Text(text)
    if call.screen:
        call.on_output(2, f"{text}\n".encode("utf-8", "surrogateescape"))
    return None


def _stream_in(call: Invocation, container: Any, destination: str) -> None:
    if call.stdin is None:
        raise Unsupported("cp: a cell has no standard input to read an archive from", "use container.put_archive(path, data)")
    with open(call.stdin, "rb", buffering=0, closefd=False) as file:
        container.put_archive(destination, file)


def diff(call: Invocation) -> Changes:
    found: Changes = call.engine.containers.get(call.container).diff()
    return found


def export(call: Invocation) -> None:
    """The container's tree as a tar, into a file or to standard output."""
    if call.output is None:
        refuse_screen(call, "export", "use -o FILE")
        pour(call.engine.containers.get(call.container).export(), call)
        return
    place = output_path(call)
    container = call.engine.containers.get(call.container)
    save_file(place, lambda file: write_pieces(file, container.export()))


def commit(call: Invocation) -> Any:
    """The new image; a terminal is told its id, as by Docker."""
    repository, tag = _repository(call.repository)
    container = call.engine.containers.get(call.container)
    image = container.commit(
        repository,
        tag,
        message=call.message or "",
        author=call.author or "",
        changes=call.change,
        pause=not call.no_pause and call.pause is not False,
    )
    return Text(image.id) if call.live else image


def _repository(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    reference = parse_reference(text)
    if reference.digest:
        raise InvalidArgument(f"commit: an image cannot be named by a digest: {text}", "write REPOSITORY[:TAG]")
    return text, None


_PATHS = (
    Argument("source", "CONTAINER:PATH, a path of this machine, or - for a tar archive on standard input", "1", "container"),
    Argument("destination", "CONTAINER:PATH, a path of this machine, or - for a tar archive on standard output", "1", "path"),
)

COMMANDS = (
    Command(
        "cp",
        "Copy files between a container and this machine",
        cp,
        (
            Flag(("-a", "--archive"), "with owners, and what else is only the container's", "switch"),
            Flag(("-L", "--follow-link"), "what a symbolic link as the source points to", "switch"),
            Flag(("-q", "--quiet"), "tell nothing", "switch"),
        ),
        _PATHS,
    ),
    Command("diff", "List what a container has changed in its image's files", diff, (), (_CONTAINER,)),
    Command(
        "export",
        "Write a container's files as a tar archive",
        export,
        (Flag(("-o", "--output"), "to this file instead of standard output", metavar="FILE", completes="path"),),
        (_CONTAINER,),
    ),
    Command(
        "commit",
        "Make an image of a container",
        commit,
        (
            Flag(("-a", "--author"), "such as 'Ada Lovelace <ada@example.org>'", metavar="AUTHOR"),
            Flag(("-c", "--change"), "a Dockerfile instruction for the config, such as CMD or ENV; repeatable", "list", "INSTRUCTION"),
            Flag(("-m", "--message"), "a comment for the history", metavar="TEXT"),
            Flag(("-p", "--pause"), "let the container stand still meanwhile, as is done unless this is false", "switch", default=True),
            Flag(("--no-pause",), "let the container go on meanwhile", "switch"),
        ),
        (_CONTAINER, Argument("repository", "name of the image, with a tag or without", "?", "image")),
    ),
)
