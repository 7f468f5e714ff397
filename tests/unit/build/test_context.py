"""The build context: what a source names, what is left out, and what its digest depends on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers.build.context import HashCache, Selection, open_context
from labcontainers.build.ignore import rules_from
from labcontainers.errors import InvalidArgument, NotFound

FILES = ["a.txt", "b.txt", "c.md", "src/main.py", "src/lib/x.py", "src/lib/y.log", "docs/one.md", "docs/two.md"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def names(selections: list[Selection]) -> list[str]:
    return ["/".join(part for part in (one.name, entry.path) if part) for one in selections for entry in one.entries]


SELECTED = [
    ("a.txt", ["a.txt"]),
    ("/a.txt", ["a.txt"]),
    ("../../a.txt", ["a.txt"]),
    ("./src/../a.txt", ["a.txt"]),
    ("*.txt", ["a.txt", "b.txt"]),
    ("s*/m*", ["main.py"]),
    ("[ab].txt", ["a.txt", "b.txt"]),
    ("no*", []),
    ("src", ["src", "src/lib", "src/lib/x.py", "src/lib/y.log", "src/main.py"]),
    ("src/", ["src", "src/lib", "src/lib/x.py", "src/lib/y.log", "src/main.py"]),
    ("src/*", ["lib", "lib/x.py", "lib/y.log", "main.py"]),
]


@pytest.mark.parametrize(("source", "expected"), SELECTED)
def test_a_source_names_files(folder: Path, source: str, expected: list[str]) -> None:
    assert names(open_context(folder).select(source)) == expected


IGNORING = [
    ("src/lib/*.log", "src", ["src", "src/lib", "src/lib/x.py", "src/main.py"]),
    ("**/*.log", "src", ["src", "src/lib", "src/lib/x.py", "src/main.py"]),
    ("src/lib", "src", ["src", "src/main.py"]),
    ("src\n!src/lib/x.py", "src", ["src", "src/lib", "src/lib/x.py"]),
    ("*.txt", "*", ["c.md", "docs", "docs/one.md", "docs/two.md", "src", "src/lib", "src/lib/x.py", "src/lib/y.log", "src/main.py"]),
]


@pytest.mark.parametrize(("rules", "source", "expected"), IGNORING)
def test_ignored_files_are_not_there(folder: Path, rules: str, source: str, expected: list[str]) -> None:
    (folder / ".dockerignore").write_text(rules + "\n.dockerignore\n")
    assert names(open_context(folder).select(source)) == expected


def test_an_ignored_file_is_refused_with_the_line_that_says_so(folder: Path) -> None:
    (folder / ".dockerignore").write_text("# x\n*.txt\n")
    with pytest.raises(NotFound, match="line 2 of the ignore file"):
        open_context(folder).select("a.txt")


def test_the_ignore_file_of_the_dockerfile_comes_first(folder: Path) -> None:
    (folder / ".dockerignore").write_text("*.txt")
    (folder / "My.Dockerfile.dockerignore").write_text("*.md")
    context = open_context(folder, "My.Dockerfile")
    assert names(context.select("*.txt")) == ["a.txt", "b.txt"]
    assert context.select("c.m*") == []


def test_exclusions_of_the_instruction_leave_files_out(folder: Path) -> None:
    context = open_context(folder)
    assert names(context.select("docs", rules_from(["two.*"]))) == ["docs", "docs/one.md"]
    assert names(context.select("*.*", rules_from(["*.txt"]))) == ["c.md"]


def test_symlinks_are_followed_as_named_and_kept_as_found_and_never_lead_out(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("secret")
    os.symlink("src", folder / "link")
    os.symlink(outside, folder / "out")
    os.symlink("../../../../../../../../a.txt", folder / "up")
    os.symlink("loop", folder / "loop")
    context = open_context(folder)
    assert names(context.select("link/main.py")) == ["main.py"]
    assert names(context.select("up")) == ["up"]
    (whole,) = context.select(".")
    assert {entry.path: entry.target for entry in whole.entries if entry.target}["out"] == str(outside)
    for name in ("out", "loop"):
        with pytest.raises(NotFound):
            context.select(name)


def test_with_parents_a_folder_that_has_nothing_of_it_is_taken_empty(folder: Path) -> None:
    assert names(open_context(folder).select_with_parents("src/./l*")) == ["", "lib", "lib/x.py", "lib/y.log"]
    assert names(open_context(folder).select_with_parents("src/./z*")) == [""]
    assert open_context(folder).select_with_parents("z*/./l*") == []


def test_the_digest_depends_on_name_content_and_mode_but_not_on_time(folder: Path) -> None:
    def digest() -> str:
        return open_context(folder).select("src")[0].digest()

    first = digest()
    os.utime(folder / "src/main.py", (1, 1))
    assert digest() == first
    (folder / "src/main.py").chmod(0o755)
    second = digest()
    (folder / "src/main.py").write_text("other")
    assert len({first, second, digest()}) == 3


def test_hashes_are_kept_between_builds_and_never_stale(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = tmp_path_factory.mktemp("cache") / "hashes.json"
    os.utime(folder / "a.txt", (1, 1))
    first = HashCache(store)
    digest, _ = first.digest(str(folder / "a.txt"))
    first.save()
    assert digest in store.read_text()
    assert HashCache(store).digest(str(folder / "a.txt"))[0] == digest
    (folder / "a.txt").write_text("b.txt")
    os.utime(folder / "a.txt", (1, 1))
    assert HashCache(store).digest(str(folder / "a.txt"))[0] != digest
    store.write_text("not json")
    assert HashCache(store).digest(str(folder / "b.txt"))[0]


def test_what_is_missing_or_broken_is_said(folder: Path) -> None:
    with pytest.raises(NotFound, match=r"no such file in the build context: nothing"):
        open_context(folder).select("nothing")
    with pytest.raises(InvalidArgument, match="syntax error in pattern"):
        open_context(folder).select("a[")
    with pytest.raises(NotFound, match="no such folder"):
        open_context(folder / "nowhere")
