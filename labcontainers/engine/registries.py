"""The registries of this user: where the settings and the credentials are, and the clients, made with the first that is needed.

It must not know images.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labcontainers.registry.registries import Registries

_NAMES = ("registries.toml", "registries.json")
_OF_MACHINE = Path("/etc/labcontainers")
_CERTS = "certs.d"


def config_folder() -> Path:
    """Where this user's own settings and credentials are (XDG base directory specification)."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(home if os.path.isabs(home) else Path.home() / ".config") / "labcontainers"


def settings_path() -> Path:
    """The settings that count: LABCONTAINERS_REGISTRIES, else the user's own, else those of the machine."""
    said = os.environ.get("LABCONTAINERS_REGISTRIES")
    if said:
        return Path(said).expanduser()
    for folder in (config_folder(), _OF_MACHINE):
        for name in _NAMES:
            if (folder / name).exists():
                return folder / name
    return config_folder() / _NAMES[0]


class LazyRegistries:
    """Holds the clients of an engine; thread-safe. Nothing of HTTP is imported before somebody needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Registries | None = None

    def get(self) -> Registries:
        """All registries, by the settings as they are at the first use; raises InvalidArgument when those are wrong."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    @staticmethod
    def _make() -> Registries:
        from dataclasses import replace

        from labcontainers.registry.credentials import Credentials
        from labcontainers.registry.registries import Registries
        from labcontainers.registry.settings import load_settings

        settings = load_settings(settings_path())
        # Docker's and Podman's own places are looked into after these
        settings = replace(settings, certs=(*settings.certs, config_folder() / _CERTS, _OF_MACHINE / _CERTS))
        return Registries(settings, Credentials(config_folder()))

    def close(self) -> None:
        """Close the connections that wait. Idempotent."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()
