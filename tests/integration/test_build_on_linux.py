"""Builds on a real store, with a worker in a fork and RUN in a chroot: layers, cache, determinism, failures and hostile trees."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from labcontainers.build.builder import Builder
from labcontainers.build.progress import BuildEvent, BuildFinished, StepCached, StepCancelled, StepFailedEvent, StepMissed, StepStarted
from labcontainers.build.request import BuildRequest
from labcontainers.build.result import Build
from labcontainers.build.steps import RunRequest, StepRunner
from labcontainers.errors import DockerfileError, InvalidArgument, LabError, NotFound, StepFailed
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from tests.fakes.chroot_runner import ChrootRunner, NotingRunner
from tests.fakes.forking_worker import ForkingWorker

pytestmark = pytest.mark.needs("root")

# the time of copied files where none is said: 1980
OLDEST_IN_ZIP_S = 315_619_200
OnOutput = Callable[[int, bytes], None]


class Bench:
    """A store, a context and a builder."""

    def __init__(self, place: Path, runner: StepRunner) -> None:
        self.worker = ForkingWorker()
        self.store = Store.open(StorePaths(place / "s", place / "r"), self.worker)
        self.catalog = Catalog(self.store, lambda image_id: [])
        self.context = place / "context"
        self.context.mkdir(exist_ok=True)
        self.builder = Builder(self.store, self.catalog, runner, self.worker)
        self.events: list[BuildEvent] = []

    def build(self, text: str, *, tags: tuple[str, ...] = (), build_args: Mapping[str, str] | None = None, no_cache: bool = False) -> Build:
        request = BuildRequest(self.context, text, tags=tags, build_args=build_args or {}, no_cache=no_cache)
        return self.builder.build(request, self.events.append)

    def write(self, name: str, content: str | bytes = "x", mode: int = 0o644) -> Path:
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def top(self, build: Build) -> Path:
        """The tree of the image's last layer."""
        return self.layers(build)[0]

    def layers(self, build: Build) -> list[Path]:
        """The trees of the image's layers, the last one first."""
        return [Path(path) for path in self.store.snapshots.lower_paths(build.image.diff_ids)]


@pytest.fixture
def bench(place: Path) -> Iterator[Bench]:
    made = Bench(place, ChrootRunner())
    yield made
    assert made.store.verify() == []
    assert list(made.store.paths.tmp.iterdir()) == []
    made.store.close()


def listing(tree: Path) -> dict[str, tuple[str, int, int, int, int]]:
    """Everything below a tree: path -> (kind or target, mode, uid, gid, mtime)."""
    found = {}
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):
            path = Path(folder, name)
            state = path.lstat()
            what = os.readlink(path) if path.is_symlink() else "d" if path.is_dir() else path.read_text(errors="replace")
            found[str(path.relative_to(tree))] = (what, stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid, int(state.st_mtime))
    return found


