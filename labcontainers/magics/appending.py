"""`%%dockerfile --append NAME`: a cell that continues a Dockerfile, and the build of all that stands so far.

It must not know how anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labcontainers.build.drafts import DRAFTS, Draft
from labcontainers.commands.build_progress import only_tells
from labcontainers.errors import InvalidArgument, LabError
from labcontainers.magics.variable import APPEND

_LINE = re.compile(r"\bDockerfile:(\d+)\b")


@dataclass(frozen=True, slots=True)
class Appended:
    """A cell's part, not kept yet. `whole` is the Dockerfile with it, `so_far` what stands in it down to this part.

    `stays` is False where the cell only asks about it.
    """

    whole: Draft
    so_far: Draft
    stays: bool

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the build: without another name, the image has the Dockerfile's."""
        return {**given, "tag": given["tag"] or [self.whole.name]}

    def keep(self) -> None:
        """Let the part stand: it was built, or there is nothing to build yet."""
        if self.stays:
            DRAFTS.keep(self.whole)

    def tell_place(self, error: BaseException) -> None:
        """Say in an error's hint which cell's line it is about: its number is that of the whole Dockerfile."""
        match = _LINE.search(str(error)) if isinstance(error, LabError) and len(self.so_far.parts) > 1 else None
        if match is None or not isinstance(error, LabError):
            return
        part, line = self.so_far.origin(int(match[1]))
        where = "this cell" if part == len(self.so_far.parts) else f"part {part}"
        error.hint = f"line {line} of {where}{'; ' if error.hint else ''}{error.hint}"


def appended(arguments: Mapping[str, Any], cell: str | None, shell: Any) -> Appended | None:
    """What the cell adds to a Dockerfile; None without --append. Raises InvalidArgument."""
    name = arguments.get(APPEND.destination)
    if name is None or arguments["help"]:
        return None
    if cell is None:
        raise InvalidArgument(
            "--append continues a Dockerfile with a cell's text, and this is a line", f"write %%dockerfile --append {name}"
        )
    if arguments["file"] is not None:
        raise InvalidArgument("--append: the cell is the Dockerfile, and --file names another", "leave one of them out")
    key = _cell_id(shell)
    whole = DRAFTS.find(name).with_part(key, cell)
    return Appended(whole, whole.until(key, cell), not only_tells(arguments))


def _cell_id(shell: Any) -> str:
    """The id of the cell that runs, which JupyterLab and Notebook 7 send; "" where nobody does."""
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return str(parent.get("metadata", {}).get("cellId") or "")
