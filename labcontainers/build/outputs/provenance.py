"""Where an image comes from, as SLSA's provenance: equal builds give equal documents. It must not know where it is kept.

Mode `min` tells the base images, what came from addresses, and how the build was asked for without its arguments; `max` has the
Dockerfile, the arguments and the steps, too. Sources: slsa.dev/spec/v1.0/provenance; BuildKit, docs/attestations/slsa-definitions.md;
purl-spec, type docker.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import urllib.parse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from labcontainers.build.outputs.inputs import Base, BuildInputs, Remote
from labcontainers.errors import InvalidReference
from labcontainers.markup import TABLE
from labcontainers.oci.digest import sha256
from labcontainers.oci.manifest import canonical_json
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.version import __version__

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
BUILDER = f"pkg:pypi/labcontainers@{__version__}"
_DOCKER_HUB = "docker.io"


def package_url(reference: Reference, platform: str) -> str:
    """An image's name as a package URL."""
    path = reference.path.removeprefix("library/") if reference.domain == _DOCKER_HUB else f"{reference.domain}/{reference.path}"
    version = f"@{urllib.parse.quote(reference.tag, safe='')}" if reference.tag else ""
    return f"pkg:docker/{urllib.parse.quote(path, safe='/')}{version}?platform={urllib.parse.quote(platform, safe='')}"


class Provenance:
    """The provenance of one build, `mode` min or max; as text and HTML it is a summary, `to_json()` has all of it."""

    def __init__(
        self, inputs: BuildInputs, platform: str, steps: Sequence[tuple[str, str, int]] = (), *, mode: str = "max", builder_id: str = ""
    ) -> None:
        """`steps` are (stage, instruction, line)."""
        self.mode = mode
        self._inputs = inputs
        self._platform = platform
        self._steps = steps
        self._builder_id = builder_id or BUILDER

    @property
    def materials(self) -> list[dict[str, Any]]:
        """What was used: its URI, and its digest; of an image that no registry is known to have, that of its config."""
        images = [{"uri": _uri(base, self._platform), "digest": {"sha256": _digest(base)}} for base in self._inputs.bases]
        return [*images, *({"uri": one.uri, "digest": {one.algorithm: one.digest}} for one in self._inputs.remotes)]

    def to_json(self) -> dict[str, Any]:
        """The predicate."""
        inputs = self._inputs
        whole = self.mode == "max"
        args = {f"build-arg:{key}": value for key, value in sorted(inputs.build_args.items())} if whole else {}
        args |= {f"label:{key}": value for key, value in sorted(inputs.labels.items())} if whole else {}
        args |= {"target": inputs.target} if inputs.target else {}
        args |= {"force-network-mode": inputs.network} if whole and inputs.network in ("host", "none") else {}
        request: dict[str, Any] = {"frontend": "dockerfile.v0"}
        request |= {} if inputs.context else {"locals": [{"name": "context"}, {"name": "dockerfile"}]}
        request |= {"args": args} if args else {}
        request |= {"secrets": [self._id(name) for name in inputs.secrets]} if whole and inputs.secrets else {}
        request |= {"ssh": [self._id(name) for name in inputs.agents]} if whole and inputs.agents else {}
        internal: dict[str, Any] = {"builderPlatform": self._platform}
        if whole:
            internal["buildConfig"] = {"steps": [{"stage": stage, "instruction": text, "line": line} for stage, text, line in self._steps]}
        definition = {
            "buildType": BUILD_TYPE,
            "externalParameters": {"configSource": {**_source(inputs.context), "path": inputs.file}, "request": request},
            "internalParameters": internal,
            "resolvedDependencies": self.materials,
        }
        moment = f"{datetime.fromtimestamp(inputs.epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"
        metadata: dict[str, Any] = {
            "invocationId": sha256(canonical_json(definition)).partition(":")[2][:32],
            "startedOn": moment,
            "finishedOn": moment,
            "buildkit_completeness": {"request": whole, "resolvedDependencies": inputs.is_complete},
            **({"buildkit_hermetic": True} if inputs.is_hermetic else {}),
        }
        if whole:
            data = base64.b64encode(inputs.text.encode(errors="surrogateescape")).decode("ascii")
            metadata["buildkit_metadata"] = {"source": {"infos": [{"filename": inputs.file, "language": "Dockerfile", "data": data}]}}
        return {"buildDefinition": definition, "runDetails": {"builder": {"id": self._builder_id}, "metadata": metadata}}

    def _id(self, name: str) -> dict[str, Any]:
        return {"id": name} if name in self._inputs.required else {"id": name, "optional": True}

    def _shown(self) -> list[tuple[str, str]]:
        """The materials with the beginning of their digests."""
        return [(one["uri"], f"{name}:{digest[:12]}") for one in self.materials for name, digest in one["digest"].items()]

    def __repr__(self) -> str:
        lines = [f"Provenance ({self.mode}) of a build of {self._inputs.file}, for {self._platform}"]
        lines += [f"  {uri}  {digest}" for uri, digest in self._shown()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left;padding:1px 12px 1px 0"'
        rows = "".join(f"<tr><td {cell}>{html.escape(uri)}</td><td {cell}>{html.escape(digest)}</td></tr>" for uri, digest in self._shown())
        whole = html.escape(json.dumps(self.to_json(), indent=2))
        head = f"<b>Provenance</b> of a build of {html.escape(self._inputs.file)}, for {html.escape(self._platform)}"
        return f"{head}{TABLE}{rows}</table><details><summary>the whole document</summary><pre>{whole}</pre></details>"


def _source(remote: Remote | None) -> dict[str, Any]:
    """Where the Dockerfile is from, if that is an address."""
    return {} if remote is None else {"uri": remote.uri, "digest": {remote.algorithm: remote.digest}}


def _uri(base: Base, platform: str) -> str:
    if base.is_of_layout:
        name, digest = urllib.parse.quote(base.name, safe="/"), urllib.parse.quote(base.registry_digest, safe="")
        return f"pkg:oci/{name}@{digest}?platform={urllib.parse.quote(platform, safe='')}"
    if base.name.startswith("sha256:"):
        return base.name
    try:
        return package_url(parse_reference(base.name), platform)
    except InvalidReference:
        return base.name


def _digest(base: Base) -> str:
    digest = (base.registry_digest or base.id).partition(":")[2]
    return digest or hashlib.sha256(base.name.encode()).hexdigest()