class TestCopying:
    def test_a_directory_gives_its_content_with_modes_and_links_owned_by_root(self, bench: Bench) -> None:
        bench.write("src/a", "A", 0o755)
        bench.write("src/sub/b", "B", 0o640)
        os.symlink("../nowhere", bench.context / "src/link")
        (bench.context / "src/empty").mkdir(mode=0o700)
        os.chown(bench.context / "src/a", 12, 34)
        build = bench.build("FROM scratch\nCOPY src /app/")
        assert listing(bench.top(build)) == {
            "app": ("d", stat.S_IMODE((bench.context / "src").stat().st_mode), 0, 0, OLDEST_IN_ZIP_S),
            "app/a": ("A", 0o755, 0, 0, OLDEST_IN_ZIP_S),
            "app/sub": ("d", 0o755, 0, 0, OLDEST_IN_ZIP_S),
            "app/sub/b": ("B", 0o640, 0, 0, OLDEST_IN_ZIP_S),
            "app/link": ("../nowhere", 0o777, 0, 0, OLDEST_IN_ZIP_S),
            "app/empty": ("d", 0o700, 0, 0, OLDEST_IN_ZIP_S),
        }

    def test_owner_mode_and_time_are_as_asked(self, bench: Bench) -> None:
        bench.write("a")
        text = "FROM lab/base\nCOPY --chown=lab:tty --chmod=u=rw,go= a /new/dir/\nWORKDIR /made/here"
        build = bench.build(text, build_args={"SOURCE_DATE_EPOCH": "1000"})
        layers = bench.layers(build)
        assert listing(layers[1])["new/dir/a"] == ("x", 0o600, 1000, 5, 1000)
        assert listing(layers[1])["new"] == ("d", 0o755, 1000, 5, 1000)
        assert listing(layers[0])["made/here"] == ("d", 0o755, 0, 0, 1000)
        assert build.image.config.created == "1970-01-01T00:16:40Z"

    def test_a_directory_of_the_image_keeps_its_own_time_and_mode(self, bench: Bench) -> None:
        bench.write("etc/new", "n")
        (bench.context / "etc").chmod(0o700)
        bench.build("FROM lab/base")
        below = Path(bench.store.snapshots.lower_paths(bench.catalog.get("lab/base").diff_ids)[0])
        build = bench.build("FROM lab/base\nCOPY etc /etc")
        assert listing(bench.top(build))["etc"] == listing(below)["etc"]

    FINAL_NAMES = (
        ("COPY a /x", "x"), ("COPY a /x/", "x/a"), ("COPY a /etc", "etc/a"), ("COPY a b /x/", "x/b"), ("COPY *.txt /x/", "x/one.txt"),
        ("WORKDIR /w\nCOPY a .", "w/a"), ("COPY a a2", "a2"), ('COPY ["with space", "/x/"]', "x/with space"),
        ("COPY sub/deep /x/", "x/file"),
        ("ADD a /x/", "x/a"), ("COPY <<E /x\nE", "x"), ("COPY <<E a /x/\nE", "x/E"),
    )  # fmt: skip

    @pytest.mark.parametrize(("lines", "path"), FINAL_NAMES)
    def test_a_file_gets_the_name_that_docker_gives_it(self, bench: Bench, lines: str, path: str) -> None:
        for name in ("a", "b", "one.txt", "with space", "sub/deep/file"):
            bench.write(name)
        build = bench.build("FROM lab/base\n" + lines)
        assert (bench.top(build) / path).is_file()

    def test_files_come_from_stages_and_images_with_their_owners_and_hard_links(self, bench: Bench) -> None:
        text = (
            "FROM lab/base AS one\nRUN mkdir /d && echo hi > /d/f && chown 7:8 /d/f && ln /d/f /d/g && ln -s f /d/l\n"
            "FROM scratch\nCOPY --from=one /d/ /out/\nCOPY --from=0 /d/l /followed\nCOPY --from=lab/base /etc/p*wd /from-image/\n"
        )
        build = bench.build(text)
        image, followed, out = bench.layers(build)
        found = listing(out)
        assert found["out/f"][:4] == ("hi\n", 0o644, 7, 8)
        assert found["out/l"][0] == "f"
        assert (out / "out/f").stat().st_ino == (out / "out/g").stat().st_ino
        assert listing(followed)["followed"][:4] == ("hi\n", 0o644, 7, 8)
        assert list(listing(image)) == ["from-image", "from-image/passwd"]

    def test_add_unpacks_local_archives_and_copy_does_not(self, bench: Bench) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            for name, content in (("d/one", b"1"), ("two", b"22")):
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.uid, info.mtime = len(content), 0o640, 5, 77
                archive.addfile(info, io.BytesIO(content))
            link = tarfile.TarInfo("d/hard")
            link.type, link.linkname = tarfile.LNKTYPE, "d/one"
            archive.addfile(link)
        bench.write("plain.tar", data.getvalue())
        bench.write("packed.tgz", gzip.compress(data.getvalue()))
        bench.write("no.tar", "just text")
        for name in ("plain.tar", "packed.tgz"):
            top = bench.top(bench.build(f"FROM scratch\nADD {name} /x"))
            assert listing(top)["x/two"] == ("22", 0o640, 5, 0, 77)
            assert (top / "x/d/one").stat().st_nlink == 2
        chosen = listing(bench.top(bench.build("FROM scratch\nADD --chmod=600 --chown=8:9 plain.tar /x/")))
        assert chosen["x/two"] == ("22", 0o640, 8, 9, 77)
        assert chosen["x"][:4] == ("d", 0o755, 8, 9)
        assert set(listing(bench.top(bench.build("FROM scratch\nCOPY plain.tar /x/")))) == {"x", "x/plain.tar"}
        assert set(listing(bench.top(bench.build("FROM scratch\nADD --unpack=false plain.tar /x/")))) == {"x", "x/plain.tar"}
        assert set(listing(bench.top(bench.build("FROM scratch\nADD no.tar /x/")))) == {"x", "x/no.tar"}

    THROUGH_SYMLINKS = (
        ("COPY a /l/x", "real/x"), ("COPY a /l/s/", "real/sub/a"), ("COPY a /d/file", "d/target"), ("COPY a /broken", "nowhere/far"),
        ("COPY a /broken/", "nowhere/far/a"), ("COPY a /broken/x/y", "nowhere/far/x/y"), ("COPY a /up", "real/a"),
        ("COPY <<E /d/file\nE", "d/target"), ("ADD sub /l/s", "real/sub/deep/file"), ("COPY a /d/", "d/a"),
    )  # fmt: skip

    @pytest.mark.parametrize(("lines", "path"), THROUGH_SYMLINKS)
    def test_a_destination_is_written_where_its_symlinks_lead_inside_the_image(self, bench: Bench, lines: str, path: str) -> None:
        for name in ("a", "sub/deep/file"):
            bench.write(name)
        links = "ln -s /real /l && ln -s sub /real/s && ln -s target /d/file && ln -s /nowhere/far /broken && ln -s ../../real /up"
        build = bench.build(f"FROM lab/base\nRUN mkdir -p /real/sub /d && touch /d/target && {links} && ln -s file /d/a\n{lines}")
        top = bench.top(build)
        assert (top / path).is_file()
        assert not [name for name in ("l", "broken", "up", "d/file", "real/s") if (top / name).exists()]

    def test_directories_that_are_met_on_the_way_get_owner_and_mode_as_in_docker(self, bench: Bench) -> None:
        bench.write("tree/sub/deep/f")
        for name, mode in (("tree", 0o700), ("tree/sub", 0o711), ("tree/sub/deep", 0o750)):
            (bench.context / name).chmod(mode)
        base = "FROM lab/base\nRUN mkdir -p /in/sub/deep && chown -R 5:6 /in && chmod -R 2770 /in\n"
        found = [listing(bench.top(bench.build(f"{base}COPY {line}"))) for line in ("tree /in", "--chown=7:8 tree /in", "tree /new/in")]
        owners = [{path: (what[1], what[2], what[3]) for path, what in tree.items() if what[0] == "d"} for tree in found]
        assert owners == [
            {"in": (0o2770, 5, 6), "in/sub": (0o711, 0, 0), "in/sub/deep": (0o750, 0, 0)},
            {"in": (0o2770, 5, 6), "in/sub": (0o711, 7, 8), "in/sub/deep": (0o750, 7, 8)},
            {"new": (0o755, 0, 0), "new/in": (0o755, 0, 0), "new/in/sub": (0o711, 0, 0), "new/in/sub/deep": (0o750, 0, 0)},
        ]

    NEW_DIRECTORIES = (("--chmod=750", 0o750), ("--chmod=u=rwx,go=", 0o755), ("", 0o755), ("--chown=:8", 0o755))

    @pytest.mark.parametrize(("flag", "mode"), NEW_DIRECTORIES)
    def test_only_an_octal_mode_counts_for_new_directories(self, bench: Bench, flag: str, mode: int) -> None:
        bench.write("a")
        found = listing(bench.top(bench.build(f"FROM lab/base\nCOPY {flag} a /new/dir/")))
        group = 8 if "chown" in flag else 0
        assert [found[name][1:4] for name in ("new", "new/dir")] == [(mode, 0, group)] * 2

    def test_a_pattern_that_matches_directories_only_needs_no_final_slash(self, bench: Bench) -> None:
        for name in ("d1/x", "d2/y"):
            bench.write(name)
        assert set(listing(bench.top(bench.build("FROM lab/base\nCOPY d* /all")))) == {"all", "all/x", "all/y"}

    def test_a_working_directory_of_a_user_whom_the_image_lacks_is_roots(self, bench: Bench) -> None:
        build = bench.build("FROM lab/base\nUSER ghost\nWORKDIR /w\nUSER lab:tty\nWORKDIR /x")
        assert listing(bench.layers(build)[1])["w"][1:4] == (0o755, 0, 0)
        assert listing(bench.top(build))["x"][1:4] == (0o755, 1000, 5)

    REFUSED = (
        ("COPY missing /x", "no such file in the build context: missing"),
        ("COPY --chown=nobody-here a /x", "the image has no user 'nobody-here'"),
        ("COPY --from=lab/base /missing /x", "no such file to copy from: /missing"),
        ("COPY a /etc/passwd/x", "/etc/passwd of the image is not a directory"),
        ("COPY dir /", "over a file or a symlink"),
        ("COPY *.t /x", "2 files cannot be copied to one"),
    )

    @pytest.mark.parametrize(("line", "message"), REFUSED)
    def test_what_cannot_be_copied_is_refused_at_its_line(self, bench: Bench, line: str, message: str) -> None:
        for name in ("a", "1.t", "2.t", "dir/etc/passwd/x"):
            bench.write(name)
        with pytest.raises(DockerfileError) as caught:
            bench.build(f"FROM lab/base\nENV a=b\n{line}")
        assert message in caught.value.message
        assert caught.value.first_line == 3
        assert isinstance(bench.events[-1], StepFailedEvent)


