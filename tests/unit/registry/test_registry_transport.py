"""Redirects, retries, proxies, TLS, and where plain HTTP is spoken."""

from __future__ import annotations

import base64
import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from labcontainers.errors import Denied, InvalidArgument, InvalidReference, LabError, Unavailable, Unsupported
from labcontainers.registry.insecure import is_insecure
from labcontainers.registry.names import bypasses_proxy, candidates, is_loopback, origin
from labcontainers.registry.registries import Registries
from labcontainers.registry.settings import Settings, load_settings, proxies_of_environment
from labcontainers.registry.transport import CertificateRefused, Request, Transport
from tests.fakes.certificates import Authority
from tests.fakes.registry_server import Answer, Asked, RegistryServer
from tests.fakes.socks_server import SocksServer

MANIFEST = b'{"schemaVersion":2,"config":{},"layers":[]}'


@pytest.fixture
def transport(slept: list[float]) -> Iterator[Transport]:
    transport = Transport(Settings(proxies={}), sleep=slept.append, jitter=lambda: 1.0)
    yield transport
    transport.close()


def failing(times: int, answer: Answer) -> Callable[[Asked], Answer | None]:
    left = [times]

    def rule(asked: Asked) -> Answer | None:
        left[0] -= 1
        return answer if left[0] >= 0 else None

    return rule


class TestRetries:
    # status, Retry-After, seconds that were waited before the first and second attempt more
    WAITS = (
        (503, None, [0.5, 1.0]),
        (500, None, [0.5, 1.0]),
        (429, "7", [7.0, 7.0]),
        (429, "0", [0.0, 0.0]),
        (429, "soon", [0.5, 1.0]),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", [0.0, 0.0]),
    )

    @pytest.mark.parametrize(("status", "after", "waited"), WAITS)
    def test_wait_longer_each_time_or_as_the_server_says(
        self, server: RegistryServer, transport: Transport, slept: list[float], status: int, after: str | None, waited: list[float]
    ) -> None:
        server.rules.append(failing(2, Answer(status, b"busy", [("Retry-After", after)] if after else [])))
        with transport.send(Request("GET", f"{server.url}/v2/")) as answer:
            assert answer.status == 200
        assert slept == waited

    def test_wait_for_a_date(self, server: RegistryServer, transport: Transport, slept: list[float]) -> None:
        moment = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
        server.rules.append(failing(1, Answer(503, b"", [("Retry-After", moment)])))
        transport.send(Request("GET", f"{server.url}/v2/")).close()
        assert 0 < slept[0] <= 100

    def test_end(self, server: RegistryServer, make: Callable[..., Registries], slept: list[float]) -> None:
        server.rules.append(lambda asked: Answer(429, b"", [("Retry-After", "1")]) if "manifests" in asked.path else None)
        with pytest.raises(Unavailable, match="429"):
            make().registry(server.address).get_manifest("a/b", "v1")
        assert slept == [1.0] * 4

    def test_do_not_wait_for_hours(self, server: RegistryServer, transport: Transport, slept: list[float]) -> None:
        server.rules.append(lambda asked: Answer(429, b"", [("Retry-After", "21600")]))
        with transport.send(Request("GET", f"{server.url}/v2/")) as answer:
            assert answer.status == 429
        assert not slept

    def test_are_not_for_what_cannot_be_repeated(self, server: RegistryServer, transport: Transport, slept: list[float]) -> None:
        server.rules.append(lambda asked: Answer(503))
        for request in (Request("POST", server.url, {}, b"x"), Request("PUT", server.url, {"Content-Length": "1"}, lambda: [b"x"])):
            transport.send(request).close()
        assert not slept

    def test_come_after_a_connection_that_broke(self, server: RegistryServer, transport: Transport, slept: list[float]) -> None:
        server.rules.append(failing(2, Answer(raw=lambda handler: None)))
        with transport.send(Request("GET", f"{server.url}/v2/")) as answer:
            assert answer.status == 200
        assert len(slept) == 2


