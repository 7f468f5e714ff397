"""Containers that share a volume, one of which swaps what the others' starts go through: hundreds of swaps for each start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import LabError, StartFailed
from tests.security.hostile import link, make_image

BASE = "lab/base"
RUN: dict[str, Any] = {"network": "none", "remove": True}
# Exchanges two names at once, so that there is always one of them: renameat2(2) with RENAME_EXCHANGE.
SWAP = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
number = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
true, false = (os.fsencode(word) for word in sys.argv[1:])
while True:
    for _ in range(200):
        libc.syscall(number, -100, true, -100, false, 2)
    time.sleep(0.002)  # a kernel that renames all the time lets nobody walk a path
"""


# runc CVE-2025-31133, CVE-2025-52565, CVE-2021-30465, CVE-2024-45310
@pytest.mark.parametrize("aim", ["/", "OUTSIDE", "/proc/self/root"])
def test_folders_that_are_swapped_while_others_start_lead_no_mask_and_no_device_astray(
    engine: Engine, outside: Path, place: Path, aim: str
) -> None:
    shared, other = place / "shared", place / "other"
    (shared / "true" / "deep").mkdir(parents=True)
    other.mkdir()
    (shared / "false").symlink_to(aim.replace("OUTSIDE", str(outside)))
    os.chmod(outside, 0o777)
    swap = ["python3", "-c", SWAP, "/shared/true", "/shared/false"]
    racer = engine.containers.run("lab/python", swap, volumes=[f"{shared}:/shared"], network="none", detach=True)
    # the root of the other container leads its working directory, its volumes and its devices through the folder that is swapped
    image = make_image(engine, lambda tree: link(tree, "/way", "/shared/true"))
    before = set(os.listdir("/"))
    look = f"stat -c %t:%T /dev/null; cat /proc/kcore /proc/keys | wc -c; cat /way/canary {outside}/canary 2>/dev/null; ls -a /way; true"
    seen = []
    for number in range(10):
        options: dict[str, Any] = {
            "volumes": [f"{shared}:/shared", f"{other}:/way/made-{number}"],
            "tmpfs": [f"/shared/true/tmp-{number}"],
            "working_dir": f"/way/work-{number}",
        }
        try:
            done = engine.containers.run(image, ["sh", "-c", look], **RUN, **options)
        except (StartFailed, LabError):
            continue
        seen.append(done.stdout.split())
        assert done.stdout.split()[:2] == ["1:3", "0"]
        assert "host" not in done.stdout.split()
    racer.kill()
    racer.wait()
    assert set(os.listdir("/")) == before
    assert sorted(path.name for path in outside.iterdir()) == ["canary"]
    assert not [path for path in place.iterdir() if path.name.startswith(("made-", "tmp-", "work-"))]
    assert seen, "some starts win the race"


def test_a_file_that_is_swapped_for_a_link_is_mounted_on_inside_or_not_at_all(engine: Engine, outside: Path, place: Path) -> None:
    """The console, and files of /etc, are mounted on what lies at their place: that must be below the root."""
    shared = place / "shared"
    shared.mkdir()
    (shared / "true").write_text("")
    (shared / "false").symlink_to(outside / "canary")
    swap = ["python3", "-c", SWAP, "/shared/true", "/shared/false"]
    racer = engine.containers.run("lab/python", swap, volumes=[f"{shared}:/shared"], network="none", detach=True)
    mine = place / "mine"
    mine.write_text("mine")
    for _ in range(10):
        volumes = [f"{shared}:/shared", f"{mine}:/shared/true"]
        try:
            done = engine.containers.run(
                BASE, ["sh", "-c", f"cat {outside}/canary; echo changed > /shared/true; true"], volumes=volumes, **RUN
            )
        except StartFailed:
            continue
        assert "host" not in done.stdout
    racer.kill()
    racer.wait()
    assert (outside / "canary").read_text() == "host"
