"""Git by ssh and agents in steps, with OpenSSH's own server and agent on loopback: who is let in, who is not, and what is kept of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.errors import Denied, DockerfileError, InvalidArgument, Unavailable
from tests.fakes.git_site import GitSite, git
from tests.fakes.host_programs import import_programs
from tests.fakes.ssh_site import SshSite, host_line, make_key, ssh_site

CHILD = Path(__file__).with_name("ssh_child.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(CHILD.parents[2]), os.environ.get("PYTHONPATH")]))}

pytestmark = [pytest.mark.needs("git", "sshd", "a name")]


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshSite]:
    with ssh_site(tmp_path / "ssh") as site:
        yield site


class Bench:
    """An engine, and a repository that is reached by ssh."""

    def __init__(self, engine: Engine, ssh: SshSite, folder: Path) -> None:
        self.engine = engine
        self.folder = folder / "context"
        self.folder.mkdir()
        self.site = GitSite(folder / "site")
        self.site.make("r.git")
        self.site.commit("r.git", {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "by ssh"}, tag="v1")
        self.url = ssh.url(self.site.root / "bare/r.git")

    def add(self, url: str = "", **options: object) -> Build:
        text = f"FROM scratch\nADD {url or self.url} /r/\n"
        return self.engine.images.build(self.folder, dockerfile_text=text, **options)

    def file(self, build: Build, name: str) -> str:
        return (Path(self.engine.store.snapshots.lower_paths(build.image.diff_ids)[0]) / name).read_text()


@pytest.fixture
def bench(engine: Engine, ssh: SshSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("HOME", str(ssh.home()))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Bench(engine, ssh, tmp_path)


class TestGit:
    def test_a_tree_is_added_and_a_context_is_built(self, bench: Bench, ssh: SshSite) -> None:
        added = bench.add(ssh=f"default={ssh.agent}")
        assert bench.file(added, "r/f") == "by ssh"
        assert bench.add(ssh=f"default={ssh.agent}").steps[-1].cached
        built = bench.engine.images.build(f"{bench.url}#v1", ssh=f"default={ssh.agent}")
        assert bench.file(built, "f") == "by ssh"
        named = bench.engine.images.build(
            bench.folder, dockerfile_text="FROM scratch\nCOPY --from=r f /n\n", build_contexts={"r": bench.url}, ssh=f"default={ssh.agent}"
        )
        assert bench.file(named, "n") == "by ssh"

    def test_the_agent_of_the_environment_is_default(self, bench: Bench, ssh: SshSite, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(ssh.agent))
        assert bench.file(bench.add(ssh="default"), "r/f") == "by ssh"

    def test_a_key_will_do_and_its_agent_ends_with_the_build(self, bench: Bench, ssh: SshSite) -> None:
        ssh.key.chmod(0o644)
        assert bench.file(bench.add(ssh=f"default={ssh.key}"), "r/f") == "by ssh"
        private = ssh.key.read_bytes().splitlines()[1]
        for path in bench.engine.store.paths.root.rglob("*"):
            assert not path.is_file() or private not in path.read_bytes(), path

    def test_submodules_come_the_same_way(self, bench: Bench, ssh: SshSite) -> None:
        bench.site.make("inner.git")
        bench.site.commit("inner.git", {"g": "inner"})
        git(bench.site.root / "work/r.git", "submodule", "add", "-q", str(bench.site.root / "bare/inner.git"), "in")
        git(bench.site.root / "work/r.git", "config", "-f", ".gitmodules", "submodule.in.url", ssh.url(bench.site.root / "bare/inner.git"))
        bench.site.commit("r.git", {})
        assert bench.file(bench.add(ssh=f"default={ssh.agent}"), "r/in/g") == "inner"

    def test_a_server_that_nobody_knows_is_refused(self, bench: Bench, ssh: SshSite) -> None:
        ssh.home(known="")
        with pytest.raises(Denied, match=r"Dockerfile:2: .*host key is known for \[127\.0\.0\.1\]") as caught:
            bench.add(ssh=f"default={ssh.agent}")
        assert "known_hosts" in caught.value.hint

    def test_a_server_with_another_key_is_refused(self, bench: Bench, ssh: SshSite, tmp_path: Path) -> None:
        ssh.home(known=host_line(ssh.port, make_key(tmp_path / "other")))
        with pytest.raises(Denied, match=r"Host key for \[127\.0\.0\.1\].* has changed"):
            bench.add(ssh=f"default={ssh.agent}")

    def test_who_is_not_let_in_is_told_so(self, bench: Bench, ssh: SshSite, tmp_path: Path) -> None:
        with pytest.raises(Denied, match=r"Permission denied \(publickey\)"):
            bench.add(ssh=f"default={make_key(tmp_path / 'stranger')}")
        with pytest.raises(Denied, match="no SSH agent is forwarded"):
            bench.add(ssh=f"other={ssh.agent}")

    def test_a_repository_or_a_server_that_is_not_there_is_told(self, bench: Bench, ssh: SshSite) -> None:
        with pytest.raises(DockerfileError, match=r"Dockerfile:2: .*does not appear to be a git repository"):
            bench.add(bench.url + "x", ssh=f"default={ssh.agent}")
        with pytest.raises(Unavailable, match=r"(?i)connection refused"):
            bench.add("ssh://127.0.0.1:1/r.git", ssh=f"default={ssh.agent}")

    def test_an_address_without_scheme_is_one_of_ssh(self, place: Path) -> None:
        """Its port is 22, on which a server listens in a network namespace of its own."""
        owned = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
        command = ["unshare", *owned, "--net", sys.executable, CHILD, place]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHILD.parents[2], env=ENVIRONMENT)
        assert done.stdout.splitlines() == ["r/f=by ssh", "True", "f=by ssh", "n/f=by ssh"], done.stderr

    def test_an_address_without_scheme_is_told_as_it_was_written(self, bench: Bench, ssh: SshSite) -> None:
        """Whoever listens on port 22 here, or nobody, does not let this key in."""
        with pytest.raises((Denied, Unavailable), match=r"git@127\.0\.0\.9:r\.git"):
            bench.add("git@127.0.0.9:r.git", ssh=f"default={ssh.agent}")


class TestAgents:
    def test_a_step_has_the_keys_of_the_agent_and_of_a_key_file(self, bench: Bench, ssh: SshSite, tmp_path: Path) -> None:
        import_programs(bench.engine, "ssh", ["sh", "ssh-add"])
        second, third = make_key(tmp_path / "two"), make_key(tmp_path / "three")
        text = (
            "FROM ssh\nRUN --mount=type=ssh ssh-add -l\nRUN --mount=type=ssh,id=own ssh-add -l\n"
            "RUN --mount=type=ssh,id=own,target=/run/agent SSH_AUTH_SOCK=/run/agent ssh-add -d /nothing || ssh-add -l 2>&1 || true\n"
        )
        built = bench.engine.images.build(
            bench.folder, dockerfile_text=text, network="none", ssh=[f"default={ssh.agent}", f"own={second},{third}"]
        )
        outputs = [step.output for step in built.steps if step.text.startswith("RUN")]
        assert outputs[0].count("\n") == 1
        assert "key key (ED25519)" in outputs[0]
        assert ["key two" in line or "key three" in line for line in outputs[1].splitlines()] == [True, True]

    @pytest.mark.needs("network")
    def test_a_step_comes_to_the_server_with_the_agent(self, bench: Bench, ssh: SshSite) -> None:
        import_programs(bench.engine, "ssh", ["sh", "ssh"])
        command = f"ssh -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/known -p {ssh.port} {ssh.user}@127.0.0.1 echo come through"
        (bench.folder / "known").write_text(ssh.known)
        text = f"FROM ssh\nCOPY known /\nRUN --mount=type=ssh --network=host {command}\n"
        built = bench.engine.images.build(bench.folder, dockerfile_text=text, allow="network.host", ssh=f"default={ssh.agent}")
        assert built.steps[-1].output.endswith("come through\n")

    def test_what_is_no_key_is_told_before_anything_is_built(self, bench: Bench, ssh: SshSite, tmp_path: Path) -> None:
        locked = make_key(tmp_path / "locked", "a passphrase")
        (tmp_path / "gone").write_text("no key")
        for text, kind, words in (
            (f"default={locked}", InvalidArgument, "has a passphrase"),
            (f"default={tmp_path / 'gone'}", InvalidArgument, "not a private key"),
            (f"default={ssh.agent},{ssh.key}", InvalidArgument, "a socket and more"),
            (f"default={tmp_path}", InvalidArgument, "neither a socket nor a key"),
        ):
            with pytest.raises(kind, match=words):
                bench.add(ssh=text)

    def test_one_that_is_required_and_not_given_is_told_at_its_line(self, bench: Bench) -> None:
        with pytest.raises(DockerfileError, match="Dockerfile:2: no SSH agent default is forwarded"):
            bench.engine.images.build(bench.folder, dockerfile_text="FROM lab/base\nRUN --mount=type=ssh,required true\n")

    def test_nothing_of_it_is_left(self, bench: Bench, ssh: SshSite) -> None:
        bench.add(ssh=f"default={ssh.key}")
        mine = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False).stdout
        assert "labcontainers-ssh-" not in mine
