"""What `build --output` says, as values, and what is no output."""

from __future__ import annotations

import io
from typing import Any

import pytest

from labcontainers.build.outputs.specs import Output, parse_output, parse_outputs
from labcontainers.errors import InvalidArgument, Unsupported

READ: list[tuple[Any, Output]] = [
    ("out", Output("local", dest="out")),
    ("./a b", Output("local", dest="./a b")),
    ("-", Output("tar", dest="-")),
    ("type=local,dest=out", Output("local", dest="out")),
    ("type=tar", Output("tar", dest="-")),
    ("type=tar,dest=-", Output("tar", dest="-")),
    ("type=tar,dest=x.tar", Output("tar", dest="x.tar")),
    ('type=oci,"dest=a,b.tar",name=x:1', Output("oci", ("x:1",), "a,b.tar")),
    ("type=oci,dest=layout,tar=false", Output("oci", dest="layout", is_folder=True)),
    ("type=docker", Output("image")),
    ("type=docker,dest=x.tar", Output("docker", dest="x.tar")),
    ("type=image", Output("image")),
    ('type=image,"name=a:1,b",push=true', Output("image", ("a:1", "b"), push=True)),
    ("type=registry", Output("image", push=True)),
    ("TYPE=image,Push=1", Output("image", push=True)),
    ("type=oci,dest=x,annotation.a=b", Output("oci", dest="x", annotations=("manifest:a=b",))),
    ("type=image,annotation-index.a.b=c=d", Output("image", annotations=("index:a.b=c=d",))),
    ("type=oci,dest=x,rewrite-timestamp=true,compression=gzip,platform-split=0", Output("oci", dest="x")),
    ({"type": "local", "dest": "out", "platform-split": False}, Output("local", dest="out")),
    ({"type": "image", "name": ["a", "b"]}, Output("image", ("a", "b"))),
    ({"type": "local", "dest": "out"}, Output("local", dest="out")),
]
REFUSED = [
    ("", "type is missing"),
    ("dest=x", "type is missing"),
    ("type=locl,dest=x", "unknown type: 'locl'"),
    ("type=local", "dest is missing"),
    ("type=local,dest=", "dest is missing"),
    ("type=local,dest=-", "goes into a folder"),
    ("type=tar,dest=", "dest is missing"),
    ("type=local,dest=x,name=y", "type=local has no name"),
    ("type=tar,tar=false", "type=tar has no tar"),
    ("type=oci,tar=false", "tar=false needs a folder"),
    ("type=image,dest=x", "type=image has no dest"),
    ("type=image,push=perhaps", "push is true or false"),
    ("type=registry,push=false", "push=false"),
    ("type=image,nmae=x", "unknown option nmae"),
    ("type=local,type=tar", "type is given twice"),
    ("type=image,name=Bad", "name: "),
    ("type=image,name=x@sha256:" + "0" * 64, "named by a digest"),
    ("type=local,dest=x,annotation.a=b", "no place for annotations"),
    ("type=image,annotation=b", "not an annotation"),
    ('type=oci,"dest=x', "not a list"),
    ("type=oci\ntype=tar", "not a list"),
]


@pytest.mark.parametrize(("said", "output"), READ)
def test_an_output_is_read(said: Any, output: Output) -> None:
    assert parse_output(said) == output


@pytest.mark.parametrize(("said", "told"), REFUSED)
def test_what_is_no_output_is_refused_by_its_flag(said: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told) as refused:
        parse_output(said)
    assert refused.value.message.startswith("--output: ")
    assert refused.value.hint


@pytest.mark.parametrize(
    "said",
    [
        "type=oci,dest=x,compression=zstd",
        "type=oci,rewrite-timestamp=false",
        "type=oci,source-date-epoch=",
        "type=image,push-by-digest=true",
        "type=cacheonly",
    ],
)
def test_what_only_buildkit_has_is_told_as_that(said: str) -> None:
    with pytest.raises(Unsupported, match="is not supported"):
        parse_output(said)


def test_something_to_write_to_is_a_place_for_an_archive_but_not_for_a_folder() -> None:
    file = io.BytesIO()
    wrong: Any = 5
    assert parse_output({"type": "tar", "dest": file}).dest is file
    with pytest.raises(InvalidArgument, match="folder"):
        parse_output({"type": "local", "dest": file})
    with pytest.raises(InvalidArgument, match="folder"):
        parse_output({"type": "oci", "dest": file, "tar": False})
    with pytest.raises(InvalidArgument, match="neither a path"):
        parse_output({"type": "tar", "dest": 5})
    with pytest.raises(InvalidArgument, match="neither a text"):
        parse_output(wrong)


def test_without_outputs_the_image_in_the_store_gets_the_tags() -> None:
    assert parse_outputs([], tags=("a", "b")) == (Output("image", ("a", "b")),)


def test_an_export_gives_the_image_in_the_store_no_names_unless_load_is_said() -> None:
    local = Output("local", ("a",), "out")
    assert parse_outputs("out", tags=("a",)) == (local,)
    assert parse_outputs("out", tags=("a",), load=True) == (local, Output("image", ("a",)))


def test_push_is_the_registry_and_holds_for_an_image_that_is_asked_for() -> None:
    assert parse_outputs([], push=True, tags=("a",)) == (Output("image", ("a",), push=True),)
    assert parse_outputs(["type=image,name=b", "out"], push=True, tags=("a",))[0] == Output("image", ("b",), push=True)
    assert parse_outputs("out", push=True, tags=("a",))[1] == Output("image", ("a",), push=True)


def test_a_push_needs_a_name_and_standard_output_takes_one_archive() -> None:
    with pytest.raises(InvalidArgument, match="--push: the image has no name"):
        parse_outputs([], push=True)
    with pytest.raises(InvalidArgument, match="--output: push: the image has no name"):
        parse_outputs("type=registry")
    with pytest.raises(InvalidArgument, match="more than one goes to standard output"):
        parse_outputs(["-", "type=oci"])
