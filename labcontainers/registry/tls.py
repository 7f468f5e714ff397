"""TLS for one host: who vouches for it, and who we are to it; it must not send anything.

As in Docker: HOST[:PORT]/*.crt are more authorities, NAME.cert with NAME.key a client's certificate, and a certificate that
nobody knows is accepted of this machine and of hosts that the settings call insecure - unless an authority was named for them.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from labcontainers.errors import InvalidArgument
from labcontainers.registry.insecure import is_insecure
from labcontainers.registry.names import is_loopback
from labcontainers.registry.settings import Settings


def certificate_folders(settings: Settings) -> Sequence[Path]:
    """Where HOST[:PORT] is looked for: what the settings say, then the places of Docker and Podman, the user's before the host's."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places = (config / "containers/certs.d", config / "docker/certs.d", Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
    return (*settings.certs, *places)


def context_for(host: str, settings: Settings) -> ssl.SSLContext:
    """How HOST[:PORT] is spoken to; raises InvalidArgument for a certificate or key that cannot be read."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    folder = next((folder / host for folder in certificate_folders(settings) if _is_folder(folder / host)), None)
    authorities: list[Path] = []
    if folder is not None:
        authorities = sorted(folder.glob("*.crt"))
        for path in authorities:
            _load(path, lambda path=path: context.load_verify_locations(path))
        for path in sorted(folder.glob("*.cert")):
            key = path.with_suffix(".key")
            if not key.exists():
                raise InvalidArgument(f"{path} has no key", f"put it at {key}")
            # a key with a password must not ask for it in a notebook
            _load(path, lambda path=path, key=key: context.load_cert_chain(path, key, password=""))
    if is_insecure(host, settings.insecure) or (is_loopback(host) and not authorities):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _load(path: Path, load: object) -> None:
    try:
        load()  # type: ignore[operator]  # a lambda with a default, which Callable cannot tell
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(f"{path}: {error}", "replace the file, or make it readable") from None
