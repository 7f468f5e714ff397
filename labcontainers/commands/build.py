"""The subcommand `build`; it must not know widgets: it returns a value."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from labcontainers.build.calls import CALLS, Call, CheckResult
from labcontainers.build.remotes.addresses import is_remote
from labcontainers.build.remotes.main_context import MOST_BYTES
from labcontainers.build.remotes.named import split_contexts
from labcontainers.build.remotes.unfolding import HEAD_BYTES, may_be_archive
from labcontainers.commands import build_caching, build_progress
from labcontainers.commands.build_limits import LIMIT_FLAGS, limit_keywords
from labcontainers.commands.build_outputs import FLAGS, output_keywords, outputs_of
from labcontainers.commands.build_progress import SILENT, mode_of
from labcontainers.commands.builder import BUILDER, only_builder
from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.files.writing import writing
from labcontainers.containers.options.flags import about
from labcontainers.containers.options.forms import pairs, shown
from labcontainers.errors import Failed, InvalidArgument, NotFound, Unsupported

_CHUNK = 1 << 20


def build(call: Invocation) -> Any:
    """Build; a cell's body, or standard input for `-f -` and for the path `-`, is the Dockerfile, or for `-` an archive of the context."""
    only_builder(call.builder)
    mode = mode_of(call.arguments)
    arguments = _build_arguments(call.build_arg)
    with about("--label"):
        labels = dict(pairs(call.label, "KEY=VALUE"))
    id_file = None if call.iidfile is None else _id_file(call.folder / Path(call.iidfile).expanduser())
    contexts = split_contexts(call.build_context)
    text, archive, file, context = _given(call, call.context or call.path or ".")
    folder: str | Path = call.folder / Path(context).expanduser()
    if is_remote(context) or (context.startswith("github.com/") and not os.path.isdir(folder)):
        folder = context
    elif call.context and not os.path.isdir(folder):
        raise NotFound(f"--context: no such folder: {call.context}", "name the folder that COPY and ADD take files from")
    elif file and archive is None and text is None:
        file = _file_of(call.folder, file, os.path.abspath(folder))
    if call.check or call.call:
        asked = _asked(call)
        if asked is not None:
            given = {"dockerfile_text": text, "dockerfile": file, "build_args": arguments, "archive": archive, "build_contexts": contexts}
            return _described(call, asked, folder, given)
    outputs, is_piped = outputs_of(call)
    built = call.engine.images.build(
        folder,
        dockerfile_text=text,
        dockerfile=file,
        tags=call.tag,
        build_args=arguments,
        target=call.target,
        network=call.network or "bridge",
        allow=call.allow,
        labels=labels,
        secrets=call.secret,
        ssh=call.ssh,
        folder=call.folder,
        archive=archive,
        build_contexts=contexts,
        **output_keywords(call, outputs),
        **build_caching.keywords(call),
        verify=call.verify,
        squash=call.squash,
        on_event=(lambda event: None) if mode in SILENT else call.on_event,
        cancel=call.cancel,
        **limit_keywords(call),
    )
    if id_file is not None:
        _write_id(id_file, built.image.id)
    if call.live and built.verification is not None and not built.verification:
        # for a terminal a difference is a failure, which tells all of it before
        call.on_output(2, f"{built.verification!r}\n".encode(errors="surrogateescape"))
        raise Failed("--verify: the build is not reproducible", "take what changes out of the step: times, random names, logs, caches")
    if is_piped:
        call.on_output(2, "".join(f"warning: {warning}\n" for warning in built.warnings).encode(errors="surrogateescape"))
        return None
    return Text(built.image.id) if mode == "quiet" else built


def _asked(call: Invocation) -> tuple[Call, bool] | None:
    """What --call or --check asks, and whether as JSON; None for a build. Raises InvalidArgument."""
    words = [part.strip() for part in (call.call or "check").split(",")]
    name, is_json = words[0].removeprefix("type="), "format=json" in words[1:]
    if call.check and name not in ("check", "build"):
        raise InvalidArgument(f"--check: stands beside --call={call.call}", "leave one of them out")
    wrong = [word for word in words[1:] if word not in ("format=json", "format=text")]
    if wrong:
        raise InvalidArgument(f"--call: unknown option: {shown(wrong[0])}", "options are format=text and format=json")
    if name == "build" and not call.check:
        return None
    name = "check" if call.check else {"lint": "check"}.get(name, name)
    if name not in CALLS:
        raise InvalidArgument(f"--call: unknown: {shown(name)}", f"use one of build, {', '.join(CALLS)}")
    return cast("Call", name), is_json


def _described(call: Invocation, asked: tuple[Call, bool], folder: str | Path, given: dict[str, Any]) -> Any:
    """The answer; for a terminal, a check that finds something ends as a failure, as Docker's does."""
    name, is_json = asked
    found = call.engine.images.describe_build(name, folder, target=call.target, folder=call.folder, **given)
    answer = Text(json.dumps(found.to_json(), indent=2)) if is_json else found
    if not call.live or not isinstance(found, CheckResult) or not (found.warnings or found.faults):
        return answer
    call.on_output(1, f"{answer if is_json else repr(answer)}\n".encode(errors="surrogateescape"))
    counts = [
        f"{len(members)} {word}{'' if len(members) == 1 else 's'}"
        for members, word in ((found.warnings, "warning"), (found.faults, "fault"))
        if members
    ]
    raise Failed(f"--check: the Dockerfile has {' and '.join(counts)}", "mend them, or write # check=skip=NAME above the file")