class TestRunning:
    def test_steps_see_what_earlier_steps_made_and_their_environment(self, bench: Bench) -> None:
        text = (
            "FROM lab/base\nARG name=world\nENV GREETING=hello\nWORKDIR /w\nRUN echo $GREETING $name > out\n"
            'RUN ["cat", "out"]\nRUN <<E\ncat out\necho two\nE\nRUN <<E\n#!/bin/sh\necho script\nE\nCMD ["x"]'
        )
        build = bench.build(text, tags=("lab/test",))
        assert [step.output for step in build.steps[5:8]] == ["hello world\n", "hello world\ntwo\n", "script\n"]
        assert bench.catalog.get("lab/test") == build.image
        assert listing(bench.top(build)) == {}
        assert [entry.created_by for entry in build.image.history[1:4]] == ["ARG name=world", "ENV GREETING=hello", "WORKDIR /w"]
        assert [entry.empty_layer for entry in build.image.history[1:6]] == [True, True, False, False, False]
        assert len(build.image.diff_ids) == sum(not entry.empty_layer for entry in build.image.history)

    def test_a_failing_step_names_line_command_code_and_output_and_keeps_what_was_done(self, bench: Bench) -> None:
        text = "FROM lab/base\nRUN echo one > /one\nRUN echo trouble >&2; \\\n    exit 3\nRUN never"
        with pytest.raises(StepFailed) as caught:
            bench.build(text)
        assert caught.value.step == "Dockerfile:3: RUN echo trouble >&2; exit 3"
        assert (caught.value.returncode, caught.value.output) == (3, "trouble\n")
        fixed = bench.build(text.replace("exit 3", "exit 0").replace("never", "true"))
        assert [step.cached for step in fixed.steps] == [True, True, False, False]

    def test_an_interrupt_drops_the_running_step_and_keeps_the_finished_ones(self, place: Path) -> None:
        def act(request: RunRequest, on_output: OnOutput) -> int:
            (request.scratch / "fs" / "half").write_text("made")
            if "stop" in request.arguments[-1]:
                raise KeyboardInterrupt
            return 0

        bench = Bench(place, NotingRunner(act))
        with pytest.raises(KeyboardInterrupt):
            bench.build("FROM lab/base\nRUN go\nRUN stop")
        assert bench.events[-1] == StepCancelled(3, "interrupted")
        assert list(bench.store.paths.tmp.iterdir()) == []
        assert [step.cached for step in bench.build("FROM lab/base\nRUN go").steps] == [True, True]
        assert bench.store.verify() == []
        bench.store.close()

    def test_the_request_carries_user_network_and_proxies(self, place: Path) -> None:
        runner = NotingRunner()
        bench = Bench(place, runner)
        bench.build("FROM lab/base\nUSER lab\nWORKDIR /tmp\nRUN --network=none x", build_args={"NO_PROXY": "n"})
        (request,) = runner.requests
        assert (request.user, request.network, request.working_dir, request.arguments) == ("lab", "none", "/tmp", ("/bin/sh", "-c", "x"))
        assert "NO_PROXY=n" in request.environment
        bench.store.close()

    def test_what_was_to_be_json_and_is_none_is_told(self, bench: Bench) -> None:
        with pytest.raises(StepFailed) as caught:
            bench.build("FROM lab/base\nRUN ['echo', 'a']")
        assert caught.value.hint.startswith("this is no JSON array of strings, so a shell ran it; the command was not found")
        with pytest.raises(StepFailed) as caught:
            bench.build("FROM lab/base\nRUN [ -f /nothing ] && true")
        assert caught.value.hint == "it said nothing"


