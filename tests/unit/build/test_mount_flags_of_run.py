"""RUN --mount as it is written, and what it asks for; --secret and --ssh of a build."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from labcontainers.build.agents import open_agents
from labcontainers.build.dockerfile.instructions import read_dockerfile
from labcontainers.build.plan import BuildPlan, PlanOptions, RunMount, RunStep
from labcontainers.build.planner import plan_build
from labcontainers.build.secrets import Confidential, read_secrets
from labcontainers.errors import DockerfileError, LabError, NotFound
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.image_config import ImageConfig, ProcessConfig

BASE = ImageConfig("amd64", "linux", ProcessConfig(env=("PATH=/bin", "NAME=n"), working_dir="/w"), ("sha256:" + "0" * 64,))


def image_config(name: str) -> ImageConfig:
    if name != "base":
        raise NotFound(f"no such image: {name}", "build it")
    return BASE


def plan(text: str) -> BuildPlan:
    dockerfile, instructions = read_dockerfile(text)
    return plan_build(dockerfile, instructions, PlanOptions(), Platform("linux", "amd64"), image_config)


def mounts(*flags: str) -> tuple[RunMount, ...]:
    text = "FROM base AS one\nFROM base\nRUN " + " ".join(f"--mount={flag}" for flag in flags) + " x"
    step = plan(text).stages[-1].steps[-1]
    assert isinstance(step, RunStep)
    return step.mounts


READ = [
    ("target=/x", {"type": "bind", "target": "/x", "source": "", "read_only": True}),
    ("type=bind,src=a,dst=x,rw", {"target": "/w/x", "source": "a", "read_only": False}),
    ("type=bind,source=$NAME/b,destination=/$NAME,readwrite=true", {"target": "/n", "source": "n/b", "read_only": False}),
    ("TYPE=bind,Target=/x,ro=false", {"read_only": False}),
    ("type=cache,target=/x/", {"id": "/x", "read_only": False, "sharing": "shared", "mode": None, "uid": 0}),
    ("type=cache,id=../../i,target=/x,sharing=locked,ro,mode=0700,uid=5,gid=6", {"id": "../../i", "sharing": "locked", "read_only": True,
     "mode": 0o700, "uid": 5, "gid": 6}),
    ("type=tmpfs,target=/x,size=2m", {"size_bytes": 2 << 20, "read_only": False}),
    ("type=secret,id=a", {"id": "a", "target": "/run/secrets/a", "env": "", "required": False}),
    ("type=secret,id=a,env=A", {"target": "", "env": "A"}),
    ("type=secret,id=a,env=A,target=f,required", {"target": "/w/f", "env": "A", "required": True}),
    ("type=secret,target=/etc/key", {"id": "key", "target": "/etc/key"}),
    ("type=ssh", {"id": "default", "target": "/run/buildkit/ssh_agent.0", "required": False}),
]  # fmt: skip


@pytest.mark.parametrize(("flag", "expected"), READ)
def test_a_mount_is_read_as_buildkit_reads_it(flag: str, expected: dict[str, object]) -> None:
    (mount,) = mounts(flag)
    assert {name: getattr(mount, name) for name in expected} == expected


def test_mounts_come_in_the_order_of_their_targets_and_agents_are_numbered() -> None:
    found = mounts("type=ssh", "type=tmpfs,target=/a/b", "type=ssh,id=two", "target=/a")
    assert [mount.target for mount in found] == ["/a", "/a/b", "/run/buildkit/ssh_agent.0", "/run/buildkit/ssh_agent.1"]


def test_a_stage_that_only_a_mount_needs_is_built() -> None:
    text = "FROM base AS one\nFROM base AS not-needed\nFROM base\nRUN --mount=from=one,target=/x y"
    assert [stage.stage.title for stage in plan(text).stages] == ["one", "stage-2"]


WRONG = [
    ("type=bnd,target=/x", "unsupported mount type 'bnd'"), ("target=/x,nonsense=1", "unexpected key 'nonsense'"),
    ("target", "invalid field 'target' must be a key=value pair"), ("type=bind", "a bind mount needs a target"),
    ("target=/", "invalid mount target '/'"), ("target=../..", "invalid mount target '../..'"),
    ("target=/x,mode=0700", "unexpected key 'mode' for mount type 'bind'"), ("type=cache,target=/x,mode=9", "invalid value 9 for mode"),
    ("type=cache,target=/x,uid=-1", "invalid value -1 for uid"), ("type=cache,target=/x,sharing=all", "unsupported sharing value 'all'"),
    ("type=tmpfs,target=/x,size=big", "invalid value for size"), ("type=secret", "one of source, target required"),
    ("type=secret,id=a,source=b", "both source and id can't be set"), ("from=$NAME,target=/x", "doesn't support variable expansion"),
    ("from=7,target=/x", "there is no stage number 7"), ("from=nowhere,target=/x", "no such image: nowhere"),
    ("type=cache,target=/x,source=y", "source of a cache mount needs from"), ("target=/x,ro=maybe", "invalid value for readonly"),
    ("target=/x,bind-propagation=shared", "unexpected key 'bind-propagation'"),
]  # fmt: skip


@pytest.mark.parametrize(("flag", "message"), WRONG)
def test_a_mount_that_makes_no_sense_is_refused_at_its_line(flag: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        mounts(flag)
    assert str(caught.value).startswith("Dockerfile:3: ")
    assert message in str(caught.value)


def test_two_mounts_with_one_target_are_refused() -> None:
    with pytest.raises(DockerfileError, match="two mounts of this step have the target /x"):
        mounts("target=/x", "type=tmpfs,target=/x/")


class TestSecrets:
    def test_they_come_from_files_and_from_variables(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"f\n")
        texts = ["id=a,src=file", "id=b,env=B", "id=B", "type=env,id=c,src=B", "id=file", "type=file,id=d,source=file"]
        expected = {"a": b"f\n", "b": b"v", "B": b"v", "c": b"v", "file": b"f\n", "d": b"f\n"}
        assert read_secrets(texts, tmp_path, {"B": "v"}) == expected

    WRONG = (
        ("src=x", "no id"), ("id=a,src=missing", "no such file"), ("id=a,env=MISSING", "no environment variable MISSING"),
        ("type=vault,id=a", "unsupported secret type 'vault'"), ("hunter2", "unexpected key"), ("id=a,src=.", "is a directory"),
        ("id=a,src=large", "larger than 500 kB"), ("id=a,src=pipe", "is not a file"),
    )  # fmt: skip

    @pytest.mark.parametrize(("text", "message"), WRONG)
    def test_what_cannot_be_read_is_told(self, tmp_path: Path, text: str, message: str) -> None:
        import os

        (tmp_path / "large").write_bytes(bytes(500 * 1024 + 1))
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(LabError) as caught:
            read_secrets([text], tmp_path, {})
        assert message in str(caught.value)

    def test_nothing_prints_them(self) -> None:
        assert "canary" not in repr(Confidential({"a": b"canary"}, {}))


def test_agents_are_found_by_their_sockets(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        with open_agents(["default", "two=s"], tmp_path, {"SSH_AUTH_SOCK": "s"}) as found:
            assert found == {"default": tmp_path / "s", "two": tmp_path / "s"}
    for text, message in (
        ("default", "SSH_AUTH_SOCK is not set"),
        ("a=gone", "no such file"),
        ("=s", "no id"),
        ("a=.", "neither a socket"),
    ):
        with pytest.raises(LabError, match=message), open_agents([text], tmp_path, {}):
            pass
