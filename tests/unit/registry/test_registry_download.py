"""A file at an address: its bytes as they come, whoever serves them, and nothing of another file between them."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from labcontainers.errors import Denied, Failed, InvalidArgument, LabError, NotFound, Unavailable
from labcontainers.registry.download import Download
from labcontainers.registry.registries import Registries
from labcontainers.registry.transport import Transport
from tests.fakes.registry_server import Answer, Asked, RegistryServer

FILE = bytes(range(256)) * 4000
Make = Callable[..., Registries]


def serve(server: RegistryServer, *answers: Answer) -> None:
    """One answer after the other, the last one again and again."""
    left = list(answers)
    server.rules.append(lambda asked: left.pop(0) if len(left) > 1 else left[0])


def content(download: Download) -> bytes:
    with download:
        return download.read() or b""


def test_a_file_comes_as_it_is_and_its_bytes_are_counted(server: RegistryServer, make: Make) -> None:
    serve(server, Answer(200, FILE))
    told: list[tuple[int, int | None]] = []
    download = make().download(f"{server.url}/tree.tar", lambda *count: told.append(count))
    assert (download.size, content(download)) == (len(FILE), FILE)
    assert told[-1] == (len(FILE), len(FILE))
    assert [count for count, _ in told] == sorted(count for count, _ in told)


def test_a_file_of_unknown_size_comes_whole(server: RegistryServer, make: Make) -> None:
    serve(server, Answer(200, FILE, [("Transfer-Encoding", "chunked")]))
    download = make().download(f"{server.url}/tree.tar")
    assert download.size is None
    assert content(download) == FILE


def test_a_user_in_the_address_is_told_to_that_host_alone_and_to_nobody_who_reads(
    server: RegistryServer, other: RegistryServer, make: Make
) -> None:
    serve(server, Answer(302, b"", [("Location", f"{other.url}/moved.tar")]))
    serve(other, Answer(200, FILE))
    download = make().download(server.url.replace("://", "://me:p%40ss@") + "/tree.tar#part")
    assert content(download) == FILE
    assert server.asked[0].headers["authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert "authorization" not in other.asked[0].headers
    assert download.address == f"{server.url}/tree.tar"


# the status, the error
STATUSES = ((404, NotFound), (401, Denied), (403, Denied), (410, NotFound), (400, Failed), (503, Unavailable))


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_a_status_that_is_no_file_is_told_with_the_host_alone(
    server: RegistryServer, make: Make, status: int, kind: type[LabError]
) -> None:
    serve(server, Answer(status, b"no"))
    with pytest.raises(kind, match=f"{server.address}.*status {status}") as caught:
        make().download(f"{server.url}/tree.tar?token=hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_connection_that_breaks_is_gone_on_with_while_the_file_is_the_same(server: RegistryServer, make: Make) -> None:
    part = Answer(206, FILE[1000:], [("Content-Range", f"bytes 1000-{len(FILE) - 1}/{len(FILE)}"), ("ETag", '"a"')])
    serve(server, Answer(200, FILE, [("ETag", '"a"')], stop_after=1000), part)
    assert content(make().download(f"{server.url}/tree.tar")) == FILE
    assert (server.asked[1].headers["range"], server.asked[1].headers["if-range"]) == ("bytes=1000-", '"a"')


# the mark of the file that was begun with, that of the file that is there then
CHANGED = (('"a"', '"b"'), ('W/"a"', 'W/"a"'), ("", ""))


@pytest.mark.parametrize(("before", "after"), CHANGED)
def test_bytes_of_a_file_that_may_be_another_are_not_put_behind_each_other(
    server: RegistryServer, make: Make, before: str, after: str
) -> None:
    def marked(mark: str) -> list[tuple[str, str]]:
        return [("ETag", mark)] if mark else []

    serve(server, Answer(200, FILE, marked(before), stop_after=1000), Answer(200, FILE[::-1], marked(after)))
    with pytest.raises(Unavailable, match=r"another one|broke after 1000 bytes"):
        content(make().download(f"{server.url}/tree.tar"))


def test_plain_http_is_spoken_to_whom_the_user_names_but_nobody_sends_us_there(server: RegistryServer, make: Make) -> None:
    """What leads from the proxy's host to another one is not followed to where nothing is encrypted."""
    registries = make(proxies={"http": server.url})

    def rule(asked: Asked) -> Answer:
        leads_away = asked.target.endswith("/away")
        return Answer(302, b"", [("Location", "http://127.0.0.1:9/x")]) if leads_away else Answer(200, FILE)

    server.rules.append(rule)
    assert content(registries.download("http://files.example/tree.tar")) == FILE
    with pytest.raises(Denied, match="plain HTTP is not allowed"):
        registries.download("http://files.example/away")


def test_an_address_of_https_is_not_left_for_plain_http(make: Make) -> None:
    transport = Transport(make().settings)
    asked: list[str] = []

    class Moved:
        status, headers, url = 302, {"Location": "http://files.example/tree.tar"}, "https://files.example/tree.tar"

        def discard(self) -> None:
            asked.append(self.url)

    transport._send_once = lambda request: Moved()
    with pytest.raises(Denied, match="plain HTTP is not allowed"):
        Download(transport, "https://files.example/tree.tar")
    assert asked == [Moved.url]


@pytest.mark.parametrize("url", ["http://", "http://[", "http://h:x/", "https://a b/", "http://h\n/"])
def test_what_is_no_address_is_refused(make: Make, url: str) -> None:
    with pytest.raises(InvalidArgument, match="not an address"):
        make().download(url)
