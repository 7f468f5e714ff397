"""The first lesson's steps, and what is told of the level, inside containers that another engine makes: podman, as on a hub.

The outer containers are those of an ordinary user without capabilities, behind podman's masked paths and a filter: podman's own, which
allows namespaces, Docker's default, which does not, or none. What Docker's default profile says is written out as JSON for a container
without capabilities, so that no Docker is needed.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.kernel import levels, seccomp
from labcontainers.kernel.seccomp_profile import Action, Rule

pytestmark = pytest.mark.needs("podman", "crun", "root")
HOUSE = Path(__file__).resolve().parents[2]
SINGLE = (levels.SINGLE, levels.MASKED_PROC, levels.UNLIMITED)
PROGRAM = r"""
import json, os, sys, time
sys.path[:0] = ["/house", *json.loads(os.environ["SITE"])]
os.environ.update(HOME="/work", LABCONTAINERS_PULL="never")
from labcontainers import Engine
from labcontainers.errors import LabError
CLOCK = r'''FROM lab/base
ENV GREETING="The clock starts"
WORKDIR /srv
RUN printf '%s\n' '#!/bin/sh' 'trap "echo goodbye; exit 0" TERM' 'echo "$GREETING"' \
    'n=0' 'while true; do n=$((n + 1)); echo "tick $n"; sleep 0.1; done' > clock.sh
RUN chmod +x clock.sh && test "$(id -u)" = 0
CMD ["/srv/clock.sh"]
'''
told = {}
with Engine(root="/work/s", run_root="/work/r") as engine:
    report = engine.doctor()
    told["doctor"], told["holds"], told["level"] = report.level, report.holds, engine.info()["Level"]
    told["names"] = report["host name"].ok
    told["reasons"] = [check.reason for check in report if check.ok is False]
    try:
        engine.images.build(dockerfile_text=CLOCK, tags=["lesson/clock"], network="none")
        ran = engine.containers.run("lesson/clock", ["sh", "-c", "echo $GREETING; hostname"], network="none", hostname="inner", remove=True)
        told["ran"], told["warnings"] = ran.stdout.splitlines(), ran.warnings
        clock = engine.containers.run("lesson/clock", name="clock", network="none", detach=True)
        ends = time.monotonic() + 60
        while "tick 3" not in clock.logs().text and time.monotonic() < ends:
            time.sleep(0.05)
        text, sample = clock.logs().text, clock.stats()
        told["running"] = [clock.status, "tick 3" in text, sample.memory_bytes > 0]
        look = "id -u; ls /srv; cat /canary 2>/dev/null; kill -9 1; test -e /proc/self/status && echo proc"
        told["exec"] = clock.exec(["sh", "-c", look]).stdout.split()
        security = clock.security()
        told["card"], told["security"] = clock.level, ", ".join((security.level, *security.lacks))
        clock.stop()
        told["end"] = [clock.status, clock.logs(tail=1).text]
        clock.remove()
        engine.images.remove("lesson/clock")
        told["left"] = [container.name for container in engine.containers.list(all=True)]
    except LabError as error:
        told["error"] = [type(error).__name__, error.message, error.hint or ""]
print(json.dumps(told))
"""


def action_of(action: Action) -> dict[str, Any]:
    return {"action": f"SCMP_ACT_{action.name}", **({"errnoRet": action.errno} if action.name == "ERRNO" else {})}


def dockers_filter(path: Path) -> Path:
    """Docker's default profile for a container without capabilities, in the form that the runtimes of others take."""
    profile = seccomp.default_profile()

    def tests_of(rule: Rule) -> list[dict[str, Any]]:
        return [
            {"index": one.index, "value": one.value, "valueTwo": one.value_two, "op": f"SCMP_CMP_{one.operator}"} for one in rule.arguments
        ]

    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    rules = [rule for rule in profile.rules if rule.applies(frozenset(), os.uname().machine, (release[0], release[1]))]
    calls = [{"names": list(rule.names), "args": tests_of(rule), **action_of(rule.action)} for rule in rules]
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": calls}))
    return path


Outer = Callable[..., dict[str, Any]]


