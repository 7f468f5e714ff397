"""What the extension costs a fresh Jupyter kernel, and what a large process costs its containers.

It must not know other engines: they have no such costs to compare.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

HOUSE = Path(__file__).resolve().parent.parent

LOAD_EXTENSION = """
import json, threading, time
def private_bytes():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Private_"))
before_bytes, started = private_bytes(), time.perf_counter()
get_ipython().run_line_magic("load_ext", "labcontainers")
duration_s = time.perf_counter() - started
# what it goes on to do in the background counts as memory, too
for thread in threading.enumerate():
    if thread.name.startswith("lab-"):
        thread.join(10)
time.sleep(0.5)
for thread in threading.enumerate():
    if thread.name.startswith("lab-"):
        thread.join(10)
print(json.dumps({"duration_s": duration_s, "memory_bytes": private_bytes() - before_bytes}))
"""


def load_extension() -> tuple[float, int]:
    """Seconds and private bytes that `%load_ext labcontainers` adds to a kernel that has just started, its launcher ready in the end."""
    quiet = ["--IPKernelApp.log_level=ERROR"]
    manager, client = start_new_kernel(kernel_name="python3", env=with_house(dict(os.environ)), extra_arguments=quiet)
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])

    try:
        client.execute_interactive(LOAD_EXTENSION, output_hook=hear, timeout=60)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    answer = json.loads("".join(said).strip().splitlines()[-1])
    return float(answer["duration_s"]), int(answer["memory_bytes"])


def with_house(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "PYTHONPATH": os.pathsep.join([str(HOUSE), *filter(None, [environment.get("PYTHONPATH")])])}


class Holder:
    """A process of its own that holds some memory and runs containers when asked."""

    def __init__(self, held_bytes: int, root: Path, run_root: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.holder", str(held_bytes), str(root), str(run_root)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HOUSE)
        self.answer()

    def answer(self) -> float:
        assert self.process.stdout is not None
        return float(self.process.stdout.readline())

    def run(self) -> float:
        """Seconds that one run of `true` took in that process."""
        assert self.process.stdin is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def available_bytes() -> int:
    """Memory that can be had without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def private_dirty_bytes(pid: int) -> int:
    """Memory that only the process `pid` has and that it wrote to. Needs the right to trace it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty:"))


def parent_of(pid: int) -> int:
    """The parent of the process `pid`."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children_of(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