def _build_arguments(texts: Sequence[str]) -> dict[str, str]:
    """Values by their names; a name without one has the value that it has in this process' environment, if any."""
    arguments: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not name:
            raise InvalidArgument(f"--build-arg: not NAME=VALUE: {shown(text)}", "write NAME=VALUE")
        if separator:
            arguments[name] = value
        elif name in os.environ:
            arguments[name] = os.environ[name]
    return arguments


def _file_of(here: Path, file: str, context: str) -> str:
    """The path of the Dockerfile, from the context's folder if it lies there: a file of the working folder comes first, as in Docker."""
    path = os.path.abspath(here / Path(file).expanduser())
    if not os.path.isfile(path):
        return file
    return os.path.relpath(path, context) if os.path.commonpath((path, context)) == context else path


def _id_file(path: Path) -> Path:
    """The path for --iidfile; a file of an earlier build is removed, lest it tells of that when this one fails, as in Docker.

    Raises InvalidArgument where no file can be.
    """
    if not path.parent.is_dir():
        raise InvalidArgument(f"--iidfile: {shown(str(path))}: there is no such folder", "make the folder first")
    if path.is_dir():
        raise InvalidArgument(f"--iidfile: {shown(str(path))} is a directory", "name a file")
    with writing(path, "--iidfile"):
        _remove_plain(path)
    return path


def _write_id(path: Path, image_id: str) -> None:
    """All of it, or no file."""
    try:
        with writing(path, "--iidfile"):
            path.write_text(image_id, encoding="ascii")
    except BaseException:
        _remove_plain(path)
        raise


def _remove_plain(path: Path) -> None:
    """Remove a file, but neither a device such as /dev/null nor a link such as /dev/stdout."""
    if path.is_file() and not path.is_symlink():
        path.unlink(missing_ok=True)


def _given(call: Invocation, context: str) -> tuple[str | None, Iterable[bytes] | None, str | None, str]:
    """The text of the Dockerfile if it is here, an archive if that is the context, the file's name, and the context's.

    For a path `-`, what standard input begins with tells which of the two it is, as in Docker.
    """
    if call.body is not None or "-" not in (context, call.file):
        return call.body, None, call.file, context
    if context == call.file:
        raise InvalidArgument("--file: - and the context - would both be standard input", "name one of them")
    if call.stdin is None:
        raise Unsupported("a cell has no standard input to read a Dockerfile from", "give it as the cell's body: %%dockerfile …")
    stdin = call.stdin
    with open(stdin, "rb", buffering=0, closefd=False) as file:
        if call.file == "-":
            return _text(_read_some(file)), None, None, context
        head = b""
        while len(head) < HEAD_BYTES and (piece := file.read(HEAD_BYTES - len(head))):
            head += piece
        if may_be_archive(head):
            return None, itertools.chain((head,), iter(lambda: os.read(stdin, _CHUNK), b"")), call.file, "."
        if call.file:
            raise InvalidArgument(f"--file: standard input is a Dockerfile, and {call.file} would be another", "leave one of them out")
        return _text(head + _read_some(file)), None, None, "."


def _read_some(file: io.FileIO) -> bytes:
    """The rest of it, or so much that it is too much for a Dockerfile."""
    data = b""
    while len(data) <= MOST_BYTES and (piece := file.read(_CHUNK)):
        data += piece
    return data


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"standard input is neither an archive nor a Dockerfile: {error}", "tar archives may be packed") from None


COMMANDS = (
    Command(
        "build",
        "Build an image from a Dockerfile",
        build,
        (
            Flag(("-t", "--tag"), "name of the image; repeatable", "list", "NAME[:TAG]"),
            Flag(("-f", "--file"), "the Dockerfile, from here or else the context; - for standard input", metavar="PATH", completes="path"),
            Flag(("--context",), "folder that COPY and ADD take files from", metavar="FOLDER", completes="path"),
            Flag(
                ("--build-context",),
                "context for FROM, COPY --from and RUN --mount: folder, URL, git repository, docker-image:// or oci-layout://; repeatable",
                "list",
                "NAME=CONTEXT",
            ),
            Flag(("--build-arg",), "value of an ARG; repeatable", "list", "NAME=VALUE"),
            Flag(("--label",), "label KEY=VALUE; repeatable", "list", "KEY=VALUE"),
            Flag(("--target",), "build this stage only", metavar="STAGE"),
            Flag(("--check",), "tell what BuildKit's checks find, and build nothing", "switch"),
            Flag(("--call",), "build, or only tell: check, outline or targets; format=json after a comma", metavar="METHOD"),
            *build_caching.FLAGS,
            Flag(("--verify",), "do every step twice, and tell the files that differ", "switch"),
            Flag(("--squash",), "one layer of all that the build adds to its base", "switch"),
            BUILDER,
            Flag(("-q", "--quiet"), "no progress, and only the image's id at the end", "switch"),
            Flag(("--iidfile",), "write the image's id to this file", metavar="FILE", completes="path"),
            Flag(("--secret",), "secret for RUN --mount=type=secret: id=NAME with src=FILE or env=VARIABLE; repeatable", "list", "SECRET"),
            Flag(("--ssh",), "agent for RUN --mount=type=ssh and git: default, ID=SOCKET or ID=KEY[,KEY]; repeatable", "list", "AGENT"),
            Flag(("--network",), "network of RUN: bridge, none or host", metavar="NETWORK", completes="network"),
            Flag(
                ("--allow",),
                "right of the Dockerfile: host (FROM host), network.host or security.insecure (for RUN); repeatable",
                "list",
                "RIGHT",
            ),
            *LIMIT_FLAGS,
            *FLAGS,
            build_progress.FLAG,
        ),
        (Argument("path", "context: a folder, the URL of an archive or a git repository, or - for standard input", "?", "path"),),
    ),
)