@pytest.fixture
def outer(engine: Engine, place: Path) -> Iterator[Outer]:
    """Runs the lesson in a container of podman's with these options; what it tells."""
    root = place / "root"
    root.mkdir()
    container = engine.containers.create("lab/python", ["true"], network="none")
    with open(place / "root.tar", "wb") as file:
        file.writelines(container.export())
    subprocess.run(["tar", "-C", root, "-xf", place / "root.tar"], check=True)
    (root / "canary").write_text("canary")
    (root / "canary").chmod(0o644)
    libraries = [path for path in dict.fromkeys((*site.getsitepackages(), *sys.path)) if path.endswith("site-packages")]
    mounted = [path for path in libraries if os.path.isdir(path)]
    (place / "lesson.py").write_text(PROGRAM)
    for folder in (place, root):
        folder.chmod(0o755)
    volumes = [f"{HOUSE}:/house:ro", f"{place}/lesson.py:/lesson.py:ro", *(f"{path}:/site-{at}:ro" for at, path in enumerate(mounted))]
    places = [f"--root={place}/p", f"--runroot={place}/q", f"--tmpdir={place}/t"]
    # crun of Debian 12 refuses version 2's hierarchy beside those of version 1
    podman = ["unshare", "-m", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh", "podman", *places]
    ways = ["--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=crun"]
    fixed = ["--rm", "--network=none", "--cgroups=disabled", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--log-driver=none"]
    fixed += ["--tmpfs=/work:mode=1777,exec", "--env=SITE=" + json.dumps([f"/site-{at}" for at in range(len(mounted))])]

    def run(*options: str) -> dict[str, Any]:
        whole = [*podman, *ways, "run", *fixed, *(f"--volume={volume}" for volume in volumes), *options, "--rootfs", str(root)]
        done = subprocess.run([*whole, "python3", "/lesson.py"], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    yield run
    container.remove()


def does_the_lesson(found: dict[str, Any], *, held_by: tuple[str, ...]) -> None:
    assert "error" not in found, found["error"]
    assert found["level"] == found["holds"] == found["card"] == found["security"] == ", ".join(held_by)
    assert found["ran"][0] == "The clock starts"
    assert found["running"] == ["running", True, True]
    assert found["exec"] == ["0", "clock.sh", "proc"]
    assert found["end"] == ["exited", "goodbye\n"]
    assert found["left"] == []


ORDINARY = ("--user=1000:1000", "--cap-drop=all")


def test_behind_masked_paths_and_no_filter_the_lesson_works_with_a_single_id(outer: Outer) -> None:
    found = outer(*ORDINARY, "--security-opt=seccomp=unconfined")
    does_the_lesson(found, held_by=SINGLE)
    assert (found["doctor"], found["names"], found["ran"][1], found["warnings"]) == ("masked-proc", True, "inner", [])


def test_behind_podmans_own_filter_it_works_but_for_the_host_name(outer: Outer) -> None:
    found = outer(*ORDINARY)
    does_the_lesson(found, held_by=SINGLE)
    assert not found["names"]
    assert any("sethostname" in reason for reason in found["reasons"])
    assert found["ran"][1] != "inner"
    assert any(warning.startswith("--hostname inner has no effect") for warning in found["warnings"])


def test_behind_dockers_filter_nothing_runs_and_the_reason_is_told(outer: Outer, place: Path) -> None:
    found = outer(*ORDINARY, f"--security-opt=seccomp={dockers_filter(place / 'docker.json')}")
    assert found["error"][0] == "Unsupported"
    assert "doctor" in found["error"][2]
    assert (found["doctor"], found["holds"], found["level"]) == ("none", levels.NO_NAMESPACES, levels.NO_NAMESPACES)
    assert any("the seccomp filter of an outer container forbids it" in reason for reason in found["reasons"])


def test_where_nothing_is_masked_proc_is_its_own(outer: Outer) -> None:
    found = outer(*ORDINARY, "--security-opt=seccomp=unconfined", "--security-opt=unmask=ALL")
    does_the_lesson(found, held_by=(levels.SINGLE, levels.UNLIMITED))
    assert found["doctor"] == "single-id"


def test_root_without_rights_on_networks_makes_a_user_namespace(outer: Outer) -> None:
    """Who may mount, but not configure a network, could give no container a loopback as root of the machine."""
    found = outer("--user=0:0", "--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined")
    does_the_lesson(found, held_by=(levels.SUBORDINATE, levels.MASKED_PROC, levels.UNLIMITED))
