"""ADD of trees of git and contexts of git, from repositories that the test serves: which commit, what of it, and what is asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.errors import Denied, DigestMismatch, DockerfileError, LabError, Unavailable, Unsupported
from tests.fakes.git_site import GitSite, git, git_site

pytestmark = [pytest.mark.needs("git"), pytest.mark.alike("ordinary users")]
CANARY = "canary-91bd"


class Bench:
    """An engine and repositories."""

    def __init__(self, engine: Engine, context: Path, site: GitSite) -> None:
        self.engine = engine
        self.context = context
        self.site = site
        self.options: dict[str, object] = {}

    def add(self, words: str, **options: object) -> Build:
        text = f"FROM scratch\nADD {words}\n"
        return self.engine.images.build(self.context, dockerfile_text=text, **{**self.options, **options})

    def files(self, build: Build) -> dict[str, str]:
        """The files of the image's last layer but those of .git, with their content."""
        top = Path(self.engine.store.snapshots.lower_paths(build.image.diff_ids)[0])
        paths = [path for path in top.rglob("*") if ".git" not in path.relative_to(top).parts and path.is_file()]
        return {str(path.relative_to(top)): path.read_text() for path in sorted(paths)}

    def tree(self, build: Build) -> Path:
        return Path(self.engine.store.snapshots.lower_paths(build.image.diff_ids)[0])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GitSite]:
    with git_site(tmp_path / "site") as site:
        site.make("r.git")
        yield site


@pytest.fixture
def bench(engine: Engine, tmp_path: Path, site: GitSite, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "context").mkdir()
    return Bench(engine, tmp_path / "context", site)


@pytest.mark.parametrize("smart", [True, False], ids=["smart", "dumb"])
def test_refs_tags_commits_and_folders(bench: Bench, site: GitSite, smart: bool) -> None:
    first = site.commit("r.git", {"f": "one", "docs/d": "doc"}, tag="v1")
    site.commit("r.git", {"f": "two"})
    site.commit("r.git", {"f": "dev"}, branch="dev")
    site.smart = smart
    url = f"{site.url}/r.git"
    for words, wanted in {
        url: {"to/docs/d": "doc", "to/f": "two"},
        f"{url}#dev": {"to/docs/d": "doc", "to/f": "dev"},
        f"{url}#v1": {"to/docs/d": "doc", "to/f": "one"},
        f"{url}#{first}": {"to/docs/d": "doc", "to/f": "one"},
        f"{url}#v1:docs": {"to/d": "doc"},
        f"{url}?tag=v1&subdir=docs": {"to/d": "doc"},
        f"{url}?branch=dev": {"to/docs/d": "doc", "to/f": "dev"},
        f"{url}?commit={first}": {"to/docs/d": "doc", "to/f": "one"},
        f"--checksum={first[:9]} {url}#v1": {"to/docs/d": "doc", "to/f": "one"},
        f"--exclude=docs {url}#v1": {"to/f": "one"},
    }.items():
        assert bench.files(bench.add(f"{words} /to")) == wanted
    assert list(bench.engine.store.paths.tmp.iterdir()) == []


def test_a_repository_may_have_the_longer_digests(bench: Bench, site: GitSite) -> None:
    site.make("long.git", "--object-format=sha256")
    commit = site.commit("long.git", {"f": "one"}, branch="first")
    site.commit("long.git", {"f": "two"})
    for smart in (True, False):
        site.smart = smart
        for words, wanted in ((f"{site.url}/long.git", "two"), (f"--keep-git-dir {site.url}/long.git#{commit}", "one")):
            assert bench.files(bench.add(f"{words} /to", no_cache=True)) == {"to/f": wanted}


def test_files_have_their_modes_one_time_and_root_as_owner(bench: Bench, site: GitSite) -> None:
    work = site.root / "work/r.git"
    (work / "x").write_text("#!")
    (work / "x").chmod(0o755)
    (work / "link").symlink_to("x")
    site.commit("r.git", {"f": "f"})
    tree = bench.tree(bench.add(f"{site.url}/r.git /"))
    states = {name: os.lstat(tree / name) for name in ("x", "f", "link")}
    assert [state.st_mode & 0o777 for state in (states["x"], states["f"])] == [0o755, 0o644]
    assert {(state.st_mtime, state.st_uid) for state in states.values()} == {(315_619_200, os.geteuid())}
    assert os.readlink(tree / "link") == "x"


