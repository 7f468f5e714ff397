"""What `build --metadata-file` writes: what was made, as buildx tells it; it must not know how anything was made.

Source: docs.docker.com "docker buildx build", --metadata-file.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labcontainers.errors import Conflict, InvalidArgument
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import parse_digest

FLAG = "--metadata-file"
_REF_BYTES = 15


def metadata_of(descriptor: Descriptor, image_id: str, names: Sequence[str], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The document; `names` are the image's canonical ones. The build's reference is made of digests: equal builds tell the same."""
    digits = parse_digest(descriptor.digest)[1] + parse_digest(image_id)[1]
    reference = base64.b32encode(bytes.fromhex(digits)[:_REF_BYTES]).decode("ascii").lower()
    value = {
        "buildx.build.provenance": dict(provenance),
        "buildx.build.ref": f"default/default/{reference}",
        "containerimage.config.digest": image_id,
        "containerimage.descriptor": descriptor.to_json(),
        "containerimage.digest": descriptor.digest,
    }
    return {**value, "image.name": ",".join(names)} if names else value


def check_metadata_file(path: Path) -> None:
    """Raises InvalidArgument and Conflict where no file can be."""
    if path.is_dir():
        raise Conflict(f"{FLAG}: {path} is a directory", "name a file")
    if not path.parent.is_dir():
        raise InvalidArgument(f"{FLAG}: {path}: there is no such folder", "make the folder first")


def forget_metadata(path: Path) -> None:
    """Remove the file of an earlier build, lest it tells of that when this one fails; neither a device nor a link. Raises OSError."""
    if path.is_file() and not path.is_symlink():
        path.unlink(missing_ok=True)


def write_metadata(path: Path, value: Mapping[str, Any]) -> None:
    """All of it, or no file; a device or a link is written to as it is. Raises OSError."""
    text = json.dumps(value, indent=2, sort_keys=True) + "\n"
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8")
        return
    half = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