class TestCache:
    TEXT = 'FROM lab/base\nARG v=1\nENV e=1\nCOPY a /a\nRUN cat /a\nCMD ["x"]'

    def reasons(self, bench: Bench) -> list[str]:
        return [event.reason for event in bench.events if isinstance(event, StepMissed)]

    def test_the_same_build_again_is_all_cached_and_the_same_image(self, bench: Bench) -> None:
        bench.write("a")
        first = bench.build(self.TEXT)
        os.utime(bench.context / "a", (5, 5))
        bench.events.clear()
        second = bench.build(self.TEXT)
        assert second.image == first.image
        assert all(step.cached for step in second.steps)
        assert sum(isinstance(event, StepCached) for event in bench.events) == len(second.steps)

    CHANGES = (
        (lambda bench: bench.write("a", "other"), TEXT, {}, ["COPY: a changed", "step 4 before it changed: COPY a /a"]),
        (lambda bench: bench.write("a", "x", 0o755), TEXT, {}, ["COPY: a has another mode", "step 4 before it changed: COPY a /a"]),
        (lambda bench: None, TEXT, {"v": "2"}, ["ARG v changed"]),
        (lambda bench: None, TEXT.replace("e=1", "e=2"), {}, ["ENV e changed"]),
        (lambda bench: None, TEXT.replace("cat /a", "cat  /a"), {}, ["RUN: the command changed"]),
        (lambda bench: None, TEXT.replace("CMD", "ENTRYPOINT"), {}, []),
        (lambda bench: bench.write("unrelated"), TEXT, {"HTTP_PROXY": "p"}, []),
        (lambda bench: os.chown(bench.context / "a", 5, 5), TEXT, {}, []),
    )

    @pytest.mark.parametrize(("change", "text", "build_args", "reasons"), CHANGES)
    def test_a_step_is_done_again_when_what_it_depends_on_changed_and_says_why(
        self, bench: Bench, change: Callable[[Bench], object], text: str, build_args: dict[str, str], reasons: list[str]
    ) -> None:
        bench.write("a")
        bench.build(self.TEXT)
        bench.events.clear()
        change(bench)
        bench.build(text, build_args=build_args)
        assert self.reasons(bench) == reasons

    def test_a_directorys_own_mode_and_time_do_not_count_but_those_of_what_it_holds_do(self, bench: Bench) -> None:
        bench.write("dir/sub/a")
        bench.build("FROM scratch\nCOPY dir /d/")
        bench.events.clear()
        (bench.context / "dir").chmod(0o700)
        os.utime(bench.context / "dir", (5, 5))
        bench.build("FROM scratch\nCOPY dir /d/")
        assert self.reasons(bench) == []
        (bench.context / "dir/sub").chmod(0o700)
        bench.build("FROM scratch\nCOPY dir /d/")
        assert self.reasons(bench) == ["COPY: dir/sub changed"]

    def test_without_cache_everything_is_done_again_and_found_the_next_time(self, bench: Bench) -> None:
        bench.write("a")
        bench.build(self.TEXT)
        bench.events.clear()
        bench.build(self.TEXT, no_cache=True)
        assert self.reasons(bench) == ["--no-cache", "--no-cache"]
        assert all(step.cached for step in bench.build(self.TEXT).steps)

    def test_stages_of_a_filter_alone_are_done_anew_and_one_that_is_not_there_is_told(self, bench: Bench) -> None:
        text = "FROM lab/base AS one\nCOPY <<E /1\n1\nE\nFROM lab/base AS two\nRUN touch /2\nFROM two\nCOPY --from=one /1 /"
        bench.build(text)
        bench.events.clear()
        built = bench.builder.build(BuildRequest(bench.context, text, no_cache_stages=("ONE", "tow")), bench.events.append)
        assert self.reasons(bench) == ["--no-cache-filter"]
        assert [step.cached for step in built.steps] == [True, False, True, True, True, True]
        assert [warning.message for warning in built.warnings] == ["--no-cache-filter: no stage is named tow (did you mean two?)"]

    def test_a_base_that_moved_is_named(self, bench: Bench) -> None:
        bench.build("FROM lab/base\nRUN touch /1", tags=("mine",))
        text = "FROM mine AS one\nCOPY a /\nFROM one\nRUN cat /a"
        bench.write("a")
        bench.build(text)
        bench.build("FROM lab/base\nRUN touch /2", tags=("mine",))
        bench.events.clear()
        built = bench.build(text)
        assert self.reasons(bench) == ["base moved (mine is another image now)"] * 2
        assert [step.reason for step in built.steps] == ["", *self.reasons(bench)[:1], "", *self.reasons(bench)[1:]]

    def test_a_base_is_asked_for_anew_where_that_is_wanted(self, bench: Bench) -> None:
        bench.build("FROM lab/base\nRUN touch /1", tags=("mine",))
        other = bench.build("FROM lab/base\nRUN touch /2").image
        asked: list[str] = []

        def pull(name: str) -> Image | None:
            asked.append(name)
            return other if name == "mine" else None

        request = BuildRequest(bench.context, "FROM mine\nRUN touch /3\nCOPY --from=lab/base /bin/sh /x", pull=pull)
        built = bench.builder.build(request, bench.events.append)
        assert asked == ["mine", "lab/base"]
        assert built.image.diff_ids[:-2] == other.diff_ids

    def test_what_was_pruned_is_told(self, bench: Bench) -> None:
        bench.build("FROM lab/base\nRUN touch /1\nCMD x")
        bench.events.clear()
        for row in bench.store.records.list_cache_from("step:"):
            bench.store.records.remove_cache(row.key)
        built = bench.build("FROM lab/base\nRUN touch /1\nCMD x")
        assert self.reasons(bench) == ["pruned: what it made was removed"]
        assert [step.reason for step in built.steps] == ["", *self.reasons(bench) * 2]

    def test_a_layer_that_was_removed_is_made_again(self, bench: Bench) -> None:
        bench.write("a")
        build = bench.build(self.TEXT, tags=("t",))
        bench.catalog.remove("t", force=True)
        bench.events.clear()
        assert bench.build(self.TEXT).image.diff_ids[:2] == build.image.diff_ids[:2]
        assert len(self.reasons(bench)) == 2

    def test_equal_inputs_give_equal_images_in_another_store_and_folder(self, bench: Bench, tmp_path: Path) -> None:
        text = 'FROM scratch\nCOPY . /app/\nWORKDIR /app\nADD a /b/c/\nCOPY --chmod=600 <<E /e\n1\nE\nCMD ["x"]'
        other = Bench(tmp_path, NotingRunner())
        for one, time in ((bench, 1), (other, 99)):
            one.write("b/c", "1")
            one.write("a", "2")
            for name in ("b/c", "a", "b"):
                os.utime(one.context / name, (time, time))
        first, second = bench.build(text), other.build(text)
        assert first.image.id == second.image.id
        other.store.close()

    def test_stages_that_are_not_needed_are_not_built(self, bench: Bench) -> None:
        bench.build("FROM lab/base AS unused\nRUN exit 1\nFROM lab/base\nRUN true")
        assert [event.stage for event in bench.events if isinstance(event, StepStarted)] == ["stage-1", "stage-1"]
        assert isinstance(bench.events[-1], BuildFinished)


