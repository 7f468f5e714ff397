"""USER texts against the passwd and group files of an image that may be hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers.runtime.account import UnknownAccount, resolve

PASSWD = """# people
root:x:0:0:root:/root:/bin/sh
alice:x:1000:1000:Alice:/home/alice:/bin/sh
homeless:x:1001:1001:::
1002:x:0:0:a name of digits:/root:/bin/sh
broken:x:abc:0::/:
short:x:5
padded:x:007:7::/seven:
"""
GROUP = """root:x:0:
alice:x:1000:
docker:x:999:alice,bob
video:x:44:bob,alice
:x:0:
evil:x:99999999999:
"""

FOUND = {
    "": (0, 0, [0], "/root"),
    "root": (0, 0, [0], "/root"),
    "0": (0, 0, [0], "/root"),
    "alice": (1000, 1000, [44, 999, 1000], "/home/alice"),
    "1000": (1000, 1000, [44, 999, 1000], "/home/alice"),
    "alice:docker": (1000, 999, [999], "/home/alice"),
    "alice:5": (1000, 5, [5], "/home/alice"),
    "1000:1000": (1000, 1000, [1000], "/home/alice"),
    # no user is root, no group is the user's own, as for moby/sys/user
    ":0": (0, 0, [0], "/root"),
    ":docker": (0, 999, [999], "/root"),
    ":": (0, 0, [0], "/root"),
    "1000:": (1000, 1000, [44, 999, 1000], "/home/alice"),
    "homeless": (1001, 1001, [1001], "/"),
    "4242": (4242, 0, [0], "/"),
    "4242:4243": (4242, 4243, [4243], "/"),
    "2147483647": (2147483647, 0, [0], "/"),
    # the number is meant, not the account of this name (which is root)
    "1002": (1002, 0, [0], "/"),
    "7": (7, 7, [7], "/seven"),
}
# crun CVE-2026-30892, containerd CVE-2024-40635, and names that nobody has
REFUSED = [
    ":nogroup", ":-1", ":4294967296", "0x0", " 1", "1 ", "1000abc", "-1", "+0", "0:-1", "0:0x0", "1_000", "٠", "²", "broken", "short",
    "nobody-here", "alice:nogroup", "4294967296", "2147483648", "99999999999999999999", "0:4294967296", "alice:evil", "root\n", "a:b:c",
]  # fmt: skip


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "etc" / "group").write_text(GROUP)
    return tmp_path


@pytest.mark.parametrize("text", FOUND)
def test_user_text_names_ids_groups_and_home(image: Path, text: str) -> None:
    assert resolve(text, str(image)) == FOUND[text]


@pytest.mark.parametrize("text", REFUSED)
def test_user_text_that_names_nobody_is_refused(image: Path, text: str) -> None:
    with pytest.raises(UnknownAccount) as caught:
        resolve(text, str(image))
    assert "\n" not in str(caught.value).replace(text, "")


def test_without_passwd_only_numbers_and_nothing_are_known(tmp_path: Path) -> None:
    assert resolve("", str(tmp_path)) == (0, 0, [0], "/root")
    assert resolve("12", str(tmp_path)) == (12, 0, [0], "/")
    with pytest.raises(UnknownAccount):
        resolve("root", str(tmp_path))


def _fifo(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def _directory(path: Path, outside: Path) -> None:
    path.mkdir()


def _link_outside(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def _relative_link_outside(path: Path, outside: Path) -> None:
    path.symlink_to("../" * 20 + str(outside).lstrip("/"))


def _magic_link(path: Path, outside: Path) -> None:
    path.symlink_to("/proc/self/fd/0")


def _link_to_itself(path: Path, outside: Path) -> None:
    path.symlink_to("passwd")


def _sparse(path: Path, outside: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 << 30)


# buildah CVE-2024-9676
@pytest.mark.parametrize("make", [_fifo, _directory, _link_outside, _relative_link_outside, _magic_link, _link_to_itself, _sparse])
def test_hostile_passwd_file_is_neither_followed_nor_waited_for(image: Path, tmp_path_factory: pytest.TempPathFactory, make) -> None:
    outside = tmp_path_factory.mktemp("host") / "passwd"
    outside.write_text("alice:x:0:0::/host:\n")
    passwd = image / "etc" / "passwd"
    passwd.unlink()
    make(passwd, outside)
    with pytest.raises(UnknownAccount):
        resolve("alice", str(image))


def test_link_that_stays_in_the_image_is_followed(image: Path) -> None:
    (image / "etc" / "passwd").rename(image / "etc" / "static")
    (image / "etc" / "passwd").symlink_to("/etc/static")
    assert resolve("alice", str(image))[0] == 1000


def test_line_that_the_limit_cuts_is_not_taken_for_another(image: Path) -> None:
    filler = "x:x:1:1::/:\n"
    limit = 1 << 20
    line = "last:x:10:10::/home:/bin/sh"
    text = filler * ((limit - 20) // len(filler))
    text += "#" * (limit - len(text) - len("last:x:10:10::/h") - 1) + "\n" + line
    (image / "etc" / "passwd").write_text(text)
    with pytest.raises(UnknownAccount):
        resolve("last", str(image))


def test_groups_are_added_by_name_and_by_number(image: Path) -> None:
    assert resolve("alice", str(image), ["video", "5"]) == (1000, 1000, [5, 44, 999, 1000], "/home/alice")
    assert resolve("4242:4243", str(image), ["docker"]) == (4242, 4243, [999, 4243], "/")
    assert resolve("", str(image), ["0"]) == (0, 0, [0], "/root")


@pytest.mark.parametrize("group", ["nosuch", "evil", "99999999999", "-1", "0x5"])
def test_a_group_that_cannot_be_added_is_named(image: Path, group: str) -> None:
    with pytest.raises(UnknownAccount, match="group"):
        resolve("alice", str(image), [group])
