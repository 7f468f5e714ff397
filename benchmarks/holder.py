"""A process that holds as much memory as it is told and then runs a container for every line it reads.

It must not know what the times are compared with.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.peers import Ours
from labcontainers import Engine

PAGE_BYTES = 4096


def main(held_bytes: int, root: Path, run_root: Path) -> None:
    """Print 0 when ready, then one duration in seconds per line of input."""
    held = bytearray(held_bytes)
    held[::PAGE_BYTES] = b"\1" * len(range(0, held_bytes, PAGE_BYTES))
    with Engine(root=root, run_root=run_root) as engine:
        ours = Ours(engine)
        ours.run()
        print(0, flush=True)
        for _ in sys.stdin:
            print(ours.run(), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
