"""What a container, or an archive, tries against whoever copies files; each test names the weakness of another engine that it repeats."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.containers.container import Container
from labcontainers.containers.files.unpacking import Rules, Unpacker
from labcontainers.errors import LabError, NotFound
from tests.security.hostile import BASE, link, make_image, put

TRIES = 40


def host_is_untouched(folder: Path) -> None:
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["canary"]
    assert (folder / "canary").read_text() == "host"


def archive_of(*members: tuple[str, bytes, str]) -> bytes:
    """A tar of (name, type, content or link)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o4777
            content = text.encode() if kind == tarfile.REGTYPE else b""
            info.size, info.linkname = len(content), "" if content else text
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def running(engine: Engine, script: str, image: Any = BASE, **options: Any) -> Container:
    """A container that runs the script for ever, once it has said that it began."""
    container = engine.containers.run(image, ["sh", "-c", script], network="none", detach=True, **options)
    for _ in range(1000):
        if "begun" in container.logs().text:
            return container
        time.sleep(0.01)
    raise AssertionError(container.logs().text)


def contents(stream: Iterator[bytes]) -> bytes:
    return b"".join(stream)


# Docker CVE-2018-15664: the path was checked, and then looked up once more, while the container swapped a directory for a link.
def test_directory_that_is_swapped_for_a_link_never_leads_to_the_host(engine: Engine, outside: Path, place: Path) -> None:
    script = (
        f"mkdir -p /a /w; echo inside > /a/canary; ln -s {outside} /b; ln -s /../../../../../..{outside} /c; echo begun; "
        "while :; do mv -T /a /w/x; mv -T /w/x /a; mv -T /b /w/x; mv -T /w/x /b; mv -T /c /w/x; mv -T /w/x /c; done"
    )
    container = running(engine, script)
    (place / "in").mkdir()
    (place / "in" / "canary").write_text("from the attacker")
    reached = 0
    for number in range(TRIES):
        with contextlib.suppress(LabError):
            data = contents(container.get_archive("/w/x/canary", follow_link=number % 2 == 0)[0])
            assert b"host" not in data
            reached += 1
        with contextlib.suppress(LabError):
            assert b"host" not in contents(container.get_archive("/w/x/")[0])
        with contextlib.suppress(LabError):
            container.copy_to(place / "in" / "canary", "/w/x/canary")
        with contextlib.suppress(LabError):
            container.copy_to(f"{place}/in/.", "/w/x")
        with contextlib.suppress(LabError):
            container.put_archive("/w", archive_of(("x/sub/canary", tarfile.REGTYPE, "from the attacker")))
    host_is_untouched(outside)
    container.kill()


def test_tree_that_changes_while_it_is_read_shows_nothing_of_the_host(engine: Engine, outside: Path, place: Path) -> None:
    script = (
        f"mkdir -p /w/d /w/a; echo inside > /w/a/canary; ln -s {outside} /w/b; echo begun; "
        "while :; do mv -T /w/a /w/d/x; mv -T /w/d/x /w/a; mv -T /w/b /w/d/x; mv -T /w/d/x /w/b; done"
    )
    container = running(engine, script)
    for number in range(TRIES):
        assert b"\0host" not in contents(container.get_archive("/w")[0])
        container.copy_from("/w", place / f"out{number}")
        copied = place / f"out{number}" / "d" / "x"
        assert copied.is_symlink() or not copied.exists() or (copied / "canary").read_text() == "inside\n" or not list(copied.iterdir())
    host_is_untouched(outside)
    container.kill()


def test_file_that_is_swapped_for_a_pipe_or_grows_and_shrinks_holds_nobody_up(engine: Engine) -> None:
    script = (
        "mkdir /w; mkfifo /p; echo x > /f; echo begun; "
        "while :; do mv -T /p /w/x; mv -T /w/x /p; mv -T /f /w/x; mv -T /w/x /f; echo more >> /w/log; echo > /w/log; done"
    )
    container = running(engine, script)
    done = threading.Event()

    def copy() -> None:
        for _ in range(TRIES):
            with tarfile.open(fileobj=io.BytesIO(contents(container.get_archive("/w")[0]))) as archive:
                assert archive.getnames()[0] == "w"
        done.set()

    thread = threading.Thread(target=copy)
    thread.start()
    thread.join(120)
    assert done.is_set()
    container.kill()


