"""Digests and chains of layers, by the examples of the OCI image spec."""

from __future__ import annotations

import hashlib

import pytest

from labcontainers.errors import InvalidArgument
from labcontainers.oci.digest import chain_id, parse_digest, sha256, short

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
A, B, C = (sha256(letter) for letter in (b"a", b"b", b"c"))

NO_DIGESTS = (
    "", "sha256", "sha256:", "sha256:xyz", EMPTY[:-1], EMPTY + "0", EMPTY.upper(), "md5:" + "0" * 32, EMPTY[7:], f" {EMPTY}", EMPTY + "\n",
)  # fmt: skip


def test_the_digest_of_nothing_is_the_known_one() -> None:
    assert sha256(b"") == EMPTY


def test_a_digest_is_split_into_algorithm_and_digits() -> None:
    assert parse_digest(EMPTY) == ("sha256", EMPTY[7:])
    assert parse_digest("sha512:" + "ab" * 64) == ("sha512", "ab" * 64)


@pytest.mark.parametrize("text", NO_DIGESTS)
def test_what_is_no_digest_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_digest(text)
    assert repr(text) in caught.value.message


def test_the_chain_of_no_layer_is_empty_and_of_one_its_diff_id() -> None:
    assert chain_id(()) == ""
    assert chain_id((A,)) == A


def test_each_layer_is_hashed_onto_the_chain_below_it() -> None:
    two = "sha256:" + hashlib.sha256(f"{A} {B}".encode()).hexdigest()
    assert chain_id((A, B)) == two
    assert chain_id((A, B, C)) == chain_id((two, C))
    assert chain_id((A, B)) != chain_id((B, A))


def test_a_short_id_has_twelve_digits_with_or_without_an_algorithm() -> None:
    assert short(EMPTY) == short(EMPTY[7:]) == "e3b0c44298fc"
