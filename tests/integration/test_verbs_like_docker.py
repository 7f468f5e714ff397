"""Answers of verbs to odd requests, compared once with Docker 28.5 and kept here: exit codes and what stands on which stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Container, Engine
from labcontainers.errors import Conflict, ContainerExit, StartFailed
from tests.command_lines import said

pytestmark = pytest.mark.alike("ordinary users")

DEADLINE_S = 60.0


@pytest.fixture
def sleeper(engine: Engine) -> Container:
    return engine.containers.run("lab/base", ["sleep", "300"], name="sleeper", network="none", detach=True, stop_timeout=0)


def eventually(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def written_in_time(container: Container, text: str) -> None:
    """Wait until this is all that it has written."""
    eventually(lambda: container.logs().text == text, f"{container.name} has not written {text!r} alone")


class TestStart:
    def test_one_that_runs_is_left_alone_and_named(self, engine: Engine, sleeper: Container, capfd: pytest.CaptureFixture[str]) -> None:
        before = sleeper.inspect()["State"]
        assert said(engine, capfd, "start", "sleeper", "sleeper") == (0, "sleeper\nsleeper\n", "")
        after = sleeper.start().inspect()["State"]
        assert (after["Pid"], after["StartedAt"]) == (before["Pid"], before["StartedAt"])

    def test_one_that_is_not_there_does_not_keep_the_others_from_it(
        self, engine: Engine, sleeper: Container, capfd: pytest.CaptureFixture[str]
    ) -> None:
        code, out, err = said(engine, capfd, "start", "nosuch", "sleeper")
        assert (code, out) == (1, "sleeper\n")
        assert "no such container: nosuch" in err

    @pytest.mark.needs("cgroups")
    def test_one_that_is_paused_is_refused(self, sleeper: Container) -> None:
        sleeper.pause()
        with pytest.raises(Conflict, match="cannot start the paused container sleeper"):
            sleeper.start()

    def test_dash_a_attaches_to_one_that_runs(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        script = "while [ ! -e /go ]; do sleep 0.05; done; echo gone; exit 7"
        container = engine.containers.run("lab/base", ["sh", "-c", script], name="waits", network="none", detach=True)
        container.exec(["sh", "-c", "(sleep 1; touch /go) >/dev/null 2>&1 &"])
        assert said(engine, capfd, "start", "-a", "waits") == (7, "gone\n", "")


class TestRestart:
    def test_one_that_is_to_be_removed_at_its_end_stays_through_a_restart(self, engine: Engine) -> None:
        options = {"network": "none", "detach": True, "remove": True, "stop_timeout": 0}
        container = engine.containers.run("lab/base", ["sh", "-c", "echo x >>/kept; sleep 300"], name="kept", **options)
        for lives in ("1", "2", "3"):
            eventually(lambda lives=lives: container.exec(["wc", "-l", "/kept"]).stdout.split()[:1] == [lives], f"no life {lives}")
            if lives != "3":
                container.restart()
        container.stop()
        assert engine.containers.list(all=True) == []

    def test_its_signal_its_time_and_its_log_are_those_that_were_said(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        script = "trap 'echo heard; exit 3' USR1; trap '' TERM; echo up; while :; do sleep 0.05; done"
        container = engine.containers.run("lab/base", ["sh", "-c", script], name="deaf", network="none", detach=True)
        written_in_time(container, "up\n")
        assert said(engine, capfd, "restart", "-s", "USR1", "-t", "60", "deaf") == (0, "deaf\n", "")
        written_in_time(container, "up\nheard\nup\n")
        assert said(engine, capfd, "restart", "-t", "0", "deaf") == (0, "deaf\n", "")
        written_in_time(container, "up\nheard\nup\nup\n")
        dies = [event.attributes["exitCode"] for event in engine.events.read() if event.id == container.id and event.action == "die"]
        assert dies == ["3", "137"]


class TestNames:
    def test_that_of_one_that_was_removed_at_its_end_is_free_at_once(self, engine: Engine) -> None:
        engine.containers.create("lab/base", ["true"], name="renamed", network="none")
        for again in (
            lambda: engine.containers.create("lab/base", ["true"], name="gone", network="none").remove(),
            lambda: engine.containers.get("renamed").rename("gone"),
        ):
            gone = engine.containers.run("lab/base", ["true"], name="gone", network="none", detach=True, remove=True)
            eventually(lambda gone=gone: not (engine.paths.containers / gone.id).exists(), "its shim has not removed it")
            again()
        assert [container.name for container in engine.containers.list(all=True)] == ["gone"]


class TestStop:
    SCRIPT = "trap 'exit 3' USR1; trap 'sleep 0.5; exit 4' TERM; echo up; while :; do sleep 0.05; done"
    # (flags, exit code), of a container that is killed at once unless more time is said
    CASES = (((), 137), (("-s", "USR1", "-t", "60"), 3), (("-t", "60"), 4), (("-t", "-1"), 4), (("--signal", "KILL"), 137))

    @pytest.mark.parametrize(("flags", "exit_code"), CASES)
    def test_the_signal_and_the_time_are_those_that_were_said(
        self, engine: Engine, capfd: pytest.CaptureFixture[str], flags: tuple[str, ...], exit_code: int
    ) -> None:
        options = {"network": "none", "detach": True, "stop_timeout": 0}
        container = engine.containers.run("lab/base", ["sh", "-c", self.SCRIPT], name="it", **options)
        written_in_time(container, "up\n")
        assert said(engine, capfd, "stop", *flags, "it") == (0, "it\n", "")
        assert (container.status, container.state.exit_code) == ("exited", exit_code)


class TestKill:
    def test_several_are_sent_the_signal_that_was_said(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        script = "trap 'exit 5' HUP; echo up; while :; do sleep 0.05; done"
        for name in ("one", "two"):
            written_in_time(engine.containers.run("lab/base", ["sh", "-c", script], name=name, network="none", detach=True), "up\n")
        assert said(engine, capfd, "kill", "--signal", "SIGHUP", "one", "two") == (0, "one\ntwo\n", "")
        assert said(engine, capfd, "wait", "one", "two") == (0, "5\n5\n", "")


class TestRemove:
    def test_with_v_its_nameless_volumes_go_too(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        for name in ("one", "two"):
            engine.containers.create("lab/base", ["true"], name=name, volumes=["/nameless", "kept:/kept"])
        assert len(engine.volumes.list()) == 3
        assert said(engine, capfd, "rm", "one") == (0, "one\n", "")
        assert len(engine.volumes.list()) == 3
        assert said(engine, capfd, "rm", "-v", "two") == (0, "two\n", "")
        assert len(engine.volumes.list()) == 2

    def test_force_takes_one_that_is_gone_for_removed(self, engine: Engine, sleeper: Container, capfd: pytest.CaptureFixture[str]) -> None:
        assert said(engine, capfd, "rm", "-f", "sleeper", "sleeper", "nosuch") == (
            0, "sleeper\n", "no such container: sleeper\nno such container: nosuch\n",
        )  # fmt: skip
        assert said(engine, capfd, "rm", "nosuch")[:2] == (1, "")


class TestExec:
    def test_a_working_directory_that_is_not_there_is_127(self, sleeper: Container) -> None:
        with pytest.raises(StartFailed) as caught:
            sleeper.exec(["pwd"], working_dir="/nosuch")
        assert (caught.value.exit_code, caught.value.message) == (127, "working directory '/nosuch': no such file or directory")

    def test_it_is_what_its_flags_say(self, engine: Engine, sleeper: Container, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        (tmp_path / "variables").write_text("FILE=1\nBOTH=file\n")
        user = "0:0" if engine.info()["IDs"] == "single" else "4242:4243"
        flags = ("--env-file", f"{tmp_path}/variables", "-e", "BOTH=line", "-w", "/usr/bin", "-u", user)
        script = "echo $(id -u):$(id -g) $PWD $FILE $BOTH; touch /usr/x 2>/dev/null || echo denied"
        denied = "" if user == "0:0" else "denied\n"
        assert said(engine, capfd, "exec", *flags, "sleeper", "sh", "-c", script) == (0, f"{user} /usr/bin 1 line\n{denied}", "")

    def test_it_begins_as_its_container_does_where_nothing_is_said(self, engine: Engine) -> None:
        user = "0:0" if engine.info()["IDs"] == "single" else "4242:4243"
        options = {"user": user, "working_dir": "/usr/bin", "environment": {"A": "1"}}
        container = engine.containers.run("lab/base", ["sleep", "300"], network="none", detach=True, stop_timeout=0, **options)
        assert container.exec(["sh", "-c", "echo $(id -u):$(id -g) $PWD $A"]).stdout == f"{user} /usr/bin 1\n"

    def test_detached_it_goes_on_by_itself(self, engine: Engine, sleeper: Container, capfd: pytest.CaptureFixture[str]) -> None:
        script = "echo lost; echo begun >/begun; exec sleep 4716"
        assert said(engine, capfd, "exec", "-d", "sleeper", "sh", "-c", script) == (0, "", "")
        eventually(lambda: "sleep 4716" in sleeper.exec(["ps"]).stdout, "it was not begun")
        assert sleeper.exec(["cat", "/begun"]).stdout == "begun\n"
        assert sleeper.logs().text == ""
        assert said(engine, capfd, "exec", "-d", "sleeper", "nosuch")[:2] == (127, "")

    def test_privileged_it_has_more_than_its_container(self, engine: Engine, sleeper: Container, capfd: pytest.CaptureFixture[str]) -> None:
        look = ("sleeper", "grep", "CapEff", "/proc/self/status")
        plain, given = (int(said(engine, capfd, "exec", *flags, *look)[1].split()[1], 16) for flags in ((), ("--privileged",)))
        assert (plain & given, plain == given) == (plain, False)

    def test_its_death_is_not_told_as_its_containers(self, sleeper: Container) -> None:
        with pytest.raises(ContainerExit, match="a command in container sleeper ended with exit code 137"):
            sleeper.exec(["sh", "-c", "kill -9 $$"]).check()
        assert sleeper.status == "running"


class TestLogs:
    def test_lines_are_chosen_by_number_and_time(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        container = engine.containers.run("lab/base", ["sh", "-c", "echo a; sleep 0.3; echo b"], name="it", network="none", detach=True)
        container.wait(DEADLINE_S)
        first, last = container.logs()
        cases = (("-n", "1"), ("--tail", "1"), ("--since", f"{last.time_ns / 1e9 - 0.1:.9f}"))
        for flags in cases:
            assert said(engine, capfd, "logs", *flags, "it") == (0, "b\n", ""), flags
        assert said(engine, capfd, "logs", "--until", f"{first.time_ns / 1e9 + 0.1:.9f}", "it") == (0, "a\n", "")
        stamps = [line.split(" ") for line in said(engine, capfd, "logs", "-t", "it")[1].splitlines()]
        assert [text for _, text in stamps] == ["a", "b"]
        assert all(stamp.endswith("Z") and len(stamp) == 30 for stamp, _ in stamps)


class TestEvents:
    def test_those_of_a_span_of_time_are_read_and_no_more(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        for name in ("one", "two"):
            engine.containers.create("lab/base", ["true"], name=name, labels={"of": name}).remove()
        times = [event.time_ns for event in engine.events.read() if event.type == "container"]
        span = ("-f", "type=container", "--since", f"{times[0] / 1e9 - 0.001:.9f}", "--until", f"{(times[1] + times[2]) / 2e9:.9f}")
        shown = ("--format", "{{.Action}} {{.Actor.Attributes.name}}")
        assert said(engine, capfd, "events", *span, *shown) == (0, "create one\ndestroy one\n", "")
        until = ("--until", f"{time.time() + 1:.9f}")
        assert said(engine, capfd, "events", *until, "-f", "event=destroy", "-f", "container=two", *shown) == (0, "destroy two\n", "")


class TestDocuments:
    def test_a_kind_and_sizes_are_asked_for(self, engine: Engine, sleeper: Container, capfd: pytest.CaptureFixture[str]) -> None:
        assert said(engine, capfd, "inspect", "--type", "image", "sleeper")[:2] == (1, "[]\n")
        assert said(engine, capfd, "inspect", "--type", "container", "-f", "{{.Name}}", "sleeper")[1] == "/sleeper\n"
        size, whole = sleeper.sizes()
        assert said(engine, capfd, "inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "sleeper")[1] == f"{size} {whole}\n"

    def test_the_config_is_what_runs(self, engine: Engine) -> None:
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        made = engine.containers.create("lab/base", ["sleep", "100"], network="none", environment={"A": "1"})
        config = made.inspect()["Config"]
        assert (config["Cmd"], config["Entrypoint"], config["Env"]) == (["sleep", "100"], None, ["A=1", path])
        made = engine.containers.create("lab/base", ["-c", "true"], entrypoint="sh", network="none", environment={"PATH": "/bin"})
        config = made.inspect()["Config"]
        assert (config["Cmd"], config["Entrypoint"], config["Env"]) == (["-c", "true"], ["sh"], ["PATH=/bin"])
        assert engine.containers.create("lab/base", network="none").inspect()["Config"]["Cmd"] == ["sh"]

    @pytest.mark.needs("network")
    def test_the_idiom_that_asks_for_the_address_works(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        container = engine.containers.run("lab/base", ["sleep", "300"], name="web", detach=True, stop_timeout=0)
        code, out, _ = said(engine, capfd, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "web")
        settings = container.inspect()["NetworkSettings"]
        assert (code, out) == (0, settings["IPAddress"] + "\n")
        assert settings["Networks"]["bridge"]["Gateway"] == settings["Gateway"]
        sharing = engine.containers.create("lab/base", ["true"], network="container:web")
        assert sharing.inspect()["NetworkSettings"]["Networks"] == {}

    def test_an_image_says_what_its_commit_was_told(self, engine: Engine, sleeper: Container) -> None:
        image = sleeper.commit("said", message="why", author="me")
        assert (image.inspect()["Comment"], image.inspect()["Author"], image.inspect()["Config"]["Cmd"]) == ("why", "me", ["sleep", "300"])

    def test_an_images_document_has_what_its_config_does_not_say(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        template = "{{json .Config.User}} {{json .Config.Volumes}} {{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .Config.Labels}}"
        assert said(engine, capfd, "image", "inspect", "-f", template, "lab/base") == (0, '"" null null ["sh"] null\n', "")


class TestListings:
    def test_what_is_not_there_has_an_empty_document(self, engine: Engine, sleeper: Container, capfd: pytest.CaptureFixture[str]) -> None:
        assert said(engine, capfd, "inspect", "nosuch")[:2] == (1, "[]\n")
        assert said(engine, capfd, "inspect", "-f", "{{.Name}}", "sleeper", "nosuch")[:2] == (1, "/sleeper\n")

    def test_a_slip_in_a_template_is_told_when_there_is_nothing_to_list(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        code, out, err = said(engine, capfd, "ps", "--format", "{{.Nosuch}}")
        assert (code, out) == (1, "")
        assert "Nosuch" in err

    COMMANDS = (
        (["sleep", "12345678901234"], '"sleep 12345678901234"', '"sleep 12345678901234"'),
        (["sh", "-c", 'sleep 100; echo "a\tb"\nexit'], '"sh -c \'sleep 100; e…"', '"sh -c \'sleep 100; echo \\"a\\tb\\"\\nexit\'"'),
    )

    @pytest.mark.parametrize(("command", "short", "whole"), COMMANDS)
    def test_commands_are_quoted_and_cut_where_docker_does(
        self, engine: Engine, capfd: pytest.CaptureFixture[str], command: list[str], short: str, whole: str
    ) -> None:
        engine.containers.create("lab/base", command, network="none")
        assert said(engine, capfd, "ps", "-a", "--format", "{{.Command}}")[1] == short + "\n"
        assert said(engine, capfd, "ps", "-a", "--no-trunc", "--format", "{{.Command}}")[1] == whole + "\n"

    def test_json_is_as_go_writes_it(self, engine: Engine, sleeper: Container, capfd: pytest.CaptureFixture[str]) -> None:
        assert said(engine, capfd, "inspect", "-f", "{{json .Config.Cmd}}", "sleeper")[1] == '["sleep","300"]\n'

    def test_columns_stand_where_docker_has_them(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        heads = "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
        assert said(engine, capfd, "ps") == (0, heads, "")