# Docker CVE-2019-14271: what copied had entered the container's root, and loaded a library from there.
def test_libraries_and_modules_of_a_container_are_never_loaded(engine: Engine, place: Path) -> None:
    def fill(tree: Path) -> None:
        for name in ("json/__init__.py", "encodings/__init__.py", "tarfile.py", "labcontainers/__init__.py"):
            for folder in ("usr/lib/python3", "usr/lib/python3.11", "usr/local/lib", ""):
                put(tree, f"{folder}/{name}", "import os\nos.mkdir('/reached')\n")
        for name in ("lib/x86_64-linux-gnu/libnss_files.so.2", "lib/libnss_files.so.2", "etc/nsswitch.conf", "etc/ld.so.preload"):
            put(tree, f"usr/{name}", "poison")

    container = engine.containers.create(make_image(engine, fill), ["sleep", "1000"], network="none")
    (place / "file").write_text("x")
    for started in (False, True):
        container.put_archive("/tmp", archive_of(("file", tarfile.REGTYPE, "x")))
        container.copy_to(place / "file", "/tmp/other", archive=True)
        container.copy_from("/tmp/file", place / f"back{started}")
        assert b"poison" in contents(container.export())
        with pytest.raises(NotFound):
            container.get_archive("/reached")
        if not started:
            container.start()
    assert not Path("/reached").exists()
    container.kill()


ESCAPES = [
    ("../../../../../../OUTSIDE/new", tarfile.REGTYPE, "x"),
    ("a/../../../../../../OUTSIDE/new", tarfile.REGTYPE, "x"),
    ("/OUTSIDE/canary", tarfile.REGTYPE, "x"),
    ("../x", tarfile.DIRTYPE, ""),
    ("..", tarfile.DIRTYPE, ""),
    ("hard", tarfile.LNKTYPE, "OUTSIDE/canary"),
    ("hard", tarfile.LNKTYPE, "../../../../../../OUTSIDE/canary"),
]


# Docker CVE-2014-9356, CVE-2014-6407; Python CVE-2007-4559
@pytest.mark.parametrize(("name", "kind", "text"), ESCAPES)
def test_names_and_hard_links_of_an_archive_do_not_lead_out(
    engine: Engine, outside: Path, place: Path, name: str, kind: bytes, text: str
) -> None:
    where = str(outside).lstrip("/")
    data = archive_of((name.replace("OUTSIDE", where), kind, text.replace("OUTSIDE", where)))
    container = engine.containers.create(BASE, ["sleep", "1000"], network="none")
    for path in ("/", "/tmp"):
        with contextlib.suppress(LabError):
            container.put_archive(path, data)
    _unpack_here(place, data)
    host_is_untouched(outside)
    assert not (place / "x").exists()
    assert os.stat(outside / "canary").st_nlink == 1


def _unpack_here(place: Path, data: bytes) -> None:
    """As files that come out of a container."""
    (place / "to").mkdir(exist_ok=True)
    fd = os.open(place / "to", os.O_PATH | os.O_DIRECTORY)
    try:
        with contextlib.suppress(LabError, OSError):
            Unpacker(fd, "", Rules(keep_owner=False, trusted=False), links=False).unpack(io.BytesIO(data))
    finally:
        os.close(fd)


