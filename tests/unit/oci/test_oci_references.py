"""Image names as Docker reads and writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.errors import InvalidReference
from labcontainers.oci.reference import parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4

# text, canonical, familiar
NAMES = (
    ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
    ("lab/base", "docker.io/lab/base:latest", "lab/base:latest"),
    ("a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"),
    ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("index.docker.io/library/busybox:v1", "docker.io/library/busybox:v1", "busybox:v1"),
    ("docker.io/library/foo/bar", "docker.io/library/foo/bar:latest", "library/foo/bar:latest"),
    ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
    ("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"),
    ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
    ("docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x:latest"),
    ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", "127.0.0.1:5000/a/b:latest"),
    ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
    ("Host/x", "Host/x:latest", "Host/x:latest"),
    ("ghcr.io/owner/app:1.0_rc-1", "ghcr.io/owner/app:1.0_rc-1", "ghcr.io/owner/app:1.0_rc-1"),
    (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
    (f"quay.io/a/b:t@{DIGEST}", f"quay.io/a/b:t@{DIGEST}", f"quay.io/a/b:t@{DIGEST}"),
    ("a__b.c-d--e", "docker.io/library/a__b.c-d--e:latest", "a__b.c-d--e:latest"),
    ("x:" + "t" * 128, "docker.io/library/x:" + "t" * 128, "x:" + "t" * 128),
)

# text, a word of the rule that it breaks
BROKEN = (
    ("", "repository name"),
    (":tag", "repository name"),
    ("Lab/base:X y", "tag"),
    ("busyBox", "lower case"),
    ("a/B", "lower case"),
    ("a_", "repository name"),
    ("-a", "repository name"),
    ("a..b", "repository name"),
    ("a___b", "repository name"),
    ("a//b", "repository name"),
    ("a b", "repository name"),
    ("a\n", "repository name"),
    ("ü", "repository name"),
    ("x:", "tag"),
    ("x:.t", "tag"),
    ("x:" + "t" * 129, "tag"),
    ("x@sha256:12", "digest"),
    ("x@", "digest"),
    ("-.de/x", "host name"),
    ("a.b:port/x", "host name"),
    ("docker.io/", "repository name"),
    ("a" * 256, "at most 255"),
    ("../etc", "host name"),
    ("a/../b", "repository name"),
)


@pytest.mark.parametrize(("text", "canonical", "familiar"), NAMES)
def test_a_name_is_read_and_written_as_docker_does(text: str, canonical: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert (reference.canonical, reference.familiar, str(reference)) == (canonical, familiar, familiar)


@pytest.mark.parametrize(("text", "canonical", "familiar"), NAMES)
def test_what_is_written_is_read_back_as_the_same(text: str, canonical: str, familiar: str) -> None:
    assert parse_reference(canonical) == parse_reference(familiar) == parse_reference(text)


@pytest.mark.parametrize(("text", "rule"), BROKEN)
def test_a_broken_name_is_refused_with_its_value_and_the_rule(text: str, rule: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_reference(text)
    assert repr(text) in caught.value.message
    assert rule in caught.value.message
    assert "\n" not in caught.value.message


def test_the_repository_is_the_familiar_name_without_tag_and_digest() -> None:
    assert parse_reference(f"busybox:1@{DIGEST}").repository == "busybox"
    assert parse_reference("quay.io/a/b:1").repository == "quay.io/a/b"


@given(st.text(alphabet="abAB01./:-_@[] é", max_size=30))
def test_any_text_is_refused_or_comes_back_the_same(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return
    assert parse_reference(reference.familiar) == parse_reference(reference.canonical) == reference
