"""The one Engine of this process, made when it is first needed.

It must not know who needs it: magics, widgets and the command line all come here.
"""

from __future__ import annotations

import atexit
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from labcontainers.containers.container import Container
from labcontainers.containers.isolation.comparison import Comparison
from labcontainers.engine.engine import Engine
from labcontainers.engine.fresh_store import FreshStore
from labcontainers.errors import Conflict
from labcontainers.store.paths import default_paths

if TYPE_CHECKING:
    from labcontainers.engine.dashboard.dashboard import Dashboard


class Session:
    """Holds at most one Engine; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._used = False
        self._place = ("", "", False)
        self._fresh: FreshStore | None = None

    def engine(self) -> Engine:
        """The Engine, made now if there is none."""
        with self._lock:
            self._used = True
            return self._made()

    def _made(self) -> Engine:
        if self._engine is None:
            root, run_root, fresh = self._place
            if fresh and self._fresh is None:
                self._fresh = FreshStore(Path(root) if root else default_paths().root)
            self._engine = Engine(self._fresh.root, self._fresh.run) if self._fresh else Engine(root or None, run_root or None)
            # what the engine put off, such as taking down an unused bridge, is done when the process ends
            atexit.register(self.close)
        return self._engine

    def warm_up(self) -> None:
        """Make the Engine and start its launcher, without waiting for it; that is no use of it yet."""
        with self._lock:
            self._made().warm_up()

    def place(self, root: str, run_root: str, *, fresh: bool) -> None:
        """Where the Engine's store and run-time state are to be; "" for the defaults. Raises Conflict once it was used elsewhere.

        With `fresh` it is a store for this process alone beside that, which is removed when the Engine is closed.
        """
        with self._lock:
            if self._place == (root, run_root, fresh):
                return
            if self._engine is not None and self._used:
                raise Conflict(
                    f"the engine runs already, with its store at {self._engine.paths.root}",
                    "restart the kernel and set it before the first command, or in ipython_config.py",
                )
            self._end()
            self._place = (root, run_root, fresh)

    def existing(self) -> Engine | None:
        """The Engine if there is one."""
        return self._engine

    def use(self, engine: Engine) -> None:
        """Take this Engine from now on; the former one is closed."""
        with self._lock:
            former, self._engine, self._used = self._engine, engine, True
        if former is not None and former is not engine:
            former.close()

    def close(self) -> None:
        """Close the Engine, if there is one; the next use makes a new one."""
        with self._lock:
            self._used = False
            self._end()
        atexit.unregister(self.close)

    def _end(self) -> None:
        """Close the Engine and remove the store that was made for it."""
        former, self._engine, fresh, self._fresh = self._engine, None, self._fresh, None
        if former is not None:
            former.close()
        if fresh is not None:
            fresh.remove()


_session = Session()


def current_engine() -> Engine:
    """The process's Engine, made lazily."""
    return _session.engine()


def existing_engine() -> Engine | None:
    """The process's Engine if there is one already."""
    return _session.existing()


def use_engine(engine: Engine) -> None:
    """Make `engine` the process's Engine."""
    _session.use(engine)


def warm_up() -> None:
    """Make the Engine and start its launcher, without waiting for it; for a background thread."""
    _session.warm_up()


def place(root: str = "", run_root: str = "", *, fresh: bool = False) -> None:
    """Where the Engine is to have its store and run-time state; "" for the defaults. Raises Conflict once it was used elsewhere.

    With `fresh` the store is one for this process alone beside that place, and is removed when the Engine is closed.
    """
    _session.place(root, run_root, fresh=fresh)


def compare(first: Container | str, second: Container | str) -> Comparison:
    """What separates two running containers, or one and `"host"`: as Engine.compare, with the process's Engine."""
    return current_engine().compare(first, second)


def dashboard() -> Dashboard:
    """All containers at a glance: as Engine.dashboard, with the process's Engine."""
    return current_engine().dashboard()


def close() -> None:
    """Close the process's Engine."""
    _session.close()
