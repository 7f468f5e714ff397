"""What a build may use and must not keep: secrets, and sockets of SSH agents. Neither is ever part of a text, a key or a record.

It must not know how a step gets them.

Source: docs.docker.com "docker buildx build", --secret.
"""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labcontainers.errors import InvalidArgument, NotFound

# BuildKit's limit (session/secrets/secretsprovider).
_MOST_BYTES = 500 * 1024


@dataclass(frozen=True, slots=True)
class Confidential:
    """Secrets and sockets by their ids; its text tells nothing of them."""

    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    sockets: Mapping[str, Path] = field(default_factory=dict, repr=False)


def read_secrets(texts: Sequence[str], folder: Path, environment: Mapping[str, str]) -> dict[str, bytes]:
    """The values of `--secret id=ID[,src=FILE|,env=NAME]` by their ids; files are found from `folder`. Raises LabError."""
    found: dict[str, bytes] = {}
    for text in texts:
        fields = _fields(text, "--secret", {"id": "id", "src": "src", "source": "src", "env": "env", "type": "type"})
        kind, name = fields.get("type", ""), fields.get("id", "")
        if kind not in ("", "file", "env"):
            raise InvalidArgument(f"--secret: unsupported secret type {kind!r}", "use file or env")
        if not name:
            raise InvalidArgument(f"--secret: no id: {_shown(fields)}", "write id=NAME,src=FILE or id=NAME,env=VARIABLE")
        file, variable = fields.get("src", ""), fields.get("env", "")
        if kind == "env" and not variable:
            file, variable = "", file or name
        if not file and not variable:
            file, variable = ("", name) if kind != "file" and name in environment else (name, "")
        found[name] = _of_environment(variable, environment) if variable else _of_file(folder / Path(file).expanduser())
        if len(found[name]) > _MOST_BYTES:
            raise InvalidArgument(
                f"--secret: the secret {name} is larger than {_MOST_BYTES >> 10} kB", "bind a file of the context instead"
            )
    return found


def _of_environment(variable: str, environment: Mapping[str, str]) -> bytes:
    if variable not in environment:
        raise NotFound(f"--secret: there is no environment variable {variable}", "set it, or name a file by src=")
    return os.fsencode(environment[variable])


def _of_file(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidArgument(f"--secret: {path} is not a file", "name a regular file")
            return file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(f"--secret: no such file: {path}", "name a file by src=") from None
    except OSError as error:
        raise InvalidArgument(f"--secret: cannot read {path}: {(error.strerror or '').lower()}", "name a file that can be read") from error


def _fields(text: str, flag: str, names: Mapping[str, str]) -> dict[str, str]:
    """The fields by their names; the text itself is never told, since somebody may have written a secret there."""
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise InvalidArgument(f"{flag}: cannot read the fields: {error}", "write key=value, separated by commas") from None
    found: dict[str, str] = {}
    for one in row:
        key, equals, value = one.partition("=")
        if not equals or key.lower() not in names:
            raise InvalidArgument(f"{flag}: unexpected key {key!r}", "keys are " + ", ".join(names))
        found[names[key.lower()]] = value
    return found


def _shown(fields: Mapping[str, str]) -> str:
    return ", ".join(fields) or "nothing"
