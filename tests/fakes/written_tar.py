"""The canonical tar of a tree as a file, by the function with which workers stream it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from labcontainers.store import trees


def write_tar(tree: Path, path: Path) -> dict[str, Any]:
    """Write it to the new file `path`; its digest and size."""
    return trees.stream_tar(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), str(tree))
