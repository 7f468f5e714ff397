"""The probe on this very machine, as root and as two kinds of ordinary user, each in a process of its own."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers.kernel import seccomp
from labcontainers.kernel.probe import probe

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, json, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from labcontainers.kernel.probe import probe
started = time.perf_counter()
report = probe(Path(sys.argv[2]))
checks = {one.name: [one.ok, one.detail, one.reason, one.fix] for one in report}
print(json.dumps({"level": report.level, "checks": checks, "seconds": time.perf_counter() - started}))
"""
NO_NAME = 54321
needs_root = pytest.mark.needs("root")


def user_with_subordinate_ids() -> pwd.struct_passwd | None:
    for line in Path("/etc/subuid").read_text().splitlines() if Path("/etc/subuid").exists() else []:
        try:
            return pwd.getpwnam(line.split(":")[0])
        except KeyError:
            continue
    return None


def interpreter() -> str:
    """An interpreter that every user may run, "" for none: the one of these tests may lie in a closed home directory."""
    path = Path(os.path.realpath(sys.executable))
    if all(one.stat().st_mode & 0o001 for one in (path, *path.parents)):
        return str(path)
    return shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""


@pytest.fixture
def store() -> Iterator[Path]:
    # where every user gets: the temporary directory may be closed
    open_to_all = next(place for place in (tempfile.gettempdir(), "/var/tmp") if os.stat(place).st_mode & 0o001)
    path = Path(tempfile.mkdtemp(prefix="doctor-store-", dir=open_to_all))
    path.chmod(0o777)
    yield path
    assert list(path.iterdir()) == []
    path.rmdir()


def probe_as(store: Path, *credentials: str) -> dict[str, Any]:
    if not interpreter() or not os.stat(ROOT).st_mode & 0o001:
        pytest.skip("no interpreter that another user may run")
    arguments = ["setpriv", *credentials, interpreter(), "-I", "-c", PROGRAM, str(ROOT), str(store)]
    child = subprocess.run(arguments, capture_output=True, text=True, timeout=60, cwd="/")
    if child.returncode and ("No module named 'labcontainers'" in child.stderr or f"Permission denied: '{ROOT}" in child.stderr):
        pytest.skip("the source tree may not be read by another user")
    assert child.returncode == 0, child.stderr
    found: dict[str, Any] = json.loads(child.stdout)
    return found


def test_the_probe_answers_within_a_second_and_leaves_nothing(store: Path) -> None:
    cgroups, mounts = Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    fastest = 9.0
    for _ in range(3):
        started = time.perf_counter()
        report = probe(store)
        fastest = min(fastest, time.perf_counter() - started)
    assert fastest < 1
    assert {check.ok for check in report} <= {True, False, None}
    assert all(check.reason and check.fix for check in report if check.ok is False)
    assert Path("/proc/self/cgroup").read_text() == cgroups
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert not list(Path("/sys/fs/cgroup").glob("**/labcontainers-doctor-*"))


def test_the_probe_takes_a_store_that_does_not_exist_yet(store: Path) -> None:
    assert probe(store / "not" / "yet").level


@needs_root
def test_root_with_all_rights_reaches_the_level_root(store: Path) -> None:
    report = probe(store)
    if not report["tmpfs"].ok:
        pytest.skip(f"root may not mount here: {report['tmpfs'].reason}")
    assert report.level in ("root", "masked-proc")
    assert report["seccomp filter"].ok
    assert report["overlay"].ok


