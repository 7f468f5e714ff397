"""The subcommand on `labcontainers.lock`; it must not know widgets: it returns a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.listing import Listing
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.files.writing import save_file, write_pieces, writing
from labcontainers.errors import Failed, NotFound
from labcontainers.images.image import Image
from labcontainers.images.lock_file import FILE, Compared, Locked, compare, from_text, lock, named, to_text

_LOCKED: Final[Mapping[str, Callable[[Locked], str]]] = {
    "NAME": lambda entry: entry.name,
    "IMAGE ID": lambda entry: entry.short_id,
    "PLATFORM": lambda entry: entry.platform,
    "LAYERS": lambda entry: str(len(entry.layers)),
}
_COMPARED: Final[Mapping[str, Callable[[Compared], str]]] = {
    "NAME": lambda found: found.locked.name,
    "LOCKED": lambda found: found.locked.short_id,
    "HERE": lambda found: found.image.short_id if found.image is not None else "-",
    "DIFFERENCE": lambda found: found.difference or "none",
}


def lock_images(call: Invocation) -> Any:
    """Write down which images these are, or with --check tell whether they still are; raises Failed when they are not."""
    place = call.folder / Path(call.file or FILE).expanduser()
    shown = call.file or FILE
    return _check(call, place, shown) if call.check else _lock(call, place, shown)


def _lock(call: Invocation, place: Path, shown: str) -> Listing[Locked]:
    known = _read(place, shown) if place.exists() else {}
    names = call.images or list(known) or [tag for image in call.engine.images.list() for tag in image.tags]
    if not names:
        raise NotFound("lock: there is no image to lock", "name one, such as lab/base")
    found = {entry.name: entry for name in names for entry in lock(call.engine.images.get(name), name)}
    text = to_text({**known, **found}.values())
    save_file(place, lambda file: write_pieces(file, [text.encode()]), "--file", 0o666)
    return Listing(sorted(found.values(), key=lambda entry: entry.name), _LOCKED)


def _check(call: Invocation, place: Path, shown: str) -> Listing[Compared]:
    if not place.exists():
        raise NotFound(f"--file: there is no {shown}", "make one: `lock NAME …`")

    def find(name: str) -> Image | None:
        # by get(), which makes the embedded base images
        try:
            return call.engine.images.get(name)
        except NotFound:
            return None

    compared = Listing([compare(entry, find) for entry in named(_read(place, shown), call.images, shown)], _COMPARED)
    others = [found for found in compared if not found]
    if not others:
        return compared
    call.on_output(1, f"{compared!r}\n".encode())
    sources = [found.locked.source for found in others if found.locked.source]
    hint = f"`pull {sources[0]}` brings the locked one" if sources else "build or load the locked ones, or accept these: `lock`"
    raise Failed(f"--check: {len(others)} of {len(compared)} images are not those of {shown}", hint)


def _read(place: Path, shown: str) -> dict[str, Locked]:
    with writing(place, "--file"):
        text = place.read_text(encoding="utf-8", errors="replace")
    return from_text(text, shown)


COMMANDS = (
    Command(
        "lock",
        "Write down in labcontainers.lock which images these are, so that others can tell whether theirs are the same",
        lock_images,
        (
            Flag(("--check",), "tell whether the images here are those of the file, and fail where they are not", "switch"),
            Flag(("-f", "--file"), "the file, labcontainers.lock by default", metavar="PATH", completes="path"),
        ),
        (Argument("images", "names; by default those of the file, or else all that this store has", "*", "image"),),
    ),
)
