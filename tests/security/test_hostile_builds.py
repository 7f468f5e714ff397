"""What a build context, a base image and an archive try against the builder: nothing of the host is read or written."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import LabError
from tests.security.hostile import link, make_image

SECRET = "only the host may read this"


@pytest.fixture
def outside(place: Path) -> Path:
    """A folder of the host beside the context, with a secret."""
    folder = place / "outside"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    return folder


@pytest.fixture
def context(place: Path) -> Path:
    folder = place / "context"
    folder.mkdir()
    (folder / "file").write_text("from the context")
    return folder


def host_is_untouched(outside: Path) -> None:
    assert sorted(os.listdir(outside)) == ["secret"]
    assert (outside / "secret").read_text() == SECRET
    assert not (outside / "secret").stat().st_mode & 0o7000


def build(engine: Engine, context: Path, text: str) -> str:
    """Build it and return every text of the image's own files, or why it was refused."""
    try:
        built = engine.images.build(context, dockerfile_text=text, network="none")
    except LabError as error:
        return str(error)
    script = "find / -xdev -type f -size -2 -exec cat {} + 2>/dev/null"
    return engine.containers.run(built.image, ["sh", "-c", script], network="none", remove=True).stdout


ABSOLUTE, RELATIVE = "OUTSIDE", "../../../../../../../../../../OUTSIDE"


def test_what_a_build_holds_is_found(engine: Engine, context: Path) -> None:
    assert "from the context" in build(engine, context, "FROM lab/base\nCOPY file /taken\n")


@pytest.mark.parametrize(
    ("step", "way"),
    [
        ("COPY file /way/", RELATIVE),
        ("COPY file /way/secret", ABSOLUTE),
        ("COPY file /way", RELATIVE),
        ("COPY --chmod=4777 file /way/secret", ABSOLUTE),
        ("COPY --chown=0:0 . /way/", RELATIVE),
        ("ADD file /way/secret", ABSOLUTE),
        ("ADD archive.tar /way/", RELATIVE),
        ("WORKDIR /way/made", ABSOLUTE),
        ("RUN echo changed > /way/secret; chmod 4777 /way/secret", RELATIVE),
        ("RUN rm -rf /way/*", ABSOLUTE),
    ],
)
def test_no_step_follows_a_link_of_the_image_to_the_host(engine: Engine, context: Path, outside: Path, step: str, way: str) -> None:
    with tarfile.open(context / "archive.tar", "w") as archive:
        archive.add(context / "file", "secret")
    target = way.replace("OUTSIDE", str(outside).lstrip("/") if way.startswith(".") else str(outside))
    make_image(engine, lambda tree: link(tree, "/way", target))
    build(engine, context, f"FROM hostile/image\n{step}\n")
    host_is_untouched(outside)


# buildkit CVE-2026-15791: a step emptied the machine's own /tmp, in which `outside` is
def test_no_step_empties_the_folder_for_temporary_files_of_the_machine(engine: Engine, context: Path, outside: Path) -> None:
    with tarfile.open(context / "archive.tar", "w") as archive:
        archive.add(context / "file", "secret")
    steps = ("COPY . /tmp/", "COPY --chmod=0 file /tmp", "COPY --parents ./file /tmp/../tmp/", "COPY --exclude=* . /tmp/",
             "ADD archive.tar /tmp/", "COPY <<EOF /tmp/secret\nx\nEOF", "COPY --from=lab/base / /", "WORKDIR /tmp/.",
             "COPY --link file /tmp/", "RUN rm -rf /tmp /tmp/* /tmp/.[!.]*; true", "RUN --mount=type=tmpfs,target=/tmp rm -rf /tmp/*",
             "RUN --mount=type=cache,target=/tmp rm -rf /tmp/*")  # fmt: skip
    for target in (str(outside), "../" * 12 + str(outside).lstrip("/")):
        make_image(engine, lambda tree, target=target: link(tree, "/tmp", target))
        for step in steps:
            build(engine, context, f"FROM hostile/image\n{step}\n")
        host_is_untouched(outside)