class TestRedirects:
    def test_end_after_ten(self, server: RegistryServer, transport: Transport) -> None:
        server.rules.append(lambda asked: Answer(302, b"", [("Location", f"/{len(server.asked)}")]))
        with pytest.raises(Unavailable, match="more than 10 redirects"):
            transport.send(Request("GET", server.url))
        assert len(server.asked) == 11

    @pytest.mark.parametrize("status", [307, 308])
    def test_repeat_the_body_where_the_method_stays(self, server: RegistryServer, transport: Transport, status: int) -> None:
        server.rules.append(failing(1, Answer(status, b"", [("Location", "/v2/a/b/manifests/v1")])))
        request = Request("PUT", f"{server.url}/x", {"Content-Length": "43"}, lambda: [MANIFEST])
        with transport.send(request) as answer:
            assert answer.status == 201
        assert server.asked[1].body == MANIFEST

    def test_of_what_is_sent_are_no_answer(self, server: RegistryServer, make: Callable[..., Registries]) -> None:
        server.rules.append(lambda asked: Answer(302, b"", [("Location", "/x")]) if asked.method == "PUT" else None)
        with pytest.raises(Unavailable, match="cannot be followed"):
            make().registry(server.address).put_manifest("a/b", "v1", MANIFEST, "application/vnd.oci.image.manifest.v1+json")

    @pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "http://[", "//"])
    def test_to_what_is_no_address_are_refused(self, server: RegistryServer, transport: Transport, location: str) -> None:
        server.rules.append(lambda asked: Answer(302, b"", [("Location", location)]))
        with pytest.raises(Unavailable):
            transport.send(Request("GET", server.url))

    def test_to_plain_http_elsewhere_are_refused(self, server: RegistryServer, transport: Transport) -> None:
        server.rules.append(lambda asked: Answer(302, b"", [("Location", "http://192.0.2.1/layer")]))
        with pytest.raises(Denied, match=r"192\.0\.2\.1: plain HTTP is not allowed"):
            transport.send(Request("GET", server.url))


