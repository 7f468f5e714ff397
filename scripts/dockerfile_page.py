"""Writes docs/dockerfile.md: the Dockerfile language and the flags of `build`, from the rows that the tests build.

It must not know any instruction itself: what works is in tests/data/dockerfile_rows.py, why a flag does not is what the user is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from labcontainers.commands import later
from scripts.compatibility import code
from tests.data.dockerfile_row import Elsewhere, Refused, Row
from tests.data.dockerfile_rows import DIRECTIVES, FLAGS, INSTRUCTIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "dockerfile.md"
INTRODUCTION = """# What works of Dockerfiles

The language of a Dockerfile, instruction by instruction, then the flags of `build`. Where something works and is not quite BuildKit's,
[differences.md](differences.md) says how; what is refused is refused by name, before anything is made.

This page is written by `make docs` from the rows that `tests/integration/test_every_instruction.py` builds, as root, as an ordinary user
with subordinate ids, and with a single id. A line break in a Dockerfile is shown as ⏎.
"""
_HEAD = "| | works | shown by |\n|---|---|---|\n"
_SECTIONS: Sequence[tuple[str, Sequence[Row | Elsewhere | Refused]]] = (
    ("Directives, comments, here-documents, variables", DIRECTIVES),
    ("Instructions", INSTRUCTIONS),
    ("Flags of `build`", FLAGS),
)


def _dockerfile(text: str) -> str:
    return code(text.strip("\n").replace("\n", " ⏎ ").replace("\t", "⇥").replace("`", "´"))


def _line(row: Row | Elsewhere | Refused) -> str:
    if isinstance(row, Elsewhere):
        return f"| {row.what} | ✓ | tests/integration/{row.test} |"
    shown = ", ".join(
        part for part in (code(f"build {row.flags} .") if row.flags else "", _dockerfile(row.text) if row.text else "") if part
    )
    if isinstance(row, Refused):
        return f"| {row.what} | – | refused: {shown} |"
    users = "".join((*(f"; {name} only" for name in row.needs), f"; not with a {row.unless}" if row.unless else ""))
    return f"| {row.what} | ✓{users} | {shown} |"


def _refused_flags() -> Iterator[str]:
    flags = later.FLAGS.get("build", {})
    for why in dict.fromkeys(flags.values()):
        yield f"| {code(*(flag for flag, reason in flags.items() if reason == why))} | – | {why} |"


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for title, rows in _SECTIONS:
        lines = [_line(row) for row in rows]
        parts.append(f"\n## {title}\n\n{_HEAD}" + "".join(f"{line}\n" for line in lines))
    return "".join(parts) + "".join(f"{line}\n" for line in _refused_flags())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
