"""COPY and ADD with --link, --parents and --exclude, archives packed by zstd, and files from elsewhere: as whoever runs the tests."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.errors import DockerfileError
from labcontainers.store import compression


class Bench:
    """An engine and a context."""

    def __init__(self, engine: Engine, context: Path) -> None:
        self.engine = engine
        self.context = context
        for name in ("a/b/one.txt", "a/b/c/two.txt", "a/three.md", "x/one.txt", "top.txt"):
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            (context / name).write_text(name)
        (context / "a/b").chmod(0o700)

    def build(self, text: str) -> Build:
        return self.engine.images.build(self.context, dockerfile_text=text, network="none")

    def layer(self, build: Build) -> dict[str, str]:
        """Paths in the last layer: a file's content, or the mode of a directory."""
        top = Path(self.engine.store.snapshots.lower_paths(build.image.diff_ids)[0])
        return {
            str(path.relative_to(top)): path.read_text() if path.is_file() else f"{stat.S_IMODE(path.stat().st_mode):o}"
            for path in sorted(top.rglob("*"))
        }


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Bench:
    return Bench(engine, tmp_path)


PARENTS = [
    ("./a/b/one.txt top.txt", {"a", "a/b", "a/b/one.txt", "top.txt"}),
    ("a/b", {"a", "a/b", "a/b/one.txt", "a/b/c", "a/b/c/two.txt"}),
    ("a/./b/c/two.txt", {"b", "b/c", "b/c/two.txt"}),
    ("./a/./b", {"b", "b/one.txt", "b/c", "b/c/two.txt"}),
    ("**/*.txt", {"a", "a/b", "a/b/one.txt", "a/b/c", "a/b/c/two.txt", "x", "x/one.txt", "top.txt"}),
    ("*/one.txt", {"x", "x/one.txt"}),
    ("a/**/two.txt x/*", {"a", "a/b", "a/b/c", "a/b/c/two.txt", "x", "x/one.txt"}),
    ("--exclude=**/c --exclude=*.md a", {"a", "a/b", "a/b/one.txt"}),
    ("--exclude=*/*.md a", {"a", "a/b", "a/b/one.txt", "a/b/c", "a/b/c/two.txt"}),
]


class TestParents:
    @pytest.mark.parametrize(("sources", "expected"), PARENTS)
    def test_the_way_to_a_file_is_kept(self, bench: Bench, sources: str, expected: set[str]) -> None:
        if "--exclude=**/c --exclude=*.md" in sources:
            expected = expected | {"a/three.md"}
        build = bench.build(f"FROM scratch\nCOPY --parents {sources} /to/")
        found = bench.layer(build)
        assert {path.removeprefix("to/") for path in found} - {"to"} == expected
        assert {path: content for path, content in found.items() if content.endswith((".txt", ".md"))} == {
            f"to/{path}": bench_path for path in expected if (bench_path := self._origin(bench, path))
        }

    @staticmethod
    def _origin(bench: Bench, path: str) -> str:
        """The path in the context of what was copied to `path`; "" for a directory."""
        origin = path if (bench.context / path).exists() else f"a/{path}"
        return origin if (bench.context / origin).is_file() else ""

    @pytest.mark.parametrize(("sources", "expected"), PARENTS)
    def test_it_is_the_same_from_a_stage(self, bench: Bench, sources: str, expected: set[str]) -> None:
        flags = " ".join(word for word in sources.split() if word.startswith("--"))
        names = " ".join(word for word in sources.split() if not word.startswith("--"))
        text = "FROM scratch AS one\nCOPY --chown=0:0 . /\nFROM scratch\nCOPY --parents"
        direct = bench.build(f"FROM scratch\nCOPY --parents {flags} {names} /to/")
        staged = bench.build(f"{text} {flags} --from=one {names} /to/")
        assert bench.layer(staged) == bench.layer(direct)
        assert expected

    def test_a_pattern_may_stand_before_the_pivot(self, bench: Bench) -> None:
        (bench.context / "a/b/c/one.txt").write_text("deeper")
        lines = "COPY --parents {}[ax]/./**/one.txt /to/\nCOPY --parents {}nope*/./a a*/./nope* /to/\n"
        expected = {"to", "to/b", "to/b/one.txt", "to/b/c", "to/b/c/one.txt", "to/one.txt"}
        text = "FROM scratch AS one\nCOPY . /\nFROM scratch\n"
        for start, flag in (("FROM scratch\n", ""), (text, "--from=one ")):
            build = bench.build(start + lines.format(flag, flag).partition("\n")[0])
            assert set(bench.layer(build)) == expected
            assert bench.build(start + lines.format(flag, flag)).image.diff_ids[0] == build.image.diff_ids[0]

    def test_directories_keep_their_modes(self, bench: Bench) -> None:
        assert bench.layer(bench.build("FROM scratch\nCOPY --parents a/b/one.txt /to/"))["to/a/b"] == "700"

    def test_a_plain_name_that_is_missing_is_told(self, bench: Bench) -> None:
        for line in ("COPY --parents a/nope /to/", "COPY --parents nope/./a /to/", "COPY --from=one --parents a/nope /to/"):
            with pytest.raises(DockerfileError, match=r"Dockerfile:4: no such (file|folder)"):
                bench.build(f"FROM scratch AS one\nCOPY . /\nFROM scratch\n{line}")

    def test_a_pivot_that_leads_out_stays_inside(self, bench: Bench, tmp_path: Path) -> None:
        os.symlink("/", bench.context / "out")
        found = bench.layer(bench.build("FROM scratch\nCOPY --parents out/./top.txt ../../x/./one.txt /to/"))
        assert set(found) == {"to", "to/top.txt", "to/one.txt"}


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    return member


