"""What `build` gives besides an image in the store: its flags, and standard output as one of the places; it must not know widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from labcontainers.build.outputs.specs import Output, parse_output
from labcontainers.commands.command import Invocation
from labcontainers.commands.output_file import refuse_screen
from labcontainers.commands.parser import Flag

FLAGS = (
    Flag(
        ("-o", "--output"),
        "a folder for the files of the image, or type=local|tar|oci|docker|image|registry with dest=, name= or push=true; repeatable",
        "list",
        "OUTPUT",
        completes="path",
    ),
    Flag(("--push",), "send the image to the registries that its names tell, as -o type=registry", "switch"),
    Flag(("--load",), "give the image in the store its names, also beside other outputs", "switch"),
    Flag(
        ("--annotation",), "annotation KEY=VALUE of the manifest, or of index:, manifest-descriptor:, …; repeatable", "list", "ANNOTATION"
    ),
    Flag(("--metadata-file",), "write what was made to this file, as JSON", metavar="FILE", completes="path"),
    Flag(("--attest",), "type=sbom or type=provenance[,mode=min|max] for -o type=oci and --push; repeatable", "list", "ATTESTATION"),
    Flag(("--provenance",), "as --attest type=provenance: true, false, or mode=min|max", metavar="MODE"),
    Flag(("--sbom",), "as --attest type=sbom: true or false", metavar="BOOLEAN"),
)


class StandardOutput:
    """Standard output as a place for an archive."""

    def __init__(self, call: Invocation) -> None:
        self._call = call

    def write(self, data: bytes, /) -> None:
        """Pass it on."""
        self._call.on_output(1, data)


def outputs_of(call: Invocation) -> tuple[list[Output], bool]:
    """The outputs that are asked for, and whether one takes standard output, which then nothing else may be written to.

    Raises InvalidArgument, Unsupported, and Conflict where it is a screen.
    """
    outputs = [parse_output(text) for text in call.output]
    found = []
    for output in outputs:
        if output.dest == "-":
            refuse_screen(call, "build", f"name a file: -o type={output.type},dest=FILE")
            found.append(replace(output, dest=StandardOutput(call)))
        else:
            found.append(output)
    return found, found != outputs


def output_keywords(call: Invocation, outputs: Sequence[Output]) -> dict[str, Any]:
    """What the flags say, as keywords of `engine.images.build`; `outputs` are those of outputs_of()."""
    return {
        "outputs": outputs,
        "push": call.push,
        "load": call.load,
        "annotations": call.annotation,
        "metadata_file": None if call.metadata_file is None else call.folder / Path(call.metadata_file).expanduser(),
        "attest": call.attest,
        "provenance": call.provenance,
        "sbom": call.sbom,
    }
