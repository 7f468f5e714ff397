"""The packages of an image, from the files that tell of them, and the documents that are made of them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from labcontainers.errors import Failed
from labcontainers.images.bill import Bill, Line, packages_of, read_lines
from labcontainers.images.package_files import list_package_files

LAYERS = ("sha256:" + "1" * 64, "sha256:" + "2" * 64, "sha256:" + "3" * 64)
ONE = "Package: one\nStatus: install ok installed\nVersion: 1:1.0-2\nArchitecture: amd64\nMaintainer: A <a@x>\n"
TWO = "Package: two\nStatus: install ok installed\nVersion: 2\nArchitecture: all\nSource: src (2.1)\n"
OLD_TWO = TWO.replace("Version: 2", "Version: 1")
GONE = "Package: gone\nStatus: deinstall ok config-files\nVersion: 3\n"
APK = "C:Q1x=\nP:musl\nV:1.2.3-r4\nA:x86_64\nL:MIT\nm:M <m@x>\nU:https://musl\n\nP:nothing\n\n"
METADATA = "Metadata-Version: 2.1\nName: Some.Package\nVersion: 1.5\nLicense-Expression: MIT OR Apache-2.0\nAuthor: X\n\nName: body\n"


def put(tree: Path, path: str, text: str) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)


def found_in(tmp_path: Path, trees: list[Path]) -> Bill:
    """The bill of trees that are given from the bottom up."""
    output = tmp_path / "found"
    list_package_files([str(tree) for tree in reversed(trees)], str(output))
    packages, unread = packages_of(read_lines(output.read_bytes()), LAYERS)
    return Bill(packages, unread, LAYERS[0], "team/tool:1", "2020-01-02T03:04:05Z")


@pytest.fixture
def bill(tmp_path: Path) -> Bill:
    trees = [tmp_path / name for name in "abc"]
    put(trees[0], "var/lib/dpkg/status", f"{ONE}\n{OLD_TWO}\n")
    put(trees[0], "etc/os-release", 'NAME=x\nID="ubuntu"\n')
    put(trees[0], "usr/lib/python3/dist-packages/some_package-1.5.dist-info/METADATA", METADATA)
    put(trees[1], "var/lib/dpkg/status", f"{ONE}\n{TWO}\n{GONE}\nnot a field\n")
    put(trees[1], "var/lib/dpkg/status.d/base", "Package: base\nVersion: 5\n")
    put(trees[1], "var/lib/dpkg/status.d/base.md5sums", "Package: no\nVersion: 5\n")
    put(trees[1], "opt/venv/lib/python3.11/site-packages/other-2.dist-info/METADATA", "Name: other\nVersion: 2\n")
    put(trees[1], "var/lib/rpm/rpmdb.sqlite", "")
    put(trees[2], "lib/apk/db/installed", APK)
    put(trees[2], "srv/broken.dist-info/METADATA", "nothing of all that")
    (trees[2] / "link.dist-info").symlink_to("/usr/lib")
    return found_in(tmp_path, trees)


def test_packages_are_told_with_the_layer_that_brought_this_version_in(bill: Bill) -> None:
    assert [(package.purl, LAYERS.index(package.layer)) for package in bill] == [
        ("pkg:apk/ubuntu/musl@1.2.3-r4?arch=x86_64", 2),
        ("pkg:deb/ubuntu/base@5", 1),
        ("pkg:deb/ubuntu/one@1%3A1.0-2?arch=amd64", 0),
        ("pkg:deb/ubuntu/two@2?arch=all", 1),
        ("pkg:pypi/some-package@1.5", 0),
        ("pkg:pypi/other@2", 1),
    ]
    assert bill.unread == ("var/lib/rpm",)
    one = bill.find("one")
    assert one is not None
    assert (one.supplier, one.evidence.path) == ("A <a@x>", "var/lib/dpkg/status")
    assert bill.find("gone") is None
    assert "not read: the package database in /var/lib/rpm" in repr(bill)
    assert "6 packages of team/tool:1 (1 apk, 3 deb, 2 pypi)" in bill._repr_html_()


def test_what_a_layer_removes_is_not_told(tmp_path: Path) -> None:
    trees = [tmp_path / name for name in "ab"]
    put(trees[0], "x/a-1.dist-info/METADATA", "Name: a\nVersion: 1\n")
    put(trees[0], "y/b-1.dist-info/METADATA", "Name: b\nVersion: 1\n")
    put(trees[1], "x/file", "")
    os.mknod(trees[1] / "x/a-1.dist-info", stat.S_IFCHR, os.makedev(0, 0))
    assert [package.name for package in found_in(tmp_path, trees)] == ["b"]


def test_an_image_without_packages_has_an_empty_bill(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    bill = found_in(tmp_path, [tmp_path / "a"])
    assert len(bill) == 0
    assert repr(bill) == "0 packages of team/tool:1"
    assert bill.to_spdx()["files"] == []


def test_links_of_an_image_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "outside", "status", ONE)
    for path in ("var/lib/dpkg/status", "lib/apk/db/installed"):
        (tmp_path / "a" / path).parent.mkdir(parents=True)
        (tmp_path / "a" / path).symlink_to(tmp_path / "outside/status")
    assert len(found_in(tmp_path, [tmp_path / "a"])) == 0


def test_the_spdx_document_names_every_package_and_the_file_that_tells_of_it(bill: Bill) -> None:
    document = bill.to_spdx()
    assert json.loads(json.dumps(document)) == document
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "2020-01-02T03:04:05Z"
    assert document["comment"] == "the package database in /var/lib/rpm was not read"
    packages = {package["SPDXID"]: package for package in document["packages"]}
    files = {file["SPDXID"]: file for file in document["files"]}
    assert len(packages) == 7
    assert len(packages) == len({*packages, *files}) - len(files)
    told = {
        packages[one["spdxElementId"]]["name"]: files[one["relatedSpdxElement"]]["fileName"]
        for one in document["relationships"]
        if one["relationshipType"] == "OTHER"
    }
    assert told["musl"] == "/lib/apk/db/installed"
    assert told["one"] == told["two"] == "/var/lib/dpkg/status"
    python = next(package for package in packages.values() if package["name"] == "Some.Package")
    assert python["licenseDeclared"] == "MIT OR Apache-2.0"
    assert python["comment"] == f"layerID: {LAYERS[0]}"
    for file in files.values():
        assert [checksum["algorithm"] for checksum in file["checksums"]] == ["SHA1", "SHA256"]
        assert file["comment"].startswith("layerID: sha256:")
    ids = {"SPDXRef-DOCUMENT", *packages, *files}
    assert all({one["spdxElementId"], one["relatedSpdxElement"]} <= ids for one in document["relationships"])


def test_the_cyclonedx_document_has_the_same_packages(bill: Bill) -> None:
    document = bill.to_cyclonedx()
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert [component["purl"] for component in document["components"]] == [package.purl for package in bill]
    references = [component["bom-ref"] for component in document["components"]]
    assert len(set(references)) == len(references)
    licenses = {component["name"]: component.get("licenses") for component in document["components"]}
    assert licenses["musl"] == [{"expression": "MIT"}]


def test_a_damaged_list_is_told() -> None:
    with pytest.raises(Failed, match="damaged"):
        read_lines(b"no gzip")
    lines: list[Line] = []
    assert packages_of(lines, ()) == ([], [])