def test_what_counts_for_the_cache_is_the_commit(bench: Bench, site: GitSite) -> None:
    commit = site.commit("r.git", {"f": "one"})
    first = bench.add(f"{site.url}/r.git /")
    site.asked.clear()
    assert bench.add(f"{site.url}/r.git /").steps[-1].cached
    assert all("git-upload-pack" in path for path, _ in site.asked)
    assert len(site.asked) <= 2
    site.asked.clear()
    again = bench.add(f"{site.url}/r.git#{commit} /")
    promised = bench.add(f"--checksum={commit} {site.url}/r.git#main /")
    assert again.image.diff_ids == promised.image.diff_ids == first.image.diff_ids
    site.asked.clear()
    assert bench.add(f"{site.url}/r.git#{commit} /").steps[-1].cached
    assert bench.add(f"--checksum={commit} {site.url}/r.git#main /").steps[-1].cached
    assert site.asked == []
    assert {"uri": f"{site.url}/r.git#main", "digest": {"sha1": commit}} in promised.provenance.materials
    site.commit("r.git", {"f": "two"})
    assert not bench.add(f"{site.url}/r.git /").steps[-1].cached


def test_another_commit_than_promised_is_refused_with_the_line(bench: Bench, site: GitSite) -> None:
    site.commit("r.git", {"f": "one"})
    for checksum in ("0123456789", "0123456789abcdef0123456789abcdef01234567"):
        with pytest.raises(DigestMismatch, match=r"Dockerfile:2: .*and not 0123456789"):
            bench.add(f"--checksum={checksum} {site.url}/r.git#main /")
    with pytest.raises(DockerfileError, match="no branch, tag or commit nope"):
        bench.add(f"{site.url}/r.git#nope /")
    with pytest.raises(DockerfileError, match="has no folder nope"):
        bench.add(f"{site.url}/r.git#main:nope /")
    with pytest.raises(LabError, match="Dockerfile:2: "):
        bench.add(f"{site.url}/missing.git /")
    assert list(bench.engine.store.paths.tmp.iterdir()) == []


def test_the_repository_itself_is_kept_where_it_is_wanted_and_is_the_same_each_time(bench: Bench, site: GitSite) -> None:
    commit = site.commit("r.git", {"f": "one"}, tag="v1")
    builds = [bench.add(f"--keep-git-dir=true {site.url}/r.git#v1 /src", no_cache=True) for _ in range(2)]
    assert len({build.image.id for build in builds}) == 1
    shutil.copytree(bench.tree(builds[0]) / "src", bench.context / "copy", symlinks=True)
    assert git(bench.context / "copy", "rev-parse", "HEAD") == commit
    assert git(bench.context / "copy", "status", "--porcelain") == ""
    assert not (bench.tree(bench.add(f"{site.url}/r.git#v1 /src")) / "src/.git").exists()
    assert (bench.tree(bench.add(f"{site.url}/r.git?keep-git-dir=1 /src")) / "src/.git").is_dir()


def test_submodules_come_along_with_theirs(bench: Bench, site: GitSite) -> None:
    for name in ("inner.git", "outer.git"):
        site.make(name)
    site.commit("inner.git", {"i": "inner"})
    for name, below in (("outer.git", "inner.git"), ("r.git", "outer.git")):
        work = site.root / "work" / name
        git(work, "submodule", "add", "-q", str(site.root / "bare" / below), "below")
        (work / ".gitmodules").write_text(f'[submodule "below"]\n\tpath = below\n\turl = ../{below}\n')
        site.commit(name, {"own": name})
    for smart in (True, False):
        site.smart = smart
        found = bench.files(bench.add(f"{site.url}/r.git /", no_cache=True))
        assert found == {".gitmodules": found[".gitmodules"], "below/.gitmodules": found["below/.gitmodules"],
                         "below/below/i": "inner", "below/own": "outer.git", "own": "r.git"}  # fmt: skip
    assert sorted(bench.files(bench.add(f"{site.url}/r.git?submodules=false /"))) == [".gitmodules", "own"]
    kept = bench.add(f"--keep-git-dir {site.url}/r.git /", no_cache=True)
    assert kept.image.id == bench.add(f"--keep-git-dir {site.url}/r.git /", no_cache=True).image.id


