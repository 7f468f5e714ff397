"""Go's templates as Docker's users write them: what Docker prints is in tests/data/docker_templates.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.commands.formatting import DOCKERS
from labcontainers.commands.templates.template import Template
from labcontainers.commands.templates.values import Row
from labcontainers.errors import InvalidArgument, LabError, NotFound

TOLD = json.loads((Path(__file__).parents[2] / "data/docker_templates.json").read_text(encoding="utf-8"))
DOCUMENT, OUTPUTS = TOLD["document"], TOLD["outputs"]
RENDERED = [(text, wanted) for text, wanted in OUTPUTS if wanted is not None]
REFUSED = [text for text, wanted in OUTPUTS if wanted is None]
METHODS: dict[str, Any] = {"Name": "web", "Label": lambda key: {"role": "db"}.get(key, "")}
CALLED = [
    ('{{.Label "role"}}|{{.Label "none"}}|', "db||"),
    ('{{"role" | .Label}}', "db"),
    ('{{if .Label "role"}}has one{{end}}', "has one"),
    ('{{(.Label "role") | upper}}', "DB"),
]
# text, error, where it is, what it says
PLACED: list[tuple[str, type[LabError], str, str]] = [
    ("{{.Nope}}", NotFound, "line 1, column 3", "no field 'Nope'"),
    ("ab\ncd{{.State.Nope}}", NotFound, "line 2, column 5", "'Nope' in .State.Nope"),
    ("{{.Name.Deeper}}", NotFound, "line 1, column 3", "Deeper"),
    ("{{.State.Health.Status}}", NotFound, "line 1, column 3", "nil pointer evaluating .Status"),
    ("{{index .Config.Env 5}}", InvalidArgument, "line 1, column 3", "index out of range: 5"),
    ("{{.Name", InvalidArgument, "line 1, column 1", "open"),
    ("x{{}}", InvalidArgument, "line 1, column 2", "nothing between"),
    ("{{if .Name}}x", InvalidArgument, "line 1, column 3", "if without its end"),
    ("{{json (.Name}}", InvalidArgument, "line 1, column 8", "parenthesis"),
    ("{{$x}}", InvalidArgument, "line 1, column 3", "unknown variable $x"),
    ("{{.Name .State}}", InvalidArgument, "line 1, column 3", "no function"),
    ("{{join .State.ExitCode}}", InvalidArgument, "line 1, column 3", "wrong number of args for join: want 2 got 1"),
    ("{{upper 3}}", InvalidArgument, "line 1, column 3", "expected string; got int"),
    ("{{end}}", InvalidArgument, "line 1, column 3", "unexpected end"),
    ("{{with .Name}}x\n{{else if}}y{{end}}", InvalidArgument, "line 2, column 8", "unexpected if"),
    ("{{printx .Name}}", InvalidArgument, "line 1, column 3", "function 'printx' not defined"),
    ("{{.Name + 1}}", InvalidArgument, "line 1, column 9", "bad number syntax '+'"),
    ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", InvalidArgument, "line 1, column 103", "inside each other"),
    ('{{define "r"}}{{template "r"}}{{end}}{{template "r"}}', InvalidArgument, "line 1, column 17", "templates inside each other"),
]


@pytest.mark.parametrize(("text", "wanted"), RENDERED, ids=[text for text, _ in RENDERED])
def test_template_prints_what_docker_prints(text: str, wanted: str) -> None:
    assert Template(text, DOCKERS).render(DOCUMENT) == wanted


@pytest.mark.parametrize("text", REFUSED)
def test_template_that_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(LabError) as caught:
        Template(text, DOCKERS).render(DOCUMENT)
    assert caught.value.message.startswith("template at line ")
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(("text", "kind", "where", "words"), PLACED, ids=[text[:40] for text, _, _, _ in PLACED])
def test_an_error_says_where_in_the_template_it_is(text: str, kind: type[LabError], where: str, words: str) -> None:
    with pytest.raises(kind) as caught:
        Template(text, DOCKERS).render(DOCUMENT)
    assert caught.value.message.startswith(f"template at {where}: ")
    assert words in caught.value.message


@pytest.mark.parametrize(("text", "wanted"), CALLED)
def test_methods_get_their_arguments(text: str, wanted: str) -> None:
    assert Template(text).render(METHODS) == wanted


def test_a_method_without_its_argument_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=r"wrong number of args for \.Label: got 0"):
        Template("{{.Label}}").render(METHODS)


def test_of_a_row_only_the_fields_that_a_template_has_are_asked_for() -> None:
    asked: list[str] = []

    def field(name: str) -> Callable[[Any], str]:
        def of(item: Any) -> str:
            asked.append(name)
            return f"{item}>{name}"

        return of

    fields: dict[str, Callable[[Any], Any]] = {name: field(name) for name in ("Name", "Size", "Age")}
    assert Template("{{.Name}} {{.Name}} {{len .Age}}").render(Row("x", fields)) == "x>Name x>Name 5"
    assert asked == ["Name", "Age"]
    # as Docker's rows: sorted, and safe within HTML
    assert Template("{{json .}}").render(Row("x", fields)) == r'{"Age":"x\u003eAge","Name":"x\u003eName","Size":"x\u003eSize"}'


def attempt(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns, or the error of ours that it raises."""
    try:
        return function(*arguments)
    except LabError as error:
        return error


WORDS = """{{ }} . .Name .Config .Env range if end else with $x := = | ( ) json index 0 "a" x - break continue nil printf "%*[2]d%.3q%x%v"
    slice eq and define template , {{range~.Config.Env}} {{end}} {{.}} /* */ ` ' 1e9 0x"""
PIECES = st.sampled_from([*(word.replace("~", " ") for word in WORDS.split()), " ", "\n"])


@given(st.lists(PIECES, max_size=14).map("".join))
def test_any_template_renders_or_is_refused_with_an_error_of_ours(text: str) -> None:
    found = attempt(lambda: Template(text, DOCKERS).render(DOCUMENT))
    assert found.message if isinstance(found, LabError) else isinstance(found, str)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3))
FORMS = st.text(alphabet="%+-# 0123.*[]dsqvxXtTeEfgGcUboOz!é", max_size=12)


@given(FORMS, st.lists(VALUES, max_size=3))
def test_printf_prints_whatever_it_is_given(form: str, values: list[Any]) -> None:
    document = {"Form": form, **{f"V{at}": value for at, value in enumerate(values)}}
    words = " ".join(f".V{at}" for at in range(len(values)))
    found = Template(f"{{{{printf .Form {words}}}}}").render(document)
    assert found == form if "%" not in form and not values else isinstance(found, str)
