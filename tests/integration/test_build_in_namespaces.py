"""Builds by an Engine, as whoever runs the tests: what workers and steps do in namespaces of their own, with ids of their own."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.errors import DockerfileError, LabError, Unsupported
from tests.conftest import ABILITIES


def modes(engine: Engine, build: Build) -> dict[str, int]:
    """The modes of the regular files of the last layer."""
    top = Path(engine.store.snapshots.lower_paths(build.image.diff_ids)[0])
    return {str(path.relative_to(top)): stat.S_IMODE(path.lstat().st_mode) for path in sorted(top.rglob("*")) if path.is_file()}


def test_a_fault_that_a_worker_finds_is_said_once_with_its_line(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(DockerfileError) as caught:
        engine.images.build(tmp_path, dockerfile_text="FROM lab/base\nCOPY --chown=ghost a /a")
    assert str(caught.value) == "Dockerfile:2: the image has no user 'ghost' (make the user in a RUN step, or give a number)"


def test_what_a_step_writes_to_etc_stays_except_for_what_only_the_build_needs(engine: Engine, tmp_path: Path) -> None:
    text = "FROM lab/base\nRUN for name in hostname hosts resolv.conf other; do echo mine >> /etc/$name; done; cat /etc/hosts"
    build = engine.images.build(tmp_path, dockerfile_text=text, network="none")
    top = Path(engine.store.snapshots.lower_paths(build.image.diff_ids)[0])
    assert {path.name: path.read_text() for path in top.rglob("*") if path.is_file()} == {"hostname": "mine\n", "other": "mine\n"}
    assert build.steps[-1].output.splitlines()[-1] == "mine"


def test_a_step_runs_as_the_images_user_with_its_environment_and_once_only(engine: Engine, tmp_path: Path) -> None:
    text = 'FROM lab/base\nENV A=1\nUSER lab\nRUN ["sh", "-c", "id -un; echo $A"]'
    if ABILITIES["single id"][0]():
        with pytest.raises(LabError, match=r"Dockerfile:4: .*user"):
            engine.images.build(tmp_path, dockerfile_text=text, network="none")
        text = text.replace("USER lab", "USER root")
    user = "root" if "USER root" in text else "lab"
    first = engine.images.build(tmp_path, dockerfile_text=text, network="none")
    assert (first.steps[-1].output, first.steps[-1].cached) == (f"{user}\n1\n", False)
    second = engine.images.build(tmp_path, dockerfile_text=text, network="none")
    assert [step.cached for step in second.steps] == [True] * 4
    assert second.image.id == first.image.id


def test_setuid_bits_of_copies_and_archives_stay(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("x")
    (tmp_path / "tool").chmod(0o4755)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("inside")
        member.size, member.mode = 1, 0o2711
        archive.addfile(member, io.BytesIO(b"x"))
    for line, expected in (("COPY tool /d/", {"d/tool": 0o4755}), ("ADD a.tar /d/", {"d/inside": 0o2711})):
        assert modes(engine, engine.images.build(tmp_path, dockerfile_text=f"FROM lab/base\n{line}")) == expected
    text = "FROM lab/base AS one\nRUN cp /bin/busybox /tool && chmod 6755 /tool\nFROM lab/base\nCOPY --from=one /tool /d/"
    assert modes(engine, engine.images.build(tmp_path, dockerfile_text=text, network="none")) == {"d/tool": 0o6755}


def archive_of(owner: int) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, kind in (("d", tarfile.DIRTYPE), ("d/file", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.linkname, member.uid, member.gid = kind, 0o755, "d", owner, owner
            archive.addfile(member)
    return data.getvalue()


@pytest.mark.needs("ordinary user")
def test_an_archive_with_owners_that_this_user_has_not_is_unpacked_as_roots(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(archive_of(2_000_000))
    build = engine.images.build(
        tmp_path, dockerfile_text="FROM lab/base\nADD a.tar /x\nRUN stat -c '%u %g' /x/d/file /x/link", network="none"
    )
    assert build.steps[1].output == "3 files became root's: this user has no ids for their owners\n"
    assert build.steps[2].output == "0 0\n0 0\n"


@pytest.mark.needs("ordinary user")
def test_an_owner_that_this_user_has_not_is_refused_at_its_line(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(Unsupported) as caught:
        engine.images.build(tmp_path, dockerfile_text="FROM lab/base\nCOPY --chown=2000000 a /x")
    expected = "Dockerfile:2: giving files to 2000000:2000000 is not possible: this user has no such id"
    assert (caught.value.message, "subordinate ids" in caught.value.hint) == (expected, True)


@pytest.mark.needs("single id")
def test_a_working_directory_is_roots_where_there_is_one_id_only(engine: Engine, tmp_path: Path) -> None:
    text = "FROM lab/base\nUSER lab\nWORKDIR /w\nUSER root\nRUN stat -c %u /w"
    assert engine.images.build(tmp_path, dockerfile_text=text, network="none").steps[-1].output == "0\n"


def test_copied_files_can_be_packed_into_a_zip_archive(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('packed')\n")
    pack = "python3 -m zipapp /src --output /app.pyz && TZ=America/Adak python3 /app.pyz"
    text = f"FROM lab/python\nCOPY app.py /src/__main__.py\nRUN {pack}\n"
    assert engine.images.build(tmp_path, dockerfile_text=text, network="none").steps[-1].output == "packed\n"
