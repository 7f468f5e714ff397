"""A notebook's kernel for the tests of faults: a process with an Engine that says "ready" and does one thing until it is killed."""

from __future__ import annotations

import os
import random
import sys
import time

from labcontainers import Engine
from labcontainers.errors import Conflict, LabError, NotFound

BASE = "lab/base"
COUNT = "i=0; while :; do i=$((i+1)); echo line $i; echo $i > /count; sleep 0.02; done"
DOCKERFILE = """FROM lab/base
RUN echo first > /first
RUN i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo {salt} $i > /file-$i; done
COPY . /context
RUN sleep 0.05; echo last > /last
"""


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def build(engine: Engine, salt: str, network: str) -> None:
    """One build after the other, each with new content."""
    number = 0
    while True:
        number += 1
        text = DOCKERFILE.format(salt=f"{salt}-{number}")
        engine.images.build(os.environ["CONTEXT"], dockerfile_text=text, tags=[f"made/{salt}"], network=network)


def foreground(engine: Engine, name: str, network: str) -> None:
    engine.containers.run(BASE, ["sh", "-c", COUNT], name=name, network=network)


def foreground_rm(engine: Engine, name: str, network: str) -> None:
    engine.containers.run(BASE, ["sh", "-c", COUNT], name=name, network=network, remove=True)


def detached(engine: Engine, name: str, network: str) -> None:
    engine.containers.run(BASE, ["sh", "-c", f"trap 'exit 7' TERM; {COUNT}"], name=name, network=network, detach=True)
    say("started")
    time.sleep(600)


def busy(engine: Engine, label: str, network: str) -> None:
    """For some seconds, run, build, list and remove at random, also what others made; then say how much was done."""
    chance = random.Random(label)
    end = time.monotonic() + float(os.environ["SECONDS_OF_WORK"])
    done = 0
    while time.monotonic() < end:
        kind = chance.choice(["run", "run rm", "detach", "name", "build", "list", "remove", "remove image", "exec"])
        try:
            _work(engine, kind, label, chance, network)
        except (Conflict, NotFound):
            # The other kernel was faster.
            pass
        except LabError as error:
            say("problem", kind, repr(error))
        done += 1
    say("done", done)


def _work(engine: Engine, kind: str, label: str, chance: random.Random, network: str) -> None:
    others = engine.containers.list(all=True)
    if kind == "run":
        result = engine.containers.run(BASE, ["echo", label], network=network)
        # 137: the other kernel removed it by force while it ran.
        if result.exit_code != 137 and (result.exit_code, result.stdout) != (0, f"{label}\n"):
            say("problem", kind, repr(result), result.stdout)
    elif kind == "run rm":
        engine.containers.run(BASE, ["true"], network=network, remove=True)
    elif kind == "detach":
        engine.containers.run(BASE, ["sleep", str(chance.random())], network=network, detach=True, remove=chance.random() < 0.5)
    elif kind == "name":
        engine.containers.run(BASE, ["true"], network=network, name="wanted-by-both", remove=True)
    elif kind == "build":
        text = f"FROM lab/base\nRUN echo {chance.randrange(3)} > /x\nRUN echo {label} > /y\n"
        engine.images.build(os.environ["CONTEXT"], dockerfile_text=text, tags=[f"shared/{chance.randrange(2)}"], network=network)
    elif kind == "list":
        for container in others:
            container.inspect()
    elif kind == "remove" and others:
        chance.choice(others).remove(force=True)
    elif kind == "remove image":
        engine.images.remove(f"shared/{chance.randrange(2)}", force=chance.random() < 0.5)
    elif kind == "exec" and (running := engine.containers.list()):
        chance.choice(running).exec(["true"])


def main(root: str, run_root: str, work: str, name: str, network: str) -> None:
    with Engine(root=root, run_root=run_root) as engine:
        engine.images.get(BASE)
        engine.info()
        say("ready")
        sys.stdin.readline()
        globals()[work](engine, name, network)


if __name__ == "__main__":
    main(*sys.argv[1:])
