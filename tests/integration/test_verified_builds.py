"""`build --verify`: what differs between two runs of a step is told by file and reason, and nothing is left of the second run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Failed

SAME = """FROM lab/base AS tools
RUN echo tool > /tool
FROM lab/base
WORKDIR /w
COPY --from=tools /tool .
RUN mkdir x && touch x/y && rm -rf /home
"""


def layers(engine: Engine) -> list[str]:
    return sorted(row.chain_id for row in engine.store.records.list_layers())


def test_a_build_that_gives_the_same_files_is_verified(engine: Engine, tmp_path: Path) -> None:
    plain = engine.images.build(tmp_path, dockerfile_text=SAME, network="none")
    before = layers(engine)
    built = engine.images.build(tmp_path, dockerfile_text=SAME, network="none", verify=True)
    assert plain.verification is None
    assert built.verification
    assert [step.text.split()[0] for step in built.verification.steps] == ["RUN", "WORKDIR", "COPY", "RUN"]
    assert built.verification.first is None
    assert "all of 4 steps" in repr(built)
    assert all(step.cached for step in built.steps)
    assert built.image.id == plain.image.id
    assert layers(engine) == before


@pytest.mark.parametrize(
    ("command", "path", "what", "detail"),
    [
        ("head -c 9 /dev/urandom > /a && cp /a /b", "/a", "content", ""),
        ("{ echo one; cat /proc/sys/kernel/random/uuid; } > /a", "/a", "content", r"line 2: '.*', then '.*'"),
        ("mkdir /d && touch /d/$(cat /proc/sys/kernel/random/uuid)", "/d/", "only in one", "time it was there"),
        ("touch /a && chmod $(( $(date +%N | tail -c 2) ))00 /a; ln -s $(cat /proc/sys/kernel/random/uuid) /b", "/", "", ""),
    ],
)
def test_the_first_file_that_differs_is_told_with_its_step_and_the_reason(
    engine: Engine, tmp_path: Path, command: str, path: str, what: str, detail: str
) -> None:
    text = f"FROM lab/base\nRUN echo same > /same\nRUN {command}\nRUN echo after > /after"
    built = engine.images.build(tmp_path, dockerfile_text=text, network="none", verify=True)
    assert built.verification is not None
    assert not built.verification
    assert [(step.line, bool(step)) for step in built.verification.steps] == [(2, True), (3, False), (4, True)]
    first = built.verification.first
    assert first is not None
    assert first.differences[0].path.startswith(path)
    assert what in first.differences[0].what
    assert re.search(detail, first.differences[0].detail)
    assert first.diff_ids[0] in built.image.diff_ids
    assert "line 3: RUN" in repr(built.verification)
    assert "not reproducible" in built._repr_html_()
    assert engine.verify() == []


def test_at_a_terminal_a_difference_is_a_failure(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM lab/base\nRUN cat /proc/sys/kernel/random/uuid > /id\n")
    said: list[bytes] = []
    words = understand(["build", "--network", "none", "--verify", str(tmp_path)])
    with pytest.raises(Failed, match="--verify: the build is not reproducible") as caught:
        execute(lambda: engine, words, folder=tmp_path, on_output=lambda stream, data: said.append(data), live=True)
    assert caught.value.exit_code == 1
    assert b"/id: content: line 1" in b"".join(said)
