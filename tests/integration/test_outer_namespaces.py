"""An engine that is not root of the machine though its user id is 0, as in rootless Docker and Podman or without CAP_SYS_ADMIN."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, sys
from labcontainers import Engine
assert os.geteuid() == 0
with Engine(root=sys.argv[1] + "/s", run_root=sys.argv[1] + "/r") as engine:
    build = "FROM lab/base\\nRUN rm -r /var/log && mkdir /var/log && echo made > /var/log/x\\nCOPY f /f\\n"
    engine.images.build(sys.argv[1] + "/c", dockerfile_text=build, tags=["made"])
    result = engine.containers.run("made", ["sh", "-c", "id -u; cat /var/log/x /f; echo x > /dev/null; ip addr show eth0"], remove=True)
    assert result.exit_code == 0 and result.stdout.startswith("0\\nmade\\nfile"), result
    assert "inet 172." in result.stdout, result
    container = engine.containers.run("lab/base", ["sleep", "100"], detach=True, network="none")
    assert container.exec(["echo", "in"]).stdout == "in\\n"
    container.remove(force=True)
    print(engine.info()["IDs"])
    if engine.info()["IDs"] == "subordinate":
        assert engine.containers.run("lab/base", ["id", "-u"], user="nobody", network="none", remove=True).stdout == "65534\\n"
"""
CASES = [
    pytest.param(["unshare", "--user", "--map-root-user"], "single", id="one id"),
    pytest.param(["unshare", "--user", "--map-root-user", "--map-auto"], "subordinate", id="many ids", marks=pytest.mark.needs("subids")),
    pytest.param(
        ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
        "subordinate",
        id="no CAP_SYS_ADMIN",
        marks=pytest.mark.needs("root"),
    ),
]


@pytest.mark.parametrize(("around", "ids"), CASES)
def test_containers_run_and_are_built_inside_a_user_namespace_of_their_own(place: Path, around: list[str], ids: str) -> None:
    (place / "c").mkdir()
    (place / "c" / "f").write_text("file")
    done = subprocess.run([*around, sys.executable, "-c", PROGRAM, str(place)], capture_output=True, text=True, timeout=120, cwd=HOUSE)
    if "unshare failed" in done.stderr:
        pytest.skip(f"no user namespace here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout.strip()) == (0, ids), done.stderr