class TestPlainHttp:
    def test_is_not_spoken_to_other_hosts(self, transport: Transport) -> None:
        with pytest.raises(Denied, match="plain HTTP is not allowed") as caught:
            transport.send(Request("GET", "http://registry.example/v2/"))
        assert "insecure" in caught.value.hint

    def test_is_not_spoken_for_a_layer_elsewhere(self, make: Callable[..., Registries], server: RegistryServer) -> None:
        with pytest.raises(Denied, match="plain HTTP"):
            make().registry(server.address).open_url("http://registry.example/layer")

    def test_of_this_machine_is_none_of_a_remote_images_business(self, make: Callable[..., Registries], server: RegistryServer) -> None:
        with pytest.raises(Denied, match="not fetched from this machine"):
            make().registry("registry.example").open_url(f"{server.url}/layer")
        assert not server.asked

    def test_is_not_spoken_by_a_host_elsewhere_to_this_machine(self, server: RegistryServer, transport: Transport) -> None:
        with pytest.raises(Denied):
            transport._check(Request("GET", server.url, plain=True), started_here=False)

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "LOCALHOST:1"])
    def test_is_spoken_to_this_machine(self, host: str) -> None:
        assert is_loopback(host)

    @pytest.mark.parametrize(
        "host", ["127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "registry", "[::2]", "127.0.0.1:5000:x"]
    )
    def test_is_spoken_to_no_other(self, host: str) -> None:
        assert not is_loopback(host)


@pytest.mark.parametrize(
    "url", ["", "registry", "ftp://x", "https://", "https://a:99999/", "https://u@h/", "https://h/\r\nX: y", "https://h/ x"]
)
def test_what_is_no_address_has_no_origin(url: str) -> None:
    with pytest.raises(InvalidArgument):
        origin(url)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class TestTls:
    @pytest.fixture
    def secure(self, authority: Authority) -> Iterator[RegistryServer]:
        with RegistryServer(context=authority.server_context()) as secure:
            secure.put_manifest("a/b", "v1", MANIFEST)
            yield secure

    def trusting(self, folder: Path, host: str, authority: Authority, *, client: Authority | None = None) -> Path:
        """A folder of certs.d."""
        own = folder / "certs.d" / host
        own.mkdir(parents=True)
        (own / "ca.crt").write_bytes(authority.certificate.read_bytes())
        if client is not None:
            certificate, key = client.issue("client", "DNS:client")
            (own / "client.cert").write_bytes(certificate.read_bytes())
            (own / "client.key").write_bytes(key.read_bytes())
        return own.parent

    def test_is_spoken_where_its_authority_is_known(
        self, make: Callable[..., Registries], secure: RegistryServer, authority: Authority, tmp_path: Path
    ) -> None:
        certs = self.trusting(tmp_path, secure.address, authority)
        assert make(certs=(certs,)).registry(secure.address).get_manifest("a/b", "v1").data == MANIFEST

    def test_is_refused_where_another_authority_is_wanted(
        self, make: Callable[..., Registries], secure: RegistryServer, tmp_path: Path
    ) -> None:
        certs = self.trusting(tmp_path, secure.address, Authority(tmp_path / "other"))
        with pytest.raises(CertificateRefused, match=r"TLS failed: .*(certificate|unable to get)") as caught:
            make(certs=(certs,)).registry(secure.address).get_manifest("a/b", "v1")
        assert f"certs.d/{secure.address}/ca.crt" in caught.value.hint
        assert not secure.requests("GET", "manifests")

    def test_of_this_machine_needs_no_authority_as_in_docker(self, make: Callable[..., Registries], secure: RegistryServer) -> None:
        assert make().registry(secure.address).get_manifest("a/b", "v1").data == MANIFEST

    def test_is_for_the_name_in_the_certificate(self, make: Callable[..., Registries], authority: Authority, tmp_path: Path) -> None:
        with RegistryServer("127.0.0.3", context=authority.server_context()) as elsewhere:
            certs = self.trusting(tmp_path, elsewhere.address, authority)
            with pytest.raises(CertificateRefused, match=r"mismatch|not valid"):
                make(certs=(certs,)).registry(elsewhere.address).ping()

    def test_shows_a_certificate_where_one_is_wanted(self, make: Callable[..., Registries], authority: Authority, tmp_path: Path) -> None:
        with RegistryServer(context=authority.server_context(wants_client=True)) as strict:
            certs = self.trusting(tmp_path, strict.address, authority, client=authority)
            make(certs=(certs,)).registry(strict.address).ping()
            with pytest.raises(Unavailable):
                make().registry(strict.address).ping()

    def test_with_a_certificate_without_its_key_is_told(
        self, make: Callable[..., Registries], secure: RegistryServer, authority: Authority, tmp_path: Path
    ) -> None:
        certs = self.trusting(tmp_path, secure.address, authority, client=authority)
        (certs / secure.address / "client.key").unlink()
        with pytest.raises(InvalidArgument, match=r"client\.cert has no key"):
            make(certs=(certs,)).registry(secure.address).ping()

    def test_with_a_file_that_is_no_certificate_is_told(
        self, make: Callable[..., Registries], secure: RegistryServer, authority: Authority, tmp_path: Path
    ) -> None:
        certs = self.trusting(tmp_path, secure.address, authority)
        (certs / secure.address / "ca.crt").write_text("nothing")
        with pytest.raises(InvalidArgument, match=r"ca\.crt"):
            make(certs=(certs,)).registry(secure.address).ping()


class TestProxies:
    def proxy(self, server: RegistryServer) -> list[str]:
        """The server answers as a proxy would; the addresses that it was asked for."""
        seen: list[str] = []

        def rule(asked: Asked) -> Answer | None:
            seen.append(asked.target)
            return Answer(200, b"{}")

        server.rules.append(rule)
        return seen

    def test_are_used_for_hosts_elsewhere(self, server: RegistryServer) -> None:
        seen = self.proxy(server)
        transport = Transport(Settings(proxies={"http": f"http://u:p%40@{server.address}"}, insecure=("registry.example",)))
        transport.send(Request("GET", "http://registry.example/v2/")).close()
        transport.close()
        assert seen == ["http://registry.example/v2/"]
        assert server.asked[0].headers["proxy-authorization"] == "Basic " + base64.b64encode(b"u:p@").decode()

    def test_are_not_used_for_this_machine(self, server: RegistryServer, other: RegistryServer) -> None:
        transport = Transport(Settings(proxies={"http": other.url}))
        transport.send(Request("GET", f"{server.url}/v2/")).close()
        transport.close()
        assert not other.asked

    def test_of_other_kinds_are_told(self) -> None:
        transport = Transport(Settings(proxies={"https": "socks4://127.0.0.1:1"}))
        with pytest.raises(Unsupported, match="socks4"):
            transport.send(Request("GET", "https://registry.example/v2/"))

    @pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
    def test_of_socks_look_up_the_host_themselves_and_get_the_user(self, server: RegistryServer, scheme: str) -> None:
        with SocksServer(server.address, user="u", password="p@") as socks:
            transport = Transport(Settings(proxies={"http": f"{scheme}://u:p%40@{socks.address}"}, insecure=("registry.example",)))
            with transport.send(Request("GET", "http://registry.example/v2/")) as answer:
                assert answer.status == 200
                answer.discard()
            transport.close()
            assert (socks.wanted, socks.users) == ([("registry.example", 80)], [("u", "p@")])

    def test_of_socks_carry_tls_to_the_host_that_is_meant(self, authority: Authority, tmp_path: Path) -> None:
        (tmp_path / "registry.example").mkdir()
        (tmp_path / "registry.example/ca.crt").write_bytes(authority.certificate.read_bytes())
        context = authority.server_context(alternative="DNS:registry.example")
        with RegistryServer(context=context) as secure, SocksServer(secure.address) as socks:
            proxies = {"https": f"socks5://{socks.address}"}
            transport = Transport(Settings(proxies=proxies, certs=(tmp_path,)), sleep=lambda seconds: None)
            with transport.send(Request("GET", "https://registry.example/v2/")) as answer:
                assert answer.status == 200
                answer.discard()
            with pytest.raises(Unavailable, match="TLS failed"):
                transport.send(Request("GET", "https://else.example/v2/"))
            transport.close()
            assert socks.wanted == [("registry.example", 443), ("else.example", 443)]

    def test_of_socks_that_refuse_are_told_without_their_password(self, server: RegistryServer) -> None:
        with SocksServer(server.address, user="u", password="other") as strict, SocksServer(server.address, refuse=True) as refusing:
            for address in (f"socks5://u:hunter2@{strict.address}", f"socks5://{refusing.address}"):
                transport = Transport(Settings(proxies={"https": address}), sleep=lambda seconds: None)
                with pytest.raises(Unavailable, match=r"registry\.example") as caught:
                    transport.send(Request("GET", "https://registry.example/v2/"))
                assert "hunter2" not in str(caught.value)
                transport.close()

    def test_of_socks_without_what_speaks_it_are_told_with_a_way_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "socks", None)
        monkeypatch.delitem(sys.modules, "urllib3.contrib.socks", raising=False)
        transport = Transport(Settings(proxies={"https": "socks5://127.0.0.1:1"}))
        with pytest.raises(Unsupported, match="PySocks") as caught:
            transport.send(Request("GET", "https://registry.example/v2/"))
        assert caught.value.hint == "pip install pysocks"

    def test_that_refuse_are_told_without_their_password(self, server: RegistryServer) -> None:
        server.rules.append(lambda asked: Answer(407))
        transport = Transport(Settings(proxies={"https": f"http://u:hunter2@{server.address}"}), sleep=lambda seconds: None)
        with pytest.raises(Unavailable, match="proxy") as caught:
            transport.send(Request("GET", "https://registry.example/v2/"))
        assert "hunter2" not in str(caught.value)
        transport.close()

    def test_carry_tls_to_the_host_that_is_meant(self, server: RegistryServer, authority: Authority, tmp_path: Path) -> None:
        context = authority.server_context(alternative="DNS:registry.example")
        (tmp_path / "registry.example").mkdir()
        (tmp_path / "registry.example/ca.crt").write_bytes(authority.certificate.read_bytes())
        with RegistryServer(context=context) as secure:
            server.tunnel = secure.address
            transport = Transport(Settings(proxies={"https": server.url}, certs=(tmp_path,)), sleep=lambda seconds: None)
            with transport.send(Request("GET", "https://registry.example/v2/", {"Authorization": "Bearer x"})) as answer:
                assert answer.status == 200
                answer.discard()
            with pytest.raises(Unavailable, match="TLS failed"):
                transport.send(Request("GET", "https://else.example/v2/"))
            transport.close()
            assert secure.asked[0].headers["authorization"] == "Bearer x"
        assert [(asked.method, asked.target) for asked in server.asked] == [
            ("CONNECT", "registry.example:443"), ("CONNECT", "else.example:443"),
        ]  # fmt: skip
        assert "authorization" not in server.asked[0].headers

    # NO_PROXY, address, whether it is reached directly
    EXCEPTIONS = (
        ("", "https://registry.example/", False),
        ("*", "https://registry.example/", True),
        ("registry.example", "https://registry.example/", True),
        ("example", "https://registry.example/", True),
        (".example", "https://registry.example/", True),
        (".registry.example", "https://registry.example/", False),
        ("ample", "https://registry.example/", False),
        ("a.b, registry.example:443", "https://registry.example/", True),
        ("registry.example:5000", "https://registry.example/", False),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.0.0.0/99,nonsense/x", "https://10.1.2.3/", False),
        ("", "https://127.0.0.1:5000/", True),
        ("", "https://localhost/", True),
    )

    @pytest.mark.parametrize(("exceptions", "url", "direct"), EXCEPTIONS)
    def test_have_exceptions(self, exceptions: str, url: str, direct: bool) -> None:
        assert bypasses_proxy(url, exceptions) is direct

    def test_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", "http://a")
        monkeypatch.setenv("https_proxy", "http://b")
        monkeypatch.setenv("http_proxy", "http://c")
        assert proxies_of_environment() == {"https": "http://a", "http": "http://c"}
        monkeypatch.setenv("REQUEST_METHOD", "GET")
        assert proxies_of_environment() == {"https": "http://a"}


