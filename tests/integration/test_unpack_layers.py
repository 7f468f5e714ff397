"""Layers become trees on the real kernel, by every rule of the image spec, as root, with subordinate ids and with a single id."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.store import unpack
from tests.fakes.layer_stack import LayerStack
from tests.fakes.tar_maker import archive, directory, entry, hardlink, header, pax, symlink
from tests.fakes.tree_of_everything import fill
from tests.fakes.written_tar import write_tar

NS = 10**9
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
ACL = bytes.fromhex("0200000001000600ffffffff04000400ffffffff10000400ffffffff20000400ffffffff")
LONG = b"/".join([b"d" * 200] * 20)
pytestmark = [pytest.mark.empty_store, pytest.mark.on_disk]


def whiteout(name: bytes) -> bytes:
    return entry(name)


# what hides lower layers, in any order of the entries
HIDING = {
    "a whiteout": ([whiteout(b".wh.a")], {b".wh.a": b""}),
    "a whiteout in a directory without entry": ([whiteout(b"d/e/.wh.a")], {b"d/": None, b"d/e/": None, b"d/e/.wh.a": b""}),
    "a whiteout and a file": ([whiteout(b".wh.a"), entry(b"a", b"new")], {b"a": b"new"}),
    "a whiteout and a link": ([whiteout(b".wh.a"), symlink(b"a", b"b")], {b"a": ("->", b"b")}),
    "a whiteout and a directory": ([whiteout(b".wh.d"), directory(b"d/")], {b"d/": None, b"d/.wh..wh..opq": b""}),
    "a whiteout and a directory with content": ([whiteout(b".wh.d"), directory(b"d/"), entry(b"d/a", b"x")], {
        b"d/": None, b"d/.wh..wh..opq": b"", b"d/a": b"x"}),
    "a whiteout and a directory without entry": ([whiteout(b".wh.d"), entry(b"d/a", b"x")], {
        b"d/": None, b"d/.wh..wh..opq": b"", b"d/a": b"x"}),
    "two whiteouts": ([whiteout(b".wh.a"), whiteout(b".wh.a")], {b".wh.a": b""}),
    "an opaque directory": ([whiteout(b"d/.wh..wh..opq"), directory(b"d/"), entry(b"d/a", b"x")], {
        b"d/": None, b"d/.wh..wh..opq": b"", b"d/a": b"x"}),
    "an opaque directory without entry": ([whiteout(b"d/.wh..wh..opq")], {b"d/": None, b"d/.wh..wh..opq": b""}),
    "an opaque top": ([whiteout(b".wh..wh..opq"), entry(b"a", b"x")], {b".wh..wh..opq": b"", b"a": b"x"}),
    "an opaque directory with a whiteout": ([whiteout(b"d/.wh..wh..opq"), whiteout(b"d/.wh.a")], {
        b"d/": None, b"d/.wh..wh..opq": b"", b"d/.wh.a": b""}),
    "what AUFS leaves": (
        [directory(b".wh..wh.plnk/"), entry(b".wh..wh.plnk/1.2", b"x"), entry(b".wh..wh.aufs"), entry(b"d/.wh..wh.orph/x")], {}),
    "a whiteout that is a directory": ([directory(b".wh.d/")], {b".wh.d": b""}),
    "names that only look like whiteouts": ([entry(b"a.wh.b", b"x"), entry(b".whx", b"y")], {b"a.wh.b": b"x", b".whx": b"y"}),
}  # fmt: skip

# what later entries do to earlier ones
IN_ORDER = {
    "a file replaces a file": ([entry(b"a", b"1"), entry(b"a", b"22")], {b"a": b"22"}),
    "a file replaces a directory": ([entry(b"d/a/b", b"1"), entry(b"d", b"2")], {b"d": b"2"}),
    "a directory replaces a file": ([entry(b"d", b"1"), directory(b"d/"), entry(b"d/a", b"2")], {b"d/": None, b"d/a": b"2"}),
    "a directory replaces a link": ([symlink(b"d", b"/etc"), directory(b"d/"), entry(b"d/a", b"2")], {b"d/": None, b"d/a": b"2"}),
    "a link replaces a directory": ([entry(b"d/a", b"1"), symlink(b"d", b"x")], {b"d": ("->", b"x")}),
    "a file replaces a link": ([symlink(b"a", b"/etc/passwd"), entry(b"a", b"2")], {b"a": b"2"}),
    "a fifo replaces a file": ([entry(b"a", b"1"), header(b"a", b"6")], {b"a": b"6"}),
    "a file, a directory and a file": ([entry(b"a", b"1"), directory(b"a/"), entry(b"a/b"), entry(b"a", b"3")], {b"a": b"3"}),
    "a directory over a directory keeps what is in it": ([directory(b"d/"), entry(b"d/a", b"1"), directory(b"d/")], {
        b"d/": None, b"d/a": b"1"}),
    "a hard link": ([entry(b"a", b"1"), hardlink(b"b", b"a")], {b"a": b"1", b"b": ("=", b"a")}),
    "a hard link to elsewhere": ([entry(b"d/a", b"1"), hardlink(b"e/b", b"./d/a")], {
        b"d/": None, b"d/a": b"1", b"e/": None, b"e/b": ("=", b"d/a")}),
    "a hard link to an absolute name": ([entry(b"d/a", b"1"), hardlink(b"b", b"/d/a")], {b"b": b"1", b"d/": None, b"d/a": ("=", b"b")}),
    "a hard link keeps the file that is replaced": ([entry(b"a", b"1"), hardlink(b"b", b"a"), entry(b"a", b"2")], {b"a": b"2", b"b": b"1"}),
    "a hard link replaces a file": ([entry(b"a", b"1"), entry(b"b", b"2"), hardlink(b"b", b"a")], {b"a": b"1", b"b": ("=", b"a")}),
    "a hard link is there already": ([entry(b"a", b"1"), hardlink(b"b", b"a"), hardlink(b"b", b"a")], {b"a": b"1", b"b": ("=", b"a")}),
    "a hard link to a symbolic link": ([symlink(b"a", b"/etc/passwd"), hardlink(b"b", b"a")], {
        b"a": ("->", b"/etc/passwd"), b"b": ("=", b"a")}),
    "a hard link to a fifo": ([header(b"a", b"6"), hardlink(b"b", b"a")], {b"a": b"6", b"b": ("=", b"a")}),
    "a whiteout, a file, and at last a directory": ([whiteout(b".wh.a"), entry(b"a"), directory(b"a/")], {
        b"a/": None, b"a/.wh..wh..opq": b""}),
    "a file, its whiteout, and at last a directory": ([entry(b"a"), whiteout(b".wh.a"), directory(b"a/")], {
        b"a/": None, b"a/.wh..wh..opq": b""}),
    "below a link": ([directory(b"usr/lib/"), symlink(b"lib", b"usr/lib"), entry(b"lib/a", b"x")], {
        b"lib": ("->", b"usr/lib"), b"usr/": None, b"usr/lib/": None, b"usr/lib/a": b"x"}),
    "below an absolute link": ([directory(b"usr/lib/"), symlink(b"lib", b"/usr/lib"), entry(b"lib/a", b"x")], {
        b"lib": ("->", b"/usr/lib"), b"usr/": None, b"usr/lib/": None, b"usr/lib/a": b"x"}),
    "below a link that leads out": ([directory(b"d/"), symlink(b"d/up", b"../../../d"), entry(b"d/up/a", b"x")], {
        b"d/": None, b"d/a": b"x", b"d/up": ("->", b"../../../d")}),
    "below a link to the top": ([directory(b"d/"), symlink(b"d/up", b"/"), entry(b"d/up/a", b"x")], {
        b"a": b"x", b"d/": None, b"d/up": ("->", b"/")}),
    "below a link to nothing yet": ([symlink(b"lib", b"usr/lib"), entry(b"lib/d/a", b"x")], {
        b"lib": ("->", b"usr/lib"), b"usr/": None, b"usr/lib/": None, b"usr/lib/d/": None, b"usr/lib/d/a": b"x"}),
    "below two links": ([symlink(b"a", b"b"), symlink(b"b", b"c"), directory(b"c/"), entry(b"a/x", b"1"), entry(b"b/y", b"2")], {
        b"a": ("->", b"b"), b"b": ("->", b"c"), b"c/": None, b"c/x": b"1", b"c/y": b"2"}),
    "a hard link below a link": ([entry(b"c/x", b"1"), symlink(b"a", b"c"), hardlink(b"a/y", b"a/x")], {
        b"a": ("->", b"c"), b"c/": None, b"c/x": b"1", b"c/y": ("=", b"c/x")}),
    "an opaque directory below a link": ([directory(b"c/"), symlink(b"a", b"c"), whiteout(b"a/.wh..wh..opq")], {
        b"a": ("->", b"c"), b"c/": None, b"c/.wh..wh..opq": b""}),
    "needless parts of names": (
        [entry(b"./a", b"1"), entry(b"/b", b"2"), entry(b"c//d", b"3"), entry(b"c/./e", b"4"), entry(b"c/../f", b"5"),
         entry(b".//.g", b"6"), directory(b"h///"), entry(b"h//", b"", b"\0"), directory(b".//"), directory(b"/")],
        {b"h/": None, b".g": b"6", b"a": b"1", b"b": b"2", b"c/": None, b"c/d": b"3", b"c/e": b"4", b"f": b"5"}),
    "a very long name": ([pax((b"path", LONG + b"/" + b"f" * 75)) + entry(b"x", b"1")], {
        **{LONG[: 201 * count + 200] + b"/": None for count in range(20)}, LONG + b"/" + b"f" * 75: b"1"}),
    "a part of a name of 255 bytes": ([pax((b"path", b"d/" + b"n" * 255)) + entry(b"x", b"1")], {b"d/": None, b"d/" + b"n" * 255: b"1"}),
    "a device that is overlay's whiteout": ([entry(b"a"), header(b"a", b"3", device=(0, 0))], {b".wh.a": b""}),
}  # fmt: skip

REFUSED = {
    "a name that leads out": ([entry(b"../a")], "leads out"),
    "a name that leads out by and by": ([entry(b"a/b/../../../c")], "leads out"),
    "an absolute name that leads out": ([entry(b"/../a")], "leads out"),
    "a hard link that leads out": ([hardlink(b"a", b"../../etc/passwd")], "leads out"),
    "a hard link to what is not there": ([hardlink(b"a", b"b")], "no file of any layer"),
    "a hard link to a directory": ([directory(b"d/"), hardlink(b"a", b"d")], "a directory"),
    "a hard link to the top": ([hardlink(b"a", b"./")], "a directory"),
    "a hard link to itself": ([entry(b"a"), hardlink(b"a", b"a")], "itself"),
    "a hard link to a whiteout": ([whiteout(b".wh.a"), hardlink(b"b", b"a")], "removes"),
    "a whiteout of nothing": ([whiteout(b".wh.")], "no file"),
    "a whiteout of the directory itself": ([whiteout(b"d/.wh..")], "no file"),
    "a whiteout of the directory above": ([whiteout(b"d/.wh...")], "no file"),
    "an entry below a whiteout": ([entry(b".wh.d/a")], "below a whiteout"),
    "an entry below a file": ([entry(b"a"), entry(b"a/b")], "no directory"),
    "an entry below a link to a file": ([entry(b"a"), symlink(b"l", b"a"), entry(b"l/b")], "no directory"),
    "an entry below a circle of links": ([symlink(b"a", b"b"), symlink(b"b", b"a"), entry(b"a/x")], "too many symbolic links"),
    "a top that is a file": ([entry(b"./", b"x")], "no directory"),
    "a part of a name that is too long": ([pax((b"path", b"n" * 256)) + entry(b"x")], "name too long"),
    "a link to nowhere": ([symlink(b"a", b"")], "no such file"),
    "a link that is too long": ([pax((b"linkpath", b"n" * 4096)) + symlink(b"a", b"x")], "name too long"),
    "a device that cannot be": ([header(b"a", b"3", device=(5000, 1))], "cannot be"),
}  # fmt: skip


UNSEEN = ("removed by a layer between", "removed by the layer itself", "in an opaque directory", "another kind")


@pytest.fixture
def stack(engine: Engine) -> Iterator[LayerStack]:
    made = LayerStack(engine)
    yield made
    made.close()


class TestOneLayer:
    @pytest.mark.parametrize("is_reversed", [False, True], ids=["in order", "reversed"])
    @pytest.mark.parametrize("label", HIDING)
    def test_what_hides_lower_layers_does_so_wherever_it_stands(self, stack: LayerStack, label: str, is_reversed: bool) -> None:
        entries, expected = HIDING[label]
        stack.add(*(entries[::-1] if is_reversed else entries))
        assert stack.look() == expected

    @pytest.mark.parametrize("label", IN_ORDER)
    def test_a_later_entry_counts(self, stack: LayerStack, label: str) -> None:
        entries, expected = IN_ORDER[label]
        stack.add(*entries)
        assert stack.look() == expected

    @pytest.mark.parametrize("label", REFUSED)
    def test_a_layer_that_cannot_be_is_refused_with_the_entry(self, stack: LayerStack, label: str) -> None:
        entries, word = REFUSED[label]
        with pytest.raises(InvalidArgument, match=word) as caught:
            stack.add(*entries)
        assert caught.value.hint
        assert stack.trees == []

    def test_the_answer_tells_what_there_was_and_what_is_left_to_do(self, stack: LayerStack) -> None:
        malformed = pax((b"SCHILY.xattr.security.capability", b"none"))
        data = archive(entry(b"d/e/a", b"x"), directory(b"d/"), malformed + entry(b"c"), hardlink(b"b", b"a"))
        scratch = stack.unpack_only(data)
        assert scratch == {"size_bytes": len(data), "entries": 4, "implied": ["", "d/e"], "links": [["b", "a"]], "skipped": ["c"]}

    def test_a_name_that_is_no_utf_8_passes_through_the_worker(self, stack: LayerStack) -> None:
        stack.add(entry(b"caf\xe9/\xff", b"x"))
        assert stack.add(hardlink(b"\xfe/b", b"caf\xe9/\xff"))["links"] == [["\udcfe/b", "caf\udce9/\udcff"]]
        assert stack.look() == {b"caf\xe9/": None, b"caf\xe9/\xff": b"x", b"\xfe/": None, b"\xfe/b": ("=", b"caf\xe9/\xff")}


class TestAttributes:
    def test_everything_that_is_written_is_unpacked_and_written_the_same_again(self, stack: LayerStack, place: Path) -> None:
        fill(place / "tree")
        write_tar(place / "tree", place / "tar")
        first = (place / "tar").read_bytes()
        assert stack.add_tar(first)["skipped"] == []
        second = stack.tar()
        stack.add_tar(second)
        assert stack.tar() == second
        assert stack.is_single or second == first

    def test_modes_are_exact_and_times_have_nanoseconds(self, stack: LayerStack) -> None:
        modes = {b"a": 0o4755, b"b": 0o2711, b"c": 0o1777, b"d": 0o000, b"e": 0o6777}
        times = pax((b"mtime", b"1700000000.123456789"))
        stack.add(
            *(times + entry(name, b"x" * 1000, mode=mode) for name, mode in modes.items()),
            *(times + directory(b"dir-" + name + b"/", mode=mode) for name, mode in modes.items()),
            *(entry(b"dir-" + name + b"/file", mode=0o600) for name in modes),
            times + header(b"fifo", b"6", mode=0o1622),
        )
        members = stack.members()
        assert {name: members[name].mode for name in modes} == modes
        assert {name: members[b"dir-" + name + b"/"].mode for name in modes} == modes
        assert members[b"fifo"].mode == 0o1622
        assert {member.mtime_ns for name, member in members.items() if not name.endswith(b"file")} == {1_700_000_000_123_456_789}
        assert {member.gid for member in members.values()} == {0}

    def test_a_directory_keeps_its_time_though_more_is_made_in_it_later(self, stack: LayerStack) -> None:
        stack.add(directory(b"d/", mtime=7), directory(b"d/e/", mtime=8), entry(b"f/x"), entry(b"d/e/a"), entry(b"f/y"), entry(b"d/b"))
        members = stack.members()
        assert [members[name].mtime_ns for name in (b"d/", b"d/e/", b"f/")] == [7 * NS, 8 * NS, 0]

    def test_a_later_entry_of_a_directory_sets_all_that_it_has(self, stack: LayerStack) -> None:
        first = pax((b"SCHILY.xattr.user.old", b"1"), (b"SCHILY.xattr.user.both", b"1")) + directory(b"d/", mode=0o2777, mtime=1)
        stack.add(first, entry(b"d/a"), pax((b"SCHILY.xattr.user.both", b"2")) + directory(b"d/", mode=0o700, mtime=2))
        found = stack.members()[b"d/"]
        assert (found.mode, found.mtime_ns, found.xattrs) == (0o700, 2 * NS, {b"user.both": b"2"})

    def test_the_top_has_what_its_entry_says(self, stack: LayerStack) -> None:
        assert stack.add(directory(b"./", mode=0o711, mtime=5), entry(b"./a"))["implied"] == []
        status = os.stat(stack.trees[-1])
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o711, 5 * NS)

    @pytest.mark.parametrize("id_of_group", [0, 50])
    def test_a_directory_that_passes_on_its_group_does_so_to_no_entry(self, stack: LayerStack, id_of_group: int) -> None:
        stack.add(
            directory(b"d/", mode=0o2775, gid=id_of_group), entry(b"d/a", mode=0o644), directory(b"d/e/", mode=0o755),
            entry(b"d/f/g"), symlink(b"d/l", b"a"), header(b"d/p", b"6"),
        )  # fmt: skip
        members = stack.members()
        assert {name: member.gid for name, member in members.items() if name != b"d/"} == dict.fromkeys(set(members) - {b"d/"}, 0)
        assert members[b"d/"].gid == (0 if stack.is_single else id_of_group)
        assert [members[name].mode for name in (b"d/", b"d/e/", b"d/f/")] == [0o2775, 0o755, 0o755]

    def test_an_access_list_for_new_files_is_kept_and_given_to_no_entry(self, stack: LayerStack) -> None:
        records = pax((b"SCHILY.xattr.system.posix_acl_default", ACL), (b"SCHILY.xattr.system.posix_acl_access", ACL))
        inside = (entry(b"d/a", mode=0o666), directory(b"d/e/", mode=0o777), entry(b"d/f/g"))
        answer = stack.add(records + directory(b"d/", mode=0o644), *inside)
        if answer["skipped"]:
            pytest.skip("this file system has no access lists")
        members = stack.members()
        assert members[b"d/"].xattrs == {b"system.posix_acl_default": ACL, b"system.posix_acl_access": ACL}
        found = [(members[name].mode, members[name].xattrs) for name in (b"d/a", b"d/e/", b"d/f/")]
        assert found == [(0o666, {}), (0o777, {}), (0o755, {})]

    def test_attributes_of_overlay_and_of_this_host_cannot_be_set(self, stack: LayerStack) -> None:
        names = [b"trusted.overlay.opaque", b"user.overlay.opaque", b"user.overlay.whiteout", b"user.overlay.overlay.opaque", b"trusted.x",
                 b"security.selinux", b"security.evm", b"system.nfs4_acl"]  # fmt: skip
        records = pax(*((b"SCHILY.xattr." + name, b"y") for name in (*names, b"user.mine")))
        stack.add(records + directory(b"d/"), records + entry(b"d/a"), records + header(b"d/p", b"6"))
        assert stack.look() == {b"d/": None, b"d/a": b"", b"d/p": b"6"}
        members = stack.members()
        assert members[b"d/"].xattrs == members[b"d/a"].xattrs == {b"user.mine": b"y"}

    def test_capabilities_are_kept(self, stack: LayerStack) -> None:
        answer = stack.add(pax((b"SCHILY.xattr.security.capability", CAPABILITY)) + entry(b"ping", b"x", uid=0 if stack.is_single else 7))
        assert answer["skipped"] == []
        assert stack.members()[b"ping"].xattrs == {b"security.capability": CAPABILITY}

    def test_a_hard_link_gives_its_attributes_to_the_file(self, stack: LayerStack) -> None:
        """As in Docker; honest archives say the same of both."""
        owner = 0 if stack.is_single else 5
        stack.add(entry(b"a", mode=0o600, mtime=1), hardlink(b"b", b"a", mode=0o4755, uid=owner, mtime=2))
        file = stack.members()[b"a"]
        assert (file.mode, file.uid, file.mtime_ns) == (0o4755, owner, 2 * NS)

    def test_a_hard_link_to_a_link_gives_it_no_mode(self, stack: LayerStack) -> None:
        stack.add(entry(b"file", mode=0o600), symlink(b"l", b"file", mtime=1), hardlink(b"m", b"l", mode=0o777, mtime=2))
        members = stack.members()
        assert (members[b"file"].mode, members[b"l"].mtime_ns) == (0o600, NS)

    def test_holes_stay_holes(self, stack: LayerStack) -> None:
        stack.add(pax((b"GNU.sparse.map", b"0,3,500000,2"), (b"GNU.sparse.size", b"100000000")) + entry(b"a", b"abcxy"))
        status = os.stat(stack.trees[-1] + "/a")
        assert (status.st_size, status.st_blocks * 512 < 1 << 20) == (100_000_000, True)
        content = Path(stack.trees[-1] + "/a").read_bytes()
        assert (content[:3], content[500_000:500_002], len(content.strip(b"\0"))) == (b"abc", b"xy", 500_002)

    @pytest.mark.needs("root")
    def test_ids_of_any_size_and_devices_are_kept(self, stack: LayerStack) -> None:
        stack.add(
            header(b"a", uid=3_000_000, gid=2**32 - 2), symlink(b"l", b"x", uid=2**31, gid=5), directory(b"d/", uid=9, gid=10),
            header(b"null", b"3", device=(1, 3), mode=0o666), header(b"disk", b"4", device=(259, 70_000), uid=6),
            pax((b"uid", b"4000000")) + header(b"b", b"6"),
        )  # fmt: skip
        members = stack.members()
        owners = {name: (member.uid, member.gid) for name, member in members.items()}
        assert owners == {
            b"a": (3_000_000, 2**32 - 2), b"l": (2**31, 5), b"null": (0, 0), b"disk": (6, 0), b"d/": (9, 10), b"b": (4_000_000, 0)
        }  # fmt: skip
        assert (members[b"null"].device, members[b"null"].mode, members[b"disk"].device) == ((1, 3), 0o666, (259, 70_000))

    @pytest.mark.needs("ordinary user")
    def test_devices_are_left_out_and_told(self, stack: LayerStack) -> None:
        answer = stack.add(header(b"null", b"3", device=(1, 3)), header(b"disk", b"4", device=(8, 0)), entry(b"a"))
        assert answer["skipped"] == ["null", "disk"]
        assert stack.look() == {b"a": b""}

    @pytest.mark.needs("subids")
    def test_an_id_beyond_the_map_is_refused_by_name(self, stack: LayerStack) -> None:
        with pytest.raises(Unsupported, match=r"400000000:0 of 'a'.*/etc/subuid"):
            stack.add(header(b"a", uid=400_000_000))

    @pytest.mark.needs("single id")
    def test_with_a_single_id_all_files_are_its_own(self, stack: LayerStack) -> None:
        stack.add(header(b"a", uid=400_000_000), directory(b"d/", uid=5), symlink(b"l", b"x", gid=6))
        assert {(member.uid, member.gid) for member in stack.members().values()} == {(0, 0)}


class TestLayersBelow:
    def test_a_directory_without_entry_is_as_it_is_below(self, stack: LayerStack) -> None:
        stack.add(directory(b"./", mode=0o711, mtime=3), pax((b"SCHILY.xattr.user.a", b"1")) + directory(b"tmp/", mode=0o1777, mtime=5))
        stack.add(directory(b"other/", mode=0o700, mtime=6))
        stack.add(entry(b"tmp/a"), entry(b"other/new/b"))
        members = stack.members()
        assert [(members[name].mode, members[name].mtime_ns) for name in (b"tmp/", b"other/", b"other/new/")] == [
            (0o1777, 5 * NS), (0o700, 6 * NS), (0o755, 0)]  # fmt: skip
        assert members[b"tmp/"].xattrs == {b"user.a": b"1"}
        status = os.stat(stack.trees[-1])
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o711, 3 * NS)

    @pytest.mark.parametrize("label", UNSEEN)
    def test_a_directory_that_is_not_seen_from_above_gives_nothing(self, stack: LayerStack, label: str) -> None:
        stack.add(directory(b"d/", mode=0o700), directory(b"d/e/", mode=0o700))
        if label == "removed by a layer between":
            stack.add(whiteout(b"d/.wh.e"))
        if label == "another kind":
            stack.add(entry(b"d/e", b"a file"))
        own = {"removed by the layer itself": [whiteout(b"d/.wh.e")], "in an opaque directory": [whiteout(b"d/.wh..wh..opq")]}
        stack.add(*own.get(label, []), entry(b"d/e/a"))
        members = stack.members()
        assert (members[b"d/"].mode, members[b"d/e/"].mode) == (0o700, 0o755)

    def test_a_link_of_a_lower_layer_is_hidden_by_a_directory(self, stack: LayerStack) -> None:
        """As Docker and containerd do on overlay."""
        stack.add(directory(b"usr/lib/"), symlink(b"lib", b"usr/lib"))
        stack.add(entry(b"lib/a", b"x"))
        assert stack.look() == {b"lib/": None, b"lib/a": b"x"}

    def test_a_hard_link_to_a_lower_file_brings_it_along(self, stack: LayerStack) -> None:
        owner = 0 if stack.is_single else 5
        records = pax((b"mtime", b"5.5"), (b"SCHILY.xattr.user.a", b"1"))
        stack.add(directory(b"d/", mode=0o711, mtime=4), records + entry(b"d/a", b"lower", mode=0o4711, uid=owner))
        assert stack.add(hardlink(b"e/b", b"d/a"), hardlink(b"c", b"e/b"))["links"] == [["e/b", "d/a"], ["c", "e/b"]]
        assert stack.look() == {b"c": b"lower", b"d/": None, b"d/a": ("=", b"c"), b"e/": None, b"e/b": ("=", b"c")}
        members = stack.members()
        file = members[b"c"]
        assert (file.mode, file.uid, file.mtime_ns, file.xattrs) == (0o4711, owner, 5_500_000_000, {b"user.a": b"1"})
        assert [(members[name].mode, members[name].mtime_ns) for name in (b"d/", b"e/")] == [(0o711, 4 * NS), (0o755, 0)]

    def test_a_lower_file_with_holes_is_brought_along_with_them(self, stack: LayerStack) -> None:
        stack.add(pax((b"GNU.sparse.map", b"0,3,500000,2"), (b"GNU.sparse.size", b"100000000")) + entry(b"a", b"abcxy"))
        stack.add(hardlink(b"b", b"a"))
        assert os.stat(stack.trees[-1] + "/a").st_blocks * 512 < 1 << 20
        assert Path(stack.trees[-1] + "/b").read_bytes() == Path(stack.trees[0] + "/a").read_bytes()

    @pytest.mark.parametrize("kind", [b"2", b"6"], ids=["link", "fifo"])
    def test_a_hard_link_to_something_else_below_brings_it_along(self, stack: LayerStack, kind: bytes) -> None:
        stack.add(header(b"a", kind, link=b"/etc/passwd" if kind == b"2" else b"", mode=0o620 if kind == b"6" else 0o777, mtime=3))
        below = stack.members()[b"a"]
        stack.add(hardlink(b"b", b"a"))
        assert stack.members()[b"a"] == below
        assert stack.look()[b"b"] == ("=", b"a")

    def test_a_hard_link_to_a_lower_file_gives_way_to_a_later_entry(self, stack: LayerStack) -> None:
        stack.add(entry(b"a", b"lower"))
        assert stack.add(hardlink(b"b", b"a"), entry(b"b", b"own"), hardlink(b"d/c", b"a"), entry(b"d", b"file"))["links"] == []
        assert stack.look() == {b"b": b"own", b"d": b"file"}

    @pytest.mark.parametrize("is_first", [False, True])
    def test_a_hard_link_to_a_lower_file_stands_beside_a_whiteout_of_its_name(self, stack: LayerStack, is_first: bool) -> None:
        stack.add(entry(b"a", b"lower"), entry(b"b", b"other"))
        entries = [hardlink(b"b", b"a"), whiteout(b".wh.b")]
        stack.add(*(entries[::-1] if is_first else entries))
        assert stack.look() == {b"a": b"lower", b"b": ("=", b"a")}

    @pytest.mark.parametrize("between", [whiteout(b"d/.wh.a"), whiteout(b".wh.d"), whiteout(b"d/.wh..wh..opq"), entry(b"d")])
    def test_a_hard_link_to_what_a_layer_between_has_removed_is_refused(self, stack: LayerStack, between: bytes) -> None:
        stack.add(entry(b"d/a", b"lower"))
        stack.add(between)
        with pytest.raises(InvalidArgument, match="no file of any layer"):
            stack.add(hardlink(b"b", b"d/a"))

    def test_a_hard_link_does_not_follow_a_lower_link(self, stack: LayerStack) -> None:
        stack.add(symlink(b"etc", b"/etc"))
        with pytest.raises(InvalidArgument, match="no file of any layer"):
            stack.add(hardlink(b"b", b"etc/passwd"))


@pytest.mark.needs("root")
class TestOverlayAgrees:
    """What is made is what the kernel's overlay means."""

    def test_whiteouts_and_opaque_directories_hide_what_is_below(self, stack: LayerStack, place: Path) -> None:
        below = [entry(name) for name in (b"gone", b"kept", b"opaque/old", b"again/old", b"merged/old")]
        stack.add(*below, directory(b"merged/", mode=0o1777))
        hiding = [whiteout(name) for name in (b".wh.gone", b"opaque/.wh..wh..opq", b".wh.again")]
        stack.add(*(entry(name) for name in (b"opaque/new", b"again/new", b"merged/new")), *hiding)
        assert seen(stack, place) == "./again/new ./kept ./merged/new ./merged/old ./opaque/new 1777"

    def test_whiteouts_that_are_attributes_do_as_well(self, stack: LayerStack, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a filter of system calls refuses mknod(2)."""
        stack.add(entry(b"gone"), entry(b"merged/gone"), directory(b"merged/", mode=0o1777), entry(b"merged/old"))
        stack.add()

        def refused(*arguments: object, **more: object) -> None:
            raise PermissionError(1, "not permitted")

        monkeypatch.setattr(os, "mknod", refused)
        ours, theirs = os.pipe()
        with open(theirs, "wb") as pipe:
            pipe.write(archive(whiteout(b"merged/.wh.gone"), directory(b"merged/", mode=0o1777)))
        unpack.unpack(ours, target=stack.trees[-1], userxattr=False, single_id=False)
        monkeypatch.undo()
        assert stack.look() == {b"merged/": None, b"merged/.wh.gone": b""}
        if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 7):
            assert seen(stack, place) == "./gone ./merged/old 1777"


def seen(stack: LayerStack, place: Path) -> str:
    """The files that an overlay of the layers shows, and the mode of the directory `merged`."""
    (place / "merged").mkdir()
    lower = ":".join(stack.trees[::-1])
    script = f"mount -t overlay overlay -o lowerdir={lower} merged && cd merged && find . -type f | sort && stat -c %a merged"
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", script], cwd=place, capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())
