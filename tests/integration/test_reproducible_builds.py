"""A Dockerfile gives the same image in another store and folder, later, with another host name, as root and as an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import InvalidArgument
from tests.conftest import TESTS
from tests.integration.tree_states import Tree, state_of_top

USER = 54321
# What RUN makes, changes, replaces and removes; none of it depends on the moment but by times of files.
TEXT = """FROM lab/base
WORKDIR /srv/app
COPY . .
RUN mkdir -p deep/er && echo made > deep/er/file && ln -s file deep/er/link && ln deep/er/file deep/twin \\
 && touch /etc/passwd && chmod 700 /srv && rm -rf /home && mkdir /home && mv one.txt two.txt && uname -n > name
RUN --mount=type=cache,target=/var/tmp/cache --mount=type=tmpfs,target=/mnt/fresh echo x > /var/tmp/cache/x; date > /dev/null
RUN <<END
#!/bin/sh
echo "$SOURCE_DATE_EPOCH" > /epoch
END
"""


def context(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text("1\n")
    (folder / "one.txt").chmod(0o644)
    return folder


def child(place: Path, *, as_user: int | None = None, before: tuple[str, ...] = ()) -> list[str]:
    """The ids of image and layers of a build by another process, in folders of its own at `place`."""
    context(place / "c")
    (place / "Dockerfile").write_text(TEXT)
    credentials: list[str] = []
    if as_user is not None:
        credentials = ["setpriv", f"--reuid={as_user}", f"--regid={as_user}", "--clear-groups"]
        for path in (place, *place.rglob("*")):
            os.chown(path, as_user, as_user)
    environment = {"HOME": str(place), "TMPDIR": str(place), "PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS.parent), "LANG": "C.UTF-8"}
    words = [*before, *credentials, sys.executable, "-m", "tests.integration.repro_child"]
    arguments = [str(place / "s"), str(place / "c"), str(place / "Dockerfile")]
    done = subprocess.run([*words, *arguments], capture_output=True, text=True, env=environment, cwd=TESTS.parent, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_another_store_folder_and_moment_give_the_same_image(engine: Engine, place: Path, store_with_base: Path) -> None:
    first = engine.images.build(context(place / "a"), dockerfile_text=TEXT, network="none")
    shutil.copytree(store_with_base, place / "other", symlinks=True)
    with Engine(root=place / "other", run_root=place / "run") as other:
        second = other.images.build(context(place / "b/c"), dockerfile_text=TEXT, network="none")
    assert second.image.diff_ids == first.image.diff_ids
    assert second.image.id == first.image.id
    assert not any(step.cached for step in second.steps[2:])


@pytest.mark.needs("root")
def test_another_host_name_and_an_ordinary_user_give_the_same_image(engine: Engine, place: Path) -> None:
    place.chmod(0o711)
    for name in ("n", "u"):
        (place / name).mkdir(mode=0o700)
    first = engine.images.build(context(place / "a"), dockerfile_text=TEXT, network="none")
    expected = [first.image.id, *first.image.diff_ids]
    named = child(place / "n", before=("unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"))
    assert named == expected
    assert child(place / "u", as_user=USER) == expected


def test_what_depends_on_no_machine_has_this_digest_everywhere(engine: Engine, tmp_path: Path) -> None:
    folder = context(tmp_path / "any")
    text = "FROM scratch\nCOPY one.txt /a/\nWORKDIR /a/b\nENV A=1\nCOPY <<E /c\nhere\nE\nLABEL l=1"
    built = engine.images.build(folder, dockerfile_text=text)
    assert built.image.id == "sha256:d3792c17862031449ba2260a5747ee6159cf3a9c0d8b0c282ba54c8b4158b305"


class TestTimes:
    def test_what_run_touched_is_not_newer_than_the_time_and_what_is_older_stays(self, engine: Engine, tmp_path: Path) -> None:
        text = "FROM lab/base\nRUN mkdir /d && echo x > /d/new && touch -d @5 /d/old && touch /etc"
        built = engine.images.build(tmp_path, dockerfile_text=text, build_args={"SOURCE_DATE_EPOCH": "1000"}, network="none")
        found = state_of_top(engine, built)
        assert {path: state.mtime_s for path, state in found.items()} == {"d": 1000, "d/new": 1000, "d/old": 5, "etc": 1000}

    def test_the_time_comes_from_the_environment_unless_the_build_is_told(
        self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "FROM scratch\nCOPY <<E /f\nE"
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
        built = engine.images.build(tmp_path, dockerfile_text=text)
        assert built.image.config.created == "1970-01-02T00:00:00Z"
        assert state_of_top(engine, built)["f"].mtime_s == 86400
        told = engine.images.build(tmp_path, dockerfile_text=text, build_args={"SOURCE_DATE_EPOCH": "0"})
        assert told.image.config.created == "1970-01-01T00:00:00Z"
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
        with pytest.raises(InvalidArgument, match="SOURCE_DATE_EPOCH is no number of seconds: 'yesterday'"):
            engine.images.build(tmp_path, dockerfile_text=text)

    @pytest.mark.parametrize(
        ("line", "build_args", "seen"),
        [
            ("", {}, "315619200"),
            ("", {"SOURCE_DATE_EPOCH": "17"}, "17"),
            ("ENV SOURCE_DATE_EPOCH=5\n", {"SOURCE_DATE_EPOCH": "17"}, "5"),
            ("ARG SOURCE_DATE_EPOCH\n", {"SOURCE_DATE_EPOCH": "17"}, "17"),
        ],
    )
    def test_run_sees_the_time_and_the_image_does_not_keep_it(
        self, engine: Engine, tmp_path: Path, line: str, build_args: dict[str, str], seen: str
    ) -> None:
        text = f"FROM lab/base\n{line}RUN echo $SOURCE_DATE_EPOCH"
        built = engine.images.build(tmp_path, dockerfile_text=text, build_args=build_args, network="none")
        assert built.steps[-1].output == f"{seen}\n"
        if not line:
            assert "SOURCE_DATE_EPOCH" not in built.image.config.to_bytes().decode().replace("echo $SOURCE_DATE_EPOCH", "")

    def test_another_time_is_another_step(self, engine: Engine, tmp_path: Path) -> None:
        text = "FROM lab/base\nRUN echo x > /x"
        for said, cached in (("1", False), ("2", False), ("1", True)):
            built = engine.images.build(tmp_path, dockerfile_text=text, build_args={"SOURCE_DATE_EPOCH": said}, network="none")
            assert built.steps[-1].cached is cached
        assert built.image.created_at == 1


def test_a_new_directory_hides_nothing_whatever_the_file_system_notes(engine: Engine, tmp_path: Path) -> None:
    built = engine.images.build(
        tmp_path, dockerfile_text="FROM lab/base\nRUN mkdir -p /new/er && rm -rf /home && mkdir /home", network="none"
    )
    found: dict[str, Tree] = state_of_top(engine, built)
    assert [path for path, state in found.items() if state.opaque] == ["home"]
