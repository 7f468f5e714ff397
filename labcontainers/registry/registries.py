"""All registries that a user speaks to: clients by name, login and logout, search; it must not know images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from labcontainers.errors import Denied, InvalidArgument, LabError, Unsupported
from labcontainers.oci.reference import DEFAULT_DOMAIN, Reference
from labcontainers.registry import listing
from labcontainers.registry.auth import Credential
from labcontainers.registry.client import Registry
from labcontainers.registry.credentials import Credentials
from labcontainers.registry.download import Download
from labcontainers.registry.endpoint import Endpoint
from labcontainers.registry.faults import Refused
from labcontainers.registry.listing import SearchResult
from labcontainers.registry.names import api_host, check_repository, host_and_port, is_host
from labcontainers.registry.settings import Settings
from labcontainers.registry.transport import Transport

_MOST_RESULTS = 100


class Registries:
    """Clients by the registry's name, each made once for all that its credentials are the same for. Thread-safe; close it at the end."""

    def __init__(self, settings: Settings, credentials: Credentials, *, transport: Transport | None = None) -> None:
        self.settings = settings
        self._credentials = credentials
        self._transport = transport or Transport(settings)
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Registry] = {}

    def close(self) -> None:
        """Close the connections that wait."""
        self._transport.close()

    def connect(self, reference: Reference) -> Registry:
        """The client for a reference: with the credentials of its repository, asked for when the registry wants some. Sends nothing."""
        return self.registry(reference.domain, reference.path)

    def registry(self, domain: str, path: str = "") -> Registry:
        """The client for a registry, or for one of its repositories."""
        with self._lock:
            client = self._clients.get((domain, path))
            if client is None:
                client = self._clients[domain, path] = self._made(domain, path)
        return client

    def _made(self, domain: str, path: str) -> Registry:
        if not is_host(domain):
            raise InvalidArgument(f"{domain!r} is not a registry", "write HOST or HOST:PORT")
        mirrors = []
        for address in self.settings.mirrors.get(domain, ()):
            host = host_and_port(address)
            mirrors.append(Endpoint(host, address, self._transport, partial(self._credentials.find, host)))
        main = Endpoint(domain, api_host(domain), self._transport, lambda: self._credentials.find(domain, path))
        return Registry(domain, self._transport, main, tuple(mirrors))

    def login(self, domain: str, username: str = "", password: str = "", *, identity_token: str = "") -> str:
        """Show the registry who the user is, and keep that; what was kept in place of the password: "identity token", or "".

        Raises Denied when it does not believe it, and then keeps nothing.
        """
        domain, _, path = _domain(domain).partition("/")
        if not identity_token and not (username and password):
            raise InvalidArgument(f"login {domain}: a user and a password are wanted", "give --username and --password-stdin")
        credential = Credential(username, password, identity_token)
        if not is_host(domain):
            raise InvalidArgument(f"{domain!r} is not a registry", "write HOST or HOST:PORT")
        if path:
            check_repository(domain, path)
        try:
            given = Endpoint(domain, api_host(domain), self._transport, lambda: credential).ping()
        except Refused as error:
            problem = f"login {domain}: incorrect username or password"
            raise Denied(problem, "try again; some registries want a token in place of the password") from error
        if given:
            credential = Credential(username, "", given)
        self._credentials.save(f"{domain}/{path}" if path else domain, credential)
        self._forget(domain)
        return "identity token" if given else ""

    def logout(self, domain: str) -> bool:
        """Forget who the user is to a registry; whether it was known by `login`. What Docker and Podman know stays theirs."""
        domain = _domain(domain)
        known = self._credentials.erase(domain)
        self._forget(domain.partition("/")[0])
        return known

    def search(self, term: str, *, limit: int = 25) -> list[SearchResult]:
        """Repositories whose name has this text: of docker.io by its search, of HOST/TERM by the list that HOST gives.

        Raises InvalidArgument, Unavailable, Unsupported where a registry has no such list.
        """
        if not 1 <= limit <= _MOST_RESULTS:
            raise InvalidArgument(f"--limit: {limit} is not between 1 and {_MOST_RESULTS}", "the default is 25")
        first, slash, rest = term.partition("/")
        host = first if slash and ("." in first or ":" in first or first == "localhost") else ""
        if host and host != DEFAULT_DOMAIN:
            return self._listed(host, rest, limit)
        return listing.search_hub(self._transport, self.settings.hub, rest if host else term, limit)

    def download(
        self,
        url: str,
        on_bytes: Callable[[int, int | None], None] | None = None,
        *,
        conditions: Mapping[str, str] | None = None,
        authorization: str = "",
    ) -> Download:
        """The file at an address of HTTP, whoever's it is, read as it comes; `on_bytes` is told how much came. Raises as Download()."""
        return Download(self._transport, url, on_bytes, conditions, authorization)

    def _listed(self, host: str, term: str, limit: int) -> list[SearchResult]:
        try:
            names: Sequence[str] = self.registry(host).list_repositories()
        except LabError as error:
            if error.status == 404:
                raise Unsupported(f"search: {host} does not list its repositories", f"pull by name: {host}/NAME") from None
            raise
        return [SearchResult(f"{host}/{name}", registry=host) for name in names if term.lower() in name][:limit]

    def _forget(self, domain: str) -> None:
        """The clients that have other credentials now."""
        with self._lock:
            self._clients = {key: client for key, client in self._clients.items() if key[0] != domain}


def _domain(text: str) -> str:
    """A registry as `login` is given it: without scheme, "" for Docker's."""
    bare = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    first, slash, rest = bare.partition("/")
    if first in ("", "index.docker.io", "registry-1.docker.io", DEFAULT_DOMAIN):
        return DEFAULT_DOMAIN if rest in ("", "v1", "v2") or not slash else f"{DEFAULT_DOMAIN}/{rest}"
    return first if rest in ("v1", "v2") else bare
