"""What versions are in play, as a value that prints itself.

It must not look anything up.
"""

from __future__ import annotations

import html
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """This engine's version, the interpreter's, the kernel's, and the machine's architecture."""

    version: str
    python: str
    kernel: str
    architecture: str

    def __str__(self) -> str:
        return f"labcontainers {self.version} (Python {self.python}, Linux {self.kernel}, {self.architecture})"

    def _repr_html_(self) -> str:
        where = f"Python {self.python}, Linux {self.kernel}, {self.architecture}"
        return f"<b>labcontainers {html.escape(self.version)}</b> <span style='opacity:.7'>{html.escape(where)}</span>"
