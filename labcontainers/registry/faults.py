"""What registries answer when they refuse, as this project's errors: one line with the value, and a next action.

It must not send anything. What a server says is shown shortened and without control characters: it is foreign text.
Source: OCI distribution spec, "Error Codes".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from labcontainers.errors import Conflict, Denied, DigestMismatch, Failed, InvalidArgument, LabError, NotFound, Unavailable, Unsupported

_LONGEST = 200
_OF_CODE: dict[str, type[LabError]] = {
    "DIGEST_INVALID": DigestMismatch,
    "MANIFEST_INVALID": InvalidArgument,
    "MANIFEST_BLOB_UNKNOWN": Failed,
    "NAME_INVALID": InvalidArgument,
    "TAG_INVALID": InvalidArgument,
    "SIZE_INVALID": DigestMismatch,
    "UNSUPPORTED": Unsupported,
    "TOOMANYREQUESTS": Unavailable,
    "UNAUTHORIZED": Denied,
    "DENIED": Denied,
}


class Refused(Denied):
    """A registry or its token server does not let this user in, whoever that is."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status above 399 with the first of the errors in its body."""

    status: int
    code: str = ""
    message: str = ""

    @classmethod
    def parse(cls, status: int, body: bytes) -> Refusal:
        """From the body of an answer, which may be anything."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return cls(status)
        errors = value.get("errors") if isinstance(value, dict) else None
        first = errors[0] if isinstance(errors, list) and errors else value
        if not isinstance(first, dict):
            return cls(status)
        message = first.get("message") or first.get("details") or first.get("error_description") or first.get("error") or ""
        return cls(status, str(first.get("code", ""))[:60].upper(), one_line(message))

    def __str__(self) -> str:
        words = self.message or one_line(self.code).lower().replace("_", " ")
        return f"{words} (status {self.status})" if words else f"status {self.status}"


def one_line(text: Any) -> str:
    """Foreign text that can be shown: one line, printable, not long."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text)[: 4 * _LONGEST])
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def error_of(refusal: Refusal, registry: str, what: str) -> LabError:
    """The error for `what` was asked of `registry`: "manifest for a/b:latest", "blob sha256:…"."""
    status, problem = refusal.status, f"{what}: {registry} says: {refusal}"
    if status == 401:
        return Refused(f"access to {what} denied, which does not exist or may need credentials: {refusal}", f"login {registry}")
    if status == 403:
        return Refused(f"access to {what} denied: {refusal}", f"log in as a user who may: login {registry}")
    if status == 404:
        return NotFound(f"{what} not found: {refusal}", "check the name, or log in if it is not public")
    if status == 429:
        return Unavailable(problem, f"wait, or log in to be allowed more: login {registry}")
    if refusal.code in _OF_CODE:
        return _OF_CODE[refusal.code](problem, "the registry refuses what was sent")
    if status == 405:
        return Unsupported(problem, "this registry does not offer it")
    if status == 409:
        return Conflict(problem, "try again")
    if status == 413:
        return Failed(problem, "what was sent is too large for this registry")
    if status >= 500:
        return Unavailable(problem, "try again later")
    return Failed(problem, "is it a registry of the OCI distribution spec?")