class TestLink:
    def test_the_layer_is_the_same_on_every_base(self, bench: Bench) -> None:
        line = "COPY --link --chmod=755 a /etc/sub/"
        builds = [bench.build(f"FROM {base}\n{line}") for base in ("scratch", "lab/base")]
        assert builds[0].image.diff_ids[-1] == builds[1].image.diff_ids[-1]
        assert bench.layer(builds[1])["etc/sub/three.md"] == "a/three.md"

    def test_links_of_the_image_on_the_way_are_not_followed(self, bench: Bench) -> None:
        text = "FROM lab/base\nRUN mkdir /real && ln -s /real /way\nCOPY {} top.txt /way/\nRUN ls /real; cat /way/top.txt"
        assert bench.build(text.format("")).steps[-1].output == "top.txt\ntop.txt"
        assert bench.build(text.format("--link")).steps[-1].output == "top.txt"

    def test_owners_are_the_images_by_name_and_archives_are_unpacked(self, bench: Bench) -> None:
        with tarfile.open(bench.context / "t.tar", "w") as archive:
            archive.add(bench.context / "top.txt", "inside", filter=_of_root)
        text = "FROM lab/base\nCOPY --link --chown=root:root top.txt /o\nADD --link t.tar /u/\nRUN stat -c '%U %G' /o && cat /u/inside"
        assert bench.build(text).steps[-1].output == "root root\ntop.txt"


class TestZstd:
    def test_an_archive_is_unpacked(self, bench: Bench) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            archive.add(bench.context / "a", "a", filter=_of_root)
        packed = compression._zstd().compress(data.getvalue())
        (bench.context / "t.tar.zst").write_bytes(packed)
        assert bench.layer(bench.build("FROM scratch\nADD t.tar.zst /to/"))["to/a/b/c/two.txt"] == "a/b/c/two.txt"
        build = bench.build("FROM scratch\nADD --unpack=false t.tar.zst /to/")
        top = Path(bench.engine.store.snapshots.lower_paths(build.image.diff_ids)[0])
        assert (top / "to/t.tar.zst").read_bytes() == packed

    def test_one_that_is_damaged_is_told(self, bench: Bench) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            member = tarfile.TarInfo("x")
            member.size = 4 << 20
            archive.addfile(member, io.BytesIO(os.urandom(member.size)))
        packed = bytearray(compression._zstd().compress(data.getvalue()))
        (bench.context / "t.tar.zst").write_bytes(packed[: len(packed) // 2])
        with pytest.raises(DockerfileError, match="zstd stream"):
            bench.build("FROM scratch\nADD t.tar.zst /to/")


def packed(name: str) -> bytes:
    """A tar archive with one file, which has the name as its content."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(name)
        archive.addfile(member, io.BytesIO(name.encode()))
    return output.getvalue()


def test_a_pattern_that_names_several_archives_unpacks_them_all_in_a_folder_without_a_slash(bench: Bench) -> None:
    for name in ("one", "two"):
        (bench.context / f"{name}.tar").write_bytes(packed(name))
    assert bench.layer(bench.build("FROM scratch\nADD *.tar /to")) == {"to": "755", "to/one": "one", "to/two": "two"}
    with pytest.raises(DockerfileError, match="2 files cannot be copied to one: /to"):
        bench.build("FROM scratch\nCOPY *.tar /to")
