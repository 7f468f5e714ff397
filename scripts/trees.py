"""Trees of files that others may have made: removed whatever their owners and modes are.

It must not import more than the standard library has, since every run of the tests begins with it.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType


def remove_tree(path: Path) -> None:
    """Remove `path`, also where folders are closed to their owner or an ordinary user's container ids own the files."""
    shutil.rmtree(path, onerror=open_and_retry)
    if path.exists() and os.geteuid() != 0 and shutil.which("unshare"):
        in_user_namespace = ["unshare", "--user", "--map-auto", "--map-root-user", "rm", "-rf", str(path)]
        subprocess.run(in_user_namespace, check=False, stderr=subprocess.DEVNULL)


def open_and_retry(function: Callable[[str], object], path: str, problem: tuple[type[BaseException], BaseException, TracebackType]) -> None:
    if isinstance(problem[1], FileNotFoundError):  # an engine has just removed it
        return
    for closed in (os.path.dirname(path), path):
        try:
            if stat.S_ISDIR(os.lstat(closed).st_mode):
                os.chmod(closed, 0o700)
        except OSError:
            continue
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    except OSError:
        return
