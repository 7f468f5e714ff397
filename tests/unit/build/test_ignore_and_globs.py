"""Patterns: Go's filepath.Match and .dockerignore files."""

from __future__ import annotations

import pytest

from labcontainers.build.globs import BadPattern, has_wildcard, matches
from labcontainers.build.ignore import parse_ignore
from labcontainers.errors import InvalidArgument

GO_MATCH = [
    ("abc", "abc", True), ("*", "abc", True), ("*c", "abc", True), ("a*", "ab/c", False), ("a*/b", "abc/b", True), ("a*/b", "a/c/b", False),
    ("a*b*c*d*e*/f", "axbxcxdxe/f", True), ("a*b?c*x", "abxbbxdbxebxczzx", True), ("ab[c]", "abc", True), ("ab[b-d]", "abc", True),
    ("ab[^c]", "abc", False), ("a\\*b", "a*b", True), ("a\\*b", "ab", False), ("a?b", "a☺b", True), ("[a-ζ]*", "α", True),
    ("a?b", "a/b", False),
    ("a*b", "a/b", False), ("[\\]a]", "]", True), ("[x\\-]", "-", True), ("*x", "xxx", True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "name", "expected"), GO_MATCH)
def test_a_pattern_matches_as_in_go(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@pytest.mark.parametrize("pattern", ["[", "[^", "[^bc", "[]a]", "[-]", "[x-]", "[-x]", "a[", "a\\", "[a-b-c]"])
def test_a_broken_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        matches(pattern, "a")


def test_an_escaped_star_is_no_wildcard() -> None:
    assert not has_wildcard("a\\*b")
    assert has_wildcard("a[bc]")


IGNORED = [
    ("*.md", {"a.md": True, "d/a.md": False}),
    ("**/*.md", {"a.md": True, "d/e/a.md": True}),
    ("*.md\n!README.md", {"a.md": True, "README.md": False}),
    ("!README.md\n*.md", {"README.md": True}),
    ("*.md\n!README*.md\nREADME-secret.md", {"README.md": False, "README-secret.md": True}),
    ("node_modules", {"node_modules": True, "node_modules/a/b": True, "x/node_modules": False}),
    ("**/node_modules", {"node_modules/x": True, "a/node_modules/x": True, "xnode_modules": False}),
    ("dir/**", {"dir": False, "dir/a/b": True}),
    ("*\n!src/main.py", {"x": True, "src": True, "src/main.py": False, "src/x.py": True}),
    ("/top\nsub/", {"top": True, "sub/x": True}),
    ("  spaced  \n# comment\n#x", {"spaced": True, "#x": False}),
    ("a/../b", {"b": True, "a": False}),
    ("temp?", {"temp1": True, "temp": False}),
    ("[a-c].txt", {"b.txt": True, "d.txt": False}),
    ("\\#x", {"#x": True}),
    ("**", {"a": True, "a/b": True}),
    ("a**/z", {"a/z": True, "ab/c/z": True, "az": True, "b/z": False}),
    (".git\n.gitignore", {".git/HEAD": True, ".gitattributes": False}),
]


@pytest.mark.parametrize(("text", "cases"), IGNORED)
def test_ignore_files_leave_out_what_moby_leaves_out(text: str, cases: dict[str, bool]) -> None:
    rules = parse_ignore(text)
    assert {path: rules.ignores(path) for path in cases} == cases


@pytest.mark.parametrize("text", ["!", "a\n[", "x[z-a]"])
def test_a_broken_ignore_file_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"\.dockerignore:{text.count(chr(10)) + 1}:"):
        parse_ignore(text)
