"""Builds of the same Dockerfiles by every engine that builds; it must not know how an engine is asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.peers import Builder, Peer

FILES = 2000
TEN_STEPS = """\
FROM {base}
ENV A=1
WORKDIR /app
RUN echo one > /one
RUN echo two > /two
COPY . /app/
RUN find /app -type f | wc -l > /three
RUN echo four > /four
RUN echo five > /five
CMD ["sh"]
"""
# about half a second of work for one core in each of four stages
STAGES = "\n".join(
    [
        *(
            f"FROM {{base}} AS s{number}\nRUN i=0; while [ $i -lt 400000 ]; do i=$((i + 1)); done; echo {number} > /made"
            for number in range(4)
        ),
        "FROM {base}",
        *(f"COPY --from=s{number} /made /made-{number}" for number in range(4)),
    ]
)
Interleaved = Callable[[Mapping[str, Callable[[], float]], int], dict[str, list[float]]]


def compare_builds(peers: Sequence[Peer], folder: Path, rounds: int, interleaved: Interleaved) -> dict[str, dict[str, list[float]]]:
    """Durations of each kind of build by kind and peer, of those that build."""
    builders = [peer for peer in peers if isinstance(peer, Builder)]
    context, empty = build_context(folder / "context"), folder / "empty"
    empty.mkdir()

    def changed(builder: Builder) -> Callable[[], float]:
        def build() -> float:
            change_a_file(context)
            return builder.build(context, TEN_STEPS, no_cache=False)

        return build

    def verbs(build: Callable[[Builder], Callable[[], float]]) -> dict[str, list[float]]:
        return interleaved({builder.name: build(builder) for builder in builders}, rounds)

    return {
        f"build, 5 RUN and {FILES} files, no cache": verbs(lambda one: partial(one.build, context, TEN_STEPS, no_cache=True)),
        f"the same, 1 of {FILES} files changed": verbs(changed),
        "the same, all cached": verbs(lambda one: partial(one.build, context, TEN_STEPS, no_cache=False)),
        "four stages that compute, no cache": verbs(lambda one: partial(one.build, empty, STAGES, no_cache=True)),
    }


def build_context(folder: Path) -> Path:
    """A folder with FILES files of 2 kB in ten directories."""
    for number in range(FILES):
        path = folder / f"d{number % 10}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(2000))
    return folder


def change_a_file(context: Path) -> None:
    """Give one file of the context other content."""
    (context / "d0" / "f0").write_bytes(os.urandom(2000))
