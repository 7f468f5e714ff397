"""Process 1 of the virtual machine: a pure version 2 of control groups as systemd lays it out, then the checks as three users.

It runs inside, on the standard library alone, and writes what it finds to the second serial line as lines of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
DELEGATED = "user.slice/user-1000.slice/user@1000.service"
# who -> (uid, own control group): root at the top, a user with subordinate ids and a delegated group, a user with neither;
# and the OCI runtime command as the first two
USERS = {
    "root": (0, "init.scope"),
    "user": (1000, f"{DELEGATED}/session.scope"),
    "single-id": (54321, "system.slice/cron.service"),
    "oci-root": (0, "init.scope"),
    "oci-user": (1000, f"{DELEGATED}/session.scope"),
}
MOUNTS = (
    ("proc", "/proc", "proc", ""),
    ("sysfs", "/sys", "sysfs", ""),
    ("cgroup2", str(GROUPS), "cgroup2", "nsdelegate"),
    ("tmpfs", "/run", "tmpfs", "mode=755"),
    ("tmpfs", "/tmp", "tmpfs", "mode=1777"),
)
SETUID = ("/usr/bin/newuidmap", "/usr/bin/newgidmap")
REBOOT_POWER_OFF = 0x4321FEDC
CHECKS_TIMEOUT_S = 450


def mount_all() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for source, target, kind, options in MOUNTS:
        os.makedirs(target, exist_ok=True)
        if libc.mount(source.encode(), target.encode(), kind.encode(), 0, options.encode()):
            raise OSError(ctypes.get_errno(), f"mount {target}")


def make_groups() -> None:
    """Every level hands its controllers on; below `DELEGATED` that is the user's own affair, as with Delegate=yes in systemd."""
    for _, own in USERS.values():
        (GROUPS / own).mkdir(parents=True, exist_ok=True)
    levels = {parent for _, own in USERS.values() for parent in (GROUPS / own).parents if parent.is_relative_to(GROUPS)}
    for level in sorted(levels - {GROUPS / DELEGATED}, key=lambda path: len(path.parts)):
        (level / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))
    for folder in (GROUPS / DELEGATED, GROUPS / DELEGATED / "session.scope"):
        for path in (folder, folder / "cgroup.procs", folder / "cgroup.subtree_control", folder / "cgroup.threads"):
            os.chown(path, USERS["user"][0], USERS["user"][0])


def settle() -> None:
    """What the file system's maker could not do as an ordinary user, and a machine's first commands."""
    for path in SETUID:
        if os.path.exists(path):
            os.chown(path, 0, 0)
            os.chmod(path, 0o4755)
    os.chmod("/dev/null", 0o666)
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    subprocess.run(["busybox", "ip", "link", "set", "lo", "up"], check=True)
    for who, (uid, _) in USERS.items():
        home = Path("/homes", who)
        home.mkdir(parents=True, exist_ok=True)
        os.chown(home, uid, uid)


def run_checks(who: str, write: object) -> None:
    uid, group = USERS[who]

    def become() -> None:
        (GROUPS / group / "cgroup.procs").write_text("0")
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)

    environment = {"PATH": os.environ["PATH"], "HOME": f"/homes/{who}", "PYTHONPATH": "/lab", "LANG": "C.UTF-8"}
    arguments = [sys.executable, "/lab/oci_checks.py" if who.startswith("oci-") else "/lab/checks.py", who]
    child = subprocess.Popen(arguments, env=environment, cwd="/", preexec_fn=become, stdout=write, stderr=subprocess.PIPE, text=True)
    try:
        said = child.communicate(timeout=CHECKS_TIMEOUT_S)[1]
    except subprocess.TimeoutExpired:
        child.kill()
        said = "too slow: " + child.communicate()[1]
    if child.returncode:
        tell(write, {"who": who, "check": "all", "error": said[-2000:]})


def tell(write: object, value: object) -> None:
    print(json.dumps(value), file=write, flush=True)


def main() -> None:
    """Set the machine up, run the checks, switch it off."""
    with open("/dev/ttyS1", "w", encoding="utf-8") as write:
        try:
            mount_all()
            settle()
            make_groups()
            (GROUPS / USERS["root"][1] / "cgroup.procs").write_text("1")
            for who in sys.argv[1:] or USERS:
                run_checks(who, write)
        except BaseException as error:
            tell(write, {"who": "machine", "check": "set up", "error": repr(error)})
        tell(write, {"end": True})
    os.sync()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    ctypes.CDLL(None).reboot(REBOOT_POWER_OFF)


if __name__ == "__main__":
    main()
