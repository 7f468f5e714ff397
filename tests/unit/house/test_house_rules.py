"""The rules of the house, read off the source: sizes, names, imports and documentation.

It must not import the rooms that it reads: a broken room still gets its rules checked.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[3]
PACKAGE = HOUSE / "labcontainers"

MODULE_LINES = 400
FUNCTION_LINES = 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "core", "types"}
FORBIDDEN_CALLS = {"unpack_archive"}
FORBIDDEN_ATTRIBUTES = {"extract", "extractall"}
# where the processes beside a container start, what they may load besides their own rooms, and what of those rooms
LAUNCHER_STARTS = ("runtime.launcher", "runtime.init", "runtime.shim")
LAUNCHER_ROOMS = (
    "labcontainers.runtime.",
    *(f"labcontainers.kernel.{name}" for name in ("births", "files", "freezer", "lean", "mounts", "syscalls")),
)
LAUNCHER_MAY_IMPORT = {
    "__future__", "codecs", "ctypes", "errno", "fcntl", "gc", "os", "resource", "select", "stat", "struct", "sys", "time",
}  # fmt: skip
# what kernel.lean gives them instead of these, which every process beside a container would carry along
LEAN = "labcontainers.kernel.lean"
LAUNCHER_CARRIES_NOT = {"collections", "enum", "functools", "json", "re", "signal", "socket", "typing"}

SOURCES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in SOURCES}


def name_of(path: Path) -> str:
    """The dotted name of the module at `path`."""
    parts = list(path.relative_to(HOUSE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


def at_import_time(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported: not those in functions, nor under `if TYPE_CHECKING`."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            waiting.extend(statement.orelse)
            continue
        for field in ("body", "orelse", "finalbody"):
            waiting.extend(getattr(statement, field, []))
        for handler in getattr(statement, "handlers", []):
            waiting.extend(handler.body)


def imported_names(module: str, statements: Iterator[ast.AST]) -> Iterator[tuple[str, int]]:
    """Dotted names that the import statements among `statements` ask for, with their lines."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.name, statement.lineno
        elif isinstance(statement, ast.ImportFrom):
            start = statement.module or ""
            if statement.level:
                package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
                start = ".".join([*package[: len(package) - statement.level + 1], *([statement.module] if statement.module else [])])
            for alias in statement.names:
                whole = f"{start}.{alias.name}"
                yield (whole if whole in MODULES else start), statement.lineno


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_is_a_house_to_check() -> None:
    assert "labcontainers.errors" in MODULES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: name_of(path))
class TestEveryModule:
    def test_has_a_docstring(self, path: Path) -> None:
        assert ast.get_docstring(TREES[path]), f"{path.relative_to(HOUSE)} has no docstring"

    def test_is_at_most_400_lines_long(self, path: Path) -> None:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MODULE_LINES, f"{path.relative_to(HOUSE)} has {lines} lines"

    def test_has_no_function_of_60_lines_or_more(self, path: Path) -> None:
        long = [
            f"{path.relative_to(HOUSE)}:{function.lineno} {function.name} has {function.end_lineno - function.lineno + 1} lines"
            for function in functions(TREES[path])
            if function.end_lineno is not None and function.end_lineno - function.lineno + 1 >= FUNCTION_LINES
        ]
        assert not long, "\n".join(long)

    def test_uses_no_global_statement(self, path: Path) -> None:
        lines = [node.lineno for node in ast.walk(TREES[path]) if isinstance(node, ast.Global)]
        assert not lines, f"{path.relative_to(HOUSE)} uses global at lines {lines}"

    def test_has_a_name_that_says_what_it_is(self, path: Path) -> None:
        parts = {part.strip("_") for part in name_of(path).split(".")}
        assert not parts & FORBIDDEN_NAMES, f"{name_of(path)}: call it by the noun or verb that a user would say"

    def test_unpacks_no_archive_by_the_standard_library(self, path: Path) -> None:
        calls = [f"{path.relative_to(HOUSE)}:{call.lineno} {ast.unparse(call.func)}" for call in unpacking(TREES[path])]
        assert not calls, "archives are unpacked through descriptors that cannot leave their root: " + ", ".join(calls)


