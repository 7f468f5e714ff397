"""All that one build has from elsewhere, each thing fetched at most once; what lies in temporary places goes however the build ends.

It must not know steps, nor the Dockerfile.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from labcontainers.build.cancelling import Cancel
from labcontainers.build.context import Context, HashCache, open_context
from labcontainers.build.outputs.inputs import Remote
from labcontainers.build.remotes.addresses import GitAddress, WebAddress
from labcontainers.build.remotes.git_trees import GitTree, GitTrees
from labcontainers.build.remotes.layouts import load_layout
from labcontainers.build.remotes.named import FolderContext, ImageContext, LayoutContext, NamedContext, normalized
from labcontainers.build.remotes.places import Places
from labcontainers.build.remotes.unfolding import newest_file_s, unfold
from labcontainers.build.remotes.web import Downloads, WebFiles
from labcontainers.build.secrets import Confidential
from labcontainers.build.stages import Origin
from labcontainers.errors import Cancelled, DigestMismatch, InvalidReference, LabError
from labcontainers.images.archive.contents import Data, open_data
from labcontainers.images.catalog import Catalog
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store

# what a file is called that is all of a context, as in BuildKit
FILE = "context"
_SHA1_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Means:
    """What is used of other rooms: whoever downloads by HTTP, and the launcher, by which images are unpacked."""

    downloads: Downloads | None = None
    launcher: LauncherProcess | None = None


def names_on_paper(contexts: Mapping[str, NamedContext]) -> Callable[[str], Origin | None]:
    """What names mean, for a plan that nobody carries out: nothing is loaded for it."""

    def find(name: str) -> Origin | None:
        key = _key(name)
        found = contexts.get(key)
        if isinstance(found, ImageContext):
            return found.origin
        return None if found is None else Origin(context=key)

    return find


class Elsewhere:
    """A context manager around one build. Thread-safe."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        means: Means,
        contexts: Mapping[str, NamedContext],
        confidential: Confidential,
        hashes: HashCache,
        cancel: Cancel,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._named = contexts
        self.hashes = hashes
        self.places = Places(store)
        self._means = means
        self._web = WebFiles(store, means.downloads, confidential, cancel)
        self._git = GitTrees(self.places, confidential, cancel)
        self._lock = threading.RLock()
        self._contexts: dict[str, Context] = {}
        self._layouts: dict[str, Origin] = {}
        self.web_file = self._web.file
        self._used: set[Remote] = set()

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.places.close()

    def origin(self, name: str) -> Origin | None:
        """What a name means that the caller of the build has given a meaning; an OCI layout is loaded. Raises LabError."""
        key = _key(name)
        found = self._named.get(key)
        if isinstance(found, LayoutContext):
            with self._lock, _about(key):
                if key not in self._layouts:
                    self._layouts[key] = Origin(image=load_layout(found, self._store, self._catalog, self._means.launcher))
                return self._layouts[key]
        if isinstance(found, ImageContext):
            return found.origin
        return None if found is None else Origin(context=key)

    def context(self, name: str) -> Context:
        """The files of a context with a name; those from elsewhere are fetched when they are first asked for. Raises LabError."""
        with self._lock:
            if name not in self._contexts:
                with _about(name):
                    self._contexts[name] = self._open(name)
            return self._contexts[name]

    def _open(self, name: str) -> Context:
        found = self._named[name]
        if isinstance(found, FolderContext):
            return open_context(found.path, hashes=self.hashes)
        assert isinstance(found, WebAddress | GitAddress)
        folder = self.folder(found)
        return Context(folder, shown=found.shown)

    def web_digest(self, address: WebAddress) -> str:
        """The digest of a file by HTTP, "sha256:…"; raises LabError."""
        digest = self._web.digest(address)
        self._use(Remote(address.shown, *digest.split(":", 1)))
        return digest

    def tree(self, address: GitAddress) -> GitTree:
        """Which tree an address of git means now; raises LabError."""
        tree = self._git.tree(address)
        self._use(Remote(address.shown, "sha1" if len(tree.commit) == _SHA1_DIGITS else "sha256", tree.commit))
        return tree

    def time_s(self, address: WebAddress | GitAddress) -> int | None:
        """When what folder() or web_file() gave was committed, or last changed as its server says; seconds since 1970, None for unknown."""
        return self._git.time_s(address) if isinstance(address, GitAddress) else self._web.time_s(address)

    def changed_s(self, source: WebAddress | GitAddress | str) -> int | None:
        """When a source was committed, or last changed as its server says, else the time of an archive's newest file; fetched for that.

        A context with a name may be the source. Seconds since 1970, None for unknown, as for a folder. Raises LabError.
        """
        if isinstance(source, str):
            found = self._named.get(_key(source))
            return self.changed_s(found) if isinstance(found, WebAddress | GitAddress) else None
        if isinstance(source, GitAddress):
            return self.time_s(source)
        # the server is asked also for a file that lies here already: its answer must not depend on that
        asked = replace(source, checksum="")
        digest = self.web_digest(asked)
        if source.checksum not in ("", digest):
            raise DigestMismatch(f"{source.shown}: the file has digest {digest}, and not {source.checksum}", "write its digest")
        said_s = self.time_s(asked)
        return newest_file_s(self.web_file(asked, digest)) if said_s is None else said_s

    def _use(self, remote: Remote) -> None:
        with self._lock:
            self._used.add(remote)

    @property
    def used(self) -> tuple[Remote, ...]:
        """What came from addresses so far, in their order."""
        with self._lock:
            return tuple(sorted(self._used))

    @property
    def layouts(self) -> dict[str, str]:
        """The names of contexts by the ids of images that came from OCI layouts so far."""
        with self._lock:
            return {origin.image: name for name, origin in self._layouts.items()}

    def folder(self, address: WebAddress | GitAddress) -> Path:
        """A folder with the tree of git, or with what is in an archive; any other file lies alone in it, as `context`, as in BuildKit."""
        if isinstance(address, GitAddress):
            return self.tree(address).checked_out()
        path = self.web_file(address, self.web_digest(address))
        folder = self.places.new()
        if unfold(path, folder) is None:
            shutil.copyfile(path, folder / FILE)
        return folder

    def spooled(self, data: Data) -> Path:
        """A file with these bytes, as long as the build lasts."""
        path = self.places.new() / FILE
        buffer = memoryview(bytearray(1 << 20))
        with open_data(data) as source, open(path, "xb") as file:
            while count := source.readinto(buffer):
                file.write(buffer[:count])
        return path


@contextlib.contextmanager
def _about(name: str) -> Iterator[None]:
    """What goes wrong tells of which context."""
    try:
        yield
    except Cancelled:
        raise
    except LabError as error:
        error.message = f"context {name}: {error.message}"
        raise


def _key(name: str) -> str:
    """Of a name that is no image's, nobody has given a meaning."""
    try:
        return normalized(name)
    except InvalidReference:
        return ""