@pytest.mark.parametrize(
    "source", ["../outside/secret", "/../outside/secret", "./../outside", "dir/../../outside/secret", "OUTSIDE/secret"]
)
def test_copy_takes_nothing_from_outside_the_context(engine: Engine, context: Path, outside: Path, source: str) -> None:
    (context / "dir").mkdir()
    text = f"FROM lab/base\nCOPY {source.replace('OUTSIDE', str(outside))} /taken\n"
    assert SECRET not in build(engine, context, text)


@pytest.mark.parametrize("source", ["link", "link-to-folder", "link-to-folder/secret", "folder", "."])
@pytest.mark.parametrize("verb", ["COPY", "ADD"])
def test_links_of_the_context_lead_nowhere(engine: Engine, context: Path, outside: Path, verb: str, source: str) -> None:
    (context / "link").symlink_to(outside / "secret")
    (context / "link-to-folder").symlink_to("../outside")
    (context / "folder").mkdir()
    (context / "folder" / "deep").symlink_to("../../outside/secret")
    assert SECRET not in build(engine, context, f"FROM lab/base\n{verb} {source} /taken\n")
    host_is_untouched(outside)


def test_what_dockerignore_hides_cannot_be_copied_by_another_name(engine: Engine, context: Path) -> None:
    (context / ".dockerignore").write_text("hidden\n")
    (context / "hidden").mkdir()
    (context / "hidden" / "key").write_text(SECRET)
    (context / "way").symlink_to("hidden")
    for source in ("hidden/key", "./hidden/key", "way/key", "hid*/key", "hidden", "way"):
        assert SECRET not in build(engine, context, f"FROM lab/base\nCOPY {source} /taken\n"), source


@pytest.mark.parametrize("source", ["/way/secret", "/way", "/../../OUTSIDE/secret", "/proc/self/root/OUTSIDE/secret", "/proc/1/environ"])
def test_copy_from_an_image_sees_its_files_alone(engine: Engine, context: Path, outside: Path, source: str) -> None:
    make_image(engine, lambda tree: link(tree, "/way", str(outside)))
    source = source.replace("OUTSIDE", str(outside).lstrip("/"))
    for text in (
        f"FROM lab/base\nCOPY --from=hostile/image {source} /taken\n",
        f"FROM hostile/image AS stage\nRUN true\nFROM lab/base\nCOPY --from=stage {source} /taken\n",
    ):
        assert SECRET not in build(engine, context, text)
    host_is_untouched(outside)


@pytest.mark.parametrize("kind", ["parent", "absolute", "through a link", "hard link", "hard link to a link", "device"])
def test_archive_unpacks_into_the_image_alone(engine: Engine, context: Path, outside: Path, kind: str) -> None:
    def member(name: str, type_: bytes = tarfile.REGTYPE, linkname: str = "") -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode = type_, linkname, 0o4777
        return info

    secret = str(outside / "secret")
    members = {
        "parent": [member("../" * 12 + secret.lstrip("/"))],
        "absolute": [member(secret)],
        "through a link": [member("way", tarfile.SYMTYPE, str(outside)), member("way/secret"), member("way/new")],
        "hard link": [member("stolen", tarfile.LNKTYPE, secret), member("stolen")],
        "hard link to a link": [member("way", tarfile.SYMTYPE, secret), member("stolen", tarfile.LNKTYPE, "way"), member("stolen")],
        "device": [member("disk", tarfile.BLKTYPE)],
    }[kind]
    with tarfile.open(context / "archive.tar", "w") as archive:
        for info in members:
            data = b"written by an archive" if info.isreg() else b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    for destination in ("/", "/unpacked/"):
        assert SECRET not in build(engine, context, f"FROM lab/base\nADD archive.tar {destination}\n")
    host_is_untouched(outside)


def test_run_steps_see_neither_the_context_nor_the_store(engine: Engine, context: Path, place: Path) -> None:
    engine.images.build(context, dockerfile_text=f"FROM lab/base\nRUN test ! -e {context} && test ! -e {place}/s\n", network="none")
