"""Who a registry is told that we are, and whom else nobody tells."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.errors import Denied, InvalidArgument, NotFound, Unavailable
from labcontainers.registry.auth import Authorizer, Credential
from labcontainers.registry.challenges import parse_challenges
from labcontainers.registry.client import Registry
from labcontainers.registry.registries import Registries
from labcontainers.registry.settings import Settings
from labcontainers.registry.transport import Transport
from tests.fakes.registry_server import Answer, Asked, RegistryServer, Tokens, refusal, sha256

MANIFEST = b'{"schemaVersion":2,"config":{},"layers":[]}'
BASIC = "Basic " + base64.b64encode(b"ann:secret").decode()

# header, what it says
CHALLENGES: tuple[tuple[str, list[tuple[str, dict[str, str]]]], ...] = (
    (
        'Bearer realm="https://a/t",service="x",scope="repository:a:pull,push"',
        [("bearer", {"realm": "https://a/t", "service": "x", "scope": "repository:a:pull,push"})],
    ),
    ('Basic realm="x", Bearer realm="y",service=z', [("basic", {"realm": "x"}), ("bearer", {"realm": "y", "service": "z"})]),
    ("Negotiate", [("negotiate", {})]),
    ('Negotiate abc==, Basic realm="a\\"b"', [("negotiate", {}), ("basic", {"realm": 'a"b'})]),
    ('BEARER Realm = "r" , SERVICE="s"', [("bearer", {"realm": "r", "service": "s"})]),
    ('Basic realm=""', [("basic", {"realm": ""})]),
    ('Bearer realm="unterminated', [("bearer", {})]),
    ("", []),
    (",, ,", []),
)


@pytest.mark.parametrize(("header", "said"), CHALLENGES)
def test_challenges_are_read(header: str, said: list[tuple[str, dict[str, str]]]) -> None:
    assert [(challenge.scheme, dict(challenge.parameters)) for challenge in parse_challenges([header])] == said


@given(st.text(alphabet='Basic bearer=",\\ \t\n\x00é/', max_size=200))
def test_any_text_is_read_as_challenges_without_an_error(text: str) -> None:
    parse_challenges([text])


@pytest.fixture
def tokens(server: RegistryServer) -> Tokens:
    """The registry wants tokens, and gives them itself."""
    tokens = Tokens(f"{server.url}/token", users={"ann": "secret"}, public=False)
    server.rules += [tokens.serve, tokens.guard]
    server.put_manifest("a/b", "v1", MANIFEST)
    server.put_manifest("c/d", "v1", MANIFEST)
    return tokens


@pytest.fixture
def registries(make: Callable[..., Registries], server: RegistryServer) -> Registries:
    """With the credentials of ann."""
    registries = make()
    registries._credentials.save(server.address, Credential("ann", "secret"))
    return registries


class TestTokens:
    def test_are_given_to_nobody_in_particular(self, tokens: Tokens, client: Registry, server: RegistryServer) -> None:
        tokens.public = True
        assert client.get_manifest("a/b", "v1").data == MANIFEST
        assert "authorization" not in tokens.issued[0].headers
        assert tokens.issued[0].query == {"service": ["fake"], "scope": ["repository:a/b:pull"]}

    def test_are_given_for_a_password(self, tokens: Tokens, registries: Registries, server: RegistryServer) -> None:
        assert registries.registry(server.address).get_manifest("a/b", "v1").data == MANIFEST
        assert tokens.issued[0].headers["authorization"] == BASIC
        assert tokens.issued[0].query["account"] == ["ann"]

    def test_are_used_as_long_as_they_last(self, tokens: Tokens, registries: Registries, server: RegistryServer) -> None:
        client = registries.registry(server.address)
        for _ in range(3):
            client.get_manifest("a/b", "v1")
        assert len(tokens.issued) == 1
        client.get_manifest("c/d", "v1")
        assert [asked.query["scope"] for asked in tokens.issued] == [["repository:a/b:pull"], ["repository:c/d:pull"]]
        assert len([asked for asked in server.requests("GET", "manifests") if "authorization" not in asked.headers]) == 1

    def test_are_fetched_once_for_many_at_a_time(self, tokens: Tokens, registries: Registries, server: RegistryServer) -> None:
        client = registries.registry(server.address)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda number: client.get_manifest("a/b", "v1").data, range(24)))
        assert found == [MANIFEST] * 24
        assert len(tokens.issued) == 1

    def test_are_fetched_anew_when_the_registry_takes_them_no_more(
        self, tokens: Tokens, registries: Registries, server: RegistryServer
    ) -> None:
        client = registries.registry(server.address)
        client.get_manifest("a/b", "v1")
        tokens.valid.clear()
        client.get_manifest("a/b", "v1")
        assert len(tokens.issued) == 2

    def test_are_fetched_anew_before_they_expire(self, tokens: Tokens, server: RegistryServer) -> None:
        tokens.expires_in = 100
        now = [0.0]
        transport = Transport(Settings(proxies={}))
        authorizer = Authorizer(server.address, transport, lambda: Credential("ann", "secret"), clock=lambda: now[0])
        answer = transport.send(request(f"{server.url}/v2/a/b/manifests/v1"))
        assert authorizer.learn(answer, ["repository:a/b:pull"], "")
        answer.close()
        assert authorizer.header(["repository:a/b:pull"]) == "Bearer t1"
        now[0] = 89.0
        assert authorizer.header(["repository:a/b:pull"]) == "Bearer t1"
        now[0] = 91.0
        assert authorizer.header(["repository:a/b:pull"]) == "Bearer t2"
        transport.close()

    def test_are_given_for_an_identity_token(self, tokens: Tokens, make: Callable[..., Registries], server: RegistryServer) -> None:
        tokens.refresh = {"ann": "long-lived"}
        registries = make()
        registries._credentials.save(server.address, Credential("", "", "long-lived"))
        registries.registry(server.address).get_manifest("a/b", "v1")
        assert tokens.issued[0].method == "POST"
        assert b"grant_type=refresh_token" in tokens.issued[0].body

    def test_for_an_upload_have_its_scope_and_that_of_the_source(
        self, tokens: Tokens, registries: Registries, server: RegistryServer
    ) -> None:
        digest = server.put_blob("c/d", b"x")
        assert registries.registry(server.address).mount_blob("a/b", digest, "c/d")
        assert tokens.issued[-1].query["scope"] == ["repository:a/b:pull,push", "repository:c/d:pull"]

    def test_are_refused_for_a_wrong_password_in_one_line_without_it(
        self, tokens: Tokens, make: Callable[..., Registries], server: RegistryServer
    ) -> None:
        registries = make()
        registries._credentials.save(server.address, Credential("ann", "wr0ng"))
        with pytest.raises(Denied, match="refuses the credentials") as caught:
            registries.registry(server.address).get_manifest("a/b", "v1")
        assert caught.value.hint == f"login {server.address}"
        assert "wr0ng" not in str(caught.value)

    def test_that_help_nothing_end_in_a_refusal(self, tokens: Tokens, registries: Registries, server: RegistryServer) -> None:
        server.rules.insert(0, lambda asked: challenge(tokens.realm) if "manifests" in asked.path else None)
        with pytest.raises(Denied, match="a/b:v1 denied"):
            registries.registry(server.address).get_manifest("a/b", "v1")
        assert len(server.requests("GET", "manifests")) <= 3

    @pytest.mark.parametrize("body", [b"{}", b"[]", b"no", b'{"token":"a\\r\\nX: y"}', b'{"token":7}'])
    def test_that_are_none_are_not_used(self, server: RegistryServer, client: Registry, body: bytes) -> None:
        server.rules.append(lambda asked: Answer(200, body) if asked.path == "/token" else challenge(f"{server.url}/token"))
        with pytest.raises((Unavailable, InvalidArgument)):
            client.get_manifest("a/b", "v1")


def request(url: str) -> Any:
    from labcontainers.registry.transport import Request

    return Request("GET", url)


def challenge(realm: str) -> Answer:
    return refusal(401, "UNAUTHORIZED", "who are you", [("WWW-Authenticate", f'Bearer realm="{realm}",service="fake"')])


class TestBasic:
    @pytest.fixture
    def basic(self, server: RegistryServer) -> None:
        def guard(asked: Asked) -> Answer | None:
            if asked.headers.get("authorization") == BASIC:
                return None
            return refusal(401, "UNAUTHORIZED", "", [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", 'Basic realm="x"')])

        server.rules.append(guard)
        server.put_manifest("a/b", "v1", MANIFEST)

    @pytest.mark.usefixtures("basic")
    def test_is_told_when_it_is_asked_for(self, registries: Registries, server: RegistryServer) -> None:
        client = registries.registry(server.address)
        client.get_manifest("a/b", "v1")
        client.get_manifest("a/b", "v1")
        sent = [asked.headers.get("authorization") for asked in server.requests("GET", "manifests")]
        assert sent == [None, BASIC, BASIC]

    @pytest.mark.usefixtures("basic")
    def test_is_wanted_of_nobody(self, client: Registry, server: RegistryServer) -> None:
        with pytest.raises(Denied, match="may need credentials") as caught:
            client.get_manifest("a/b", "v1")
        assert caught.value.hint == f"login {server.address}"

    def test_is_not_the_only_scheme_in_the_world(self, client: Registry, server: RegistryServer) -> None:
        server.rules.append(lambda asked: refusal(401, "", "", [("WWW-Authenticate", "Negotiate")]))
        with pytest.raises(Denied, match="wants negotiate"):
            client.get_manifest("a/b", "v1")


class TestAHelperThatFails:
    @pytest.fixture
    def client(self, make: Callable[..., Registries], server: RegistryServer, tmp_path: Path) -> Registry:
        (tmp_path / "config.json").write_text('{"credsStore":"broken"}')
        registries = make(others=lambda: [tmp_path / "config.json"])

        def fail(name: str, host: str) -> str:
            raise Denied(f"docker-credential-{name} fails with exit code 1")

        registries._credentials._run_helper = fail
        return registries.registry(server.address)

    def test_keeps_nobody_from_what_is_public(self, tokens: Tokens, client: Registry) -> None:
        tokens.public = True
        assert client.get_manifest("a/b", "v1").data == MANIFEST

    def test_is_told_where_credentials_are_wanted(self, tokens: Tokens, client: Registry) -> None:
        with pytest.raises(Denied, match="docker-credential-broken fails"):
            client.get_manifest("a/b", "v1")

    def test_is_told_where_a_password_is_wanted(self, server: RegistryServer, client: Registry) -> None:
        server.rules.append(lambda asked: refusal(401, "", "", [("WWW-Authenticate", 'Basic realm="x"')]))
        with pytest.raises(Denied, match="docker-credential-broken fails"):
            client.get_manifest("a/b", "v1")


class TestLogin:
    def test_keeps_what_the_registry_believes(self, tokens: Tokens, make: Callable[..., Registries], server: RegistryServer) -> None:
        registries = make()
        with pytest.raises(Denied):
            registries.registry(server.address).get_manifest("a/b", "v1")
        assert registries.login(server.address, "ann", "secret") == ""
        assert registries.registry(server.address).get_manifest("a/b", "v1").data == MANIFEST
        assert registries.logout(server.address)
        assert not registries.logout(server.address)
        with pytest.raises(Denied):
            registries.registry(server.address).get_manifest("a/b", "v1")

    def test_keeps_nothing_that_the_registry_refuses(self, tokens: Tokens, make: Callable[..., Registries], server: RegistryServer) -> None:
        registries = make()
        with pytest.raises(Denied, match=rf"login {server.address}: incorrect username or password"):
            registries.login(server.address, "ann", "wrong")
        assert registries._credentials.known() == []

    def test_keeps_an_identity_token_in_place_of_the_password(
        self, tokens: Tokens, make: Callable[..., Registries], server: RegistryServer
    ) -> None:
        tokens.refresh = {"ann": "long-lived"}
        registries = make()
        assert registries.login(server.address, "ann", "secret") == "identity token"
        assert (
            "secret" not in base64.b64decode(json.loads(registries._credentials.path.read_text())["auths"][server.address]["auth"]).decode()
        )
        assert registries.registry(server.address).get_manifest("a/b", "v1").data == MANIFEST
        assert tokens.issued[-1].method == "POST"

    @pytest.mark.parametrize("host", ["a b", "-x", "a/../b@c"])
    def test_is_for_registries(self, make: Callable[..., Registries], host: str) -> None:
        with pytest.raises(InvalidArgument):
            make().login(host, "ann", "secret")


class TestCredentialsGoNowhereElse:
    def test_a_redirect_to_another_host_gets_none(
        self, tokens: Tokens, registries: Registries, server: RegistryServer, other: RegistryServer
    ) -> None:
        digest = sha256(b"layer")
        to = [("Location", f"{other.url}/signed?x=1")]
        server.rules.append(lambda asked: Answer(307, b"", to) if asked.method == "GET" and "/blobs/" in asked.path else None)
        other.rules.append(lambda asked: Answer(200, b"layer"))
        with registries.registry(server.address).open_blob("a/b", digest) as body:
            assert body.readinto(memoryview(bytearray(99))) == 5
        assert server.requests("GET", "blobs")[-1].headers["authorization"].startswith("Bearer ")
        assert "authorization" not in other.asked[0].headers

    def test_a_redirect_to_another_port_gets_none(self, tokens: Tokens, registries: Registries, server: RegistryServer) -> None:
        with RegistryServer() as neighbour:
            to = [("Location", f"{neighbour.url}/x")]
            server.rules.append(lambda asked: Answer(302, b"", to) if asked.method == "GET" and "/blobs/" in asked.path else None)
            neighbour.rules.append(lambda asked: Answer(200, b"layer"))
            registries.registry(server.address).open_blob("a/b", sha256(b"layer")).close()
            assert "authorization" not in neighbour.asked[0].headers

    def test_a_redirect_within_the_registry_gets_them(self, tokens: Tokens, registries: Registries, server: RegistryServer) -> None:
        digest = server.put_blob("c/d", b"layer")
        to = [("Location", f"/v2/c/d/blobs/{digest}")]
        server.rules.append(lambda asked: Answer(307, b"", to) if asked.method == "GET" and "/a/b/blobs/" in asked.path else None)
        registries.registry(server.address).open_blob("a/b", digest).close()
        assert server.requests("GET", "c/d/blobs")[0].headers["authorization"].startswith("Bearer ")

    def test_a_host_that_was_redirected_to_cannot_ask_for_a_password(
        self, tokens: Tokens, registries: Registries, server: RegistryServer, other: RegistryServer
    ) -> None:
        to = [("Location", f"{other.url}/x")]
        server.rules.append(lambda asked: Answer(307, b"", to) if asked.method == "GET" and "/blobs/" in asked.path else None)
        other.rules.append(lambda asked: challenge(f"{other.url}/token"))
        with pytest.raises(Denied):
            registries.registry(server.address).open_blob("a/b", sha256(b"layer"))
        assert [asked.path for asked in other.asked] == ["/x"]

    def test_an_upload_to_another_host_gets_none(
        self, tokens: Tokens, registries: Registries, server: RegistryServer, other: RegistryServer
    ) -> None:
        where = [("Location", f"{other.url}/put?signature=1")]
        server.rules.append(lambda asked: Answer(202, b"", where) if asked.method == "POST" else None)
        other.rules.append(lambda asked: Answer(201))
        registries.registry(server.address).upload_blob("a/b", sha256(b"layer"), 5, lambda: [b"layer"])
        assert "authorization" not in other.asked[0].headers
        assert other.asked[0].query == {"signature": ["1"], "digest": [sha256(b"layer")]}

    def test_a_layer_elsewhere_is_fetched_by_nobody(self, registries: Registries, server: RegistryServer, other: RegistryServer) -> None:
        other.rules.append(lambda asked: challenge(f"{other.url}/token"))
        with pytest.raises(Unavailable, match="status 401"):
            registries.registry(server.address).open_url(f"{other.url}/layer")
        assert [("authorization" in asked.headers, asked.path) for asked in other.asked] == [(False, "/layer")]

    @pytest.mark.parametrize("realm", ["http://tokens.example/token", "ftp://x/", "token", "http://user:pw@127.0.0.1/", "https://a b/"])
    def test_a_realm_that_could_be_overheard_or_is_none_is_not_asked(
        self, registries: Registries, server: RegistryServer, realm: str
    ) -> None:
        server.rules.append(lambda asked: challenge(realm))
        with pytest.raises((Denied, Unavailable)):
            registries.registry(server.address).get_manifest("a/b", "v1")


class TestWhereAMirrorIs:
    def test_it_is_asked_first(self, make: Callable[..., Registries], server: RegistryServer, other: RegistryServer) -> None:
        other.put_manifest("a/b", "v1", MANIFEST)
        client = make(mirrors={server.address: (other.url,)}).registry(server.address)
        assert client.get_manifest("a/b", "v1").data == MANIFEST
        assert not server.requests("GET", "manifests")

    @pytest.mark.parametrize("status", [401, 403, 404, 500])
    def test_and_fails_the_registry_is_asked(
        self, make: Callable[..., Registries], server: RegistryServer, other: RegistryServer, status: int
    ) -> None:
        other.rules.append(lambda asked: Answer(status))
        server.put_manifest("a/b", "v1", MANIFEST)
        assert make(mirrors={server.address: (other.url,)}).registry(server.address).get_manifest("a/b", "v1").data == MANIFEST

    def test_and_lies_the_registry_is_asked(self, make: Callable[..., Registries], server: RegistryServer, other: RegistryServer) -> None:
        digest = server.put_manifest("a/b", "v1", MANIFEST)
        other.rules.append(lambda asked: Answer(200, MANIFEST + b" "))
        assert make(mirrors={server.address: (other.url,)}).registry(server.address).get_manifest("a/b", digest).data == MANIFEST

    def test_nothing_is_sent_there_and_credentials_stay_with_the_registry(
        self, tokens: Tokens, make: Callable[..., Registries], server: RegistryServer, other: RegistryServer
    ) -> None:
        registries = make(mirrors={server.address: (other.url,)})
        registries._credentials.save(server.address, Credential("ann", "secret"))
        other.rules.append(lambda asked: challenge(f"{other.url}/token") if asked.path != "/token" else None)
        client = registries.registry(server.address)
        client.upload_blob("a/b", sha256(b"x"), 1, lambda: [b"x"])
        assert not other.asked
        client.get_manifest("a/b", "v1")
        assert not any("authorization" in asked.headers for asked in other.asked)


def test_a_name_that_is_not_there_is_not_found_and_no_secret_is_in_any_representation(
    registries: Registries, server: RegistryServer
) -> None:
    with pytest.raises(NotFound):
        registries.registry(server.address).get_manifest("a/b", "v9")
    assert "secret" not in repr(Credential("ann", "secret", "secret")) + repr(registries.registry(server.address))


def test_what_a_registry_says_is_shown_in_one_printable_line(client: Registry, server: RegistryServer) -> None:
    server.rules.append(lambda asked: refusal(403, "DENIED", "no\r\n\x1b]0;evil\x07" + "x" * 5000))
    with pytest.raises(Denied) as caught:
        client.get_manifest("a/b", "v1")
    assert len(str(caught.value)) < 500
    assert not re.search(r"[\x00-\x1f]", str(caught.value))


def test_credentials_of_a_repository_win_over_those_of_the_registry(
    tokens: Tokens, make: Callable[..., Registries], server: RegistryServer, tmp_path: Path
) -> None:
    from labcontainers.oci.reference import parse_reference

    registries = make()
    registries._credentials.save(server.address, Credential("bob", "wrong"))
    registries._credentials.save(f"{server.address}/a", Credential("ann", "secret"))
    reference = parse_reference(f"{server.address}/a/b:v1")
    assert registries.connect(reference).get_manifest("a/b", "v1").data == MANIFEST
