"""Archives that a command writes: to a file, or to standard output, but never to a screen.

It must not know what is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from labcontainers.commands.command import Invocation
from labcontainers.containers.files.writing import writing
from labcontainers.containers.options.forms import shown
from labcontainers.errors import Conflict, InvalidArgument, NotFound


def local_path(call: Invocation, text: str) -> str:
    """A path of this machine, with the final slash or dot that it was given."""
    # A terminal's shell has done that already.
    return os.path.join(call.folder, text if call.live else os.path.expanduser(text))


def refuse_screen(call: Invocation, name: str, hint: str) -> None:
    """Raises an error where nobody could do anything with a tar archive."""
    if not call.live:
        raise InvalidArgument(f"{name}: a cell cannot show a tar archive", hint)
    if call.screen:
        raise Conflict(f"{name}: cowardly refusing to save to a terminal", hint)


def pour(stream: Iterable[bytes], call: Invocation) -> None:
    """Pass everything on to standard output."""
    for data in stream:
        call.on_output(1, data)


def output_path(call: Invocation) -> Path:
    """The file that --output names; raises Conflict for a folder, NotFound where there is no folder for it."""
    place = Path(local_path(call, call.output))
    with writing(place, "--output"):
        is_folder, has_folder = place.is_dir(), place.parent.is_dir()
    if is_folder:
        raise Conflict(f"--output: {shown(call.output)} is a directory", "name a file")
    if not has_folder:
        raise NotFound(
            f"--output: {shown(call.output)}: invalid output path: directory {str(place.parent)!r} does not exist", "make it first"
        )
    return place