class TestSettings:
    def test_are_read_from_json_and_toml(self, tmp_path: Path) -> None:
        (tmp_path / "r.json").write_text(
            '{"mirrors":{"docker.io":["https://m.example"]},"insecure":["h:5000"],"certs":["/c"],"proxies":{}}'
        )
        (tmp_path / "r.toml").write_text(
            'insecure = ["h:5000"]\ncerts = ["/c"]\n[mirrors]\n"docker.io" = ["https://m.example"]\n[proxies]\n'
        )
        expected = Settings(mirrors={"docker.io": ("https://m.example",)}, insecure=("h:5000",), certs=(Path("/c"),), proxies={})
        assert load_settings(tmp_path / "r.json") == load_settings(tmp_path / "r.toml") == expected

    def test_of_no_file_are_the_defaults(self, tmp_path: Path) -> None:
        assert load_settings(tmp_path / "none.json") == Settings()

    # what is wrong in a file, a word of the error
    WRONG: tuple[tuple[str, str], ...] = (
        ("{", "r.json"),
        ("[]", "no object"),
        ('{"mirror":{}}', "there is no 'mirror'"),
        ('{"insecure":"h"}', "insecure is no list"),
        ('{"insecure":["http://h"]}', "is no host"),
        ('{"insecure":["10.0.0.0/33"]}', "is no host"),
        ('{"search":["10.0.0.0/8"]}', "not a host"),
        ('{"mirrors":{"docker.io":["m.example"]}}', "not an address"),
        ('{"mirrors":[]}', "mirrors is no object"),
        ('{"proxies":{"ftp":"x"}}', "no 'ftp'"),
        ('{"proxies":{"http":7}}', "no text"),
        ('{"hub":7}', "hub is no text"),
    )

    @pytest.mark.parametrize(("text", "word"), WRONG)
    def test_that_are_wrong_are_told(self, tmp_path: Path, text: str, word: str) -> None:
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(InvalidArgument, match=word):
            load_settings(tmp_path / "r.json")


