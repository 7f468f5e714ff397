"""Who the user is to each registry: what a variable says, `login` was told, Docker and Podman know; it must not speak to registries.

Our own file is as Docker's config.json, and is its owner's alone; nobody else's file is ever written.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from labcontainers.errors import InvalidArgument
from labcontainers.registry.auth import Credential
from labcontainers.registry.credential_files import RunHelper, find_in, find_in_environment, places, read_file, run_helper

_FILE = "auth.json"


class Credentials:
    """All credentials of a user; `folder` is where our own file is. Thread-safe, and safe beside other processes."""

    def __init__(self, folder: Path, *, others: Callable[[], Sequence[Path]] = places, run_helper: RunHelper = run_helper) -> None:
        self._folder = folder
        self._others = others
        self._run_helper = run_helper

    @property
    def path(self) -> Path:
        """Our own file."""
        return self._folder / _FILE

    def find(self, domain: str, path: str = "") -> Credential | None:
        """For a registry, or for a repository there; None where the user is nobody. Raises InvalidArgument for a broken file."""
        # before all files, as in Docker, where the variable is for jobs that have no home directory of their own
        if (said := find_in_environment(domain, path)) is not None:
            return said
        for file in (self.path, *self._others()):
            if (value := read_file(file)) and (found := find_in(value, domain, path, self._run_helper)) is not None:
                return found
        return None

    def save(self, key: str, credential: Credential) -> None:
        """Keep it for HOST[:PORT], or for HOST[:PORT]/NAMESPACE."""
        if ":" in credential.username:
            raise InvalidArgument("a user's name has no colon", "check --username")
        pair = base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()
        with self._changing() as entries:
            entries[key] = {"auth": pair}
            if credential.identity_token:
                entries[key]["identitytoken"] = credential.identity_token

    def erase(self, key: str) -> bool:
        """Forget it; whether it was known here."""
        with self._changing() as entries:
            return entries.pop(key, None) is not None

    def known(self) -> list[str]:
        """The keys for which our own file has credentials."""
        entries = read_file(self.path).get("auths")
        return sorted(entries) if isinstance(entries, dict) else []

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The entries of our own file, written at the end: all or nothing, and one process at a time."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder / f"{_FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            value = read_file(self.path)
            entries = value.setdefault("auths", {})
            if not isinstance(entries, dict):
                raise InvalidArgument(f"{self.path}: auths is no object", "correct it, or remove it and log in again")
            yield entries
            # mkstemp's files are 0600
            number, name = tempfile.mkstemp(prefix=_FILE, dir=self._folder)
            try:
                with os.fdopen(number, "w") as file:
                    json.dump(value, file, indent=1, sort_keys=True)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(name, self.path)
            except BaseException:
                os.unlink(name)
                raise
        finally:
            os.close(lock)