THROUGH_LINKS = [
    [("way", tarfile.SYMTYPE, "OUTSIDE"), ("way/new", tarfile.REGTYPE, "x")],
    [("way", tarfile.SYMTYPE, "OUTSIDE"), ("way/canary", tarfile.REGTYPE, "x")],
    [("way", tarfile.SYMTYPE, "OUTSIDE"), ("way/folder", tarfile.DIRTYPE, "")],
    [("way", tarfile.SYMTYPE, "OUTSIDE"), ("way", tarfile.DIRTYPE, ""), ("way/new", tarfile.REGTYPE, "x")],
    [("way", tarfile.SYMTYPE, "OUTSIDE/canary"), ("way", tarfile.REGTYPE, "x")],
    [("way", tarfile.SYMTYPE, "OUTSIDE"), ("hard", tarfile.LNKTYPE, "way/canary"), ("hard", tarfile.REGTYPE, "x")],
    [("a", tarfile.DIRTYPE, ""), ("a/way", tarfile.SYMTYPE, "../../outside"), ("a/way/new", tarfile.REGTYPE, "x")],
    [("one", tarfile.SYMTYPE, "."), ("one/two", tarfile.SYMTYPE, ".."), ("one/two/outside/new", tarfile.REGTYPE, "x")],
]


@pytest.mark.parametrize("members", THROUGH_LINKS)
def test_links_of_an_archive_lead_nothing_out(engine: Engine, outside: Path, place: Path, members: list[tuple[str, bytes, str]]) -> None:
    data = archive_of(*((name, kind, text.replace("OUTSIDE", str(outside))) for name, kind, text in members))
    container = engine.containers.create(BASE, ["sleep", "1000"], network="none")
    for started in (False, True):
        with contextlib.suppress(LabError):
            container.put_archive("/tmp", data)
        _unpack_here(place, data)
        host_is_untouched(outside)
        assert os.stat(outside / "canary").st_nlink == 1
        if not started:
            container.start()
    container.kill()


def test_links_in_the_destination_are_replaced_and_not_followed(engine: Engine, outside: Path, place: Path) -> None:
    container = engine.containers.create(
        BASE, ["sh", "-c", "mkdir /d; echo x > /d/file; mkdir /d/folder; echo x > /d/folder/y"], network="none"
    )
    container.start()
    container.wait()
    (place / "d").mkdir()
    (place / "d" / "file").symlink_to(outside / "canary")
    (place / "d" / "folder").symlink_to(outside)
    with pytest.raises(LabError, match="cannot overwrite non-directory"):
        container.copy_from("/d", place)
    (place / "d" / "folder").unlink()
    container.copy_from("/d", place)
    assert not (place / "d" / "file").is_symlink()
    host_is_untouched(outside)


@pytest.mark.parametrize(
    "target", ["OUTSIDE", "../../../../../../OUTSIDE", "/proc/self/root/OUTSIDE", "/proc/1/root/OUTSIDE", "/proc/self/cwd"]
)
@pytest.mark.parametrize("started", [False, True])
def test_links_of_an_image_lead_nowhere_but_into_the_container(
    engine: Engine, outside: Path, place: Path, target: str, started: bool
) -> None:
    image = make_image(
        engine, lambda tree: link(tree, "/way", target.replace("OUTSIDE", str(outside).lstrip("/") if target[0] == "." else str(outside)))
    )
    container = engine.containers.create(image, ["sleep", "1000"], network="none")
    if started:
        container.start()
    for path in ("/way/canary", "/way/", "/way/."):
        with contextlib.suppress(LabError):
            assert b"host" not in contents(container.get_archive(path)[0])
    with contextlib.suppress(LabError):
        assert b"host" not in contents(container.get_archive("/way", follow_link=True)[0])
    for path in ("/way", "/way/canary", "/way/new"):
        with contextlib.suppress(LabError):
            container.copy_to(outside / "canary", path)
        with contextlib.suppress(LabError):
            container.put_archive(path, archive_of(("canary", tarfile.REGTYPE, "changed")))
    host_is_untouched(outside)
    if started:
        container.kill()


