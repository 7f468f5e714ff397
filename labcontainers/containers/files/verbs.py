"""The verbs of a container that deal with its files: archives, cp, diff, export, commit, checkpoint and rollback.

It must not know how any of them is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labcontainers.containers.files import checkpoint as points
from labcontainers.containers.files import commit as commits
from labcontainers.containers.files import copying
from labcontainers.containers.files import diff as diffs
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.images.image import Image


class FileVerbs:
    """What Container has of them."""

    _lifecycle: Lifecycle
    _record: Record

    def get_archive(
        self, path: str, chunk_bytes: int = copying.CHUNK_BYTES, *, follow_link: bool = False
    ) -> tuple[copying.ArchiveStream, dict[str, Any]]:
        """A tar of a file or directory as an iterator of bytes, and Docker's stat of it (see containers.files.copying.get_archive)."""
        return copying.get_archive(self._lifecycle, self._record, path, follow_link=follow_link, chunk_bytes=chunk_bytes)

    def put_archive(self, path: str, data: copying.Archive) -> bool:
        """Unpack a tar into the directory `path` (see containers.files.copying.put_archive)."""
        return copying.put_archive(self._lifecycle, self._record, path, data)

    def copy_from(self, src: str, dest: str | Path, *, archive: bool = False, follow_link: bool = False) -> int:
        """Copy out of it, as `docker cp`; the bytes of the tar (see containers.files.copying.copy_from)."""
        return copying.copy_from(self._lifecycle, self._record, src, dest, archive=archive, follow_link=follow_link)

    def copy_to(self, src: str | Path, dest: str, *, archive: bool = False, follow_link: bool = False) -> int:
        """Copy into it, as `docker cp`; the bytes of the tar (see containers.files.copying.copy_to)."""
        return copying.copy_to(self._lifecycle, self._record, src, dest, archive=archive, follow_link=follow_link)

    def export(self, chunk_bytes: int = copying.CHUNK_BYTES) -> copying.ArchiveStream:
        """A tar of its whole tree without volumes, as an iterator of bytes."""
        return copying.export(self._lifecycle, self._record, chunk_bytes)

    def diff(self) -> diffs.Changes:
        """What it has changed in its image's files: a list of {"Path", "Kind"}."""
        return diffs.diff(self._lifecycle, self._record)

    def commit(
        self,
        repository: str | None = None,
        tag: str | None = None,
        *,
        message: str = "",
        author: str = "",
        changes: str | Sequence[str] = (),
        pause: bool = True,
    ) -> Image:
        """An image of it as it is now (see containers.files.commit.commit)."""
        return commits.commit(self._lifecycle, self._record, repository, tag, message=message, author=author, changes=changes, pause=pause)

    def checkpoint(self, label: str = "", *, pause: bool = True) -> points.Checkpoint:
        """Keep its files as they are now (see containers.files.checkpoint.checkpoint)."""
        return points.checkpoint(self._lifecycle, self._record, label, pause=pause)

    @property
    def checkpoints(self) -> points.Checkpoints:
        """All that were taken of it, oldest first."""
        return points.list_checkpoints(self._lifecycle, self._record)

    def rollback(
        self, step: int | str | None = None, *, force: bool = False, discard: bool = False, timeout_s: float | None = None
    ) -> points.Checkpoint | None:
        """Let its files be again what they were (see containers.files.checkpoint.rollback)."""
        return points.rollback(self._lifecycle, self._record, step, force=force, discard=discard, timeout_s=timeout_s)
