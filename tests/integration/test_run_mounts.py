"""RUN --mount on the real kernel: what a step finds, what it leaves, what counts for the cache, and what must not get out."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.progress import StepWaiting
from labcontainers.build.result import Build
from labcontainers.errors import DockerfileError, LabError
from tests.conftest import ABILITIES
from tests.waiting import until

CANARY = "canary-5f0c1a"


class Bench:
    """An engine and a context."""

    def __init__(self, engine: Engine, context: Path) -> None:
        self.engine = engine
        self.context = context
        (context / "f").write_text("one\n")
        (context / "sub").mkdir()
        (context / "sub/g").write_text("g\n")

    def build(self, text: str, **options: object) -> Build:
        return self.engine.images.build(self.context, dockerfile_text=text, network="none", **options)

    def run(self, *words: str, **options: object) -> Build:
        return self.build("FROM lab/base\nRUN " + " ".join(words), **options)

    def layer(self, build: Build) -> set[str]:
        """The paths in the image's last layer."""
        top = Path(self.engine.store.snapshots.lower_paths(build.image.diff_ids)[0])
        return {str(path.relative_to(top)) for path in top.rglob("*")}


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Bench:
    return Bench(engine, tmp_path)


class TestBind:
    def test_the_context_is_there_without_what_is_ignored_and_cannot_be_written_to(self, bench: Bench) -> None:
        (bench.context / ".dockerignore").write_text("secret\n.dockerignore\n")
        (bench.context / "secret").touch()
        build = bench.run("--mount=target=/c --mount=source=f,target=/deep/er/f ls /c /c/sub; cat /deep/er/f; touch /c/new || echo no")
        assert build.steps[-1].output.replace("touch: /c/new: Read-only file system\n", "") == "/c:\nf\nsub\n\n/c/sub:\ng\none\nno\n"
        assert bench.layer(build) == set()

    def test_what_is_written_to_one_that_is_writable_is_thrown_away(self, bench: Bench) -> None:
        build = bench.run("--mount=source=sub,target=/c,rw echo new > /c/g && cp /c/g /kept && rm /c/g")
        assert bench.layer(build) == {"kept"}
        assert (bench.context / "sub/g").read_text() == "g\n"

    def test_stages_and_images_are_there_with_their_own_links(self, bench: Bench) -> None:
        build = bench.build(
            "FROM lab/base AS one\nRUN mkdir /d && echo stage > /d/x && ln -s / /to-root && ln -s /etc/../../.. /out\nFROM lab/base\n"
            "RUN --mount=from=one,target=/one,rw --mount=from=one,source=/to-root/d,target=/two --mount=from=one,source=out,target=/three"
            " --mount=from=lab/base,source=etc/passwd,target=/p echo new > /one/d/x && cat /one/d/x /two/x /three/d/x && grep -c ^root /p"
        )
        assert build.steps[-1].output == "new\nstage\nstage\n1\n"
        assert bench.layer(build) == set()

    def test_its_content_counts_for_the_cache(self, bench: Bench) -> None:
        words = "--mount=target=/c,source=sub cp /c/g /g"
        assert [bench.run(words).steps[-1].cached for _ in range(2)] == [False, True]
        (bench.context / "f").write_text("of no matter")
        assert bench.run(words).steps[-1].cached
        (bench.context / "sub/g").write_text("matters")
        assert (bench.run(words).steps[-1].cached, "sub" in bench.run(words).steps[-1].reason) == (False, False)

    def of_stage(self, bench: Bench, how: str, app: str, other: str, *, prepare: str = "true") -> tuple[bool, str]:
        """Whether the last step was found, and why not, where a stage wrote these words to a file that is taken and to another."""
        text = f"FROM lab/base AS one\nRUN mkdir -p /d/e; echo {app} >/d/e/app; echo {other} >/other; {prepare}\nFROM lab/base\n{how}\n"
        step = bench.build(text).steps[-1]
        return step.cached, step.reason

    HOWS = (
        ("RUN --mount=from=one,source=/d,target=/c cat /c/e/app", "RUN: d/e/app of the mount /c changed"),
        ("RUN --mount=type=cache,from=one,source=/d,target=/c,id=x cat /c/e/app", "RUN: d/e/app of the mount /c changed"),
        ("COPY --from=one /d /c", "COPY: d/e/app of stage one changed"),
        ("COPY --from=one /d/*/app /c/", "COPY: app of stage one changed"),
        ("COPY --from=one --parents /d/./e/app /c/", "COPY: e/app of stage one changed"),
        ("COPY --from=one --exclude=nope /d/e /c/", "COPY: e/app of stage one changed"),
    )

    @pytest.mark.parametrize(("how", "words"), HOWS)
    def test_of_a_stage_what_is_taken_counts_and_not_what_else_is_in_it(self, bench: Bench, how: str, words: str) -> None:
        assert not self.of_stage(bench, how, "a", "1")[0]
        assert self.of_stage(bench, how, "a", "2") == (True, "")
        assert self.of_stage(bench, how, "b", "2") == (False, words)
        assert self.of_stage(bench, how, "b", "2") == (True, "")

    def test_of_a_whole_stage_its_files_count_and_not_its_layers(self, bench: Bench) -> None:
        how = "COPY --from=one / /c"
        assert not self.of_stage(bench, how, "a", "1")[0]
        assert self.of_stage(bench, how, "a", "1", prepare="touch -d @1 /other") == (True, "")
        assert self.of_stage(bench, how, "a", "2") == (False, "COPY: other of stage one changed")

    @pytest.mark.parametrize(
        ("prepare", "words"),
        [
            ("chmod 600 /d/e/app", "d/e/app of the mount /c has another mode"),
            ("chmod 700 /d", "d of the mount /c has another mode"),
            ("ln -s app /d/e/l", "d/e/l of the mount /c is new"),
            ("ln /d/e/app /d/z", "d/z of the mount /c is new"),
        ],
    )
    def test_of_a_stage_modes_and_links_count_too(self, bench: Bench, prepare: str, words: str) -> None:
        how = "RUN --mount=from=one,source=/d,target=/c true"
        self.of_stage(bench, how, "a", "1")
        assert self.of_stage(bench, how, "a", "1", prepare=prepare) == (False, f"RUN: {words}")
        assert self.of_stage(bench, how, "a", "1", prepare=f"{prepare}; touch -d @1 /d/e/app") == (True, "")

    def test_of_many_files_only_that_they_changed_is_told(self, bench: Bench) -> None:
        how, many = "RUN --mount=from=one,source=/d,target=/c true", "for i in $(seq 2100); do : >/d/f$i; done"
        self.of_stage(bench, how, "a", "1", prepare=many)
        assert self.of_stage(bench, how, "a", "2", prepare=many) == (True, "")
        assert self.of_stage(bench, how, "b", "2", prepare=many) == (False, "RUN: the files of the mount /c changed")

    def test_what_is_missing_in_a_stage_is_told_at_its_line(self, bench: Bench) -> None:
        for how in ("RUN --mount=from=one,source=/nope,target=/c true", "COPY --from=one /nope /c"):
            with pytest.raises(DockerfileError, match=r"Dockerfile:4: no such file .*: /nope"):
                self.of_stage(bench, how, "a", "1")

    def test_a_source_that_is_missing_is_told_at_its_line(self, bench: Bench) -> None:
        with pytest.raises(DockerfileError, match=r"Dockerfile:2: no such file in the build context: nope"):
            bench.run("--mount=source=nope,target=/c true")