# host, what is named, the addresses that its name has, whether it may do without TLS
INSECURE: tuple[tuple[str, tuple[str, ...], list[str], bool], ...] = (
    ("r.example:5000", ("r.example:5000",), [], True),
    ("r.example", ("r.example:5000",), [], False),
    ("10.1.2.3:5000", ("10.0.0.0/8",), [], True),
    ("10.1.2.3", ("10.1.0.0/16", "r.example"), [], True),
    ("11.1.2.3", ("10.0.0.0/8",), [], False),
    ("[fd00::5]:5000", ("fd00::/8",), [], True),
    ("[fe00::5]", ("10.0.0.0/8", "fd00::/8"), [], False),
    ("r.example:5000", ("10.0.0.0/8",), ["10.0.0.1", "10.9.9.9"], True),
    ("r.example:5000", ("10.0.0.0/8", "192.0.2.0/24"), ["192.0.2.1", "10.9.9.9"], True),
    ("r.example:5000", ("10.0.0.0/8",), ["192.0.2.1", "10.9.9.9"], False),
    ("r.example:5000", ("10.0.0.0/8",), ["192.0.2.1", "fe80::1%eth0"], False),
    ("nobody.example", ("10.0.0.0/8",), [], False),
)


@pytest.mark.parametrize(("host", "named", "addresses", "insecure"), INSECURE)
def test_a_registry_is_insecure_by_its_name_or_by_the_network_of_its_address(
    host: str, named: tuple[str, ...], addresses: list[str], insecure: bool
) -> None:
    assert is_insecure(host, named, lambda name: addresses) is insecure


