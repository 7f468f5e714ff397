"""What the tests of shared work run in a process of its own: one build, told step by step."""

from __future__ import annotations

import json
import sys

from labcontainers import Engine
from labcontainers.build.progress import BuildEvent, StepWaiting


def tell(event: BuildEvent) -> None:
    print(" ".join([type(event).__name__, *([event.holder] if isinstance(event, StepWaiting) else [])]), flush=True)


def main(root: str, run_root: str, text: str) -> None:
    with Engine(root, run_root) as engine:
        print("ready", flush=True)
        built = engine.images.build(dockerfile_text=text, network="none", on_event=tell)
        print(json.dumps([step.cached for step in built.steps]), flush=True)


main(*sys.argv[1:])
