"""A registry in this process, and clients that reach nothing but loopback and never wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers.registry.client import Registry
from labcontainers.registry.credentials import Credentials
from labcontainers.registry.progress import Patience
from labcontainers.registry.registries import Registries
from labcontainers.registry.settings import Settings
from labcontainers.registry.transport import Transport
from tests.fakes.registry_server import RegistryServer


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def other() -> Iterator[RegistryServer]:
    """Another host: 127.0.0.2."""
    with RegistryServer("127.0.0.2") as other:
        yield other


@pytest.fixture
def slept() -> list[float]:
    """The seconds that clients would have waited."""
    return []


@pytest.fixture
def make(tmp_path: Path, slept: list[float]) -> Iterator[Callable[..., Registries]]:
    """Makes Registries with these settings; credentials are in tmp_path alone."""
    made = []

    def make(patience: Patience | None = None, others: Callable[[], list[Path]] = list, **settings: Any) -> Registries:
        settings.setdefault("proxies", {})
        chosen = Settings(**settings)
        transport = Transport(chosen, patience=patience or Patience(silence_s=20), sleep=slept.append, jitter=lambda: 1.0)
        made.append(Registries(chosen, Credentials(tmp_path / "own", others=others), transport=transport))
        return made[-1]

    yield make
    for registries in made:
        registries.close()


@pytest.fixture
def client(make: Callable[..., Registries], server: RegistryServer) -> Registry:
    return make().registry(server.address)
