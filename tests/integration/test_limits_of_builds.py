"""What each RUN of a build may use and do: limits, names of hosts, and the rights that `--allow` gives to single steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.commands.table import execute, understand
from labcontainers.errors import DockerfileError, InvalidArgument, LabError, StepFailed, Unsupported
from tests.conftest import ABILITIES

pytestmark = pytest.mark.alike("ordinary users")


def build(engine: Engine, folder: Path, text: str, **options: Any) -> Build:
    return engine.images.build(folder, dockerfile_text=f"FROM lab/base\n{text}", **{"network": "none", **options})


def output(engine: Engine, folder: Path, text: str, **options: Any) -> str:
    return build(engine, folder, text, **options).steps[-1].output


def test_a_step_has_the_size_of_shm_and_the_limits_of_processes_that_are_said(engine: Engine, tmp_path: Path) -> None:
    text = "RUN df -k /dev/shm | tail -n 1 | awk '{print $2}'; ulimit -n; ulimit -Hn"
    assert output(engine, tmp_path, text, shm_size="8m", ulimits=["nofile=55:66"]).split() == ["8192", "55", "66"]


def test_limits_are_no_part_of_the_cache_key_but_added_hosts_are(engine: Engine, tmp_path: Path) -> None:
    text = "RUN grep 10.9.8.7 /etc/hosts || echo none"
    assert output(engine, tmp_path, text) == "none\n"
    assert build(engine, tmp_path, text, shm_size="8m", ulimits=["nofile=55"]).steps[-1].cached
    again = build(engine, tmp_path, text, extra_hosts={"db": "10.9.8.7"})
    assert (again.steps[-1].cached, again.steps[-1].output) == (False, "10.9.8.7\tdb\n")
    assert "the added hosts" in again.steps[-1].reason
    assert "db" not in str(again.image.history)


@pytest.mark.needs("cgroups")
def test_a_step_that_takes_more_memory_than_it_may_is_killed_and_told_so(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="raise --memory") as caught:
        build(engine, tmp_path, "RUN head -c 200m /dev/zero | tail", mem_limit="16m", memswap_limit="16m")
    assert caught.value.returncode in (137, 1)


def test_what_cannot_be_limited_is_told_in_the_first_step_only(engine: Engine, tmp_path: Path) -> None:
    made = build(engine, tmp_path, "RUN true\nRUN echo done", mem_limit="64m")
    assert ("memory" in made.steps[1].output) is not ABILITIES["cgroups"][0]()
    assert made.steps[2].output == "done\n"


def test_docker_pys_forms_of_the_limits_mean_the_same(engine: Engine, tmp_path: Path) -> None:
    text = "RUN df -k /dev/shm | tail -n 1 | awk '{print $2}'"
    options = {"container_limits": {"memory": 64 << 20, "memswap": -1, "cpushares": 512}, "shmsize": 4 << 20}
    assert output(engine, tmp_path, text, **options, rm=True, forcerm=True, gzip=False).split()[-1] == "4096"
    with pytest.raises(InvalidArgument, match="container_limits: invalid: 'cpus'"):
        build(engine, tmp_path, text, container_limits={"cpus": 1})
    for refused in ({"isolation": "hyperv"}, {"cgroup_parent": "/x"}):
        with pytest.raises(Unsupported, match=r"^--(isolation|cgroup-parent): "):
            build(engine, tmp_path, text, **refused)


def test_the_flags_come_through_a_command_line(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM lab/base\nRUN df -k /dev/shm | tail -n 1 | awk '{print $2}'; grep 10.0.0.5 /etc/hosts; ulimit -n\n"
    )
    words = "build --network none --rm=false --force-rm --compress --shm-size 8m --ulimit nofile=99 --add-host db=10.0.0.5".split()
    made = execute(lambda: engine, understand([*words, str(tmp_path)]), folder=tmp_path, on_output=lambda stream, data: None)
    assert made.steps[-1].output.split() == ["8192", "10.0.0.5", "db", "99"]
    for flag in ("--security-opt=x", "--isolation=x", "--cgroup-parent=/x"):
        with pytest.raises(Unsupported, match=flag.partition("=")[0]):
            understand(["build", flag, str(tmp_path)])


class TestRights:
    def test_a_single_step_gets_the_hosts_network_where_it_is_allowed(self, engine: Engine, tmp_path: Path) -> None:
        text = "RUN --network=host ls /sys/class/net\nRUN ls /sys/class/net"
        with pytest.raises(DockerfileError, match=r"RUN --network=host is not allowed .*--allow network.host"):
            build(engine, tmp_path, text)
        made = build(engine, tmp_path, text.replace("ls /sys/class/net", "readlink /proc/self/ns/net"), allow="network.host")
        own = str(Path("/proc/self/ns/net").readlink())
        assert [step.output.strip() == own for step in made.steps[1:]] == [True, False]

    @pytest.mark.needs("root")
    def test_an_insecure_step_has_all_rights_that_root_has_and_the_next_step_has_not(self, engine: Engine, tmp_path: Path) -> None:
        text = "RUN --security=insecure grep -E 'CapEff|Seccomp:' /proc/self/status\nRUN grep -E 'CapEff|Seccomp:' /proc/self/status"
        made = build(engine, tmp_path, text, allow="security.insecure")
        own = Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0]
        insecure, sandboxed = (step.output.split() for step in made.steps[1:])
        assert insecure == ["CapEff:", own, "Seccomp:", "0"]
        assert sandboxed[1] != own
        assert sandboxed[3] == "2"

    def test_an_insecure_step_is_refused_before_anything_is_run(self, engine: Engine, tmp_path: Path) -> None:
        text = "RUN echo before\nRUN --security=insecure true"
        with pytest.raises(DockerfileError, match=r"line 3|:3: RUN --security=insecure is not allowed"):
            build(engine, tmp_path, text)
        if not ABILITIES["root"][0]():
            with pytest.raises(LabError, match=r"RUN --security=insecure.*only root"):
                build(engine, tmp_path, text, allow="security.insecure")
