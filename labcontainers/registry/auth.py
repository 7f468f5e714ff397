"""What a registry is told of who asks: Basic, or tokens of the server that it names; it must not know where credentials come from.

Source: distribution's docs/content/spec/auth (token.md, oauth.md, scope.md).
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from labcontainers.errors import Denied, InvalidArgument, Unavailable
from labcontainers.registry.challenges import Challenge, parse_challenges
from labcontainers.registry.faults import Refusal, Refused, error_of
from labcontainers.registry.names import host_and_port, is_loopback, origin
from labcontainers.registry.response import Response
from labcontainers.registry.transport import Request, Transport

_CLIENT = "labcontainers"
_MOST_BYTES = 1 << 20
_LIFETIME_S = 60
_EARLY_S = 10
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """Who asks: a user and a password, or an identity token, which a token server gave for them."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.username!r}, …)"

    @property
    def basic(self) -> str:
        """The value of the header Authorization."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    value: str
    best_before: float
    scopes: tuple[str, ...]


class Authorizer:
    """Speaks for one credential to one registry, HOST[:PORT]. Thread-safe; a token that several want is fetched once."""

    def __init__(
        self,
        host: str,
        transport: Transport,
        credential: Callable[[], Credential | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`credential` is asked once, when the registry first wants one."""
        self._host = host
        self._transport = transport
        self._find = credential
        self._clock = clock
        self._lock = threading.RLock()
        self._asked = False
        self._failure: Denied | Unavailable | None = None
        self._credential: Credential | None = None
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self.identity_token = ""
        """What the token server gave to be kept in place of the password."""

    def header(self, scopes: Sequence[str]) -> str:
        """The value of Authorization for a request that needs these scopes; "" as long as the registry has not asked for any."""
        with self._lock:
            challenge = self._challenge
            if challenge is None:
                return ""
            if challenge.scheme == "basic":
                return self._known.basic if self._known is not None else ""
            token = self._tokens.get(tuple(scopes))
            if token is None or token.best_before <= self._clock():
                token = self._tokens[tuple(scopes)] = self._fetch(challenge, tuple(scopes) if token is None else token.scopes)
            return f"Bearer {token.value}"

    def learn(self, response: Response, scopes: Sequence[str], refused: str) -> bool:
        """Take up what a 401 says; whether there is something new to say in place of the `refused` header.

        Raises Denied when the token server refuses the credentials, Unsupported schemes included.
        """
        offered = {challenge.scheme: challenge for challenge in reversed(parse_challenges(response.headers.getlist("WWW-Authenticate")))}
        with self._lock:
            if (challenge := offered.get("bearer")) is not None and "realm" in challenge.parameters:
                self._challenge = challenge
                held = self._tokens.get(tuple(scopes))
                # another thread may have fetched a new one meanwhile
                if held is None or f"Bearer {held.value}" == refused:
                    extra = challenge.parameters.get("scope", "").split()
                    self._tokens[tuple(scopes)] = self._fetch(challenge, tuple(dict.fromkeys((*scopes, *extra))))
            elif "basic" in offered:
                self._challenge = offered["basic"]
            elif offered:
                words = ", ".join(sorted(offered))[:100]
                raise Denied(f"{self._host} wants {words}, which is not supported", "it has to offer Basic or Bearer")
            new = self.header(scopes) not in ("", refused)
            if not new and self._failure is not None:
                raise self._failure
            return new

    @property
    def _known(self) -> Credential | None:
        if not self._asked:
            self._asked = True
            try:
                self._credential = self._find()
            except (Denied, Unavailable) as error:
                # a helper that fails: what is public can be had without it, and for the rest this is the reason
                self._failure = error
        return self._credential

    def _fetch(self, challenge: Challenge, scopes: tuple[str, ...]) -> _Token:
        realm = challenge.parameters["realm"]
        self._check(realm)
        service = challenge.parameters.get("service", "")
        credential = self._known
        if credential is not None and credential.identity_token:
            request = _refreshing(realm, service, scopes, credential.identity_token)
        else:
            request = _asking(realm, service, scopes, credential)
        began = self._clock()
        with self._transport.send(request) as answer:
            what = f"a token for {self._host}"
            if answer.status >= 400:
                body = answer.read(_MOST_BYTES, what)
                if answer.status in (401, 403) and self._failure is not None:
                    raise self._failure
                if answer.status in (401, 403) and credential is not None:
                    problem = f"{self._host}: {host_and_port(realm)} refuses the credentials: {Refusal.parse(answer.status, body)}"
                    raise Refused(problem, f"login {self._host}")
                raise error_of(Refusal.parse(answer.status, body), self._host, what)
            value = answer.json(_MOST_BYTES, what)
        return self._read(value, began, scopes)

    def _read(self, value: object, began: float, scopes: tuple[str, ...]) -> _Token:
        found = value if isinstance(value, dict) else {}
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise Unavailable(f"{self._host}: its token server answers without a token", "ask who runs the registry")
        identity = found.get("refresh_token")
        if isinstance(identity, str):
            self.identity_token = identity
        lifetime = found.get("expires_in")
        lifetime_s = lifetime if isinstance(lifetime, int | float) and lifetime > 0 else _LIFETIME_S
        return _Token(token, began + lifetime_s - min(_EARLY_S, lifetime_s / 4), scopes)

    def _check(self, realm: str) -> None:
        """Passwords go to the realm: raises Denied where they could be read on the way, or where it is none of the registry's business."""
        try:
            scheme, _, _ = origin(realm)
        except InvalidArgument as error:
            raise Unavailable(f"{self._host} names a token server by {error.message}", "ask who runs the registry") from None
        here = host_and_port(realm)
        if scheme == "http" and not self._transport.is_insecure(here) and not (is_loopback(here) and is_loopback(self._host)):
            raise Denied(f"{self._host} wants tokens of {here} by plain HTTP, which is not allowed", f"name {here} in the setting insecure")


def _asking(realm: str, service: str, scopes: Sequence[str], credential: Credential | None) -> Request:
    """A GET for a token, as a user or as nobody."""
    parts = urlsplit(realm)
    query = parse_qsl(parts.query, keep_blank_values=True)
    query += [("service", service)] if service else []
    query += [("scope", scope) for scope in scopes]
    headers = {}
    if credential is not None:
        query += [("account", credential.username), ("client_id", _CLIENT), ("offline_token", "true")]
        headers["Authorization"] = credential.basic
    return Request("GET", urlunsplit(parts._replace(query=urlencode(query), fragment="")), headers)


def _refreshing(realm: str, service: str, scopes: Sequence[str], identity_token: str) -> Request:
    """A POST of OAuth2 that makes an access token of an identity token."""
    form = {"grant_type": "refresh_token", "service": service, "client_id": _CLIENT, "refresh_token": identity_token}
    if scopes:
        form["scope"] = " ".join(scopes)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", realm, headers, urlencode(form).encode(), again=True)
