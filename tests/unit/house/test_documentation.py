"""The documentation says what is: its links lead somewhere, the modules, folders and commands that it names exist."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from labcontainers.commands.table import COMMANDS

HOUSE = Path(__file__).resolve().parents[3]
PAGES = sorted([*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md"), *(HOUSE / "notebooks").glob("*.md")])
ROOMS = {path.name for path in (HOUSE / "labcontainers").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
# what a page may say of a room's module: a name in it
MODULE = re.compile(rf"`((?:{'|'.join(sorted(ROOMS))})(?:\.[a-z_]+)+)`")
COMMAND = re.compile(r"^(?:(?:\w+ = )?%+container|labcontainers) ([a-z]+)", re.MULTILINE)


def pages() -> list[tuple[str, str]]:
    return [(str(path.relative_to(HOUSE)), path.read_text(encoding="utf-8")) for path in PAGES]


def test_there_are_pages() -> None:
    assert {"README.md", "CHANGELOG.md", "docs/architecture.md"} <= {name for name, _ in pages()}


def test_the_readme_begins_with_its_two_commands() -> None:
    first = (HOUSE / "README.md").read_text(encoding="utf-8").splitlines()[:5]
    assert [line.partition("#")[0].strip() for line in first] == ["", "", "```bash", "make demo", "make test"]


def test_the_course_page_has_a_row_for_each_lesson_with_its_number_title_and_minutes() -> None:
    text = (HOUSE / "notebooks" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| \[(.+?)\]\((.+?)\) \|.*\| (\d+) \|", text, re.MULTILINE)
    lessons = []
    for path in sorted((HOUSE / "notebooks").glob("[0-9][0-9]-*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        told = notebook["metadata"]["labcontainers"]
        title = notebook["cells"][0]["source"][0].partition(" · ")[2].strip()
        lessons.append((str(told["lesson"]), title, path.name, str(told["minutes"])))
    assert rows == lessons


@pytest.mark.parametrize(("name", "text"), pages(), ids=lambda value: value if value.endswith(".md") else "")
def test_links_to_files_lead_somewhere(name: str, text: str) -> None:
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    missing = [target for target in targets if target and not (HOUSE / name).parent.joinpath(target).exists()]
    assert not missing


@pytest.mark.parametrize(("name", "text"), pages(), ids=lambda value: value if value.endswith(".md") else "")
def test_modules_that_are_named_exist(name: str, text: str) -> None:
    missing = []
    for dotted in MODULE.findall(text):
        *folders, last = dotted.split(".")
        path = HOUSE / "labcontainers" / Path(*folders)
        if not ((path / f"{last}.py").exists() or (path / last).is_dir() or defines(path.with_suffix(".py"), last)):
            missing.append(dotted)
    assert not missing


def defines(path: Path, name: str) -> bool:
    """Whether the module at `path` has a definition of this name."""
    return path.exists() and any(getattr(node, "name", None) == name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(("name", "text"), pages(), ids=lambda value: value if value.endswith(".md") else "")
def test_folders_that_are_named_exist(name: str, text: str) -> None:
    named = re.findall(r"`((?:tests|docs|scripts|notebooks|benchmarks)/[\w./-]+)`", text)
    assert not [path for path in named if not (HOUSE / path).exists()]


@pytest.mark.parametrize(("name", "text"), pages(), ids=lambda value: value if value.endswith(".md") else "")
def test_commands_in_examples_exist(name: str, text: str) -> None:
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert not [command for command in COMMAND.findall(blocks) if command not in COMMANDS]


@pytest.mark.parametrize(("name", "text"), pages(), ids=lambda value: value if value.endswith(".md") else "")
def test_python_in_examples_is_python(name: str, text: str) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        lines = [line for line in block.splitlines() if not line.startswith("%")]
        ast.parse("\n".join(lines))
