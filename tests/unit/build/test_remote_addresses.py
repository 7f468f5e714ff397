"""What an address of something elsewhere means: by HTTP, of git in all its forms, of contexts with names; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers.build.remotes.addresses import GitAddress, WebAddress, is_remote, parse_address, parse_context, shown
from labcontainers.build.remotes.named import FolderContext, ImageContext, LayoutContext, normalized, read_contexts, split_contexts
from labcontainers.errors import InvalidArgument, LabError, NotFound, Unsupported

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(text: str) -> GitAddress:
    found = parse_address(text)
    assert isinstance(found, GitAddress)
    return found


def web(text: str) -> WebAddress:
    found = parse_address(text)
    assert isinstance(found, WebAddress)
    return found


class TestByHttp:
    def test_the_name_is_the_last_part_of_the_path(self) -> None:
        assert web("https://h.example/a/b%20c.tar.gz?v=1#x").name == "b c.tar.gz"
        assert web("http://h.example:8080/").name == ""
        assert web("http://h.example").name == ""
        assert web("http://h.example/a/..").name == ""

    def test_a_user_and_a_password_are_not_shown(self) -> None:
        found = web("https://me:canary@h.example/f?x=1")
        assert (found.shown, found.is_private) == ("https://h.example/f?x=1", True)
        assert "canary" not in repr(found)
        assert not web("https://h.example/f").is_private
        assert shown("https://me:can/ary@h.example/f") == "https://me:can/ary@h.example/f"
        assert shown("plain") == "plain"

    @pytest.mark.parametrize(
        "text", ["https://", "http:///x", "https://h/a b", "https://-h/x", "https://h:70000/x", "https://h/\x00", "https://h/ä"]
    )
    def test_what_is_no_address_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidArgument, match="not an address"):
            parse_address(text)

    @pytest.mark.parametrize(
        "text", ["a/b", "./x.git", "C:\\x", "ftp://h/x", "file:///x.git", "ext::sh -c id", "github.com/o/r", "user@host"]
    )
    def test_a_path_is_none(self, text: str) -> None:
        assert parse_address(text) is None
        assert not is_remote(text)

    def test_a_checksum_is_one_of_sha256(self) -> None:
        digest = "sha256:" + "a" * 64
        assert web("https://h/f").with_checksum(digest).checksum == digest
        for wrong in ("sha256:abc", "sha512:" + "a" * 128, "sha256:" + "A" * 64, "a" * 64):
            with pytest.raises(InvalidArgument, match="invalid checksum"):
                web("https://h/f").with_checksum(wrong)


class TestOfGit:
    @pytest.mark.parametrize(
        ("text", "remote", "ref", "subdir"),
        [
            ("https://h.example/o/r.git", "https://h.example/o/r.git", "", ""),
            ("https://h.example/o/r.git#v1", "https://h.example/o/r.git", "v1", ""),
            ("https://h.example/o/r.git#v1:docs/x/", "https://h.example/o/r.git", "v1", "docs/x"),
            ("https://h.example/o/r.git#:docs", "https://h.example/o/r.git", "", "docs"),
            ("https://h.example/o/r.git#main:../../etc", "https://h.example/o/r.git", "main", "etc"),
            ("git://h.example/o/r", "git://h.example/o/r", "", ""),
            ("ssh://git@h.example:22/o/r#x", "ssh://git@h.example:22/o/r", "x", ""),
            ("git@h.example:o/r.git#refs/pull/1/head", "git@h.example:o/r.git", "refs/pull/1/head", ""),
            ("https://h.example/r.git?branch=dev&subdir=a", "https://h.example/r.git", "refs/heads/dev", "a"),
            ("https://h.example/r.git?tag=v2", "https://h.example/r.git", "refs/tags/v2", ""),
            ("https://h.example/r.git?ref=dev", "https://h.example/r.git", "dev", ""),
            ("git@h.example:o/r.git?tag=refs/tags/v2", "git@h.example:o/r.git", "refs/tags/v2", ""),
        ],
    )
    def test_forms(self, text: str, remote: str, ref: str, subdir: str) -> None:
        found = git(text)
        assert (found.remote, found.ref, found.subdir) == (remote, ref, subdir)

    def test_queries_that_are_switches(self) -> None:
        assert git("https://h/r.git?keep-git-dir").keep_git_dir is True
        assert git("https://h/r.git?keep-git-dir=false").keep_git_dir is False
        assert git("https://h/r.git").keep_git_dir is None
        assert git("https://h/r.git?submodules=0").submodules is False

    def test_a_commit_is_told_by_the_ref_or_the_query(self) -> None:
        assert git(f"https://h/r.git#{COMMIT}").whole_commit == COMMIT
        assert git(f"https://h/r.git?branch=dev&commit={COMMIT.upper()}").whole_commit == COMMIT
        assert git("https://h/r.git?branch=dev&checksum=0123456").commit == "0123456"
        assert git("https://h/r.git").with_checksum("0123456").whole_commit == ""
        assert git("https://h/r.git?commit=a").commit == "a"
        assert git(f"https://h/r.git?commit={COMMIT}").with_checksum("0123456").commit == COMMIT

    def test_a_password_is_kept_apart(self) -> None:
        found = git("https://me:canary@h.example/r.git#v1")
        assert (found.remote, found.login) == ("https://h.example/r.git", "me:canary")
        assert "canary" not in repr(found)

    @pytest.mark.parametrize(
        "text",
        [
            "https://h/r.git#--upload-pack=id",
            "https://h/r.git?ref=-x",
            "https://h/r.git#a..b",
            "https://h/r.git#a b",
            "https://h/r.git#a%0ab",
            "https://h/r.git?branch=a^b",
            "https://h/r.git?nope=1",
            "https://h/r.git?tag=a&branch=b",
            "https://h/r.git?tag=a&tag=b",
            "https://h/r.git?tag=",
            "https://h/r.git?commit=xyz",
            "https://h/r.git?submodules=perhaps",
            "https://h/r.git?ref=a&branch=b",
            "https://h/r.git?subdir=a#:b",
            "https://h/r.git#:a%00b",
            "ssh://-oProxyCommand=id/r.git",
            "ssh://h",
            "ssh://-x@h/r",
            "ssh://me:word@h/r",
            "git@h:-x",
            "git://me@h/r",
        ],
    )
    def test_what_git_must_not_be_told_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidArgument):
            parse_address(text)

    def test_a_short_form_of_github_is_one_for_contexts_alone(self) -> None:
        found = parse_context("github.com/o/r#main:x")
        assert isinstance(found, GitAddress)
        assert (found.remote, found.ref, found.subdir) == ("https://github.com/o/r", "main", "x")


class TestContextsWithNames:
    def test_names_are_those_of_images(self) -> None:
        assert normalized("alpine") == normalized("docker.io/library/alpine:latest") == "alpine"
        assert normalized("alpine:3") == "alpine:3"

    def test_kinds(self, tmp_path: Path) -> None:
        (tmp_path / "f").mkdir()
        (tmp_path / "layout").mkdir()
        (tmp_path / "layout/index.json").touch()
        texts = [
            "a=f", "docker.io/library/b=docker-image://x:1", "c=oci-layout://layout:v1", "d=oci-layout://layout@sha256:" + "a" * 64,
            "e=https://h/x.tar", "g=https://h/x.git#v1", "h=oci-layout://layout",
        ]  # fmt: skip
        found = read_contexts(split_contexts(texts), tmp_path)
        assert found["a"] == FolderContext(tmp_path / "f")
        assert found["b"] == ImageContext("x:1")
        assert found["c"] == LayoutContext(tmp_path / "layout", "v1", "")
        assert found["d"] == LayoutContext(tmp_path / "layout", "", "sha256:" + "a" * 64)
        assert isinstance(found["e"], WebAddress)
        assert isinstance(found["g"], GitAddress)
        assert found["h"] == LayoutContext(tmp_path / "layout", "", "")

    @pytest.mark.parametrize(
        ("text", "kind", "words"),
        [
            ("x", InvalidArgument, "not NAME=VALUE"),
            ("=x", InvalidArgument, "not NAME=VALUE"),
            ("x=", InvalidArgument, "not NAME=VALUE"),
            ("scratch=.", InvalidArgument, "scratch"),
            ("A B=.", InvalidArgument, "invalid context name"),
            ("x=target:y", Unsupported, "bake"),
            ("x=ftp://h/y", Unsupported, "no such kind"),
            ("x=/no/such", NotFound, "no such folder"),
            ("x=/etc/hostname", NotFound, "not a folder"),
            ("x=docker-image://A B", InvalidArgument, "x: "),
            ("x=oci-layout:///no/such", NotFound, "no OCI layout"),
            ("x=oci-layout:///no@sha256:12", InvalidArgument, "x: "),
            ("x=https://h/r.git#-x", InvalidArgument, "x: "),
        ],
    )
    def test_what_is_wrong_names_the_flag(self, text: str, kind: type[LabError], words: str) -> None:
        with pytest.raises(kind, match=words) as caught:
            read_contexts(split_contexts([text]), Path("/"))
        assert caught.value.message.startswith("--build-context: ")