@needs_root
def test_a_user_with_subordinate_ids_is_rootless(store: Path) -> None:
    user = user_with_subordinate_ids()
    if user is None or shutil.which("newuidmap") is None:
        pytest.skip("no user of this machine has subordinate ids, or newuidmap is missing")
    found = probe_as(store, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups")
    if not found["checks"]["user namespace"][0]:
        pytest.skip(found["checks"]["user namespace"][2])
    assert found["level"] == "rootless"
    assert found["checks"]["overlay"][1] == "userxattr"
    assert found["checks"]["subordinate ids"][1].startswith("0 is this user, 1 to ")
    assert found["seconds"] < 2


@needs_root
def test_a_user_without_name_has_a_single_id_and_learns_how_to_get_more(store: Path) -> None:
    found = probe_as(store, f"--reuid={NO_NAME}", f"--regid={NO_NAME}", "--clear-groups")
    if not found["checks"]["user namespace"][0]:
        pytest.skip(found["checks"]["user namespace"][2])
    assert found["level"] == "single-id"
    ok, _, reason, fix = found["checks"]["subordinate ids"]
    assert not ok
    assert "/etc/passwd" in reason
    assert fix.startswith(f"sudo useradd --no-create-home --uid {NO_NAME} lab{NO_NAME} && echo lab{NO_NAME}:")


@needs_root
def test_that_way_to_more_ids_works(store: Path, tmp_path: Path) -> None:
    if shutil.which("newuidmap") is None or shutil.which("useradd") is None:
        pytest.skip("newuidmap or useradd is missing")
    alone = f"--reuid={NO_NAME} --regid={NO_NAME} --clear-groups"
    fix = probe_as(store, *alone.split())["checks"]["subordinate ids"][3].replace("sudo ", "")
    # on a copy of /etc that only these commands see
    shutil.copytree("/etc", tmp_path / "etc", symlinks=True)
    (tmp_path / "etc").chmod(0o755)
    asked = shlex.join([interpreter(), "-I", "-c", PROGRAM, str(ROOT), str(store)])
    script = f"mount --bind {tmp_path}/etc /etc && {{ {fix}; }} >/dev/null && exec setpriv {alone} {asked}"
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["level"] == "rootless"


@needs_root
def test_no_new_privs_is_named_as_what_disables_newuidmap(store: Path) -> None:
    user = user_with_subordinate_ids()
    if user is None or shutil.which("newuidmap") is None:
        pytest.skip("no user of this machine has subordinate ids, or newuidmap is missing")
    found = probe_as(store, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups", "--no-new-privs")
    ok, _, reason, fix = found["checks"]["subordinate ids"]
    assert not ok
    assert "no_new_privs" in reason
    assert "allowPrivilegeEscalation" in fix
    assert "no_new_privs is set" in found["checks"]["outer container"][1]


@needs_root
def test_root_without_the_right_to_mount_uses_a_user_namespace(store: Path) -> None:
    found = probe_as(store, "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    if not found["checks"]["user namespace"][0]:
        pytest.skip(found["checks"]["user namespace"][2])
    assert found["level"] == "rootless"
    assert found["checks"]["host"][1].endswith(", as root without CAP_SYS_ADMIN")
    assert found["checks"]["overlay"][1] == "userxattr"


# how a namespace around this process is made -> what the probe says of it
SURROUNDINGS: dict[str, tuple[list[str], str, str, str]] = {
    "root of one id": (["--user", "--map-root-user"], "single-id", "has one id", "hostUsers: false"),
    "no more namespaces": (["--user", "--map-root-user"], "none", "allows no more of them", "outside of the sandbox"),
}


@needs_root
def test_a_store_that_the_user_may_not_reach_is_told_and_the_rest_is_tried(store: Path) -> None:
    closed = store / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o700)
    try:
        found = probe_as(closed / "inner" / "s", f"--reuid={NO_NAME}", f"--regid={NO_NAME}", "--clear-groups")
    finally:
        shutil.rmtree(closed)
    assert found["level"] in ("single-id", "rootless")
    assert f"{closed} cannot be written" in " ".join(str(check) for check in found["checks"].values())


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_inside_another_user_namespace_that_is_named_as_the_cause(store: Path, name: str) -> None:
    options, level, reason, fix = SURROUNDINGS[name]
    asked = shlex.join([sys.executable, "-c", PROGRAM, str(ROOT), str(store)])
    # the limit of the namespace in between counts, as in the sandboxes of bubblewrap
    inner = f"exec unshare --user {asked}" if level == "none" else f"exec {asked}"
    limit = "echo 1 > /proc/sys/user/max_user_namespaces && " if level == "none" else ""
    done = subprocess.run(["unshare", *options, "sh", "-c", limit + inner], capture_output=True, text=True, cwd="/")
    if "unshare failed" in done.stderr:
        pytest.skip(f"no user namespace here: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    assert found["level"] == level, done.stderr
    check = found["checks"]["user namespace" if level == "none" else "subordinate ids"]
    assert check[0] is False
    assert reason in check[2]
    assert fix in check[3]


def test_inside_a_container_with_a_seccomp_filter_the_filter_is_named_as_the_cause(store: Path) -> None:
    program = """
import os, sys
sys.path.insert(0, sys.argv[1])
from labcontainers.kernel import syscalls
syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
syscalls.seccomp_filter(bytes.fromhex(sys.argv[2]))
os.execv(sys.executable, [sys.executable, "-I", *sys.argv[3:]])
"""
    filter_of_outer_container = seccomp.default_filter(frozenset(), None).hex()
    arguments = [sys.executable, "-I", "-S", "-c", program, str(ROOT), filter_of_outer_container, "-c", PROGRAM, str(ROOT), str(store)]
    child = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True, cwd="/")
    found = json.loads(child.stdout)
    assert found["level"] in ("none", "no-mounts")
    for name in ("user namespace", "clone3"):
        ok, _, reason, fix = found["checks"][name]
        assert not ok
        assert "seccomp filter of an outer container" in reason
        assert "seccomp=unconfined" in fix
    assert "a seccomp filter is in force" in found["checks"]["outer container"][1]


def test_the_command_tells_what_works_where_no_store_can_be_made() -> None:
    arguments = [sys.executable, "-m", "labcontainers", "doctor"]
    done = subprocess.run(
        arguments, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "LABCONTAINERS_ROOT": "/proc/lab"}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("level: ")
    assert "/proc cannot be written, but images belong to /proc/lab" in " ".join(done.stdout.split())
    assert "fix: export LABCONTAINERS_ROOT=" in done.stdout
