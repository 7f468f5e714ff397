"""What more than a pattern shows that a flag of `run` did its work; each docstring says what is looked at, for the page on it.

They must not know the command line: they get what there is after it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from labcontainers.kernel import cgroups
from labcontainers.store.events import Event
from tests.data.run_flag import Seen
from tests.waiting import DEADLINE_S, until, until_over

# --- streams and ends


def only_errors_are_shown(seen: Seen) -> None:
    """what is printed"""
    assert seen.output.split() == ["err"]


def file_has_the_id(seen: Seen) -> None:
    """the file"""
    assert (seen.folder / "cid").read_text() == seen.container.id


def runs_in_the_background(seen: Seen) -> None:
    """its process, while the command is back"""
    assert seen.value.id == seen.container.id
    still_runs(seen)


def still_runs(seen: Seen) -> None:
    """its process, while the command is back"""
    state = seen.container.inspect()["State"]
    assert state["Running"], state
    assert os.path.exists(f"/proc/{state['Pid']}/status")


def restarted_twice(seen: Seen) -> None:
    """its events"""
    assert until_over(seen.engine, seen.container) == ["create", *["start", "die"] * 3]


def has_no_log(seen: Seen) -> None:
    """the container's folder"""
    seen.container.wait(DEADLINE_S)
    assert not [name for name in os.listdir(seen.engine.paths.containers / seen.container.id) if name.startswith("log")]


def is_told_that_it_is_discarded(seen: Seen) -> None:
    """its warning"""
    assert [text for text in seen.container.warnings if "--kernel-memory is discarded" in text]


def log_is_bounded(seen: Seen) -> None:
    """the files of the log, and what they hold"""
    seen.container.wait(DEADLINE_S)
    files = sorted(Path(seen.container.inspect()["LogPath"]).parent.glob("log*"))
    written = sum(len(f"{number}\n") for number in range(1, 100001))
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < written / 2
    assert seen.container.logs(tail=1).text == "100000\n"


# --- health checks


def checks(seen: Seen) -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = seen.container.inspect()["State"]["Health"]["Log"]
    return log


def becomes_healthy(seen: Seen) -> None:
    """`State.Health` of inspect"""
    until(lambda: seen.container.health == "healthy", "it is healthy")
    assert (checks(seen)[0]["ExitCode"], checks(seen)[0]["Output"]) == (0, "well\n")


def is_checked_again_before_the_default_interval(seen: Seen) -> None:
    """`State.Health.Log` of inspect"""
    begun = time.monotonic()
    until(lambda: len(checks(seen)) >= 3, "three checks")
    assert time.monotonic() - begun < 60, "three checks of the default interval, 30 s, take 90 s"


def is_unhealthy_before_three_failures(seen: Seen) -> None:
    """`State.Health` of inspect"""
    until(lambda: seen.container.health == "unhealthy", "it is unhealthy")

    def told() -> list[Event]:
        return [event for event in seen.engine.events.read() if event.action.startswith("health_status")]

    until(lambda: bool(told()), "its event")
    (event,) = told()
    assert event.action == "health_status: unhealthy"
    # however late this looks
    begun = [check for check in checks(seen) if datetime.fromisoformat(check["Start"]).timestamp() < event.time_ns / 1e9]
    assert len(begun) < 3, "three is the default"


def failures_do_not_count_yet(seen: Seen) -> None:
    """`State.Health` of inspect"""
    until(lambda: bool(checks(seen)), "a failed check")
    health = seen.container.inspect()["State"]["Health"]
    assert (health["Log"][0]["ExitCode"], health["Status"], health["FailingStreak"]) == (1, "starting", 0)


def check_took_too_long(seen: Seen) -> None:
    """`State.Health.Log` of inspect"""
    until(lambda: bool(checks(seen)), "a check")
    assert checks(seen)[0]["ExitCode"] == -1
    assert "exceeded timeout (1s)" in checks(seen)[0]["Output"]


def is_not_checked(seen: Seen) -> None:
    """`Config` and `State` of inspect, and the image's"""
    assert seen.engine.images.get("checked").inspect()["Config"]["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
    document = seen.container.inspect()
    assert document["Config"]["Healthcheck"] == {"Test": ["NONE"]}
    assert "Health" not in document["State"]


# --- networks and files


def is_served(seen: Seen) -> None:
    """what comes from the port on this machine"""
    (port,) = seen.container.ports

    def answer() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port.host_port), timeout=10) as connection:
                return connection.recv(100) == b"served\n"
        except OSError:
            return False

    until(answer, "it is served")


def answer_is_in_the_folder(seen: Seen) -> None:
    """the folder on this machine"""
    assert (seen.folder / "data" / "answer").read_text() == "back\n"


# --- namespaces, devices, control groups


def namespace_is_the_hosts(seen: Seen) -> None:
    """the namespace in `/proc` on both sides"""
    kind = seen.output.partition(":")[0]
    assert seen.output.strip() == os.readlink(f"/proc/self/ns/{kind}")


def user_namespace_is_the_engines(seen: Seen) -> None:
    """the namespace in `/proc` of this and another container"""
    other = seen.engine.containers.run("lab/base", ["readlink", "/proc/self/ns/user"], remove=True, network="none").stdout
    assert seen.output == other
    assert os.geteuid() != 0 or seen.output.strip() == os.readlink("/proc/self/ns/user")


def node_is_not_forbidden(seen: Seen) -> None:
    """a device that no container has by default"""
    assert "not permitted" not in seen.output
    script = ["sh", "-c", "mknod /dev/node c 10 229; (: </dev/node) 2>&1; true"]
    other = seen.engine.containers.run("lab/base", script, cap_add=["MKNOD"], remove=True, network="none")
    assert "not permitted" in other.stdout


def weight_is_set_or_told(seen: Seen) -> None:
    """the control group, or where it has no weights, the warning"""
    _weight(seen, ("blkio.weight", "blkio.bfq.weight", "io.bfq.weight", "io.weight"), "the weight of block devices is not enforced")


def weight_of_the_disk_is_set_or_told(seen: Seen) -> None:
    """the control group, or where it has no weights, the warning"""
    names = ("blkio.weight_device", "blkio.bfq.weight_device", "io.bfq.weight", "io.weight")
    _weight(seen, names, "the weight of block device")


def _weight(seen: Seen, names: tuple[str, ...], warning: str) -> None:
    group = cgroups.detect().find(seen.container.id)
    assert group is not None
    told = [text for text in seen.container.warnings if text.startswith(warning) and "not enforced" in text]
    found = [Path(folder, name).read_text() for folder in group.directories for name in names if Path(folder, name).exists()]
    # io.weight of version 2 counts otherwise: 1 + (300 - 10) * 9999 // 990
    assert told or any(re.search(r"\b(300|2929)\b", text) for text in found), json.dumps([told, found])
