"""The canonical tar of what only root can make: devices, foreign owners, capabilities, and the upper directory of a real overlay."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from labcontainers.errors import Failed
from labcontainers.store import trees
from tests.fakes.written_tar import write_tar

pytestmark = pytest.mark.needs("root")

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
WHITEOUT = stat.S_IFCHR | 0o600
LARGE = 3_000_000


def members(tree: Path, archive: Path) -> list[tarfile.TarInfo]:
    archive.unlink(missing_ok=True)
    write_tar(tree, archive)
    with tarfile.open(archive) as opened:
        return opened.getmembers()


def names(tree: Path) -> list[str]:
    return [member.name for member in members(tree, tree.parent / "tar")]


@pytest.fixture
def tree(place: Path) -> Path:
    (place / "tree").mkdir()
    return place / "tree"


def test_devices_keep_kind_and_number(tree: Path) -> None:
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(tree / "disk", stat.S_IFBLK | 0o600, os.makedev(259, 70_000))
    found = {member.name: (member.type, member.devmajor, member.devminor) for member in members(tree, tree.parent / "tar")}
    assert found == {"null": (tarfile.CHRTYPE, 1, 3), "disk": (tarfile.BLKTYPE, 259, 70_000)}


def test_ids_of_any_size_are_kept(tree: Path) -> None:
    (tree / "small").touch()
    (tree / "large").touch()
    os.chown(tree / "small", 2**21 - 1, 65534)
    os.chown(tree / "large", LARGE, 2**32 - 2)
    found = {member.name: (member.uid, member.gid, bool(member.pax_headers.get("uid"))) for member in members(tree, tree.parent / "tar")}
    assert found == {"small": (2**21 - 1, 65534, False), "large": (LARGE, 2**32 - 2, True)}


def test_capabilities_are_kept_and_labels_of_this_host_are_not(tree: Path) -> None:
    (tree / "ping").touch()
    try:
        os.setxattr(tree / "ping", "security.capability", CAPABILITY)
        os.setxattr(tree / "ping", "trusted.host", b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    write_tar(tree, tree.parent / "tar")
    with tarfile.open(tree.parent / "tar", errors="surrogateescape") as archive:
        keys = [key for key in archive.getmember("ping").pax_headers if key.startswith("SCHILY")]
    assert keys == ["SCHILY.xattr.security.capability"]
    (tree.parent / "out").mkdir()
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "-xpf", str(tree.parent / "tar"), "-C", str(tree.parent / "out")], check=True)
    assert os.getxattr(tree.parent / "out/ping", "security.capability") == CAPABILITY


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs GNU tar")
def test_gnu_tar_makes_the_same_tree_of_devices_and_owners(tree: Path) -> None:
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (tree / "dir").mkdir()
    os.mkfifo(tree / "dir" / "pipe")
    (tree / "dir" / "file").write_bytes(b"x" * 1000)
    os.symlink("file", tree / "dir" / "link")
    os.chown(tree / "dir" / "link", LARGE, 7, follow_symlinks=False)
    os.chown(tree / "dir" / "file", LARGE, LARGE)
    os.chmod(tree / "dir" / "file", 0o4755)
    os.chown(tree / "dir", 1, 2)
    first = write_tar(tree, tree.parent / "tar")
    (tree.parent / "out").mkdir()
    subprocess.run(["tar", "--numeric-owner", "-xpf", str(tree.parent / "tar"), "-C", str(tree.parent / "out")], check=True)
    assert trees.measure(str(tree.parent / "out")) == first


def test_a_whiteout_becomes_a_marker_before_its_siblings(tree: Path) -> None:
    (tree / "dir").mkdir()
    for folder in ("", "dir"):
        (tree / folder / "!first").touch()
        os.mknod(tree / folder / "gone", WHITEOUT, 0)
        os.mknod(tree / folder / ("g" * 120), WHITEOUT, 0)
    assert names(tree) == [
        ".wh." + "g" * 120,
        ".wh.gone",
        "!first",
        "dir",
        "dir/.wh." + "g" * 120,
        "dir/.wh.gone",
        "dir/!first",
    ]


def test_a_marker_says_nothing_of_when_and_by_whom_it_was_made(tree: Path) -> None:
    os.mknod(tree / "gone", WHITEOUT, 0)
    first = trees.measure(str(tree))
    os.unlink(tree / "gone")
    os.mknod(tree / "gone", stat.S_IFCHR, 0)
    os.chown(tree / "gone", 5, 5)
    os.utime(tree / "gone", ns=(1, 1))
    assert trees.measure(str(tree)) == first


@pytest.mark.parametrize("attribute", ["trusted.overlay.opaque", "user.overlay.opaque"])
def test_an_opaque_directory_gets_its_marker_and_the_root_too(tree: Path, attribute: str) -> None:
    (tree / "dir").mkdir()
    (tree / "dir" / "-file").touch()
    os.mknod(tree / "dir" / "gone", WHITEOUT, 0)
    try:
        os.setxattr(tree / "dir", attribute, b"y")
        os.setxattr(tree, attribute, b"y")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    assert names(tree) == [".wh..wh..opq", "dir", "dir/.wh..wh..opq", "dir/.wh.gone", "dir/-file"]


def test_a_whiteout_that_is_an_attribute_is_one_too_but_not_on_a_file_with_content(tree: Path) -> None:
    (tree / "gone").touch()
    (tree / "kept").write_text("x")
    try:
        for name in ("gone", "kept"):
            os.setxattr(tree / name, "trusted.overlay.whiteout", b"")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    assert names(tree) == [".wh.gone", "kept"]


def test_the_upper_directory_of_a_real_overlay_becomes_its_difference(place: Path) -> None:
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir()
    for path in ("lower/kept/a", "lower/replaced/old", "lower/removed/x", "lower/plain"):
        (place / path).parent.mkdir(exist_ok=True)
        (place / path).write_text(path)
    script = """
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=off,metacopy=off,index=off merged
    cd merged
    rm -r removed replaced; mkdir replaced; echo new >replaced/new; rm plain; echo b >kept/b; chmod 0600 kept/a
    """
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", script], cwd=place, capture_output=True, text=True, check=False)
    if done.returncode and "mount" in done.stderr:
        pytest.skip(f"overlay cannot be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    found = {member.name: member for member in members(place / "upper", place / "tar")}
    assert list(found) == [".wh.plain", ".wh.removed", "kept", "kept/a", "kept/b", "replaced", "replaced/.wh..wh..opq", "replaced/new"]
    assert found["kept/a"].mode == 0o600
    assert not any(key.startswith("SCHILY") for member in found.values() for key in member.pax_headers)


def test_a_directory_that_overlay_has_only_renamed_is_refused(tree: Path) -> None:
    (tree / "moved").mkdir()
    try:
        os.setxattr(tree / "moved", "trusted.overlay.redirect", b"old")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    with pytest.raises(Failed, match="moved"):
        trees.measure(str(tree))
