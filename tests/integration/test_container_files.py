"""Copying into containers and out of them, what they changed, and what becomes of it: on the real kernel, as whoever runs the tests."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.container import Container
from labcontainers.errors import Conflict, InvalidArgument, LabError, NotFound, Unsupported

BASE = "lab/base"
STATES = ("running", "created", "exited")


def make(engine: Engine, state: str = "running", script: str = "true", **options: Any) -> Container:
    """A container in this state; `script` was run in it unless it is only created."""
    command = ["sh", "-c", f"{script}; touch /tmp/ready; " + ("sleep 1000" if state == "running" else "true")]
    container = engine.containers.create(BASE, command, **{"network": "none", **options})
    if state == "created":
        return container
    container.start()
    if state == "exited":
        assert container.wait() == 0
        return container
    for _ in range(1000):
        if container.exec(["test", "-e", "/tmp/ready"]).exit_code == 0:
            return container
        time.sleep(0.02)
    raise AssertionError("the container's script did not end")


def members(stream: Any) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        return {member.name: member for member in archive}


def archive_of(**files: bytes) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def text_of(container: Container, path: str) -> str:
    stream, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        assert file is not None
        return file.read().decode()


def command(engine: Engine, *words: str, folder: Path | None = None, **more: Any) -> Any:
    """The value of a command, and what it wrote."""
    written: list[tuple[int, bytes]] = []
    more = {"live": True, "screen": False, **more}
    value = execute(lambda: engine, understand(words), on_output=lambda *said: written.append(said), folder=folder, **more)
    return value, b"".join(data for _, data in written)


# --- archives


@pytest.mark.parametrize("state", STATES)
def test_a_file_comes_out_as_an_archive_with_dockers_stat(engine: Engine, state: str) -> None:
    container = make(engine, state)
    container.put_archive("/tmp", archive_of(file=b"hello"))
    stream, found = container.get_archive("/tmp/file")
    assert (found["name"], found["size"], found["linkTarget"]) == ("file", 5, "")
    assert found["mode"] == 0o644
    assert list(members(stream)) == ["file"]
    assert text_of(container, "tmp/file") == "hello"


@pytest.mark.parametrize("state", STATES)
def test_a_directory_comes_out_under_its_own_name_and_with_a_dot_without_it(engine: Engine, state: str) -> None:
    container = make(engine, state)
    container.put_archive("/tmp", archive_of(d__a=b"1", d__sub__b=b"2"))
    stream, found = container.get_archive("/tmp/d")
    assert found["mode"] == 1 << 31 | 0o755
    assert sorted(members(stream)) == ["d", "d/a", "d/sub", "d/sub/b"]
    stream, found = container.get_archive("/tmp/d/.")
    assert sorted(members(stream)) == [".", "./a", "./sub", "./sub/b"]


def test_a_symbolic_link_comes_out_as_a_link_unless_it_is_followed(engine: Engine) -> None:
    container = make(engine, "exited", "mkdir /d; echo x > /d/f; ln -s /d/f /link; ln -s ../../d /dirlink")
    stream, found = container.get_archive("/link")
    assert found["linkTarget"] == "/d/f"
    assert members(stream)["link"].linkname == "/d/f"
    stream, found = container.get_archive("/link", follow_link=True)
    assert members(stream)["link"].isreg()
    assert sorted(members(container.get_archive("/dirlink/")[0])) == ["dirlink", "dirlink/f"]


@pytest.mark.parametrize("path", ["/no/such", "/etc/passwd/x", "/etc/passwd/"])
@pytest.mark.parametrize("state", STATES)
def test_a_missing_path_is_told_before_anything_comes(engine: Engine, state: str, path: str) -> None:
    container = make(engine, state)
    with pytest.raises(NotFound, match=path.rstrip("/")):
        container.get_archive(path)
    with pytest.raises((NotFound, Conflict), match=r"could not find|not a directory"):
        container.put_archive(path, archive_of(x=b""))


def test_an_archive_is_taken_whole_as_a_file_and_piece_by_piece_and_compressed(engine: Engine) -> None:
    import gzip

    container = make(engine, "created")
    data = archive_of(x=b"content")
    for number, given in enumerate((data, io.BytesIO(data), (data[at : at + 100] for at in range(0, len(data), 100)), gzip.compress(data))):
        assert container.put_archive("/tmp", given)
        assert text_of(container, "/tmp/x") == "content", number
        container.put_archive("/tmp", archive_of(x=b"other"))
    assert container.put_archive("/tmp", b"")
    with pytest.raises(InvalidArgument, match="damaged"):
        container.put_archive("/tmp", data[:600])
    with pytest.raises(InvalidArgument, match="damaged"):
        container.put_archive("/tmp", b"no archive" * 1000)


def test_a_large_file_streams_both_ways_and_an_iterator_may_be_left(engine: Engine, place: Path) -> None:
    container = make(engine, "running")
    (place / "large").write_bytes(os.urandom(1 << 20) * 8)
    container.copy_to(place / "large", "/tmp")
    container.copy_from("/tmp/large", place / "back")
    assert (place / "back").read_bytes() == (place / "large").read_bytes()
    stream, _ = container.get_archive("/tmp/large", chunk_bytes=1000)
    assert 0 < len(next(stream)) <= 1000
    stream.close()
    assert list(stream) == []


def test_a_source_that_fails_leaves_the_container_free(engine: Engine) -> None:
    container = make(engine, "created")

    def pieces() -> Any:
        yield archive_of(x=b"y" * 100_000)[:50_000]
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="the source is gone"):
        container.put_archive("/tmp", pieces())
    container.start()
    assert container.wait() == 0


# --- cp


@pytest.fixture
def here(place: Path) -> Path:
    folder = place / "here"
    (folder / "dir" / "sub").mkdir(parents=True)
    (folder / "dir" / "a").write_text("a")
    (folder / "dir" / "sub" / "b").write_text("b")
    (folder / "file").write_text("file")
    os.utime(folder / "file", (0, 0))
    (folder / "link").symlink_to("file")
    return folder


# source on this machine, destination in the container, what is there afterwards and holds which text
INTO = [
    ("file", "/tmp", "/tmp/file", "file"),
    ("file", "/tmp/", "/tmp/file", "file"),
    ("file", "/tmp/new", "/tmp/new", "file"),
    ("file", "/tmp/old", "/tmp/old", "file"),
    ("file", "/tmp/to-old", "/tmp/old", "file"),
    ("file", "/tmp/to-folder", "/tmp/folder/file", "file"),
    ("file", "/tmp/to-nothing", "/tmp/nothing", "file"),
    ("file", "tmp/relative", "/tmp/relative", "file"),
    ("dir", "/tmp/folder", "/tmp/folder/dir/sub/b", "b"),
    ("dir", "/tmp/new", "/tmp/new/sub/b", "b"),
    ("dir/", "/tmp/new/", "/tmp/new/sub/b", "b"),
    ("dir/.", "/tmp/folder", "/tmp/folder/sub/b", "b"),
    ("dir/.", "/tmp/new", "/tmp/new/sub/b", "b"),
]


@pytest.mark.parametrize("state", STATES)
def test_cp_into_a_container_puts_things_where_docker_does(engine: Engine, here: Path, state: str) -> None:
    container = make(engine, state)
    for source, destination, path, text in INTO:
        prepared = io.BytesIO()
        with tarfile.open(fileobj=prepared, mode="w") as archive:
            for name, target in (("to-old", "old"), ("to-folder", "/tmp/folder"), ("to-nothing", "nothing")):
                link = tarfile.TarInfo(f"tmp/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, target
                archive.addfile(link)
            folder = tarfile.TarInfo("tmp/folder")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            archive.addfile(tarfile.TarInfo("tmp/old"))
        fresh = container if state == "running" else make(engine, state)
        if state == "running":
            container.exec(["sh", "-c", "rm -rf /tmp/*"]).check()
        fresh.put_archive("/", prepared.getvalue())
        fresh.copy_to(f"{here}/{source}", destination)
        assert text_of(fresh, path) == text, (source, destination)


REFUSED_INTO = [
    ("dir", "/tmp/old", Conflict, "cannot copy directory"),
    ("file", "/tmp/new/", NotFound, "no such directory"),
    ("file", "/no/such/folder", NotFound, "could not find the file /no/such"),
    ("nothing", "/tmp", NotFound, "nothing: no such file or directory"),
    ("file/", "/tmp", NotFound, "not a directory"),
    ("file", "/tmp/folder-of-files", Conflict, "cannot overwrite directory 'file' with non-directory"),
    ("dir", "/tmp/folder-of-files", Conflict, "cannot overwrite non-directory 'dir' with directory"),
]


@pytest.mark.parametrize(("source", "destination", "error", "words"), REFUSED_INTO)
def test_cp_into_a_container_is_refused_in_dockers_words(
    engine: Engine, here: Path, source: str, destination: str, error: type[LabError], words: str
) -> None:
    container = make(engine, "created")
    container.put_archive("/tmp", archive_of(old=b"old", **{"folder-of-files__file__x": b"", "folder-of-files__dir": b""}))
    with pytest.raises(error, match=words) as caught:
        container.copy_to(f"{here}/{source}", destination)
    assert caught.value.exit_code == 1
    assert "\n" not in caught.value.message


OUT_OF = [
    ("/d", "folder", "folder/d/sub/b", "b"),
    ("/d", "new", "new/sub/b", "b"),
    ("/d/.", "folder", "folder/sub/b", "b"),
    ("/d/.", "new", "new/sub/b", "b"),
    ("/d/a", "folder", "folder/a", "a"),
    ("/d/a", "folder/", "folder/a", "a"),
    ("/d/a", "new", "new", "a"),
    ("/d/a", "old", "old", "a"),
    ("d/a", ".", "a", "a"),
    ("/d/a", "to-old", "old", "a"),
    ("/d/a", "to-folder", "folder/a", "a"),
    ("/d/a", "to-nothing", "nothing", "a"),
]


def test_cp_out_of_a_container_puts_things_where_docker_does(engine: Engine, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = make(engine, "exited", "mkdir -p /d/sub; printf a > /d/a; printf b > /d/sub/b")
    for number, (source, destination, path, text) in enumerate(OUT_OF):
        folder = place / str(number)
        (folder / "folder").mkdir(parents=True)
        (folder / "old").write_text("old")
        for name, target in (("to-old", "old"), ("to-folder", "folder"), ("to-nothing", "nothing")):
            (folder / name).symlink_to(target)
        monkeypatch.chdir(folder)
        container.copy_from(source, destination)
        assert (folder / path).read_text() == text, (source, destination)


@pytest.mark.parametrize(
    ("source", "destination", "error", "words"),
    [
        ("/d", "old", Conflict, "cannot copy directory"),
        ("/d/a", "new/", NotFound, "no such directory"),
        ("/d/a", "no/such/x", NotFound, "does not exist"),
        ("/nothing", "folder", NotFound, "could not find the file /nothing in container"),
        ("/d/a", "/dev/null", Conflict, "must be a directory or a regular file"),
    ],
)
def test_cp_out_of_a_container_is_refused_in_dockers_words(
    engine: Engine, place: Path, source: str, destination: str, error: type[LabError], words: str
) -> None:
    container = make(engine, "exited", "mkdir -p /d; echo a > /d/a")
    (place / "folder").mkdir()
    (place / "old").write_text("old")
    with pytest.raises(error, match=words) as caught:
        container.copy_from(source, place / destination if not destination.endswith("/") else f"{place}/{destination}")
    assert caught.value.exit_code == 1
    assert (place / "old").read_text() == "old"


def test_what_is_copied_in_is_roots_and_with_archive_has_its_numbers(engine: Engine, here: Path) -> None:
    os.chmod(here / "dir" / "a", 0o640)
    os.utime(here / "dir" / "a", ns=(0, 1_600_000_000_123_456_789))
    container = make(engine, "running")
    container.copy_to(here / "dir", "/tmp")
    shown = container.exec(["stat", "-c", "%u:%g %a", "/tmp/dir", "/tmp/dir/a"]).stdout.split("\n")
    assert shown[:2] == ["0:0 755", "0:0 640"] or shown[0].startswith("0:0")
    assert container.get_archive("/tmp/dir/a")[1]["mtime"] == "2020-09-13T12:26:40.123456789Z"
    if os.geteuid() == 0:
        os.chown(here / "dir" / "a", 12, 34)
        container.copy_to(here / "dir", "/tmp", archive=True)
        assert container.exec(["stat", "-c", "%u:%g", "/tmp/dir/a"]).stdout == "12:34\n"


def test_what_is_copied_out_is_the_callers_without_setuid_bits(engine: Engine, place: Path) -> None:
    container = make(engine, "exited", "mkdir /d; echo x > /d/f; chmod 4755 /d/f; chmod 2555 /d")
    container.copy_from("/d", place)
    status = (place / "d" / "f").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), os.getegid(), 0o755)
    assert stat.S_IMODE((place / "d").stat().st_mode) == 0o555
    os.chmod(place / "d", 0o755)


@pytest.mark.needs("root")
def test_with_archive_the_owners_and_bits_of_the_container_come_out(engine: Engine, place: Path) -> None:
    container = make(engine, "exited", "echo x > /f; chown 12:34 /f; chmod 4755 /f")
    container.copy_from("/f", place, archive=True)
    status = (place / "f").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o4755)


@pytest.mark.parametrize(
    "name", ["with\nnewline", "with space", "umlaut-ä", os.fsdecode(b"not-utf-8-\xff\xfe"), "-dash", ".wh.file", "x" * 250]
)
def test_any_name_survives_the_way_there_and_back(engine: Engine, place: Path, name: str) -> None:
    (place / "in").mkdir()
    (place / "in" / name).write_text("content")
    (place / "in" / "link").symlink_to(name)
    container = make(engine, "created")
    container.copy_to(place / "in", "/tmp/in")
    container.copy_from("/tmp/in", place / "out")
    assert (place / "out" / name).read_text() == "content"
    assert os.readlink(place / "out" / "link") == name


def test_links_pipes_and_attributes_survive_the_way_there_and_back(engine: Engine, place: Path) -> None:
    folder = place / "in"
    folder.mkdir()
    (folder / "a").write_text("one")
    os.link(folder / "a", folder / "b")
    os.mkfifo(folder / "pipe")
    (folder / "absolute").symlink_to("/etc/passwd")
    (folder / "empty").mkdir(mode=0o700)
    container = make(engine, "running")
    container.copy_to(folder, "/tmp/in")
    container.copy_from("/tmp/in", place / "out")
    assert (place / "out" / "a").stat().st_ino == (place / "out" / "b").stat().st_ino
    assert stat.S_ISFIFO((place / "out" / "pipe").stat().st_mode)
    assert os.readlink(place / "out" / "absolute") == "/etc/passwd"
    assert stat.S_IMODE((place / "out" / "empty").stat().st_mode) == 0o700


@pytest.mark.parametrize("state", STATES)
def test_what_lies_in_a_volume_is_copied_out_and_in(engine: Engine, place: Path, state: str) -> None:
    (place / "volume").mkdir(mode=0o777)
    (place / "volume" / "inside").write_text("of the volume")
    container = make(engine, state, volumes=[f"{place}/volume:/srv/deep/data"])
    assert text_of(container, "/srv/deep/data/inside") == "of the volume"
    container.put_archive("/srv/deep/data", archive_of(new=b"new"))
    assert (place / "volume" / "new").read_text() == "new"
    assert [change for change in container.diff() if "srv" in change["Path"]] == []


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_copied_into_what_is_read_only(engine: Engine, place: Path, state: str) -> None:
    for name in ("ro", "rw"):
        (place / name).mkdir()
    container = make(engine, state, volumes=[f"{place}/ro:/mnt/ro:ro", f"{place}/rw:/mnt/rw"], tmpfs={"/tmp": ""}, read_only=True)
    with pytest.raises(Conflict, match="container rootfs is marked read-only"):
        container.put_archive("/etc", archive_of(x=b""))
    with pytest.raises(Conflict, match="mounted volume is marked read-only"):
        container.put_archive("/mnt/ro", archive_of(x=b""))
    container.put_archive("/mnt/rw", archive_of(x=b""))
    assert (place / "rw" / "x").exists()
    assert text_of(container, "/etc/passwd")


def test_the_kernels_files_are_left_out_and_refused(engine: Engine) -> None:
    container = make(engine, "running")
    names = members(container.get_archive("/")[0])
    assert {"./proc", "./sys", "./dev"} <= set(names)
    assert not [name for name in names if name.startswith(("./proc/", "./sys/", "./dev/"))]
    for path in ("/proc/version", "/sys/kernel", "/dev/null"):
        with pytest.raises(NotFound, match="belongs to the kernel"):
            container.get_archive(path)


@pytest.mark.parametrize("state", ["created", "exited"])
def test_a_container_can_be_started_after_something_was_copied_into_it(engine: Engine, here: Path, state: str) -> None:
    container = make(engine, state)
    container.copy_to(here / "file", "/usr/greeting")
    container.start()
    assert container.wait() == 0
    assert text_of(container, "/usr/greeting") == "file"


@pytest.mark.needs("cgroups")
def test_a_paused_container_is_copied_into_and_out_of_and_stays_paused(engine: Engine, here: Path) -> None:
    container = make(engine, "running")
    container.pause()
    container.copy_to(here / "dir", "/tmp")
    container.copy_from("/tmp/dir", here / "back")
    assert (here / "back" / "sub" / "b").read_text() == "b"
    assert "A /tmp/dir/a" in repr(container.diff())
    container.commit()
    assert container.status == "paused"
    container.unpause()


def test_a_container_that_waits_for_its_next_start_is_read_and_not_written(engine: Engine) -> None:
    container = engine.containers.create(
        BASE, ["sh", "-c", "echo x > /usr/new; exit 1"], network="none", restart_policy={"Name": "always", "MaximumRetryCount": 0}
    )
    container.start()
    deadline = time.monotonic() + 120
    # It waits longer each time, so that there is time to look.
    while container.status != "restarting" or container.inspect()["RestartCount"] < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert text_of(container, "/usr/new") == "x\n"
    assert "A /usr/new" in lines(container)
    with pytest.raises(Conflict, match="is restarting"):
        container.put_archive("/tmp", archive_of(x=b""))
    container.remove(force=True)


def test_a_removed_container_has_no_files(engine: Engine) -> None:
    container = make(engine, "created")
    container.remove()
    for act in (lambda: container.get_archive("/etc"), lambda: container.put_archive("/etc", b""), container.diff, container.commit):
        with pytest.raises(NotFound, match="no such container"):
            act()


# --- the command line


def test_cp_streams_an_archive_to_standard_output_and_from_standard_input(engine: Engine, place: Path) -> None:
    container = make(engine, "running")
    container.put_archive("/tmp", archive_of(d__a=b"content"))
    _, data = command(engine, "cp", f"{container.name}:/tmp/d", "-")
    assert sorted(members([data])) == ["d", "d/a"]
    (place / "stream").write_bytes(data)
    with (place / "stream").open("rb") as file:
        command(engine, "cp", "-", f"{container.name}:/usr", stdin=file.fileno())
    assert text_of(container, "/usr/d/a") == "content"
    with (place / "stream").open("rb") as file, pytest.raises(Conflict, match="not a directory"):
        command(engine, "cp", "-", f"{container.name}:/etc/passwd", stdin=file.fileno())


def test_cp_tells_what_it_did_to_a_terminal_and_to_a_cell(engine: Engine, here: Path) -> None:
    container = make(engine, "created")
    words = ("cp", "file", f"{container.name}:/tmp")
    assert command(engine, *words, folder=here) == (None, b"")
    _, shown = command(engine, *words, folder=here, screen=True)
    assert shown == f"Successfully copied 2.05kB to {container.name}:/tmp\n".encode()
    value, shown = command(engine, *words, folder=here, live=False)
    assert (str(value), shown) == (f"Successfully copied 2.05kB to {container.name}:/tmp", b"")
    assert command(engine, "cp", "-q", *words[1:], folder=here, screen=True) == (None, b"")
    command(engine, "cp", f"{container.name}:/tmp/file", "./copy:1", folder=here)
    assert (here / "copy:1").read_text() == "file"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("cp", "a", "b"), "must specify at least one container source"),
        (("cp", "a:/x", "b:/y"), "copying between containers is not supported"),
        (("cp", "", "b:/y"), "source can not be empty"),
        (("cp", "a:/x", ""), "destination can not be empty"),
        (("cp", "a:", "/x"), "no CONTAINER:PATH"),
        (("cp", "nosuch:/x", "/tmp/"), "no such container: nosuch"),
        (("export", "nosuch", "-o", "/no/such/file"), "does not exist"),
        (("export", "nosuch", "-o", "/tmp"), "is a directory"),
        (("diff", "nosuch"), "no such container"),
        (("commit", "nosuch"), "no such container"),
        (("commit", "nosuch", "Bad Name"), "Bad Name"),
    ],
)
def test_wrong_words_are_refused(engine: Engine, words: tuple[str, ...], text: str) -> None:
    with pytest.raises(LabError, match=text):
        command(engine, *words)


def test_an_archive_is_shown_neither_on_a_terminal_nor_in_a_cell(engine: Engine) -> None:
    container = make(engine, "created")
    for words in (("export", container.name), ("cp", f"{container.name}:/etc", "-")):
        with pytest.raises(Conflict, match="cowardly refusing to save to a terminal"):
            command(engine, *words, screen=True)
        with pytest.raises(InvalidArgument, match="a cell cannot show a tar archive"):
            command(engine, *words, live=False)
    with pytest.raises(Unsupported, match="no standard input"):
        command(engine, "cp", "-", f"{container.name}:/", live=False)


# --- diff and commit

# What a container does to the files of the image below, and what Docker's diff says of it. Whatever is above a change is changed, too.
DIFFERENCES = [
    ("true", []),
    ("echo x > /t/new", ["C /t", "A /t/new"]),
    ("mkdir -p /t/x/y; echo z > /t/x/y/z", ["C /t", "A /t/x", "A /t/x/y", "A /t/x/y/z"]),
    ("echo more >> /t/etc/group", ["C /t", "C /t/etc", "C /t/etc/group"]),
    ("rm /t/etc/group", ["C /t", "C /t/etc", "D /t/etc/group"]),
    ("rm -r /t/home", ["C /t", "D /t/home"]),
    ("rm -r /t/home; mkdir /t/home; echo x > /t/home/new", ["C /t", "C /t/home", "D /t/home/a", "D /t/home/kept", "A /t/home/new"]),
    ("rm -r /t/opt; echo x > /t/opt", ["C /t", "C /t/opt"]),
    ("rm /t/etc/group; mkdir /t/etc/group; echo x > /t/etc/group/x", ["C /t", "C /t/etc", "C /t/etc/group", "A /t/etc/group/x"]),
    ("chmod 700 /t/etc", ["C /t", "C /t/etc"]),
    ("chmod 600 /t/etc/group", ["C /t", "C /t/etc", "C /t/etc/group"]),
    ("touch -t 200001010000 /t/etc/group", ["C /t", "C /t/etc", "C /t/etc/group"]),
    ("ln -sf b /t/etc/link", ["C /t", "C /t/etc", "C /t/etc/link"]),
    ("chmod 600 /t/etc/group; chmod 644 /t/etc/group; : >> /t/etc/group", []),
    ("echo x > /t/new; rm /t/new", []),
    ("mv /t/etc/group /t/etc/moved", ["C /t", "C /t/etc", "D /t/etc/group", "A /t/etc/moved"]),
    ("mkfifo /t/pipe", ["C /t", "A /t/pipe"]),
    ("touch /t/b /t/b-c; mkdir /t/a; touch /t/a/x /t/a-b", ["C /t", "A /t/a", "A /t/a/x", "A /t/a-b", "A /t/b", "A /t/b-c"]),
]


@pytest.fixture
def image(engine: Engine, place: Path) -> str:
    (place / "context").mkdir()
    text = (
        f"FROM {BASE}\nRUN umask 022; mkdir -p /t/home/a/b /t/home/kept /t/opt/x /t/etc && "
        'touch /t/home/a/b/c /t/opt/x/y /t/etc/group && chmod 644 /t/etc/group && ln -s a /t/etc/link\nENV INSIDE=image\nCMD ["id"]\n'
    )
    engine.images.build(place / "context", dockerfile_text=text, tag="lab/changed", network="none")
    return "lab/changed"


def ended(engine: Engine, image: str, script: str, **options: Any) -> Container:
    container = engine.containers.create(image, ["sh", "-c", script], **{"network": "none", **options})
    container.start()
    assert container.wait() == 0, container.logs().text
    return container


def lines(container: Container) -> list[str]:
    return repr(container.diff()).splitlines()


def test_diff_tells_what_docker_tells_of_every_kind_of_change(engine: Engine, image: str) -> None:
    for script, expected in DIFFERENCES:
        container = ended(engine, image, script)
        assert lines(container) == expected, script
        container.remove()


def test_diff_of_a_running_container_and_of_one_that_never_ran(engine: Engine, image: str) -> None:
    assert lines(engine.containers.create(image, network="none")) == []
    container = make(engine, "running", "echo x > /usr/new")
    assert lines(container) == ["C /tmp", "A /tmp/ready", "C /usr", "A /usr/new"]


def test_diff_does_not_tell_of_what_was_made_only_to_mount_on(engine: Engine, image: str, place: Path) -> None:
    (place / "volume").mkdir()
    (place / "file").write_text("x")
    mounts = {"volumes": [f"{place}/volume:/deep/in/the/tree", f"{place}/file:/t/etc/mounted"], "tmpfs": {"/t/scratch": ""}}
    container = ended(engine, image, "echo x > /deep/in/the/tree/file; echo y > /t/scratch/file; mkdir /deep/own", **mounts)
    assert lines(container) == ["A /deep", "A /deep/own"]
    assert lines(ended(engine, image, "echo x > /deep/in/the/tree/file", **mounts)) == []


def test_diff_is_a_list_as_docker_pys_and_has_a_form_for_notebooks(engine: Engine, image: str) -> None:
    container = ended(engine, image, "echo x > '/t/<b>'; rm /t/etc/group")
    assert container.diff() == [
        {"Path": "/t", "Kind": 0},
        {"Path": "/t/<b>", "Kind": 1},
        {"Path": "/t/etc", "Kind": 0},
        {"Path": "/t/etc/group", "Kind": 2},
    ]
    assert "/t/&lt;b&gt;" in container.diff()._repr_html_()
    value, _ = command(engine, "diff", container.name)
    assert str(value) == "C /t\nA /t/<b>\nC /t/etc\nD /t/etc/group"


def test_a_committed_image_has_the_changes_and_nothing_else(engine: Engine, image: str, place: Path) -> None:
    (place / "volume").mkdir()
    (place / "volume" / "inside").write_text("")
    script = (
        "echo new > /t/new; ln /t/new /t/linked; rm /t/etc/group; rm -r /t/home; mkdir /t/home; echo x > /t/home/x; chmod 700 /t/opt; "
        "echo x > /t/tool; chmod 4755 /t/tool; mkfifo /t/pipe; touch -t 200001010000 /t/old"
    )
    container = ended(engine, image, script, volumes=[f"{place}/volume:/deep/volume"])
    made = container.commit("lab/committed", "one")
    assert made.tags == ("lab/committed:one",)
    assert engine.images.get(image).diff_ids == made.diff_ids[:-1]
    show = (
        "cat /t/new; stat -c %h /t/linked; ls -A /t/home; test ! -e /t/etc/group && echo gone; stat -c %a /t/opt /t/tool; "
        "test -p /t/pipe && echo pipe; stat -c %Y /t/old; test ! -e /deep && echo 'no volume'"
    )
    result = engine.containers.run(made, ["sh", "-c", show], network="none", remove=True)
    assert result.stdout.split("\n")[:10] == ["new", "2", "x", "gone", "700", "4755", "pipe", "946684800", "no volume", ""]
    assert lines(container)
    container.start()
    container.wait()


def test_commit_tells_history_config_and_author_as_docker(engine: Engine, image: str) -> None:
    container = ended(
        engine, image, "echo x > /t/x", environment={"MORE": "1"}, labels={"of": "container"}, user="0:0", working_dir="/t", hostname="h"
    )
    made = container.commit("lab/committed", message="a comment", author="Ada <ada@example.org>")
    config = made.config.config
    assert config.cmd == ("sh", "-c", "echo x > /t/x")
    assert {"INSIDE=image", "MORE=1"} <= set(config.env)
    assert (config.user, config.working_dir, config.labels["of"]) == ("0:0", "/t", "container")
    assert made.config.author == "Ada <ada@example.org>"
    entry = made.history[-1].to_json()
    assert (entry["comment"], entry["author"], entry["created_by"]) == ("a comment", "Ada <ada@example.org>", "sh -c echo x > /t/x")
    assert "empty_layer" not in entry
    assert made.history[:-1] == engine.images.get(image).history
    assert made.tags == ("lab/committed:latest",)


def test_commit_keeps_what_the_options_say_of_ports_volumes_health_and_signals(engine: Engine, image: str) -> None:
    options = {"healthcheck": {"test": ["CMD", "true"], "retries": 2}, "stop_signal": "SIGINT", "entrypoint": ["sh", "-c"]}
    container = engine.containers.create(image, ["true"], network="none", volumes=["/anonymous"], expose=["81"], **options)
    config = container.commit().config.config
    assert config.extra["Healthcheck"]["Test"] == ["CMD", "true"]
    assert (config.stop_signal, config.volumes, config.exposed_ports) == ("SIGINT", ("/anonymous",), ("81/tcp",))
    assert (config.entrypoint, config.cmd) == (("sh", "-c"), ("true",))
    container.remove(v=True)


def test_commit_of_an_unchanged_container_adds_no_layer(engine: Engine, image: str) -> None:
    made = ended(engine, image, "true").commit()
    assert made.diff_ids == engine.images.get(image).diff_ids
    assert made.history[-1].empty_layer
    assert made.tags == ()


def test_commit_applies_every_instruction_that_docker_allows(engine: Engine, image: str) -> None:
    changes = [
        'CMD ["a", "b"]', "ENTRYPOINT run it", "ENV ONE=1 TWO=$INSIDE", "EXPOSE 80 53/udp", "LABEL a=b", "ONBUILD RUN true",
        "USER nobody", "VOLUME /data", "WORKDIR sub", "STOPSIGNAL SIGINT", 'CMD ["c"]',
    ]  # fmt: skip
    config = ended(engine, image, "true", working_dir="/t").commit(changes=changes).config.config
    assert config.cmd == ("c",)
    assert config.entrypoint == ("/bin/sh", "-c", "run it")
    assert {"ONE=1", "TWO=image"} <= set(config.env)
    assert set(config.exposed_ports) == {"80/tcp", "53/udp"}
    assert (config.labels["a"], config.user, config.volumes, config.working_dir) == ("b", "nobody", ("/data",), "/t/sub")
    assert (config.stop_signal, config.extra["OnBuild"]) == ("SIGINT", ["RUN true"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("RUN true", "RUN is not a valid change command"),
        ("COPY a b", "COPY is not a valid change command"),
        ("NONSENSE", "unknown instruction"),
        ('CMD ["a"]\nRUN true', "not one instruction"),
        ("", "not one instruction"),
        ("ENV", "ENV requires"),
        ("EXPOSE http", "http"),
        ("ONBUILD FROM x", "FROM is not allowed"),
    ],
)
def test_commit_refuses_a_wrong_change_before_anything_is_made(engine: Engine, image: str, change: str, words: str) -> None:
    container = ended(engine, image, "true")
    before = engine.images.list(all=True)
    with pytest.raises(InvalidArgument, match=words):
        container.commit("lab/committed", changes=[change])
    with pytest.raises(LabError):
        container.commit("lab/committed@sha256:" + "0" * 64)
    assert engine.images.list(all=True) == before


def test_commit_of_a_running_container_lets_it_go_on(engine: Engine) -> None:
    container = make(engine, "running", "echo x > /usr/new")
    for words in (("commit", container.name), ("commit", "-p=false", container.name), ("commit", "--no-pause", container.name, "lab/x:1")):
        value, _ = command(engine, *words)
        assert str(value).startswith("sha256:")
    assert container.status == "running"
    assert container.exec(["cat", "/usr/new"]).stdout == "x\n"
    assert engine.containers.run("lab/x:1", ["cat", "/usr/new"], network="none", remove=True).stdout == "x\n"
    value, _ = command(engine, "commit", "-m", "text", "-a", "me", "-c", "ENV A=b", container.name, live=False)
    assert value.config.author == "me"


@pytest.mark.needs("cgroups")
def test_commit_pauses_a_running_container_meanwhile(engine: Engine) -> None:
    container = make(engine, "running")
    seen = []
    container.commit()
    seen = [event.action for event in engine.store.events.read() if event.id == container.id]
    assert seen.index("pause") < seen.index("unpause") < seen.index("commit")


# --- export


@pytest.mark.parametrize("state", STATES)
def test_export_holds_the_whole_tree_without_volumes(engine: Engine, place: Path, state: str) -> None:
    (place / "volume").mkdir()
    (place / "volume" / "inside").write_text("of the volume")
    container = make(engine, state, "echo x > /usr/new; rm /etc/group", volumes=[f"{place}/volume:/srv/data"])
    found = members(container.export())
    assert "etc/passwd" in found
    assert ("usr/new" in found) == ("etc/group" not in found) == (state != "created")
    assert not [name for name in found if name.startswith(("proc/", "sys/", "dev/", "srv/data/"))]
    assert found["etc/passwd"].uid == 0
    command(engine, "export", "-o", "tree.tar", container.name, folder=place)
    with tarfile.open(place / "tree.tar") as archive:
        assert set(archive.getnames()) == set(found)
    _, data = command(engine, "export", container.name)
    assert set(members([data])) == set(found)
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


def test_a_container_makes_nothing_of_its_own_to_mount_on(engine: Engine) -> None:
    container = make(engine, "running")
    assert [entry.name for entry in (container._record.directory / "upper").iterdir()] == ["tmp"]
    assert text_of(container, "/etc/hostname") != ""
