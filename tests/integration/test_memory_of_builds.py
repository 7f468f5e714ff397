"""How much memory a build takes, whatever the size of its context and of what its steps write: it is a stream all the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labcontainers import Engine

BIG = 160 << 20
MOST_KB = 100_000
DOCKERFILE = """FROM lab/base
COPY . /context
RUN dd if=/dev/zero of=/written bs=1M count=160 2>/dev/null
FROM lab/base
COPY --from=0 /written /context/big /
"""
# the peak of this process since its program began, and that of the largest below it, in kB: proc(5), getrusage(2)
PROGRAM = """
import resource, sys
from pathlib import Path
from labcontainers import Engine
root, run_root, context, output = map(Path, sys.argv[1:])
with Engine(root=root, run_root=run_root) as engine:
    engine.images.build(context, tag="large")
    with open(output, "wb") as file, engine.images.save("large") as archive:
        archive.write(file)
own = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.alike("ordinary users")
def test_a_build_of_large_files_takes_less_than_100_megabytes(engine: Engine, place: Path) -> None:
    context = place / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    with open(context / "big", "wb") as file:
        # half of it cannot be compressed
        for _ in range(BIG >> 21):
            file.write(os.urandom(1 << 20) + bytes(1 << 20))
    for number in range(2000):
        (context / f"small{number}").write_text(str(number))
    words = (str(path) for path in (engine.paths.root, engine.paths.run, context, place / "large.tar"))
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert (place / "large.tar").stat().st_size > BIG // 2
    assert sum(map(int, done.stdout.split())) < MOST_KB, done.stdout
