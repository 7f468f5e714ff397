"""Steps of a build as the one user that there is: what only root of many ids can do succeeds, and nothing comes of it."""

from __future__ import annotations

import os

import pytest

from labcontainers import Engine

CALLS = """
import os, stat
os.chown("/f", 5, 6)
os.lchown("/f", 5, 6)
os.fchown(os.open("/f", os.O_RDONLY), 5, 6)
os.chown("f", 5, 6, dir_fd=os.open("/", os.O_RDONLY))
os.setgroups([7, 8])
os.setresgid(33, 33, 33)
os.setresuid(33, 33, 33)
os.setegid(44)
os.seteuid(44)
os.setgid(44)
os.setuid(44)
os.mknod("/device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
os.mkfifo("/fifo")
print(os.stat("/f").st_uid, os.getuid(), os.path.exists("/device"), stat.S_ISFIFO(os.stat("/fifo").st_mode))
"""


@pytest.fixture(autouse=True)
def single_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCONTAINERS_IDS", "single")


def build(engine: Engine, script: str, base: str = "lab/base") -> str:
    output: str = engine.images.build(dockerfile_text=f"FROM {base}\nRUN {script}\n", network="none").steps[-1].output
    return output


@pytest.mark.needs("ordinary user")
def test_what_package_managers_do_succeeds_and_files_stay_the_users(engine: Engine) -> None:
    text = "FROM lab/python\nRUN touch /f\nRUN <<EOF python3\n" + CALLS + "EOF\n"
    built = engine.images.build(dockerfile_text=text, network="none")
    assert built.steps[-1].output == "0 0 False True\n"
    tree = engine.store.snapshots.lower_paths(built.image.diff_ids)[0]
    assert "fifo" in os.listdir(tree)


@pytest.mark.needs("ordinary user")
def test_tools_of_an_image_work_and_apt_is_told_to_stay_root(engine: Engine) -> None:
    said = build(engine, 'chown -R 5:6 /etc && chgrp 7 /etc && cat "$APT_CONFIG" && stat -c %u:%g /etc && echo done')
    assert said == 'APT::Sandbox::User "root";\n0:0\ndone\n'


@pytest.mark.needs("ordinary user")
def test_nothing_of_it_is_in_the_image_nor_in_containers(engine: Engine) -> None:
    built = engine.images.build(dockerfile_text="FROM lab/base\nRUN true\n", tag="it", network="none")
    assert not any(variable.startswith("APT_CONFIG") for variable in built.image.config.config.env)
    done = engine.containers.run("it", ["sh", "-c", "ls /run/labcontainers; chown 5 /etc; echo $?"], network="none", remove=True)
    assert done.stdout.split() == ["1"], "a container says what it cannot do"


@pytest.mark.needs("root")
def test_root_needs_none_of_it(engine: Engine) -> None:
    assert build(engine, "touch /f && chown 5:6 /f && stat -c %u:%g /f; echo $APT_CONFIG") == "5:6\n\n"
