"""RUN where there is a single id: giving files away and becoming somebody else seem to succeed, and no right goes or comes by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build

pytestmark = pytest.mark.needs("single id")


def build(engine: Engine, folder: Path, base: str, command: str) -> Build:
    return engine.images.build(folder, dockerfile_text=f"FROM {base}\nRUN {command}\n", network="none")


def test_files_that_are_given_away_stay_roots(engine: Engine, tmp_path: Path) -> None:
    command = (
        "mkdir /d && touch /d/f && ln -s f /d/l && chown -R 33:44 /d && chown -h 1:2 /d/l && chgrp 5 /d/f && stat -c %u:%g /d /d/f /d/l"
    )
    built = build(engine, tmp_path, "lab/base", command)
    assert built.steps[-1].output == "0:0\n" * 3


def test_who_becomes_somebody_else_stays_root(engine: Engine, tmp_path: Path) -> None:
    lines = "import os; os.setgroups([5]); os.setgid(33); os.setuid(33); os.setresuid(33, 33, 33); os.setregid(-1, 7)"
    built = build(engine, tmp_path, "lab/python", f'python3 -c "{lines}; print(os.getresuid(), os.getgid())"')
    assert built.steps[-1].output == "(0, 0, 0) 0\n"


def test_rights_are_those_of_a_container_and_can_be_dropped(engine: Engine, tmp_path: Path) -> None:
    shown = "grep Cap /proc/self/status"
    contained = engine.containers.run("lab/base", ["sh", "-c", shown], remove=True, network="none").stdout
    assert build(engine, tmp_path, "lab/base", shown).steps[-1].output == contained


def test_a_container_is_told_the_truth(engine: Engine) -> None:
    told = engine.containers.run("lab/base", ["sh", "-c", "touch /f; chown 33:44 /f 2>&1 || echo no"], remove=True, network="none").stdout
    assert told.endswith("no\n")


def test_apt_is_told_in_images_that_have_it_and_nothing_of_it_stays(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/keep").touch()
    text = "FROM lab/base\nCOPY conf /etc/apt\nRUN cat $APT_CONFIG\nRUN APT_CONFIG=/mine env | grep ^APT\n"
    first = engine.images.build(tmp_path, dockerfile_text=text, network="none")
    assert [step.output for step in first.steps[-2:]] == ['APT::Sandbox::User "root";\n', "APT_CONFIG=/mine\n"]
    top = [Path(path) for path in engine.store.snapshots.lower_paths(first.image.diff_ids)[:2]]
    assert not [path for tree in top for path in tree.rglob("*") if "apt" in path.name]
    assert not [entry for entry in first.image.config.config.env if entry.startswith("APT")]
    assert build(engine, tmp_path, "lab/base", "echo [$APT_CONFIG]").steps[-1].output == "[]\n"
