"""What the catalog asks shared image stores for, and how their images stand beside its own; it must not know how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from labcontainers.errors import LabError
from labcontainers.store.records import ManifestRow


class Listed(NamedTuple):
    """An image of a shared store as listings need it: what its row would be here, its canonical names, and the store."""

    row: ManifestRow
    names: tuple[str, ...]
    place: Path


class Shared(Protocol):
    """The images of shared stores (images.shared.borrowing)."""

    @property
    def active(self) -> bool:
        """Whether there are any such stores."""
        ...

    def listed(self) -> Mapping[str, Listed]:
        """Every image by the digest of its manifest."""
        ...

    def names(self, digest: str) -> tuple[str, ...] | None:
        """The canonical names of a manifest, None where no store has it."""
        ...

    def place(self, name_or_id: str) -> Path | None:
        """The store that has an image."""
        ...

    def problem(self) -> LabError | None:
        """What was wrong with a store at the last look, if anything was."""
        ...

    def problems(self) -> Sequence[LabError]:
        """What is wrong with each store of which something is, found by looking."""
        ...

    def borrow(self, name_or_id: str) -> str | None:
        """Bring an image into the user's own store; its manifest's digest, None where no store has it."""
        ...


class NoShared:
    """Where there are no shared stores."""

    active = False

    def listed(self) -> Mapping[str, Listed]:
        return {}

    def names(self, digest: str) -> tuple[str, ...] | None:
        return None

    def place(self, name_or_id: str) -> Path | None:
        return None

    def problem(self) -> LabError | None:
        return None

    def problems(self) -> Sequence[LabError]:
        return ()

    def borrow(self, name_or_id: str) -> str | None:
        return None


class Merged(NamedTuple):
    """An image with its references, wherever they are from; `read_only` tells that a shared store has it."""

    row: ManifestRow
    references: Sequence[str]
    read_only: bool


def merged(own: Iterable[tuple[ManifestRow, str]], shared: Mapping[str, Listed], *, others: bool) -> list[Merged]:
    """The images of a store, given each with one of its references; with `others` those that only shared stores have, too.

    A name in the own store counts before the same one in others.
    """
    found: dict[str, tuple[ManifestRow, list[str]]] = {}
    taken = set()
    for row, reference in own:
        found.setdefault(row.manifest_digest, (row, []))[1].extend([reference] if reference else [])
        taken.add(reference)
    for digest, listed in shared.items():
        if others or digest in found:
            found.setdefault(digest, (listed.row, []))[1].extend(name for name in listed.names if name not in taken)
    return [Merged(row, references, digest in shared) for digest, (row, references) in found.items()]
