"""What a container's changes cost to be kept: commit of a large image with little changed, checkpoint and rollback.

It must not know how the engines that it measures are started.
"""

from __future__ import annotations

import hashlib
import os
import statistics
from collections.abc import Callable

from benchmarks import report
from benchmarks.many import timed
from benchmarks.peers import DOCKER_IMAGE, IMAGE, Docker
from labcontainers import Engine

ROUNDS = 7
_FILES, _FILE_BYTES = 100, 10 << 20
_FILL = f"mkdir /data; for i in $(seq {_FILES}); do head -c {_FILE_BYTES} /dev/urandom > /data/$i; done"
_CHANGE = f"head -c {_FILE_BYTES} /dev/urandom > /data/5"


def median_s(work: Callable[[], object]) -> float:
    """Of ROUNDS rounds after one that is not counted."""
    work()
    return statistics.median(timed(work) for _ in range(ROUNDS))


def compare_commits(engine: Engine, docker: Docker | None) -> list[str]:
    """Commit, checkpoint and rollback of a container of 1 GB in which 10 MB were changed, as Markdown."""
    large = engine.containers.create(IMAGE, ["sh", "-c", _FILL], network="none")
    large.start().wait()
    image = large.commit()
    container = engine.containers.create(image, ["sh", "-c", _CHANGE], network="none")
    container.start().wait()
    data = os.urandom(_FILE_BYTES)
    hash_s = median_s(lambda: hashlib.sha256(data).digest())
    commit_s = median_s(container.commit)
    checkpoint_s = median_s(container.checkpoint)
    rollback_s = median_s(lambda: container.rollback(1))
    text = f"- commit of a container of 1 GB, 10 MB of it changed: {report.milliseconds(commit_s)}"
    text += f" ({report.milliseconds(hash_s)} of it for hashing the change)"
    if docker is not None:
        theirs_s = docker_commit_s(docker)
        text += f", docker {report.milliseconds(theirs_s)}: {theirs_s / commit_s:.1f} ×"
    container.remove()
    large.remove()
    engine.images.remove(image.id, force=True)
    engine.images.prune()
    return [f"{text}.", f"- checkpoint: {report.milliseconds(checkpoint_s)}; rollback: {report.milliseconds(rollback_s)}."]


def docker_commit_s(docker: Docker) -> float:
    """The same by Docker's command line, whose own start is taken off: that of a `docker version`, which asks the daemon as well."""
    names = [f"{docker.container}-large", f"{docker.container}-changed"]
    image = f"{docker.container}-image"
    docker.timed("docker", "run", "--network", "none", "--name", names[0], DOCKER_IMAGE, "sh", "-c", _FILL)
    docker.timed("docker", "commit", names[0], image)
    docker.timed("docker", "run", "--network", "none", "--name", names[1], image, "sh", "-c", _CHANGE)
    made: list[str] = []

    def commit() -> float:
        duration_s = docker.timed("docker", "commit", names[1])
        made.append(docker.output.strip())
        return duration_s

    commit()
    commit_s = statistics.median(commit() for _ in range(ROUNDS))
    asking_s = statistics.median(docker.timed("docker", "version") for _ in range(ROUNDS))
    docker.timed("docker", "rm", *names)
    docker.timed("docker", "rmi", "--force", *dict.fromkeys(made), image)
    return commit_s - asking_s
