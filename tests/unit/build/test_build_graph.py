"""A finished build as a graph and as logs: drawn with plain characters, as HTML, for Graphviz and as JSON."""

from __future__ import annotations

import json

import pytest

from labcontainers.build.graph import BuildGraph, Edge, Node
from labcontainers.build.result import BuildLogs, StepRecord
from labcontainers.errors import NotFound

STAGES = {
    "one": ["FROM lab/base", "RUN make"],
    "two": ["FROM lab/base", "RUN other"],
    "three": ["FROM one", "COPY --from=two /x /"],
    "last": ["FROM scratch", "COPY --from=two /a /", "RUN --mount=from=three,target=/t b"],
}
BETWEEN = [(2, 5, "base"), (4, 6, "files"), (4, 8, "files"), (6, 9, "mount")]


def graph() -> BuildGraph:
    nodes: list[Node] = []
    edges = [Edge(*one) for one in BETWEEN]
    for stage, texts in STAGES.items():
        for number, text in enumerate(texts, 1):
            index = len(nodes) + 1
            if number > 1:
                edges.append(Edge(index - 1, index, "next"))
            cached = text.startswith("FROM")
            nodes.append(Node(index, stage, number, len(texts), text, index, cached, "" if cached else "new", 1.5, 0 if cached else 2048))
    return BuildGraph(tuple(nodes), tuple(edges))


def test_lanes_of_stages_show_what_needs_what() -> None:
    assert graph().lanes() == (
        "=",
        "*",
        "| =",
        "| *",
        "`-|-=",
        "  +-*",
        "= | |",
        "*-' |",
        "*---'",
    )


def test_text_has_a_line_for_each_step_in_columns() -> None:
    lines = str(graph()).splitlines()
    assert lines[0] == "=      one 1/2    FROM lab/base                       cached"
    assert lines[8] == "*---'  last 3/3   RUN --mount=from=three,target=/t b  1.5 s   2.05kB"
    assert repr(BuildGraph((), ())) == "<BuildGraph: no steps>"


def test_json_has_all_fields() -> None:
    found = json.loads(json.dumps(graph().to_json()))
    assert found["nodes"][1] == {
        "index": 2, "stage": "one", "number": 2, "count": 2, "text": "RUN make", "line": 2, "cached": False, "reason": "new",
        "duration_s": 1.5, "size_bytes": 2048,
    }  # fmt: skip
    assert {"before": 4, "after": 6, "kind": "files"} in found["edges"]


def test_graphviz_gets_clusters_and_escaped_labels() -> None:
    made = BuildGraph((Node(1, 'a"b', 1, 1, 'RUN echo "x\\n"', 1, False, "", 0.5, 0),), ())
    assert made.to_dot() == (
        "digraph build {\n  node [shape=box, fontname=monospace];\n  subgraph cluster_0 {\n"
        '    label="a\\"b";\n    s1 [label="1/1 RUN echo \\"x\\\\n\\"\\n500 ms"];\n  }\n}\n'
    )
    dot = graph().to_dot()
    assert dot.count("subgraph") == 4
    assert "  s4 -> s6 [style=dashed, label=files];\n" in dot
    assert "  s2 -> s5;\n" in dot


def test_html_is_escaped_and_tells_reasons() -> None:
    made = BuildGraph((Node(1, "<s>", 1, 1, "RUN <b>", 3, False, "the <command> changed", 0.5, 0),), ())
    text = made._repr_html_()
    assert "&lt;s&gt; 1/1" in text
    assert "RUN &lt;b&gt;" in text
    assert 'title="line 3; the &lt;command&gt; changed"' in text
    assert "<b>" not in text


def test_logs_are_of_all_steps_or_of_one() -> None:
    logs = BuildLogs([StepRecord(1, "FROM x", 1, True, 0, 0, ""), StepRecord(2, "RUN a", 2, False, 0, 0, "one\ntwo")])
    assert str(logs) == "#2 RUN a\none\ntwo\n"
    assert (logs[1], logs[2], dict(logs)) == ("", "one\ntwo", {2: "one\ntwo"})
    with pytest.raises(NotFound, match="no step 3"):
        logs[3]
    assert repr(BuildLogs([])) == "<BuildLogs: no step wrote anything>"
