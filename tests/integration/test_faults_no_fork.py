"""Nothing forks the engine's process, so that a kernel which holds gigabytes starts containers as fast as a small one."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alike("ordinary users")

BALLAST_BYTES = 1 << 30
RUNS = 15
ATTEMPTS = 3

# Started as a process of its own, since an audit hook cannot be taken away again (sys.addaudithook).
CHILD = """
import json, sys, time
forks = []
def hook(event, arguments):
    if event in ("os.fork", "os.forkpty", "os.posix_spawn", "pty.spawn", "os.system"):
        forks.append(event)
sys.addaudithook(hook)
import subprocess
original = subprocess.Popen.__init__
preexec = []
def watched(self, *arguments, **options):
    preexec.append(options.get("preexec_fn") is not None)
    original(self, *arguments, **options)
subprocess.Popen.__init__ = watched
from labcontainers import Engine
root, run, ballast, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
memory = bytearray(ballast)
for offset in range(0, ballast, 4096):
    memory[offset] = 1
times = []
with Engine(root=root, run_root=run) as engine:
    engine.containers.run("lab/base", ["true"], network="none", remove=True)
    for _ in range(runs):
        began = time.perf_counter()
        engine.containers.run("lab/base", ["true"], network="none", remove=True)
        times.append(time.perf_counter() - began)
    box = engine.containers.run("lab/base", ["sleep", "100"], network="none", detach=True)
    box.exec(["true"])
    engine.images.build(run, dockerfile_text="FROM lab/base\\nRUN echo x > /x\\n", network="none")
    box.remove(force=True)
resident = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"times": times, "forks": forks, "preexec": preexec, "resident": resident}))
"""


def measure(place: Path, ballast_bytes: int) -> dict[str, object]:
    arguments = [str(place / "s"), str(place / "r"), str(ballast_bytes), str(RUNS)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, check=True, env=environment)
    return dict(json.loads(done.stdout))


def available_bytes() -> int:
    text = Path("/proc/meminfo").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("MemAvailable"))


def test_process_with_gigabytes_starts_containers_as_fast_as_a_small_one_and_is_never_forked(place: Path) -> None:
    ballast = min(BALLAST_BYTES, available_bytes() // 3)
    assert ballast >= 256 << 20, "this machine has too little memory to tell"
    ratios = []
    for _ in range(ATTEMPTS):
        small, large = measure(place, 0), measure(place, ballast)
        for seen in (small, large):
            assert seen["forks"] == []
            assert seen["preexec"]
            assert not any(seen["preexec"])
        assert large["resident"] > ballast
        ratios.append(statistics.median(large["times"]) / statistics.median(small["times"]))
        if ratios[-1] < 2:
            return
    pytest.fail(f"a start in a process with {ballast >> 20} MiB takes so many times as long: {ratios}")
