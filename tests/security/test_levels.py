"""What holds containers where the machine gives less: each level is made for real, by an outer container of this engine's own.

The outer container is what dockerd makes for `docker run --user 1000 --cap-drop ALL`: no capability, the paths of /proc and /sys masked
that Docker masks (`kernel.defaults` has all of them), no control groups that could be written, one id. With the default filter of system
calls no user namespace can be made, as under Docker's default profile, whose rules on unshare(2), clone(2), setns(2) and mount(2) are the
same (tests/unit/kernel/test_seccomp_default.py); `seccomp=unconfined` is what Kubernetes has unless it is told otherwise.
"""

from __future__ import annotations

import json
import os
import site
import sys
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.kernel import levels

HOUSE = Path(__file__).resolve().parents[2]
UNFILTERED = ["seccomp=unconfined"]
# What runs in the outer container: an engine on a store in memory, which says as JSON what it found.
PROGRAM = """
import json, os, sys
sys.path[:0] = ["/house", *SITE]
os.environ.update(HOME="/work", LABCONTAINERS_PULL="never")
from labcontainers import Engine
from labcontainers.errors import LabError
told = {}
with Engine(root="/work/s", run_root="/work/r") as engine:
    try:
        INNER
    except LabError as error:
        told["error"] = [type(error).__name__, error.message, error.hint or ""]
    told["info"] = engine.info()["Level"]
    told["doctor"], told["holds"] = engine.doctor().level, engine.doctor().holds
    told["report"] = str(engine.doctor())
print(json.dumps(told))
"""
INSIDE = """
        told["level"] = engine.info()["Level"]
        told["ran"] = engine.containers.run("lab/base", ["sh", "-c", "id -u; ls /mark-of-the-outer; hostname"], network="none",
                                            hostname="inner", remove=True).stdout
        container = engine.containers.run("lab/base", ["sleep", "100"], network="none", detach=True)
        report = container.security()
        told["report level"], told["lacks"], told["text"] = report.level, report.lacks, repr(report)
        told["card"] = container.level
        # a process outside whose number nobody inside has
        while (victim := os.posix_spawn("/bin/sleep", ["sleep", "100"], {})) < 300:
            os.kill(victim, 9)
            os.waitpid(victim, 0)
        look = "cat /proc/sys/kernel/core_pattern >/dev/null; (echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo WROTE; "
        look += "(echo 900 > /proc/OUTER/oom_score_adj) 2>/dev/null && echo WROTE; "
        look += "for p in /proc/[0-9]*; do cat $p/environ $p/root/etc/passwd 2>/dev/null | tr -d '\\\\0' | grep -c canary; done; "
        look += "kill -9 OUTER 2>/dev/null && echo KILLED; cat /proc/kcore /proc/keys | wc -c; grep -c . /proc/self/status"
        told["seen"] = container.exec(["sh", "-c", look.replace("OUTER", str(victim))]).stdout.split()
        told["victim lives"] = os.waitpid(victim, os.WNOHANG) == (0, 0)
        os.kill(victim, 9)
        os.waitpid(victim, 0)
        told["exec"] = container.exec(["sh", "-c", "grep ^NSpid /proc/self/status"]).stdout.split()
        container.kill()
        limited = engine.containers.run("lab/python", ["python3", "-c", "x = bytearray(300 << 20); import time; time.sleep(60)"],
                                        network="none", detach=True, mem_limit="96m") if WATCHED else None
        if limited:
            limited.wait(60)
            told["watched"] = [limited.state.oom_killed, limited.state.error, *limited.warnings]
"""


def shown(engine: Engine, words: list[str]) -> Any:
    return execute(lambda: engine, understand(words))