class TestCache:
    def test_it_stays_from_build_to_build_and_is_in_no_layer(self, bench: Bench) -> None:
        for number in range(3):
            build = bench.run(f"--mount=type=cache,target=/var/kept echo {number} >> /var/kept/log; cat /var/kept/log > /log; cat /log")
            assert build.steps[-1].output == "".join(f"{one}\n" for one in range(number + 1))
            assert bench.layer(build) == {"log"}

    IDS = ("../../../x", "/etc", "..", "a/b", ".", "x" * 300)

    @pytest.mark.parametrize("cache_id", IDS)
    def test_an_id_is_a_name_and_no_path(self, bench: Bench, cache_id: str) -> None:
        bench.run(f"--mount=type=cache,id={cache_id},target=/c touch /c/mine")
        assert bench.run(f"--mount=type=cache,id={cache_id},target=/other ls /other").steps[-1].output == "mine\n"
        caches = bench.engine.store.paths.caches
        assert [len(path.name) for path in caches.iterdir()] == [64]
        assert not list(bench.context.rglob("mine"))

    def test_it_begins_with_the_files_of_a_stage_once(self, bench: Bench) -> None:
        text = (
            "FROM lab/base AS one\nRUN mkdir -p /d/e && echo stage > /d/e/x && chmod 700 /d/e\nFROM lab/base\n"
            "RUN --mount=type=cache,id=c,from=one,source=/d,target=/c stat -c %a /c/e && cat /c/e/x && echo new > /c/e/x # "
        )
        outputs = [bench.build(f"{text}{number}").steps[-1].output for number in range(2)]
        assert outputs == ["700\nstage\n", "700\nnew\n"]

    def test_mode_and_owner_are_as_asked_and_ro_is_read_only(self, bench: Bench) -> None:
        owner = "" if ABILITIES["single id"][0]() else ",uid=5,gid=6"
        flag = f"--mount=type=cache,target=/c,mode=0711{owner},ro"
        output = bench.run(f"{flag} stat -c '%a %u %g' /c; touch /c/x 2>/dev/null || echo no").steps[-1].output
        assert output.splitlines()[0] == ("711 5 6" if owner else "711 0 0")
        assert output.endswith("no\n")

    @pytest.mark.parametrize(("sharing", "seen"), [("private", "none"), ("shared", "other")])
    def test_two_steps_share_it_at_once_unless_it_is_private(self, bench: Bench, sharing: str, seen: str) -> None:
        held = f"--mount=type=cache,id=c,target=/c,sharing={sharing} --mount=type=cache,id=signal,target=/s"
        look = "touch /s/begun; while [ ! -e /s/go ]; do sleep 0.05; done; ls /c | grep other || echo none"
        with ThreadPoolExecutor() as pool:
            first = pool.submit(bench.run, f"{held} {look}")
            try:
                self._until_begun(bench, first)
                bench.run(f"{held} touch /c/other /s/go")
            finally:
                bench.run("--mount=type=cache,id=signal,target=/s touch /s/go")
            assert first.result().steps[-1].output == f"{seen}\n"

    def test_a_locked_one_is_waited_for(self, bench: Bench) -> None:
        held = "--mount=type=cache,id=c,target=/c,sharing=locked"
        second, told = self._one_after_the_other(bench, held, "echo first >> /c/log", f"{held} echo second >> /c/log; cat /c/log")
        assert second.steps[-1].output == "first\nsecond\n"
        assert told == ["the cache c, which another step in this process has locked", ""]

    def test_one_that_others_share_is_waited_for_too(self, bench: Bench) -> None:
        shared = "--mount=type=cache,id=c,target=/c"
        _, told = self._one_after_the_other(bench, shared, "true", f"{shared},sharing=locked true")
        assert told == ["the cache c, which other steps share", ""]

    def _one_after_the_other(self, bench: Bench, mount: str, command: str, line: str) -> tuple[Build, list[str]]:
        """The build of `line`, begun while a step with `mount` is before `command`, and whom it said that it waits for."""
        signal = "--mount=type=cache,id=signal,target=/s"
        events: list[object] = []
        with ThreadPoolExecutor() as pool:
            first = pool.submit(bench.run, f"{mount} {signal} touch /s/begun; while [ ! -e /s/go ]; do sleep 0.05; done; {command}")
            try:
                self._until_begun(bench, first)
                second = pool.submit(bench.run, line, on_event=events.append)
                until(lambda: any(isinstance(event, StepWaiting) for event in events) or second.done(), "the second step waits")
            finally:
                bench.run(f"{signal} touch /s/go")
            return second.result(), [event.holder for event in events if isinstance(event, StepWaiting)]

    @staticmethod
    def _until_begun(bench: Bench, build: Future[Build]) -> None:
        caches = bench.engine.store.paths.caches
        until(lambda: any(caches.glob("*/fs/content/begun")) or build.done(), "the first step begins")

    def test_usage_and_prune_know_it(self, bench: Bench) -> None:
        bench.run("--mount=type=cache,target=/c dd if=/dev/zero of=/c/x bs=1k count=100 2>/dev/null")
        (row,) = [one for one in bench.engine.disk_usage().cache if one.row.key.startswith("mount:")]
        assert row.size_bytes >= 100 << 10
        assert row.row.key.removeprefix("mount:")[:25] in bench.engine.prune().cache
        assert list(bench.engine.store.paths.caches.iterdir()) == []
        bench.run("--mount=type=cache,target=/c ls /c # again")


