"""What a scan of a context looks at: files once while they stay as they are, and lines of a .dockerignore where they count."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from labcontainers.build.context import HashCache, open_context
from labcontainers.build.ignore import IgnoreRules, parse_ignore

LINES = (
    "*.log",
    "!keep.log",
    "**/*.pyc",
    "a",
    "!a/b",
    "a/b/c",
    "**/x",
    "!**/x/y",
    "b/**",
    "!b/a.pyc",
    "?",
    "[ab]/c",
    "/c",
    "!c/a/keep.log",
)
NAMES = ("a", "b", "c", "x", "y", "keep.log", "other.log", "a.pyc")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened from now on."""
    found: list[str] = []
    plain = os.open

    def noting(path: str, flags: int, *more: int) -> int:
        found.append(os.path.basename(path))
        return plain(path, flags, *more)

    monkeypatch.setattr(os, "open", noting)
    return found


def scan(folder: Path, hashes: Path) -> tuple[object, ...]:
    cache = HashCache(hashes)
    selections = open_context(folder, None, cache).select(".")
    cache.save()
    return tuple(selections)


def test_a_file_that_stays_as_it_is_is_read_once(tmp_path: Path, opened: list[str]) -> None:
    context, hashes = tmp_path / "c", tmp_path / "hashes.json"
    for name in ("a", "d/b", "d/e/c"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(name)
        os.utime(context / name, (5, 5))
    first = scan(context, hashes)
    assert sorted(opened) == ["a", "b", "c"]
    opened.clear()
    assert scan(context, hashes) == first
    assert opened == []
    (context / "d" / "b").write_text("B")
    os.utime(context / "d" / "b", (5, 5))
    assert scan(context, hashes) != first
    assert opened == ["b"]


@pytest.mark.parametrize("text", ["[]", "5", "{", '{"a": 5}'])
def test_digests_that_are_none_are_made_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a").write_text("a")
    os.utime(tmp_path / "c" / "a", (5, 5))
    first = scan(tmp_path / "c", tmp_path / "hashes.json")
    known = (tmp_path / "hashes.json").read_text()
    (tmp_path / "hashes.json").write_text(text if text != '{"a": 5}' else known.partition(":")[0] + ": 5}")
    assert scan(tmp_path / "c", tmp_path / "hashes.json") == first


def test_files_of_every_length_have_their_digest(tmp_path: Path) -> None:
    import hashlib

    for size in (0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 1 << 20):
        (tmp_path / "file").write_bytes(b"x" * size)
        assert HashCache().digest(str(tmp_path / "file"))[0] == hashlib.sha256(b"x" * size).hexdigest()


def test_the_short_way_through_a_dockerignore_comes_to_what_all_its_lines_say() -> None:
    chance = random.Random(3)
    for _ in range(300):
        rules = parse_ignore("\n".join(chance.sample(LINES, chance.randint(0, 6))))
        for _ in range(60):
            path = "/".join(chance.choice(NAMES) for _ in range(chance.randint(1, 4)))
            assert rules.ignores(path) == (rules.rule_for(path) is not None), (rules.rules, path)
    assert not IgnoreRules().ignores("a")