def outer(engine: Engine, place: Path, inner: str, *, watched: bool = False, **options: Any) -> dict[str, Any]:
    """Run an engine inside a container that is as bare as those of a hub; what it says."""
    libraries = [*site.getsitepackages(), *(path for path in sys.path if path.endswith("site-packages"))]
    mounted = [path for path in dict.fromkeys(libraries) if os.path.isdir(path)]
    volumes = [f"{HOUSE}:/house:ro", *(f"{path}:/site-{number}:ro" for number, path in enumerate(mounted))]
    program = PROGRAM.replace("SITE", repr([f"/site-{number}" for number in range(len(mounted))])).replace("INNER", inner.strip())
    # With a single id it cannot be another user than 0, whose id only who has SETFCAP may map (verify_root_map of the kernel).
    who: dict[str, Any] = {"cap_add": ["SETFCAP"]} if engine.info()["IDs"] == "single" else {"user": "1000:1000"}
    result = engine.containers.run(
        "lab/python",
        ["python3", "-c", program.replace("WATCHED", repr(watched))],
        **{
            "network": "none", "remove": True, "cap_drop": ["ALL"], "volumes": volumes, "tmpfs": ["/work:mode=1777,exec"],
            "environment": ["CANARY=canary"], **who, **options,
        },
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_in_an_outer_container_with_masked_proc_it_runs_and_says_what_it_lacks(engine: Engine, place: Path) -> None:
    """As in a pod of a hub: one id, no control groups, and the outer container's /proc."""
    found = outer(engine, place, INSIDE, security_opt=UNFILTERED, watched=True)
    assert "error" not in found, found
    assert found["level"] == found["card"] == f"{levels.SINGLE}, {levels.MASKED_PROC}, {levels.UNLIMITED}"
    assert (found["report level"], found["lacks"]) == (levels.SINGLE, [levels.MASKED_PROC, levels.UNLIMITED])
    assert (found["doctor"], found["holds"]) == ("masked-proc", found["level"])
    assert found["ran"].split() == ["0", "inner"]
    assert "WROTE" not in found["seen"]
    assert "KILLED" not in found["seen"]
    assert found["victim lives"]
    # nobody's variables or files but those of its own namespaces can be read: no canary in any process' environment
    assert set(found["seen"][:-2]) <= {"0"}
    assert found["seen"][-2] == "0"
    killed, why, *warnings = found["watched"]
    assert killed
    assert "memory watchdog" in why
    assert any("a watchdog looks" in warning for warning in warnings)


def test_under_dockers_default_filter_nothing_runs_and_the_fix_is_told(engine: Engine, place: Path) -> None:
    found = outer(engine, place, 'engine.containers.run("lab/base", ["true"], network="none", remove=True)')
    kind, message, hint = found["error"]
    assert kind == "Unsupported"
    assert "user namespace" in message
    assert "doctor" in hint
    assert (found["doctor"], found["info"], found["holds"]) == ("none", levels.NO_NAMESPACES, levels.NO_NAMESPACES)
    assert "fix: start the outer container" in found["report"] or "fix: " in found["report"]
    assert "seccomp filter of an outer container" in found["report"]


def test_without_openat2_nothing_starts(engine: Engine, place: Path) -> None:
    """Paths of an image are opened below its root by openat2(2) or not at all: no walk by names stands in for it."""
    profile = place / "no-openat2.json"
    calls = [{"names": ["openat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls}))
    inner = 'engine.containers.run("lab/base", ["true"], network="none", remove=True)'
    found = outer(engine, place, inner, security_opt=[f"seccomp={profile}"])
    assert found["error"][0] == "StartFailed"
    assert found["doctor"] == "no-openat2"


@pytest.mark.parametrize("ids", ["own", "single"])
def test_the_level_of_this_machine_is_told_alike_everywhere(engine: Engine, ids: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if ids == "single":
        monkeypatch.setenv("LABCONTAINERS_IDS", "single")
    told = engine.info()["Level"]
    assert set(told.split(", ")) <= set(levels.LEVELS)
    container = engine.containers.run("lab/base", ["sleep", "100"], network="none", detach=True)
    report = container.security()
    assert ", ".join((report.level, *report.lacks)) == container.level == told
    assert (levels.ROOT in told) == (os.geteuid() == 0)
    if ids == "own":
        assert engine.doctor().holds == told
    rows = [("NAMES", "LEVEL"), (container.name, told)]
    listed = str(shown(engine, ["ps", "--format", "table {{.Names}}\t{{.Level}}"])).splitlines()
    assert [tuple(part.strip() for part in line.split("   ", 1)) for line in listed] == rows
    assert "LEVEL" not in repr(shown(engine, ["ps"])).splitlines()[0]
    assert list(shown(engine, ["ps"]).to_pandas()["level"]) == [told]
    assert "Level" not in json.loads(str(shown(engine, ["ps", "--format", "json"])))
    container.kill()