class TestHostileTrees:
    """Symlinks and names of an image, a context or an archive must never lead outside."""

    @pytest.fixture
    def canary(self, place: Path) -> Iterator[Path]:
        folder = place / "canary"
        folder.mkdir()
        (folder / "file").write_text("alive")
        (folder / "secret").write_text("secret")
        yield folder
        assert sorted(path.name for path in folder.iterdir()) == ["file", "secret"]
        assert (folder / "file").read_text() == "alive"

    def build(self, bench: Bench, text: str) -> Build | None:
        try:
            return bench.build(text)
        except LabError:
            return None

    TARGETS = (
        "{canary}",
        "/proc/self/root{canary}",
        "../../../../../../../../../../../../../../../../..{canary}",
        "/proc/self/cwd/../../../..{canary}",
    )

    @pytest.mark.parametrize("target", TARGETS)
    @pytest.mark.parametrize(
        "line", ["COPY a /evil/", "COPY a /evil", "COPY a /evil/file", "COPY d /evil", "ADD t.tar /evil", "COPY d /", "WORKDIR /evil/new"]
    )
    def test_a_symlink_of_the_image_does_not_lead_out(self, bench: Bench, canary: Path, target: str, line: str) -> None:
        link = target.format(canary=canary)
        bench.write("a", "attack")
        bench.write("d/evil/file", "attack")
        bench.write("t.tar", archive([("file", tarfile.REGTYPE, "", b"attack")]))
        self.build(bench, f"FROM lab/base\nRUN ln -s {link} /evil\n{line}")

    @pytest.mark.parametrize("target", TARGETS)
    @pytest.mark.parametrize(
        "line", ["COPY --from=one /evil/secret /x", "COPY --from=one /evil /x", "COPY --from=one /ev*/sec* /x/", "COPY --from=one /file /x"]
    )
    def test_a_symlink_of_another_stage_does_not_read_the_host(self, bench: Bench, canary: Path, target: str, line: str) -> None:
        link = target.format(canary=canary)
        text = f"FROM lab/base AS one\nRUN ln -s {link} /evil && ln -s {link}/secret /file\nFROM lab/base\n{line}"
        build = self.build(bench, text)
        if build is not None:
            assert all(what != "secret" for what, *_ in listing(bench.top(build)).values())

    @pytest.mark.parametrize("line", ["COPY evil/secret /x", "COPY evil /x", "COPY ev*/* /x/", "COPY file /x"])
    def test_a_symlink_of_the_context_does_not_read_the_host(self, bench: Bench, canary: Path, line: str) -> None:
        os.symlink(canary, bench.context / "evil")
        os.symlink(canary / "secret", bench.context / "file")
        build = self.build(bench, "FROM scratch\n" + line)
        if build is not None and build.image.diff_ids:
            assert all(what != "secret" for what, *_ in listing(bench.top(build)).values())

    ARCHIVES = (
        [("../escape", tarfile.REGTYPE, "", b"x")],
        [("a/../../escape", tarfile.REGTYPE, "", b"x")],
        [("{canary}/file", tarfile.REGTYPE, "", b"x")],
        [("l", tarfile.SYMTYPE, "{canary}", b""), ("l/file", tarfile.REGTYPE, "", b"x")],
        [("l", tarfile.SYMTYPE, "{canary}/file", b""), ("l", tarfile.REGTYPE, "", b"x")],
        [("l", tarfile.SYMTYPE, "{canary}", b""), ("l", tarfile.DIRTYPE, "", b""), ("l/file", tarfile.REGTYPE, "", b"x")],
        [("h", tarfile.LNKTYPE, "{canary}/file", b""), ("h", tarfile.REGTYPE, "", b"x")],
        [("l", tarfile.SYMTYPE, "{canary}", b""), ("h", tarfile.LNKTYPE, "l/file", b"")],
        [("l", tarfile.SYMTYPE, "../../../../../../..{canary}", b""), ("l/new", tarfile.DIRTYPE, "", b"")],
    )

    @pytest.mark.parametrize("members", ARCHIVES)
    def test_an_archive_does_not_write_outside(self, bench: Bench, canary: Path, members: list[tuple[str, bytes, str, bytes]]) -> None:
        filled = [(name.format(canary=canary), kind, link.format(canary=canary), data) for name, kind, link, data in members]
        bench.write("t.tar", archive(filled))
        build = self.build(bench, "FROM scratch\nADD t.tar /in/")
        if build is not None:
            assert all(path == "in" or path.startswith("in/") for path in listing(bench.top(build)))
        assert (canary / "file").stat().st_nlink == 1

    def test_a_file_that_changes_after_it_was_hashed_is_noticed(self, bench: Bench) -> None:
        path = bench.write("a", "one")

        class Meddler(ForkingWorker):
            def call(self, function: str, /, **arguments: object) -> object:
                if function.endswith(":copy"):
                    path.unlink()
                    path.write_text("two!")
                return super().call(function, **arguments)

        bench.builder = Builder(bench.store, bench.catalog, NotingRunner(), Meddler())
        with pytest.raises(LabError, match="changed during the build"):
            bench.build("FROM scratch\nCOPY a /x")


