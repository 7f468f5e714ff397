"""What the tar of a layer tries against the machine that unpacks it; nothing outside the layer's own tree is ever touched.

Rules of the image spec that have no attacker are in tests/integration/test_unpack_layers.py, damaged archives in tests/unit/store.
"""

from __future__ import annotations

import contextlib
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labcontainers import Engine
from labcontainers.errors import InvalidArgument, NoSpace
from labcontainers.kernel.files import remove_tree
from labcontainers.store.unpack import finish, unpack
from tests.fakes.layer_stack import LayerStack
from tests.fakes.tar_maker import END, directory, entry, hardlink, header, pax, symlink

pytestmark = pytest.mark.empty_store
MANY = b"../" * 40


@pytest.fixture
def outside(place: Path) -> Iterator[Path]:
    """A folder of the host that must stay as it is."""
    folder = place / "outside"
    folder.mkdir(mode=0o755)
    (folder / "canary").write_text("host")
    (folder / "canary").chmod(0o640)
    os.utime(folder / "canary", ns=(1, 2))
    os.utime(folder, ns=(1, 2))
    yield folder
    status = (folder / "canary").stat()
    assert [path.name for path in folder.iterdir()] == ["canary"]
    assert (folder / "canary").read_text() == "host"
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_nlink, status.st_mtime_ns) == (0o640, os.geteuid(), 1, 2)
    assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_mtime_ns) == (0o755, 2)
    assert os.listxattr(folder) == []


@pytest.fixture
def stack(engine: Engine) -> Iterator[LayerStack]:
    made = LayerStack(engine)
    yield made
    made.close()


