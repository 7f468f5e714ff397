"""ADD by HTTP, contexts from elsewhere and contexts with names, on servers of the test: what is fetched, when, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.build.cancelling import Cancel
from labcontainers.build.result import Build
from labcontainers.errors import (
    Cancelled,
    Denied,
    DigestMismatch,
    DockerfileError,
    InvalidArgument,
    LabError,
    NotFound,
    Unavailable,
)
from labcontainers.registry.credentials import Credentials
from labcontainers.registry.progress import Patience
from labcontainers.registry.registries import Registries
from labcontainers.registry.settings import Settings
from labcontainers.registry.transport import Transport
from labcontainers.store import compression
from tests.fakes.registry_server import Answer, Asked, RegistryServer

CANARY = "canary-7e1f"
OLDEST_IN_ZIP_S = 315_619_200


def tar(files: Mapping[str, str | bytes | None], links: Mapping[str, str] | None = None, mtime: int = 0) -> bytes:
    """An archive with these files; None makes a directory, which is later than the files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            data = content.encode() if isinstance(content, str) else content or b""
            info.size, info.mode = len(data), 0o755 if content is None else 0o640
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.uid = info.gid = 1234
            info.mtime = mtime + (60 if content is None else 0)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return made.getvalue()


class Site:
    """Files on a server, with the time and the mark of each, and what was asked of it."""

    def __init__(self, server: RegistryServer) -> None:
        self.files: dict[str, bytes] = {}
        self.server = server
        self.more: Callable[[Asked], Answer | None] = lambda asked: None
        self.marks = True
        server.rules.append(self._answer)

    def _answer(self, asked: Asked) -> Answer | None:
        found = self.more(asked)
        if found is not None:
            return found
        body = self.files.get(asked.path)
        if body is None:
            return Answer(404, b"nothing here")
        mark = f'"{hashlib.sha256(body).hexdigest()[:8]}"'
        headers = [("ETag", mark), ("Last-Modified", "Tue, 03 Jan 2023 10:00:00 GMT")] if self.marks else []
        if self.marks and asked.headers.get("if-none-match") == mark:
            return Answer(304, headers=headers)
        return Answer(200, body, headers)

    @property
    def url(self) -> str:
        return self.server.url

    def gets(self) -> list[str]:
        """The paths of which the content was sent for, in order."""
        return [asked.path for asked in self.server.asked]


class Bench:
    """An engine, a context and what a build has to say."""

    def __init__(self, engine: Engine, context: Path) -> None:
        self.engine = engine
        self.context = context

    def build(self, text: str, **options: object) -> Build:
        return self.engine.images.build(self.context, dockerfile_text=text, network="none", **options)

    def top(self, build: Build) -> Path:
        return Path(self.engine.store.snapshots.lower_paths(build.image.diff_ids)[0])

    def add(self, words: str, **options: object) -> Build:
        return self.build(f"FROM scratch\nADD {words}\n", **options)


@pytest.fixture
def site() -> Iterator[Site]:
    with RegistryServer() as server:
        yield Site(server)


@pytest.fixture
def other() -> Iterator[Site]:
    with RegistryServer("127.0.0.2") as server:
        yield Site(server)


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Bench:
    """Clients of the engine ask loopback alone, and never wait before they ask again."""
    settings = Settings(proxies={})
    transport = Transport(settings, patience=Patience(connect_s=5, silence_s=0.4), sleep=lambda seconds: None)
    engine.registries._made = Registries(settings, Credentials(tmp_path / "credentials", others=list), transport=transport)
    (tmp_path / "context").mkdir()
    return Bench(engine, tmp_path / "context")


