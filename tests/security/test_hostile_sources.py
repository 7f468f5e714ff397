"""What servers, archives and repositories try against a build that takes files from them: the host is neither read, written nor run."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.remotes.unfolding import unfold
from labcontainers.errors import DockerfileError, InvalidArgument, LabError
from tests.fakes.git_site import GitSite, git, git_site
from tests.fakes.tar_maker import END, entry

SECRET = "only the host may read this"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder of the host with a secret, which is as it was at the end."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    yield folder
    assert sorted(os.listdir(folder)) == ["secret"]
    assert (folder / "secret").read_text() == SECRET


def archive(*members: tuple[str, bytes, str, bytes]) -> bytes:
    """Entries of (name, kind, target of a link, content)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as packed:
        for name, kind, target, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, target, len(content)
            packed.addfile(info, io.BytesIO(content))
    return made.getvalue()


class TestArchivesAsContexts:
    @pytest.mark.parametrize("name", ["../x", "a/../../x", "/../x", ".."])
    def test_a_name_that_leads_out_is_refused(self, engine: Engine, outside: Path, name: str) -> None:
        data = archive(("Dockerfile", tarfile.REGTYPE, "", b"FROM scratch\n"), (name, tarfile.REGTYPE, "", b"evil"))
        with pytest.raises(InvalidArgument, match="leads out"):
            engine.images.build(archive=data)
        assert list(engine.store.paths.tmp.iterdir()) == []

    def test_links_lead_nowhere_but_into_the_context(self, engine: Engine, outside: Path) -> None:
        data = archive(
            ("up", tarfile.SYMTYPE, "../../../../../../../../../../.." + str(outside), b""),
            ("abs", tarfile.SYMTYPE, str(outside), b""),
            ("secret", tarfile.SYMTYPE, str(outside / "secret"), b""),
            ("Dockerfile", tarfile.REGTYPE, "", b"FROM scratch\nCOPY . /all/\n"),
        )
        build = engine.images.build(archive=data)
        top = Path(engine.store.snapshots.lower_paths(build.image.diff_ids)[0])
        assert os.readlink(top / "all/secret") == str(outside / "secret")
        for source in ("secret", "abs/secret", "up/secret"):
            with pytest.raises(LabError, match="no such file in the build context"):
                engine.images.build(archive=data, dockerfile_text=f"FROM scratch\nCOPY {source} /x\n")
        with pytest.raises(LabError) as caught:
            engine.images.build(archive=data, dockerfile="secret")
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize("target", ["up", "abs"])
    def test_an_entry_below_a_link_stays_inside(self, tmp_path: Path, outside: Path, target: str) -> None:
        way = {"up": "../" * 12 + str(outside)[1:], "abs": str(outside)}[target]
        data = archive(
            ("d", tarfile.SYMTYPE, way, b""), ("d/evil", tarfile.REGTYPE, "", b"evil"), ("d/secret", tarfile.REGTYPE, "", b"evil")
        )
        with pytest.raises(InvalidArgument):
            self._unfolded(tmp_path, data)

    @pytest.mark.parametrize("target", ["../secret", "/secret", "s"])
    def test_a_hard_link_is_to_a_file_of_the_archive(self, tmp_path: Path, outside: Path, target: str) -> None:
        data = archive(("s", tarfile.SYMTYPE, str(outside / "secret"), b""), ("h", tarfile.LNKTYPE, target, b""))
        with pytest.raises(InvalidArgument):
            self._unfolded(tmp_path, data)

    # buildkit CVE-2026-15789: what whoever builds calls a source becomes the place to which it is written
    def test_the_name_of_a_context_is_no_place(self, engine: Engine, tmp_path: Path, outside: Path) -> None:
        folder = tmp_path / "named"
        folder.mkdir()
        (folder / "secret").write_text("evil")
        before = sorted(tmp_path.iterdir())
        for name in ("../outside", "../../../outside", str(outside), "..", ".", "a/../../outside", "outside/secret", "x\0y"):
            with contextlib.suppress(LabError):
                text = f"FROM scratch\nCOPY --from={name} secret /x\n"
                engine.images.build(folder, dockerfile_text=text, build_contexts={name: folder})
            assert list(engine.store.paths.tmp.iterdir()) == []
        assert sorted(tmp_path.iterdir()) == before

    def test_devices_and_pipes_are_left_out_and_what_nobody_may_read_can_be_read(self, tmp_path: Path) -> None:
        data = entry(b"dev", kind=b"3", device=(1, 3)) + entry(b"pipe", kind=b"6") + entry(b"d/", kind=b"5", mode=0)
        folder = self._unfolded(tmp_path, data + entry(b"d/f", b"f", mode=0o4000) + END)
        assert sorted(path.name for path in folder.rglob("*")) == ["d", "f"]
        assert (folder / "d/f").read_text() == "f"

    def test_a_damaged_one_is_told_of_and_leaves_nothing(self, engine: Engine) -> None:
        whole = archive(("Dockerfile", tarfile.REGTYPE, "", b"FROM scratch\n" * 200))
        with pytest.raises(InvalidArgument):
            engine.images.build(archive=whole[:1500])
        assert list(engine.store.paths.tmp.iterdir()) == []

    def _unfolded(self, tmp_path: Path, data: bytes) -> Path:
        (tmp_path / "a.tar").write_bytes(data)
        folder = tmp_path / "folder"
        folder.mkdir()
        assert unfold(tmp_path / "a.tar", folder) is not None
        return folder


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GitSite]:
    with git_site(tmp_path / "site") as site:
        site.make("r.git")
        yield site


