"""A store for one process alone, beside the usual one: empty at its beginning, gone at its end.

It must not know why somebody wants one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labcontainers.engine.engine import Engine
from labcontainers.errors import Denied

_VARIABLES = ("LABCONTAINERS_ROOT", "LABCONTAINERS_RUN")


class FreshStore:
    """The folder `root`, which is locked (flock(2)) as long as this process lives and does not `remove` it.

    Until then LABCONTAINERS_ROOT and LABCONTAINERS_RUN name it, so that programs which the process starts use it as well.
    """

    def __init__(self, usual: Path) -> None:
        """Make it beside the store at `usual`, and remove such of processes that were killed. Raises Denied when this user may not."""
        try:
            usual.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_abandoned(usual)
            self.root, self._lock = _made_and_locked(usual)
        except OSError as error:
            hint = "set LABCONTAINERS_ROOT, or c.LabContainers.fresh_store = 'off'"
            raise Denied(f"cannot make a store beside {usual}: {(error.strerror or '').lower()}", hint) from error
        self.run = self.root / "run"
        self._former = {name: os.environ.get(name) for name in _VARIABLES}
        os.environ.update(zip(_VARIABLES, (str(self.root), str(self.run)), strict=True))

    def remove(self) -> None:
        """Remove it with its containers, also those that run; blocks. The engine that used it must be closed."""
        for name, value in self._former.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _remove(self.root)
        os.close(self._lock)


def _made_and_locked(usual: Path) -> tuple[Path, int]:
    while True:
        root = Path(tempfile.mkdtemp(prefix=_prefix(usual), dir=usual.parent))
        # somebody who looks for abandoned ones may have been quicker than the lock
        with suppress(FileNotFoundError, BlockingIOError):
            lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                root.stat()
            except OSError:
                os.close(lock)
                raise
            return root, lock


def _remove_abandoned(usual: Path) -> None:
    for root in usual.parent.glob(f"{_prefix(usual)}*"):
        with _held(root) as held:
            if held:
                _remove(root)


@contextmanager
def _held(root: Path) -> Iterator[bool]:
    """Whether nobody else has it, and nobody has while this lasts."""
    lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(lock)


def _prefix(usual: Path) -> str:
    return f"{usual.name}-fresh-"


def _remove(root: Path) -> None:
    """Remove a store with all that runs in it."""
    if (root / "records.sqlite").exists():
        with Engine(root, root / "run") as engine:
            for container in engine.containers.list(all=True):
                container.remove(force=True)
            # what is in them may belong to the ids of containers
            for path in (engine.paths.containers, engine.paths.snapshots, engine.paths.volumes, engine.paths.caches, engine.paths.tmp):
                if path.exists():
                    engine.store.worker.call("labcontainers.store.trees:remove", path=str(path))
    shutil.rmtree(root, ignore_errors=True)
