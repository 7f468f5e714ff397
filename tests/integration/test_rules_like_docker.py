"""Rules of Docker's command line that scripts lean on: what an empty value means, what --force forgives, what is told of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers import Container, Engine
from labcontainers.errors import InvalidArgument, NotFound
from tests.command_lines import said

pytestmark = pytest.mark.alike("ordinary users")

# Flags whose empty value is as if they were left out, by command line; {} is a container that runs
EMPTY = (
    *(
        ("run", "--rm", flag, "", "--network", "none", "lab/base", "echo", "there")
        for flag in ("--name", "--user", "--workdir", "--hostname", "--domainname", "--stop-signal", "--mac-address", "--cidfile", "--pull")
    ),
    ("run", "--rm", "--network", "", "lab/base", "echo", "there"),
    ("exec", "--user", "", "--workdir", "", "{}", "echo", "there"),
    ("logs", "--since", "", "--until", "", "{}"),
    ("ps", "--filter", "", "--format", "there"),
    ("inspect", "--type", "", "--format", "there", "{}"),
)
# Of a name that is there and one that is not, what is told on standard output
INSPECTED = (
    ("inspect", ("nosuch", "web"), "/web\n"),
    ("volume inspect", ("nosuch", "vol"), "vol\n"),
    ("network inspect", ("nosuch", "bridge"), "bridge\n"),
)


@pytest.fixture
def web(engine: Engine) -> Container:
    """One that has written its only line."""
    command = ["sh", "-c", "echo there; sleep 300"]
    container = engine.containers.run("lab/base", command, name="web", network="none", detach=True, stop_timeout=0)
    next(iter(container.logs(follow=True)))
    return container


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_empty_value_is_as_none(engine: Engine, web: Container, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    code, out, err = said(engine, capfd, *(word.format(web.id) for word in words))
    assert (code, out.split("\n")[0]) == (0, "there"), err


def test_an_empty_filter_of_volumes_lets_all_through(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    engine.volumes.create("vol")
    assert said(engine, capfd, "volume", "ls", "-q", "--filter", "") == (0, "vol\n", "")


def test_what_is_killed_has_ended(engine: Engine, web: Container) -> None:
    web.kill()
    assert not web.state.running
    web.remove()


@pytest.mark.needs("cgroups")
def test_a_paused_one_that_is_killed_has_ended(engine: Engine, web: Container) -> None:
    web.pause()
    web.kill()
    assert web.state.exit_code == 137
    web.remove()


def test_an_empty_signal_kills(engine: Engine, web: Container, capfd: pytest.CaptureFixture[str]) -> None:
    assert said(engine, capfd, "kill", "--signal", "", "web")[0] == 0
    assert web.state.exit_code == 137


class TestImages:
    def test_force_takes_one_that_is_not_there_for_removed(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        engine.images.tag("lab/base", "mine:1")
        code, out, err = said(engine, capfd, "rmi", "--force", "nosuch", "mine:1", "mine:2")
        assert (code, out) == (0, "Untagged: mine:1\n")
        assert err.splitlines() == ["no such image: nosuch", "no such image: mine:2"]
        assert said(engine, capfd, "rmi", "nosuch")[0] == 1

    def test_a_name_with_a_digest_that_is_none_of_its_own_removes_nothing(self, engine: Engine) -> None:
        image = engine.images.tag("lab/base", "mine:1")
        for force in (False, True):
            with pytest.raises(NotFound, match="no such image: other@sha256:"):
                engine.images.remove(f"other@{image.manifest_digest}", force=force)
        assert engine.images.get("mine:1").id == image.id

    @pytest.mark.parametrize("digits", [4, 12, 64])
    def test_an_id_may_be_shortened_behind_its_algorithm(self, engine: Engine, digits: int) -> None:
        image = engine.images.get("lab/base")
        assert engine.images.get(image.id[: len("sha256:") + digits]).id == image.id

    @pytest.mark.parametrize("name", ["sha256:mine", "sha256"])
    def test_none_is_named_as_a_digest_is(self, engine: Engine, name: str) -> None:
        with pytest.raises(InvalidArgument, match="digest algorithm as name"):
            engine.images.tag("lab/base", name)
        assert engine.images.tag("lab/base", "mine/sha256:1").tags


class TestInspect:
    @pytest.mark.parametrize(("command", "names", "told"), INSPECTED, ids=[command for command, _, _ in INSPECTED])
    def test_what_is_there_is_told_beside_what_is_not(
        self, engine: Engine, web: Container, capfd: pytest.CaptureFixture[str], command: str, names: tuple[str, ...], told: str
    ) -> None:
        engine.volumes.create("vol")
        code, out, err = said(engine, capfd, *command.split(), "--format", "{{.Name}}", *names)
        assert (code, out) == (1, told)
        assert "nosuch" in err

    def test_all_that_are_not_there_are_named(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        code, out, err = said(engine, capfd, "inspect", "nosuch", "neither")
        assert (code, out) == (1, "[]\n")
        assert "nosuch" in err
        assert "neither" in err


class TestOfARun:
    @pytest.mark.parametrize("flags", [("-w", "/srv/../deep/./er/"), ("-v", "/deep/over/../er", "-w", "/deep/er")], ids=["-w", "-v"])
    def test_a_path_is_cleaned_up(self, engine: Engine, capfd: pytest.CaptureFixture[str], flags: tuple[str, ...]) -> None:
        assert said(engine, capfd, "run", "--rm", "--network", "none", *flags, "lab/base", "pwd") == (0, "/deep/er\n", "")

    def test_published_ports_are_discarded_on_the_hosts_network(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        code, out, err = said(engine, capfd, "run", "--rm", "--network", "host", "-p", "8123:80", "lab/base", "echo", "there")
        assert (code, out) == (0, "there\n")
        assert "published ports are discarded" in err

    def test_a_kernel_setting_has_a_value(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        code, _, err = said(engine, capfd, "run", "--rm", "--sysctl", "net.ipv4.ip_forward", "lab/base", "true")
        assert code == 125
        assert "--sysctl: 'net.ipv4.ip_forward'" in err


def test_a_tail_below_nothing_is_all(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    engine.containers.run("lab/base", ["sh", "-c", "echo one; echo two"], name="log", network="none")
    assert said(engine, capfd, "logs", "--tail", "-1", "log") == (0, "one\ntwo\n", "")


def test_a_volumes_name_may_be_a_flags_value(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    assert said(engine, capfd, "volume", "create", "--name", "vol") == (0, "vol\n", "")
    code, _, err = said(engine, capfd, "volume", "create", "--name", "vol", "other")
    assert code == 125
    assert "conflicting options" in err
    assert [volume.name for volume in engine.volumes.list()] == ["vol"]


def test_scripts_learn_which_machine_this_is(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    assert said(engine, capfd, "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")[1] == f"linux/{architecture}\n"
    _, out, _ = said(engine, capfd, "info", "--format", "{{.OSType}} {{.Name}} {{.ContainersPaused}} {{.LoggingDriver}}")
    assert out == f"linux {os.uname().nodename} 0 local\n"


@pytest.mark.parametrize("text", ["is-official=maybe", "is-automated=", "stars=many"])
def test_a_filter_of_a_search_is_looked_at_before_anybody_is_asked(engine: Engine, capfd: pytest.CaptureFixture[str], text: str) -> None:
    code, out, err = said(engine, capfd, "search", "--filter", text, "127.0.0.1:9/term")
    assert (code, out) == (125, "")
    assert text.partition("=")[0] in err


def test_a_volume_of_a_folder_that_is_not_there_is_named(engine: Engine, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    engine.volumes.create("gone", driver_opts={"type": "none", "o": "bind", "device": str(tmp_path / "nowhere")})
    code, out, err = said(engine, capfd, "run", "--rm", "-v", "gone:/x", "lab/base", "true")
    assert (code, out) == (125, "")
    assert f"failed to mount local volume gone: {tmp_path}/nowhere: no such file or directory" in err
    assert engine.volumes.get("gone").users == ()


class TestTheFileOfABuild:
    """-f names a file of the working folder, wherever the context is; and one of the context's where there is none."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "it").write_text("it")
        return tmp_path

    def label_of(self, engine: Engine, capfd: pytest.CaptureFixture[str], *words: str) -> str:
        code, out, err = said(engine, capfd, "build", "-q", *words)
        assert code == 0, err
        return engine.images.get(out.strip()).labels["from"]

    @pytest.mark.parametrize(("files", "name"), [(["app/F"], "app/F"), (["F"], "F"), (["F", "app/F"], "F"), (["app/F"], "F")])
    def test_is_found(self, engine: Engine, capfd: pytest.CaptureFixture[str], folder: Path, files: list[str], name: str) -> None:
        for file in files:
            (folder / file).write_text(f"FROM scratch\nCOPY it /\nLABEL from={file}\n")
        assert self.label_of(engine, capfd, "-f", name, "app") == files[0]

    def test_has_rules_of_its_own_beside_it(self, engine: Engine, capfd: pytest.CaptureFixture[str], folder: Path) -> None:
        (folder / "F").write_text("FROM scratch\nCOPY . /\nLABEL from=here\n")
        (folder / "F.dockerignore").write_text("it\n")
        (folder / "app" / "other").write_text("other")
        code, out, err = said(engine, capfd, "build", "-q", "-f", "F", "app")
        assert code == 0, err
        assert [file.path for file in engine.images.get(out.strip()).layers[0].files] == ["/other"]


@pytest.mark.parametrize("tail", ["²", "-", "--1", "1.5", "few"])
def test_a_tail_that_is_no_number_is_refused(engine: Engine, capfd: pytest.CaptureFixture[str], tail: str) -> None:
    engine.containers.run("lab/base", ["true"], name="log", network="none")
    code, _, err = said(engine, capfd, "logs", f"--tail={tail}", "log")
    assert (code, "not a number of lines" in err) == (125, True)