def test_magic_links_of_proc_lead_nowhere_but_into_the_container(engine: Engine) -> None:
    container = running(engine, "echo inside > /etc/passwd; echo begun; exec sleep 1000")
    for path in ("/proc/self/root/etc/passwd", "/proc/1/root/etc/passwd", "/proc/1/cwd/etc/passwd", "/proc/self/fd/0"):
        with pytest.raises(LabError):
            container.get_archive(path)
        with contextlib.suppress(LabError):
            assert b"inside" in contents(container.get_archive(path, follow_link=True)[0])
        with contextlib.suppress(LabError):
            container.put_archive(os.path.dirname(path), archive_of(("passwd", tarfile.REGTYPE, "changed")))
    assert container.exec(["cat", "/etc/passwd"]).stdout in ("inside\n", "changed")
    container.kill()


def test_process_that_changed_its_root_changes_nothing_of_what_is_copied(engine: Engine) -> None:
    script = (
        "mkdir -p /jail; cp -a /bin /lib /lib64 /usr /jail/ 2>/dev/null; echo jail > /jail/mark; echo real > /mark; "
        "exec chroot /jail sh -c 'echo begun; sleep 1000'"
    )
    container = running(engine, script)
    with tarfile.open(fileobj=io.BytesIO(contents(container.get_archive("/mark")[0]))) as archive:
        file = archive.extractfile("mark")
        assert file is not None
        assert file.read() == b"real\n"
    container.kill()


@pytest.mark.needs("root")
def test_devices_setuid_bits_and_capabilities_do_not_come_out(engine: Engine, place: Path) -> None:
    def fill(tree: Path) -> None:
        put(tree, "/d/tool", "x", 0o6755)
        os.setxattr(tree / "d" / "tool", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
        os.mknod(tree / "d" / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))

    container = engine.containers.create(make_image(engine, fill), ["true"], network="none")
    container.copy_from("/d", place)
    assert os.listdir(place / "d") == ["tool"]
    assert stat.S_IMODE((place / "d" / "tool").stat().st_mode) == 0o755
    assert "security.capability" not in os.listxattr(place / "d" / "tool")


def test_volume_behind_a_link_of_the_image_is_mounted_inside(engine: Engine, outside: Path, place: Path) -> None:
    (place / "volume").mkdir()
    (place / "volume" / "inside").write_text("of the volume")
    image = make_image(engine, lambda tree: link(tree, "/data", str(outside)))
    container = engine.containers.create(image, ["true"], network="none", volumes=[f"{place}/volume:/data/v"])
    for _ in range(2):
        with contextlib.suppress(LabError):
            container.put_archive("/data/v", archive_of(("new", tarfile.REGTYPE, "x")))
        with contextlib.suppress(LabError):
            contents(container.get_archive("/data/v")[0])
    host_is_untouched(outside)


def test_what_is_mounted_in_a_container_is_neither_replaced_nor_taken_away(engine: Engine, place: Path) -> None:
    (place / "mounted").write_text("of the host")
    container = running(engine, "echo begun; exec sleep 1000", volumes=[f"{place}/mounted:/usr/mounted"])
    for path in ("/etc/hosts", "/proc", "/dev", "/usr/mounted"):
        folder, _, name = path.rpartition("/")
        with pytest.raises(LabError, match=r"something is mounted there|cannot overwrite directory"):
            container.put_archive(folder or "/", archive_of((name, tarfile.REGTYPE, "x")))
    assert container.exec(["cat", "/usr/mounted"]).stdout == "of the host"
    assert "localhost" in container.exec(["cat", "/etc/hosts"]).stdout
    container.kill()


def test_very_deep_trees_are_copied_or_refused_and_removed(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["true"], network="none")
    with pytest.raises(LabError):
        container.put_archive("/tmp", archive_of(("x/" * 4000 + "y", tarfile.REGTYPE, "x")))
    with contextlib.suppress(LabError):
        contents(container.get_archive("/tmp")[0])
    with contextlib.suppress(LabError):
        container.diff()
    container.remove()
    assert engine.containers.list(all=True) == []