def attacks(host: bytes) -> dict[str, tuple[bytes, ...]]:
    """Layers that would reach the folder `host`; some are refused, and the others stay in their tree."""
    out = MANY + host[1:]
    canary = host + b"/canary"
    owned = {"uid": 1, "gid": 1, "mode": 0o6777}
    return {
        "a name with ..": (entry(out + b"/new", b"x"),),
        "an absolute name": (entry(host + b"/new", b"x"), entry(canary, b"x", mode=0o777)),
        "a pax name over an honest one": (pax((b"path", out + b"/new")) + entry(b"honest", b"x"),),
        "GNU's long name over an honest one": (entry(b"x", out + b"/new\0", b"L") + entry(b"honest", b"x"),),
        "the name of a sparse file": (
            pax((b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.name", out + b"/new"), (b"GNU.sparse.size", b"0")) + entry(b"honest"),),
        "a link, then a file through it": (symlink(b"l", host), entry(b"l/new", b"x"), entry(b"l/canary", b"x")),
        "a relative link, then a file through it": (symlink(b"l", out), entry(b"l/new", b"x"), entry(b"l/canary", b"x")),
        "a link, then its own name as a file": (symlink(b"l", canary), entry(b"l", b"x", mode=0o777)),
        "a link, then its own name as a directory": (symlink(b"l", host), directory(b"l/", **owned), entry(b"l/new")),
        "a link, then attributes through it": (symlink(b"l", host), directory(b"l/./", **owned), directory(b"l/canary", **owned)),
        "a link, then a whiteout through it": (symlink(b"l", host), entry(b"l/.wh.canary"), entry(b"l/.wh..wh..opq")),
        "a link, then a link through it": (symlink(b"l", host), symlink(b"l/new", b"x"), symlink(b"l/canary", b"x")),
        "a link, then a device through it": (symlink(b"l", host), header(b"l/new", b"3", device=(1, 3)), header(b"l/fifo", b"6")),
        "links upon links": (directory(b"a/b/c/"), symlink(b"a/b/c/up", b"../../.."), symlink(b"a/l", b"b/c/up/../../.." + host),
                             entry(b"a/l/new", b"x")),
        "a hard link to an absolute name": (hardlink(b"h", canary), entry(b"h", b"x", mode=0o777)),
        "a hard link to a name with ..": (hardlink(b"h", MANY + canary[1:]),),
        "a pax link over an honest one": (entry(b"a", b"x"), pax((b"linkpath", MANY + canary[1:])) + hardlink(b"h", b"a")),
        "a hard link through a link": (symlink(b"l", host), hardlink(b"h", b"l/canary"), header(b"h", mode=0o777)),
        # containerd CVE-2021-32760
        "a hard link to a link, whose mode would reach further": (
            symlink(b"l", canary), hardlink(b"h", b"l", mode=0o6777, uid=1), hardlink(b"h", b"l", mode=0o777)),
        "a link in place of a directory on the way": (
            entry(b"d/e/a"), symlink(b"d", host), entry(b"d/new"), directory(b"d/e/", mode=0o777)),
        "a file in place of the directory that it is in": (
            directory(b"d/"), symlink(b"d/loop", b".."), entry(b"d/loop/d", b"x"), entry(b"d/new", b"x"), entry(b"d/loop/new")),
        "a link in place of the directory that it is in": (
            directory(b"d/"), symlink(b"d/loop", b".."), symlink(b"d/loop/d", host), entry(b"d/new", b"x"), entry(b"d/canary", b"x")),
        "a whiteout of what is above": (entry(b"d/.wh..."), entry(b"d/.wh..")),
        "the process's own root": (symlink(b"l", b"/proc/self/root" + host), entry(b"l/new", b"x"), entry(b"l/canary", b"x")),
        "the process's own descriptors": (
            symlink(b"l", b"/proc/self/fd/0"), symlink(b"m", b"/proc/self/cwd"), entry(b"l/x"), entry(b"m/x")),
    }  # fmt: skip


ATTACKS = sorted(attacks(b"/x"))


@pytest.mark.parametrize("label", ATTACKS)
def test_nothing_outside_the_tree_is_touched(stack: LayerStack, outside: Path, label: str) -> None:
    host = os.fsencode(outside)
    for layer in attacks(host)[label], attacks(b"/" + host)[label]:
        try:
            stack.add(*layer)
        except InvalidArgument:
            continue
        # what was made is in the tree, and in no way that leads out of it by a hard link
        tree = Path(stack.trees[-1])
        assert {os.lstat(path).st_nlink for path in tree.rglob("*") if path.is_file() and not path.is_symlink()} <= {1, 2}


@pytest.mark.parametrize("label", ATTACKS)
def test_nor_by_a_layer_that_lies_on_another(stack: LayerStack, outside: Path, label: str) -> None:
    """The first entry comes from the layer below, which finish() looks at."""
    first, *rest = attacks(os.fsencode(outside))[label]
    for layer in ((first,), tuple(rest)):
        with contextlib.suppress(InvalidArgument):
            stack.add(*layer)


def test_a_layer_that_is_refused_leaves_nothing_in_the_store(stack: LayerStack, engine: Engine) -> None:
    with pytest.raises(InvalidArgument):
        stack.add(directory(b"d/", mode=0), *(entry(b"d/%d" % number, b"x") for number in range(100)), entry(b"../x"))
    assert engine.store.leftovers() == []
    assert list(engine.store.paths.tmp.iterdir()) == []


def test_the_worker_of_a_layer_that_is_cut_off_tells_so(stack: LayerStack) -> None:
    with pytest.raises(InvalidArgument, match="ends within an entry"):
        stack.add_tar(header(b"a", size=5_000_000) + bytes(1_000_000))


def test_a_layer_of_very_many_entries_takes_little_memory(stack: LayerStack) -> None:
    """The worker may not grow with what it unpacks."""
    entries = b"".join(entry(b"d%d/%d" % (number % 50, number)) for number in range(20_000))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert stack.add_tar(entries + END)["entries"] == 20_000
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 80 << 10)


def test_a_file_that_is_larger_than_any_file_system_is_refused(stack: LayerStack) -> None:
    with pytest.raises(InvalidArgument):
        stack.add(pax((b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.size", b"%d" % (1 << 62))) + entry(b"a"))


def test_a_directory_deeper_than_any_path_is_made_and_removed(stack: LayerStack) -> None:
    names = [b"/".join([b"d"] * 2000) + b"/" + last for last in (b"a", b"b")]
    stack.add(*(pax((b"path", name)) + entry(b"x", b"x") for name in names), entry(b"d", b"a file after all"))
    assert stack.look() == {b"d": b"a file after all"}


NAMES = st.sampled_from([
    b"a", b"b", b"a/b", b"a/b/c", b"b/a", b"./a/", b"../a", b"a/../..", b"/a", b"/", b"", b"a/./b", b"\xff", b"a//b", b"n" * 101,
    b"a/.wh.b", b".wh.a", b".wh..wh..opq", b"a/.wh..wh..opq", b".wh.", b".wh..", b".wh...", b".wh..wh.plnk",
])  # fmt: skip
LINKS = st.sampled_from([b"a", b"b", b"a/b", b"..", b"../..", b"/", b"/a", b".", b"a/b/c", b"OUTSIDE", b"OUTSIDE/canary", b"\xff", b""])
KINDS = st.sampled_from([b"0", b"0", b"1", b"1", b"2", b"2", b"2", b"3", b"5", b"5", b"6", b"7", b"\0", b"S"])
ENTRIES = st.lists(st.tuples(NAMES, KINDS, LINKS, st.binary(max_size=3), st.sampled_from([0, 0o644, 0o755, 0o7777])), max_size=12)
Entries = list[tuple[bytes, bytes, bytes, bytes, int]]
Damage = list[tuple[int, int]]
DAMAGE = st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=2)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENTRIES, DAMAGE, ENTRIES, DAMAGE)
def test_random_layers_are_unpacked_or_refused_and_never_leave_their_tree(
    outside: Path, lower: Entries, lower_damage: Damage, upper: Entries, upper_damage: Damage
) -> None:
    top = outside.parent / "trees"
    trees: list[str] = []
    try:
        for number, (entries, damage) in enumerate(((lower, lower_damage), (upper, upper_damage))):
            tree = str(top / str(number))
            os.makedirs(tree)
            # one who may not enter a directory of mode 0, as the workers of ordinary users may
            with contextlib.suppress(InvalidArgument, NoSpace, *([PermissionError] if os.geteuid() else [])):
                unpack_here(layer_of(entries, damage, os.fsencode(outside)), tree, trees)
            trees.insert(0, tree)
    finally:
        remove_tree(str(top))
    assert (outside / "canary").read_text() == "host"
    assert len(os.listdir(outside)) == 1


def layer_of(entries: Entries, damage: Damage, host: bytes) -> bytes:
    """A tar of the entries with some bytes replaced, of which each header has the checksum that is right."""
    data = bytearray()
    for name, kind, link, content, mode in entries:
        target = link.replace(b"OUTSIDE", host)
        data += pax((b"linkpath", target)) if len(target) > 100 else b""
        data += entry(name[:100], content if kind in (b"0", b"\0", b"7") else b"", kind, link=target[:100], mode=mode)
    data += END
    for place, value in damage:
        at = place % len(data)
        data[at] = value
        start = at // 512 * 512
        block = data[start : start + 512]
        data[start + 148 : start + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    return bytes(data)


def unpack_here(data: bytes, target: str, lowers: list[str]) -> None:
    """In this process, from a pipe that holds all of it."""
    before = len(os.listdir("/proc/self/fd"))
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    is_root = os.geteuid() == 0
    try:
        answer = unpack(ours, target=target, userxattr=not is_root, single_id=not is_root)
        finish(target=target, lowers=lowers, implied=answer["implied"], links=answer["links"], userxattr=not is_root)
    finally:
        assert len(os.listdir("/proc/self/fd")) == before
