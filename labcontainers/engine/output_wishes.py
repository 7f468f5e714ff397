"""The keywords of `engine.images.build` that say what a build gives besides its image, checked before anything is built.

It must not know how an output is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers.build.outputs.annotations import Annotations, parse_annotations
from labcontainers.build.outputs.attests import Attests, parse_attests
from labcontainers.build.outputs.metadata import FLAG as METADATA_FLAG
from labcontainers.build.outputs.metadata import check_metadata_file, forget_metadata
from labcontainers.build.outputs.specs import Output, parse_outputs
from labcontainers.containers.files.writing import writing
from labcontainers.engine.exporting import check_outputs
from labcontainers.errors import InvalidArgument

KEYWORDS = ("outputs", "push", "load", "annotations", "metadata_file", "attest", "provenance", "sbom", "squash")


@dataclass(frozen=True, slots=True)
class OutputWishes:
    """What a build shall give. `folder` is where paths are found from."""

    outputs: tuple[Output, ...]
    folder: Path
    annotations: Annotations
    attests: Attests
    metadata_file: Path | None
    squash: bool = False

    @property
    def stored_names(self) -> tuple[str, ...]:
        """The names that the image of the store gets."""
        return tuple(dict.fromkeys(name for output in self.outputs if output.in_store for name in output.names))

    @property
    def request_keywords(self) -> dict[str, Any]:
        """What of it the builder is told."""
        return {"tags": self.stored_names, "annotations": self.annotations.manifest, "squash": self.squash}


def take_wishes(keywords: dict[str, Any], tags: Sequence[str], folder: Path) -> OutputWishes:
    """What the keywords say, which are taken out of `keywords`.

    `outputs` (a text, a mapping, or several), `push`, `load`; `annotations` (texts, or a mapping); `metadata_file` (a path); `attest`
    (texts), `provenance` (True, False, "min", "max"), `sbom` (True, False); `squash` (one new layer). `tags` are the names of outputs
    that name none. A metadata file of an earlier build is removed. Raises InvalidArgument, Unsupported, Conflict, NotFound.
    """
    said = {key: keywords.pop(key, None) for key in KEYWORDS}
    outputs = parse_outputs(said["outputs"] or (), push=bool(said["push"]), load=bool(said["load"]), tags=tags)
    check_outputs(outputs, folder)
    attests = parse_attests(said["attest"] or (), said["provenance"], said["sbom"])
    has_index = _check_attests(attests, outputs)
    annotations = _annotations(said["annotations"], outputs)
    annotations.check(has_index=has_index, has_archive=any(output.type in ("oci", "docker") for output in outputs))
    metadata_file = None if said["metadata_file"] is None else folder / Path(said["metadata_file"]).expanduser()
    if metadata_file is not None:
        check_metadata_file(metadata_file)
        with writing(metadata_file, METADATA_FLAG):
            forget_metadata(metadata_file)
    return OutputWishes(outputs, folder, annotations, attests, metadata_file, bool(said["squash"]))


def _check_attests(attests: Attests, outputs: Sequence[Output]) -> bool:
    """Whether an index is made; raises InvalidArgument for attestations that no output can have."""
    has_place = any(output.type == "oci" or output.push for output in outputs)
    if attests.wanted and not has_place:
        flag = "--sbom" if attests.sbom else "--provenance"
        hint = "add --push or -o type=oci,dest=FILE; of an image here Python tells it: image.sbom(), build.provenance"
        raise InvalidArgument(f"{flag}: attestations have no place in the outputs of this build", hint)
    return attests.wanted


def _annotations(said: Any, outputs: Sequence[Output]) -> Annotations:
    """Those of the build and those of its outputs together: a build has one image."""
    texts = (
        [f"{key}={value}" for key, value in said.items()]
        if isinstance(said, dict)
        else [said]
        if isinstance(said, str)
        else list(said or ())
    )
    return parse_annotations([*texts, *(text for output in outputs for text in output.annotations)])
