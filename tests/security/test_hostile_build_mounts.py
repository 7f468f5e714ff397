"""What a Dockerfile tries by RUN --mount, by stages that run beside each other and by its first line; a canary lies on the host."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.build.progress import StepOutput
from labcontainers.build.result import Build
from labcontainers.errors import DockerfileError, InvalidArgument, LabError, Unsupported
from labcontainers.kernel import capabilities
from tests.fakes.registry_server import RegistryServer
from tests.waiting import until


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


def build(engine: Engine, text: str, **keywords: Any) -> Build:
    return engine.images.build(dockerfile_text=text, network="none", **keywords)


def untouched(outside: Path) -> bool:
    return sorted(path.name for path in outside.iterdir()) == ["canary"] and (outside / "canary").read_text() == "host"


# buildkit CVE-2024-23651: a path below a shared cache mount, looked up while another step replaces it by a link to the host
def test_a_step_that_bends_a_shared_cache_shows_the_step_beside_it_nothing_of_the_host(engine: Engine, outside: Path) -> None:
    os.chmod(outside, 0o777)
    cache = "--mount=type=cache,id=shared,target=/c"
    flip = (
        f"while [ ! -e /c/stop ]; do mkdir /c/flip; rmdir /c/flip; ln -s {outside} /c/flip; rm /c/flip; "
        "ln -s / /c/flip; rm /c/flip; done; true"
    )
    begun = threading.Event()
    racer = threading.Thread(
        target=build,
        args=(engine, f"FROM lab/base\nRUN {cache} echo begun; {flip}\n"),
        kwargs={"on_event": lambda event: begun.set() if isinstance(event, StepOutput) else None},
    )
    racer.start()
    try:
        until(begun.is_set, "the step that races runs")
        started = 0
        for number in range(25):
            # a target below the cache, which this step has to find or make while the other one bends the way to it
            inner = f"--mount=type=cache,id=inner-{number},target=/c/flip/made-{number}"
            look = f"ls -a / /c/flip /c/flip/made-{number} 2>/dev/null; cat /c/flip/canary 2>/dev/null; touch /c/flip/made-{number}/x; true"
            try:
                said = build(engine, f"FROM lab/base\nRUN {cache} {inner} {look}\n").steps[-1].output
            except LabError:
                continue
            started += 1
            assert "canary" not in said
            assert "host" not in said.split()
        assert started > 0
    finally:
        build(engine, f"FROM lab/base\nRUN {cache} touch /c/stop\n")
        racer.join()
    assert untouched(outside)
    assert not [name for name in os.listdir("/") if name.startswith("made-")]


# buildkit CVE-2024-23651: the other half, `source=` below a cache that a step may write to
@pytest.mark.parametrize("source", ["sub", "../..", "/flip", "flip/../.."])
def test_a_path_below_a_cache_cannot_be_asked_for(engine: Engine, source: str) -> None:
    with pytest.raises(DockerfileError, match="source of a cache mount needs from"):
        build(engine, f"FROM lab/base\nRUN --mount=type=cache,id=shared,source={source},target=/c true\n")


# buildah CVE-2024-1753
@pytest.mark.parametrize("writable", ["", ",rw"], ids=["read-only", "writable"])
@pytest.mark.parametrize(
    "way", ["/", "OUTSIDE", "../../../../../../../..", "../../../../../../../..OUTSIDE", "/proc/self/root", "/proc/1/cwd"]
)
def test_a_mount_from_a_stage_by_its_link_to_the_root_shows_the_stage_and_not_the_host(
    engine: Engine, outside: Path, way: str, writable: str
) -> None:
    os.chmod(outside, 0o777)
    target = way.replace("OUTSIDE", str(outside))
    text = f"FROM lab/base AS evil\nRUN mkdir -p {outside} && touch /mark-of-the-stage {outside}/mark && ln -s {target} /link\n"
    look = f"ls -a /m; find /m -name canary 2>/dev/null; cat /m/canary /m{outside}/canary 2>/dev/null; touch /m/new /m{outside}/new; true"
    try:
        said = build(engine, f"{text}FROM lab/base\nRUN --mount=from=evil,source=/link,target=/m{writable} {look}\n").steps[-1].output
    except LabError:
        said = ""
    assert "canary" not in said
    assert ("mark" in said) or not said.strip() or "/proc" in way
    assert untouched(outside)
    assert not os.path.exists("/new")


# buildah CVE-2024-11218: a stage whose tree is bent by a program of its own while another stage mounts it
def test_a_stage_is_mounted_as_it_was_at_its_end_whatever_it_left_running(engine: Engine, outside: Path) -> None:
    flip = f"while :; do mkdir /flip; rmdir /flip; ln -s / /flip; rm /flip; ln -s {outside} /flip; rm /flip; done"
    left = f"mkdir /kept && touch /kept/own && (setsid sh -c '{flip}' >/dev/null 2>&1 </dev/null &) ; sleep 0.1"
    victims = "".join(
        f"FROM lab/base AS v{number}\n"
        f"RUN --mount=from=evil,source=/,target=/m ls -a /m /m/flip /m/kept 2>/dev/null; cat /m/flip/canary 2>/dev/null; : {number}\n"
        for number in range(4)
    )
    copies = "".join(f"RUN --mount=from=v{number},target=/v{number} true\n" for number in range(4))
    built = build(engine, f"FROM lab/base AS evil\nRUN {left}\n{victims}FROM lab/base\n{copies}COPY --from=evil /kept /kept\n")
    said = "".join(step.output for step in built.steps)
    assert said.count("own") == 4
    assert "canary" not in said
    assert "host" not in said.split()
    assert untouched(outside)


# buildah CVE-2024-9407
WORDS = [
    "shared,rw",
    "rprivate:rw",
    "slave,z",
    "private,dev,suid",
    "unknown",
    "",
    "RSHARED",
    "rslave rshared",
    "bind-propagation=shared",
    "0",
]


@pytest.mark.parametrize("word", WORDS)
def test_no_mount_of_a_step_has_a_word_of_propagation(engine: Engine, word: str) -> None:
    with pytest.raises(DockerfileError, match=r"unexpected key|must be a key=value pair"):
        build(engine, f'FROM lab/base\nRUN --mount="type=bind,target=/c,bind-propagation={word}" true\n')


@pytest.mark.parametrize("word", WORDS)
def test_the_words_of_propagation_of_a_container_are_the_six(engine: Engine, place: Path, word: str) -> None:
    for mount in (
        f"type=bind,source={place},target=/c,bind-propagation={word}",
        f'type=bind,source={place},target=/c,"bind-propagation={word}"',
    ):
        with pytest.raises(InvalidArgument):
            engine.containers.create("lab/base", ["true"], mounts=[mount], network="none")


# buildah CVE-2024-9675
@pytest.mark.parametrize("cache_id", ["../../../../../../../../..OUTSIDE", "OUTSIDE", "..", "../s", "a/../../../x", "\\0x"])
def test_an_id_of_a_cache_leads_to_no_folder_of_the_host(engine: Engine, outside: Path, cache_id: str) -> None:
    mount = f"--mount=type=cache,id={cache_id.replace('OUTSIDE', str(outside))},target=/c"
    said = build(engine, f"FROM lab/base\nRUN {mount} ls -a /c; touch /c/new; chmod 777 /c\n").steps[-1].output
    assert said.split() == [".", ".."]
    assert untouched(outside)
    assert [len(path.name) for path in engine.store.paths.caches.iterdir()] == [64]


# buildkit CVE-2024-23653: neither a frontend of the Dockerfile's choice nor a word of its own gives a step more rights
@pytest.mark.parametrize("form", ["# syntax=NAME", "// syntax=NAME", '{"syntax": "NAME"}', "#!/bin/sh\n# syntax=NAME"])
def test_a_frontend_that_a_dockerfile_names_is_neither_fetched_nor_run(engine: Engine, server: RegistryServer, form: str) -> None:
    for name in (f"{server.address}/evil/frontend:1", f"{server.address}/docker/dockerfile:1"):
        with pytest.raises(Unsupported if form.endswith("# syntax=NAME") else DockerfileError, match=r"frontend|unknown instruction"):
            build(engine, form.replace("NAME", name) + "\nFROM lab/base\nRUN true\n")
    with pytest.raises(Unsupported, match="frontend"):
        build(engine, "FROM lab/base\nRUN true\n", build_args={"BUILDKIT_SYNTAX": f"{server.address}/evil/frontend:1"})
    assert server.asked == []


def test_the_usual_first_line_asks_nobody(engine: Engine, server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    monkeypatch.setenv("LABCONTAINERS_PULL", "always")
    build(engine, "# syntax=docker/dockerfile:1\nFROM scratch\nENV A=b\n")
    assert server.asked == []


def test_a_step_gets_more_rights_by_the_word_of_the_user_alone(engine: Engine) -> None:
    with pytest.raises(DockerfileError, match="not allowed"):
        build(engine, "FROM lab/base\nRUN --security=insecure true\n")
    for network in ("host",):
        with pytest.raises(LabError):
            engine.images.build(dockerfile_text=f"FROM lab/base\nRUN --network={network} true\n", network="none")
    said = build(engine, "FROM lab/base\nRUN grep -E '^(CapBnd|Seccomp):' /proc/self/status\n").steps[-1].output.split()
    assert capabilities.names_of(int(said[1], 16)) <= capabilities.DEFAULT
    assert said[3] == "2"
