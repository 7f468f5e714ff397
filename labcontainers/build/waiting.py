"""What is called while something is waited for: it looks whether to go on, and tells once, when that takes longer than a moment.

It must not know what is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_MOMENT_S = 0.2


class Waiting:
    """Called again and again by who waits; `check` may raise, `tell` is called once. `told` says whether it was."""

    def __init__(self, check: Callable[[], object], tell: Callable[[], object]) -> None:
        self._check = check
        self._tell = tell
        self._since = 0.0
        self.told = False

    def __call__(self) -> None:
        """Look once more. Raises what `check` raises."""
        self._check()
        now = time.monotonic()
        self._since = self._since or now
        if not self.told and now - self._since >= _MOMENT_S:
            self.told = True
            self._tell()
