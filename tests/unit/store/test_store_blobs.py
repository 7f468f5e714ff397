"""Content by digest is whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.errors import DigestMismatch, InvalidArgument, NotFound, Unsupported
from labcontainers.oci.digest import sha256
from labcontainers.store.blobs import Blobs
from labcontainers.store.locks import Locks
from labcontainers.store.scratch import Scratch

DATA = b"content"
DIGEST = sha256(DATA)
ABSENT = sha256(b"nothing like it")


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[Blobs]:
    for name in ("blobs", "tmp", "locks"):
        (tmp_path / name).mkdir()
    yield Blobs(tmp_path / "blobs", Scratch(tmp_path / "tmp", Locks(tmp_path / "locks")))
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_is_put_is_read_back_by_its_digest(blobs: Blobs) -> None:
    assert blobs.put(DATA) == DIGEST
    assert blobs.put(DATA) == DIGEST
    assert (blobs.has(DIGEST), blobs.size(DIGEST), blobs.read(DIGEST), list(blobs.list())) == (True, 7, DATA, [DIGEST])
    with blobs.open(DIGEST) as file:
        assert file.read() == DATA


def test_content_that_comes_in_pieces_has_the_digest_of_the_whole(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(b"con")
        writer.write(b"tent")
        assert not blobs.has(DIGEST)
        assert writer.commit(DIGEST) == (DIGEST, 7)
    assert blobs.read(DIGEST) == DATA


def test_without_commit_nothing_stays(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(DATA)
    assert list(blobs.list()) == []


def test_content_that_is_not_what_was_expected_is_refused(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(DATA)
        with pytest.raises(DigestMismatch, match=ABSENT):
            writer.commit(ABSENT)
    assert list(blobs.list()) == []


def test_two_writers_of_the_same_content_both_succeed(blobs: Blobs) -> None:
    with blobs.writer() as first, blobs.writer() as second:
        first.write(DATA)
        second.write(DATA)
        assert first.commit() == second.commit() == (DIGEST, 7)
    assert blobs.read(DIGEST) == DATA


def test_absent_content_is_not_found_and_may_be_removed(blobs: Blobs) -> None:
    for ask in (blobs.open, blobs.read, blobs.size, blobs.verify):
        with pytest.raises(NotFound, match=ABSENT):
            ask(ABSENT)
    assert not blobs.has(ABSENT)
    blobs.remove(ABSENT)


def test_removed_content_is_gone(blobs: Blobs) -> None:
    blobs.remove(blobs.put(DATA))
    assert not blobs.has(DIGEST)


def test_damaged_content_is_noticed(blobs: Blobs) -> None:
    blobs.put(DATA)
    blobs.path(DIGEST).write_bytes(b"CONTENT")
    for ask in (blobs.read, blobs.verify):
        with pytest.raises(DigestMismatch, match=DIGEST):
            ask(DIGEST)


@pytest.mark.parametrize("name", ["../../etc/passwd", "sha256:../x", ""])
def test_a_name_that_is_no_digest_reaches_no_file(blobs: Blobs, name: str) -> None:
    with pytest.raises(InvalidArgument):
        blobs.open(name)


def test_other_algorithms_are_refused_and_not_confused(blobs: Blobs) -> None:
    with pytest.raises(Unsupported, match="sha512"):
        blobs.has("sha512:" + "0" * 128)


def test_content_is_readable_only_by_its_owner(blobs: Blobs) -> None:
    assert os.stat(blobs.path(blobs.put(DATA))).st_mode & 0o077 == 0
