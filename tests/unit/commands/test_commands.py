"""The command table: what it finds, what Docker has and it lacks, and what a command does with names, filters and formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labcontainers.commands import later
from labcontainers.commands.command import Command, for_each
from labcontainers.commands.create_flags import entries_of
from labcontainers.commands.formatting import format_document, format_rows
from labcontainers.commands.listing import Listing, Text, align
from labcontainers.commands.table import COMMANDS, execute, find, understand
from labcontainers.errors import Conflict, Failed, InvalidArgument, LabError, NotFound, StepFailed, Unsupported
from tests.fakes.engine import FakeEngine

FOUND = [
    ("ps", "ps", []),
    ("ls -a", "ps", ["-a"]),
    ("container ls -a", "ps", ["-a"]),
    ("container run x", "run", ["x"]),
    ("container prune", "prune", []),
    ("image ls", "images", []),
    ("image rm x", "rmi", ["x"]),
    ("image prune -a", "image prune", ["-a"]),
    ("image history x", "history", ["x"]),
    ("system df -v", "system df", ["-v"]),
    ("system prune -f", "system prune", ["-f"]),
    ("network prune -f", "network prune", ["-f"]),
    ("image inspect x", "inspect", ["--type", "image", "x"]),
    ("container inspect -s x", "inspect", ["--type", "container", "-s", "x"]),
    ("network ls -q", "network ls", ["-q"]),
    ("network list", "network ls", []),
    ("network inspect x", "network inspect", ["x"]),
    ("system info", "info", []),
    ("volume list -q", "volume ls", ["-q"]),
    ("volume remove x", "volume rm", ["x"]),
    ("remove x", "rm", ["x"]),
    ("image pull x", "pull", ["x"]),
    ("manifest rm x", "manifest rm", ["x"]),
    ("volume --help", "help", ["volume"]),
    ("image -h", "help", ["image"]),
    ("build --help", "build", ["--help"]),
]
NOT_FOUND = [
    ("trust", Unsupported, "signatures are not verified"),
    ("image mount", InvalidArgument, "unknown command 'image mount'"),
    ("network create x", Unsupported, "network create is not supported yet: there are the networks bridge, none and host"),
    ("network", InvalidArgument, "network: say what to do"),
    ("volume", InvalidArgument, "volume: say what to do"),
    ("volume mount", InvalidArgument, "unknown command 'volume mount'"),
    ("stpo", InvalidArgument, "unknown command 'stpo'"),
    ("container rnu", InvalidArgument, "unknown command 'container rnu'"),
    ("image run", InvalidArgument, "unknown command 'image run'"),
    ("-H tcp://x ps", InvalidArgument, "unknown flag: -H"),
    ("", InvalidArgument, "unknown command ''"),
]
# of each command, one flag that Docker has and one that is a slip of the pen
LACKING = [(name, flag) for name, flags in later.FLAGS.items() for flag in flags]


@pytest.mark.parametrize(("words", "name", "rest"), FOUND)
def test_a_command_is_found_by_dockers_names(words: str, name: str, rest: list[str]) -> None:
    command, left = find(words.split(" "))
    assert (command.name, list(left)) == (name, rest)


@pytest.mark.parametrize(("words", "kind", "message"), NOT_FOUND)
def test_what_is_no_command_is_told_apart_from_what_docker_has(words: str, kind: type[LabError], message: str) -> None:
    with pytest.raises(kind) as caught:
        find(words.split(" "))
    assert message in caught.value.message
    assert caught.value.hint


def test_no_words_ask_for_help() -> None:
    assert understand([]).command.name == "help"


@pytest.mark.parametrize(("name", "flag"), LACKING)
def test_a_flag_that_is_missing_is_refused_with_what_is_missing(name: str, flag: str) -> None:
    words = [flag, "x"] if not flag.startswith("--") else [f"{flag}=x"]
    with pytest.raises(Unsupported) as caught:
        COMMANDS[name].parse([*words, "x"])
    assert f"{flag} is not supported yet: " in caught.value.message


@pytest.mark.parametrize("name", sorted(later.FLAGS))
def test_flags_are_missing_of_commands_that_exist(name: str) -> None:
    assert name in COMMANDS


@pytest.mark.parametrize("name", sorted(later.COMMANDS))
def test_commands_that_are_missing_do_not_exist(name: str) -> None:
    assert name not in COMMANDS


def test_help_makes_no_engine() -> None:
    def make() -> Any:
        raise AssertionError("an engine was made")

    for words in (["help"], ["help", "run"], ["run", "--help"], ["ps", "--help"], ["help", "image"], ["volume", "-h"]):
        assert execute(make, understand(words)).startswith("Usage:  labcontainers ")
        assert execute(make, understand(words), program="%container").startswith("Usage:  %container ")


def test_help_of_a_group_tells_each_of_its_commands_once() -> None:
    text = str(execute(lambda: pytest.fail("an engine was made"), understand(["image", "--help"])))
    assert text.startswith("Usage:  labcontainers image COMMAND")
    assert "  ls       List images\n" in text
    assert text.count("List images") == 1


@pytest.mark.parametrize("words", [["run", "--x", "lab/base"], ["help", "nosuch"], ["ps", "-x"]])
def test_a_bad_line_makes_no_engine(words: list[str]) -> None:
    def make() -> Any:
        raise AssertionError("an engine was made")

    with pytest.raises(LabError):
        execute(make, understand(words))


# --- several names


def each(action: Callable[[str], object], names: list[str]) -> tuple[list[str], bytes]:
    written: list[bytes] = []
    call: Any = SimpleNamespace(on_output=lambda stream, data: written.append(data))
    return for_each(call, names, action), b"".join(written)


def failing(errors: dict[str, LabError]) -> Callable[[str], None]:
    def action(name: str) -> None:
        if name in errors:
            raise errors[name]

    return action


def test_everything_named_is_done_in_order() -> None:
    assert each(lambda name: None, ["a", "b"]) == (["a", "b"], b"")


@pytest.mark.parametrize(
    ("errors", "kind", "message"),
    [
        ({"b": NotFound("no b", "look")}, NotFound, "no b"),
        ({"b": NotFound("no b", "look"), "c": NotFound("no c")}, NotFound, "no b; no c"),
        ({"b": NotFound("no b"), "c": Conflict("c runs")}, Failed, "no b; c runs"),
        ({"b": StepFailed("x", 1), "c": StepFailed("y", 2)}, Failed, "step failed with exit code 1: x; step failed with exit code 2: y"),
    ],
)
def test_failures_stop_nothing_and_are_raised_together(errors: dict[str, LabError], kind: type[LabError], message: str) -> None:
    written: list[bytes] = []
    call: Any = SimpleNamespace(on_output=lambda stream, data: written.append(data))
    with pytest.raises(kind) as caught:
        for_each(call, ["a", "b", "c", "d"], failing(errors))
    assert type(caught.value) is kind
    assert caught.value.message == message
    assert b"".join(written) == "".join(f"{name}\n" for name in "abcd" if name not in errors).encode()


# --- files of variables


def test_a_file_of_variables_is_read_as_docker_reads_it(tmp_path: Path) -> None:
    text = "\ufeff# comment\n\nA=1\r\n  B= two words \n  # indented comment\nC='quoted'\nPATH\nD=\nE=a=b#c\n"
    (tmp_path / "env").write_text(text, encoding="utf-8")
    assert entries_of(["env"], tmp_path, "--env-file") == ["A=1", "B= two words ", "C='quoted'", "PATH", "D=", "E=a=b#c"]


@pytest.mark.parametrize(("text", "place"), [("A=1\nB C=2\n", "env:2"), ("=x", "env:1"), ("A =1", "env:1")])
def test_a_bad_line_in_a_file_of_variables_is_named(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "env").write_text(text)
    with pytest.raises(InvalidArgument, match=place):
        entries_of(["env"], tmp_path, "--env-file")


@pytest.mark.parametrize("name", ["nosuch", ".", "latin1"])
def test_a_file_of_variables_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "latin1").write_bytes(b"A=\xe9")
    with pytest.raises(InvalidArgument, match=f"--env-file: {name}: "):
        entries_of([name], tmp_path, "--env-file")


def test_variables_given_on_the_line_win_over_those_of_files(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A=file\nB=file\n")
    engine: Any = FakeEngine()
    execute(lambda: engine, understand(["run", "-e", "A=line", "--env-file", "env", "lab/base"]), folder=tmp_path)
    assert engine.asked[-1][3]["environment"] == ["A=file", "B=file", "A=line"]


def test_a_relative_volume_is_meant_from_the_folder_of_the_command(tmp_path: Path) -> None:
    engine: Any = FakeEngine()
    execute(lambda: engine, understand(["run", "-v", "./data:/data:ro", "-v", "/x:/y", "lab/base"]), folder=tmp_path)
    assert engine.asked[-1][3]["volumes"] == [f"{tmp_path}/data:/data:ro", "/x:/y"]


def test_a_relative_source_of_a_mount_is_meant_from_the_folder_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    engine: Any = FakeEngine()
    execute(lambda: engine, understand(["run", "--mount", "type=bind,src=./data,dst=/data", "lab/base"]), folder=tmp_path)
    assert [mount.source for mount in engine.asked[-1][3]["mounts"]] == [f"{tmp_path}/data"]


# --- tables and formats

ROWS = [SimpleNamespace(name="web", size=3), SimpleNamespace(name="<b>database</b>", size=10)]
COLUMNS: dict[str, Callable[[Any], str]] = {"NAME": lambda row: row.name, "SIZE": lambda row: str(row.size)}
FIELDS: dict[str, Callable[[Any], Any]] = {"Name": lambda row: row.name, "CreatedAt": lambda row: row.size}


def test_a_listing_is_a_sequence_of_the_things_themselves() -> None:
    listing = Listing(ROWS, COLUMNS)
    assert (list(listing), listing[0], listing[1:], len(listing)) == (ROWS, ROWS[0], ROWS[1:], 2)


def test_a_listing_prints_aligned_and_its_html_is_escaped() -> None:
    listing = Listing(ROWS, COLUMNS)
    assert repr(listing).splitlines() == ["NAME              SIZE", "web               3", "<b>database</b>   10"]
    assert "&lt;b&gt;database" in listing._repr_html_()
    assert "<b>" not in listing._repr_html_()
    assert repr(Listing([], COLUMNS)) == "NAME      SIZE"


def test_lines_are_aligned_whatever_their_number_of_cells() -> None:
    assert align([["a", "b"], ["ccc"], []]) == ["a         b", "ccc", ""]


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        (None, "NAME              SIZE\nweb               3\n<b>database</b>   10"),
        ("table", "NAME              SIZE\nweb               3\n<b>database</b>   10"),
        ("{{.Name}}", "web\n<b>database</b>"),
        (r"table {{.Name}}\t{{.CreatedAt}}", "NAME              CREATED AT\nweb               3\n<b>database</b>   10"),
        ("json", '{"CreatedAt":3,"Name":"web"}\n{"CreatedAt":10,"Name":"\\u003cb\\u003edatabase\\u003c/b\\u003e"}'),
        (r"table {{upper .Name}}\t{{truncate .Name 2}}|", "NAME              NAME|\nWEB               we|\n<B>DATABASE</B>   <b|"),
        ("", "NAME              SIZE\nweb               3\n<b>database</b>   10"),
    ],
)
def test_rows_are_formatted_as_docker_does(template: str | None, wanted: str) -> None:
    assert repr(format_rows(ROWS, COLUMNS, FIELDS, template)) == wanted


@pytest.mark.parametrize("rows", [[], ROWS])
def test_a_field_that_is_not_there_is_named_with_those_that_are(rows: list[Any]) -> None:
    with pytest.raises(NotFound) as caught:
        format_rows(rows, COLUMNS, FIELDS, "{{.Nope}}")
    assert caught.value.hint == "fields are Name, CreatedAt"


def test_documents_print_as_json_and_are_lists() -> None:
    documents = format_document([{"A": "é"}], None)
    assert documents[0]["A"] == "é"
    assert repr(documents) == '[\n    {\n        "A": "é"\n    }\n]'
    assert format_document([{"A": 1}, {"A": 2}], "{{.A}}") == Text("1\n2")
    # only in listings Docker takes \\t for a tab
    assert format_document([{"A": 1}], r"{{.A}}\t{{.A}}") == Text(r"1\t1")


def test_a_text_prints_without_quotes() -> None:
    assert repr(Text("a'b\n")) == "a'b\n"


def test_usage_shows_how_often_each_argument_may_come() -> None:
    assert COMMANDS["run"].usage == "run [OPTIONS] IMAGE [COMMAND...]"
    assert COMMANDS["stop"].usage == "stop [OPTIONS] CONTAINERS [CONTAINERS...]"
    assert isinstance(COMMANDS["ps"], Command)
