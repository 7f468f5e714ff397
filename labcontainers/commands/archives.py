"""The subcommands on images in archives: save, load and import; it must not know widgets: each returns a value."""

from __future__ import annotations

import os
from typing import IO, Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.listing import Text
from labcontainers.commands.output_file import local_path, output_path, pour, refuse_screen
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.files.writing import save_file
from labcontainers.containers.options.forms import shown
from labcontainers.errors import Conflict, Denied, Failed, NotFound, Unsupported
from labcontainers.images.transfer import LayerProgress, OnProgress, is_address


def save(call: Invocation) -> None:
    """The images as one archive, into a file or to standard output."""
    place = None if call.output is None else output_path(call)
    if place is None:
        refuse_screen(call, "save", "use the -o flag or redirect")
    with call.engine.images.save(call.images, platform=call.platform) as archive:
        if place is None:
            pour(archive, call)
        else:
            save_file(place, archive.write)


def load(call: Invocation) -> Any:
    """The images of an archive; a terminal is told their names, as by Docker."""
    # Docker tells of layers only where they can be painted over.
    quiet = call.quiet or (call.live and not call.screen)
    told: dict[str, Any] = {"platform": call.platform, "on_progress": None if quiet else call.on_event}
    if call.input is not None and os.path.isdir(folder := local_path(call, call.input)):
        loaded = call.engine.images.load(folder, **told)
    else:
        with _open(call, call.input, "--input") if call.input is not None else _standard_input(call, "load") as file:
            loaded = call.engine.images.load(file, **told)
    return Text(repr(loaded)) if call.live else loaded


def import_(call: Invocation) -> Any:
    """The image of a root file system; a terminal is told its id, as by Docker."""
    told: dict[str, Any] = {"changes": call.change, "message": call.message or "", "platform": call.platform}
    images = call.engine.images
    if is_address(call.file):
        image = images.import_image(call.file, call.repository, on_progress=_telling(call), **told)
    else:
        with _standard_input(call, "import") if call.file == "-" else _open(call, call.file, "import") as file:
            image = images.import_image(file, call.repository, **told)
    return Text(image.id) if call.live else image


def _telling(call: Invocation) -> OnProgress:
    """Pass progress on, after Docker's line that says from where, once something comes from there."""
    said: list[str] = []

    def tell(progress: LayerProgress) -> None:
        if not said:
            from labcontainers.registry.download import without_user

            said.append(without_user(call.file)[0])
            call.on_output(1, f"Downloading from {said[0]}\n".encode())
        call.on_event(progress)

    return tell


def _standard_input(call: Invocation, name: str) -> IO[bytes]:
    if call.stdin is None:
        raise Unsupported(f"{name}: a cell has no standard input to read an archive from", "name a file")
    if os.isatty(call.stdin):
        raise Conflict(f"{name}: requested {name} from stdin, but stdin is empty", "name a file, or redirect the input")
    return open(call.stdin, "rb", buffering=0, closefd=False)


def _open(call: Invocation, text: str, flag: str) -> IO[bytes]:
    """A file of this machine; what is wrong with it is told by the flag and the path."""
    try:
        return open(local_path(call, text), "rb", buffering=0)
    except IsADirectoryError:
        raise Conflict(f"{flag}: {shown(text)} is a directory", "pack what is in it: tar -C FOLDER -cf FILE .") from None
    except OSError as error:
        kinds = {FileNotFoundError: NotFound, NotADirectoryError: NotFound, PermissionError: Denied}
        kind = kinds.get(type(error), Failed)
        raise kind(f"{flag}: {shown(text)}: {(error.strerror or str(error)).lower()}", "name another file") from None


COMMANDS = (
    Command(
        "save",
        "Write images as one archive, for load and for other engines",
        save,
        (
            Flag(("-o", "--output"), "to this file instead of standard output", metavar="FILE", completes="path"),
            Flag(("--platform",), "only if the images are for it, such as linux/amd64", metavar="PLATFORM", completes="platform platforms"),
        ),
        (Argument("images", "names or ids; a name without a tag means all its tags", "+", "image"),),
    ),
    Command(
        "load",
        "Read the images of an archive, Docker's or an OCI layout, also an unpacked one",
        load,
        (
            Flag(
                ("-i", "--input"),
                "from this file, or a folder with an OCI layout, not from standard input",
                metavar="FILE",
                completes="path",
            ),
            Flag(("-q", "--quiet"), "tell nothing of layers", "switch"),
            Flag(("--platform",), "of several, the image for this platform", metavar="PLATFORM", completes="platform platforms"),
        ),
    ),
    Command(
        "import",
        "Make an image of the tar archive of a root file system",
        import_,
        (
            Flag(("-c", "--change"), "a Dockerfile instruction for the config, such as CMD or ENV; repeatable", "list", "INSTRUCTION"),
            Flag(("-m", "--message"), "a comment for the history", metavar="TEXT"),
            Flag(("--platform",), "what the files are for, this machine's by default", metavar="PLATFORM", completes="platform platforms"),
        ),
        (
            Argument("file", "the archive, also a compressed one, its URL, or - for standard input", "1", "path"),
            Argument("repository", "name of the image, with a tag or without", "?", "image"),
        ),
    ),
)

# In Docker's group `image`.
WORDS = {command.name: command.name for command in COMMANDS}