class TestAddByHttp:
    def test_the_file_has_its_name_of_the_address_root_as_owner_and_the_mode_of_buildkit(self, bench: Bench, site: Site) -> None:
        site.files["/a/tool.sh"] = b"tool"
        build = bench.add(f"{site.url}/a/tool.sh?v=1 /opt/")
        found = bench.top(build) / "opt/tool.sh"
        assert found.read_bytes() == b"tool"
        assert (found.stat().st_mode & 0o7777, found.stat().st_mtime) == (0o600, OLDEST_IN_ZIP_S)
        assert found.stat().st_uid == os.geteuid()
        assert build.image.history[0].created_by == f"ADD {site.url}/a/tool.sh?v=1 /opt/ # buildkit"

    def test_flags_and_a_name_of_its_own(self, bench: Bench, site: Site) -> None:
        site.files["/x"] = b"x"
        top = bench.top(bench.add(f"--chmod=755 --chown=0:0 --link {site.url}/x /bin/y"))
        assert (top / "bin/y").stat().st_mode & 0o7777 == 0o755
        assert list(bench.top(bench.add(f"--exclude=x {site.url}/x /z/")).rglob("*")) == []

    def test_what_did_not_change_is_asked_for_but_not_sent_again(self, bench: Bench, site: Site) -> None:
        site.files["/x"] = b"one"
        first = bench.add(f"{site.url}/x /x")
        again = bench.add(f"{site.url}/x /x")
        assert (again.image.id, again.steps[-1].cached) == (first.image.id, True)
        material = {"uri": f"{site.url}/x", "digest": {"sha256": hashlib.sha256(b"one").hexdigest()}}
        assert material in first.provenance.materials
        assert again.provenance.materials == first.provenance.materials
        assert [asked.headers.get("if-none-match") is None for asked in site.server.asked] == [True, False]
        other_place = bench.add(f"{site.url}/x /y")
        assert not other_place.steps[-1].cached
        assert (bench.top(other_place) / "y").read_bytes() == b"one"
        site.files["/x"] = b"two"
        changed = bench.add(f"{site.url}/x /x")
        assert (changed.steps[-1].cached, (bench.top(changed) / "x").read_bytes()) == (False, b"two")
        assert "ADD: x changed" in changed.steps[-1].reason

    def test_the_same_content_from_a_server_without_marks_is_found_in_the_cache(self, bench: Bench, site: Site) -> None:
        site.marks = False
        site.files["/x"] = b"one"
        assert [bench.add(f"{site.url}/x /x").steps[-1].cached for _ in range(2)] == [False, True]
        assert len(site.gets()) == 2

    def test_the_date_alone_will_do(self, bench: Bench, site: Site) -> None:
        when = "Tue, 03 Jan 2023 10:00:00 GMT"
        site.more = lambda asked: Answer(
            304 if asked.headers.get("if-modified-since") == when else 200, b"" if "if-modified-since" in asked.headers else b"x",
            [("Last-Modified", when)],
        )  # fmt: skip
        assert [bench.add(f"{site.url}/x /x").steps[-1].cached for _ in range(2)] == [False, True]

    def test_with_a_checksum_nothing_is_asked_once_the_step_is_known(self, bench: Bench, site: Site) -> None:
        site.files["/x"] = b"one"
        digest = hashlib.sha256(b"one").hexdigest()
        words = f"--checksum=sha256:{digest} {site.url}/x /x"
        first = bench.add(words)
        del site.files["/x"]
        again = bench.add(words)
        assert (len(site.gets()), again.steps[-1].cached, again.image.id) == (1, True, first.image.id)
        with_variable = bench.build(f"FROM scratch\nARG SUM={digest}\nADD --checksum=sha256:$SUM {site.url}/x /x\n")
        assert with_variable.image.diff_ids == first.image.diff_ids

    def test_another_content_than_the_checksum_says_is_refused_and_not_kept(self, bench: Bench, site: Site) -> None:
        site.files["/x"] = b"evil"
        blobs = set(bench.engine.store.blobs.list())
        with pytest.raises(DigestMismatch, match=r"Dockerfile:2: .*/x: the file has digest sha256:") as caught:
            bench.add(f"--checksum=sha256:{'a' * 64} {site.url}/x /x")
        assert "a" * 64 in caught.value.message
        assert set(bench.engine.store.blobs.list()) == blobs
        assert list(bench.engine.store.paths.tmp.iterdir()) == []

    def test_archives_stay_packed_unless_they_are_to_be_unpacked(self, bench: Bench, site: Site) -> None:
        packed = {"x.tar": tar({"d/f": "f"}), "x.tgz": gzip.compress(tar({"d/f": "f"})), "x.tar.zst": _zstd(tar({"d/f": "f"}))}
        (bench.context / "local.tar").write_bytes(tar({"local": "f"}))
        for name, data in packed.items():
            site.files[f"/{name}"] = data
            mixed = bench.top(bench.add(f"{site.url}/{name} local.tar /to/"))
            assert (mixed / "to" / name).read_bytes() == data
            assert (mixed / "to/local").is_file()
            unpacked = bench.top(bench.add(f"--unpack {site.url}/{name} /to"))
            # its owner may be an id of the container, who alone may read it
            assert (unpacked / "to/d/f").stat().st_size == 1
        assert (bench.top(bench.add("--unpack=false local.tar /to/")) / "to/local.tar").is_file()

    def test_redirects_are_followed_without_the_password(self, bench: Bench, site: Site, other: Site) -> None:
        other.files["/real"] = b"real"
        site.more = lambda asked: Answer(302, headers=[("Location", f"{other.url}/real")])
        build = bench.add(f"{site.url.replace('//', f'//me:{CANARY}@')}/x /to/")
        assert (bench.top(build) / "to/x").read_bytes() == b"real"
        assert "authorization" in site.server.asked[0].headers
        assert "authorization" not in other.server.asked[0].headers

    @pytest.mark.parametrize(("kind", "header"), [("TOKEN", f"Bearer {CANARY}"), ("HEADER", CANARY)])
    def test_a_secret_opens_the_files_of_its_host(self, bench: Bench, site: Site, other: Site, kind: str, header: str) -> None:
        site.files["/x"] = b"x"
        site.more = lambda asked: None if asked.headers.get("authorization") == header else Answer(401)
        (bench.context / "s").write_text(CANARY + "\n")
        url = f"{site.url}/x"
        host = site.url.removeprefix("http://")
        with pytest.raises(Denied):
            bench.add(f"{url} /")
        for name in (host, host.partition(":")[0]):
            secret = f"id=HTTP_AUTH_{kind}_{name},src={bench.context / 's'}"
            assert (bench.top(bench.add(f"{url} /", secrets=secret)) / "x").read_bytes() == b"x"
        assert bench.add(f"{url} /", secrets=secret).steps[-1].cached
        with pytest.raises(Denied):
            bench.add(f"{url} /", secrets=f"id=HTTP_AUTH_{kind}_other,src={bench.context / 's'}")
        site.more = lambda asked: Answer(302, headers=[("Location", f"{other.url}/x")])
        other.files["/x"] = b"y"
        assert (
            bench.top(bench.add(f"{url} /", secrets=f"id=HTTP_AUTH_{kind}_{host},src={bench.context / 's'}")) / "x"
        ).read_bytes() == b"y"
        assert "authorization" not in other.server.asked[-1].headers

    def test_a_password_is_in_no_record_and_no_image(self, bench: Bench, site: Site) -> None:
        site.files["/x"] = b"x"
        told: list[str] = []
        build = bench.add(f"{site.url.replace('//', f'//me:{CANARY}@')}/x /x", on_event=lambda event: told.append(repr(event)))
        assert CANARY not in repr(build) + build._repr_html_() + "".join(told) + repr(build.image.history)
        for path in bench.engine.paths.root.rglob("*"):
            if path.is_file():
                assert CANARY.encode() not in path.read_bytes(), path

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (Answer(404), DockerfileError),
            (Answer(403), Denied),
            (Answer(500), Unavailable),
            (Answer(200, b"x" * 100_000, stop_after=50_000), Unavailable),
            (Answer(302, headers=[("Location", "/x")]), Unavailable),
            (Answer(302, headers=[("Location", "file:///etc/passwd")]), Unavailable),
        ],
    )
    def test_a_server_that_does_not_give_it_is_told_of_with_the_line(
        self, bench: Bench, site: Site, answer: Answer, kind: type[LabError]
    ) -> None:
        site.more = lambda asked: answer
        with pytest.raises(kind) as caught:
            bench.add(f"{site.url}/x /x")
        assert "Dockerfile:2: " in str(caught.value)
        assert list(bench.engine.store.paths.tmp.iterdir()) == []

    def test_a_server_that_says_nothing_is_not_waited_for(self, bench: Bench, site: Site) -> None:
        site.more = lambda asked: Answer(raw=lambda handler: site.server.ended.wait(60))
        with pytest.raises(Unavailable, match=r"Dockerfile:2: .*no answer in 0\.4 s"):
            bench.add(f"{site.url}/x /x")

    @pytest.mark.parametrize("begun", [False, True], ids=["no answer", "half an answer"])
    def test_a_build_that_waits_for_a_server_can_be_stopped(self, bench: Bench, site: Site, begun: bool) -> None:
        cancel = Cancel()

        def answer(handler: Any) -> None:
            if begun:
                handler.send_response(200)
                handler.send_header("Content-Length", "100000")
                handler.end_headers()
                handler.wfile.write(b"x" * 1000)
                handler.wfile.flush()
            cancel.cancel()
            site.server.ended.wait(60)

        site.more = lambda asked: Answer(raw=answer)
        with pytest.raises(Cancelled):
            bench.add(f"{site.url}/x /x", cancel=cancel)
        assert list(bench.engine.store.paths.tmp.iterdir()) == []

    def test_a_file_for_which_there_is_no_room_is_refused_before_it_comes(self, bench: Bench, site: Site) -> None:
        site.more = lambda asked: Answer(200, b"x", length=1 << 60)
        with pytest.raises(DockerfileError, match="are free"):
            bench.add(f"{site.url}/x /x")


