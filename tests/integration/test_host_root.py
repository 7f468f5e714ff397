"""Containers on a folder of this machine instead of an image (`--rootfs`), and that they leave the folder as it is."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.planning import host_root
from labcontainers.errors import Denied, InvalidArgument, StartFailed, Unsupported
from tests.waiting import until

# the machine's root has what lies on its disk, and nothing that is mounted below
pytestmark = [pytest.mark.empty_store, pytest.mark.on_disk]


@pytest.fixture
def tree(place: Path) -> Path:
    """A root file system of one program with many names, which belongs to whoever runs the tests."""
    made = place / "tree"
    for name in ("bin", "etc", "tmp", "srv"):
        (made / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", made / "bin" / "busybox")
    for name in ("sh", "cat", "rm", "ls", "sleep", "id", "chmod", "touch", "env", "ln", "mkdir", "mv"):
        (made / "bin" / name).symlink_to("busybox")
    (made / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (made / "etc" / "motd").write_text("as it was\n")
    (made / "etc" / "motd").chmod(0o640)
    return made


Entries = dict[str, tuple[int, int, int, int, bytes]]


def entries(tree: Path) -> Entries:
    """Everything that can be told of a tree but the times of last access."""
    found: Entries = {}
    for folder, folders, files in os.walk(tree):
        for name in [*folders, *files]:
            path = Path(folder, name)
            status = path.lstat()
            content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(tree))] = (status.st_mode, status.st_uid, status.st_mtime_ns, status.st_ctime_ns, content)
    return found


@pytest.mark.needs("busybox")
class TestFolder:
    def test_its_programs_run_as_root_in_its_root_with_dockers_path(self, engine: Engine, tree: Path) -> None:
        result = engine.containers.run(rootfs=tree, command=["sh", "-c", "id -u; pwd; echo $PATH; cat /etc/motd"])
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        assert result.stdout.splitlines() == ["0", "/", path, "as it was"]
        assert result.exit_code == 0
        assert result.warnings == ()

    def test_a_container_that_changes_everything_leaves_it_as_it_was(self, engine: Engine, tree: Path) -> None:
        before = entries(tree)
        attack = "echo mine > /etc/motd; chmod 777 /etc/passwd; rm /bin/ls; mv /srv /other; ln /bin/busybox /hard; exit 0"
        result = engine.containers.run(rootfs=str(tree), command=["sh", "-c", attack], name="changer")
        assert entries(tree) == before
        assert result.exit_code == 0
        changes = {(one["Path"], one["Kind"]) for one in engine.containers.get("changer").diff()}
        assert {("/bin/ls", 2), ("/etc/motd", 0), ("/etc/passwd", 0), ("/hard", 1), ("/other", 1), ("/srv", 2)} <= changes

    def test_its_changes_stay_from_start_to_start_and_across_engines(self, make_engine: Callable[[], Engine], tree: Path) -> None:
        with make_engine() as first:
            made = first.containers.create(rootfs=tree, command=["sh", "-c", "echo x >> /count; cat /count"], name="again")
            made.start()
            made.wait()
        again = make_engine().containers.get("again")
        again.start()
        again.wait()
        assert str(again.logs()).split() == ["x", "x", "x"]

    def test_cp_export_exec_and_diff_work(self, engine: Engine, tree: Path, place: Path) -> None:
        container = engine.containers.run(rootfs=tree, command=["sleep", "1000"], detach=True)
        assert container.exec(["sh", "-c", "echo new > /srv/new; cat /etc/motd"]).stdout == "as it was\n"
        container.copy_to(tree / "etc" / "motd", "/srv/copy")
        container.stop(0)
        container.copy_from("/srv", place / "out")
        assert sorted(os.listdir(place / "out")) == ["copy", "new"]
        assert {(one["Path"], one["Kind"]) for one in container.diff()} == {("/srv", 0), ("/srv/new", 1), ("/srv/copy", 1)}
        with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as archive:
            assert {"etc/motd", "srv/new", "srv/copy", "bin/busybox"} <= {name.removeprefix("./") for name in archive.getnames()}

    def test_checkpoints_are_taken_and_come_back(self, engine: Engine, tree: Path) -> None:
        container = engine.containers.create(rootfs=tree, command=["sh", "-c", "echo x >> /count; cat /count"])
        for label in ("first", "second"):
            container.start()
            container.wait()
            container.checkpoint(label)
        container.rollback("first")
        container.start()
        container.wait()
        assert str(container.logs()).split() == ["x", "x", "x", "x", "x"]
        assert [one["Path"] for one in container.checkpoints[0].diff()] == ["/count"]

    def test_there_is_no_image_of_it(self, engine: Engine, tree: Path) -> None:
        container = engine.containers.create(rootfs=tree, command=["sh"], name="standing")
        container.checkpoint("one")
        with pytest.raises(Unsupported, match=r"container standing runs on the folder .* not be portable"):
            container.commit("mine")
        with pytest.raises(Unsupported, match="container standing runs on the folder"):
            container.checkpoints[0].image("mine")
        assert engine.images.list(all=True) == []

    def test_inspect_ps_and_the_plan_tell_of_the_folder(self, engine: Engine, tree: Path) -> None:
        container = engine.containers.create(rootfs=f"{tree}:O", command=["sh"])
        document = container.inspect()
        assert (document["Rootfs"], document["Image"], container.image) == (str(tree), "", str(tree))
        assert document["GraphDriver"]["Data"]["LowerDir"] == str(tree)
        planned = str(engine.containers.plan(rootfs=tree, command=["sh"]))
        assert f"lowerdir={tree}," in planned
        assert f"podman run --rootfs {tree}:O sh" in planned

    def test_the_command_line_takes_a_folder_as_the_first_word(self, engine: Engine, tree: Path) -> None:
        result = execute(lambda: engine, understand(["run", "--rm", "--rootfs", f"{tree}:O", "cat", "/etc/motd"]))
        assert result.stdout == "as it was\n"

    def test_a_link_for_resolv_conf_into_a_folder_that_is_not_there_is_no_hindrance(self, engine: Engine, tree: Path) -> None:
        (tree / "etc" / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
        before = entries(tree)
        result = engine.containers.run(rootfs=tree, command=["sh", "-c", "cat /etc/resolv.conf > /dev/null && echo there"])
        assert result.stdout == "there\n"
        assert entries(tree) == before


@pytest.mark.needs("root", "busybox")
def test_the_files_of_others_are_said_to_be_nobodys_to_an_ordinary_user_alone(tree: Path) -> None:
    options = ContainerOptions(rootfs=str(tree))
    assert "can be read but not changed" in host_root.warnings(options, rootless=True)[0]
    assert host_root.warnings(options, rootless=False) == ()


REFUSED = [
    ("some/folder", InvalidArgument, "not an absolute path: 'some/folder'"),
    ("/no/such/folder", InvalidArgument, "'/no/such/folder': there is no such folder"),
    ("/etc/passwd", InvalidArgument, "'/etc/passwd': there is no such folder"),
    ("/:idmap", Unsupported, "idmap"),
]


@pytest.mark.parametrize(("rootfs", "error", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_no_folder_is_refused_and_leaves_nothing(engine: Engine, rootfs: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"--rootfs: .*{message}"):
        engine.containers.run(rootfs=rootfs, command=["sh"])
    assert engine.containers.list(all=True) == []


def test_a_folder_and_an_image_at_once_are_refused_and_so_is_neither(engine: Engine) -> None:
    with pytest.raises(InvalidArgument, match="comes instead of an image, and the image lab/base was named"):
        engine.containers.create("lab/base", rootfs="/", command=["sh"])
    with pytest.raises(InvalidArgument, match="no image was named"):
        engine.containers.create(command=["sh"])


def test_the_store_is_no_root_file_system(engine: Engine) -> None:
    with pytest.raises(InvalidArgument, match="is in the store"):
        engine.containers.create(rootfs=engine.store.paths.containers, command=["sh"])


def test_a_folder_without_the_program_ends_with_127(engine: Engine, place: Path) -> None:
    (place / "empty").mkdir()
    with pytest.raises(StartFailed) as caught:
        engine.containers.run(rootfs=place / "empty", command=["sh"])
    assert caught.value.exit_code == 127
    assert os.listdir(place / "empty") == []


@pytest.mark.needs("ordinary user")
def test_a_folder_that_the_user_may_not_read_is_refused(engine: Engine) -> None:
    with pytest.raises(Denied, match="--rootfs: /root: permission denied"):
        engine.containers.create(rootfs="/root", command=["sh"])


class TestMachine:
    """`--rootfs /`."""

    def test_it_shows_the_machines_own_files_and_is_said_to_be_neither_portable_nor_reproducible(self, engine: Engine) -> None:
        result = engine.containers.run(rootfs="/", command=["cat", "/etc/os-release"])
        assert result.stdout == Path("/etc/os-release").read_text()
        assert "neither portable nor reproducible" in result.warnings[0]

    def test_nothing_in_it_can_change_the_machine(self, engine: Engine) -> None:
        watched = [Path("/etc"), Path("/etc/passwd"), Path("/usr/bin"), Path("/bin/sh"), Path("/tmp")]
        before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_ino) for path in watched]
        content = Path("/etc/passwd").read_bytes()
        attack = (
            "echo x > /etc/lab-attack; echo x >> /etc/passwd; chmod 777 /etc/passwd /etc; rm -f /etc/os-release /usr/lib/os-release;"
            " mv /usr/bin/env /usr/bin/lab-env; chown 1 /usr/bin; mkdir /lab-attack; touch /tmp/lab-attack /var/tmp/lab-attack; exit 0"
        )
        result = engine.containers.run(rootfs="/", command=["sh", "-c", attack], cap_add=["ALL"])
        assert result.exit_code == 0
        assert [(path.stat().st_mode, path.stat().st_uid, path.stat().st_ino) for path in watched] == before
        assert Path("/etc/passwd").read_bytes() == content
        assert all(os.path.exists(path) for path in ("/etc/os-release", "/usr/bin/env"))
        made = ("/etc/lab-attack", "/usr/bin/lab-env", "/lab-attack", "/tmp/lab-attack", "/var/tmp/lab-attack")
        assert not [path for path in made if os.path.lexists(path)]

    @pytest.mark.needs("root")
    def test_no_socket_of_the_machine_answers_a_container(self, engine: Engine, place: Path) -> None:
        path = place / "socket"
        script = "import socket; s = socket.socket(socket.AF_UNIX)\ntry:\n    s.connect(%r)\nexcept OSError as error: print(error.strerror)"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            result = engine.containers.run(rootfs="/", command=[sys.executable, "-I", "-c", script % str(path)])
        assert result.stdout == "Connection refused\n", result.stderr

    def test_temporary_files_can_be_written_and_stay_in_the_container(self, engine: Engine) -> None:
        script = "for folder in /tmp /var/tmp /root; do echo x > $folder/lab-own && cat $folder/lab-own; done"
        result = engine.containers.run(rootfs="/", command=["sh", "-c", script], name="writer")
        assert result.stdout.split() == ["x", "x", "x"]
        assert {"/tmp/lab-own", "/root/lab-own"} <= {one["Path"] for one in engine.containers.get("writer").diff()}

    def test_no_container_sees_the_store(self, engine: Engine) -> None:
        engine.containers.create(rootfs="/", command=["sh"])
        root = engine.store.paths.root
        result = engine.containers.run(rootfs="/", command=["sh", "-c", f"ls -A {root} 2>/dev/null; exit 0"], privileged=True)
        assert result.stdout == ""

    def test_checkpoints_below_it_come_back_though_it_holds_the_store(self, engine: Engine, place: Path) -> None:
        container = engine.containers.create(rootfs="/", command=["sh", "-c", "echo x >> /tmp/count; cat /tmp/count"])
        for _ in range(2):
            container.start()
            container.wait()
            container.checkpoint()
        container.rollback(1)
        container.start()
        container.wait()
        assert str(container.logs()).split() == ["x"] * 5
        container.copy_from("/tmp/count", place / "count")
        assert (place / "count").read_text() == "x\nx\n"
        container.copy_from("/etc/os-release", place / "release", follow_link=True)
        assert (place / "release").read_bytes() == Path("/etc/os-release").read_bytes()

    def test_a_running_one_is_entered_and_stopped(self, engine: Engine) -> None:
        container = engine.containers.run(rootfs="/", command=["sleep", "1000"], detach=True, restart="always")
        assert container.exec(["sh", "-c", "echo $HOSTNAME"]).stdout.strip() == container.short_id
        container.stop(0)
        until(lambda: container.status == "exited", "it has been stopped")

    @pytest.mark.needs("root")
    def test_what_is_mounted_in_it_stays_away_and_is_named(self, engine: Engine, place: Path) -> None:
        point = place / "other"
        point.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], check=True)
        try:
            (point / "file").touch()
            assert str(point) in set(host_root.mounted_in("/"))
            seen = engine.containers.run(rootfs="/", command=["ls", "-A", str(point)])
            assert seen.stdout == ""
            assert any("without what is mounted there at" in text and str(point) in text for text in seen.warnings)
        finally:
            subprocess.run(["umount", point], check=True)

    @pytest.mark.needs("ordinary user")
    def test_an_ordinary_user_has_its_folders_read_only_and_is_told_so(self, engine: Engine) -> None:
        result = engine.containers.run(rootfs="/", command=["sh", "-c", "touch /usr/lab-attack"], name="reader")
        assert "Read-only file system" in result.stderr
        assert "read-only" in result.warnings[1]
        container = engine.containers.get("reader")
        assert {"/etc", "/usr", "/var"} <= {mount["Destination"] for mount in container.inspect()["Mounts"]}
        with pytest.raises(Unsupported, match="export: container reader has the folders of / mounted"):
            container.export()
