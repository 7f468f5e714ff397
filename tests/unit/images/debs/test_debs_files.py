"""Packages' files, indexes, locks and signatures: read as they are meant, and refused when they are damaged or somebody else's."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from labcontainers.errors import Conflict, Denied, DigestMismatch, Failed, InvalidArgument, NotFound, Unsupported
from labcontainers.images.debs import frame, index, verify
from labcontainers.images.debs.control import Relation, paragraphs, parse_relations
from labcontainers.images.debs.fetching import Fetcher
from labcontainers.images.debs.layers import SEPARATE, Record, group
from labcontainers.images.debs.lock import Lock, LockedPackage, read_lock, write_lock
from labcontainers.images.debs.package import read_deb
from labcontainers.images.debs.repeatable import make_repeatable
from labcontainers.images.debs.sources import Source
from labcontainers.images.debs.unpacking import unpack_package
from labcontainers.store.trees import measure
from tests.fakes.deb_repository import MTIME, Deb, Repository, Signer, ar, tar, verifiers

RELATIONS = {
    "a": ((Relation("a"),),),
    "a (>= 1:2.0~x-1), b | c:any (<< 3) [amd64] <!nocheck>": (
        (Relation("a", "", ">=", "1:2.0~x-1"),),
        (Relation("b"), Relation("c", "any", "<<", "3")),
    ),
    "a,\n b": ((Relation("a"),), (Relation("b"),)),
    "": (),
}
CONTROL = tar({"control": "Package: a\nVersion: 1\n"})
GOOD = {"debian-binary": b"2.0\n", "control.tar": CONTROL, "data.tar": tar({})}
DAMAGED = {
    "no archive": (b"x" * 100, "is no ar archive"),
    "cut off": (ar(GOOD)[:-2000], "a header of"),
    "no data": (ar({"debian-binary": b"2.0\n", "control.tar": CONTROL}), "has no data.tar"),
    "another format": (ar({**GOOD, "debian-binary": b"3.0\n"}), "format"),
    "something before": (ar({"x": b"", **GOOD}), "has no debian-binary"),
    "no control file": (ar({**GOOD, "control.tar": tar({})}), "has no control file"),
    "an unknown form": (ar({"debian-binary": b"2.0\n", "control.tar": CONTROL, "data.tar.lz9": b""}), "unknown form"),
}
SIGNED = """-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

- -one
two\t
-----BEGIN PGP SIGNATURE-----

