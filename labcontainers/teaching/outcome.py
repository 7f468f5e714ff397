"""What a check found, as a value that is true or false, with its text and HTML forms.

It must not know lessons, containers or the kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

from labcontainers.markup import NO_FORMULAS

Verdict = Literal["passed", "not yet", "not here"]

_COLOURS: Final = {"passed": "#2e9e5b", "not yet": "#c27c0e", "not here": "#8a8f98"}
_MARKS: Final = {"passed": "✓", "not yet": "○", "not here": "–"}


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """True only where the exercise is solved. `found` is the state as it is, `hint` what to try next.

    "not here" says that this host does not let this user do the exercise: nobody's fault, and no solution either.
    """

    verdict: Verdict
    found: str
    hint: str = ""
    name: str = ""

    def __bool__(self) -> bool:
        return self.verdict == "passed"

    def __repr__(self) -> str:
        head = f"{_MARKS[self.verdict]} {self.name or 'check'}: {self.verdict}. {self.found}"
        return f"{head}\n  hint: {self.hint}" if self.hint else head

    def _repr_html_(self) -> str:
        colour = _COLOURS[self.verdict]
        hint = f'<div style="opacity:.8"><i>Hint:</i> {_with_code(self.hint)}</div>' if self.hint else ""
        return (
            f'<div {NO_FORMULAS} style="border-left:4px solid {colour};padding:2px 0 2px 10px;color:inherit">'
            f'<div><b style="color:{colour}">{_MARKS[self.verdict]} {self.verdict}</b> '
            f'<code style="background:transparent;opacity:.7">{escape(self.name)}</code></div>'
            f"<div>{_with_code(self.found)}</div>{hint}</div>"
        )


def _with_code(text: str) -> str:
    """As HTML, with what is between backticks as code."""
    return re.sub(r"`([^`]+)`", r'<code style="background:rgba(128,128,128,.15);padding:0 3px">\1</code>', escape(text))


def passed(found: str) -> Outcome:
    """The exercise is solved; `found` says by which state."""
    return Outcome("passed", found)


def not_yet(found: str, hint: str) -> Outcome:
    """It is not solved: what the state is, and what to try."""
    return Outcome("not yet", found, hint)


def not_here(found: str, hint: str = "go on with the next section; `%container doctor` tells what would allow it") -> Outcome:
    """This host does not let this user do it."""
    return Outcome("not here", found, hint)
