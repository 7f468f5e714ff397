"""Go's templates as Docker's users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.commands.template import Template
from labcontainers.errors import InvalidArgument, LabError, NotFound, Unsupported

DOCUMENT: dict[str, Any] = {
    "Name": "/web",
    "State": {"Status": "running", "Running": True, "Pid": 7, "Error": "", "Health": None},
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"b": "2", "a": "1"}, "Cmd": []},
    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
    "Label": lambda key: {"role": "db"}.get(key, ""),
}

RENDERED = [
    ("plain", "plain"),
    ("{{.Name}}", "/web"),
    ("{{ .State.Status }}", "running"),
    ("{{.State.Running}} {{.State.Pid}}", "true 7"),
    ("{{.State.Health}}", "<no value>"),
    (r"{{.Name}}\t{{.State.Pid}}\n", "/web\t7\n"),
    ("{{json .Config.Env}}", '["A=1", "B=2"]'),
    ("{{json .State}}", '{"Status": "running", "Running": true, "Pid": 7, "Error": "", "Health": null}'),
    ("{{.Config.Env}}", "[A=1 B=2]"),
    ("{{.Config.Labels}}", "map[a:1 b:2]"),
    ("{{index .Config.Env 1}}", "B=2"),
    ('{{index .Config.Labels "a"}}', "1"),
    ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
    ("{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"),
    ("{{range $i, $e := .Config.Env}}{{$i}}:{{$e}} {{end}}", "0:A=1 1:B=2 "),
    ("{{range $p, $c := .Ports}}{{$p}} -> {{(index $c 0).HostPort}}{{end}}", "80/tcp -> 8080"),
    ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
    ("{{range .Config.Env}}{{$.Name}}{{end}}", "/web/web"),
    ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
    ("{{if .State.Error}}bad{{end}}", ""),
    ('{{if eq .State.Status "running"}}yes{{end}}', "yes"),
    ('{{join .Config.Env ", "}}', "A=1, B=2"),
    ("{{.Config.Env | len}} {{.Name | upper | printx}}".replace(" | printx", ""), "2 /WEB"),
    ("{{$n := .Name}}{{$n}}", "/web"),
    ('{{.Label "role"}}|{{.Label "none"}}', "db|"),
    ("a  {{- .Name -}}  b", "a/webb"),
    ("{{/* nothing */}}x", "x"),
    ("{{`raw`}}", "raw"),
]
REFUSED = [
    ("{{.Nope}}", NotFound, "'Nope'"),
    ("{{.State.Nope}}", NotFound, "'Nope' in .State.Nope"),
    ("{{.Name.Deeper}}", NotFound, "Deeper"),
    ("{{index .Config.Env 5}}", NotFound, "nothing at"),
    ("{{.Name", InvalidArgument, "open"),
    ("{{}}", InvalidArgument, "nothing between"),
    ("{{if .Name}}x", InvalidArgument, "without"),
    ("{{(.Name}}", InvalidArgument, "parenthesis"),
    ("{{$x}}", InvalidArgument, "unknown variable"),
    ("{{.Name .State}}", InvalidArgument, "no argument"),
    ("{{join .State.Pid}}", InvalidArgument, "filled in"),
    ("{{end}}", Unsupported, "end"),
    ("{{with .Name}}x{{end}}", Unsupported, "with"),
    ("{{printf .Name}}", Unsupported, "printf"),
    ("{{.Name + 1}}", Unsupported, "+ 1"),
]


@pytest.mark.parametrize(("text", "wanted"), RENDERED, ids=[text for text, _ in RENDERED])
def test_template_is_filled_in(text: str, wanted: str) -> None:
    assert Template(text).render(DOCUMENT) == wanted


@pytest.mark.parametrize(("text", "kind", "words"), REFUSED, ids=[text for text, _, _ in REFUSED])
def test_template_that_cannot_be_filled_in_says_why(text: str, kind: type[LabError], words: str) -> None:
    with pytest.raises(kind) as caught:
        Template(text).render(DOCUMENT)
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def attempt(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns, or the error of ours that it raises."""
    try:
        return function(*arguments)
    except LabError as error:
        return error


PIECES = st.sampled_from(
    ["{{", "}}", ".", ".Name", "range", "if", "end", "else", "$x", ":=", "|", "(", ")", "json", "index", "0", '"a"', " ", "x", "-"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_template_renders_or_is_refused_with_an_error_of_ours(text: str) -> None:
    found = attempt(lambda: Template(text).render(DOCUMENT))
    assert found.message if isinstance(found, LabError) else isinstance(found, str)