def test_a_token_goes_to_its_server_alone_and_is_kept_nowhere(
    bench: Bench, site: GitSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import base64

    site.commit("r.git", {"f": "one"})
    site.password = base64.b64encode(f"x-access-token:{CANARY}".encode()).decode()
    with pytest.raises(Denied, match="Dockerfile:2: "):
        bench.add(f"{site.url}/r.git /")
    monkeypatch.setenv("TOKEN", CANARY)
    told: list[str] = []
    build = bench.add(f"{site.url}/r.git /", secrets="id=GIT_AUTH_TOKEN,env=TOKEN", on_event=lambda event: told.append(repr(event)))
    host = site.url.removeprefix("http://")
    bench.add(f"{site.url}/r.git /again", secrets=f"id=GIT_AUTH_TOKEN.{host},env=TOKEN")
    monkeypatch.setenv("HEADER", f"basic {site.password}")
    bench.add(f"{site.url}/r.git /header", secrets="id=GIT_AUTH_HEADER,env=HEADER")
    with pytest.raises(Denied) as caught:
        bench.add(f"{site.url}/r.git /other", secrets="id=GIT_AUTH_TOKEN.other.example,env=TOKEN")
    bench.add(
        f"{site.url.replace('//', f'//x-access-token:{CANARY}@')}/r.git /address", secrets="id=GIT_AUTH_TOKEN.other.example,env=TOKEN"
    )
    for canary in (CANARY, site.password):
        assert canary not in str(caught.value) + repr(build) + "".join(told) + repr(build.image.history)
        for path in bench.engine.paths.root.rglob("*"):
            if path.is_file():
                assert canary.encode() not in path.read_bytes(), path


def test_contexts_of_git(bench: Bench, site: GitSite) -> None:
    text = "FROM scratch\nCOPY f /\n"
    site.commit(
        "r.git", {"Dockerfile": text, "f": "top", ".dockerignore": "f", "sub/Other": "FROM scratch\nCOPY g /\n", "sub/g": "g"}, tag="v1"
    )
    images = bench.engine.images
    assert bench.files(images.build(f"{site.url}/r.git")) == {"f": "top"}
    again = images.build(f"{site.url}/r.git#v1")
    assert again.steps[-1].cached
    told = again.provenance.to_json()
    assert told["buildDefinition"]["externalParameters"]["configSource"]["uri"] == f"{site.url}/r.git#v1"
    assert told["runDetails"]["metadata"]["buildkit_hermetic"]
    assert bench.files(images.build(f"{site.url}/r.git#v1:sub", dockerfile="Other")) == {"g": "g"}
    named = {"r": f"{site.url}/r.git#v1:sub"}
    assert bench.files(
        bench.engine.images.build(bench.context, dockerfile_text="FROM scratch\nCOPY --from=r g /n\n", build_contexts=named)
    ) == {"n": "g"}
    with pytest.raises(DockerfileError, match=r"no such file in the build context: \.git"):
        images.build(f"{site.url}/r.git", dockerfile_text="FROM scratch\nCOPY .git /g\n")
    kept = images.build(
        f"{site.url}/r.git", dockerfile_text="FROM scratch\nCOPY .git/HEAD /g\n", build_args={"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"}
    )
    assert "g" in os.listdir(bench.tree(kept))
    assert list(bench.engine.store.paths.tmp.iterdir()) == []


def test_the_time_of_a_context_is_that_of_its_commit(bench: Bench, site: GitSite) -> None:
    text = "ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nARG SOURCE_DATE_EPOCH\nCOPY f /\n"
    site.commit("r.git", {"Dockerfile": text, "f": "top", "sub/Dockerfile": text, "sub/f": "sub"})
    for address in (f"{site.url}/r.git", f"{site.url}/r.git#main:sub"):
        build = bench.engine.images.build(address)
        assert build.image.config.created == "2023-11-14T22:13:20Z"
        assert (bench.tree(build) / "f").stat().st_mtime == 1_700_000_000
        assert build.image.config.history[0].created_by == "ARG SOURCE_DATE_EPOCH=1700000000"
    stage = f"FROM scratch AS src\nADD --keep-git-dir {site.url}/r.git /\nFROM scratch\nLABEL a=b\n"
    assert (
        bench.engine.images.build(bench.context, dockerfile_text=f"ARG SOURCE_DATE_EPOCH=src\n{stage}").image.config.created
        == "2023-11-14T22:13:20Z"
    )
    # a number of the caller's goes before it
    numbered = bench.engine.images.build(f"{site.url}/r.git", build_args={"SOURCE_DATE_EPOCH": "1600000000"})
    assert numbered.image.config.created == "2020-09-13T12:26:40Z"


def test_without_git_or_an_agent_the_way_out_is_told(bench: Bench, site: GitSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(Denied, match="no SSH agent"):
        bench.add("git@127.0.0.1:r.git /")
    with pytest.raises(Unavailable, match="Dockerfile:2: "):
        bench.add("git://127.0.0.1:1/r.git /")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="git is not installed"):
        bench.add(f"{site.url}/r.git /")