def _zstd(data: bytes) -> bytes:
    return bytes(compression._zstd().compress(data))


class TestContextsWithNames:
    def test_a_folder_stands_for_an_image_in_all_places(self, bench: Bench, tmp_path: Path) -> None:
        data = tmp_path / "data"
        (data / "sub").mkdir(parents=True)
        (data / "sub/f").write_text("from data")
        (data / "ignored").touch()
        (data / ".dockerignore").write_text("ignored\n")
        (bench.context / "own").touch()
        text = (
            "FROM files AS whole\n"
            "FROM lab/base\n"
            "COPY --from=files sub/f /copied\n"
            "COPY --from=docker.io/library/files:latest / /all/\n"
            "COPY --from=whole / /whole/\n"
            "RUN --mount=from=files,target=/m cat /m/sub/f; ls -A /m > /listed; "
            "ls -A /m /all /whole | grep -c ignored$ || cat /copied\n"
        )
        build = bench.build(text, build_contexts={"files": data})
        assert build.steps[-1].output.count("from data") == 2
        (data / "ignored").write_text("changed")
        assert all(step.cached for step in bench.build(text, build_contexts={"files": data}).steps)
        (data / "sub/f").write_text("changed")
        assert not bench.build(text, build_contexts={"files": data}).steps[-1].cached

    def test_an_image_stands_for_another_and_a_stage_is_replaced(self, bench: Bench) -> None:
        base = bench.build("FROM lab/base\nRUN echo replaced > /mark\n", tag="mine:1").image
        text = "FROM nowhere.example/x:9 AS a\nRUN cat /mark\nFROM lab/base AS tools\nRUN exit 3\nFROM a\nCOPY --from=tools /mark /mark2\n"
        build = bench.build(text, build_contexts={"nowhere.example/x:9": "docker-image://mine:1", "tools": "docker-image://mine:1"})
        assert "replaced" in build.steps[1].output
        empty = bench.build("FROM lab/base\nLABEL a=b", build_contexts={"lab/base": "docker-image://scratch"})
        assert empty.image.diff_ids == ()
        assert build.image.diff_ids[: len(base.diff_ids)] == base.diff_ids

    def test_an_oci_layout_is_a_base_by_tag_by_digest_and_alone(self, bench: Bench, tmp_path: Path) -> None:
        image = bench.build("FROM lab/base\nRUN echo laid > /mark\n", tag="laid:v1").image
        with bench.engine.images.save("laid:v1") as archive:
            (tmp_path / "layout.tar").write_bytes(b"".join(archive))
        with tarfile.open(tmp_path / "layout.tar") as packed:
            packed.extractall(tmp_path / "layout")
        bench.engine.images.remove("laid:v1")
        for behind in ("", ":v1", f"@{image.manifest_digest}"):
            build = bench.build("FROM laid\nRUN cat /mark\n", build_contexts={"laid": f"oci-layout://{tmp_path / 'layout'}{behind}"})
            assert build.image.diff_ids[:-1] == image.diff_ids
        with pytest.raises(LabError, match="has no image v2"):
            bench.build("FROM laid\n", build_contexts={"laid": f"oci-layout://{tmp_path / 'layout'}:v2"})

    def test_an_archive_by_http_is_a_folder_and_any_other_file_lies_in_one(self, bench: Bench, site: Site) -> None:
        site.files["/c.tgz"] = gzip.compress(tar({"a/f": "packed"}))
        site.files["/plain"] = b"plain"
        contexts = {"c": f"{site.url}/c.tgz", "p": f"{site.url}/plain", "unused": f"{site.url}/missing"}
        build = bench.build("FROM scratch\nCOPY --from=c a/f /\nCOPY --from=p context /g\n", build_contexts=contexts)
        top, below = (Path(path) for path in bench.engine.store.snapshots.lower_paths(build.image.diff_ids))
        assert ((below / "f").read_text(), (top / "g").read_text()) == ("packed", "plain")
        assert (below / "f").stat().st_uid == os.geteuid()
        assert "/missing" not in site.gets()
        assert list(bench.engine.store.paths.tmp.iterdir()) == []

    def test_what_a_context_lacks_is_told_with_its_name(self, bench: Bench, site: Site) -> None:
        with pytest.raises(DockerfileError, match=r"context c: .*404"):
            bench.build("FROM scratch\nCOPY --from=c a /\n", build_contexts={"c": f"{site.url}/c.tar"})


