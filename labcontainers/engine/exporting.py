"""What a finished build gives besides its image: archives, tars, folders and pushes, each whole or not there.

It must not know how a build is done, nor how progress is shown.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcontainers.build.outputs.annotations import Annotations
from labcontainers.build.outputs.folder import check_folder, filling
from labcontainers.build.outputs.metadata import FLAG as METADATA_FLAG
from labcontainers.build.outputs.metadata import metadata_of, write_metadata
from labcontainers.build.outputs.provenance import PREDICATE as PROVENANCE
from labcontainers.build.outputs.provenance import package_url
from labcontainers.build.outputs.specs import FLAG, Output, Sink
from labcontainers.build.progress import BuildEvent, BuildFinished, OnEvent, StepFailedEvent, StepFinished, StepOutput, StepStarted
from labcontainers.containers.files.unpacking import Rules, Unpacker
from labcontainers.containers.files.writing import save_file, write_pieces, writing
from labcontainers.errors import Conflict, InvalidArgument, LabError, NotFound
from labcontainers.images.archive.archived import platform_of
from labcontainers.images.archive.saving import Archive, Wanted
from labcontainers.images.attestations import Attach, Attestations
from labcontainers.images.catalog import Catalog
from labcontainers.images.host_root import refuse
from labcontainers.images.image import Image
from labcontainers.images.transfer import LayerProgress
from labcontainers.images.tree_stream import root_stream
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import chain_id, sha256
from labcontainers.oci.layout import INDEX
from labcontainers.oci.manifest import media_type_of
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store

if TYPE_CHECKING:
    from labcontainers.build.result import Build
    from labcontainers.engine.output_wishes import OutputWishes
    from labcontainers.engine.transfers import Transfers
    from labcontainers.images.push import Pushed

_CHUNK = 1 << 20
_TITLES = {
    "oci": "exporting to oci image format",
    "docker": "exporting to docker image format",
    "tar": "exporting to client tarball",
    "local": "exporting to client directory",
}
# Whoever fills a folder owns what is in it; neither setuid bits nor devices of an image get out.
_FOR_THE_USER = Rules(keep_owner=False, trusted=False)


def check_outputs(outputs: Sequence[Output], folder: Path) -> None:
    """Whether all that is asked for can be there, before anything is built: raises Conflict, InvalidArgument, NotFound.

    Paths are found from `folder`.
    """
    for output in outputs:
        if output.dest == "-":
            raise InvalidArgument(f"{FLAG}: nobody reads the standard output: type={output.type}", "name a file by dest=")
        if output.in_store or isinstance(output.dest, Sink):
            continue
        place = _place(output, folder)
        with writing(place, FLAG):
            if output.type == "local" or output.is_folder:
                check_folder(place, FLAG)
                if output.is_folder and (place / INDEX).exists():
                    raise Conflict(f"{FLAG}: {place} has an image layout already", "name a new folder")
                continue
            if place.is_dir():
                raise Conflict(f"{FLAG}: {place} is a directory", "name a file")
            if not place.parent.is_dir():
                raise NotFound(f"{FLAG}: {place}: there is no such folder", "make the folder first")


def _place(output: Output, folder: Path) -> Path:
    assert isinstance(output.dest, str | os.PathLike)
    text = os.fspath(output.dest)
    return folder.absolute() / (Path(text).expanduser() if text.startswith("~") else text)


class Exporter:
    """Makes the outputs of one build."""

    def __init__(self, store: Store, catalog: Catalog, launcher: LauncherProcess, transfers: Transfers, on_event: OnEvent) -> None:
        self._store = store
        self._catalog = catalog
        self._launcher = launcher
        self._transfers = transfers
        self._folder = Path()
        self._on_event = on_event
        self._index = 0
        self._beside: Attestations | None = None
        self._annotations = Annotations()
        self._lock = threading.Lock()

    def exported(self, build: Callable[[OnEvent], Build], wishes: OutputWishes) -> Build:
        """Build, and make all outputs; the build's end is told once they are there.

        Raises as `build` does, Denied, NoSpace, Failed or Conflict for a place that cannot be written, and as a push does.
        """
        ends: list[BuildFinished] = []

        def tell(event: BuildEvent) -> None:
            if isinstance(event, BuildFinished):
                ends.append(event)
            else:
                self._on_event(event)

        built = build(tell)
        self._index, self._folder = len(built.steps), wishes.folder
        self._beside = self._attestations(built, wishes)
        self._annotations = wishes.annotations
        built, pushed = self._export(built, wishes.outputs)
        if wishes.metadata_file is not None:
            with writing(wishes.metadata_file, METADATA_FLAG):
                write_metadata(wishes.metadata_file, self._metadata(built, wishes, pushed))
        for end in ends:
            self._on_event(end)
        return built

    def _export(self, built: Build, outputs: Sequence[Output]) -> tuple[Build, list[Pushed]]:
        """All outputs, one after the other; the build with its image as it is known then, and what was pushed."""
        image = built.image
        pushed: list[Pushed] = []
        for output in outputs:
            if output.type in _TITLES:
                refuse(image, f"{FLAG} type={output.type}")
                with self._told(_TITLES[output.type]):
                    self._write(image, output)
            elif output.push:
                refuse(image, "push")
                for name in output.names:
                    reference = parse_reference(name)
                    with self._told(f"pushing {reference.canonical}"):
                        pushed.append(self._transfers.push(name, on_progress=self._telling(), attach=self._attach([reference])))
                    # its layers have stored bytes now, and so it may have another manifest
                    image = self._catalog.get(name)
        return replace(built, image=image), pushed

    # --- what stands beside the image

    def _attestations(self, built: Build, wishes: OutputWishes) -> Attestations | None:
        attests = wishes.attests
        if not attests.wanted:
            return None
        predicates: list[tuple[str, Mapping[str, Any]]] = []
        if attests.sbom:
            from labcontainers.images.bill_forms import PREDICATE as SPDX

            predicates.append((SPDX, built.sbom.to_spdx()))
        if attests.provenance:
            predicates.append((PROVENANCE, built.provenance_as(attests.provenance, attests.builder_id).to_json()))
        annotations = wishes.annotations
        return Attestations(predicates, platform_of(built.image.config), (), annotations.index, annotations.manifest_descriptor)

    def _attach(self, names: Sequence[Reference]) -> Attach | None:
        """What makes the attestations of an image under these names."""
        if self._beside is None:
            return None
        return replace(self._beside, names=[package_url(name, str(self._beside.platform)) for name in names]).attach

    def _metadata(self, built: Build, wishes: OutputWishes, pushed: Sequence[Pushed]) -> dict[str, Any]:
        """As the first registry knows the image, or else the first archive, or the store."""
        image = built.image
        outputs = [output for output in wishes.outputs if output.names]
        references = list(dict.fromkeys(parse_reference(name) for output in outputs for name in output.names))
        manifest = self._store.blobs.read(image.manifest_digest)
        archives = [output for output in wishes.outputs if output.type == "oci"]
        attach = self._attach(
            [one.reference for one in pushed[:1]] or [parse_reference(name) for output in archives[:1] for name in output.names]
        )
        data = manifest if attach is None else attach(manifest).index
        annotations = wishes.annotations.index_descriptor if attach else wishes.annotations.manifest_descriptor
        descriptor = Descriptor(media_type_of(data), sha256(data), len(data), annotations, None if attach else platform_of(image.config))
        provenance = built.provenance_as(wishes.attests.provenance or "min", wishes.attests.builder_id).to_json()
        return metadata_of(descriptor, image.id, [reference.canonical for reference in references], provenance)

    def _write(self, image: Image, output: Output) -> None:
        if isinstance(output.dest, Sink):
            sink = output.dest
            with self._pieces(image, output) as pieces:
                for piece in pieces:
                    sink.write(piece)
            return
        place = _place(output, self._folder)
        if output.type == "local" or output.is_folder:
            with writing(place, FLAG), filling(place) as fd, self._pieces(image, output) as pieces:
                _unpack(pieces, fd)
        elif output.type == "tar":
            with self._pieces(image, output) as pieces:
                save_file(place, lambda file: write_pieces(file, pieces), FLAG)
        else:
            with self._archive(image, output) as archive:
                save_file(place, archive.write, FLAG)

    def _archive(self, image: Image, output: Output) -> Archive:
        names = tuple(parse_reference(name) for name in output.names)
        attach = self._attach(names) if output.type == "oci" else None
        annotations = self._annotations.index_descriptor if attach else self._annotations.manifest_descriptor
        return Archive([Wanted(image, names, attach, annotations)], self._store, self._launcher)

    @contextlib.contextmanager
    def _pieces(self, image: Image, output: Output) -> Iterator[Iterable[bytes]]:
        """The bytes of an archive, or of the tar of the root file system; what keeps its worker from going on is raised at the end."""
        if output.type not in ("tar", "local"):
            with self._archive(image, output) as archive:
                yield archive
            return
        diff_ids = image.diff_ids
        self._store.snapshots.lower_paths(diff_ids)  # raises NotFound
        trees = [self._store.snapshots.tree(chain_id(diff_ids[:count])) for count in range(len(diff_ids), 0, -1)]
        with root_stream(self._launcher, trees) as (pipe, errand):

            def stream() -> Iterator[bytes]:
                yield from iter(partial(pipe.read, _CHUNK), b"")
                errand.result()

            yield stream()

    # --- what is told of it

    @contextlib.contextmanager
    def _told(self, text: str) -> Iterator[None]:
        self._index += 1
        begun = time.monotonic()
        self._on_event(StepStarted(self._index, 0, "", text, 0))
        try:
            yield
        except LabError as error:
            self._on_event(StepFailedEvent(self._index, error.message))
            raise
        self._on_event(StepFinished(self._index, time.monotonic() - begun, 0))

    def _telling(self) -> Callable[[LayerProgress], None]:
        """Each new state of a layer as a line of the step's output."""
        index, last = self._index, dict[str, str]()

        def tell(progress: LayerProgress) -> None:
            with self._lock:
                if last.get(progress.layer) != progress.status:
                    last[progress.layer] = progress.status
                    self._on_event(StepOutput(index, 1, f"{progress.layer}: {progress.status}\n".encode()))

        return tell


def _unpack(pieces: Iterable[bytes], fd: int) -> None:
    """Make the files of a tar in an open directory; what keeps its worker from going on is raised before what that led to."""
    left = iter(pieces)
    try:
        Unpacker(fd, "", _FOR_THE_USER, links=False).unpack(_Reader(left))
    except InvalidArgument:
        _drain(left)
        raise
    _drain(left)


def _drain(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass


class _Reader:
    """Pieces of bytes as a file to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        found: list[bytes] = []
        while size:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
            taken = self._rest[:size]
            self._rest = self._rest[len(taken) :]
            size -= len(taken)
            found.append(bytes(taken))
        return b"".join(found)