def test_a_network_lets_its_hosts_speak_plain_http(server: RegistryServer, slept: list[float]) -> None:
    """By a proxy, since a test has no network of its own."""
    for named, allowed in ((("192.0.2.0/24",), True), (("198.51.100.0/24",), False)):
        transport = Transport(Settings(proxies={"http": server.url}, insecure=named), sleep=slept.append)
        if allowed:
            transport.send(Request("GET", "http://192.0.2.7:5000/v2/")).close()
        else:
            with pytest.raises(Denied, match=r"192\.0\.2\.7:5000"):
                transport.send(Request("GET", "http://192.0.2.7:5000/v2/"))
        transport.close()
    assert len(server.asked) == 1


@pytest.mark.parametrize("network", ["192.0.2.0/24", "127.0.0.0/8"])
def test_who_answers_for_a_name_without_tls_must_be_in_the_network_too(
    server: RegistryServer, slept: list[float], monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    """The name server tells an address of the network first, and the attacker's when it is connected to."""
    port = int(server.address.rpartition(":")[2])
    told = str(ipaddress.ip_network(network)[1])
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, wanted, *words, **more: [(2, 1, 6, "", (told, 0) if wanted is None else ("127.0.0.1", port))]
    )
    transport = Transport(Settings(proxies={}, insecure=(network,)), sleep=slept.append)
    request = Request("GET", f"http://r.example:{port}/v2/", again=False)
    if told.startswith("127."):
        transport.send(request).close()
    else:
        with pytest.raises(LabError, match="without TLS"):
            transport.send(request)
    transport.close()
    assert len(server.asked) == told.startswith("127.")


def test_a_name_is_not_looked_up_where_no_network_is_named() -> None:
    asked: list[str] = []
    assert not is_insecure("r.example", ("other.example",), lambda name: asked.append(name) or [])
    assert asked == []


# name, registries that are searched, what it may mean
CANDIDATES: tuple[tuple[str, tuple[str, ...], list[str]], ...] = (
    ("busybox", ("docker.io",), ["docker.io/library/busybox:latest"]),
    ("busybox", ("quay.io", "docker.io"), ["quay.io/busybox:latest", "docker.io/library/busybox:latest"]),
    ("a/b:v1", ("quay.io",), ["quay.io/a/b:v1"]),
    ("ghcr.io/a/b", ("quay.io",), ["ghcr.io/a/b:latest"]),
    ("localhost/a", ("quay.io",), ["localhost/a:latest"]),
    ("busybox", (), ["docker.io/library/busybox:latest"]),
)


@pytest.mark.parametrize(("name", "search", "meant"), CANDIDATES)
def test_a_short_name_is_looked_for_in_all_registries_that_are_searched(name: str, search: tuple[str, ...], meant: list[str]) -> None:
    assert [reference.canonical for reference in candidates(name, search)] == meant


def test_a_name_that_is_none_is_no_candidate() -> None:
    with pytest.raises(InvalidReference):
        candidates("A b", ("docker.io",))


def test_the_room_is_imported_without_urllib3() -> None:
    import subprocess
    import sys

    program = "import sys, labcontainers.registry.registries; print('urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "False"


# what is asked of a registry of which no answer comes: nothing of it may be a traceback
def test_every_failure_of_a_registry_is_an_error_of_ours(make: Callable[..., Registries], server: RegistryServer) -> None:
    server.rules.append(lambda asked: Answer(raw=lambda handler: None) if asked.path != "/v2/" else None)
    client = make().registry(server.address)
    digest = "sha256:" + "0" * 64
    calls: tuple[Callable[[], Any], ...] = (
        lambda: client.get_manifest("a/b", "v1"), lambda: client.has_blob("a/b", digest), lambda: client.open_blob("a/b", digest),
        lambda: client.list_tags("a/b"), client.list_repositories, lambda: client.list_referrers("a/b", digest),
        lambda: client.upload_blob("a/b", digest, 1, lambda: [b"x"]), lambda: client.delete_blob("a/b", digest),
        lambda: client.mount_blob("a/b", digest, "c/d"),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(LabError):
            call()