class TestContextsFromElsewhere:
    def test_archives_in_each_form(self, bench: Bench, site: Site) -> None:
        import bz2
        import lzma

        plain = tar(
            {"Dockerfile": "FROM scratch\nCOPY f .dockerignore /\n", "other": "FROM scratch\nCOPY f /o\n", "f": "f", ".dockerignore": "f\n"}
        )
        for name, data in {
            "plain": plain, "gz": gzip.compress(plain), "bz2": bz2.compress(plain), "xz": lzma.compress(plain), "zst": _zstd(plain),
        }.items():  # fmt: skip
            site.files[f"/{name}"] = data
            build = bench.engine.images.build(f"{site.url}/{name}")
            assert (bench.top(build) / "f").read_text() == "f"
        assert (bench.top(bench.engine.images.build(f"{site.url}/gz", dockerfile="other")) / "o").is_file()
        assert bench.engine.images.build(f"{site.url}/gz").steps[-1].cached
        assert bench.engine.images.describe_build("check", f"{site.url}/gz").faults == ()
        assert list(bench.engine.store.paths.tmp.iterdir()) == []

    def test_a_dockerfile_by_http_has_nothing_beside_it(self, bench: Bench, site: Site) -> None:
        site.files["/Dockerfile"] = b"FROM scratch\nLABEL a=b\n"
        assert bench.engine.images.build(f"{site.url}/Dockerfile").image.config.config.labels == {"a": "b"}
        site.files["/Dockerfile"] = b"FROM scratch\nCOPY f /\n"
        with pytest.raises(DockerfileError, match="no such file in the build context"):
            bench.engine.images.build(f"{site.url}/Dockerfile")
        site.files["/Dockerfile"] = b"\x7fELF\0\0"
        with pytest.raises(InvalidArgument, match="neither an archive nor a Dockerfile"):
            bench.engine.images.build(f"{site.url}/Dockerfile")

    def test_an_archive_that_is_handed_over(self, bench: Bench) -> None:
        data = tar({"./Dockerfile": "FROM scratch\nADD d /\n", "d": None, "d/f": "f"})
        build = bench.engine.images.build(archive=iter([data[:700], data[700:]]))
        assert (bench.top(build) / "f").read_text() == "f"
        lower = tar({"dockerfile": "FROM scratch\nCOPY g /\n", "g": "g"})
        assert (bench.top(bench.engine.images.build(archive=lower)) / "g").read_text() == "g"
        with pytest.raises(InvalidArgument, match="no tar archive"):
            bench.engine.images.build(archive=b"FROM scratch\n")
        with pytest.raises(NotFound, match="no such Dockerfile: nope of the archive"):
            bench.engine.images.build(archive=data, dockerfile="nope")

    def test_the_time_of_a_context_is_its_servers_or_that_of_its_newest_entry(self, bench: Bench, site: Site) -> None:
        text = "ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nCOPY f /\n"
        site.files["/c.tar"] = packed = tar({"Dockerfile": text, "f": "1"}, mtime=1_600_000_000)
        images = bench.engine.images
        served = "2023-01-03T10:00:00Z"
        # also where the server says that nothing changed
        assert [images.build(f"{site.url}/c.tar").image.config.created for _ in range(2)] == [served, served]
        site.marks = False
        site.files["/d.tar"] = packed
        assert images.build(f"{site.url}/d.tar").image.config.created == "2020-09-13T12:26:40Z"
        piped = images.build(archive=packed)
        assert piped.image.config.created == "2020-09-13T12:26:40Z"
        assert (bench.top(piped) / "f").stat().st_mtime == 1_600_000_000

    def test_a_folder_has_no_time(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "FROM lab/base\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH\n"
        plain = bench.build(text)
        assert bench.build(f"ARG SOURCE_DATE_EPOCH=context\n{text}").image.id == plain.image.id
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "context")
        assert bench.build(text).image.id == plain.image.id
        assert plain.steps[-1].output == f"{OLDEST_IN_ZIP_S}\n"

    def test_a_stage_of_one_add_and_a_context_with_a_name_have_the_time_of_their_source(self, bench: Bench, site: Site) -> None:
        site.files["/src.tar"] = tar({"f": "1", "d": None}, mtime=1_600_000_000)
        end = "FROM scratch\nLABEL a=b\n"
        stage = f"ARG U=x\nFROM scratch AS Src\nARG N=src.tar\nADD $U/$N /\n{end}"
        url = {"U": site.url}
        for marks, created in ((True, "2023-01-03T10:00:00Z"), (False, "2020-09-13T12:26:40Z")):
            site.marks = marks
            for build in (
                bench.build(f"ARG SOURCE_DATE_EPOCH=src\n{stage}", build_args=url),
                bench.build(stage, build_args={**url, "SOURCE_DATE_EPOCH": "SRC"}),
                bench.build(f"ARG SOURCE_DATE_EPOCH=src\n{end}", build_contexts={"src": f"{site.url}/src.tar"}),
            ):
                assert build.image.config.created == created
        of_a_folder = bench.build(f"ARG SOURCE_DATE_EPOCH=src\n{end}", build_contexts={"src": bench.context})
        assert of_a_folder.image.id == bench.build(end).image.id

    def test_a_file_is_no_context(self, bench: Bench) -> None:
        (bench.context / "c.tar").write_bytes(tar({"Dockerfile": "FROM scratch\n"}))
        with pytest.raises(InvalidArgument, match=r"is a file: .*c\.tar .*build - < c\.tar"):
            bench.engine.images.build(bench.context / "c.tar")
