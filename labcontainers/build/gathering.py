"""What COPY, ADD and mounts take from the context, from contexts with a name, and from elsewhere: read and hashed, or only told apart.

It must not know layers, nor how a step is carried out.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from labcontainers.build.context import Context, Entry, Selection
from labcontainers.build.dockerfile.source import Place
from labcontainers.build.globs import literal
from labcontainers.build.ignore import IgnoreRules, rules_from
from labcontainers.build.plan import CopyStep, RunMount
from labcontainers.build.remotes.addresses import Address, GitAddress, WebAddress
from labcontainers.build.remotes.git_trees import GitTree
from labcontainers.build.sources import Pending
from labcontainers.build.stages import Origin
from labcontainers.errors import Cancelled, Denied, Failed, Unavailable

# BuildKit's, for a file from elsewhere
_MODE = stat.S_IFREG | 0o600
Chosen = Selection | Pending


class Elsewhere(Protocol):
    """What a build has from elsewhere (remotes.elsewhere)."""

    def context(self, name: str) -> Context:
        """The files of a context that has a name; raises LabError."""

    def web_digest(self, address: WebAddress) -> str:
        """The digest of a file; raises LabError."""

    def web_file(self, address: WebAddress, digest: str) -> Path:
        """Where a file with that digest lies; raises LabError."""

    def tree(self, address: GitAddress) -> GitTree:
        """Which tree an address of git means now; raises LabError."""


class Gatherer:
    """The files of one build. Thread-safe, as far as its contexts are."""

    def __init__(self, context: Context, elsewhere: Elsewhere) -> None:
        self._context = context
        self._elsewhere = elsewhere

    @property
    def root(self) -> Path:
        """The folder that selections without a root of their own are from."""
        return self._context.root

    def choose(self, step: CopyStep) -> list[Chosen]:
        """What a step names that takes files from no stage and no image; raises LabError."""
        exclude = rules_from(step.exclude) if step.exclude else None
        found: list[Chosen] = []
        for number, source in enumerate(step.sources):
            address = step.remotes[number] if step.remotes else None
            if address is not None:
                with _at(step.place):
                    found += self._remote(address, step, exclude)
            else:
                found += self._of_context(step.origin, source, exclude, parents=step.parents)
        return found

    def bind(self, mount: RunMount) -> list[Selection]:
        """What a mount takes that is from no stage and no image; raises LabError."""
        return self._of_context(mount.origin, literal(mount.source), None, parents=False)

    def _of_context(self, origin: Origin | None, source: str, exclude: IgnoreRules | None, *, parents: bool) -> list[Selection]:
        context = self._context if origin is None else self._elsewhere.context(origin.context)
        found = context.select_with_parents(source, exclude) if parents else context.select(source, exclude)
        return found if origin is None else [replace(one, root=one.root or str(context.root)) for one in found]

    def _remote(self, address: Address, step: CopyStep, exclude: IgnoreRules | None) -> list[Pending]:
        if isinstance(address, WebAddress):
            return self._web_file(address, step, exclude)
        tree = self._elsewhere.tree(address)

        def fetch() -> Selection:
            with _at(step.place):
                folder = tree.checked_out()
            (found,) = Context(folder, shown=address.shown).select("", exclude)
            return replace(found, name="", root=str(folder))

        return [Pending("", tree.identity, fetch)]

    def _web_file(self, address: WebAddress, step: CopyStep, exclude: IgnoreRules | None) -> list[Pending]:
        if exclude is not None and exclude.ignores(address.name):
            return []
        digest = self._elsewhere.web_digest(address)
        packed = not step.unpacks_remote
        identity = f"{_MODE:o} {digest.partition(':')[2]}"

        def fetch() -> Selection:
            with _at(step.place):
                return selection_of(self._elsewhere.web_file(address, digest), address.name, packed=packed)

        return [Pending(address.name, identity, fetch)]


@contextlib.contextmanager
def _at(place: Place) -> Iterator[None]:
    """What others do wrong is told with the line; what the line has wrong is located later."""
    try:
        yield
    except Cancelled:
        raise
    except (Unavailable, Denied, Failed) as error:
        error.message = f"{place.source.file}:{place.first_line}: {error.message}"
        raise


def selection_of(path: Path, name: str, *, packed: bool) -> Selection:
    """A file of this machine as a source of ADD that is called `name`."""
    state = path.stat()
    entry = Entry("", path.name, _MODE, state.st_size, state.st_mtime_ns, "")
    return Selection(name, False, (entry,), str(path.parent), stays_packed=packed)


def file_digests(chosen: Sequence[Chosen]) -> Mapping[str, str]:
    """What tells these files from others, by names that a reader understands."""
    digests: dict[str, str] = {}
    for number, selection in enumerate(chosen):
        found = _pending_digests(selection) if isinstance(selection, Pending) else _digests(selection)
        for name, digest in found.items():
            digests[f"{name} ({number + 1})" if name in digests else name] = digest
    return digests


def _pending_digests(pending: Pending) -> dict[str, str]:
    return {pending.name or ".": pending.identity}


def _digests(selection: Selection) -> dict[str, str]:
    found = {}
    for entry in selection.entries:
        if selection.is_directory and not entry.path:
            # what a directory holds is copied, not the directory: its own mode does not count
            continue
        name = "/".join(part for part in (selection.name, entry.path) if part) or "."
        found[name] = f"{entry.mode:o} {entry.digest or entry.target}"
    return found