AAAA
-----END PGP SIGNATURE-----
"""
# what maintainer scripts made, and what of it stays; None is a directory
MADE: dict[str, str | None] = {
    "var/log/dpkg.log": "the hour",
    "var/log/btmp": "",
    "var/log/apt/history.log": "the hour",
    "var/cache/ldconfig/aux-cache": "inodes",
    "var/cache/man/de/index.db": "times",
    "var/lib/dpkg/status": "kept",
    "var/lib/dpkg/status-old": "before",
    "var/tmp/a/b": "left over",
    "etc/machine-id": "by chance",
    "etc/shadow": "kept",
    "srv/tmp/a": "kept",
}
KEPT = {"var/log/btmp": "", "var/lib/dpkg/status": "kept", "etc/machine-id": "", "etc/shadow": "kept", "srv/tmp/a": "kept"}
# the forms that a mirror has of an index, by their endings; which of them is fetched
FORMS: tuple[tuple[dict[str, Callable[[bytes], bytes]], str], ...] = (
    ({"": bytes}, ""),
    ({"": bytes, ".xz": lzma.compress}, ".xz"),
    ({".xz": lzma.compress, ".gz": gzip.compress}, ".gz"),
    ({".xz": lzma.compress, ".gz": partial(gzip.compress, compresslevel=0)}, ".xz"),
    ({"": bytes, ".gz": partial(gzip.compress, compresslevel=0)}, ".gz"),
)
NOT_SIGNED = (
    "Origin: Debian\n",
    "Origin: x\n" + SIGNED,
    SIGNED + "Origin: x\n",
    SIGNED.replace("Hash: SHA256", "Origin: x"),
    SIGNED + SIGNED,
)


@pytest.mark.parametrize("text", RELATIONS)
def test_relations_are_read(text: str) -> None:
    assert parse_relations(text) == RELATIONS[text]


def test_what_is_no_relation_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="not a relation"):
        parse_relations("a (~ 1)")


def test_paragraphs_keep_lines_that_go_on() -> None:
    assert list(paragraphs("A: 1\n# no\nB:\n x\n  y\n\n\nA: 2\n")) == [{"A": "1", "B": "\nx\n y"}, {"A": "2"}]


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_package_is_refused_that_is(case: str, tmp_path: Path) -> None:
    data, message = DAMAGED[case]
    (tmp_path / "a.deb").write_bytes(data)
    with pytest.raises(InvalidArgument, match=message):
        read_deb(tmp_path / "a.deb")


def unpacked(deb: Deb, folder: Path) -> dict[str, object]:
    """The answer of a worker that unpacks the package into the folder."""
    fds = []
    for data in (tar(deb.files), tar({"control": "", **deb.control_files})):
        fd = os.memfd_create("part")
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        fds.append(fd)
    folder.mkdir()
    own = os.getuid() != 0
    return unpack_package(
        *fds, target=str(folder), package=deb.name, status="Package: a\n", userxattr=own, single_id=own, last=True
    )  # fmt: skip


def test_files_of_bin_lib_and_sbin_go_to_usr_with_records_of_where_the_package_has_them(tmp_path: Path) -> None:
    files = {"bin/sh": ("x", 0o755), "bin/rsh": "-> sh", "lib/x86/libc.so": "y", "etc/a.conf": "z\n", "usr/bin/b": "b"}
    scripts = {"conffiles": "/etc/a.conf\n/etc/gone\n", "postinst": "#!/bin/sh\n", "md5sums": "m\n"}
    answer = unpacked(Deb("a", files=files, scripts=scripts), tmp_path / "t")
    tree = tmp_path / "t"
    assert sorted(path.name for path in tree.iterdir()) == ["etc", "usr", "var"]
    assert (tree / "usr/bin/sh").read_text() == "x"
    assert os.readlink(tree / "usr/bin/rsh") == "sh"
    assert (tree / "usr/lib/x86/libc.so").stat().st_mtime == MTIME
    info = tree / "var/lib/dpkg/info"
    assert sorted(path.name for path in info.iterdir()) == ["a.conffiles", "a.list", "a.md5sums", "a.postinst"]
    assert (info / "a.list").read_text().splitlines()[:4] == ["/.", "/bin", "/bin/sh", "/bin/rsh"]
    assert os.access(info / "a.postinst", os.X_OK)
    assert (tree / "var/lib/dpkg/status.d/a").read_text() == "Package: a\n"
    digest = hashlib.md5(b"z\n", usedforsecurity=False).hexdigest()
    measured = measure(str(tree))
    assert answer == {"newest_ns": MTIME * 10**9, "conffiles": [["/etc/a.conf", digest]], "skipped": [], **measured}


def test_a_package_cannot_bring_records_of_another_one_or_lead_out(tmp_path: Path) -> None:
    unpacked(Deb("a", files={"var/lib/dpkg/info/b.postinst": "evil", "usr/x": "-> /etc"}), tmp_path / "t")
    assert not (tmp_path / "t/var/lib/dpkg/info/b.postinst").exists()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../evil"))
    fd, control = os.memfd_create("data"), os.memfd_create("control")
    os.pwrite(fd, stream.getvalue(), 0)
    os.pwrite(control, tar({}), 0)
    (tmp_path / "u").mkdir()
    with pytest.raises(InvalidArgument, match="leads out"):
        unpack_package(fd, control, target=str(tmp_path / "u"), package="a", status="", userxattr=False, single_id=True, last=True)
    assert not (tmp_path / "evil").exists()


def test_what_scripts_made_has_no_moment_and_no_chance_in_it(tmp_path: Path) -> None:
    for path, text in MADE.items():
        (tmp_path / "t" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / path).write_text(text or "")
    old, link = tmp_path / "t/etc/old", tmp_path / "t/etc/link"
    old.write_text("")
    os.utime(old, (5, 5))
    link.symlink_to("nowhere")
    make_repeatable(str(tmp_path / "t"), MTIME)
    files = {path: path.read_text() for path in (tmp_path / "t").rglob("*") if path.is_file()}
    assert {str(path.relative_to(tmp_path / "t")): text for path, text in files.items() if path != old} == KEPT
    assert not (tmp_path / "t/var/tmp/a").exists()
    times = {path: path.lstat().st_mtime_ns for path in [tmp_path / "t", *(tmp_path / "t").rglob("*")]}
    assert times.pop(old) == 5 * 10**9
    assert set(times.values()) == {MTIME * 10**9}
    assert link in times


def test_no_link_that_scripts_made_leads_to_files_of_the_host(tmp_path: Path) -> None:
    host = tmp_path / "host"
    (host / "ldconfig").mkdir(parents=True)
    for name in ("dpkg.log", "ldconfig/aux-cache", "machine-id"):
        (host / name).write_text("the host's")
    before = {path: path.stat().st_mtime_ns for path in host.rglob("*")}
    (tmp_path / "t/etc").mkdir(parents=True)
    (tmp_path / "t/var").mkdir()
    for path, to in (("var/log", host), ("var/cache", host), ("etc/machine-id", host / "machine-id")):
        (tmp_path / "t" / path).symlink_to(to)
    make_repeatable(str(tmp_path / "t"), MTIME)
    assert {path: path.stat().st_mtime_ns for path in host.rglob("*")} == before
    assert (host / "machine-id").read_text() == "the host's"


def test_status_tells_that_packages_are_unpacked_and_which_configuration_they_came_with() -> None:
    records = [Record("b", "Package: b\nVersion: 1\n", []), Record("a", "Package: a\nVersion: 2\n", [["/etc/a", "00"]])]
    assert frame.status_text(records) == (
        "Package: a\nStatus: install ok unpacked\nVersion: 2\nConffiles:\n /etc/a 00\n\n"
        "Package: b\nStatus: install ok unpacked\nVersion: 1\n"
    )


def test_the_commands_of_busybox_are_found_in_its_program() -> None:
    names = ["[", "[[", *(f"c{number}" for number in range(30)), "busybox", "sh"]
    program = b"\x7fELF\0rubbish\0" + "\0".join(names).encode() + b"\0\0more"
    assert frame.applets(program) == [name for name in names if name != "busybox"]
    assert frame.applets(b"\x7fELF") == []


def locked(name: str, *, base: bool) -> LockedPackage:
    return LockedPackage(name, "1", "all", "0" * 64, 1, f"http://x/{name}.deb", base)


def test_packages_beyond_the_first_ones_share_a_layer_and_those_of_the_variant_are_apart() -> None:
    packages = [locked(f"b{number}", base=True) for number in range(SEPARATE + 3)] + [locked("p", base=False)]
    assert [len(one) for one in group(packages)] == [1] * SEPARATE + [3, 1]
    assert group(packages)[-1] == [packages[-1]]
    assert group(packages[:2]) == [[packages[0]], [packages[1]]]


def test_a_lock_is_read_as_it_was_written_and_only_for_the_same_wishes(tmp_path: Path) -> None:
    lock = Lock("debian:bookworm", "amd64", "busybox", ("p",), (locked("p", base=False),))
    assert read_lock(tmp_path / "lock") is None
    write_lock(tmp_path / "lock", lock)
    assert read_lock(tmp_path / "lock") == lock
    lock.check("debian:bookworm", "amd64", "busybox", ["p"], "lock")
    with pytest.raises(Conflict, match="lock is for variant 'busybox', not 'minbase'"):
        lock.check("debian:bookworm", "amd64", "minbase", ["p"], "lock")
    for text in ("", "[]", '{"labcontainers_lock": 1}', lock.to_text().replace("0" * 64, "../x")):
        (tmp_path / "lock").write_text(text)
        with pytest.raises(InvalidArgument, match="is no lock"):
            read_lock(tmp_path / "lock")


def test_what_was_signed_is_taken_out_of_a_signed_text() -> None:
    text, signature = verify.split_signed(SIGNED)
    assert text == "-one\ntwo"
    assert signature.startswith("-----BEGIN PGP SIGNATURE-----\n\nAAAA\n")


@pytest.mark.parametrize("text", NOT_SIGNED)
def test_nothing_may_stand_beside_a_signed_text(text: str) -> None:
    with pytest.raises(InvalidArgument, match="no signed text"):
        verify.split_signed(text)


@pytest.mark.parametrize("program", verifiers())
def test_only_a_key_of_the_keyring_signs(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "find_verifier", lambda: shutil.which(program))
    ours, other = Signer(tmp_path / "a"), Signer(tmp_path / "b")
    try:
        text, signature = verify.split_signed(ours.clear_sign("Origin: x\n- y\n"))
        for key in (str(ours.keyring), ours.armored):
            verify.verify(text.encode(), signature.encode(), [key], "it")
        verify.verify(text.encode(), signature.encode(), [str(other.keyring), str(ours.keyring)], "it")
        with pytest.raises(Denied, match=r"it is not signed by a trusted key: (key [0-9A-F]+ is not in the keyring|missing key [0-9a-f]+)"):
            verify.verify(text.encode(), signature.encode(), [str(other.keyring)], "it")
        with pytest.raises(Denied, match=r"a signature is bad|message has been manipulated"):
            verify.verify(text.replace("x", "y").encode(), signature.encode(), [str(ours.keyring)], "it")
        with pytest.raises(NotFound, match="no keyring"):
            verify.verify(text.encode(), signature.encode(), [], "it")
    finally:
        ours.close()
        other.close()


def test_without_gpgv_and_sqv_nothing_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unsupported, match="neither gpgv nor sqv") as failure:
        verify.verify(b"", b"", ["x"], "it")
    assert "--no-verify" in failure.value.hint


@pytest.mark.parametrize(("code", "text"), [(0, ""), (1, "no good signature")])
def test_sqv_tells_by_its_exit_code(code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "sqv"
    program.write_text(f'#!/bin/sh\ntest "$1" = --keyring && test -f "$2" -a -f "$3" -a -f "$4" || exit 9\nexit {code}\n')
    program.chmod(0o755)
    (tmp_path / "ring").write_bytes(b"\x99")
    monkeypatch.setattr(verify, "find_verifier", lambda: str(program))
    if not code:
        verify.verify(b"a", b"b", [str(tmp_path / "ring")], "it")
        return
    with pytest.raises(Denied, match=text):
        verify.verify(b"a", b"b", [str(tmp_path / "ring")], "it")


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    found = Fetcher(tmp_path / "cache", {})
    yield found
    found.close()


def load(repository: Repository, fetcher: Fetcher, *, verifies: bool = False) -> index.Index:
    source = Source(f"file://{repository.root}", repository.suite, ("main",))
    return index.load([source], "amd64", fetcher, shared_keys=(), verifies=verifies, tell=lambda line: None)


def test_an_index_finds_packages_by_name_by_what_they_provide_and_by_importance(tmp_path: Path, fetcher: Fetcher) -> None:
    repository = Repository(tmp_path / "mirror")
    repository.add(
        Deb("dash", control={"Essential": "yes", "Provides": "sh (= 1), posix"}),
        Deb("a", "1"),
        Deb("a", "2", control={"Priority": "required"}),
    )
    repository.publish()
    for _ in range(2):
        found = load(repository, fetcher)
        assert [package.version for package in found.named("a")] == ["1", "2"]
        assert [package.name for package in found.providing("sh")] == ["dash"]
        assert found.names_of(essential=True) == ["dash"]
        assert found.names_of(essential=False) == ["a"]
    assert found.named("a")[0].uri == f"file://{repository.root}/pool/a_1_amd64.deb"


@pytest.mark.parametrize(("forms", "fetched"), FORMS)
def test_an_index_is_read_in_any_form_and_as_gzip_unless_xz_is_much_smaller(
    forms: dict[str, Callable[[bytes], bytes]], fetched: str, tmp_path: Path, fetcher: Fetcher
) -> None:
    repository = Repository(tmp_path / "mirror")
    repository.add(Deb("a", control={"Comment": "many words " * 50}))
    repository.forms = forms
    repository.publish()
    folder = repository.dist / "main/binary-amd64"
    for ending in forms:
        if ending != fetched:
            (folder / "by-hash/SHA256" / hashlib.sha256((folder / f"Packages{ending}").read_bytes()).hexdigest()).unlink()
    assert [package.version for package in load(repository, fetcher).named("a")] == ["1.0-1"]


def test_indexes_that_are_old_of_another_suite_changed_or_not_signed_are_refused(tmp_path: Path, fetcher: Fetcher) -> None:
    repository = Repository(tmp_path / "mirror")
    repository.add(Deb("a"))
    repository.extra = {"Valid-Until": "Sat, 11 Jul 2020 10:16:37 UTC"}
    repository.publish()
    with pytest.raises(Failed, match="was valid until"):
        load(repository, fetcher)
    repository.extra = {"Codename": "trixie"}
    repository.publish()
    with pytest.raises(InvalidArgument, match="is of trixie"):
        load(repository, fetcher)
    repository.extra = {}
    repository.publish()
    for path in (repository.dist / "main/binary-amd64/by-hash/SHA256").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DigestMismatch, match="bytes of SHA-256"):
        load(repository, fetcher)
    if verify.find_verifier() is not None:
        with pytest.raises((Denied, NotFound)):
            load(repository, fetcher, verifies=True)
    assert [path for path in (tmp_path / "cache").iterdir() if path.name.startswith(".new-")] == []
