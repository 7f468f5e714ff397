"""The header WWW-Authenticate, which may hold several challenges; it must not know what they are for. Source: RFC 9110, 11.6.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?:\s+|(?=,)|$)")
_PARAMETER = re.compile(rf'[\s,]*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|({_TOKEN}))(?=\s*(?:,|$))', re.DOTALL)
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*(?=\s*(?:,|$))")
_LONGEST = 1 << 14


@dataclass(frozen=True, slots=True)
class Challenge:
    """How a server wants to be convinced: a scheme in lower case, and parameters by their names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of these values, in their order; what cannot be read ends its header."""
    found = []
    for header in headers:
        text, position = header[:_LONGEST], 0
        while (match := _SCHEME.match(text, position)) is not None:
            scheme, position = match[1].lower(), match.end()
            parameters: dict[str, str] = {}
            while (parameter := _PARAMETER.match(text, position)) is not None:
                value = parameter[3] if parameter[2] is None else re.sub(r"\\(.)", r"\1", parameter[2], flags=re.DOTALL)
                parameters.setdefault(parameter[1].lower(), value)
                position = parameter.end()
            if not parameters and (blob := _TOKEN68.match(text, position)) is not None and _SCHEME.match(text, position) is None:
                position = blob.end()
            found.append(Challenge(scheme, parameters))
    return found