def archive(members: list[tuple[str, bytes, str, bytes]]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        for name, kind, link, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(content)
            file.addfile(info, io.BytesIO(content))
    return data.getvalue()


class TestRequests:
    def test_the_dockerfile_is_read_from_the_context(self, bench: Bench) -> None:
        bench.write("Dockerfile", "FROM scratch\nLABEL a=b\n")
        bench.write("other/My.Dockerfile", "FROM scratch\nLABEL a=c\n")
        assert bench.builder.build(BuildRequest(bench.context)).image.config.config.labels == {"a": "b"}
        other = BuildRequest(bench.context, dockerfile="other/My.Dockerfile", labels={"l": "m"})
        assert bench.builder.build(other).image.config.config.labels == {"a": "c", "l": "m"}
        with pytest.raises(NotFound, match="no such Dockerfile"):
            bench.builder.build(BuildRequest(bench.context, dockerfile="nothing"))

    def test_a_bad_tag_is_refused_before_anything_is_done(self, bench: Bench) -> None:
        with pytest.raises(InvalidArgument):
            bench.build("FROM scratch\nLABEL a=b", tags=("Not A Tag",))
        assert bench.events == []

    def test_warnings_are_kept_and_can_be_made_errors(self, bench: Bench) -> None:
        build = bench.build("FROM lab/base\nMAINTAINER me", build_args={"unused": "1"})
        assert [warning.rule for warning in build.warnings] == ["MaintainerDeprecated", "UnusedBuildArg"]
        with pytest.raises(DockerfileError, match="MaintainerDeprecated"):
            bench.build("# check=error=true\nFROM lab/base\nMAINTAINER me")

    def test_a_build_shows_itself(self, bench: Bench) -> None:
        build = bench.build("FROM lab/base\nRUN echo '<b>'", tags=("shown",))
        assert repr(build).startswith("<Build shown:latest: ")
        assert "&lt;b&gt;" in build._repr_html_()
        assert "<b>&#x27;" not in build._repr_html_()