class TestTemporaryFiles:
    def test_they_are_in_memory_of_the_size_asked_and_gone_afterwards(self, bench: Bench) -> None:
        build = bench.run("--mount=type=tmpfs,target=/t,size=1m grep ' /t ' /proc/mounts; stat -c %a /t; touch /t/x")
        first, mode = build.steps[-1].output.splitlines()
        assert first.startswith("tmpfs /t tmpfs rw,nosuid,relatime,size=1024k")
        assert mode == "1777"
        assert bench.layer(build) == set()


class TestSecret:
    def test_it_is_a_file_and_a_variable_and_nowhere_else(self, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("THE_SECRET", CANARY)
        kept = tmp_path / "kept"
        kept.write_text(CANARY)
        words = "--mount=type=secret,id=a --mount=type=secret,id=b,env=B,target=/etc/b,mode=0440 stat -c %a /run/secrets/a /etc/b;"
        words += " cmp /run/secrets/a /etc/b && [ $(cat /etc/b) = $B ] && wc -c < /etc/b"
        events: list[object] = []
        (bench.context / ".dockerignore").write_text("kept\n")
        build = bench.run(words, secrets=[f"id=a,src={kept}", "id=b,env=THE_SECRET"], on_event=events.append)
        assert build.steps[-1].output == f"400\n440\n{len(CANARY)}\n"
        assert bench.layer(build) == set()
        kept.unlink()
        for folder in (bench.engine.store.paths.root, bench.engine.store.paths.run):
            holders = [path for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
            assert holders == []
        assert CANARY not in repr((events, build, build.steps, build.image.history, build.image.config))

    def test_its_value_counts_for_nothing_in_the_cache(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        cached = []
        for value in ("one", "two"):
            monkeypatch.setenv("THE_SECRET", value)
            cached.append(bench.run("--mount=type=secret,id=a,env=A true", secrets="id=a,env=THE_SECRET").steps[-1].cached)
        assert cached == [False, True]

    def test_one_that_is_not_given_is_left_out_unless_it_is_required(self, bench: Bench) -> None:
        assert bench.run("--mount=type=secret,id=a ls /run/secrets 2>/dev/null || echo none").steps[-1].output.endswith("none\n")
        with pytest.raises(DockerfileError, match="secret a: not found"):
            bench.run("--mount=type=secret,id=a,required true")

    def test_an_owner_that_this_user_has_not_is_refused(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("A", "a")
        words = "--mount=type=secret,id=A,uid=7,gid=8,target=/s stat -c '%u %g' /s"
        if ABILITIES["single id"][0]():
            with pytest.raises(LabError, match="this user has no such id"):
                bench.run(words, secrets="id=A")
        else:
            assert bench.run(words, secrets="id=A").steps[-1].output == "7 8\n"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """A socket that answers each line in capitals."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "agent"))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb", buffering=0) as file:
                for line in file:
                    file.write(line.upper())

    thread = threading.Thread(target=serve)
    thread.start()
    yield tmp_path / "agent"
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


class TestAgent:
    CLIENT = (
        "import os, socket, stat\ns = socket.socket(socket.AF_UNIX)\ns.connect(os.environ['SSH_AUTH_SOCK'])\ns.sendall(b'who\\n')\n"
        "print(s.recv(9).decode().strip(), oct(stat.S_IMODE(os.stat(os.environ['SSH_AUTH_SOCK']).st_mode)))"
    )

    def test_a_step_speaks_with_it_and_leaves_no_trace(self, bench: Bench, agent: Path) -> None:
        (bench.context / ".dockerignore").write_text("agent\n")
        text = f"FROM lab/python\nRUN --mount=type=ssh <<E python3 -B -\n{self.CLIENT}\nE\n"
        build = bench.build(text, ssh=f"default={agent}")
        assert build.steps[-1].output == "WHO 0o600\n"
        assert bench.layer(build) == set()
        assert not [thread for thread in threading.enumerate() if thread.name == "lab-ssh"]

    def test_one_that_is_not_given_is_left_out_unless_it_is_required(self, bench: Bench) -> None:
        assert bench.run("--mount=type=ssh echo [$SSH_AUTH_SOCK]").steps[-1].output == "[]\n"
        with pytest.raises(DockerfileError, match="no SSH agent two is forwarded"):
            bench.run("--mount=type=ssh,id=two,required true")


class TestWhatStays:
    def test_a_step_without_files_leaves_an_empty_layer(self, bench: Bench) -> None:
        assert bench.layer(bench.run("true")) == set()

    def test_what_a_step_writes_beside_a_mount_point_stays_alone(self, bench: Bench) -> None:
        build = bench.run("--mount=type=cache,target=/etc/deep/x --mount=target=/srv/c,source=f touch /etc/deep/y /run/z")
        assert bench.layer(build) == {"etc", "etc/deep", "etc/deep/y", "run", "run/z"}

    def test_a_link_in_the_place_of_a_mount_point_leads_nowhere(self, bench: Bench, tmp_path: Path) -> None:
        """CVE-2024-23652: what is cleaned up after a step is looked for in its own tree."""
        canary = tmp_path / "canary"
        canary.mkdir()
        (canary / "x").touch()
        words = f"--mount=type=cache,target=/a/b/x umount /a/b/x; rm -rf /a; ln -s {tmp_path} /a; mkdir -p /z; ln -s {canary} /z/b"
        with pytest.raises(LabError):
            bench.run(words + "; [ -L /a ]")
        bench.run(f"--mount=type=tmpfs,target=/a/canary/y mv /a /moved; ln -s {tmp_path} /a || true")
        assert (canary / "x").exists()

    def test_a_link_of_the_image_in_the_place_of_a_target_stays_inside(self, bench: Bench, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        os.chmod(outside, 0o777)
        text = f"FROM lab/base\nRUN mkdir -p {outside} && ln -s {outside} /out\nRUN --mount=type=cache,target=/out/new touch /out/new/x"
        bench.build(text)
        assert list(outside.iterdir()) == []
