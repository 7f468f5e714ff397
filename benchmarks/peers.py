"""The engines that are measured, each with the same few verbs on the same root file system.

It must not know how often or in which order they are asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from labcontainers import Container, Engine

IMAGE = "lab/base"
DOCKER_IMAGE = "lab-benchmark:latest"
BUILT = "lab-benchmark-built"


class Peer(Protocol):
    """An engine under measurement; each verb returns the seconds it took, as its user waits for them."""

    name: str

    def run(self) -> float:
        """Run `true` in a new container without a network, until its exit status is known and the container is gone."""

    def exec(self) -> float:
        """Run `true` in the container that `start` started."""

    def start(self) -> int:
        """Start a container that sleeps; the process id of its first process."""

    def close(self) -> None:
        """Remove what was made."""


@runtime_checkable
class Builder(Protocol):
    """A peer that builds images too."""

    name: str

    def build(self, context: Path, text: str, *, no_cache: bool) -> float:
        """Build a Dockerfile, in which {base} stands for the base image, without a network; the seconds until the image has its name."""


class Ours:
    """labcontainers through its Python interface, as a notebook uses it."""

    name = "labcontainers"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sleeper: Container | None = None

    def run(self) -> float:
        started = time.perf_counter()
        self.engine.containers.run(IMAGE, ["true"], network="none", remove=True).check()
        return time.perf_counter() - started

    def start(self) -> int:
        self.sleeper = self.engine.containers.run(IMAGE, ["sleep", "3600"], network="none", detach=True)
        assert self.sleeper is not None
        return int(self.sleeper.state.pid)

    def exec(self) -> float:
        assert self.sleeper is not None
        started = time.perf_counter()
        self.sleeper.exec(["true"]).check()
        return time.perf_counter() - started

    def build(self, context: Path, text: str, *, no_cache: bool) -> float:
        started = time.perf_counter()
        self.engine.images.build(context, dockerfile_text=text.format(base=IMAGE), tags=[BUILT], no_cache=no_cache, network="none")
        return time.perf_counter() - started

    def close(self) -> None:
        if self.sleeper is not None:
            self.sleeper.remove(force=True)


class CommandLine:
    """What peers with a command line share: commands are timed by a small process that keeps its own view of the mounts."""

    def __init__(self, prepare: str, environment: dict[str, str]) -> None:
        """`prepare` is a shell command that makes the view ready; it needs root when it is not empty."""
        timer = [sys.executable, "-I", str(Path(__file__).with_name("timer.py"))]
        command = ["unshare", "--mount", "sh", "-c", f'{prepare}; exec "$@"', "sh", *timer] if prepare else timer
        self.timer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def timed(self, *arguments: str) -> float:
        """Seconds that the command took; raises RuntimeError with its words when it failed."""
        assert self.timer.stdin is not None
        assert self.timer.stdout is not None
        self.timer.stdin.write(json.dumps(arguments) + "\n")
        self.timer.stdin.flush()
        answer = json.loads(self.timer.stdout.readline())
        if answer["returncode"]:
            raise RuntimeError(f"{' '.join(arguments)}: {answer['output'].strip()}")
        self.output = str(answer["output"])
        return float(answer["duration_s"])

    def close(self) -> None:
        assert self.timer.stdin is not None
        self.timer.stdin.close()
        self.timer.wait()


class Crun(CommandLine):
    """crun on a bundle with its default specification; it refuses hybrid control groups, so there it sees the first tree only."""

    def __init__(self, rootfs: Path, folder: Path) -> None:
        hybrid = os.geteuid() == 0 and os.path.ismount("/sys/fs/cgroup/unified")
        super().__init__("umount /sys/fs/cgroup/unified" if hybrid else "", dict(os.environ))
        version = subprocess.run(["crun", "--version"], capture_output=True, text=True, check=True).stdout
        self.name = version.splitlines()[0].replace("version ", "")
        self.options = ["crun", "--root", str(folder / "state")]
        self.bundles = {words[0]: self.bundle(folder / words[0], rootfs, words) for words in (["true"], ["sleep", "3600"])}
        self.count = 0

    def bundle(self, folder: Path, rootfs: Path, words: list[str]) -> str:
        folder.mkdir(parents=True)
        subprocess.run(["crun", "spec", *(["--rootless"] if os.geteuid() else [])], cwd=folder, check=True)
        spec = json.loads((folder / "config.json").read_text())
        spec["process"].update(terminal=False, args=words)
        spec["root"] = {"path": str(rootfs), "readonly": False}
        (folder / "config.json").write_text(json.dumps(spec))
        return str(folder)

    def run(self) -> float:
        self.count += 1
        return self.timed(*self.options, "run", "--bundle", self.bundles["true"], f"bench-{os.getpid()}-{self.count}")

    def start(self) -> int:
        self.timed(*self.options, "run", "--detach", "--bundle", self.bundles["sleep"], f"bench-{os.getpid()}")
        self.timed(*self.options, "state", f"bench-{os.getpid()}")
        return int(json.loads(self.output)["pid"])

    def exec(self) -> float:
        return self.timed(*self.options, "exec", f"bench-{os.getpid()}", "true")

    def close(self) -> None:
        try:
            self.timed(*self.options, "delete", "--force", f"bench-{os.getpid()}")
        finally:
            super().close()


class Docker(CommandLine):
    """The docker command line and the daemon that it reaches."""

    def __init__(self, rootfs: Path, environment: dict[str, str]) -> None:
        super().__init__("", environment)
        self.environment = environment
        archive = subprocess.Popen(["tar", "-C", str(rootfs), "-cf", "-", "."], stdout=subprocess.PIPE)
        subprocess.run(["docker", "import", "-", DOCKER_IMAGE], stdin=archive.stdout, env=environment, check=True, capture_output=True)
        archive.wait()
        self.timed("docker", "version", "--format", "{{.Server.Version}}")
        self.name = f"docker {self.output.strip()}"
        self.container = f"lab-benchmark-{os.getpid()}"

    def run(self) -> float:
        return self.timed("docker", "run", "--rm", "--network", "none", DOCKER_IMAGE, "true")

    def start(self) -> int:
        self.timed("docker", "run", "--detach", "--network", "none", "--name", self.container, DOCKER_IMAGE, "sleep", "3600")
        self.timed("docker", "inspect", "--format", "{{.State.Pid}}", self.container)
        return int(self.output)

    def exec(self) -> float:
        return self.timed("docker", "exec", self.container, "true")

    def build(self, context: Path, text: str, *, no_cache: bool) -> float:
        dockerfile = context.with_name("Dockerfile")
        dockerfile.write_text(text.format(base=DOCKER_IMAGE))
        options = ["--network", "none", "--tag", BUILT, "--file", str(dockerfile), *(["--no-cache"] if no_cache else [])]
        return self.timed("docker", "build", *options, str(context))

    def start_many(self, count: int) -> float:
        """Start `count` sleeping containers, all asked for at once; the seconds until they run. They are removed again."""
        names = [f"{self.container}-{number}" for number in range(count)]
        run = f"docker run --detach --network none --name {{}} {DOCKER_IMAGE} sleep 3600"
        duration_s = self.timed("sh", "-c", f'printf "%s\\n" {" ".join(names)} | xargs -P {count} -I {{}} {run}')
        self.timed("docker", "rm", "--force", *names)
        return duration_s

    def logs(self, script: str) -> tuple[float, float]:
        """The seconds that a container takes to write its output into the log, and those that `docker logs` takes to read it."""
        name = f"{self.container}-log"
        write_s = self.timed("docker", "run", "--detach", "--network", "none", "--name", name, DOCKER_IMAGE, "sh", "-c", script)
        write_s += self.timed("docker", "wait", name)
        read_s = self.timed("sh", "-c", f"docker logs {name} > /dev/null")
        self.timed("docker", "rm", name)
        return write_s, read_s

    def close(self) -> None:
        try:
            self.timed("docker", "rm", "--force", self.container)
            self.timed("docker", "rmi", "--force", BUILT)
            self.timed("docker", "rmi", DOCKER_IMAGE)
        finally:
            super().close()


def copy_of_root(engine: Engine, target: Path) -> Path:
    """The files of our base image, copied layer by layer, for peers that take a folder. Needs to own them: root, or a single id."""
    image = engine.images.get(IMAGE)
    target.mkdir(parents=True)
    for layer in reversed(engine.store.snapshots.lower_paths(image.diff_ids)):
        subprocess.run(["cp", "--archive", f"{layer}/.", str(target)], check=True)
    return target


def present(engine: Engine, folder: Path, docker: dict[str, str] | None) -> list[Peer]:
    """The peers that can be measured here, ours first; says on stderr why others are left out."""
    peers: list[Peer] = [Ours(engine)]
    rootfs = copy_of_root(engine, folder / "rootfs")
    if shutil.which("crun"):
        peers.append(Crun(rootfs, folder / "crun"))
    else:
        print("crun is not installed: left out", file=sys.stderr)
    if docker is not None:
        peers.append(Docker(rootfs, docker))
    else:
        print("no Docker daemon answers and none can be started here: left out", file=sys.stderr)
    return peers
