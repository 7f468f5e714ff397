"""The group `dockerfile`: Dockerfiles that were written in several cells; it must not know how a cell gives a part."""

from __future__ import annotations

from pathlib import Path

from labcontainers.build.drafts import DRAFTS, Draft
from labcontainers.commands.command import Command, Invocation, for_each
from labcontainers.commands.listing import Listing
from labcontainers.commands.output_file import local_path
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.files.writing import save_file, write_pieces
from labcontainers.containers.options.forms import shown
from labcontainers.errors import Conflict, NotFound

WORDS = {name: f"dockerfile {name}" for name in ("ls", "show", "export", "rm")}
_NAME = Argument("name", "the name after --append", completes="draft")


def ls(call: Invocation) -> Listing[Draft]:
    """All of this process."""
    columns = {
        "NAME": lambda draft: draft.name,
        "PARTS": lambda draft: str(len(draft.parts)),
        "LINES": lambda draft: str(draft.text.count("\n")),
    }
    return Listing(DRAFTS.list(), columns)


def show(call: Invocation) -> Draft:
    """One of them."""
    return DRAFTS.get(call.name)


def export(call: Invocation) -> Path:
    """The file that was written."""
    text = DRAFTS.get(call.name).text.encode()
    place = Path(local_path(call, call.file or "Dockerfile"))
    if place.is_dir():
        place /= "Dockerfile"
    if not place.parent.is_dir():
        raise NotFound(f"{shown(str(place))}: there is no folder {shown(str(place.parent))}", "make it first")
    if not call.force and place.exists() and place.read_bytes() != text:
        raise Conflict(f"{shown(str(place))} is there already and differs", "name another file, or write -f to replace it")
    save_file(place, lambda file: write_pieces(file, [text]), "dockerfile export", 0o666)
    return place


def rm(call: Invocation) -> list[str]:
    """The names of those that are gone."""
    return for_each(call, call.names, DRAFTS.remove)


COMMANDS: tuple[Command, ...] = (
    Command("dockerfile ls", "List the Dockerfiles that are written in several cells (%%dockerfile --append)", ls),
    Command("dockerfile show", "Show a Dockerfile that is written in several cells", show, (), (_NAME,)),
    Command(
        "dockerfile export",
        "Write a Dockerfile that is written in several cells to a file",
        export,
        (Flag(("-f", "--force"), "replace a file that is there", "switch"),),
        (_NAME, Argument("file", "the file, or its folder; Dockerfile where none is named", "?", "path")),
    ),
    Command(
        "dockerfile rm", "Forget Dockerfiles that are written in several cells", rm, (), (Argument("names", "their names", "+", "draft"),)
    ),
)
