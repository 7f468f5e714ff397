"""The verb of a container that gives a session in it; it must not know notebooks."""

from __future__ import annotations

from typing import Any

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.containers.sessions.kept import Sessions
from labcontainers.containers.sessions.session import Session


class SessionVerbs:
    """What Container has of them."""

    _lifecycle: Lifecycle
    _record: Record

    def session(
        self,
        lang: str | None = None,
        id: str = "",
        *,
        environment: Any = None,
        user: str | None = None,
        working_dir: str | None = None,
    ) -> Session:
        """The live session of this language ("sh", "bash", "python", "node") and id in it, or a new one: `.run(text)`, push, pull, close.

        Without `lang` that of the first one with this id, else "sh". The other arguments are exec's, and count for a new one. It lives
        until the container stops, its process ends, it is closed, or the engine is. Raises InvalidArgument, Conflict when the container
        does not run, and StartFailed when the program is not in it.
        """
        options = {"environment": environment, "user": user, "working_dir": working_dir}
        return self.sessions.get(self._record, lang, id, **options)

    @property
    def sessions(self) -> Sessions:
        """Those of the engine."""
        found: Sessions = self._lifecycle.sessions
        return found
