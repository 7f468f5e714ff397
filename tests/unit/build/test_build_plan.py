"""Typed instructions to steps: expansion, scopes of ARG, config, stages, and what is refused before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from labcontainers.build.dockerfile.instructions import read_dockerfile
from labcontainers.build.outputs.inputs import confidential_ids, has_network
from labcontainers.build.plan import BuildPlan, CopyStep, FromStep, PlanOptions, RunStep, WorkdirStep
from labcontainers.build.planner import plan_build
from labcontainers.build.rights import HOST_NETWORK, INSECURE
from labcontainers.build.stages import Origin
from labcontainers.errors import DockerfileError, InvalidArgument, NotFound, Unsupported
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.image_config import ImageConfig, ProcessConfig

HOST = Platform("linux", "amd64")
BASE = ImageConfig(
    "amd64", "linux", ProcessConfig(env=("PATH=/bin", "FROM_BASE=1"), cmd=("sh",), working_dir="/base"), ("sha256:" + "0" * 64,)
)


def image_config(name: str) -> ImageConfig:
    if name == "triggers":
        kept = ["ENV t=1", "COPY --from=tools /a /b", "RUN <<E\n$t\nE"]
        return ImageConfig("amd64", "linux", ProcessConfig(cmd=("sh",), extra={"OnBuild": kept}), ())
    if name != "base":
        raise NotFound(f"no such image: {name}", "build it")
    return BASE


def plan(text: str, build_args: Mapping[str, str] | None = None, target: str | None = None, network: str = "bridge") -> BuildPlan:
    dockerfile, instructions = read_dockerfile(text)
    return plan_build(dockerfile, instructions, PlanOptions(build_args or {}, target, network), HOST, image_config)


def last_run(text: str, build_args: Mapping[str, str] | None = None) -> RunStep:
    step = plan(text, build_args).stages[-1].steps[-1]
    assert isinstance(step, RunStep)
    return step


def last_copy(text: str) -> CopyStep:
    step = plan(text).stages[-1].steps[-1]
    assert isinstance(step, CopyStep)
    return step


HISTORY = [
    ("RUN a  b", "RUN /bin/sh -c a  b # buildkit"),
    ('RUN ["a", "b"]', "RUN a b # buildkit"),
    ("ARG x=1\nARG y\nENV y=2\nRUN a", "RUN |2 x=1 y=2 /bin/sh -c a # buildkit"),
    ('SHELL ["/bin/bash", "-c"]\nRUN a', "RUN /bin/bash -c a # buildkit"),
    ("RUN <<E\na\nb\nE", "RUN /bin/sh -c a\nb\n # buildkit"),
    ("RUN cat <<E\na\nE", "RUN /bin/sh -c cat <<E\na\nE # buildkit"),
    ("COPY --chown=1 a b c/", "COPY --chown=1 a b c/ # buildkit"),
    ("ADD a .", "ADD a . # buildkit"),
    ("ENV a=b c='d e'", "ENV a=b c=d e"),
    ("ENV a=1 a=2", "ENV a=1 a=2"),
    ("LABEL a=b", "LABEL a=b"),
    ("ARG a=b c", "ARG a=b c"),
    ("WORKDIR x", "WORKDIR /base/x"),
    ("WORKDIR /x/", "WORKDIR /x/"),
    ("EXPOSE 443/UDP 80 90-91", "EXPOSE [443/udp 80/tcp 90/tcp 91/tcp]"),
    ("EXPOSE 80 7000-7001:8000-8001 443", "EXPOSE [443/tcp 8000/tcp 8001/tcp 80/tcp]"),
    ('EXPOSE ""', "EXPOSE []"),
    ("EXPOSE [2001:db8::1]::1 ::1:2:2 ::::3 127.0.0.1:5:4/udp", "EXPOSE [4/udp 2/tcp 3/tcp 1/tcp]"),
    ("EXPOSE 0", "EXPOSE [0/tcp]"),
    ("CMD", 'CMD ["/bin/sh" "-c" ""]'),
    ("ENTRYPOINT []", "ENTRYPOINT []"),
    (
        'CMD ["é", "\\t\\"", "a\\u2028b", "\\u0000x", "<&>", "\\u007f", "\\u00ad"]',
        'CMD ["é" "\\t\\"" "a\\u2028b" "\\x00x" "<&>" "\\x7f" "\\u00ad"]',
    ),
    ("RUN <<A\n#!/bin/sh\nx\nA", "RUN /bin/sh -c /dev/pipes/A # buildkit"),
    ("RUN <<-A\n\tx\n\tA", "RUN /bin/sh -c x\n # buildkit"),
    ("RUN cat <<A <<B\na\nA\nb\nB", "RUN /bin/sh -c cat <<A <<B\na\nA\nb\nB # buildkit"),
    ("ARG a=1\nENV a=2\nARG a=3\nRUN x", "RUN |1 a=3 /bin/sh -c x # buildkit"),
    ("ARG a\nARG b=1\nARG a=3 b\nRUN x", "RUN |2 a=3 b=1 /bin/sh -c x # buildkit"),
    ("ARG a=1 b=$a c", "ARG a=1 b=1 c"),
    ("ENV x=y\nARG $x=1", "ARG $x=1"),
    ("ARG TARGETSTAGE BUILDVARIANT", "ARG TARGETSTAGE=default BUILDVARIANT="),
    ("HEALTHCHECK NONE", 'HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" \'\\x00\'}'),
    (
        "HEALTHCHECK --interval=1.5ms --timeout=1m --start-period=90m --retries=39 CMD a",
        'HEALTHCHECK &{["CMD-SHELL" "a"] "1.5ms" "1m0s" "1h30m0s" "0s" \'\\\'\'}',
    ),
    (
        'HEALTHCHECK --interval=1234567us --start-interval=24h --retries=+3 CMD ["a", "b c"]',
        'HEALTHCHECK &{["CMD" "a" "b c"] "1.234567s" "0s" "0s" "24h0m0s" \'\\x03\'}',
    ),
    ("ONBUILD RUN a", ""),
    ("MAINTAINER a <b>", "MAINTAINER a <b>"),
    ('CMD ["a", "b c"]', 'CMD ["a" "b c"]'),
    ("CMD a 'b'", 'CMD ["/bin/sh" "-c" "a \'b\'"]'),
    ('ENTRYPOINT ["x"]', 'ENTRYPOINT ["x"]'),
    ("USER 1:2", "USER 1:2"),
    ("VOLUME /a /b", "VOLUME [/a /b]"),
    ("STOPSIGNAL TERM", "STOPSIGNAL TERM"),
    ('SHELL ["a", "b"]', "SHELL [a b]"),
]


@pytest.mark.parametrize(("lines", "created_by"), HISTORY)
def test_the_history_says_what_buildkit_says(lines: str, created_by: str) -> None:
    assert plan("FROM base\n" + lines).stages[-1].steps[-1].created_by == created_by


ARGUMENTS = [
    ("FROM base\nARG a=1\nRUN x", {}, {"a": "1"}),
    ("FROM base\nARG a=1\nRUN x", {"a": "2"}, {"a": "2"}),
    ("FROM base\nRUN x", {"a": "2"}, {}),
    ("ARG a=1\nFROM base\nRUN x", {}, {}),
    ("ARG a=1\nFROM base\nARG a\nRUN x", {}, {"a": "1"}),
    ("ARG a=1\nFROM base\nARG a=3\nRUN x", {}, {"a": "3"}),
    ("ARG a=1\nFROM base\nARG a\nRUN x", {"a": "2"}, {"a": "2"}),
    ("ARG a=1\nARG b=$a-x\nFROM base\nARG b\nRUN x", {"a": "2"}, {"b": "2-x"}),
    ("FROM base\nARG a=1\nENV a=env\nRUN x", {"a": "2"}, {"a": "env"}),
    ("FROM base\nARG a\nRUN x", {}, {}),
    ("FROM base\nARG a=1\nARG b=${a}2\nRUN x", {}, {"a": "1", "b": "12"}),
    ("FROM base AS s\nARG a=1\nFROM s\nRUN x", {}, {"a": "1"}),
    ("FROM base\nARG TARGETARCH\nARG BUILDPLATFORM\nRUN x", {}, {"TARGETARCH": "amd64", "BUILDPLATFORM": "linux/amd64"}),
    ("FROM base\nARG TARGETSTAGE\nRUN x", {}, {"TARGETSTAGE": "default"}),
    ("FROM base AS s\nARG TARGETSTAGE\nRUN x\nFROM s AS last\nRUN x", {}, {"TARGETSTAGE": "last"}),
    ("FROM base\nARG a=${b:?needed}\nRUN x", {"a": "given"}, {"a": "given"}),
    ("FROM base\nARG a=1\nENV a=2\nARG a=3\nRUN x", {}, {"a": "3"}),
    ("FROM base\nENV a=2\nARG a\nRUN x", {}, {"a": "2"}),
    ("FROM base AS s\nENV v=1\nARG v=2\nFROM s\nRUN x", {}, {"v": "1"}),
    ("FROM base\nARG PATH=/foo\nRUN x", {}, {"PATH": "/foo"}),
    ("FROM base\nARG a=1 b=$a\nRUN x", {}, {"a": "1", "b": "1"}),
    ("ARG TARGETARCH=x\nARG b=$TARGETARCH\nFROM base\nARG b\nRUN x", {}, {"b": "x"}),
    ("FROM base\nRUN x", {"HTTP_PROXY": "p"}, {}),
    ("FROM base\nARG HTTP_PROXY\nRUN x", {"HTTP_PROXY": "p"}, {"HTTP_PROXY": "p"}),
    ("FROM base\nENV a=1\nENV a=2 b=$a\nRUN x", {}, {"a": "2", "b": "1"}),
]


@pytest.mark.parametrize(("text", "build_args", "expected"), ARGUMENTS)
def test_arguments_reach_run_within_their_scope(text: str, build_args: dict[str, str], expected: dict[str, str]) -> None:
    environment = dict(entry.partition("=")[::2] for entry in last_run(text, build_args).environment)
    assert environment == {"PATH": "/bin", "FROM_BASE": "1", **expected}


def test_proxy_arguments_reach_run_but_not_history_nor_key() -> None:
    step = last_run("FROM base\nRUN x", {"HTTP_PROXY": "p"})
    assert step.proxies == ("HTTP_PROXY=p", "http_proxy=p")
    assert "HTTP_PROXY" not in step.created_by
    assert not any(entry.startswith("HTTP_PROXY") for entry in step.environment)


def test_a_proxy_is_told_in_both_forms_save_for_one_that_is_said_otherwise() -> None:
    assert last_run("FROM base\nRUN x", {"no_proxy": "a"}).proxies == ("NO_PROXY=a", "no_proxy=a")
    assert last_run("FROM base\nRUN x", {"no_proxy": "a", "NO_PROXY": "b"}).proxies == ("NO_PROXY=b", "no_proxy=a")
    assert last_run("FROM base\nENV NO_PROXY=c\nRUN x", {"no_proxy": "a"}).proxies == ("no_proxy=a",)


def test_run_and_cmd_keep_their_variables_for_the_shell() -> None:
    assert last_run("FROM base\nENV a=1\nRUN echo $a ${b:-c}").arguments == ("/bin/sh", "-c", "echo $a ${b:-c}")


def test_a_here_document_with_a_hash_bang_is_the_program() -> None:
    step = last_run("FROM base\nRUN <<E\n#!/usr/bin/awk -f\nx\nE")
    assert (step.arguments, step.script) == ((), "#!/usr/bin/awk -f\nx\n")


COPIES = [
    ("ENV d=/x\nCOPY a $d", ("a",), "/x"),
    ("ENV d=x\nCOPY $d/a b", ("x/a",), "/base/b"),
    ("COPY a b .", ("a", "b"), "/base/"),
    ("WORKDIR /\nCOPY a .", ("a",), "/"),
    ("COPY a /b/../c/", ("a",), "/c/"),
    ("COPY a ../../../x", ("a",), "/x"),
]


@pytest.mark.parametrize(("lines", "sources", "destination"), COPIES)
def test_a_copy_is_expanded_and_made_absolute(lines: str, sources: tuple[str, ...], destination: str) -> None:
    step = last_copy("FROM base\n" + lines)
    assert (step.sources, step.destination) == (sources, destination)


def test_here_documents_of_copy_are_expanded_unless_quoted() -> None:
    step = last_copy("FROM base\nENV v=1\nCOPY <<A <<'B' /d/\n\"$v\"\nA\n$v\nB")
    assert [(file.name, file.content) for file in step.files] == [("A", '"1"\n'), ("B", "$v\n")]


def test_the_config_is_what_the_instructions_say() -> None:
    text = (
        "FROM base\nENV a=1 PATH=/x:$PATH\nLABEL l=m\nUSER u\nWORKDIR /w\nWORKDIR v\nEXPOSE 80\nVOLUME /d\nSTOPSIGNAL SIGINT\n"
        'CMD ["c"]\nENTRYPOINT ["e"]\nMAINTAINER me'
    )
    stage = plan(text).stages[-1]
    assert stage.config == ProcessConfig(
        user="u",
        exposed_ports=("80/tcp",),
        env=("PATH=/x:/bin", "FROM_BASE=1", "a=1"),
        entrypoint=("e",),
        cmd=("c",),
        volumes=("/d",),
        working_dir="/w/v",
        labels={"l": "m"},
        stop_signal="SIGINT",
    )
    assert stage.author == "me"


def test_an_entrypoint_drops_the_command_of_the_base_image() -> None:
    assert plan('FROM base\nENTRYPOINT ["e"]').stages[-1].config.cmd is None


def test_a_stage_from_scratch_has_a_path_and_a_root() -> None:
    config = plan("FROM scratch\nLABEL a=b").stages[-1].config
    assert config.env == ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    assert config.working_dir == "/"


STAGES = "FROM base AS a\nRUN 1\nFROM base AS b\nRUN 2\nFROM base AS c\nCOPY --from=a x y\nFROM c\nCOPY --from=1 x y\nFROM base AS unused\n"


@pytest.mark.parametrize(("target", "titles"), [(None, ["unused"]), ("b", ["b"]), ("C", ["a", "c"]), ("3", ["a", "b", "c", "stage-3"])])
def test_only_needed_stages_are_planned(target: str | None, titles: list[str]) -> None:
    assert [stage.stage.title for stage in plan(STAGES, target=target).stages] == titles


def test_workdir_belongs_to_the_user() -> None:
    step = plan("FROM base\nUSER u\nWORKDIR /x").stages[-1].steps[-1]
    assert isinstance(step, WorkdirStep)
    assert (step.path, step.user) == ("/x", "u")


REFUSED = [
    ("RUN a\nFROM base", 1, 1, "before the first FROM"),
    ("ARG a=1", 1, 0, "no build stage"),
    ("FROM nowhere", 1, 6, "no such image: nowhere"),
    ("ARG b\nFROM $b", 2, 6, "should not be blank"),
    ("ARG a=${x\nFROM base", 1, 7, "missing '}'"),
    ("FROM base\nENV a=1 b=${x:?needed}", 2, 11, "x: needed"),
    ("FROM base\nCOPY a \\\n  ${b:?}", 3, 3, "b: is not allowed"),
    ("FROM base\nCOPY --from=nowhere a b", 2, 6, "no such image: nowhere"),
    ("FROM base\nCOPY --from=7 a b", 2, 6, "no stage number 7"),
    ("FROM base AS x\nCOPY --from=x a b", 2, 6, "circular dependency detected on stage: x"),
    ("FROM base AS x\nCOPY --from=y a b\nFROM base AS y\nCOPY --from=x a b", 2, 6, "circular dependency detected on stage: y"),
    ("FROM base AS x\nCOPY --from=y a b\nFROM base AS y\nFROM x", 2, 6, "before the current stage"),
    ("FROM base\nCOPY --from=$x a b", 2, 6, "not supported for --from"),
    ("FROM base\nCOPY --chmod=9 a b", 2, 6, "invalid mode"),
    ("FROM base\nCOPY http://x/y /z", 2, 6, "can't be a URL"),
    ("FROM base\nCOPY git@h:r /z", 2, 6, "can't be a git ref"),
    ("FROM base\nADD --checksum=sha256:1 a /z", 2, 5, "checksum requires HTTP(S) or Git sources"),
    ("FROM base\nADD --checksum=sha256:1 https://x/y /z", 2, 5, "invalid checksum for a file"),
    ("FROM base\nADD --checksum=xyz https://x/y.git /z", 2, 5, "invalid checksum for a tree of git"),
    ("FROM base\nADD --checksum=sha256:1 https://x/y https://x/z /z/", 2, 5, "for multiple sources"),
    ("FROM base\nADD https://x/ /z/", 2, 5, "has no name for the file"),
    ("FROM base\nADD https://x/r.git#-x /z/", 2, 5, "not the name of a branch"),
    ("FROM base\nENV d=x\nCOPY a b $d", 3, 10, "must be a directory"),
    ("FROM base\nEXPOSE http", 2, 8, "invalid port"),
    ("FROM base\nEXPOSE 90-80", 2, 8, "invalid port"),
    ("FROM base\nEXPOSE localhost:80:80", 2, 8, "invalid IP address in localhost:80:80: localhost"),
    ("FROM base\nSTOPSIGNAL SIGFOO", 2, 12, "invalid signal"),
    ("FROM base\nUSER $nobody", 2, 6, "is no user"),
    ("FROM base\nRUN --network=host x", 2, 5, "not allowed"),
    ("FROM base\nRUN --network=lan x", 2, 5, "unsupported network mode"),
    ("FROM base\nRUN --security=insecure x", 2, 5, "RUN --security=insecure is not allowed"),
    ("FROM base\nRUN --security=lax x", 2, 5, "unsupported security mode: lax"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), REFUSED)
def test_a_fault_of_the_plan_names_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan(text)
    assert message in caught.value.message
    assert (caught.value.first_line, caught.value.column) == (line, column)


UNSUPPORTED = [
    ("FROM --platform=linux/arm64 base", "Dockerfile:1: FROM --platform=linux/arm64"),
    ("# syntax=other/frontend\nFROM base", "the frontend other/frontend"),
]


@pytest.mark.parametrize(("text", "message"), UNSUPPORTED)
def test_what_is_not_carried_out_is_refused_and_never_ignored(text: str, message: str) -> None:
    with pytest.raises(Unsupported) as caught:
        plan(text)
    assert message in caught.value.message
    assert caught.value.hint


def test_a_password_in_an_address_is_in_nothing_that_is_shown_or_kept() -> None:
    step = plan("FROM base\nADD https://me:canary@h/f ssh://git@h/r /z/").stages[-1].steps[-1]
    assert isinstance(step, CopyStep)
    assert step.sources == ("https://h/f", "ssh://git@h/r")
    assert "canary" not in step.text + repr(step.remotes)
    assert step.created_by == "ADD https://h/f ssh://git@h/r /z/ # buildkit"


def test_names_of_contexts_stand_for_bases_stages_and_images() -> None:
    meant = {"base": Origin(image="other"), "tools": Origin(context="tools"), "mid": Origin(context="mid")}
    text = "FROM base AS a\nFROM base AS mid\nRUN never\nFROM tools\nCOPY --from=mid x /\nRUN --mount=from=tools,target=/t y"
    dockerfile, instructions = read_dockerfile(text)
    options = PlanOptions(contexts=meant.get)
    found = plan_build(
        dockerfile, instructions, options, HOST, lambda name: image_config("base") if name == "other" else image_config(name)
    )
    mid, last = found.stages
    assert [type(step).__name__ for step in mid.steps] == ["FromStep", "CopyStep"]
    begin, files, copy, run = last.steps
    assert isinstance(begin, FromStep)
    assert begin.origin == Origin()
    assert isinstance(files, CopyStep)
    assert (files.origin, files.sources, files.destination) == (Origin(context="tools"), ("/",), "/")
    assert isinstance(copy, CopyStep)
    assert copy.origin == Origin(stage=1)
    assert isinstance(run, RunStep)
    assert run.mounts[0].origin == Origin(context="tools")


def plan_with(text: str, **options: Any) -> RunStep:
    dockerfile, instructions = read_dockerfile(text)
    step = plan_build(dockerfile, instructions, PlanOptions(**options), HOST, image_config).stages[-1].steps[-1]
    assert isinstance(step, RunStep)
    return step


def test_a_right_gives_a_single_step_the_hosts_network_or_all_of_roots_rights() -> None:
    rights = frozenset({HOST_NETWORK, INSECURE})
    assert plan_with("FROM base\nRUN --network=host x", rights=rights).network == "host"
    assert plan_with("FROM base\nRUN --security=insecure x", rights=rights).privileged
    assert not plan_with("FROM base\nRUN --security=sandbox x", rights=rights).privileged
    with pytest.raises(Unsupported, match=r"Dockerfile:2: RUN --security=insecure.*only root"):
        plan_with("FROM base\nRUN --security=insecure x", rights=rights, rootless=True)


def test_added_hosts_are_part_of_each_run() -> None:
    assert plan_with("FROM base\nRUN x", hosts=("db:10.0.0.5",)).hosts == ("db:10.0.0.5",)


def test_faults_are_told_in_the_order_of_their_lines() -> None:
    with pytest.raises(DockerfileError, match=r"3 faults: line 2: .*COPPY.*; line 3: .*--mont.*; line 4: unterminated heredoc"):
        read_dockerfile("FROM base\nCOPPY a b\nRUN --mont=x true\nRUN <<E\nnever\n", "Dockerfile")


def test_all_faults_of_all_stages_are_raised_at_once() -> None:
    with pytest.raises(DockerfileError, match=r"3 faults: line 2: .*line 4: .*; Dockerfile:5: RUN --device"):
        plan("FROM base AS a\nEXPOSE x\nFROM a\nSTOPSIGNAL y\nRUN --device=x a")


def test_triggers_are_kept_as_written_and_leave_no_history() -> None:
    made = plan("FROM base\nONBUILD run  a \\\n  b\nONBUILD COPY <<E /x\n1\nE\nonbuild ENV a=b").stages[-1]
    assert made.config.to_json()["OnBuild"] == ["run  a   b", "COPY <<E /x\n1\nE", "ENV a=b"]
    assert [step.created_by for step in made.steps] == [""] * 4


def test_triggers_of_a_base_image_are_done_first_and_not_kept() -> None:
    made = plan("FROM base AS tools\nFROM base AS other\nFROM triggers\nRUN own")
    assert [stage.stage.title for stage in made.stages] == ["tools", "stage-2"]
    last = made.stages[-1]
    assert [step.created_by for step in last.steps] == [
        "", "ENV t=1", "COPY /a /b # buildkit", "RUN /bin/sh -c $t\n # buildkit", "RUN /bin/sh -c own # buildkit",
    ]  # fmt: skip
    assert "OnBuild" not in last.config.to_json()
    assert [step.place.first_line for step in last.steps] == [3, 3, 3, 3, 4]


def test_triggers_of_a_stage_are_done_in_its_children_only() -> None:
    made = plan("FROM base AS a\nONBUILD ENV q=1\nFROM a AS b\nFROM b\nENV r=$q")
    assert [stage.config.to_json().get("OnBuild") for stage in made.stages] == [["ENV q=1"], None, None]
    assert [step.created_by for stage in made.stages for step in stage.steps] == ["", "", "", "ENV q=1", "", "ENV r=1"]


TRIGGERS = [
    ("ONBUILD RUN x", "ONBUILD is not allowed as an ONBUILD trigger"),
    ("FROM x", "FROM is not allowed as an ONBUILD trigger"),
    ("MAINTAINER x", "MAINTAINER is not allowed as an ONBUILD trigger"),
    ("FOO x", "unknown instruction: FOO"),
    ("RUN a\nRUN b", "is not one instruction"),
]


@pytest.mark.parametrize(("trigger", "message"), TRIGGERS)
def test_a_trigger_that_may_not_be_is_refused_where_it_would_be_done(trigger: str, message: str) -> None:
    kept = ImageConfig("amd64", "linux", ProcessConfig(extra={"OnBuild": [trigger]}), ())
    dockerfile, instructions = read_dockerfile("# a comment\nFROM kept")
    with pytest.raises(DockerfileError, match=message) as caught:
        plan_build(dockerfile, instructions, PlanOptions(), HOST, lambda name: kept)
    assert caught.value.first_line == 2


HEALTHCHECKS = [
    ("HEALTHCHECK NONE", {"Test": ["NONE"]}),
    ("HEALTHCHECK CMD curl -f x || exit 1", {"Test": ["CMD-SHELL", "curl -f x || exit 1"]}),
    ('HEALTHCHECK --retries=2 CMD ["curl", "x"]', {"Test": ["CMD", "curl", "x"], "Retries": 2}),
    (
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --start-interval=1s CMD x",
        {
            "Test": ["CMD-SHELL", "x"],
            "Interval": 90 * 10**9,
            "Timeout": 5 * 10**8,
            "StartPeriod": 2 * 10**9,
            "StartInterval": 10**9,
        },
    ),
]


@pytest.mark.parametrize(("text", "expected"), HEALTHCHECKS)
def test_a_healthcheck_changes_the_config_alone_in_dockers_terms(text: str, expected: dict[str, object]) -> None:
    assert plan(f"FROM base\n{text}").stages[-1].config.to_json()["Healthcheck"] == expected


def test_the_platform_of_the_host_is_accepted() -> None:
    assert plan("FROM --platform=$BUILDPLATFORM base").stages
    assert plan("FROM --platform=linux/x86_64 base").stages


def test_an_unknown_target_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InvalidArgument, match="did you mean build") as caught:
        plan("FROM base AS build", target="biuld")
    assert "target stage 'biuld'" in caught.value.message


def test_an_undefined_variable_is_noticed_with_the_nearest_name() -> None:
    (warning,) = plan("FROM base\nENV VERSION=1\nENV a=$VERSOIN").warnings
    assert str(warning) == "Dockerfile:3: UndefinedVar: Usage of undefined variable '$VERSOIN' (did you mean $VERSION?)"


def test_build_arguments_that_nothing_asks_for_are_noticed() -> None:
    assert plan("FROM base\nARG a\n", {"a": "1", "b": "2", "HTTP_PROXY": "p"}).unused_build_args == ("b",)


def test_a_plan_tells_what_its_steps_may_know_and_whether_they_have_a_network() -> None:
    text = "FROM base\nRUN --mount=type=secret,id=b --mount=type=ssh a\nRUN --mount=type=secret,id=a,required c\n"
    found = plan(text, network="none")
    assert (confidential_ids(found, "secret"), confidential_ids(found, "ssh")) == ({"b": False, "a": True}, {"default": False})
    assert (has_network(found), has_network(plan(text))) == (False, True)


def test_the_source_date_epoch_must_be_a_number() -> None:
    assert plan("FROM base", {"SOURCE_DATE_EPOCH": "17"}).source_date_epoch == 17
    with pytest.raises(InvalidArgument, match="SOURCE_DATE_EPOCH"):
        plan("FROM base", {"SOURCE_DATE_EPOCH": "now"})


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ("FROM base AS src\nADD https://h/x /", "1: the stage of SOURCE_DATE_EPOCH begins with an image"),
        ("FROM scratch AS src\nCOPY x /", "2: the stage of SOURCE_DATE_EPOCH has COPY"),
        ("FROM scratch AS src", "1: the stage of SOURCE_DATE_EPOCH has 0 ADD"),
        ("FROM scratch AS src\nADD https://h/x /\nADD https://h/y /", "1: the stage of SOURCE_DATE_EPOCH has 2 ADD"),
        ("FROM scratch AS src\nADD https://h/x https://h/y /d/", "2: the ADD of SOURCE_DATE_EPOCH takes more or less"),
        ("FROM scratch AS src\nADD x /", "2: the ADD of SOURCE_DATE_EPOCH takes more or less"),
        ("FROM scratch AS src\nADD --checksum=x https://h/x /", "2: invalid checksum"),
    ],
)
def test_a_stage_that_is_not_one_source_has_no_time(stage: str, told: str) -> None:
    with pytest.raises(DockerfileError, match=told):
        plan(f"{stage}\nFROM base", {"SOURCE_DATE_EPOCH": "src"})


MAPPINGS = [("8080:80", ("80/tcp",)), ("127.0.0.1:81:82/udp", ("82/udp",)), ("10-11:20-21", ("20/tcp", "21/tcp"))]


@pytest.mark.parametrize(("words", "ports"), MAPPINGS)
def test_expose_takes_the_containers_port_of_a_mapping_and_warns(words: str, ports: tuple[str, ...]) -> None:
    made = plan(f"FROM base\nEXPOSE {words}")
    assert made.stages[-1].config.exposed_ports == ports
    assert [(warning.rule, warning.place.first_line) for warning in made.warnings] == [("ExposeInvalidFormat", 2)]


MENDS = [
    ("FROM base AS build\nFROM base\nCOPY --from=biuld /a /b", "no such image: biuld", "did you mean build?"),
    ("FROM base\nENV A=${x", "syntax error: missing '}'", "write ${name}, or \\$ for a dollar sign"),
    ("FROM base\nENV A=${x:y}", "unsupported modifier (:y) in substitution", "modifiers are :- - :+ + :? ? # ## % %% / and //"),
    ('FROM base\nENV A="x', "unexpected end of statement", "close the quote, or write a backslash before it"),
    ("FROM base\nEXPOSE abc", "invalid port: abc", "write 80, 80/udp or 8000-8010"),
    ("FROM base\nSTOPSIGNAL NOPE", "invalid signal: NOPE", "write a name such as SIGTERM, or a number"),
    ("FROM base\nCOPY --chmod=999 a /x", "invalid mode: 999", "write an octal mode such as 0755"),
    ("FROM base\nRUN --network=foo x", "unsupported network mode: foo", "modes are default, none and host"),
    ("ARG V\nFROM $V", "should not be blank", "give the ARG a default"),
    ("FROM base\nCOPY a b /x", "the destination must be a directory", "write /x/"),
]


@pytest.mark.parametrize(("text", "message", "mend"), MENDS)
def test_a_fault_names_its_line_and_its_mend(text: str, message: str, mend: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan(text)
    assert message in caught.value.message
    assert caught.value.hint.startswith(mend)
    assert caught.value.first_line == len(text.split("\n"))


def test_another_frontend_may_be_said_by_a_build_argument() -> None:
    text = "# syntax=some/frontend\nFROM base\nLABEL a=b"
    for name in ("dockerfile.v0", "docker/dockerfile:1"):
        assert plan(text, {"BUILDKIT_SYNTAX": name}).unused_build_args == ()
    for arguments in ({}, {"BUILDKIT_SYNTAX": "an/other"}):
        with pytest.raises(Unsupported, match=r"the frontend (some/frontend|an/other) is not supported"):
            plan(text, arguments)


def test_caches_have_a_namespace_by_a_build_argument() -> None:
    text = "FROM base\nRUN --mount=type=cache,target=/c --mount=type=cache,id=i,target=/d --mount=type=secret,id=s x"
    step = last_run(text, {"BUILDKIT_CACHE_MOUNT_NS": "mine"})
    assert [mount.id for mount in step.mounts] == ["mine//c", "mine/i", "s"]
    assert [mount.id for mount in last_run(text).mounts] == ["/c", "i", "s"]
