"""Gives a Docker daemon to measure against: the one that DOCKER_HOST names, the machine's own, or one started for this run.

It must not know what is measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT_S = 30.0


@contextmanager
def docker_environment() -> Iterator[dict[str, str] | None]:
    """The environment in which `docker` reaches a daemon, or None where there is none and none can be started. Starting needs root."""
    here = dict(os.environ)
    if shutil.which("docker") is None:
        yield None
    elif answers(here):
        yield here
    elif os.geteuid() == 0 and shutil.which("dockerd"):
        with started_daemon(here) as environment:
            yield environment
    else:
        yield None


def answers(environment: dict[str, str]) -> bool:
    """Whether a Docker daemon answers in `environment`."""
    return subprocess.run(["docker", "version"], env=environment, capture_output=True, check=False).returncode == 0


@contextmanager
def started_daemon(here: dict[str, str]) -> Iterator[dict[str, str] | None]:
    """A dockerd on a socket and a data folder of its own, without networks, ended afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="lab-dockerd-"))
    environment = {**here, "DOCKER_HOST": f"unix://{folder}/docker.sock"}
    command = ["dockerd", "--host", environment["DOCKER_HOST"], "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    command += ["--pidfile", f"{folder}/pid", "--bridge=none", "--iptables=false", "--log-level=error"]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + START_TIMEOUT_S
        while daemon.poll() is None and time.monotonic() < end and not answers(environment):
            time.sleep(0.2)
        yield environment if answers(environment) else None
    finally:
        daemon.terminate()
        try:
            daemon.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)
