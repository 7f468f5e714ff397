"""`%container`, `%%container` and `%%dockerfile` in a real IPython shell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from labcontainers.commands.table import COMMANDS
from labcontainers.containers.result import RunResult
from labcontainers.errors import ContainerExit, DockerfileError, Interrupted, InvalidArgument, NotFound, TimedOut, Unsupported
from tests.fakes.engine import FakeEngine, run_result
from tests.unit.magics.conftest import Notebook

# what is written in a cell, and what the engine is asked
ASKED = [
    ("%container run lab/base ls -l", ["ls", "-l"], {}),
    ("%container run --rm -e A=1 lab/base true --rm -e B", ["true", "--rm", "-e", "B"], {"remove": True, "environment": ["A=1"]}),
    ("%container run --network=none -m 64m lab/base sh", ["sh"], {"network": "none", "mem_limit": "64m"}),
    ("%container run -l 'a=b c' lab/base echo 'x  y'", ["echo", "x  y"], {"labels": ["a=b c"]}),
    ("%container run lab/base sh -c 'echo $HOME ${PATH} {a,b} $name'", ["sh", "-c", "echo $HOME ${PATH} {a,b} $name"], {}),
    ('%container run lab/base echo {"a":1} {{.x}} $HOME {nosuch}', ["echo", "{a:1}", "{{.x}}", "$HOME", "{nosuch}"], {}),
    ("%container run -e N={n} {image} echo $name {pair[1]} {image.upper}", ["echo", "web", "b", "UPPER"], {"environment": ["N=5"]}),
    ("%container run lab/base prog --out x", ["prog", "--out", "x"], {}),
    ("%container run \\\n  --rm \\\n  lab/base true", ["true"], {"remove": True}),
    ("%container container run --rm lab/base true", ["true"], {"remove": True}),
]


class Text(str):
    upper = "UPPER"


@pytest.mark.parametrize(("cell", "command", "options"), ASKED, ids=[cell for cell, _, _ in ASKED])
def test_a_line_asks_the_engine_for_what_it_says(
    notebook: Notebook, engine: FakeEngine, cell: str, command: list[str], options: dict[str, object]
) -> None:
    notebook.names.update(n=5, name="web", image=Text("lab/base"), pair=["a", "b"])
    notebook.run(cell)
    assert notebook.error is None
    assert ("run", "lab/base", command, {"keep_output": True, **options}) in engine.asked


def test_a_result_is_assigned_and_shown(notebook: Notebook) -> None:
    assert notebook.run("result = %container run lab/base true").stdout == ""
    assert isinstance(notebook.names["result"], RunResult)
    assert "exit code 0" in notebook.run("%container run lab/base true").stdout


@pytest.mark.parametrize("flag", ["--out kept", "--out=kept"])
def test_out_keeps_the_result_and_shows_it_too(notebook: Notebook, engine: FakeEngine, flag: str) -> None:
    shown = notebook.run(f"%container run {flag} lab/base true")
    assert notebook.names["kept"] is engine.answer
    assert "exit code 0" in shown.stdout
    notebook.run(f"%%container run {flag} lab/base\necho")
    assert notebook.names["kept"] is engine.answer


@pytest.mark.parametrize("name", ["1x", "a.b", "class", ""])
def test_out_needs_a_name(notebook: Notebook, engine: FakeEngine, name: str) -> None:
    notebook.run(f"%container run --out='{name}' lab/base true")
    assert isinstance(notebook.error, InvalidArgument)
    assert not [asked for asked in engine.asked if asked[0] == "run"]


BODY = "echo \"$HOME\" {name} ${name} {{x}} \\\n  $name %s ''\n\n"


def test_a_cells_text_is_fed_as_it_is(notebook: Notebook, engine: FakeEngine) -> None:
    notebook.names["name"] = "filled in"
    notebook.run(f"%%container run lab/base\n{BODY}")
    notebook.run(f"%%container run -d --name {{name[0]}}x lab/python python -\n{BODY}")
    assert engine.asked[-2:] == [
        ("run", "lab/base", ["sh", "-s"], {"stdin": BODY, "keep_output": True}),
        ("run", "lab/python", ["python", "-"], {"stdin": BODY, "detach": True, "name": "fx"}),
    ]


def test_a_dockerfile_cell_is_built_as_it_is(notebook: Notebook, engine: FakeEngine, tmp_path: Path) -> None:
    notebook.names.update(tag="me/app:2", folder=tmp_path, name="x")
    text = "FROM lab/base\nENV A=$name B={name}\n"
    notebook.run(f"%%dockerfile -t {{tag}} --build-arg V=$name --context $folder --out built\n{text}")
    kind, path, options = engine.asked[-1]
    assert (kind, path) == ("build", tmp_path)
    assert options["dockerfile_text"] == text
    assert options["tags"] == ["me/app:2"]
    assert options["build_args"] == {"V": "x"}
    assert notebook.names["built"] is engine.answer


def test_a_non_zero_exit_stops_the_notebook_unless_the_result_is_wanted(notebook: Notebook, engine: FakeEngine) -> None:
    engine.answer = run_result(3, b"the last words\n")
    shown = notebook.run("after = 0\n%container run lab/base false\nafter = 1").stdout
    assert isinstance(notebook.error, ContainerExit)
    assert notebook.names["after"] == 0
    assert "ended with exit code 3" in shown
    assert "the last words" in shown
    assert "--no-raise" in shown
    notebook.run("result = %container run --no-raise lab/base false")
    assert notebook.names["result"].exit_code == 3


@pytest.mark.parametrize(
    "asked", ["%container run?", "%container run ?", "%container help run", "%container run --help", "%%container run?"]
)
def test_a_command_is_asked_for_its_flags_and_examples(notebook: Notebook, asked: str) -> None:
    shown = notebook.run(asked).stdout
    assert "Usage:  %container run [OPTIONS] IMAGE" in shown
    assert "--memory" in shown
    assert "%container run --rm lab/base echo hello" in shown


def test_what_else_ends_with_a_question_mark_is_ipythons(notebook: Notebook) -> None:
    assert "Containers, in Docker's words" in notebook.run("%container?").stdout
    for cell in ("len?", "%container nosuch?", "x = 'run?'"):
        assert "Usage:" not in notebook.run(cell).stdout


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%container sotp web", "did you mean stop?"),
        ("%container image lss", "did you mean image ls?"),
        ("%container container exce web", "did you mean container exec?"),
        ("%container volume creat x", "did you mean volume create?"),
        ("%container volume xyz", "volume is followed by one of create, "),
        ("%container imagge ls", "did you mean image?"),
        ("%container run --memroy 1g lab/base", "did you mean --memory?"),
        ("%container exec --usr=me web", "did you mean --user?"),
        ("%container logs --folow web", "did you mean --follow?"),
    ],
)
def test_what_is_mistyped_is_told_with_what_is_nearest(notebook: Notebook, cell: str, words: str) -> None:
    assert words in notebook.run(cell).stdout
    assert isinstance(notebook.error, InvalidArgument)


def test_the_error_of_a_plain_failure_is_short_and_that_of_others_tells_why(notebook: Notebook, engine: FakeEngine) -> None:
    def shown(code: int, **more: Any) -> list[str]:
        engine.answer = run_result(code, **more)
        return notebook.run("%container run lab/base x").stdout.strip().splitlines()

    plain = shown(1)
    assert len(plain) == 2
    assert "%container autopsy witty_lovelace tells more" in plain[1]
    missing = shown(127)
    assert len(missing) == 4
    assert "no such program" in missing[1]
    assert missing[2].strip() == "try: %container image explore lab/base"
    assert "its memory limit was reached" in shown(137, oom_killed=True, memory_limit_bytes=1 << 26)[1]
    assert "sys.last_value.autopsy tells more" in shown(3, removed=True)[-1]
    assert "exit code 3" in notebook.run("import sys; sys.last_value.autopsy").stdout


def test_a_time_that_is_over_is_told_with_the_way_on(notebook: Notebook, engine: FakeEngine) -> None:
    engine.answer = run_result(143, b"the last words\n", timeout_s=2.0)
    shown = notebook.run("%container run --timeout 2 lab/base sleep 100").stdout
    assert isinstance(notebook.error, TimedOut)
    assert notebook.error.exit_code == 124
    assert "was stopped after 2 s, as --timeout says (its exit code: 143)" in shown
    assert "--timeout 0 for no limit" in shown
    notebook.run("result = %container run --timeout 2 --no-raise lab/base sleep 100")
    assert notebook.names["result"].timed_out


def test_output_that_is_kept_back_is_in_the_result_alone(notebook: Notebook, engine: FakeEngine) -> None:
    engine.writes = [(1, b"a lot\n")]
    shown = notebook.run("result = %container run --no-output lab/base true")
    assert (shown.stdout, shown.stderr) == ("", "")
    assert "a lot" in notebook.run("%container run lab/base true").stdout


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        ("%container run --nmae x lab/base", InvalidArgument, "did you mean --name?"),
        ("%container run -it lab/base", Unsupported, "a cell has no terminal for -it"),
        ("%container run -i lab/base cat", Unsupported, "a cell has no standard input"),
        ("%container run", InvalidArgument, "IMAGE is missing"),
        ("%container run 'lab/base", InvalidArgument, "a quote has no end"),
        ("%container rnu x", InvalidArgument, "did you mean run?"),
        ("%container trust x", Unsupported, "signatures"),
        ("%container logs nosuch", NotFound, "no such container: nosuch"),
        ("%%container ps\nx", InvalidArgument, "takes no cell body"),
        ("%container run {name.nosuch} x", InvalidArgument, "AttributeError"),
    ],
)
def test_an_error_is_two_lines_without_a_traceback_which_tb_gives(notebook: Notebook, cell: str, kind: type[Exception], words: str) -> None:
    notebook.names["name"] = "web"
    shown = notebook.run(cell).stdout
    assert isinstance(notebook.error, kind)
    assert words in shown
    assert "Traceback" not in shown
    assert 'File "' not in shown
    assert len(shown.strip().splitlines()) == 2
    trace = notebook.run("%tb").stdout
    assert kind.__name__ in trace
    assert "magics.py" in trace


def test_an_error_in_a_dockerfile_points_at_its_place(notebook: Notebook, engine: FakeEngine) -> None:
    def build(path: object, **options: object) -> None:
        raise DockerfileError("unknown instruction: RNU", "did you mean RUN?", first_line=2, column=1, source="RNU true")

    engine.images.build = build
    lines = notebook.run("%%dockerfile -t x\nFROM lab/base\nRNU true").stdout.splitlines()
    assert [re.sub("\x1b\\[\\d+m", "", line) for line in lines] == [
        "DockerfileError: Dockerfile:2: unknown instruction: RNU",
        "  2 | RNU true",
        "    | ^",
        "did you mean RUN? %tb shows the traceback",
    ]


def test_a_check_of_a_cell_is_a_value_that_shows_itself(notebook: Notebook, engine: FakeEngine) -> None:
    from labcontainers.build.calls import CheckResult
    from labcontainers.build.dockerfile.source import Source

    asked: list[tuple[object, ...]] = []

    def describe_build(call: str, path: object, **options: object) -> CheckResult:
        asked.append((call, options["dockerfile_text"], options["target"]))
        return CheckResult((), (), Source("Dockerfile", ()))

    engine.images.describe_build = describe_build
    shown = notebook.run("%%dockerfile --check --target a\nFROM lab/base AS a").stdout
    assert notebook.error is None
    assert "Check complete, no warnings found." in shown
    assert asked == [("check", "FROM lab/base AS a\n", "a")]


def test_an_interrupted_container_is_told_of_in_one_line(notebook: Notebook, engine: FakeEngine) -> None:
    engine.fails = Interrupted("container web", 130)
    shown = notebook.run("%container run lab/base sleep 100").stdout
    assert isinstance(notebook.error, KeyboardInterrupt)
    assert "container web was interrupted, and ended with exit code 130" in shown
    assert "Traceback" not in shown


def test_output_appears_as_it_is_and_in_its_own_stream(notebook: Notebook, engine: FakeEngine) -> None:
    engine.writes = [(1, b"caf\xc3"), (2, b"err\n"), (1, b"\xa9\n"), (1, b"cut \xc3")]
    shown = notebook.run("result = %container run lab/base x")
    assert shown.stdout == "café\ncut \ufffd"
    assert shown.stderr == "err\n"


def test_a_million_lines_are_bounded_in_the_cell(notebook: Notebook, engine: FakeEngine) -> None:
    chunk = b"".join(b"line %06d\n" % index for index in range(10_000))
    engine.writes = [(1, chunk)] * 100
    shown = notebook.run("result = %container run lab/base x")
    assert len(shown.stdout) == 1_000_000
    assert "11,000,000 more bytes are not shown here" in shown.stderr
    assert ".stdout" in shown.stderr


def test_warnings_are_shown_beside_the_result(notebook: Notebook, engine: FakeEngine) -> None:
    engine.answer = run_result(warnings=("memory is not limited here",))
    assert "warning: memory is not limited here" in notebook.run("result = %container run lab/base x").stderr


# --- help


@pytest.mark.parametrize("cell", ["%container", "%container help"])
def test_help_lists_every_command(notebook: Notebook, cell: str) -> None:
    shown = notebook.run(cell).stdout
    assert not [name for name in COMMANDS if f"  {name} " not in shown]


@pytest.mark.parametrize("cell", ["%container help run", "%container run --help", "%container run -d --help"])
def test_help_of_a_command_lists_every_flag(notebook: Notebook, engine: FakeEngine, cell: str) -> None:
    shown = notebook.run(cell).stdout
    assert not [name for flag in COMMANDS["run"].flags for name in flag.names if name not in shown]
    assert [asked for asked in engine.asked if asked[0] == "run"] == []


def test_question_mark_shows_help_that_names_every_command(notebook: Notebook) -> None:
    shown = notebook.run("%container?").stdout
    assert set(shown.split("Commands:")[1].split("\n\n")[0].split()) == {name.split(" ")[0] for name in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_every_command_and_flag_has_help_of_its_own(command: object) -> None:
    assert all(flag.help for flag in command.flags)
    assert command.help[0].isupper()
    assert command.usage in command.help_text()