def unpacking(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls of shutil.unpack_archive, and of an extract in a module that knows tarfile or zipfile."""
    knows = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    knows |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    extracts = FORBIDDEN_ATTRIBUTES if knows & {"tarfile", "zipfile"} else set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
        if name in FORBIDDEN_CALLS or (isinstance(node.func, ast.Attribute) and name in extracts):
            yield node


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("import shutil\nshutil.unpack_archive(a, b)", 1),
        ("from shutil import unpack_archive\nunpack_archive(a, b)", 1),
        ("import tarfile\ntarfile.open(a).extractall(b)", 1),
        ("from zipfile import ZipFile\nZipFile(a).extract(b)", 1),
        ("import re\nre.extract(a)", 0),
    ],
)
def test_calls_that_unpack_are_found(text: str, count: int) -> None:
    assert len(list(unpacking(ast.parse(text)))) == count


def test_no_module_imports_itself_through_others() -> None:
    edges = {
        module: {name for name, _ in imported_names(module, at_import_time(TREES[path])) if name in MODULES and name != module}
        for module, path in MODULES.items()
    }
    circle = first_circle(edges)
    assert circle is None, "circular import: " + " -> ".join(circle or ())


def first_circle(edges: dict[str, set[str]]) -> list[str] | None:
    """One circle of `edges`, as the names along it with the first repeated at the end, or None."""
    finished: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str] | None:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in finished:
            return None
        for neighbour in sorted(edges[module]):
            circle = visit(neighbour, [*trail, module])
            if circle is not None:
                return circle
        finished.add(module)
        return None

    for module in sorted(edges):
        circle = visit(module, [])
        if circle is not None:
            return circle
    return None


def test_first_circle_finds_a_circle_and_only_a_circle() -> None:
    assert first_circle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert first_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_what_runs_beside_a_container_imports_nothing_that_could_reach_into_it() -> None:
    waiting = [f"labcontainers.{name}" for name in LAUNCHER_STARTS]
    assert not [name for name in waiting if name not in MODULES]
    seen: set[str] = set()
    foreign = []
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if module == LEAN:
            continue
        for name, line in imported_names(module, ast.walk(TREES[MODULES[module]])):
            if name.startswith(LAUNCHER_ROOMS):
                waiting.append(name)
            elif name not in LAUNCHER_MAY_IMPORT:
                foreign.append(f"{module}:{line} imports {name}")
    assert not foreign, "\n".join(sorted(foreign))


def test_what_runs_beside_a_container_carries_no_large_module_along() -> None:
    program = f"import sys; sys.path.append({str(HOUSE)!r}); import labcontainers.runtime.launcher; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert not LAUNCHER_CARRIES_NOT & set(answer.stdout.split())


def test_whatever_is_not_checked_says_why() -> None:
    quiet = re.compile(r"#\s*(noqa|type: ignore)(\[[\w,-]+\]|: ?[A-Z0-9, ]+)?(?P<reason>.*)")
    silent = []
    for path in (path for folder in ("labcontainers", "scripts", "benchmarks", "tests") for path in (HOUSE / folder).rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = quiet.search(line)
            in_tests = found is not None and "type" in found[1] and path.is_relative_to(HOUSE / "tests")
            if found is not None and "re.compile" not in line and (in_tests or len(found["reason"].strip(" #")) < 6):
                silent.append(f"{path.relative_to(HOUSE)}:{number}")
    assert not silent, "give the reason behind it; the types of tests are not checked: " + ", ".join(silent)


def contracts() -> list[dict[str, object]]:
    with (HOUSE / "pyproject.toml").open("rb") as file:
        found: list[dict[str, object]] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return found


FRONT_ROOMS = {"__main__", "magics", "widgets", "api", "server_extension"}


def test_the_import_contracts_name_every_room() -> None:
    rooms = {name.split(".")[1] for name in MODULES if name.count(".")}
    for contract in contracts():
        if contract["type"] != "forbidden":
            continue
        sources = contract["source_modules"]
        assert isinstance(sources, list)
        named = {str(source).split(".")[1] for source in sources}
        exempt = {"kernel"} if contract["id"] == "kernel-alone-speaks-to-linux" else FRONT_ROOMS
        assert rooms - named - exempt == set(), f"pyproject.toml: contract {contract['id']} does not name these rooms"


def test_imports_keep_their_contracts() -> None:
    import_linter = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    result = subprocess.run([sys.executable, "-c", import_linter], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


TEXTS = sorted(
    path
    for folder in ("labcontainers", "tests", "docs", "notebooks", "benchmarks", "binder", "js/src", "scripts")
    for path in (HOUSE / folder).rglob("*")
    if path.suffix in {".py", ".md", ".ipynb", ".ts", ".css", ".json", ".toml", ".sh", ".txt"} and "node_modules" not in path.parts
)


def test_no_file_names_the_folder_it_was_written_in_nor_the_address_of_a_registry() -> None:
    private = [f"{HOUSE}/", '"resolved": "' + "http"]
    hits = [
        f"{path.relative_to(HOUSE)}: {word}"
        for path in [*TEXTS, *(HOUSE / "js").glob("*.json")]
        for word in private
        if word in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert not hits, "\n".join(hits)


def test_no_file_of_tests_is_left_out(pytestconfig: pytest.Config) -> None:
    patterns = pytestconfig.getini("norecursedirs")
    files = sorted((HOUSE / "tests").rglob("test_*.py"))
    left_out = [
        path for path in files for part in path.relative_to(HOUSE).parts[:-1] if any(fnmatch(part, pattern) for pattern in patterns)
    ]
    assert not left_out
    names = [path.name for path in files]
    assert not {name for name in names if names.count(name) > 1}, "pytest imports test files by their names alone"
