"""A bundle of busybox, and the OCI runtime command run on it: as root, or as an ordinary user with a user namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labcontainers.bundles.templates import template
from labcontainers.oci.runtime_spec import VERSION

TOP = Path(__file__).resolve().parents[2]
APPLETS = (
    "sh ls cat true false sleep id mount env ps echo stat touch hostname pwd grep head readlink test tty stty kill mkdir uname wc".split()
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Bundle:
    """`config` may be changed until a command is run; `root` is what --root says."""

    def __init__(self, place: Path) -> None:
        self.path = place / "bundle"
        self.rootfs = self.path / "rootfs"
        self.root = place / "states"
        for name in ("bin", "proc", "sys", "dev", "etc", "tmp", "mnt"):
            (self.rootfs / name).mkdir(parents=True, exist_ok=True)
        (self.rootfs / "tmp").chmod(0o1777)
        busybox = shutil.which("busybox", path=PATH)
        assert busybox is not None
        shutil.copy(busybox, self.rootfs / "bin/busybox")
        for applet in APPLETS:
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        self.config: dict[str, Any] = template(VERSION, rootless=os.geteuid() != 0, uid=os.geteuid(), gid=os.getegid())
        self.config["process"]["terminal"] = False
        self.config["process"]["rlimits"] = []

    def says(self, *arguments: str) -> Bundle:
        """What is run; one argument alone is a script."""
        self.config["process"]["args"] = ["/bin/sh", "-c", *arguments] if len(arguments) == 1 else list(arguments)
        return self

    def write(self) -> None:
        (self.path / "config.json").write_text(json.dumps(self.config))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "labcontainers.bundles", "--root", str(self.root), *arguments]

    def call(self, *arguments: str, ok: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the bundle's folder; its output goes to files, which a container may keep open."""
        self.write()
        environment = {**os.environ, "PYTHONPATH": str(TOP), **options.pop("env", {})}
        with open(self.path / "out", "w+") as out, open(self.path / "err", "w+") as err:
            options = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, "cwd": self.path, "timeout": 60, **options}
            code = subprocess.run(self.command(*arguments), env=environment, check=False, **options).returncode
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read())
        done = subprocess.CompletedProcess(arguments, code, *texts)
        assert not ok or code == 0, f"{arguments} gave {code}: {done.stderr}{done.stdout}"
        assert "Traceback" not in done.stderr
        return done

    def run(self, *, ok: bool = True, flags: tuple[str, ...] = (), **options: Any) -> subprocess.CompletedProcess[str]:
        return self.call("run", *flags, "one", ok=ok, **options)

    def output(self, script: str) -> str:
        """What a script prints in a container that is made for it."""
        return self.says(script).run().stdout

    def state(self, container_id: str = "one") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call("state", container_id).stdout)
        return found

    def wait(self, status: str, container_id: str = "one") -> dict[str, Any]:
        return until(lambda: (found := self.state(container_id))["status"] == status and found)

    def nothing_left(self) -> bool:
        return [path.name for path in self.root.glob("*") if path.name != ".filters"] == []


def until(look: Callable[[], Any], seconds: float = 20) -> Any:
    """What `look` finds, once it is something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


def runtime_program(folder: Path) -> Path:
    """An executable file that is the runtime command of this checkout."""
    program = folder / "labcontainers-oci"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={TOP} exec {sys.executable} -m labcontainers.bundles "$@"\n')
    program.chmod(0o755)
    return program


def small_archive(folder: Path) -> Path:
    """A tar of the bundle's root, which engines import as an image."""
    archive, bundle = folder / "image.tar", Bundle(folder)
    with tarfile.open(archive, "w") as tar:
        for name in ("bin", "etc", "tmp"):
            tar.add(bundle.rootfs / name, name)
    return archive