@pytest.mark.needs("git")
class TestRepositories:
    def build(self, engine: Engine, tmp_path: Path, source: str) -> Path:
        build = engine.images.build(tmp_path, dockerfile_text=f"FROM scratch\nADD {source} /\n")
        return Path(engine.store.snapshots.lower_paths(build.image.diff_ids)[0])

    @pytest.mark.parametrize("way", ["ext", "file", "option"])
    def test_the_address_of_a_submodule_starts_no_program_and_reads_no_file(
        self, engine: Engine, tmp_path: Path, site: GitSite, way: str
    ) -> None:
        site.make("private.git")
        site.commit("private.git", {"secret": SECRET})
        work = site.root / "work/r.git"
        git(work, "submodule", "add", "-q", str(site.root / "bare/private.git"), "below")
        mark = tmp_path / "was-run"
        url = {
            "ext": f"ext::sh -c touch% {mark}", "file": f"file://{site.root}/bare/private.git", "option": f"-u touch {mark}"
        }[way]  # fmt: skip
        (work / ".gitmodules").write_text(f'[submodule "below"]\n\tpath = below\n\turl = {url}\n\tupdate = !touch {mark}\n')
        site.commit("r.git", {"f": "f"})
        with pytest.raises(LabError, match="git"):
            self.build(engine, tmp_path, f"{site.url}/r.git")
        assert not mark.exists()
        assert list(engine.store.paths.tmp.iterdir()) == []

    def test_neither_the_users_configuration_nor_hooks_count(
        self, engine: Engine, tmp_path: Path, site: GitSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mark = tmp_path / "was-run"
        hooks = tmp_path / "hooks"
        hooks.mkdir()
        for name in ("post-checkout", "reference-transaction"):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
            (hooks / name).chmod(0o755)
        config = tmp_path / "home/.gitconfig"
        config.parent.mkdir()
        config.write_text(
            f'[core]\n\thooksPath = {hooks}\n\tfsmonitor = touch {mark}\n[url "http://127.0.0.1:1/"]\n\tinsteadOf = {site.url}/\n'
        )
        for name, value in {
            "HOME": str(config.parent),
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_DIR": str(tmp_path),
            "GIT_EXEC_PATH": "/x",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("GIT_TEMPLATE_DIR", str(hooks))
        with monkeypatch.context() as plain:
            for name in ("GIT_DIR", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_CONFIG_GLOBAL"):
                plain.delenv(name)
            site.commit("r.git", {"f": "f"})
        assert (self.build(engine, tmp_path, f"{site.url}/r.git") / "f").read_text() == "f"
        assert not mark.exists()

    def test_a_folder_that_is_a_link_stays_in_the_tree(self, engine: Engine, tmp_path: Path, site: GitSite, outside: Path) -> None:
        work = site.root / "work/r.git"
        (work / "out").symlink_to(outside)
        (work / "up").symlink_to("../" * 20 + str(outside)[1:])
        (work / "Dockerfile").symlink_to(outside / "secret")
        site.commit("r.git", {"f": "f"})
        for name in ("out", "up", f"../../../../../../../..{outside}", f"%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{outside}"):
            with pytest.raises(DockerfileError, match="has no folder"):
                self.build(engine, tmp_path, f"{site.url}/r.git#main:{name}")
        with pytest.raises(LabError, match="no such Dockerfile"):
            engine.images.build(f"{site.url}/r.git")

    @pytest.mark.parametrize("ref", ["--upload-pack=touch${IFS}x", "-c", "a b", "main;touch x", "$(touch x)"])
    def test_a_ref_is_no_option_and_no_command(self, engine: Engine, tmp_path: Path, site: GitSite, ref: str) -> None:
        site.commit("r.git", {"f": "f"})
        with pytest.raises(LabError):
            engine.images.build(tmp_path, dockerfile_text=f"FROM scratch\nARG R='{ref}'\nADD \"{site.url}/r.git#$R\" /\n")
        assert not (tmp_path / "x").exists()

    # buildkit CVE-2026-15793: git was given what a repository calls its branches, to make a bundle of
    def test_names_of_a_repository_are_no_options_and_no_commands(
        self, engine: Engine, tmp_path: Path, site: GitSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mark, told = tmp_path / "was-run", tmp_path / "told"
        commit = site.commit("r.git", {"f": "f", "-x": "f", "--upload-pack=y": "f"})
        bare = site.root / "bare/r.git"
        run = f"touch${{IFS}}{mark}"
        names = [name + run for name in ("refs/heads/--upload-pack=", "refs/heads/-o", "refs/tags/;", "refs/tags/$(")]
        for name in names:
            git(bare, "update-ref", name, commit)
        git(bare, "symbolic-ref", "HEAD", names[0])
        git(bare, "update-server-info")
        (tmp_path / "bin").mkdir()
        # a git that tells what a build asks it for, and not a test's server
        script = f'#!/bin/sh\n[ -z "$GIT_ALLOW_PROTOCOL" ] || echo "$1" >> {told}\nexec {shutil.which("git")} "$@"\n'
        (tmp_path / "bin/git").write_text(script)
        (tmp_path / "bin/git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        for site.smart, query in ((True, "?keep-git-dir=1"), (False, "")):
            for ref in ("", f"#{commit}", "#main"):
                assert (self.build(engine, tmp_path / "bin", f"{site.url}/r.git{query}{ref}") / "f").read_text() == "f"
        assert not mark.exists()
        assert "ls-remote" in told.read_text().split()
        assert "bundle" not in told.read_text().split()
